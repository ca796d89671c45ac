"""Random interleavings of producers, against the model; more in ``make torture``."""

from __future__ import annotations

import pytest

from tests.log.transaction_sequences import go_through


@pytest.mark.parametrize("seed", range(6))
def test_readers_of_both_levels_are_shown_what_the_model_says(seed: int) -> None:
    go_through(seed)
