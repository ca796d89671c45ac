"""Programs that are killed, or whose disk fails, at some of their calls lose nothing."""

from __future__ import annotations

import pytest

from tests.torture.calls import run_calls

RUNS = 60
ALL = 1000  # more calls than the program makes


@pytest.mark.parametrize("kind", ["kill", "ENOSPC"])
def test_what_was_promised_is_kept_whichever_call_is_hit(kind: str) -> None:
    # Some of the calls: `make torture` goes through all of them, in many programs.
    first = 1 + RUNS * ["kill", "ENOSPC"].index(kind)
    outcome = run_calls(1, kind, RUNS, first)
    assert outcome.failure is None, f"{outcome.repeat}\n{outcome.failure}"
    assert outcome.cases == RUNS


def test_what_was_promised_is_kept_whichever_call_fails() -> None:
    outcome = run_calls(1, "EIO", ALL, 1)
    assert outcome.failure is None, f"{outcome.repeat}\n{outcome.failure}"
    assert outcome.next_seed == -1  # behind the last call
    assert outcome.cases > 4 * RUNS
