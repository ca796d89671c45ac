"""Random sequences of what can happen to a group, against the model; more in ``make torture``."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from pystream import config
from pystream.log.groups import admin
from tests.log.group_sequences import GroupMachine, go_through


def test_groups_do_what_the_model_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "GROUP_LOOK_SECONDS", 0.0)
    run_state_machine_as_test(
        GroupMachine,
        settings=settings(
            max_examples=60,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_offsets_that_are_told_wrong_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "GROUP_LOOK_SECONDS", 0.0)
    found = admin.all_committed
    monkeypatch.setattr(
        admin,
        "all_committed",
        lambda *of: {place: offset + 1 for place, offset in found(*of).items()},
    )
    with pytest.raises(AssertionError):
        go_through(1, 20)
