"""Several streams as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import pystream as ps
from pystream import col, errors

pytestmark = pytest.mark.usefixtures("also_restored")

MONOTONOUS = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts").with_max_ahead(None)
SCHEMA = {"ts": "int64", "id": "int64"}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ps.Log]:
    with ps.open(tmp_path / "log") as opened:
        yield opened


def table(*times: int, first: int = 0) -> dict[str, np.ndarray]:
    return {"ts": np.array(times, "int64"), "id": np.arange(first, first + len(times))}


def send(log: ps.Log, topic: str, *times: int) -> None:
    if topic not in log.topics():
        log.create_topic(topic, schema=SCHEMA)
    with log.producer(acks="published") as producer:
        producer.send_batch(topic, table(*times))


def counted(stream: ps.Stream) -> ps.Stream:
    return stream.window_all(ps.tumbling("10ms")).aggregate(n=ps.count())


def test_a_window_over_two_topics_waits_for_the_later_one(log: ps.Log) -> None:
    send(log, "web", 5, 25)  # alone this would close [0, 10)
    send(log, "shop", 7)
    send(log, "web", 8)  # late in its own topic, but not for the union
    send(log, "shop", 30)
    send(log, "shop", 9)
    env = ps.Environment(log)
    web = env.from_topic("web", watermark=MONOTONOUS, bounded=True)
    shop = env.from_topic("shop", watermark=MONOTONOUS, bounded=True)
    late = ps.OutputTag("late")
    windows = web.union(shop).window_all(ps.tumbling("10ms")).side_output_late_data(late)
    totals = windows.aggregate(n=ps.count())
    # 8 comes at min(24, 6); after it web has ended, and 30 moves the watermark to 29.
    assert totals.to_arrow()["n"].to_pylist() == [3, 1, 1]
    assert totals.side_output(late).to_arrow()["ts"].to_pylist() == [9]


def test_topics_are_read_in_the_order_of_appends(log: ps.Log) -> None:
    for topic, time in (("a", 1), ("b", 2), ("a", 3), ("a", 0), ("b", 4)):
        send(log, topic, time)
    env = ps.Environment(log, parallelism=2)
    a, b = (env.from_topic(topic, bounded=True) for topic in "ab")
    assert b.union(a).to_arrow()["ts"].to_pylist() == [1, 2, 3, 0, 4]


def test_a_table_comes_before_a_topic_and_then_holds_nothing_back(log: ps.Log) -> None:
    send(log, "live", 35, 41)
    env = ps.Environment(log)
    past = env.from_arrow(table(1, 12), watermark=MONOTONOUS)
    live = env.from_topic("live", watermark=MONOTONOUS)
    assert live.union(past).to_arrow()["ts"].to_pylist() == [1, 12, 35, 41]
    counted(live.union(past)).sink_to_topic("counts")
    ends: list[int] = []
    with (
        env.execute_async() as job,
        log.consumer("counts", auto_offset_reset="earliest") as consumer,
    ):  # 41 moves the watermark of the topic to 40
        for batch in consumer.batches(timeout="20s"):
            ends += batch.to_arrow()["window_end"].to_pylist()
            if len(ends) == 3:
                break
    assert ends == [10, 20, 40]
    assert not job.is_running


def test_a_hybrid_source_takes_part_with_both_of_its_parts(log: ps.Log) -> None:
    send(log, "live", 25)
    send(log, "other", 3)
    env = ps.Environment(log)
    source = ps.HybridSource(env.from_arrow(table(4, 20)), env.from_topic("live"))
    hybrid = env.from_source(source, watermark=MONOTONOUS)
    other = env.from_topic("other", watermark=MONOTONOUS)
    assert other.union(hybrid).to_arrow()["ts"].to_pylist() == [4, 20, 25, 3]
    assert counted(other.union(hybrid)).to_arrow()["n"].to_pylist() == [2, 2]


def test_nothing_is_late_in_perfect_mode(log: ps.Log) -> None:
    send(log, "a", 50, 1)
    send(log, "b", 60, 2)
    env = ps.Environment(log)
    a, b = (env.from_topic(topic, watermark=MONOTONOUS) for topic in "ab")
    counted(a.union(b)).sink_to_topic("counts")
    assert env.execute(until="latest", mode="perfect").late_records == 0
    assert env.from_topic("counts", bounded=True).to_arrow()["n"].to_pylist() == [2, 1, 1]


@pytest.mark.parametrize("parallelism", [1, 2])
def test_python_functions_keep_the_order(parallelism: int) -> None:
    @ps.udf(returns="int64")
    def negative(values: np.ndarray) -> np.ndarray:
        return -values

    env = ps.Environment(parallelism=parallelism)
    numbers = env.from_arrow([table(1, 2, first=1), table(3, first=3)], watermark=MONOTONOUS)
    by_udf = numbers.select("ts", id=negative(col("id")))
    assert numbers.union(by_udf).to_arrow()["id"].to_pylist() == [1, -1, 2, -2, 3, -3]
    results = counted(numbers).select(ts=col("window_end"), id=col("n"))
    assert by_udf.union(results).to_arrow()["id"].to_pylist() == [-1, -2, -3, 3]


@pytest.mark.parametrize("parallelism", [1, 2])
def test_a_trigger_of_ones_own_keeps_the_order(parallelism: int) -> None:
    class Each(ps.Trigger):
        def on_element(self, *_: object) -> ps.TriggerResult:
            return ps.TriggerResult.FIRE

    late = ps.OutputTag("late")
    env = ps.Environment(parallelism=parallelism)
    numbers = env.from_arrow([table(5, 5, 25), table(1, 25, first=3)], watermark=MONOTONOUS)
    windows = numbers.window_all(ps.tumbling("10ms")).trigger(Each()).side_output_late_data(late)
    totals = windows.aggregate(id=col("id").sum())
    results = totals.select(ts=col("window_start"), id=col("id") * 10)
    union = numbers.union(results, totals.side_output(late).select("ts", id=-col("id")))
    # Each result stands right behind the record that fired it, a late record where it stands.
    assert union.to_arrow()["id"].to_pylist() == [0, 0, 1, 10, 2, 20, 3, -3, 4, 60]


@pytest.mark.parametrize("on_idle", ["hold", "advance"])
def test_windows_below_see_the_watermark_of_the_union_before(log: ps.Log, on_idle: str) -> None:
    """Also where time could move it tick by tick, and does not, as nothing is idle."""
    for time in (0, 10, 100, 115):
        send(log, "a", time)
        send(log, "b", time)
    env = ps.Environment(log)
    delay = ps.WatermarkStrategy.for_bounded_out_of_orderness("20ms", timestamp="ts")
    watermark = delay.with_max_ahead(None).with_idleness("1h", on_idle=on_idle)  # type: ignore[arg-type]
    a, b = (env.from_topic(topic, watermark=watermark, bounded=True) for topic in "ab")
    sessions = counted(a.union(b)).window_all(ps.session("10ms")).aggregate(n=ps.count())
    # 100 fires both before it at the watermark before, and the end of the input the other two.
    assert sessions.to_arrow().select(["window_start", "n"]).to_pylist() == [
        {"window_start": 9, "n": 2},
        {"window_start": 109, "n": 2},
    ]


def test_a_union_of_unions_is_one() -> None:
    env = ps.Environment()
    a, b, c = (env.from_arrow(table(n, first=n)) for n in range(3))
    union = a.union(b).filter(col("id") >= 0).union(c.union(a))
    assert union.to_arrow()["id"].to_pylist() == [0, 0, 1, 2]
    assert a.union(b).union(c).explain().splitlines()[0] == "4: union(3 streams)  [native]"


def test_a_stream_without_watermark_leaves_the_union_without_event_time() -> None:
    env = ps.Environment()
    a = env.from_arrow(table(5, 25, 6), watermark=MONOTONOUS)
    b = env.from_arrow(table(7))
    union = a.union(b)
    with pytest.raises(errors.StreamError, match="needs event time"):
        counted(union)
    assert union.to_arrow()["ts"].to_pylist() == [5, 25, 6, 7]


def test_metrics_count_what_goes_through(tmp_path: Path) -> None:
    env = ps.Environment()
    a, b = (env.from_arrow(table(1, 2), watermark=MONOTONOUS) for _ in range(2))
    a.union(b, a.filter(col("id") > 0)).sink_to_parquet(tmp_path / "out.parquet")
    union = next(o for o in env.execute().operators if o.kind == "union")
    assert (union.num_records_in, union.num_records_out) == (5, 5)


def test_streams_of_other_columns_are_refused_with_the_difference() -> None:
    env = ps.Environment()
    a = env.from_arrow(table(1))
    with pytest.raises(errors.SchemaError, match="'id' int64 here, 'id' float64 there"):
        a.union(a.with_columns(id=col("id").cast("float64")))
    with pytest.raises(errors.SchemaError, match="'ts' int64 here, 'id' int64 there"):
        a.union(a.select("id", "ts"))
    with pytest.raises(errors.SchemaError, match="'id' int64 here, nothing there"):
        a.union(a.select("ts"))


@pytest.mark.parametrize(
    ("others", "message"),
    [
        (lambda: (), "no stream"),
        (lambda: (pa.table({"ts": [1]}),), "is not a stream"),
        (lambda: (ps.Environment().from_arrow(table(1)),), "another environment"),
    ],
)
def test_what_is_no_stream_of_this_job_is_refused(
    others: Callable[[], tuple[ps.Stream, ...]], message: str
) -> None:
    with pytest.raises(errors.ConfigError, match=message):
        ps.Environment().from_arrow(table(1)).union(*others())
