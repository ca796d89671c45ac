"""The snapshot of a job as an Arrow tool sees it: tables with names and plain columns."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pyarrow as pa
import pytest

from pystream._native import _core
from pystream.errors import CheckpointError, ConfigError
from tests.native_api.test_runtime import EVENTS, add_totals, batch_of


def job(names: tuple[str, ...] = ("events",)) -> _core.Graph:
    graph = _core.Graph()
    for name in names:
        batches = [batch_of([(1, 7, 10), (2, 8, 20)]), batch_of([(3, 7, 30)])]
        port = graph.add_batch_source(name, batches, EVENTS, event_time="ts")
        graph.add_collect(f"out-{name}", add_totals(graph, port, 60_000, 60_000)[0])
    return graph


def snapshot() -> _core.JobSnapshot:
    executor = _core.Executor(job(), round_rows=1)
    assert executor.run(0) == "budget"
    taken = executor.snapshot()
    assert taken is not None
    return taken


def table(taken: _core.JobSnapshot, operator: str | None, name: str) -> pa.Table:
    return pa.Table.from_batches([pa.record_batch(b) for b in taken.tables(operator)[name]])


def test_every_operator_gives_its_tables() -> None:
    taken = snapshot()
    assert taken.operators == ["events", "totals", "out-events"]
    source = table(taken, "events", "operator").to_pylist()
    assert [(row["kind"], row["rows_read"]) for row in source] == [("batch source", 2)]
    assert table(taken, None, "operator")["arrivals"].to_pylist() == [2]
    keys = table(taken, "totals", "keys")
    assert keys.column_names == ["key_group", "key.key"]
    # Every window knows the null key; it is no key of a row here.
    assert set(keys["key.key"].to_pylist()) == {7, 8, None}


def test_parts_have_the_rows_of_their_key_groups_and_all_that_has_no_key() -> None:
    taken = snapshot()
    parts = taken.split(3)
    assert len(parts) == 3
    for part in parts:
        assert table(part, "events", "operator") == table(taken, "events", "operator")
    found = [
        key
        for part in parts
        for batch in part.tables("totals")["keys"]
        for key in pa.record_batch(batch)["key.key"].to_pylist()
    ]
    assert sorted(found, key=str) == [7, 8, None]


def test_an_operator_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match="no operator 'total', but events, totals, out-events"):
        snapshot().tables("total")


def test_another_job_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"into a job of events, totals, .*others"):
        _core.Executor(job(("events", "others")), restored=[snapshot()])


def test_a_source_that_counts_in_another_unit_is_refused() -> None:
    schema = _core.Schema([("ts", _core.DataType("int64"), False)])
    batch = _core.RecordBatch.from_numpy(schema, {"ts": np.array([1, 2])})

    def counting(unit: Literal["s", "ms"]) -> _core.Graph:
        graph = _core.Graph()
        source = graph.add_batch_source("in", [batch], schema, event_time="ts", int64_unit=unit)
        graph.add_collect("out", source)
        return graph

    taken = _core.Executor(counting("s")).snapshot()
    assert taken is not None
    _core.Executor(counting("s"), restored=[taken])
    with pytest.raises(CheckpointError, match=r"event time 'ts' int64 as timestamp\[s\], delay 0"):
        _core.Executor(counting("ms"), restored=[taken])
