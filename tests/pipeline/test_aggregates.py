"""Aggregates as users see them that pick a value, count distinct ones or describe them."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import pystream as ps
from pystream import col, errors


def windows(columns: dict[str, Any], window: Any = None) -> ps.WindowedStream:
    """Return windows of 10 ms, without keys, over columns of which ``ts`` is the event time."""
    table = pa.table({"ts": pa.array(columns["ts"], pa.int64()), **columns})
    strategy = ps.WatermarkStrategy.for_bounded_out_of_orderness("1s", timestamp="ts")
    stream = ps.Environment().from_arrow(table, watermark=strategy)
    return stream.window_all(window or ps.tumbling("10ms"))


def one(columns: dict[str, Any], **aggregates: Any) -> list[Any]:
    """Return the aggregates of the only window."""
    (row,) = windows(columns).aggregate(**aggregates).to_arrow().to_pylist()
    return [row[name] for name in aggregates]


def test_first_and_last_go_by_event_time_and_not_by_arrival() -> None:
    visits = {"ts": [5, 1, 9, 3], "url": ["/b", "/a", "/d", "/c"]}
    assert one(visits, entry=col("url").first(), exit=col("url").last()) == ["/a", "/d"]


def test_of_equal_event_times_first_takes_the_earliest_arrival_and_last_the_latest() -> None:
    ties = {"ts": [5, 5, 5], "n": [1, 2, 3]}
    assert one(ties, first=col("n").first(), last=col("n").last()) == [1, 3]


def test_of_equal_extremes_the_earliest_arrival_is_taken() -> None:
    ties = {"ts": [9, 5, 1], "n": [1, 2, 3], "by": [7, 7, 7]}
    assert one(ties, least=col("n").arg_min("by"), most=col("n").arg_max("by")) == [1, 1]


def test_ties_across_batches_partitions_and_threads_go_by_append_order(tmp_path: Any) -> None:
    schema = {"ts": "int64", "n": "int64"}
    with ps.open(tmp_path / "log") as log:
        log.create_topic("in", schema=schema, partitions=2)
        with log.producer(acks="published") as producer:
            for n, partition in enumerate([1, 0, 0, 1, 0]):
                producer.send_batch("in", {"ts": [5], "n": [n]}, partition=partition)
        for parallelism in (1, 2):
            strategy = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
            stream = ps.Environment(log, parallelism=parallelism).from_topic(
                "in", watermark=strategy, bounded=True
            )
            totals = stream.window_all(ps.tumbling("10ms")).aggregate(
                first=col("n").first(), last=col("n").last(), most=col("n").arg_max(col("ts") % 2)
            )
            (row,) = totals.to_arrow().to_pylist()
            assert (row["first"], row["last"], row["most"]) == (0, 4, 0)


def test_ties_behind_a_python_stage_go_by_its_order() -> None:
    strategy = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
    tables = [pa.table({"ts": [5, 5], "n": [2 * i, 2 * i + 1]}) for i in range(20)]
    stream = ps.Environment().from_arrow(tables, watermark=strategy)
    passed = stream.map_batches(lambda batch: batch, schema={"ts": "int64", "n": "int64"})
    totals = passed.window_all(ps.tumbling("10ms")).aggregate(
        first=col("n").first(), last=col("n").last()
    )
    (row,) = totals.to_arrow().to_pylist()
    assert (row["first"], row["last"]) == (0, 39)


def test_picked_values_skip_nulls() -> None:
    rows = {"ts": [1, 2, 3, 4], "n": pa.array([None, 2, 3, None]), "by": pa.array([0, 7, None, 9])}
    picked = {
        "first": col("n").first(),
        "last": col("n").last(),
        "least": col("n").arg_min("by"),
        "most": col("n").arg_max("by"),
    }
    assert one(rows, **picked) == [2, 3, 2, 2]
    nothing = {"ts": [1], "n": pa.array([None], pa.int64()), "by": [1]}
    assert one(nothing, **picked) == [None] * 4


def test_nan_decides_only_when_there_is_nothing_else() -> None:
    extremes = {"least": col("n").arg_min("by"), "most": col("n").arg_max("by")}
    rows = {"ts": [1, 2, 3], "n": [1, 2, 3], "by": [math.nan, math.inf, -math.inf]}
    assert one(rows, **extremes) == [3, 2]
    assert one({"ts": [1, 2], "n": [1, 2], "by": [math.nan] * 2}, **extremes) == [1, 1]


def test_both_zeros_are_equal_when_they_decide() -> None:
    rows = {"ts": [1, 2], "n": [1, 2], "by": [0.0, -0.0]}
    assert one(rows, least=col("n").arg_min("by"), most=col("n").arg_max("by")) == [1, 1]


@pytest.mark.parametrize(
    ("values", "type"),
    [
        ([True, False, None], pa.bool_()),
        ([-(2**7), 2**7 - 1, None], pa.int8()),
        ([-(2**31), 2**31 - 1, None], pa.int32()),
        ([2**64 - 1, 2**63, None], pa.uint64()),
        ([-0.0, 1.5, None], pa.float32()),
        ([-0.0, math.inf, None], pa.float64()),
        ([Decimal("-9.99"), Decimal("9.99"), None], pa.decimal128(38, 2)),
        (["ä" * 50, "", None], pa.string()),
        ([b"\xff", b"\x00", None], pa.binary()),
        (["x", "y", None], pa.dictionary(pa.int32(), pa.string())),
        ([1, -1, None], pa.timestamp("ns", "UTC")),
        ([1, -1, None], pa.duration("ms")),
        ([1, -1, None], pa.date32()),
    ],
)
def test_values_of_every_type_are_picked_as_they_are(values: list[Any], type: Any) -> None:
    rows = {"ts": [1, 2, 3], "v": pa.array(values, type), "by": [2, 1, 0]}
    table = windows(rows).aggregate(
        first=col("v").first(), last=col("v").last(), most=col("v").arg_max("by")
    )
    for name, wanted in (("first", values[0]), ("last", values[1]), ("most", values[0])):
        column = table.to_arrow()[name]
        assert column.type == (pa.string() if pa.types.is_dictionary(type) else type)
        assert column.to_pylist() == pa.array([wanted], column.type).to_pylist()
        assert str(column.to_pylist()) == str(pa.array([wanted], column.type).to_pylist())  # -0.0


@pytest.mark.parametrize(
    ("by", "type"),
    [
        ([False, True], pa.bool_()),
        ([-1, 1], pa.int8()),
        ([1, 2**64 - 1], pa.uint64()),
        ([-1.5, math.inf], pa.float32()),
        ([Decimal("-9.99"), Decimal("9.98")], pa.decimal128(38, 2)),
        ([-1, 1], pa.date32()),
        ([-1, 1], pa.timestamp("s")),
    ],
)
def test_every_ordered_type_decides(by: list[Any], type: Any) -> None:
    for order in (1, -1):
        rows = {"ts": [1, 2], "n": ["low", "high"][::order], "by": pa.array(by[::order], type)}
        picked = one(rows, least=col("n").arg_min("by"), most=col("n").arg_max("by"))
        assert picked == ["low", "high"]


def test_text_does_not_decide() -> None:
    with pytest.raises(
        errors.SchemaError, match=r"arg_max does not order by column 'name' of type"
    ):
        windows({"ts": [1], "name": ["a"]}).aggregate(bad=col("ts").arg_max("name"))
    with pytest.raises(errors.ConfigError, match="by=3 is neither a column nor an expression"):
        col("n").arg_min(3)  # type: ignore[arg-type]
    with pytest.raises(errors.SchemaError, match="'nmae'"):
        windows({"ts": [1], "name": ["a"]}).aggregate(bad=col("ts").arg_max("nmae"))


def test_condition_holds_for_what_decides_as_well() -> None:
    rows = {"ts": [1, 2, 3], "n": [1, 2, 3], "d": [0, 2, 1]}
    picked = one(rows, most=col("n").arg_max(10 // col("d"), where=col("d") > 0))
    assert picked == [3]


def test_explain_shows_what_decides() -> None:
    rows = {"ts": [1], "n": [1], "d": [0]}
    text = windows(rows).aggregate(most=col("n").arg_max(col("d") * 2)).explain()
    assert 'most=col("n").arg_max(col("d") * 2)' in text


def test_distinct_values_are_counted_once_nulls_not_at_all() -> None:
    rows = {
        "ts": [1, 2, 3, 4],
        "user": ["ann", "bob", None, "ann"],
        "paid": [True, True, True, False],
    }
    user = col("user")
    counts = {
        "users": user.count_distinct(),
        "payers": user.count_distinct(where=col("paid") & (col("ts") > 1)),
        "about": user.approx_count_distinct(),
    }
    assert one(rows, **counts) == [2, 1, 2]
    assert (
        one({"ts": [1], "user": pa.array([None], pa.string()), "paid": [True]}, **counts) == [0] * 3
    )


def test_distinct_values_are_those_that_would_be_distinct_keys() -> None:
    nan = math.nan
    rows = {"ts": [0] * 6, "v": [nan, -nan, 0.0, -0.0, math.inf, 1.0]}
    assert one(rows, n=col("v").count_distinct(), about=col("v").approx_count_distinct()) == [4, 4]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([True, False, None, True]),
        pa.array([1, 2, None, 1], pa.int8()),
        pa.array([1, 2**63, None, 1], pa.uint64()),
        pa.array([Decimal("1.10"), Decimal("1.11"), None, Decimal("1.10")]),
        pa.array([b"", b"a", None, b""]),
        pa.array(["x" * 100, "x" * 101, None, "x" * 100]).dictionary_encode(),
        pa.array([1, 2, None, 1], pa.timestamp("ns")),
        pa.array([1, 2, None, 1], pa.date32()),
        pa.array([1, 2, None, 1], pa.duration("s")),
    ],
    ids=lambda values: str(values.type),
)
def test_distinct_values_of_every_type_are_counted(values: Any) -> None:
    rows = {"ts": [0] * 4, "v": values}
    assert one(rows, n=col("v").count_distinct(), about=col("v").approx_count_distinct()) == [2, 2]


def many(values: list[pa.Array], window: Any, parallelism: int, tmp_path: Any) -> pa.Table:
    """Return exact and approximate counts of values over two partitions, a batch per array."""
    with ps.open(tmp_path / f"log-{parallelism}") as log:
        schema = {"ts": "int64", "v": str(values[0].type)}
        log.create_topic("in", schema=schema, partitions=2)
        with log.producer(acks="published") as producer:
            for i, part in enumerate(values):
                times = pa.array([i] * len(part), pa.int64())
                producer.send_batch("in", pa.table({"ts": times, "v": part}), partition=i % 2)
        strategy = ps.WatermarkStrategy.for_bounded_out_of_orderness("1s", timestamp="ts")
        stream = ps.Environment(log, parallelism=parallelism).from_topic(
            "in", watermark=strategy, bounded=True
        )
        v = col("v")
        return (
            stream.window_all(window)
            .aggregate(n=v.count_distinct(), about=v.approx_count_distinct())
            .to_arrow()
        )


@pytest.mark.parametrize("total", [100, 2_000, 3_000, 20_000, 200_000])
def test_estimates_of_distinct_values_are_within_their_error(total: int, tmp_path: Any) -> None:
    numbers = np.random.default_rng(total).permutation(total)
    parts = [pa.array(part) for part in np.array_split(np.concatenate([numbers, numbers]), 7)]
    (row,) = many(parts, ps.tumbling("1s"), 2, tmp_path).to_pylist()
    assert row["n"] == total
    assert abs(row["about"] - total) <= (2 if total <= 2_048 else 4 * 0.0081 * total)


@pytest.mark.parametrize("total", [10_000, 50_000])
@pytest.mark.parametrize("form", ["{}", "{:07d}", "k{}", "user-{:09d}"])
def test_estimates_of_texts_are_within_their_error(form: str, total: int) -> None:
    """Texts of which few bits differ are hashed as well as others."""
    firsts = [10**power * digit for power in range(4, 7) for digit in (1, 3)]
    errors = []
    for first in (0, *firsts):
        texts = pa.array([form.format(number) for number in range(first, first + total)])
        (about,) = one({"ts": [0] * total, "v": texts}, about=col("v").approx_count_distinct())
        errors.append(about / total - 1)
    assert max(map(abs, errors)) <= 4 * 0.0081
    assert np.sqrt(np.mean(np.square(errors))) <= 2 * 0.0081


def test_estimates_do_not_depend_on_cuts_threads_or_slices(tmp_path: Any) -> None:
    numbers = np.random.default_rng(1).integers(0, 9_000, 12_000)
    few = [pa.array(part) for part in np.array_split(numbers, 4)]
    (wanted,) = many(few, ps.tumbling("1s"), 1, tmp_path / "a").to_pylist()
    for threads in (1, 2):
        parts = [pa.array(part) for part in np.array_split(numbers, 100)]
        # The last of the growing windows holds all, merged from ten slices.
        table = many(parts, ps.cumulate("100ms", "10ms"), threads, tmp_path / "b").to_pylist()
        assert (table[-1]["n"], table[-1]["about"]) == (wanted["n"], wanted["about"])
        assert len(table) == 10


def test_dictionaries_and_plain_text_are_the_same_values() -> None:
    texts = pa.array([f"user-{i % 5_000}" for i in range(10_000)])
    about = {"about": col("v").approx_count_distinct()}
    plain = one({"ts": [0] * len(texts), "v": texts}, **about)
    assert one({"ts": [0] * len(texts), "v": texts.dictionary_encode()}, **about) == plain


def quantiles(values: Any, qs: tuple[float, ...], error: float = 0.01) -> list[Any]:
    rows = {"ts": [0] * len(values), "v": values}
    return one(rows, **{f"q{q}": col("v").approx_quantile(q, error) for q in qs})


def test_quantiles_of_latencies_are_within_one_percent() -> None:
    latencies = pa.array(range(1, 1001))
    median, most = quantiles(latencies, (0.5, 0.99))
    assert median == pytest.approx(500, rel=0.01)
    assert most == pytest.approx(990, rel=0.01)


def test_quantiles_know_negative_values_zero_and_infinities() -> None:
    inf = math.inf
    values = pa.array([inf, -inf, -2.0, 0.0, -0.0, 2.0, None, math.nan])
    found = quantiles(values, (0, 0.2, 0.4, 0.6, 0.8, 1), 0.0001)
    assert found == pytest.approx([-inf, -2, 0, 0, 2, inf], rel=0.0001)
    assert quantiles(pa.array([None], pa.float64()), (0.5,)) == [None]
    assert math.isnan(quantiles(pa.array([None, math.nan]), (0.5,))[0])


@pytest.mark.parametrize("error", [0.0001, 0.01, 0.5])
def test_quantiles_keep_their_error_over_the_whole_range_of_float64(error: float) -> None:
    generator = np.random.default_rng(7)
    sizes = np.exp(generator.uniform(math.log(2.3e-308), math.log(1.7e308), 300))
    values = np.sort(
        np.concatenate([sizes, -sizes, [1.7976931348623157e308, 2.2250738585072014e-308]])
    )
    qs = tuple(np.linspace(0, 1, 90))
    wanted = [values[math.floor(q * (len(values) - 1))] for q in qs]
    for found, exact in zip(quantiles(pa.array(values), qs, error), wanted, strict=True):
        assert abs(found - exact) <= error * (1 + 1e-9) * abs(exact)
    assert quantiles(pa.array([5e-324, -5e-324]), (0, 1)) == [0, 0]  # nearer than a normal number


@pytest.mark.parametrize(
    ("type", "values"),
    [
        (pa.int8(), [-100, 3, 100]),
        (pa.uint64(), [0, 7, 2**64 - 1]),
        (pa.float32(), [-1.5, 0.25, 8.0]),
        (pa.decimal128(20, 3), [Decimal("-1.500"), Decimal("0.001"), Decimal("12345.678")]),
    ],
)
def test_quantiles_take_every_numeric_type(type: Any, values: list[Any]) -> None:
    found = quantiles(pa.array(values, type), (0, 0.5, 1), 0.001)
    assert found == pytest.approx([float(value) for value in values], rel=0.0011)


def test_quantiles_refuse_what_they_do_not_take() -> None:
    with pytest.raises(errors.SchemaError, match="approx_quantile does not take column 'name'"):
        windows({"ts": [1], "name": ["a"]}).aggregate(bad=col("name").approx_quantile(0.5))
    for quantile in (-0.1, 1.1, math.nan, True, "0.5"):
        with pytest.raises(errors.ConfigError, match="quantile="):
            col("n").approx_quantile(quantile)  # type: ignore[arg-type]
    for error in (0, 0.6):
        with pytest.raises(errors.ConfigError, match="relative_error="):
            col("n").approx_quantile(0.5, error)


ALL_KINDS = [
    (pa.bool_(), [True, False, True]),
    (pa.int8(), [-100, 3, 100]),
    (pa.int64(), [-(2**63), 0, 2**63 - 1]),
    (pa.uint64(), [0, 7, 2**64 - 1]),
    (pa.float32(), [-1.5, 0.25, 8.0]),
    (pa.float64(), [math.inf, -math.inf, 0.5]),
    (pa.decimal128(20, 3), [Decimal("-1.500"), Decimal("0.001"), Decimal("12345.678")]),
    (pa.string(), ["b", "", "\u00e9"]),
    (pa.binary(), [b"\xff", b"", b"\x00"]),
    (pa.date32(), [datetime.date(1969, 1, 1), datetime.date(2020, 2, 29), datetime.date(1, 1, 1)]),
    (pa.timestamp("ms"), [datetime.datetime(1969, 1, 1), datetime.datetime(2020, 2, 29)]),
    (pa.duration("s"), [datetime.timedelta(-1), datetime.timedelta(5), datetime.timedelta(0)]),
    (pa.dictionary(pa.int32(), pa.string()), ["x", "y", "x"]),
]


@pytest.mark.parametrize(("type", "values"), ALL_KINDS, ids=str)
def test_lists_hold_every_type(type: pa.DataType, values: list[Any]) -> None:
    array = pa.array([None, *values, None], getattr(type, "value_type", type))
    array = array.dictionary_encode() if pa.types.is_dictionary(type) else array
    result = windows({"ts": range(len(array)), "v": array}).aggregate(
        all=col("v").collect_list(), top=col("v").top_k(2), bottom=col("v").bottom_k(9)
    )
    element = getattr(type, "value_type", type)
    assert [result.to_arrow().schema.field(n).type for n in ("all", "top", "bottom")] == [
        pa.list_(element)
    ] * 3
    (row,) = result.select("all", "top", "bottom").to_arrow().to_pylist()
    assert row["all"] == values
    assert row["top"] == sorted(values, reverse=True)[:2]
    assert row["bottom"] == sorted(values)


def test_collected_values_go_by_event_time_and_then_by_arrival() -> None:
    visits = {"ts": [5, 1, 9, 1, 5], "url": ["/c", "/a", "/e", "/b", None]}
    assert one(visits, path=col("url").collect_list()) == [["/a", "/b", "/c", "/e"]]
    assert one(visits, path=col("url").collect_list(where=col("ts") < 5)) == [["/a", "/b"]]


def test_collected_values_keep_their_bits_and_top_k_shows_numbers_before_nan() -> None:
    values = {"ts": [1, 2, 3, 4], "v": [-0.0, math.nan, 2.0, -1.0]}
    (kept,) = one(values, v=col("v").collect_list())
    assert [str(value) for value in kept] == ["-0.0", "nan", "2.0", "-1.0"]
    top, bottom = one(values, top=col("v").top_k(4), bottom=col("v").bottom_k(4))
    assert [str(value) for value in top] == ["2.0", "0.0", "-1.0", "nan"]
    assert [str(value) for value in bottom] == ["-1.0", "0.0", "2.0", "nan"]
    assert one(values, top=col("v").top_k(2), one=col("v").top_k(1)) == [[2.0, 0.0], [2.0]]


def test_lists_of_nothing_are_empty_and_quantiles_of_nothing_null() -> None:
    none = {"ts": [1], "v": pa.array([None], pa.float64())}
    result = windows(none).aggregate(
        all=col("v").collect_list(), top=col("v").top_k(2), several=col("v").approx_quantiles([0.5])
    )
    (row,) = result.to_arrow().to_pylist()
    assert (row["all"], row["top"], row["several"]) == ([], [], None)
    assert not result.to_arrow().schema.field("top").nullable


def test_several_quantiles_are_those_that_single_ones_are() -> None:
    values = {"ts": [1] * 1000, "v": [float(n) for n in range(1, 1001)]}
    wanted = (0.99, 0, 0.5, 1)
    several, *single = one(
        values,
        several=col("v").approx_quantiles(wanted),
        **{f"q{q}": col("v").approx_quantile(q) for q in wanted},
    )
    assert several == single


def test_lists_refuse_what_they_do_not_take() -> None:
    for k in (0, -1, 65_537, True, 2.0, "3"):
        with pytest.raises(errors.ConfigError, match="k="):
            col("n").top_k(k)  # type: ignore[arg-type]
    for wanted in ([], [1.5], "0.5", 0.5, [0.5] * 1001):
        with pytest.raises(errors.ConfigError, match="quantile"):
            col("n").approx_quantiles(wanted)  # type: ignore[arg-type]
    lists = {"ts": [1], "l": [[1]]}
    for bad in (col("l").collect_list(), col("l").top_k(1), col("l").approx_quantiles([0.5])):
        with pytest.raises(
            errors.SchemaError, match="does not take column 'l' of type list<int64>"
        ):
            windows(lists).aggregate(bad=bad)
    with pytest.raises(errors.SchemaError, match="approx_quantiles does not take column 'name'"):
        windows({"ts": [1], "name": ["a"]}).aggregate(bad=col("name").approx_quantiles([0.5]))
