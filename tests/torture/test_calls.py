"""Programs that are killed, or whose disk fails, at some of their calls lose nothing."""

from __future__ import annotations

import pytest

from tests.torture.calls import run_calls

SEED = 85  # a program that compacts, and has transactions and members of a group
PART = 200
REST = 1000  # more calls than the program makes


def hit(kind: str, calls: int, first: int) -> tuple[int, int]:
    """Return how many calls were hit, and the next; -1 behind the last."""
    outcome = run_calls(SEED, kind, calls, first)
    assert outcome.failure is None, f"{outcome.repeat}\n{outcome.failure}"
    return outcome.cases, outcome.next_seed


# Each call once. `make torture` goes through many such programs.
@pytest.mark.parametrize("first", [1, 1 + PART])
@pytest.mark.parametrize("kind", ["kill", "ENOSPC", "EIO"])
def test_what_was_promised_is_kept_whichever_call_is_hit(kind: str, first: int) -> None:
    assert hit(kind, PART, first) == (PART, first + PART)


@pytest.mark.parametrize("kind", ["kill", "ENOSPC", "EIO"])
def test_what_was_promised_is_kept_whichever_late_call_is_hit(kind: str) -> None:
    cases, following = hit(kind, REST, 1 + 2 * PART)
    assert following == -1  # behind the last call
    assert 0 < cases < REST
