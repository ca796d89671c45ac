"""Watermarks of a topic source against the oracle, with append times that the test chooses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pystream._native import _core
from tests.native_api.test_runtime import (
    EVENTS,
    Event,
    Row,
    add_totals,
    batch_of,
    finish,
    open_topic,
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

    def finish(self) -> Job:
        finish(self.executor)
        self.take()
        return self

    @property
    def source(self) -> _core.OperatorMetrics:
        return self.executor.metrics()[0]


@pytest.fixture(scope="module")
def new_log(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[], tuple[_core.ManualClock, _core.Log, list[_core.Partition]]]:
    def create() -> tuple[_core.ManualClock, _core.Log, list[_core.Partition]]:
        clock = _core.ManualClock(0)
        log = _core.Log.open(str(tmp_path_factory.mktemp("log")), clock=clock)
        return clock, log, open_topic(log, 1, PARTITIONS, EVENTS)

    return create


def append(clock: _core.ManualClock, topic: list[_core.Partition], batch: Appended) -> None:
    clock.now_us = batch.at * 1000
    topic[batch.partition].append(batch_of(list(batch.events)), timestamps=0)


NewLog = Callable[[], tuple[_core.ManualClock, _core.Log, list[_core.Partition]]]


@settings(max_examples=60, deadline=None)
@given(appends(st.integers(0, 30)), st.integers(0, 15), st.none() | st.integers(0, 100))
def test_guarded_watermarks_equal_the_oracle(
    new_log: NewLog, batches: list[Appended], delay: int, max_ahead: int | None
) -> None:
    clock, log, topic = new_log()
    for batch in batches:
        append(clock, topic, batch)
    watermark = SourceWatermark(range(PARTITIONS), out_of_orderness=delay, max_ahead=max_ahead)
    expected = expected_rows(batches, watermark)
    for threads in (1, 2):
        job = Job(log, topic, delay=delay, max_ahead=max_ahead, threads=threads).finish()
        assert (sorted(job.rows), job.late) == expected
        assert job.source.ahead_records == watermark.ahead
    log.close()


def test_wild_time_moves_no_watermark_and_is_counted_in_its_window(new_log: NewLog) -> None:
    clock, log, topic = new_log()
    wild = 2**50
    append(clock, topic, Appended(1000, 0, ((1000, 7, 1), (wild, 7, 2), (1001, 7, 4))))
    append(clock, topic, Appended(1040, 0, ((1040, 7, 8), (1002, 7, 16))))
    guarded = Job(log, topic[:1], max_ahead=500).finish()
    start = wild - wild % SLIDE
    assert [row for row in guarded.rows if row[1] in (1000, start)] == [
        (7, 1000, 1020, 2, 5),
        (7, start, start + SIZE, 1, 2),
    ]
    assert (guarded.late, guarded.source.ahead_records) == ([(1002, 7, 16)], 1)
    naive = Job(log, topic[:1]).finish()
    assert (naive.late, naive.source.ahead_records) == (
        [(1001, 7, 4), (1040, 7, 8), (1002, 7, 16)],
        0,
    )
    log.close()


def test_time_may_be_ahead_by_exactly_the_limit(new_log: NewLog) -> None:
    clock, log, topic = new_log()
    append(clock, topic, Appended(1000, 0, ((1100, 7, 1), (1101, 7, 1))))
    job = Job(log, topic[:1], max_ahead=100, bounded=False)
    job.executor.run(0)
    assert (job.source.watermark, job.source.ahead_records) == (1099, 1)
    log.close()
