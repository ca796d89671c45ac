"""``where=`` of every aggregate against the oracle: what it leaves out is as if it had not come.

But it has: a row that does not count makes its key and window appear.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple, get_args

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pystream as ps
from pystream import col
from pystream.plan.nodes import AggregateFunction
from tests.oracle.windows import Record, in_key_order, rows, run

SIZE, SLIDE, DELAY = 20, 10, 15
ERROR = 0.01  # relative, of quantiles
COLUMNS = {
    "whole": (pa.int64(), st.none() | st.integers(-9, 9)),
    "half": (pa.float64(), st.none() | st.integers(-99, 99).map(lambda n: n / 2)),
    "name": (pa.string(), st.none() | st.sampled_from(["", "x", "y", "xy", "\u00e9"])),
    "answer": (pa.bool_(), st.none() | st.booleans()),
    "chosen": (pa.bool_(), st.none() | st.booleans()),
}
WHOLE, HALF, NAME, ANSWER, CHOSEN = range(len(COLUMNS))
CHOOSE = col("chosen")


class Total(ps.AggregateFunction):
    returns = "int64"

    def create_accumulator(self) -> Any:
        return None

    def add(self, value: Any, accumulator: Any) -> Any:
        return value + (accumulator or 0)

    def merge(self, a: Any, b: Any) -> Any:
        return a + b

    def get_result(self, accumulator: Any) -> Any:
        return accumulator


class BatchTotal(ps.BatchAggregateFunction):
    returns = "int64"
    accumulators = {"total": "int64", "n": "int64"}  # noqa: RUF012  as users write it

    def add_batch(self, state: Any, groups: Any, *arguments: Any) -> None:
        (values,) = arguments
        np.add.at(state["total"], groups, values)
        state["n"] += np.bincount(groups)

    def merge_batch(self, state: Any, other: Any) -> None:
        state["total"] += other["total"]
        state["n"] += other["n"]

    def get_results(self, state: Any) -> Any:
        return np.ma.masked_where(state["n"] == 0, state["total"])


class Checked(NamedTuple):
    """An aggregate as the oracle and the pipeline have it, and whether a result is right."""

    parts: tuple[Any, ...]
    aggregation: Any
    is_right: Callable[[Any, Any], bool] = lambda found, wanted: found == wanted


def close(found: Any, wanted: Any) -> bool:
    if found is None or wanted is None:
        return found is wanted
    return math.isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-9)


def within(found: Any, wanted: Any) -> bool:
    if found is None or wanted is None:
        return found is wanted
    return abs(found - wanted) <= ERROR * abs(wanted)


def simple(function: str, column: str, is_right: Any = Checked._field_defaults["is_right"]) -> Any:
    position = list(COLUMNS).index(column)
    aggregation = getattr(col(column), function)(where=CHOOSE)
    return Checked((function, position, CHOSEN), aggregation, is_right)


WITH_WHERE = {
    "count_all": Checked(("count_all", None, CHOSEN), ps.count(where=CHOOSE)),
    **{name: simple(name, "whole") for name in ("count", "sum", "mean", "count_distinct")},
    **{name: simple(name, "name") for name in ("min", "max", "first", "last", "collect_list")},
    **{name: simple(name, "answer") for name in ("any", "all")},
    **{
        name: simple(name, "half", close)
        for name in ("var_samp", "var_pop", "stddev_samp", "stddev_pop")
    },
    # Which is exact for so few.
    "approx_count_distinct": Checked(
        ("count_distinct", NAME, CHOSEN), col("name").approx_count_distinct(where=CHOOSE)
    ),
    "approx_quantile": Checked(
        ("quantile", HALF, CHOSEN, None, 0.5),
        col("half").approx_quantile(0.5, ERROR, where=CHOOSE),
        within,
    ),
    "approx_quantiles": Checked(
        ("quantile", HALF, CHOSEN, None, 0.9),
        col("half").approx_quantiles([0.9], ERROR, where=CHOOSE),
        lambda found, wanted: within(None if found is None else found[0], wanted),
    ),
    **{
        name: Checked((name, NAME, CHOSEN, HALF), getattr(col("name"), name)("half", where=CHOOSE))
        for name in ("arg_min", "arg_max")
    },
    **{
        name: Checked(
            (name, WHOLE, CHOSEN, None, None, 2), getattr(col("whole"), name)(2, where=CHOOSE)
        )
        for name in ("top_k", "bottom_k")
    },
    "user": Checked(("sum", WHOLE, CHOSEN), Total()(col("whole"), where=CHOOSE)),
    "user, by batch": Checked(("sum", WHOLE, CHOSEN), BatchTotal()(col("whole"), where=CHOOSE)),
}


def test_every_aggregate_is_here() -> None:
    assert {*WITH_WHERE} == {*get_args(AggregateFunction), "user", "user, by batch"}


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[Record], list[pa.Table]]:
    """Return records, and the same in batches."""
    clock, records = draw(st.integers(-50, 50)), []
    for _ in range(draw(st.integers(1, 25))):
        clock += draw(st.integers(0, 8))
        key = draw(st.sampled_from(["a", "b", None]))
        values = tuple(draw(kind) for _, kind in COLUMNS.values())
        records.append(Record(clock - draw(st.integers(0, 20)), (key,), values))
    table = pa.table(
        {
            "ts": pa.array([record.timestamp for record in records], pa.int64()),
            "key": pa.array([record.key[0] for record in records], pa.string()),
            **{
                name: pa.array([record.values[position] for record in records], kind)
                for position, (name, (kind, _)) in enumerate(COLUMNS.items())
            },
        }
    )
    cuts = sorted(draw(st.sets(st.integers(0, len(records)), max_size=4)) | {0, len(records)})
    return records, [table.slice(a, b - a) for a, b in itertools.pairwise(cuts)]


@pytest.mark.parametrize("name", WITH_WHERE)
@given(stream=streams())
@settings(max_examples=25)
def test_it_agrees_with_the_oracle(name: str, stream: tuple[list[Record], list[pa.Table]]) -> None:
    records, tables = stream
    checked = WITH_WHERE[name]
    result = run(records, size=SIZE, slide=SLIDE, out_of_orderness=DELAY)
    result.panes = in_key_order(result.panes, records)
    wanted = rows(result, records, [checked.parts])
    watermark = ps.WatermarkStrategy.for_bounded_out_of_orderness(f"{DELAY}ms", timestamp="ts")
    for parallelism in (1, 2):
        env = ps.Environment(parallelism=parallelism)
        windows = env.from_arrow(tables, watermark=watermark).key_by("key")
        windowed = windows.window(ps.hopping(f"{SIZE}ms", f"{SLIDE}ms"))
        table = windowed.aggregate(it=checked.aggregation).to_arrow().to_pylist()
        found = [tuple(row.values()) for row in table]
        assert [row[:-1] for row in found] == [row[:-1] for row in wanted]
        for one, other in zip(found, wanted, strict=True):
            assert checked.is_right(one[-1], other[-1]), (one, other)


@given(stream=streams())
@settings(max_examples=25)
def test_all_at_once_are_those_alone(stream: tuple[list[Record], list[pa.Table]]) -> None:
    watermark = ps.WatermarkStrategy.for_bounded_out_of_orderness(f"{DELAY}ms", timestamp="ts")

    def results(**aggregations: Any) -> pa.Table:
        source = ps.Environment().from_arrow(stream[1], watermark=watermark)
        return source.key_by("key").window(ps.session("9ms")).aggregate(**aggregations).to_arrow()

    together = results(**{name: checked.aggregation for name, checked in WITH_WHERE.items()})
    for name, checked in WITH_WHERE.items():
        assert results(it=checked.aggregation)["it"].equals(together[name]), name
