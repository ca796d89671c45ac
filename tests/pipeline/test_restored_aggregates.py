"""Aggregates in Python, in jobs that go on out of a snapshot after each round."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import pystream as ps
from pystream import col
from pystream.errors import NotSupportedError
from tests.pipeline.restarts import restart_jobs
from tests.pipeline.user_aggregates import TABLE, Longest, Total, results, windowed


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    restart_jobs(monkeypatch, parts=3, chunk_rows=64)


class Locked(ps.AggregateFunction[int, Any, int]):
    """Counts in an object that pickle refuses."""

    returns = "int64"

    def create_accumulator(self) -> Any:
        return [threading.Lock(), 0]

    def add(self, value: int, accumulator: Any) -> Any:
        accumulator[1] += 1
        return accumulator

    def merge(self, a: Any, b: Any) -> Any:
        a[1] += b[1]
        return a

    def get_result(self, accumulator: Any) -> int:
        return int(accumulator[1])


def table_in_batches() -> Any:
    """Return the table as one batch for each row, so that a round has one."""
    return TABLE.from_batches(TABLE.to_batches(max_chunksize=1))


@pytest.mark.parametrize("window", [ps.tumbling("10ms"), ps.hopping("20ms", "10ms")])
def test_objects_survive_in_pickles(window: ps.Window) -> None:
    rows = windowed(table_in_batches(), window).aggregate(
        total=Total("int64")(col("x")), native=col("x").sum(), key_again=Longest()(col("key"))
    )
    found = rows.to_arrow().to_pylist()
    assert len(found) >= 4
    assert [row["total"] for row in found] == [row["native"] for row in found]
    assert [row["key_again"] for row in found if row["native"] is not None] == [
        row["key"] for row in found if row["native"] is not None
    ]


def test_what_cannot_be_pickled_names_aggregate_and_function() -> None:
    with pytest.raises(NotSupportedError, match=r"aggregate 'r' \(Locked\).*cannot be pickled"):
        results(Locked()(col("x")), table_in_batches())
