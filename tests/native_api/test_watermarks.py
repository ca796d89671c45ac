"""Watermarks of a topic source against the oracle, with append times that the test chooses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pystream._native import _core
from pystream.errors import ConfigError
from tests.native_api.test_runtime import (
    EVENTS,
    Event,
    Row,
    add_totals,
    batch_of,
    finish,
    rows_of,
)
from tests.oracle.watermarks import SourceWatermark
from tests.oracle.windows import Record, run

PARTITIONS = 3
SIZE, SLIDE = 20, 10


@dataclass(frozen=True)
class Appended:
    """A batch, and when it was appended; milliseconds, as its event times."""

    at: int
    partition: int
    events: tuple[Event, ...]


@st.composite
def appends(draw: st.DrawFn, times: st.SearchStrategy[int]) -> list[Appended]:
    """Return batches with event times around their append times, and few from far ahead."""
    now = draw(st.integers(-100, 1000))
    batches = []
    for _ in range(draw(st.integers(0, 15))):
        now += draw(times)
        events = draw(
            st.lists(
                st.tuples(
                    st.integers(-40, 30) | st.integers(31, 5000), st.integers(0, 1), st.integers()
                ),
                min_size=1,
                max_size=6,
            )
        )
        rows = tuple((now + ahead, key, value % 100) for ahead, key, value in events)
        batches.append(Appended(now, draw(st.integers(0, PARTITIONS - 1)), rows))
    return batches


def records_of(batches: list[Appended]) -> list[Record]:
    return [
        Record(ts, (key,), (value,), batch.partition, appended=batch.at)
        for batch in batches
        for ts, key, value in batch.events
    ]


def expected_rows(
    batches: list[Appended], watermark: SourceWatermark
) -> tuple[list[Row], list[Event]]:
    """Return the rows of the totals and the late events that the oracle knows."""
    records = records_of(batches)
    result = run(
        records, size=SIZE, slide=SLIDE, partitions=range(PARTITIONS), source_watermark=watermark
    )
    rows: list[Row] = [
        (
            *pane.key,
            pane.start,
            pane.end,
            len(pane.members),
            sum(records[i].values[0] for i in pane.members),  # type: ignore[misc]
        )
        for pane in result.panes
    ]
    events = [event for batch in batches for event in batch.events]
    return sorted(rows), [events[i] for i in result.late]


class Job:
    """Totals over a topic, and what is late for them."""

    def __init__(self, log: _core.Log, topic: list[_core.Partition], **options: Any) -> None:
        threads = options.pop("threads", 1)
        graph = _core.Graph()
        source = graph.add_topic_source("events", log, topic, event_time="ts", **options)
        results, late = add_totals(graph, source, SIZE, SLIDE)
        self._out = graph.add_collect("out", results)
        self._late = graph.add_collect("late", late)
        self.executor = _core.Executor(graph, threads=threads, round_rows=10)
        self.rows: list[Row] = []
        self.late: list[Event] = []

    def take(self) -> None:
        self.rows += rows_of(self.executor.take_collected(self._out))
        self.late += rows_of(self.executor.take_collected(self._late))  # type: ignore[arg-type]

    def look(self) -> None:
        """Read what is there; then the clock counts."""
        while self.executor.run(0) == "budget":
            pass

    def finish(self) -> Job:
        finish(self.executor)
        self.take()
        return self

    @property
    def source(self) -> _core.OperatorMetrics:
        return self.executor.metrics()[0]


class Topics:
    """One log for all examples, with a clock; a new topic for each."""

    def __init__(self, directory: Path) -> None:
        self.clock = _core.ManualClock(0)
        self.log = _core.Log.open(str(directory), clock=self.clock)
        self._numbers = itertools.count(1)

    def new(self, partitions: int = PARTITIONS) -> list[_core.Partition]:
        number = next(self._numbers)
        return [
            self.log.open_partition(
                topic=f"topic-{number}",
                topic_id=number.to_bytes(16, "big"),
                partition=partition,
                schema=EVENTS,
                schema_id=0,
            )
            for partition in range(partitions)
        ]

    def append(self, topic: list[_core.Partition], *batches: Appended) -> None:
        for batch in batches:
            self.clock.now_us = batch.at * 1000
            topic[batch.partition].append(batch_of(list(batch.events)), timestamps=0)


@pytest.fixture(scope="module")
def topics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topics]:
    opened = Topics(tmp_path_factory.mktemp("log"))
    yield opened
    opened.log.close()


@settings(max_examples=40, deadline=None)
@given(appends(st.integers(0, 30)), st.integers(0, 15), st.none() | st.integers(0, 100))
def test_guarded_watermarks_equal_the_oracle(
    topics: Topics, batches: list[Appended], delay: int, max_ahead: int | None
) -> None:
    topic = topics.new()
    topics.append(topic, *batches)
    watermark = SourceWatermark(range(PARTITIONS), out_of_orderness=delay, max_ahead=max_ahead)
    expected = expected_rows(batches, watermark)
    for threads in (1, 2):
        job = Job(topics.log, topic, delay=delay, max_ahead=max_ahead, threads=threads).finish()
        assert (sorted(job.rows), job.late) == expected
        assert job.source.ahead_records == watermark.ahead


def test_wild_time_moves_no_watermark_and_is_counted_in_its_window(topics: Topics) -> None:
    topic = topics.new()
    wild = 2**50
    topics.append(topic, Appended(1000, 0, ((1000, 7, 1), (wild, 7, 2), (1001, 7, 4))))
    topics.append(topic, Appended(1040, 0, ((1040, 7, 8), (1002, 7, 16))))
    guarded = Job(topics.log, topic[:1], max_ahead=500).finish()
    start = wild - wild % SLIDE
    assert [row for row in guarded.rows if row[1] in (1000, start)] == [
        (7, 1000, 1020, 2, 5),
        (7, start, start + SIZE, 1, 2),
    ]
    assert (guarded.late, guarded.source.ahead_records) == ([(1002, 7, 16)], 1)
    naive = Job(topics.log, topic[:1]).finish()
    assert (naive.late, naive.source.ahead_records) == (
        [(1001, 7, 4), (1040, 7, 8), (1002, 7, 16)],
        0,
    )


def test_time_may_be_ahead_by_exactly_the_limit(topics: Topics) -> None:
    topic = topics.new()
    topics.append(topic, Appended(1000, 0, ((1100, 7, 1), (1101, 7, 1))))
    job = Job(topics.log, topic[:1], max_ahead=100, bounded=False)
    job.executor.run(0)
    assert (job.source.watermark, job.source.ahead_records) == (1099, 1)


# -- idle partitions ---------------------------------------------------------------------------


def idle_case() -> st.SearchStrategy[tuple[int, int, bool]]:
    """Return delay, idle timeout, and whether the watermark goes on when all are idle."""
    return st.tuples(st.integers(0, 15), st.integers(1, 60), st.booleans())


# Gaps between appends; some longer than any timeout, and a clock that is set back.
GAPS = st.integers(0, 30) | st.integers(40, 150) | st.just(-20)


@settings(max_examples=50, deadline=None)
@given(appends(GAPS), idle_case())
def test_idle_partitions_in_replay_equal_the_oracle(
    topics: Topics, batches: list[Appended], case: tuple[int, int, bool]
) -> None:
    delay, timeout, advances = case
    topic = topics.new()
    topics.append(topic, *batches)
    watermark = SourceWatermark(
        range(PARTITIONS),
        out_of_orderness=delay,
        idle_timeout=timeout,
        advances_when_idle=advances,
    )
    expected = expected_rows(batches, watermark)
    for threads in (1, 2):
        job = Job(
            topics.log,
            topic,
            delay=delay,
            idle_timeout_us=timeout * 1000,
            advances_when_idle=advances,
            threads=threads,
        ).finish()
        assert (sorted(job.rows), job.late) == expected


@settings(max_examples=50, deadline=None)
@given(appends(st.integers(0, 30) | st.integers(40, 150)), idle_case(), st.data())
def test_live_job_finds_idle_what_its_replay_finds(
    topics: Topics, batches: list[Appended], case: tuple[int, int, bool], data: st.DataObject
) -> None:
    """The live job looks at arbitrary moments, and is held up between them."""
    delay, timeout, advances = case
    options = {
        "delay": delay,
        "idle_timeout_us": timeout * 1000,
        "advances_when_idle": advances,
    }
    topic = topics.new()
    live = Job(topics.log, topic, bounded=False, **options)
    for number, batch in enumerate(batches):
        topics.append(topic, batch)
        following = batches[number + 1].at if number + 1 < len(batches) else batch.at + 100
        for now in sorted(data.draw(st.lists(st.integers(batch.at, following), max_size=3))):
            topics.clock.now_us = now * 1000
            live.look()
    end = (batches[-1].at if batches else 0) + 100
    topics.clock.now_us = end * 1000
    live.look()
    live.take()

    watermark = SourceWatermark(
        range(PARTITIONS),
        out_of_orderness=delay,
        idle_timeout=timeout,
        advances_when_idle=advances,
    )
    rows, late = expected_rows(batches, watermark)
    if batches:
        watermark.pass_time(end)
    assert live.late == late
    assert live.source.watermark == (watermark.current if watermark.current > -(2**63) else None)
    assert sorted(live.rows) == [row for row in rows if row[2] - 1 <= watermark.current]
    replay = Job(topics.log, topic, **options).finish()
    assert (sorted(replay.rows), replay.late) == (rows, late)


def test_idle_partition_lets_the_others_go_on_and_returns_late(topics: Topics) -> None:
    topic = topics.new()
    topics.append(topic, Appended(1000, 0, ((1000, 7, 1),)))
    topics.append(topic, Appended(1000, 1, ((1000, 7, 1),)))
    topics.append(topic, Appended(1031, 0, ((1090, 7, 1),)))  # partition 1 is idle since 1030
    topics.append(topic, Appended(1032, 1, ((1001, 7, 1), (1100, 7, 1))))
    options: dict[str, Any] = {"idle_timeout_us": 30_000, "bounded": False}
    job = Job(topics.log, topic[:2], **options)
    job.look()
    job.take()
    assert job.late == [(1001, 7, 1)]
    assert job.source.watermark == 1089  # both are there again


def test_watermark_of_a_live_job_follows_the_clock_where_nothing_comes(topics: Topics) -> None:
    topic = topics.new()
    topics.append(topic, Appended(1000, 1, ((1000, 7, 1),)))
    topics.append(topic, Appended(1010, 0, ((1050, 7, 1),)))
    hold = Job(topics.log, topic[:2], idle_timeout_us=30_000, bounded=False)
    advance = Job(
        topics.log, topic[:2], idle_timeout_us=30_000, advances_when_idle=True, bounded=False
    )
    seen = []
    for now in (1010, 1030, 1031, 1040, 1041, 1060):
        topics.clock.now_us = now * 1000
        for job in (hold, advance):
            job.look()
            job.take()
        seen.append((now, hold.source.watermark, advance.source.watermark))
    assert seen == [
        (1010, 999, 999),
        (1030, 999, 999),
        (1031, 1049, 1049),  # partition 1 is left out
        (1040, 1049, 1049),
        (1041, 1049, 1050),  # all are idle since 1040
        (1060, 1049, 1069),
    ]
    assert sorted(row[:3] for row in advance.rows) == [
        (7, 990, 1010),
        (7, 1000, 1020),
        (7, 1040, 1060),
        (7, 1050, 1070),
    ]


def test_timeout_that_is_none_is_refused(topics: Topics) -> None:
    topic = topics.new()
    with pytest.raises(ConfigError, match="idle timeout is 0 us"):
        Job(topics.log, topic, idle_timeout_us=0)


# -- append time as the event time -------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(appends(GAPS), st.integers(0, 30))
def test_windows_of_append_time_equal_the_oracle(
    topics: Topics, batches: list[Appended], delay: int
) -> None:
    """Also where the clock of the writers was set back, and arrivals are late."""
    topic = topics.new()
    topics.append(topic, *batches)
    records = [
        Record(batch.at, (key,), (value,), batch.partition, appended=batch.at)
        for batch in batches
        for _, key, value in batch.events
    ]
    watermark = SourceWatermark(range(PARTITIONS), out_of_orderness=delay)
    wanted = run(
        records, size=SIZE, slide=SIZE, partitions=range(PARTITIONS), source_watermark=watermark
    )
    for threads in (1, 2):
        graph = _core.Graph()
        source = graph.add_topic_source(
            "events",
            topics.log,
            topic,
            event_time="at",
            append_time_column="at",
            delay=delay * 1000,
        )
        results, late = add_totals(graph, source, SIZE * 1000, SIZE * 1000, event_time="at")
        out, kept = graph.add_collect("out", results), graph.add_collect("late", late)
        executor = _core.Executor(graph, threads=threads, round_rows=10)
        finish(executor)
        assert sorted(rows_of(executor.take_collected(out))) == sorted(
            (
                *pane.key,
                pane.start * 1000,
                pane.end * 1000,
                len(pane.members),
                sum(records[i].values[0] for i in pane.members),  # type: ignore[misc]
            )
            for pane in wanted.panes
        )
        found = [row[3] // 1000 for row in rows_of(executor.take_collected(kept))]
        assert found == [records[i].timestamp for i in wanted.late]
