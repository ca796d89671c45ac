"""Sessions with allowed lateness against the model of one record at a time, through the graph.

Every pane counts, and so does their order, whatever the cuts of the input and of the engine.
"""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pystream._native import _core
from tests.oracle.sessions import run_sessions
from tests.oracle.windows import Record, rows

AGGREGATES = [
    ("n", "count_all", None),
    ("total", "sum", "value"),
    ("last", "last", "value", None, ()),
]
INT64 = _core.DataType("int64")
SCHEMA = _core.Schema([(name, INT64, True) for name in ("id", "ts", "key", "value")])


@st.composite
def streams(draw: st.DrawFn) -> list[Record]:
    clock = draw(st.integers(-100, 100))
    records = []
    for index in range(draw(st.integers(0, 50))):
        clock += draw(st.integers(0, 6) | st.integers(0, 40))
        lag = draw(st.integers(0, 3) | st.integers(0, 80))
        records.append(Record(clock - lag, (draw(st.integers(0, 2)),), (index,)))
    return records


def batches_of(records: list[Record], length: int) -> list[_core.RecordBatch]:
    table = pa.table(
        {
            "id": pa.array(range(len(records)), pa.int64()),
            "ts": pa.array([record.timestamp for record in records], pa.int64()),
            "key": pa.array([record.key[0] for record in records], pa.int64()),
            "value": pa.array([record.values[0] for record in records], pa.int64()),
        }
    )
    return [
        batch
        for begin in range(0, len(records), length)
        for batch in _core.RecordBatch.from_arrow(table.slice(begin, length).combine_chunks())
    ]


def run(
    batches: list[_core.RecordBatch], gap: int, lateness: int, delay: int, round_rows: int
) -> tuple[list[tuple[object, ...]], list[int]]:
    graph = _core.Graph()
    source = graph.add_batch_source("source", batches, SCHEMA, event_time="ts", delay=delay)
    results, late = graph.add_session_window(
        "sessions",
        source,
        gap=gap,
        keys=["key"],
        event_time="ts",
        aggregates=AGGREGATES,
        allowed_lateness=lateness,
    )
    collects = [graph.add_collect("results", results), graph.add_collect("late", late)]
    executor = _core.Executor(graph, round_rows=round_rows)
    while executor.run(1_000_000) != "finished":
        pass
    found, late_rows = (executor.take_collected(node) for node in collects)
    return (
        [tuple(row.values()) for batch in found for row in pa.record_batch(batch).to_pylist()],
        [row["id"] for batch in late_rows for row in pa.record_batch(batch).to_pylist()],
    )


@given(streams(), st.integers(1, 15), st.integers(0, 60), st.integers(0, 20), st.integers(1, 20))
@settings(max_examples=200)
def test_sessions_with_allowed_lateness_agree_with_the_oracle(
    records: list[Record], gap: int, lateness: int, delay: int, length: int
) -> None:
    wanted = run_sessions(
        records, gap=gap, allowed_lateness=lateness, out_of_orderness=delay, partitions=[0]
    )
    expected = rows(wanted, records, [("count_all", None), ("sum", 0), ("last", 0)])
    batches = batches_of(records, length)
    for round_rows in (1, 1000):
        assert run(batches, gap, lateness, delay, round_rows) == (expected, wanted.late)
