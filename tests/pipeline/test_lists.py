"""Columns of lists in pipelines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import pystream as ps
from pystream import Stream, col
from pystream.errors import NotSupportedError, SchemaError

TABLE = pa.table(
    {
        "ts": pa.array([1, 2, 3, 4], pa.int64()),
        "tags": [["a", None], None, [], ["b", "c"]],
        "n": [[1, 2], [3], None, []],
    }
)


def stream(table: pa.Table = TABLE) -> Stream:
    watermark = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
    return ps.Environment().from_arrow(table, watermark=watermark)


def test_lists_pass_through_filter_select_and_new_columns() -> None:
    kept = stream().filter(col("ts") != 2).select("tags", numbers=col("n"))
    assert kept.to_arrow().to_pylist() == [
        {"tags": ["a", None], "numbers": [1, 2]},
        {"tags": [], "numbers": None},
        {"tags": ["b", "c"], "numbers": []},
    ]
    wider = stream().with_columns(again=col("tags"), none=col("n").is_null())
    assert wider.to_arrow()["again"].to_pylist() == TABLE["tags"].to_pylist()
    assert wider.to_arrow()["none"].to_pylist() == [False, False, True, False]
    assert stream().filter(col("tags").is_not_null()).to_arrow().num_rows == 3


def test_lists_pass_through_windows_as_late_rows_and_are_counted() -> None:
    late = ps.OutputTag("late")
    table = pa.table({"ts": [5, 25, 6], "l": [[1], [2], [3, None]]})
    windows = stream(table).window_all(ps.tumbling("10ms")).side_output_late_data(late)
    counts = windows.aggregate(n=col("l").count())
    assert counts.to_arrow()["n"].to_pylist() == [1, 1]
    assert counts.side_output(late).to_arrow()["l"].to_pylist() == [[3, None]]


def test_map_batches_takes_and_gives_lists() -> None:
    def doubled(batch: ps.RecordBatch) -> dict[str, Any]:
        rows = np.empty(batch.num_rows, object)
        rows[:] = [None if row is None else row * 2 for row in batch["n"].to_numpy()]
        return {"ts": batch["ts"].to_numpy(), "n": rows}

    result = stream().map_batches(doubled, schema={"ts": "int64", "n": "list<int64>"})
    assert result.to_arrow()["n"].to_pylist() == [[2, 4], [6], None, []]
    same = stream().map_batches(lambda batch: batch.to_arrow())
    assert same.to_arrow().to_pylist() == TABLE.to_pylist()


def test_python_functions_take_and_give_lists() -> None:
    @ps.udf(returns="int64")
    def total(lists: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.array([row.sum() for row in lists], "int64")

    @ps.udf(returns="list<string>", kind="arrow")
    def first(tags: pa.Array) -> pa.Array:
        return pa.array([None if row is None else row[:1] for row in tags.to_pylist()])

    result = stream().select(total=total(col("n")), first=first(col("tags"))).to_arrow()
    assert result["total"].to_pylist() == [3, 3, None, 0]
    assert result["first"].to_pylist() == [["a"], None, [], ["b"]]


@pytest.mark.parametrize(
    "build",
    [
        lambda: stream().filter(col("tags") == col("tags")),
        lambda: stream().select(x=col("tags") + "a"),
        lambda: stream().select(x=col("tags").hash()),
        lambda: stream().select(x=col("tags").cast("string")),
        lambda: stream().select(x=col("tags").length()),
        lambda: stream().select(x=ps.coalesce(col("tags"), col("tags"))),
        lambda: stream().select(x=ps.when(col("ts") > 1).then(col("tags"))),
        lambda: stream().select(x=col("tags").isin(["a"])),
        lambda: stream().window_all(ps.tumbling("1s")).aggregate(x=col("tags").min()),
        lambda: stream().window_all(ps.tumbling("1s")).aggregate(x=col("tags").sum()),
        lambda: stream().window_all(ps.tumbling("1s")).aggregate(x=col("tags").last()),
        lambda: stream().window_all(ps.tumbling("1s")).aggregate(x=col("tags").count_distinct()),
        lambda: stream().window_all(ps.tumbling("1s")).aggregate(x=col("ts").arg_min("tags")),
        lambda: stream().key_by("tags"),
    ],
)
def test_other_uses_are_refused_when_the_chain_is_built(build: Callable[[], object]) -> None:
    with pytest.raises(SchemaError, match=r"tags.* list<string>") as caught:
        build()
    assert caught.value.column == "tags"


def test_topics_refuse_lists_when_the_chain_is_built(tmp_path: Any) -> None:
    with ps.open(tmp_path / "log") as log:
        with pytest.raises(NotSupportedError, match=r"column 'l' is list<int64>.* topic") as caught:
            log.create_topic("a", {"n": "int64", "l": "list<int64>"})
        assert caught.value.column == "l"
        log.create_topic("b", {"n": "int64"})
        with pytest.raises(NotSupportedError, match="column 'l' is list<int64>"):
            log.alter_topic("b", add_columns={"l": "list<int64>"})
        lists = ps.Environment(log).from_arrow(pa.table({"l": [[1]]}))
        for topic in ("new", "b"):
            with pytest.raises(NotSupportedError, match="column 'l' is list<int64>"):
                lists.sink_to_topic(topic)
        assert log.topics() == ["b"]
