"""Sending tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import pystream as ps
from pystream import errors
from tests.log.reading import batches_of, rows_of
from tests.oracle.partitioner import partition_of

USERS = ["ann", "bob", None, "ann"]
AMOUNTS = [1.5, None, 2.5, 3.5]
TIMES = np.array([1, 2, 3, 4], dtype="M8[ms]")


def as_arrow() -> pa.Table:
    return pa.table({"ts": pa.array(TIMES), "user": USERS, "amount": AMOUNTS})


TABLES = {
    "pyarrow table": as_arrow,
    "pyarrow batch": lambda: as_arrow().to_batches()[0],
    "pyarrow reader": lambda: as_arrow().to_reader(max_chunksize=3),
    "pandas": lambda: pd.DataFrame({"user": USERS, "amount": AMOUNTS, "ts": TIMES}),
    "polars": lambda: pl.DataFrame({"user": USERS, "amount": AMOUNTS, "ts": TIMES}),
    "numpy": lambda: {
        "user": np.array(USERS, dtype=object),
        "amount": np.ma.masked_invalid(np.array([1.5, np.nan, 2.5, 3.5])),
        "ts": TIMES,
    },
    "list of dicts": lambda: [
        {"user": u, "amount": a, "ts": t} for u, a, t in zip(USERS, AMOUNTS, TIMES, strict=True)
    ],
    "RecordBatch": lambda: ps.RecordBatch.from_arrow(as_arrow()),
}


@pytest.mark.parametrize("kind", TABLES)
def test_send_batch_takes(kind: str, log: ps.Log, payments: ps.Topic) -> None:
    with log.producer() as producer:
        appended = producer.send_batch("payments", TABLES[kind]())
    rows = rows_of(log, "payments")
    assert sorted(rows, key=lambda row: row["ts"]) == [
        {"user": u, "amount": a, "ts": t}
        for u, a, t in zip(USERS, AMOUNTS, TIMES.tolist(), strict=True)
    ]
    assert sum(part.record_count for part in appended) == 4
    assert all(part.topic == "payments" for part in appended)
    ann = rows_of(log, "payments", partition_of(b"ann", 4))
    assert [row["amount"] for row in ann if row["user"] == "ann"] == [1.5, 3.5]


def test_table_comes_after_what_was_sent_before(log: ps.Log) -> None:
    log.create_topic("t", {"n": "int64"})
    with log.producer(linger="1h") as producer:
        producer.send("t", {"n": 0})
        producer.send_batch("t", {"n": np.arange(1, 4)})
        producer.send("t", {"n": 4})
    assert [row["n"] for row in rows_of(log, "t")] == [0, 1, 2, 3, 4]


def test_table_may_be_changed_when_the_call_returns(log: ps.Log) -> None:
    log.create_topic("t", {"n": "int64"})
    numbers = np.arange(1000)
    with log.producer() as producer:
        producer.send_batch("t", {"n": numbers})
        numbers[:] = -1
    assert [row["n"] for row in rows_of(log, "t")] == list(range(1000))


@pytest.mark.parametrize(
    "given", [7, np.datetime64(7, "us"), np.array([7, 7]), np.array([7, 7], "M8[us]")]
)
def test_timestamps_of_a_table(log: ps.Log, given: Any) -> None:
    log.create_topic("t", {"n": "int64"})
    with log.producer() as producer:
        producer.send_batch("t", {"n": [1, 2]}, timestamp=given)
        with pytest.raises(errors.ConfigError, match="3,"):
            producer.send_batch("t", {"n": [1, 2]}, timestamp=np.arange(3))
    (batch,) = batches_of(log, "t", 0)
    assert batch.timestamps.astype("i8").tolist() == [7, 7]


def test_empty_tables_append_nothing(log: ps.Log, payments: ps.Topic) -> None:
    with log.producer() as producer:
        assert producer.send_batch("payments", as_arrow().slice(0, 0)) == []
        assert producer.send_batch("payments", []) == []
    assert payments.ends() == [(0, 0)] * 4


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ({"user": ["a"], "amount": [1.0], "ts": TIMES[:1], "x": [1]}, "x"),
        ({"user": ["a"], "amount": ["b"], "ts": TIMES[:1]}, "amount"),
        (pa.table({"user": [1], "amount": [1.0], "ts": TIMES[:1]}), "user"),
        ([{"user": "a"}, {"user": 1}], "user"),
    ],
)
def test_table_that_does_not_fit_is_refused_whole(
    log: ps.Log, payments: ps.Topic, table: Any, column: str
) -> None:
    with log.producer() as producer:
        with pytest.raises(errors.SchemaError) as caught:
            producer.send_batch("payments", table)
        assert (caught.value.topic, caught.value.column) == ("payments", column)
        assert "payments" in str(caught.value)
        assert column in str(caught.value)
    assert payments.ends() == [(0, 0)] * 4


def test_first_bad_row_of_dicts_is_named(log: ps.Log, payments: ps.Topic) -> None:
    rows = [{"user": "a"}] * 3 + [{"user": "a", "amount": "x"}]
    with log.producer() as producer, pytest.raises(errors.SchemaError, match="row 3") as caught:
        producer.send_batch("payments", rows)
    assert caught.value.row == 3


@pytest.mark.parametrize("table", [7, "text", b"bytes", None, np.arange(3)])
def test_what_is_no_table(log: ps.Log, payments: ps.Topic, table: Any) -> None:
    with log.producer() as producer, pytest.raises(errors.SchemaError, match="is not a table"):
        producer.send_batch("payments", table)
