"""Tables that meet in a union and are larger than a turn."""

from __future__ import annotations

import numpy as np

import pystream as ps
from tests.pipeline.test_unions import MONOTONOUS, counted


def test_large_tables_take_turns_by_their_watermarks() -> None:
    """Else all windows of the first would stay open until the second begins."""
    n = 200_000
    env = ps.Environment()
    times = np.arange(n)
    a, b = (
        env.from_arrow({"ts": times, "id": np.full(n, number)}, watermark=MONOTONOUS)
        for number in range(2)
    )
    ids = a.union(b).to_arrow()["id"].to_numpy()
    turns = np.flatnonzero(np.diff(ids)) + 1
    # a, b, then b is behind, ties go to a; the last turns are what is left.
    assert turns.tolist() == [65_536 * k for k in (1, 2, 3, 4, 5, 6)] + [n + 3 * 65_536]
    assert counted(a.union(b)).to_arrow()["n"].to_pylist() == [20] * (n // 10)
