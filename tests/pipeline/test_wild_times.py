"""Event times that no clock shows, in topics: they end no job, and the rows around them arrive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pytest

import pystream as ps
from pystream import col, errors

NOW = 1_700_000_040_000  # the start of a minute
MINUTE = 60_000
MILLION_YEARS = 31_556_952 * 10**9  # milliseconds: more than int64 microseconds hold
ENDS = {-1: -(2**63) + 1, 1: 2**63 - 1}  # of record timestamps; numpy has NaT before
FIVE_SECONDS = ps.WatermarkStrategy.for_bounded_out_of_orderness("5s", timestamp="ts")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ps.Log]:
    with ps.open(tmp_path / "log") as opened:
        opened.create_topic("clicks", schema={"user": "string", "ts": "timestamp[ms]"})
        yield opened


def click(log: ps.Log, *times: int | None) -> None:
    with log.producer(acks="published") as producer:
        for ts in times:
            producer.send("clicks", {"user": "ann", "ts": ts}).result()


def minutes(env: ps.Environment) -> None:
    """Count clicks by minute; results and late clicks go to topics of their own."""
    late = ps.OutputTag("late")
    clicks = env.from_topic("clicks", watermark=FIVE_SECONDS)
    windows = clicks.key_by("user").window(ps.tumbling("1m")).side_output_late_data(late)
    totals = windows.aggregate(n=ps.count())
    totals.sink_to_topic("totals")
    totals.side_output(late).sink_to_topic("late")


def rows(log: ps.Log, topic: str, time: str) -> list[tuple[int, int]]:
    """Return time and record timestamp of each row of a topic."""
    stream = ps.Environment(log).from_topic(topic, timestamp_column="stamp", bounded=True)
    table = stream.select(time, "stamp").to_arrow()
    columns = (table[name].cast(pa.int64()).to_pylist() for name in (time, "stamp"))
    return list(zip(*columns, strict=True))


def minute(start: int) -> tuple[int, int]:
    return start, (start + MINUTE) * 1000 - 1000


# -- topic sinks -------------------------------------------------------------------------------


MINUTES = [minute(NOW + k * MINUTE) for k in (0, 2, 4)]


@pytest.mark.parametrize(
    ("wild", "totals", "late"),
    [
        (NOW - MILLION_YEARS, MINUTES, [(NOW - MILLION_YEARS, ENDS[-1]), (NOW, NOW * 1000)]),
        (NOW + MILLION_YEARS, [*MINUTES, (NOW + MILLION_YEARS, ENDS[1])], [(NOW, NOW * 1000)]),
    ],
)
@pytest.mark.filterwarnings("ignore:.*too far ahead:RuntimeWarning")
def test_wild_time_gets_the_nearest_record_timestamp_and_all_else_arrives(
    log: ps.Log, wild: int, totals: list[tuple[int, int]], late: list[tuple[int, int]]
) -> None:
    click(log, NOW, wild, NOW + 1000, NOW + 2 * MINUTE, NOW, NOW + 4 * MINUTE)
    env = ps.Environment(log)
    minutes(env)
    result = env.execute(until="latest")
    assert (rows(log, "totals", "window_start"), rows(log, "late", "ts")) == (totals, late)
    assert result.late_records == len(late)


@pytest.mark.parametrize("direction", [-1, 1])
@pytest.mark.filterwarnings("ignore:.*too far ahead:RuntimeWarning")
def test_followed_job_goes_on_behind_a_wild_time_and_so_does_the_next(
    log: ps.Log, direction: int
) -> None:
    click(log, NOW, NOW + 1000)
    for begin in (NOW, NOW + 10 * MINUTE):  # the second job meets what the first one met, too
        env = ps.Environment(log)
        minutes(env)
        env.from_topic("clicks", watermark=FIVE_SECONDS).sink_to_topic("copy")
        with env.execute_async() as job:
            click(log, NOW + direction * MILLION_YEARS, begin + 2 * MINUTE, begin + 4 * MINUTE)
            wanted = {
                ("totals", minute(begin + 2 * MINUTE)[1]),
                ("copy", ENDS[direction]),
                ("copy", (begin + 4 * MINUTE) * 1000),
            }
            wanted |= {("late", ENDS[-1])} if direction < 0 else set()
            with log.consumer("totals", "late", "copy", auto_offset_reset="earliest") as results:
                while wanted:
                    polled = results.poll("20s")
                    assert polled, wanted
                    for records in polled.values():
                        wanted -= {(record.topic, record.timestamp) for record in records}
            assert job.is_running
            job.cancel()


def test_columns_keep_the_wild_time_and_the_sink_of_a_source_goes_on(log: ps.Log) -> None:
    times = [NOW, NOW - MILLION_YEARS, NOW + MILLION_YEARS, 2**63 - 1, -(2**63), NOW + 1]
    click(log, *times)
    env = ps.Environment(log)
    env.from_topic("clicks", watermark=FIVE_SECONDS).sink_to_topic("copy")
    with pytest.warns(RuntimeWarning, match="too far ahead"):
        env.execute(until="latest")
    stamps = [NOW * 1000, ENDS[-1], ENDS[1], ENDS[1], ENDS[-1], (NOW + 1) * 1000]
    assert rows(log, "copy", "ts") == list(zip(times, stamps, strict=True))


def test_record_timestamps_at_the_ends_are_read_and_found(log: ps.Log) -> None:
    click(log, NOW - MILLION_YEARS, NOW, NOW + MILLION_YEARS)
    env = ps.Environment(log)
    env.from_topic("clicks", watermark=FIVE_SECONDS.with_max_ahead(None)).sink_to_topic("copy")
    env.execute(until="latest")
    stamps = [ENDS[-1], NOW * 1000, ENDS[1]]
    with log.consumer("copy", auto_offset_reset="earliest") as consumer:
        (records,) = consumer.poll("20s").values()
        assert [record.timestamp for record in records] == stamps
        partition = ps.TopicPartition("copy", 0)
        for offset, stamp in enumerate(stamps[1:], 1):
            after = consumer.offsets_for_times({partition: np.datetime64(stamp, "us")})
            assert after == {partition: ps.OffsetAndTimestamp(offset, stamp)}


# -- null event times --------------------------------------------------------------------------


def test_null_in_a_topic_is_an_error_of_what_needs_it_that_says_where_it_is(log: ps.Log) -> None:
    click(log, NOW, None, NOW + 1)
    clicks = ps.Environment(log).from_topic("clicks", watermark=FIVE_SECONDS, bounded=True)
    counts = clicks.window_all(ps.tumbling("1m")).aggregate(n=ps.count())
    words = r"clicks-0 at offset 1 is null: column 'ts'. Filter such records out behind the source"
    with pytest.raises(errors.OperatorError, match=words):
        counts.to_arrow()
    env = ps.Environment(log)
    env.from_topic("clicks", watermark=FIVE_SECONDS).sink_to_topic("copy")
    with pytest.raises(errors.OperatorError, match=words):
        env.execute(until="latest")


@pytest.mark.parametrize("mode", ["replay", "perfect"])
def test_filter_behind_the_source_removes_null_event_times(
    log: ps.Log, mode: Literal["replay", "perfect"]
) -> None:
    late = ps.OutputTag("late")
    click(log, NOW, None, NOW + 2 * MINUTE, None, NOW, NOW + 4 * MINUTE)
    env = ps.Environment(log)
    clicks = env.from_topic("clicks", watermark=FIVE_SECONDS)
    timed = clicks.filter(col("user") == "ann").select("ts").filter(col("ts").is_not_null())
    windows = timed.window_all(ps.tumbling("1m")).side_output_late_data(late)
    counts = windows.aggregate(n=ps.count())
    counts.sink_to_topic("totals")
    counts.side_output(late).sink_to_topic("late")
    timed.sink_to_topic("copy")
    result = env.execute(until="latest", mode=mode)
    assert rows(log, "totals", "window_start") == MINUTES
    assert len(rows(log, "late", "ts")) == result.late_records == (mode == "replay")
    assert [ts for ts, _ in rows(log, "copy", "ts")] == [NOW + k * MINUTE for k in (0, 2, 0, 4)]


def test_null_event_time_that_no_filter_removes_is_an_error_of_the_window(log: ps.Log) -> None:
    click(log, NOW, None)
    clicks = ps.Environment(log).from_topic("clicks", watermark=FIVE_SECONDS, bounded=True)
    anns = clicks.filter(col("user") == "ann")
    for window in (ps.tumbling("1m"), ps.session("1m")):
        with pytest.raises(
            errors.OperatorError, match=r"event time is null: column 'ts'.* Filter such"
        ):
            anns.window_all(window).aggregate(n=ps.count()).to_arrow()


def test_null_event_time_is_read_where_nothing_needs_it(log: ps.Log) -> None:
    click(log, None, NOW, None)
    clicks = ps.Environment(log).from_topic("clicks", watermark=FIVE_SECONDS, bounded=True)
    assert clicks.to_arrow()["ts"].null_count == 2
    counted = clicks.window_all(ps.count_window(3)).aggregate(n=ps.count(), last=col("ts").count())
    with pytest.raises(errors.OperatorError, match="offset 0 is null: column 'ts'"):
        counted.to_arrow()  # which shows the bounds of its windows
    by_clock = ps.WatermarkStrategy.for_processing_time()
    clicks = ps.Environment(log).from_topic("clicks", watermark=by_clock, bounded=True)
    counted = clicks.window_all(ps.count_window(3)).aggregate(n=ps.count())
    assert counted.to_arrow()["n"].to_pylist() == [3]


def wholes(stream: ps.Stream) -> ps.Stream:
    """Count by minute, of all rows that have a time."""
    timed = stream.filter(col("ts").is_not_null())
    return timed.window_all(ps.tumbling("1m")).aggregate(n=ps.count())


def test_null_moves_no_watermark_however_the_batches_are_cut(log: ps.Log) -> None:
    third, fifth = NOW + 2 * MINUTE, NOW + 4 * MINUTE
    times = [None, third, None, NOW, fifth, third, None]  # NOW and the second third are late
    click(log, *times)
    table = pa.table({"user": ["ann"] * 7, "ts": pa.array(times, pa.timestamp("ms"))})
    log.create_topic("tables", schema={"user": "string", "ts": "timestamp[ms]"})
    with log.producer(acks="published") as producer:
        producer.send_batch("tables", table, partition=0)
    env = ps.Environment(log)
    history = env.from_arrow(table.slice(0, 3))
    source = ps.HybridSource(history, env.from_topic("clicks", bounded=True, start=[3]))
    streams = [
        *(env.from_topic(t, watermark=FIVE_SECONDS, bounded=True) for t in ("clicks", "tables")),
        env.from_arrow(table, watermark=FIVE_SECONDS),
        env.from_arrow([table.slice(k, 1) for k in range(7)], watermark=FIVE_SECONDS),
        env.from_source(source, watermark=FIVE_SECONDS),
        env.from_topic(
            "clicks",
            watermark=ps.WatermarkStrategy.for_punctuated(col("ts") - "5s", timestamp="ts"),
            bounded=True,
        ),
    ]
    for stream in streams:
        assert wholes(stream).to_arrow()["n"].to_pylist() == [1, 1]
    b = env.from_topic("tables", watermark=FIVE_SECONDS, bounded=True)
    # The union has no watermark before the second topic begins.
    assert wholes(streams[0].union(b)).to_arrow()["n"].to_pylist() == [1, 3, 2]


def test_topic_of_nulls_alone_closes_nothing(log: ps.Log) -> None:
    click(log, None, None)
    clicks = ps.Environment(log).from_topic("clicks", watermark=FIVE_SECONDS, bounded=True)
    assert wholes(clicks).to_arrow().num_rows == 0
