"""Aggregates in Python that do what native ones do, for tests of both forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

import pystream as ps
from pystream import col
from tests.pipeline.test_windows_oracle import FLAG, VALUE_COLUMNS, Aggregates

POSITIONS = {name: position for position, name in enumerate(VALUE_COLUMNS)}


TABLE = pa.table(
    {
        "ts": pa.array([0, 1, 2, 12, 13], pa.int64()),
        "key": ["a", "b", "a", "a", "b"],
        "x": pa.array([1, 2, 3, None, 5], pa.int64()),
        "y": pa.array([0.5, 1.5, 2.5, 3.5, None]),
    }
)


def windowed(table: pa.Table = TABLE, window: ps.Window | None = None) -> ps.WindowedStream:
    watermark = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
    stream = ps.Environment().from_arrow(table, watermark=watermark)
    return stream.key_by("key").window(window or ps.tumbling("10ms"))


def results(aggregation: ps.Aggregation, table: pa.Table = TABLE) -> list[Any]:
    """Return the results by window, then key."""
    rows = windowed(table).aggregate(r=aggregation).to_arrow().to_pylist()
    return [row["r"] for row in sorted(rows, key=lambda r: (r["window_start"], r["key"]))]


class Total(ps.AggregateFunction[Any, list[Any], Any]):
    """The sum, in a list that is changed in place; null of nothing."""

    def __init__(self, returns: str) -> None:
        self.returns = returns

    def create_accumulator(self) -> list[Any]:
        return []

    def add(self, value: Any, accumulator: list[Any]) -> list[Any]:
        accumulator[:] = [sum(accumulator) + value]
        return accumulator

    def merge(self, a: list[Any], b: list[Any]) -> list[Any]:
        b.extend(a)  # the other may be changed, and given back
        b[:] = [sum(b)] if b else []
        return b

    def get_result(self, accumulator: list[Any]) -> Any:
        return accumulator[0] if accumulator else None


class Longest(ps.AggregateFunction[str, str | None, str | None]):
    """The greatest text; its accumulator may be None."""

    returns = "string"

    def create_accumulator(self) -> str | None:
        return None

    def add(self, value: str, accumulator: str | None) -> str | None:
        return value if accumulator is None else max(accumulator, value, key=str.encode)

    def merge(self, a: str | None, b: str | None) -> str | None:
        return a if b is None else self.add(b, a)

    def get_result(self, accumulator: str | None) -> str | None:
        return accumulator


class Both(ps.AggregateFunction[tuple[int, float], int, int]):
    """How many records have both a whole and a half."""

    returns = "int64"

    def create_accumulator(self) -> int:
        return 0

    def add(self, value: tuple[int, float], accumulator: int) -> int:
        whole, half = value
        assert (type(whole), type(half)) == (int, float)
        return accumulator + 1

    def merge(self, a: int, b: int) -> int:
        return a + b

    def get_result(self, accumulator: int) -> int:
        return accumulator


class BatchTotal(ps.BatchAggregateFunction):
    """The sum, null of nothing."""

    def __init__(self, returns: str) -> None:
        self.returns = returns
        self.accumulators = {"total": returns, "n": "int64"}

    def add_batch(self, state: Any, groups: Any, *columns: Any) -> None:
        assert len(state["n"]) == groups.max() + 1
        np.add.at(state["total"], groups, columns[0])
        state["n"] = state["n"] + np.bincount(groups)

    def merge_batch(self, state: Any, other: Any) -> None:
        for name in self.accumulators:
            state[name] += other[name]

    def get_results(self, state: Any) -> Any:
        return np.ma.masked_array(state["total"], state["n"] == 0)


class BatchGreatest(ps.BatchAggregateFunction):
    """The maximum, from an initial value that is not zero."""

    returns = "float64"
    accumulators = {"most": "float64"}  # noqa: RUF012

    def create_accumulator(self) -> dict[str, object]:
        return {"most": -np.inf}

    def add_batch(self, state: Any, groups: Any, *columns: Any) -> None:
        np.maximum.at(state["most"], groups, columns[0])

    def merge_batch(self, state: Any, other: Any) -> None:
        np.maximum(state["most"], other["most"], out=state["most"])

    def get_results(self, state: Any) -> Any:
        return np.ma.masked_array(state["most"], np.isneginf(state["most"]))


def _where(kind: str, name: str) -> tuple[Any, ...]:
    return (kind, POSITIONS[name], FLAG)


AGGREGATES: Aggregates = {
    "total_whole": (("sum", POSITIONS["whole"]), Total("int64")(col("whole"))),
    "total_half": (("sum", POSITIONS["half"]), Total("float64")(col("half"))),
    "native": (("sum", POSITIONS["half"]), col("half").sum()),
    "longest": (("max", POSITIONS["name"]), Longest()(col("name"))),
    "batch_whole": (("sum", POSITIONS["whole"]), BatchTotal("int64")(col("whole"))),
    "batch_half": (("sum", POSITIONS["half"]), BatchTotal("float64")(col("half"))),
    "greatest": (("max", POSITIONS["half"]), BatchGreatest()(col("half") * 1)),
    "total_where": (_where("sum", "whole"), Total("int64")(col("whole"), where=col("flag"))),
    "batch_where": (_where("sum", "half"), BatchTotal("float64")(col("half"), where=col("flag"))),
}


class Returning(ps.AggregateFunction[Any, int, Any]):
    """Counts, and shows what it is told to."""

    def __init__(self, returns: str, result: Callable[[int], Any]) -> None:
        self.returns = returns
        self.result = result

    def create_accumulator(self) -> int:
        return 0

    def add(self, value: Any, accumulator: int) -> int:
        return accumulator + 1

    def merge(self, a: int, b: int) -> int:
        return a + b

    def get_result(self, accumulator: int) -> Any:
        return self.result(accumulator)


class Broken(BatchTotal):
    """A sum whose methods may be replaced."""

    def __init__(self, **methods: Callable[..., Any]) -> None:
        super().__init__("int64")
        self.__dict__.update(methods)
