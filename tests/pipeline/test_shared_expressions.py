"""Expressions whose parts are in several places: each part is compiled and computed once.

Walked as trees these would take longer than anybody waits: that the tests end is what they show.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import pystream as ps
from pystream import col, errors

DOUBLINGS = 60


def doubled(start: Any, times: int = DOUBLINGS) -> Any:
    for _ in range(times):
        start = start + start
    return start


def stream(**columns: Any) -> ps.Stream:
    return ps.Environment().from_arrow(pa.table(columns))


def test_a_part_that_is_in_itself_again_and_again_is_computed_once() -> None:
    result = stream(n=[1, 3, None]).select(n=doubled(col("n"))).to_arrow()
    assert result["n"].to_pylist() == [2**DOUBLINGS, 3 * 2**DOUBLINGS, None]


def test_casts_functions_and_comparisons_share_their_parts() -> None:
    value = col("n").cast("float64")
    for _ in range(DOUBLINGS):
        value = (abs(value) + value) / 2
        value = ps.when(value > 0).then(value).otherwise(value - 1)
    assert stream(n=[1, 2]).select(n=value).to_arrow()["n"].to_pylist() == [1.0, 2.0]


def test_filters_windows_and_watermarks_share_their_parts() -> None:
    is_small = col("n") < 3
    for _ in range(DOUBLINGS):
        is_small = is_small & is_small
    table = pa.table({"n": pa.array([1, 2, 3, 4], pa.int64())})
    mark = col("n")
    for _ in range(DOUBLINGS):
        mark = ps.greatest(mark, mark)
    watermark = ps.WatermarkStrategy.for_punctuated(mark, timestamp="n")
    rows = ps.Environment().from_arrow(table, watermark=watermark).filter(is_small)
    windows = rows.window_all(ps.tumbling("10ms"))
    result = windows.aggregate(total=doubled(col("n"), 50).sum(), n=ps.count(where=is_small))
    (row,) = result.to_arrow().to_pylist()
    assert (row["total"], row["n"]) == (3 * 2**50, 2)


def test_a_python_function_in_a_shared_part_runs_once() -> None:
    calls = []

    @ps.udf(returns="int64")
    def seen(values: Any) -> Any:
        calls.append(len(values))
        return values

    result = stream(n=[1, 2]).select(n=doubled(seen(doubled(col("n"), 20)), 20))
    assert result.to_arrow()["n"].to_pylist() == [2**40, 2**41]
    assert calls == [2]


def test_a_shared_part_of_a_choice_is_computed_in_its_rows_alone() -> None:
    share = 12 // col("n")
    value = ps.when(col("n") != 0).then(share + share).otherwise(col("n"))
    assert stream(n=[3, 0, 4]).select(v=value).to_arrow()["v"].to_pylist() == [8, 0, 6]
    with pytest.raises(errors.OperatorError, match="row 1"):
        stream(n=[3, 0, 4]).select(v=share + share + value).to_arrow()


def test_a_choice_reads_the_columns_of_what_is_shared_with_its_other_parts() -> None:
    # The part is in the argument before it, too, and so is known before the choice is.
    part = col("n") + 1
    value = ps.when(col("n") < 2).then(part).otherwise(part * 10)
    assert stream(n=[1, 2, None]).select(v=value).to_arrow()["v"].to_pylist() == [2, 30, None]
    either = ps.coalesce((col("n") + 1).null_if(2), part, part * 10)
    assert stream(n=[1, 2, 3]).select(v=either).to_arrow()["v"].to_pylist() == [2, 3, 4]


def choices(value: Any, kind: str) -> Any:
    if kind == "one condition":
        return ps.when(value > 50).then(value - 1).otherwise(value + 1)
    if kind == "several conditions":
        is_rare = ps.when(col("n") < 3).then(value)
        return is_rare.when(value > 50).then(value - 1).otherwise(value + 1)
    return ps.coalesce(col("n").null_if(7), (value - 1).null_if(8), value, value + 1)


def chosen(start: int, value: int, kind: str) -> int:
    if kind == "one condition":
        return value - 1 if value > 50 else value + 1
    if kind == "several conditions":
        return value if start < 3 else value - 1 if value > 50 else value + 1
    if start != 7:
        return start
    return value - 1 if value - 1 != 8 else value


@pytest.mark.parametrize("kind", ["one condition", "several conditions", "coalesce"])
def test_choices_within_choices_compute_what_they_share_once(kind: str) -> None:
    starts = list(range(200))
    expression, expected = col("n"), list(starts)
    for _ in range(DOUBLINGS):
        expression = choices(expression, kind)
        pairs = zip(starts, expected, strict=True)
        expected = [chosen(start, value, kind) for start, value in pairs]
    assert stream(n=starts).select(v=expression).to_arrow()["v"].to_pylist() == expected


def test_an_error_in_choices_within_choices_names_the_row_of_the_batch() -> None:
    share = 12 // col("d")
    inner = ps.when(col("n") > 6).then(share).when(col("n") > 4).then(share + share).otherwise(0)
    outer = ps.when(col("n") % 2 == 0).then(0).when(col("n") > 1).then(inner).otherwise(1)
    numbers = list(range(10))
    divisors = [0, 0, 0, 0, 0, 3, 0, 2, 0, 4]
    values = stream(n=numbers, d=divisors).select(v=outer).to_arrow()["v"].to_pylist()
    assert values == [0, 1, 0, 0, 0, 8, 0, 6, 0, 3]
    divisors[7] = 0
    with pytest.raises(errors.OperatorError, match="row 7"):
        stream(n=numbers, d=divisors).select(v=outer).to_arrow()


def test_the_depth_of_an_expression_counts_parts_that_are_shared() -> None:
    value = col("n")
    for _ in range(550):
        value = value + (value + 1)
    with pytest.raises(errors.SchemaError, match="nested"):
        stream(n=[1]).select(v=value)


def test_texts_of_such_expressions_end() -> None:
    value = doubled(col("n"))
    assert str(value).endswith("...)")
    assert len(str(value)) < 10_000
    assert len(stream(n=[1]).select(v=value).explain()) < 10_000
    with pytest.raises(errors.SchemaError, match="string") as caught:
        stream(s=["a"]).select(v=doubled(col("s").length()) + col("s")).to_arrow()
    assert len(str(caught.value)) < 20_000


def test_texts_that_are_not_long_are_whole() -> None:
    value = doubled(col("n"), 6)
    assert str(value).count("n") == 64
    assert "..." not in str(value)
    many = col("n").isin(list(range(250)))
    assert str(many).endswith("248, 249])")


@pytest.mark.parametrize("parallelism", [1, 2])
def test_threads_do_not_see_each_others_parts(tmp_path: Path, parallelism: int) -> None:
    with ps.open(tmp_path / "log") as log:
        log.create_topic("numbers", schema={"n": "int64"}, partitions=4)
        with log.producer() as producer:
            for partition in range(4):
                for start in range(0, 4000, 1000):
                    numbers = np.arange(start, start + 1000) + partition * 10_000
                    producer.send_batch("numbers", {"n": numbers}, partition=partition)
        env = ps.Environment(log, parallelism=parallelism)
        rows = env.from_topic("numbers", bounded=True).select("n", many=doubled(col("n"), 10))
        table = rows.to_arrow()
        assert table.num_rows == 16_000
        assert (table["many"].to_numpy() == table["n"].to_numpy() * 1024).all()
