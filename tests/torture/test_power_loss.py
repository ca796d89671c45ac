"""Power is lost at every call of a few programs: nothing that was promised is lost."""

from __future__ import annotations

import pytest

from tests.torture.power_loss import run_seed

STATES = 2_000
PARTS = 4


@pytest.mark.parametrize("part", range(PARTS))
def test_every_state_that_a_disk_may_hold_opens_and_keeps_its_promises(part: int) -> None:
    cases, seed = 0, 1 + 100 * part
    while cases < STATES // PARTS:
        outcome = run_seed(seed, STATES // PARTS - cases)
        assert outcome.failure is None, f"{outcome.repeat}\n{outcome.failure}"
        assert outcome.cases > 0
        cases, seed = cases + outcome.cases, outcome.next_seed
