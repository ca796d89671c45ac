"""Python functions in watermarks, where the core calls them, and in the gap of sessions."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

import pystream as ps
from pystream.errors import OperatorError, SchemaError
from pystream.pipeline.aggregates import count
from pystream.pipeline.environment import Environment
from pystream.pipeline.expressions import col
from pystream.pipeline.stream import OutputTag
from pystream.pipeline.udf import udf
from pystream.pipeline.watermarks import WatermarkStrategy
from pystream.pipeline.windows import session, tumbling


@udf(returns="int64")
def twice(n: Any) -> Any:
    return n * 2


def late_and_counts(watermark: WatermarkStrategy, table: pa.Table) -> tuple[list[int], list[int]]:
    late = OutputTag("late")
    rows = Environment().from_arrow(table, watermark=watermark)
    result = rows.window_all(tumbling("2s")).side_output_late_data(late).aggregate(n=count())
    behind = result.side_output(late).to_arrow()["ts"].cast(pa.int64()).to_pylist()
    return behind, result.to_arrow()["n"].to_pylist()


MARKED = pa.table(
    {
        "ts": pa.array([5, 1, 7, 9, 3, 8], pa.timestamp("s")),
        "slack": pa.array([4, 1, None, 1, 0, 2], pa.int64()),
    }
)


@pytest.mark.parametrize("kind", ["numpy", "arrow"])
def test_a_watermark_may_be_what_a_function_gives(kind: Any) -> None:
    @udf(returns="int64", kind=kind)
    def seconds(slack: Any) -> Any:
        return slack if kind == "arrow" else slack * 1

    given = seconds(col("slack")) * timedelta(seconds=1)
    native = col("slack") * timedelta(seconds=1)
    found = [
        late_and_counts(
            WatermarkStrategy.for_punctuated(col("ts") - what.cast("duration[s]"), timestamp="ts"),
            MARKED,
        )
        for what in (given, native)
    ]
    assert found[0] == found[1]
    assert found[0][0]  # something is late


def test_a_watermark_of_a_topic_may_be_what_a_function_gives(tmp_path: Any) -> None:
    log = ps.open(tmp_path)
    log.create_topic("marks", {"ts": "timestamp[s]", "slack": "int64"}, partitions=2)
    with log.producer() as producer:
        for partition in (0, 1):
            producer.send_batch("marks", MARKED, partition=partition)

    @udf(returns="timestamp[s]")
    def until(ts: Any, slack: Any) -> Any:
        return ts - slack.astype("timedelta64[s]")

    late = OutputTag("late")
    found = []
    native = col("ts") - (col("slack") * timedelta(seconds=1)).cast("duration[s]")
    for mark in (until(col("ts"), col("slack")), native):
        strategy = WatermarkStrategy.for_punctuated(mark, timestamp="ts")
        for threads in (1, 2):
            env = Environment(log, parallelism=threads)
            rows = env.from_topic("marks", watermark=strategy, bounded=True)
            windows = rows.window_all(tumbling("2s")).side_output_late_data(late)
            result = windows.aggregate(n=count())
            found.append((result.side_output(late).to_arrow()["ts"].to_pylist(), result.to_arrow()))
        assert rows.explain().endswith("[python]" if mark is not native else "[native]")
    log.close()
    assert found[0][0]
    assert all(each == found[0] for each in found)


def test_a_function_that_fails_in_a_watermark_is_the_cause() -> None:
    @udf(returns="timestamp[s]")
    def broken(ts: Any) -> Any:
        raise ValueError("no")

    strategy = WatermarkStrategy.for_punctuated(broken(col("ts")), timestamp="ts")
    with pytest.raises(
        OperatorError, match="udf broken failed on a batch of 6 rows: ValueError: no"
    ) as caught:
        late_and_counts(strategy, MARKED)
    assert isinstance(caught.value.__cause__, ValueError)

    @udf(returns="timestamp[s]")
    def short(ts: Any) -> Any:
        return ts[1:]

    strategy = WatermarkStrategy.for_punctuated(short(col("ts")), timestamp="ts")
    with pytest.raises(
        SchemaError, match="udf short returned an array of 5 values, but got 6 rows"
    ):
        late_and_counts(strategy, MARKED)

    @udf(returns="timestamp[s]")
    def stopped(ts: Any) -> Any:
        raise KeyboardInterrupt

    strategy = WatermarkStrategy.for_punctuated(stopped(col("ts")), timestamp="ts")
    with pytest.raises(KeyboardInterrupt):
        late_and_counts(strategy, MARKED)


def test_types_of_a_function_in_a_watermark_are_told_when_the_chain_is_built() -> None:
    strategy = WatermarkStrategy.for_punctuated(twice(col("slack")), timestamp="ts")
    with pytest.raises(SchemaError, match=r"the watermark twice\(.*\) is of type int64, but"):
        Environment().from_arrow(MARKED, watermark=strategy)


def test_a_gap_may_be_what_a_function_gives() -> None:
    table = pa.table(
        {
            "ts": pa.array([0, 3, 10, 11, 30], pa.timestamp("s")),
            "n": pa.array([4, 1, 5, 1, 2], pa.int64()),
        }
    )

    @udf(returns="int64")
    def gap(n: Any) -> Any:
        return n + 1

    late = OutputTag("late")
    monotonous = WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
    rows = Environment().from_arrow(table, watermark=monotonous)
    found = []
    for what in (gap(col("n") - 1) + 1, col("n") + 1):
        windows = rows.window_all(session(what)).side_output_late_data(late)
        result = windows.aggregate(n=count(), most=twice(col("n")).max())
        assert result.side_output(late).to_arrow().column_names == ["ts", "n"]
        found.append(result.to_arrow().to_pylist())
    assert found[0] == found[1]
    assert [row["n"] for row in found[0]] == [2, 2, 1]
    shouted = udf(returns="string")(lambda n: n.astype(str))
    with pytest.raises(SchemaError, match=r"the gap of sessions is <lambda>\(.*of type string"):
        rows.window_all(session(shouted(col("n"))))
