"""Event times that no clock shows, in topics: they end no job, and the rows around them arrive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import pystream as ps

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


def click(log: ps.Log, *times: int) -> None:
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
