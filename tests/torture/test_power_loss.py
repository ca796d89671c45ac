"""Power is lost at every call of a few programs: nothing that was promised is lost."""

from __future__ import annotations

from tests.torture.power_loss import run_seed

STATES = 2_000


def test_every_state_that_a_disk_may_hold_opens_and_keeps_its_promises() -> None:
    cases, seed = 0, 1
    while cases < STATES:
        outcome = run_seed(seed, STATES - cases)
        assert outcome.failure is None, f"{outcome.repeat}\n{outcome.failure}"
        assert outcome.cases > 100, "the workload makes hardly any call"
        cases, seed = cases + outcome.cases, outcome.next_seed
