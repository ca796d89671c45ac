"""Idle inputs of a union, with a clock that the test sets."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pystream._native import _core
from tests.native_api import test_watermarks as watermarks
from tests.native_api.test_runtime import add_totals, finish, rows_of
from tests.native_api.test_watermarks import GAPS, PARTITIONS, Appended, appends
from tests.oracle.unions import UnionWatermark
from tests.oracle.watermarks import SourceWatermark

EVENTS = _core.Schema([("ts", _core.DataType("timestamp[ms]"), False)])
IDLE_US = 30_000


class Topics:
    """A log with a clock, and three topics of one partition."""

    def __init__(self, directory: Path) -> None:
        self.clock = _core.ManualClock(0)
        self.log = _core.Log.open(str(directory), clock=self.clock)
        self.topics = [
            self.log.open_partition(
                topic=f"topic-{number}",
                topic_id=number.to_bytes(16, "big"),
                partition=0,
                schema=EVENTS,
                schema_id=0,
            )
            for number in range(3)
        ]

    def append(self, at: int, topic: int, *times: int) -> None:
        self.clock.now_us = at * 1000
        column = pa.array(times, pa.timestamp("ms"))
        table = pa.record_batch([column], schema=pa.schema([pa.field("ts", column.type, False)]))
        (batch,) = _core.RecordBatch.from_arrow(table)
        self.topics[topic].append(batch, timestamps=0)


class Job:
    """Windows of 10 ms over the union of some topics, and their late rows."""

    def __init__(
        self, topics: Topics, numbers: Sequence[int], *, is_live: bool, round_rows: int = 10
    ) -> None:
        self._topics = topics
        graph = _core.Graph()
        sources = [
            graph.add_topic_source(
                f"source-{number}",
                topics.log,
                [topics.topics[number]],
                event_time="ts",
                idle_timeout_us=IDLE_US,
                bounded=not is_live,
            )
            for number in numbers
        ]
        union = graph.add_union("union", sources)
        self._union = union.node
        results, late = graph.add_window(
            "window",
            union,
            size=10,
            slide=10,
            keys=[],
            event_time="ts",
            aggregates=[("n", "count_all", None, None, ())],
        )
        self._out = graph.add_collect("out", results)
        self._late = graph.add_collect("late", late)
        self.executor = _core.Executor(graph, round_rows=round_rows)

    def look(self) -> None:
        while self.executor.run(0) == "budget":
            pass

    @property
    def watermark(self) -> int | None:
        return self.executor.metrics()[self._union].watermark

    def ends(self) -> list[int]:
        """Return the ends of windows that have fired since."""
        return self._column(self._out, "window_end")

    def late(self) -> list[int]:
        return self._column(self._late, "ts")

    def _column(self, node: int, name: str) -> list[int]:
        batches = self.executor.take_collected(node)
        columns = (pa.record_batch(batch).column(name).cast(pa.int64()) for batch in batches)
        return list(itertools.chain.from_iterable(column.to_pylist() for column in columns))


@pytest.fixture
def topics(tmp_path: Path) -> Iterator[Topics]:
    opened = Topics(tmp_path)
    yield opened
    opened.log.close()


def test_records_of_one_topic_make_another_idle(topics: Topics) -> None:
    topics.append(1000, 0, 1005)
    topics.append(1000, 1, 1003)
    topics.append(1020, 0, 1012)  # the watermark is 1002 until 1031
    topics.append(1040, 0, 1034)  # topic 1 is idle: 1011 closes [1000, 1010)
    topics.append(1041, 1, 1004, 1031)  # it is back, late first, and holds the watermark again
    topics.append(1042, 0, 1060)
    for is_live, round_rows in itertools.product((True, False), (1, 10)):
        job = Job(topics, (0, 1), is_live=is_live, round_rows=round_rows)
        topics.clock.now_us = 1_042_000
        job.look()
        assert (job.late(), job.ends()) == ([1004], [1010, 1020] if is_live else _ENDS)
        assert job.watermark == (1033 if is_live else None)


_ENDS = [1010, 1020, 1040, 1070]


def test_a_topic_without_a_record_counts_from_the_first_of_the_union(topics: Topics) -> None:
    topics.append(1000, 0, 1000)
    topics.append(1031, 0, 1020)
    job = Job(topics, (0, 2), is_live=True)
    topics.clock.now_us = 1_031_000
    job.look()
    assert job.watermark == 1019


def test_when_all_are_idle_the_largest_watermark_holds(topics: Topics) -> None:
    job = Job(topics, (0, 1), is_live=True)
    seen = []
    topics.append(1000, 0, 1050)
    topics.append(1010, 1, 1020)
    for now in (1010, 1030, 1031, 1040, 1041):
        topics.clock.now_us = now * 1000
        job.look()
        seen.append((now, job.watermark))
    # Topic 0 is idle from 1031 on, when topic 1 holds the watermark; from 1041 on both are.
    assert seen == [(1010, 1019), (1030, 1019), (1031, 1019), (1040, 1019), (1041, 1049)]
    assert job.ends() == [1030]


def test_a_source_that_ends_while_all_others_are_idle_has_moved_the_watermark(
    topics: Topics,
) -> None:
    topics.append(1000, 0, 1000)
    topics.append(1040, 0, 1050, 1004)  # topic 1 is idle: 1050 moves the watermark, 1004 is late
    topics.append(1041, 1, 1005)  # and so is this one, when topic 0 has ended
    job = Job(topics, (0, 1), is_live=False)
    job.look()
    assert (job.late(), job.ends()) == ([1004, 1005], [1010, 1060])


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[watermarks.Topics]:
    opened = watermarks.Topics(tmp_path_factory.mktemp("log"))
    yield opened
    opened.log.close()


timeouts = st.none() | st.integers(1, 60)


@st.composite
def source_cases(draw: st.DrawFn) -> list[tuple[tuple[int, ...], int, int | None, bool]]:
    """Return partitions, delay, idle timeout and whether time moves the watermark, by source."""
    split = draw(st.sampled_from([[(0,), (1, 2)], [(0, 1), (2,)], [(0,), (1,), (2,)]]))
    return [
        (partitions, draw(st.integers(0, 15)), draw(timeouts), draw(st.booleans()))
        for partitions in split
    ]


@settings(max_examples=100, deadline=None)
@given(appends(GAPS), source_cases())
def test_idle_sources_in_replay_equal_the_oracle(
    log: watermarks.Topics,
    batches: list[Appended],
    sources: list[tuple[tuple[int, ...], int, int | None, bool]],
) -> None:
    topic = log.new()
    log.append(topic, *batches)
    source_of = {p: n for n, (partitions, *_) in enumerate(sources) for p in partitions}
    assert len(source_of) == PARTITIONS
    lengths = [
        sum(len(batch.events) for batch in batches if source_of[batch.partition] == number)
        for number in range(len(sources))
    ]
    marks = [
        SourceWatermark(
            partitions, out_of_orderness=delay, idle_timeout=idle, advances_when_idle=advances
        )
        for partitions, delay, idle, advances in sources
    ]
    union = UnionWatermark(marks, source_of, lengths)
    expected = watermarks.expected_rows(batches, union)  # type: ignore[arg-type]
    for threads, round_rows in ((1, 1), (2, 10)):
        graph = _core.Graph()
        inputs = [
            graph.add_topic_source(
                f"source-{number}",
                log.log,
                [topic[p] for p in partitions],
                event_time="ts",
                delay=delay,
                idle_timeout_us=None if idle is None else idle * 1000,
                advances_when_idle=idle is not None and advances,
            )
            for number, (partitions, delay, idle, advances) in enumerate(sources)
        ]
        results, late = add_totals(
            graph, graph.add_union("union", inputs), watermarks.SIZE, watermarks.SLIDE
        )
        out, late_out = graph.add_collect("out", results), graph.add_collect("late", late)
        executor = _core.Executor(graph, threads=threads, round_rows=round_rows)
        finish(executor)
        found = sorted(rows_of(executor.take_collected(out)))
        late_rows = rows_of(executor.take_collected(late_out))
        assert (found, sorted(late_rows)) == (expected[0], sorted(expected[1]))
