"""How does an event-time window job compare with a batch GROUP BY in DuckDB?

20 M events from the log in the page cache, one thread, results as Arrow tables; DuckDB has the
same data in memory, one thread, and returns Arrow too; in W4 it has no window to compute. The
append rate of the same data stands beside, because what an append prepares (dictionaries,
statistics) a read saves.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

import pystream as ps
from bench.datasets import BATCH_ROWS, EVENTS, Columns, events, key_text
from bench.side_by_side import Rival, measure
from pystream import col

MILLIONS = EVENTS / 1e6
AGGREGATES = "count(*) AS n, sum(value) AS s, min(value) AS lo, max(value) AS hi"


@pytest.fixture
def duck() -> Any:
    connection = duckdb.connect(config={"threads": 1})
    yield connection
    connection.close()


@pytest.mark.parametrize(("keys", "aim"), [(1_000, 1.5), (1_000_000, 1.0)])
def test_w1(benchmark: Any, log: ps.Log, duck: Any, keys: int, aim: float) -> None:
    columns = events(keys)
    append(benchmark, log, columns, "int64")
    duck.register("input", pa.table(columns))
    duck.execute("CREATE TABLE events AS SELECT * FROM input")
    compare(
        benchmark,
        lambda: window_job(log).to_arrow(),
        lambda: duck.sql(group_by("key")).to_arrow_table(),
        title=f"W1: tumbling 10 s, {keys:,} int64 keys, count/sum/min/max",
        rival="DuckDB, 1 thread",
        aim=aim,
    )


@pytest.mark.parametrize("enum", [False, True])
def test_w5(benchmark: Any, log: ps.Log, duck: Any, enum: bool) -> None:
    columns = events(10_000)
    texts = key_text(10_000)
    append(benchmark, log, columns, "string", texts)
    keys = pa.DictionaryArray.from_arrays(columns["key"], texts)
    duck.register("input", pa.table({**columns, "key": keys}))
    if enum:
        duck.register("names", pa.table({"name": texts}))
        duck.execute("CREATE TYPE customer AS ENUM (SELECT name FROM names)")
        duck.execute(
            "CREATE TABLE events AS SELECT ts, key::VARCHAR::customer AS key, value FROM input"
        )
    else:
        duck.execute("CREATE TABLE events AS SELECT ts, key::VARCHAR AS key, value FROM input")
    compare(
        benchmark,
        lambda: window_job(log).to_arrow(),
        lambda: duck.sql(group_by("key")).to_arrow_table(),
        title="W5: tumbling 10 s, 10,000 keys of 24 bytes, count/sum/min/max",
        rival="DuckDB, 1 thread, key as ENUM" if enum else "DuckDB, 1 thread",
        aim=2.0,
    )


def test_w4(benchmark: Any, log: ps.Log, duck: Any) -> None:
    columns = events(1_000)
    append(benchmark, log, columns, "int64")
    duck.register("input", pa.table(columns))
    duck.execute("CREATE TABLE events AS SELECT * FROM input")

    def ours() -> pa.Table:
        stream = source(log).filter(col("value") > 0.5).select("ts", x=col("value") * 2)
        return stream.window_all(ps.tumbling("1d")).aggregate(s=col("x").sum()).to_arrow()

    compare(
        benchmark,
        ours,
        lambda: duck.sql(
            "SELECT sum(value * 2) AS s FROM events WHERE value > 0.5"
        ).to_arrow_table(),
        title="W4: filter value > 0.5, project, sum",
        rival="DuckDB, 1 thread",
        aim=0.5,
    )


def source(log: ps.Log) -> ps.Stream:
    strategy = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
    return ps.Environment(log).from_topic("events", watermark=strategy)


def window_job(log: ps.Log) -> ps.Stream:
    value = col("value")
    windows = source(log).key_by("key").window(ps.tumbling("10s"))
    return windows.aggregate(n=ps.count(), s=value.sum(), lo=value.min(), hi=value.max())


def group_by(key: str) -> str:
    # epoch_us, because epoch_ms of a TIMESTAMP_MS fails in DuckDB 2.0.
    return f"SELECT epoch_us(ts) // 10000000 AS w, {key}, {AGGREGATES} FROM events GROUP BY ALL"


def append(
    benchmark: Any,
    log: ps.Log,
    columns: Columns,
    key_type: str,
    texts: np.ndarray[Any, np.dtype[np.object_]] | None = None,
) -> None:
    """Fill the topic; the rate goes into the row of the benchmark."""
    schema = {"ts": "timestamp[ms]", "key": key_type, "value": "float64"}
    log.create_topic("events", schema=schema, key="key")
    parts: list[Any] = []
    for begin in range(0, EVENTS, BATCH_ROWS):
        part: dict[str, Any] = {n: v[begin : begin + BATCH_ROWS] for n, v in columns.items()}
        if texts is not None:  # plain strings, as a user has them
            part["key"] = pa.DictionaryArray.from_arrays(part["key"], texts).dictionary_decode()
            part = pa.table(part)  # type: ignore[assignment]
        parts.append(part)
    with log.producer() as producer:
        started = time.perf_counter()
        for part in parts:
            producer.send_batch("events", part)
        producer.flush()
        benchmark.extra_info["append"] = EVENTS / 1e6 / (time.perf_counter() - started)


def compare(
    benchmark: Any,
    ours: Callable[[], pa.Table],
    theirs: Callable[[], pa.Table],
    *,
    title: str,
    rival: str,
    aim: float,
) -> None:
    mine, other = ours(), theirs()
    assert mine.num_rows == other.num_rows
    assert np.isclose(np.sum(mine["s"].to_numpy()), np.sum(other["s"].to_numpy()), rtol=1e-9)
    measure(
        benchmark,
        ours,
        title=title,
        amount=MILLIONS,
        unit="M events",
        rival=Rival(rival, theirs, aim),
        rounds=3,
    )
