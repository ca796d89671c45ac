"""Graph and Executor as the engine drives them: one call for many batches, without the lock."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pystream._native import _core
from pystream.errors import ConfigError, OperatorError, SchemaError
from tests.oracle import windows as oracle

MILLIS = _core.DataType("timestamp[ms]")
INT64 = _core.DataType("int64")
EVENTS = _core.Schema([("ts", MILLIS, True), ("key", INT64, True), ("value", INT64, True)])

Event = tuple[int, int, int]
Row = tuple[Any, ...]


def batch_of(events: list[Event]) -> _core.RecordBatch:
    ts, key, value = np.array(events, dtype="int64").reshape(-1, 3).T
    columns = {"ts": ts.astype("datetime64[ms]"), "key": key, "value": value}
    return _core.RecordBatch.from_numpy(
        EVENTS, {name: np.ascontiguousarray(values) for name, values in columns.items()}
    )


def rows_of(batches: list[_core.RecordBatch]) -> list[Row]:
    rows: list[Row] = []
    for batch in batches:
        columns = [
            batch.column(i).to_numpy().astype("int64").tolist() for i in range(batch.num_columns)
        ]
        rows += zip(*columns, strict=True)
    return rows


def greater(column: str, value: int) -> _core.Expression:
    return _core.Expression.call(
        "greater", [_core.Expression.column(column), _core.Expression.literal(value)]
    )


def add_totals(
    graph: _core.Graph, port: _core.Port, size: int, slide: int, event_time: str = "ts"
) -> tuple[_core.Port, _core.Port]:
    return graph.add_window(
        "totals",
        port,
        size=size,
        slide=slide,
        keys=["key"],
        event_time=event_time,
        aggregates=[("n", "count_all", None), ("total", "sum", "value")],
    )


def finish(executor: _core.Executor) -> None:
    while executor.run(100_000) != "finished":
        pass


@pytest.fixture
def log(tmp_path: Path) -> Iterator[_core.Log]:
    opened = _core.Log.open(str(tmp_path))
    yield opened
    opened.close()


def open_topic(
    log: _core.Log, number: int, partitions: int, schema: _core.Schema
) -> list[_core.Partition]:
    return [
        log.open_partition(
            topic=f"topic-{number}",
            topic_id=bytes([number]) * 16,
            partition=partition,
            schema=schema,
            schema_id=0,
        )
        for partition in range(partitions)
    ]


def test_a_topic_becomes_windows_in_another_topic(log: _core.Log) -> None:
    events = open_topic(log, 1, 1, EVENTS)
    events[0].append(batch_of([(1, 7, 10), (14, 7, 1), (9, 7, 100)]), timestamps=0)
    events[0].append(batch_of([(15, 8, 2), (9, 7, 1000), (30, 7, 4)]), timestamps=0)
    graph = _core.Graph()
    source = graph.add_topic_source("events", log, events, event_time="ts", delay=5)
    results, late = add_totals(graph, source, 10, 10)
    totals = open_topic(log, 2, 2, graph.schema(results))
    graph.add_topic_sink("to totals", results, totals, key=["key"], timestamp="window_end")
    kept = graph.add_collect("late", late)
    executor = _core.Executor(graph, threads=2)
    finish(executor)

    assert rows_of(executor.take_collected(kept)) == [(9, 7, 1000)]
    assert executor.positions(source) == [6]
    written = []
    for partition in totals:
        reader = partition.reader(0)
        while (batch := reader.next()) is not None:
            written += rows_of([batch.read()])
            assert batch.min_timestamp_us % 10_000 == 0
    assert sorted(written) == [
        (7, 0, 10, 2, 110),
        (7, 10, 20, 1, 1),
        (7, 30, 40, 1, 4),
        (8, 10, 20, 1, 2),
    ]

    window = executor.metrics()[1]
    assert (window.name, window.kind, window.records_in) == ("totals", "window", 6)
    assert (window.records_out, window.late_records, window.watermark) == (4, 1, None)


def test_columns_that_nobody_needs_are_not_read(log: _core.Log) -> None:
    graph = _core.Graph()
    source = graph.add_topic_source("events", log, open_topic(log, 1, 1, EVENTS), event_time="ts")
    keys = graph.add_project("keys", source, [("k", _core.Expression.column("key"))])
    graph.add_collect("out", graph.add_filter("some", keys, greater("k", 3)))
    assert _core.Executor(graph).columns_read(source) == ["key"]


@pytest.mark.parametrize("as_table", [False, True])
def test_batches_come_from_a_list_or_an_arrow_stream(as_table: bool) -> None:
    batches = [batch_of([(1, 1, 1)]), batch_of([(2, 2, 2), (3, 3, 3)])]
    source: object = batches
    if as_table:
        source = pa.table(
            {
                "value": pa.chunked_array([pa.array([1], "int16"), pa.array([2, 3], "int16")]),
                "key": pa.array([1, 2, 3], "int64"),
                "ts": pa.array([1, 2, 3], pa.timestamp("ms")),
            }
        )
    graph = _core.Graph()
    out = graph.add_collect("out", graph.add_batch_source("in", source, EVENTS, event_time="ts"))
    executor = _core.Executor(graph)
    finish(executor)
    assert rows_of(executor.take_collected(out)) == [(1, 1, 1), (2, 2, 2), (3, 3, 3)]


def test_an_arrow_stream_is_pulled_while_the_job_runs() -> None:
    pulled = []

    def produce() -> Iterator[pa.RecordBatch]:
        for i in range(3):
            pulled.append(i)
            yield pa.record_batch(
                {"ts": pa.array([i], pa.timestamp("ms")), "key": [i], "value": [i]}
            )

    schema = pa.schema([("ts", pa.timestamp("ms")), ("key", "int64"), ("value", "int64")])
    reader = pa.RecordBatchReader.from_batches(schema, produce())
    graph = _core.Graph()
    out = graph.add_collect("out", graph.add_batch_source("in", reader, EVENTS))
    executor = _core.Executor(graph, round_rows=1)
    assert pulled == []
    finish(executor)
    assert pulled == [0, 1, 2]
    assert rows_of(executor.take_collected(out)) == [(0, 0, 0), (1, 1, 1), (2, 2, 2)]


def test_an_error_of_the_arrow_stream_ends_the_job() -> None:
    def produce() -> Iterator[pa.RecordBatch]:
        raise ValueError("no more tea")
        yield

    schema = pa.schema([("ts", pa.timestamp("ms")), ("key", "int64"), ("value", "int64")])
    reader = pa.RecordBatchReader.from_batches(schema, produce())
    graph = _core.Graph()
    graph.add_collect("out", graph.add_batch_source("in", reader, EVENTS))
    with pytest.raises(SchemaError, match="no more tea") as caught:
        _core.Executor(graph).run(100_000)
    assert caught.value.operator == "in"


def test_a_source_that_is_neither_is_refused() -> None:
    with pytest.raises(SchemaError, match="int"):
        _core.Graph().add_batch_source("in", 5, EVENTS)
    with pytest.raises(SchemaError, match="when"):
        _core.Graph().add_batch_source("in", pa.table({"when": [1]}), EVENTS)


def test_a_python_stage_takes_and_gives() -> None:
    graph = _core.Graph()
    source = graph.add_batch_source(
        "in", [batch_of([(i, i, i)]) for i in range(10)], EVENTS, event_time="ts"
    )
    stage = graph.add_python_stage(
        "negate", graph.add_filter("f", source, greater("value", 2)), EVENTS
    )
    out = graph.add_collect("out", stage)
    executor = _core.Executor(graph)
    assert executor.run(100_000) == "pending"
    assert executor.pending() == [stage.node]
    while (batch := executor.take(stage.node)) is not None:
        executor.give(
            stage.node, [batch_of([(ts, key, -value) for ts, key, value in rows_of([batch])])]
        )
    assert executor.pending() == []
    assert executor.run(100_000) == "finished"
    assert rows_of(executor.take_collected(out)) == [(i, i, -i) for i in range(3, 10)]


def test_a_python_stage_must_keep_its_schema_and_turn() -> None:
    graph = _core.Graph()
    source = graph.add_batch_source("in", [batch_of([(1, 1, 1)])], EVENTS)
    stage = graph.add_python_stage("stage", source, _core.Schema([("x", INT64, True)]))
    graph.add_collect("out", stage)
    executor = _core.Executor(graph)
    executor.run(100_000)
    assert executor.take(stage.node) is not None
    with pytest.raises(ConfigError, match="stage"):
        executor.take(stage.node)
    with pytest.raises(SchemaError, match="value"):
        executor.give(stage.node, [batch_of([(1, 1, 1)])])


def test_errors_name_operator_topic_partition_and_offset(log: _core.Log) -> None:
    events = open_topic(log, 1, 2, EVENTS)
    events[1].append(batch_of([(1, 1, 1)]), timestamps=0)
    events[1].append(batch_of([(1, 1, 2**62)]), timestamps=0)
    graph = _core.Graph()
    source = graph.add_topic_source("events", log, events, event_time="ts")
    double = _core.Expression.call(
        "multiply", [_core.Expression.column("value"), _core.Expression.literal(2)]
    )
    graph.add_collect("out", graph.add_project("double", source, [("v", double)]))
    with pytest.raises(OperatorError) as caught:
        _core.Executor(graph).run(100_000)
    error = caught.value
    assert (error.operator, error.topic, error.partition, error.offset) == (
        "double",
        "topic-1",
        1,
        1,
    )


def test_unknown_columns_and_aggregates_are_refused_when_the_graph_is_built() -> None:
    graph = _core.Graph()
    source = graph.add_batch_source("in", [], EVENTS, event_time="ts")
    with pytest.raises(SchemaError, match="'nothing'"):
        graph.add_filter("f", source, greater("nothing", 1))
    for change in (
        {"keys": ["nothing"]},
        {"event_time": "nothing"},
        {"aggregates": [("a", "sum", "nothing")]},
    ):
        arguments: dict[str, Any] = {"keys": [], "event_time": "ts", "aggregates": [], **change}
        with pytest.raises(SchemaError, match="'nothing'"):
            graph.add_window("w", source, size=1, slide=1, **arguments)
    with pytest.raises(ConfigError, match="median"):
        graph.add_window(
            "w",
            source,
            size=1,
            slide=1,
            keys=[],
            event_time="ts",
            aggregates=[("a", "median", "value")],  # type: ignore[list-item]
        )
    with pytest.raises(ConfigError, match="nowhere"):
        _core.Executor(graph)


def test_a_waiting_run_releases_the_lock_and_is_ended_by_a_stop(log: _core.Log) -> None:
    events = open_topic(log, 1, 1, EVENTS)
    graph = _core.Graph()
    source = graph.add_topic_source("events", log, events, event_time="ts", bounded=False)
    out = graph.add_collect("out", source)
    executor = _core.Executor(graph)
    assert executor.run(0) == "idle"

    has_arrived = threading.Event()

    def produce() -> None:
        events[0].append(batch_of([(1, 1, 1)]), timestamps=0)
        has_arrived.wait()
        executor.request_stop()

    other = threading.Thread(target=produce)
    other.start()
    while executor.metrics()[0].records_in == 0:
        executor.run(100_000)
    has_arrived.set()
    while executor.run(60_000_000) != "stopped":
        pass
    other.join()
    assert rows_of(executor.take_collected(out)) == [(1, 1, 1)]


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(-60, 60), st.integers(0, 2), st.integers(-5, 5), st.integers(0, 2)),
        max_size=60,
    ),
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
    st.integers(0, 15),
    st.integers(1, 7),
)
def test_windows_equal_the_record_by_record_model(
    tmp_path_factory: pytest.TempPathFactory,
    events: list[tuple[int, int, int, int]],
    size_and_slide: tuple[int, int],
    delay: int,
    batch_rows: int,
) -> None:
    size, slide = max(size_and_slide), min(size_and_slide)
    records = [
        oracle.Record(ts, (key,), (value,), partition) for ts, key, value, partition in events
    ]
    expected = oracle.run(
        records, size=size, slide=slide, out_of_orderness=delay, partitions=range(3)
    )
    log = _core.Log.open(str(tmp_path_factory.mktemp("log")))
    topic = open_topic(log, 1, 3, EVENTS)
    run: list[Event] = []
    for i, (ts, key, value, partition) in enumerate(events):
        run.append((ts, key, value))
        is_last = i + 1 == len(events) or events[i + 1][3] != partition
        if is_last or len(run) == batch_rows:
            topic[partition].append(batch_of(run), timestamps=0)
            run = []
    for threads in (1, 2):
        graph = _core.Graph()
        source = graph.add_topic_source("events", log, topic, event_time="ts", delay=delay)
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
                sum(events[i][2] for i in pane.members),
            )
            for pane in expected.panes
        )
        assert rows_of(executor.take_collected(kept)) == [events[i][:3] for i in expected.late]
    log.close()
