"""A topic with a history in front: the watermark carries over, whatever the cuts and threads."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pystream._native import _core
from pystream.errors import NotSupportedError
from tests.native_api.test_runtime import (
    EVENTS,
    add_totals,
    batch_of,
    finish,
    open_topic,
    rows_of,
)
from tests.oracle import windows as oracle

PARTITIONS = 3
Event = tuple[int, int, int, int]


def as_one_topic(history: list[Event], live: list[Event]) -> list[oracle.Record]:
    """Write the rule in the model's words: each partition has seen what the history has.

    A record of the history comes by partition 0; what its time does to the other partitions' event
    time, a filtered record of each does, which moves the watermark and nothing else.
    """
    records = []
    for ts, key, value, _ in history:
        records.append(oracle.Record(ts, (key,), (value,), 0))
        records += [oracle.Record(ts, partition=p, is_filtered=True) for p in range(1, PARTITIONS)]
    return records + [oracle.Record(ts, (key,), (value,), p) for ts, key, value, p in live]


def runs(live: list[Event], batch_rows: int) -> Iterator[tuple[int, list[tuple[int, int, int]]]]:
    """Cut events into batches: neighbours of one partition, up to so many."""
    for partition, group in itertools.groupby(live, key=lambda event: event[3]):
        rows = [event[:3] for event in group]
        for begin in range(0, len(rows), batch_rows):
            yield partition, rows[begin : begin + batch_rows]


EVENT = st.tuples(
    st.integers(-60, 60), st.integers(0, 2), st.integers(-5, 5), st.integers(0, PARTITIONS - 1)
)


@settings(max_examples=40)
@given(
    st.lists(EVENT, max_size=30),
    st.lists(EVENT, max_size=30),
    st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(0, 15)),
    st.integers(1, 7),
)
def test_windows_equal_the_record_by_record_model(
    tmp_path_factory: pytest.TempPathFactory,
    history: list[Event],
    live: list[Event],
    sizes_and_delay: tuple[int, int, int],
    batch_rows: int,
) -> None:
    *sizes, delay = sizes_and_delay
    size, slide = max(sizes), min(sizes)
    records = as_one_topic(history, live)
    expected = oracle.run(
        records, size=size, slide=slide, out_of_orderness=delay, partitions=range(PARTITIONS)
    )
    log = _core.Log.open(str(tmp_path_factory.mktemp("log")))
    topic = open_topic(log, 1, PARTITIONS, EVENTS)
    for partition, run in runs(live, batch_rows):
        topic[partition].append(batch_of(run), timestamps=0)
    past = [
        batch_of([event[:3] for event in history[begin : begin + batch_rows]])
        for begin in range(0, len(history), batch_rows)
    ]
    for threads in (1, 2):
        graph = _core.Graph()
        source = graph.add_topic_source(
            "events", log, topic, event_time="ts", delay=delay, history=past
        )
        results, late = add_totals(graph, source, size, slide)
        out = graph.add_collect("out", results)
        kept = graph.add_collect("late", late)
        executor = _core.Executor(graph, threads=threads, round_rows=10)
        finish(executor)
        assert sorted(rows_of(executor.take_collected(out))) == sorted(
            (
                *pane.key,
                pane.start,
                pane.end,
                len(pane.members),
                sum(int(str(records[i].values[0])) for i in pane.members),
            )
            for pane in expected.panes
        )
        assert rows_of(executor.take_collected(kept)) == [
            (records[i].timestamp, *records[i].key, *records[i].values) for i in expected.late
        ]
        reading = executor.metrics()[0]
        assert (reading.kind, reading.pending_records) == ("hybrid source", 0)
        assert reading.records_in == len(history) + len(live)
    log.close()


def test_a_bounded_topic_ends_where_it_ended_when_the_history_began(tmp_path: Any) -> None:
    log = _core.Log.open(str(tmp_path))
    topic = open_topic(log, 1, 1, EVENTS)
    topic[0].append(batch_of([(2, 0, 2)]), timestamps=0)
    graph = _core.Graph()
    source = graph.add_topic_source(
        "events", log, topic, event_time="ts", history=[batch_of([(1, 0, 1)])]
    )
    stage = graph.add_python_stage("stage", source, EVENTS)
    out = graph.add_collect("out", stage)
    executor = _core.Executor(graph)
    assert executor.run(60_000_000) == "pending"  # the history is in hand
    topic[0].append(batch_of([(3, 0, 3)]), timestamps=0)
    while executor.pending():
        while (batch := executor.take(stage.node)) is not None:
            executor.give(stage.node, [batch])
        executor.run(60_000_000)
    assert rows_of(executor.take_collected(out)) == [(1, 0, 1), (2, 0, 2)]
    log.close()


def test_a_history_has_no_record_timestamps(tmp_path: Any) -> None:
    log = _core.Log.open(str(tmp_path))
    topic = open_topic(log, 1, 1, EVENTS)
    with pytest.raises(NotSupportedError, match="a history has no record timestamps"):
        _core.Graph().add_topic_source("events", log, topic, timestamp_column="t", history=[])
    log.close()
