"""Each record is sent on once, whatever becomes of the members; more in ``make torture``."""

from __future__ import annotations

import pytest

from pystream import config
from tests.log.exactly_once_sequences import go_through


# The last two notice when the offset of a partition that was given up in between is committed.
@pytest.mark.parametrize("seed", [*range(6), 42, 44])
def test_what_counts_is_what_was_committed(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "GROUP_LOOK_SECONDS", 0.0)
    go_through(seed)
