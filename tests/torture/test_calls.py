"""Programs that are killed, or whose disk fails, at some of their calls lose nothing."""

from __future__ import annotations

import pytest

from tests.torture.calls import run_calls

SEED = 85  # a program that compacts, and has transactions and members of a group
ALL = 1000  # more calls than the program makes
MANY = 400  # fewer


# `make torture` goes through many such programs. Minutes where the machine is slow and busy.
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", ["kill", "ENOSPC", "EIO"])
def test_what_was_promised_is_kept_whichever_call_is_hit(kind: str) -> None:
    outcome = run_calls(SEED, kind, ALL, 1)
    assert outcome.failure is None, f"{outcome.repeat}\n{outcome.failure}"
    assert outcome.next_seed == -1  # behind the last call
    assert outcome.cases > MANY
