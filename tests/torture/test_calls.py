"""Programs that are killed, or whose disk fails, at some of their calls lose nothing."""

from __future__ import annotations

import pytest

from tests.torture.calls import run_calls

RUNS = 60


@pytest.mark.parametrize("kind", ["kill", "EIO", "ENOSPC"])
def test_what_was_promised_is_kept_whichever_call_is_hit(kind: str) -> None:
    # A third of the calls each: `make torture` goes through all of them, in many programs.
    first = 1 + RUNS * ["kill", "EIO", "ENOSPC"].index(kind)
    outcome = run_calls(1, kind, RUNS, first)
    assert outcome.failure is None, f"{outcome.repeat}\n{outcome.failure}"
    assert outcome.cases == RUNS
