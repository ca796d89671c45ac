"""Programs that are killed, or whose disk fails, at some of their calls lose nothing."""

from __future__ import annotations

import pytest

from tests.torture.calls import run_calls

RUNS = 60
ALL = 1000  # more calls than the program makes


SEED = 2  # a program that compacts, and has a transaction


# Each of the calls once: `make torture` goes through all of them with each kind, in many programs.
@pytest.mark.parametrize(
    ("kind", "first", "runs"),
    [("kill", 1, RUNS), ("ENOSPC", 1 + RUNS, RUNS), ("EIO", 1 + 2 * RUNS, ALL)],
)
def test_what_was_promised_is_kept_whichever_call_is_hit(kind: str, first: int, runs: int) -> None:
    outcome = run_calls(SEED, kind, runs, first)
    assert outcome.failure is None, f"{outcome.repeat}\n{outcome.failure}"
    if runs < ALL:
        assert outcome.cases == runs
    else:
        assert outcome.next_seed == -1  # behind the last call
        assert outcome.cases > RUNS
