"""The unit of an int64 event time: where it counts besides the sizes of windows, and its errors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pytest

import pystream as ps
from pystream import col, errors
from pystream._native import _core
from tests.oracle.event_times import TICK_NS

Unit = Literal["s", "ms", "us", "ns"]
UNITS: list[Any] = list(TICK_NS)
YEAR_10000 = 253_402_300_800  # seconds; nanoseconds end before
YEAR_2262 = 9_214_646_400
HOUR_NS = 3_600 * 10**9


def by(unit: Unit | None = None) -> ps.WatermarkStrategy:
    return ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts", unit=unit)


def stream(times: Any, strategy: ps.WatermarkStrategy) -> ps.Stream:
    return ps.Environment().from_arrow({"ts": np.array(times)}, watermark=strategy)


def counted(stream: ps.Stream, window: Any) -> list[tuple[Any, ...]]:
    table = stream.window_all(window).aggregate(n=ps.count()).to_arrow()
    return [tuple(row.values()) for row in table.to_pylist()]


def test_seconds_are_counted_in_windows_of_minutes() -> None:
    assert counted(stream([0, 59, 60, 30], by("s")), ps.tumbling("1m")) == [
        (0, 60, 2),
        (60, 120, 1),
    ]
    # The same numbers are milliseconds without it.
    assert counted(stream([0, 59, 60, 30], by()), ps.tumbling("1m")) == [(0, 60_000, 4)]


@pytest.mark.parametrize("unit", UNITS)
def test_every_strategy_takes_it(unit: Unit) -> None:
    minute = 60 * 10**9 // TICK_NS[unit]
    times = [minute - 1, minute + 1, 2 * minute, minute - 1]
    strategies = [
        (by(unit), 1),
        (
            ps.WatermarkStrategy.for_bounded_out_of_orderness("2m", timestamp="ts", unit=unit),
            2,
        ),
        (ps.WatermarkStrategy.for_punctuated(col("ts") - 1, timestamp="ts", unit=unit), 1),
        (ps.WatermarkStrategy.for_punctuated("ts", timestamp="ts", unit=unit), 1),
    ]
    for strategy, first in strategies:
        found = counted(stream(times, strategy), ps.tumbling("1m"))
        assert found == [(0, minute, first), (minute, 2 * minute, 1), (2 * minute, 3 * minute, 1)]


def test_a_window_over_a_window_counts_in_it_too() -> None:
    minutes = stream(range(0, 7200, 10), by("s")).window_all(ps.tumbling("1m"))
    hours = minutes.aggregate(n=ps.count()).window_all(ps.tumbling("1h"))
    table = hours.aggregate(n=col("n").sum()).to_arrow()
    assert table.to_pylist() == [
        {"window_start": 0, "window_end": 3600, "n": 360},
        {"window_start": 3600, "window_end": 7200, "n": 360},
    ]


def test_a_gap_of_durations_counts_in_it_too() -> None:
    gaps = pa.table(
        {"ts": pa.array([0, 4, 30], pa.int64()), "gap": pa.array([5, 9, 1], pa.duration("s"))}
    )

    def sessions(early: int) -> list[tuple[Any, ...]]:
        visits = ps.Environment().from_arrow(gaps, watermark=by("s"))
        windows = visits.window_all(ps.session(col("gap")))
        windows = windows.early(count=early) if early else windows
        table = windows.aggregate(n=ps.count()).to_arrow()
        return [tuple(row.values()) for row in table.to_pylist()]

    for early in (0, 9):  # with a trigger it is another operator
        assert sessions(early) == [(0, 13, 2), (30, 31, 1)]


def test_early_panes_and_allowed_lateness_count_in_it_too() -> None:
    windows = stream([1, 25, 61, 3], by("s")).window_all(ps.tumbling("1m"))
    table = windows.early("10s").allowed_lateness("5s").aggregate(n=ps.count()).to_arrow()
    # Timers at 10 to 50 and the close; the 3 is late, and fires at once; timers at 70 to 110.
    assert table["n"].to_pylist() == [2, 2, 2, 2, 2, 2, 3, 1, 1, 1, 1, 1, 1]


@pytest.mark.filterwarnings("ignore:.*too far ahead:RuntimeWarning")
@pytest.mark.parametrize("unit", UNITS)
def test_the_end_of_the_calendar_is_that_of_a_timestamp(unit: Unit) -> None:
    end = (YEAR_2262 if unit == "ns" else YEAR_10000) * (10**9 // TICK_NS[unit])
    for wild, is_ahead in ((end - 1, False), (end, True)):
        times = [0, wild, 1]
        typed = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
        for source in (
            stream(times, by(unit)),
            stream(np.array(times, f"datetime64[{unit}]"), typed),
        ):
            counts = source.window_all(ps.tumbling("2s")).aggregate(n=ps.count()).to_arrow()["n"]
            # Else the second record closes the window of the third.
            assert counts.to_pylist() == ([2, 1] if is_ahead else [1, 1])


@pytest.mark.parametrize("unit", UNITS)
def test_a_time_whose_window_does_not_fit_is_refused_as_of_a_timestamp(unit: Unit) -> None:
    for ticks in (-(2**63), 2**63 - 1):
        with pytest.raises(errors.OperatorError, match=f"event time {ticks} in column 'ts', row 0"):
            counted(stream([ticks], by(unit)), ps.tumbling("10s"))


# -- topics ------------------------------------------------------------------------------------


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ps.Log]:
    with ps.open(tmp_path / "log") as opened:
        yield opened


def fill(log: ps.Log, topic: str, *times: int, kind: str = "int64") -> None:
    log.create_topic(topic, {"ts": kind}, exist_ok=True)
    with log.producer(acks="published") as producer:
        for ts in times:
            producer.send(topic, {"ts": ts}).result()


@pytest.mark.filterwarnings("ignore:.*too far ahead:RuntimeWarning")
@pytest.mark.parametrize("unit", UNITS)
def test_how_far_ahead_of_its_append_a_record_is_counts_in_it(log: ps.Log, unit: Unit) -> None:
    now, hour = time.time_ns() // TICK_NS[unit], HOUR_NS // TICK_NS[unit]
    fill(log, "hours", now, now + 23 * hour, now, now + 25 * hour, now)

    def ahead(strategy: ps.WatermarkStrategy) -> tuple[int, int]:
        env = ps.Environment(log)
        windows = env.from_topic("hours", watermark=strategy).window_all(ps.tumbling("1m"))
        windows.aggregate(n=ps.count()).sink_to_topic(f"to-{time.monotonic_ns()}")
        result = env.execute(until="latest")
        return result.operators[0].num_ahead_records, result.late_records

    assert ahead(by(unit)) == (1, 2)
    assert ahead(by(unit).with_max_ahead("2h")) == (2, 0)
    assert ahead(by(unit).with_max_ahead("30h")) == (0, 2)


def test_the_watermark_that_goes_on_while_all_is_idle_counts_in_it(tmp_path: Path) -> None:
    clock = _core.ManualClock(0)
    log = _core.Log.open(str(tmp_path), clock=clock)
    schema = _core.Schema([("ts", _core.DataType("int64"), False)])
    topic = log.open_partition(
        topic="t", topic_id=bytes(16), partition=0, schema=schema, schema_id=0
    )
    jobs = {}
    for unit in UNITS:
        graph = _core.Graph()
        source = graph.add_topic_source(
            "source",
            log,
            [topic],
            event_time="ts",
            idle_timeout_us=1_000_000,
            advances_when_idle=True,
            bounded=False,
            int64_unit=unit,
        )
        graph.add_collect("out", source)
        jobs[unit] = _core.Executor(graph)
    topic.append(_core.RecordBatch.from_numpy(schema, {"ts": np.array([100])}), timestamps=0)
    for seconds in (0, 4):  # idle since the first, so 3 s are added
        clock.now_us = seconds * 10**6
        for job in jobs.values():
            while job.run(0) == "budget":
                pass
    watermarks = {unit: job.metrics()[0].watermark for unit, job in jobs.items()}
    assert watermarks == {unit: 99 + 3 * 10**9 // TICK_NS[unit] for unit in UNITS}
    log.close()


def test_watermark_lag_and_drift_count_in_it(log: ps.Log) -> None:
    now = time.time_ns() // 10**9
    fill(log, "seconds", now - 50)
    fill(log, "stamps", (now - 80) * 1000, kind="timestamp[ms]")
    env = ps.Environment(log)
    for topic, strategy in (("seconds", by("s")), ("stamps", by())):
        aligned = strategy.with_watermark_alignment("all", "1h")
        windows = env.from_topic(topic, watermark=aligned).window_all(ps.tumbling("1h"))
        windows.aggregate(n=ps.count()).sink_to_topic(f"{topic}-counts")
    job = env._prepare(None, "replay", "local")
    job.step()
    operators = {o.name: o for o in job.metrics().operators if o.is_source}
    seconds = operators["from_topic-1"]
    assert (seconds.current_watermark, seconds.tick_ns) == (now - 51, 10**9)
    assert seconds.watermark_lag == pytest.approx(51, abs=30)
    # By a tick of each less than the 30 seconds between them.
    assert seconds.watermark_alignment_drift == pytest.approx(30 - 1 + 0.001)


def test_a_history_and_files_count_in_it(log: ps.Log, tmp_path: Path) -> None:
    env = ps.Environment()
    env.from_arrow({"ts": np.array([0, 59])}).sink_to_parquet(tmp_path / "past.parquet")
    env.execute()
    past = ps.Environment().from_parquet(tmp_path / "past.parquet", watermark=by("s"))
    assert counted(past, ps.tumbling("1m")) == [(0, 60, 2)]
    fill(log, "live", 60, 3)
    env = ps.Environment(log)
    source = ps.HybridSource(
        env.from_parquet(tmp_path / "past.parquet"), env.from_topic("live", bounded=True)
    )
    both = env.from_source(source, watermark=by("s"))
    assert counted(both, ps.tumbling("1m")) == [(0, 60, 2), (60, 120, 1)]


# -- unions ------------------------------------------------------------------------------------


def union(first: Unit | None, second: Unit | None) -> ps.Stream:
    env = ps.Environment()
    one, two = ({"ts": np.array([0, 59])}, {"ts": np.array([60])})
    return env.from_arrow(one, watermark=by(first)).union(env.from_arrow(two, watermark=by(second)))


def test_a_union_of_one_unit_has_it() -> None:
    assert counted(union("s", "s"), ps.tumbling("1m")) == [(0, 60, 2), (60, 120, 1)]
    assert counted(union(None, "ms"), ps.tumbling("1m")) == [(0, 60_000, 3)]


def test_a_union_of_several_units_has_no_event_time() -> None:
    with pytest.raises(errors.PipelineError, match="needs event time"):
        counted(union("s", "ms"), ps.tumbling("1m"))


# -- what is refused, and explain ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "hint"),
    [
        ("seconds", ' Did you mean "s"?'),
        ("sec", ' Did you mean "s"?'),
        ("millis", ' Did you mean "ms"?'),
        ("MS", ' Did you mean "ms"?'),
        ("microsecond", ' Did you mean "us"?'),
        ("\u00b5s", ' Did you mean "us"?'),
        ("nanos", ' Did you mean "ns"?'),
        ("fortnight", ""),
        (1000, ""),
    ],
)
@pytest.mark.parametrize(
    "make",
    [
        by,
        lambda unit: ps.WatermarkStrategy.for_punctuated("ts", timestamp="ts", unit=unit),
        lambda unit: ps.WatermarkStrategy.for_bounded_out_of_orderness(
            "1s", timestamp="ts", unit=unit
        ),
    ],
)
def test_unknown_unit_names_the_nearest(make: Callable[[Any], Any], unit: Any, hint: str) -> None:
    with pytest.raises(errors.ConfigError) as raised:
        make(unit)
    accepted = 'an int64 event time counts "s", "ms", "us" or "ns".'
    assert str(raised.value) == f"unit is {unit!r}, but {accepted}{hint}"


@pytest.mark.parametrize("kind", ["timestamp[s]", "timestamp[us, UTC]", "date32"])
def test_a_column_that_has_a_unit_takes_none(kind: str, log: ps.Log) -> None:
    log.create_topic("typed", {"ts": kind})
    with pytest.raises(errors.SchemaError) as raised:
        ps.Environment(log).from_topic("typed", watermark=by("s"))
    assert str(raised.value) == (
        f"watermark strategy has unit='s', but event-time column 'ts' is {kind}, which has its "
        "own. Leave unit= out: it says what an int64 counts."
    )
    assert (raised.value.column, raised.value.got) == ("ts", kind)


def test_a_duration_that_is_no_whole_number_of_them_is_refused() -> None:
    with pytest.raises(errors.ConfigError, match=r"not a whole number of ticks of event-time colu"):
        counted(stream([0], by("s")), ps.tumbling("1500ms"))


def test_explain_names_a_unit_that_was_given() -> None:
    assert "watermark ts - 0 s" in stream([0], by("s")).explain()
    assert "watermark ts - 0 ticks" in stream([0], by()).explain()
    marked = ps.WatermarkStrategy.for_punctuated("ts", timestamp="ts", unit="us")
    assert 'watermark col("ts") at ts in us' in stream([0], marked).explain()
