"""Idle inputs of a union, with a clock that the test sets."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from pystream._native import _core

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
