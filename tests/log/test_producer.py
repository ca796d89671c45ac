"""Sending records one by one and in tables."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
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

PAYMENTS = {"user": "string", "amount": "float64", "ts": "timestamp[ms]"}


@pytest.fixture
def payments(log: ps.Log) -> ps.Topic:
    return log.create_topic("payments", PAYMENTS, key="user", partitions=4)


# -- single records ------------------------------------------------------------------------------


def test_records_arrive_in_order_in_the_partition_of_their_key(
    log: ps.Log, payments: ps.Topic
) -> None:
    sent = [{"user": f"u{i % 7}", "amount": i / 2, "ts": i} for i in range(1000)]
    with log.producer() as producer:
        deliveries = [producer.send("payments", record) for record in sent]
    found = {p: rows_of(log, "payments", p) for p in range(4)}
    for number, rows in found.items():
        expected = [r for r in sent if partition_of(r["user"].encode(), 4) == number]
        assert [(r["user"], r["amount"]) for r in rows] == [
            (r["user"], r["amount"]) for r in expected
        ]
    for record, delivery in zip(sent, deliveries, strict=True):
        assert delivery.done()
        assert delivery.exception() is None
        where = delivery.result()
        assert found[where.partition][where.offset]["amount"] == record["amount"]
        assert where.topic == "payments"


def test_topic_without_schema_takes_bytes_and_text(log: ps.Log) -> None:
    log.create_topic("lines", partitions=3)
    with log.producer() as producer:
        delivery = producer.send("lines", "wört", key="k")
        producer.send("lines", b"\xff", key=b"k", partition=delivery.result().partition)
        producer.send("lines", None, key="k")
    number = partition_of(b"k", 3)
    assert delivery.result().partition == number
    assert rows_of(log, "lines", number) == [
        {"key": b"k", "value": "wört".encode()},
        {"key": b"k", "value": b"\xff"},
        {"key": b"k", "value": None},
    ]


def test_records_without_a_key_fill_one_batch_after_another(log: ps.Log) -> None:
    log.create_topic("lines", partitions=3)
    with log.producer(linger="1h") as producer:
        for _ in range(6):
            producer.send("lines", b"x")
            producer.send("lines", b"x")
            producer.flush()
    assert [end.end for end in log.topic("lines").ends()] == [4, 4, 4]


def test_explicit_partition_and_timestamp(log: ps.Log, payments: ps.Topic) -> None:
    with log.producer() as producer:
        delivery = producer.send("payments", {"user": "a"}, partition=3, timestamp=1_000_000)
    assert delivery.result() == ("payments", 3, 0, 1_000_000, False)
    (batch,) = batches_of(log, "payments", 3)
    assert batch.timestamps.tolist() == [np.datetime64(1, "s")]


def test_append_time_topics_stamp_the_append(log: ps.Log) -> None:
    log.create_topic("t", timestamp_type="append_time")
    with log.producer() as producer:
        delivery = producer.send("t", b"x", timestamp=5)
    (batch,) = batches_of(log, "t", 0)
    assert batch.timestamps.astype("i8").tolist() == [delivery.result().timestamp]
    assert delivery.result().timestamp > 10**15


def test_batch_closes_by_size_without_flush(log: ps.Log) -> None:
    log.create_topic("t")
    with log.producer(batch_size=1000, linger="1h") as producer:
        first = producer.send("t", b"x" * 600)
        assert not first.done()
        second = producer.send("t", b"x" * 600)
        assert second.result("30s").offset == 1
        assert first.done()


def test_batch_closes_by_linger_without_flush(log: ps.Log) -> None:
    log.create_topic("t")
    with log.producer(linger="1ms") as producer:
        assert producer.send("t", b"x").result("30s").offset == 0
        assert producer.send("t", b"y").result("30s").offset == 1


def test_producer_compression_overrides_the_topics(log: ps.Log) -> None:
    log.create_topic("t")
    for compression in (None, "lz4"):
        with log.producer(compression=compression) as producer:
            producer.send("t", b"x" * 100_000)
    plain, packed = (batch._stored for batch in batches_of(log, "t", 0))
    assert plain is not None
    assert packed is not None
    assert packed.stored_bytes < plain.stored_bytes / 10


def test_callbacks_run_when_the_batch_is_appended(log: ps.Log) -> None:
    log.create_topic("t")
    seen: list[int] = []
    with log.producer(linger="1h") as producer:
        for _ in range(3):
            producer.send("t", b"x").add_done_callback(lambda d: seen.append(d.result().offset))
        assert seen == []
        producer.flush()
        assert seen == [0, 1, 2]
        delivery = producer.send("t", b"x")
        producer.flush()
        delivery.add_done_callback(lambda d: seen.append(d.result().offset))
    assert seen == [0, 1, 2, 3]


def test_callback_that_raises_is_logged_and_harms_nobody(
    log: ps.Log, caplog: pytest.LogCaptureFixture
) -> None:
    log.create_topic("t")
    seen: list[object] = []

    def bad(delivery: object) -> None:
        raise RuntimeError("boom")

    with log.producer() as producer:
        delivery = producer.send("t", b"x")
        delivery.add_done_callback(bad)
        delivery.add_done_callback(seen.append)
    assert seen == [delivery]
    assert "boom" in caplog.text


def test_callback_cannot_wait_for_itself(log: ps.Log) -> None:
    log.create_topic("t")
    seen: list[str] = []

    def meddle(delivery: ps.Delivery) -> None:
        for wait in (producer.flush, producer.close, lambda: producer.send_batch("t", [])):
            with pytest.raises(errors.ClientError, match="wait for the callback itself"):
                wait()
        producer.send("t", b"more")
        seen.append("done")

    with log.producer(linger="1ms") as producer:
        producer.send("t", b"x").add_done_callback(meddle)
        producer.flush()
        assert seen == ["done"]
    assert [row["value"] for row in rows_of(log, "t")] == [b"x", b"more"]


def test_deliveries_of_a_batch_that_is_appended_in_parts(log: ps.Log) -> None:
    """A stored batch has at most 65,536 rows."""
    log.create_topic("t", {"n": "int32"})
    count = 150_000
    with log.producer(batch_size="64MiB", linger="1h", buffer_memory="64MiB") as producer:
        deliveries = [producer.send("t", {"n": n}) for n in range(count)]
    assert len(batches_of(log, "t", 0)) == 3
    rows = rows_of(log, "t")
    for n in (0, 65_535, 65_536, 131_072, count - 1):
        assert rows[deliveries[n].result().offset]["n"] == n


def test_result_with_timeout(log: ps.Log) -> None:
    log.create_topic("t")
    with log.producer(linger="1h") as producer:
        delivery = producer.send("t", b"x")
        with pytest.raises(errors.RequestTimeoutError, match="within 1ms"):
            delivery.result("1ms")
        with pytest.raises(TimeoutError):
            delivery.exception("1ms")


def test_threads_may_share_a_producer(log: ps.Log, payments: ps.Topic) -> None:
    with log.producer(batch_size=4096) as producer:

        def work(number: int) -> None:
            for i in range(2000):
                producer.send("payments", {"user": f"t{number}", "amount": float(i)})

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    rows = rows_of(log, "payments")
    for number in range(4):
        mine = [r["amount"] for r in rows if r["user"] == f"t{number}"]
        assert mine == [float(i) for i in range(2000)]


def test_program_that_ends_without_close_loses_nothing(tmp_path: Path) -> None:
    program = (
        "import sys, pystream as ps\n"
        "log = ps.open(sys.argv[1])\n"
        "log.create_topic('t')\n"
        "producer = log.producer(linger='1h')\n"
        "for i in range(100): producer.send('t', str(i))\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program, tmp_path], check=True)
    with ps.open(tmp_path) as log:
        assert [row["value"] for row in rows_of(log, "t")] == [b"%d" % i for i in range(100)]


def test_closing_the_log_flushes_its_producers(tmp_path: Path) -> None:
    log = ps.open(tmp_path)
    log.create_topic("t")
    producer = log.producer(linger="1h")
    delivery = producer.send("t", b"x")
    log.close()
    assert producer.is_closed
    assert delivery.result().offset == 0


# -- what bad input gets -------------------------------------------------------------------------


def test_unknown_topic_and_partition(log: ps.Log, payments: ps.Topic) -> None:
    with log.producer() as producer:
        for topic in ("payment", None, 7):
            with pytest.raises(errors.UnknownTopicError, match="does not exist"):
                producer.send(topic, {})  # type: ignore[arg-type]
        with pytest.raises(errors.UnknownTopicError, match="does not exist"):
            producer.send_batch("payment", {})
        for partition in (4, -1, "1"):
            with pytest.raises(errors.UnknownTopicError, match="partitions are 0 to 3"):
                producer.send("payments", {"user": "a"}, partition=partition)  # type: ignore[arg-type]
        with pytest.raises(errors.UnknownTopicError, match="partitions are 0 to 3"):
            producer.send_batch("payments", [{"user": "a"}], partition=4)
    assert rows_of(log, "payments") == []


@pytest.mark.parametrize(
    ("record", "facts"),
    [
        ({"user": 7}, ("user", "string", "int 7")),
        ({"user": b"a"}, ("user", "string", "bytes b'a'")),
        ({"user": "a", "amount": "9"}, ("amount", "float64", "str '9'")),
        ({"user": "a", "amount": True}, ("amount", "float64", "bool True")),
        ({"user": "a", "ts": 1.5}, ("ts", "timestamp[ms]", "float 1.5")),
        ({"user": "\ud800"}, ("user", "string", "str '\\ud800'")),
        ({"user": "a", "colour": 1}, ("colour", "nothing", "int")),
        ([1], (None, "dict", "list")),
        (None, (None, "dict", "NoneType")),
    ],
)
def test_wrong_record_names_topic_column_expected_and_got(
    log: ps.Log, payments: ps.Topic, record: Any, facts: tuple[str, str, str]
) -> None:
    with log.producer() as producer:
        producer.send("payments", {"user": "before"})
        with pytest.raises(errors.SchemaError, match="topic 'payments'") as caught:
            producer.send("payments", record)
        producer.send("payments", {"user": "after"})
    error = caught.value
    assert error.topic == "payments"
    assert (error.column, error.expected, error.got) == facts
    assert isinstance(error, TypeError)
    assert sorted(row["user"] for row in rows_of(log, "payments")) == ["after", "before"]


def test_missing_column_is_null_where_it_may_be(log: ps.Log) -> None:
    log.create_topic("t", {"a": "int64 not null", "b": "string"})
    with log.producer() as producer:
        producer.send("t", {"a": 1})
        with pytest.raises(errors.SchemaError, match=r"'a' \(int64\) is missing") as caught:
            producer.send("t", {"b": "x"})
        assert caught.value.column == "a"
        with pytest.raises(errors.SchemaError, match="null, but the column is not nullable"):
            producer.send("t", {"a": None})
    assert rows_of(log, "t") == [{"a": 1, "b": None}]


def test_key_of_a_typed_topic_is_a_column(log: ps.Log, payments: ps.Topic) -> None:
    with log.producer() as producer, pytest.raises(errors.ConfigError, match="Leave key= out"):
        producer.send("payments", {"user": "a"}, key="a")


@pytest.mark.parametrize(
    "headers", [[("a",)], [("a", 1)], [(b"a", b"b")], ["ab"], [("a", b"b"), None]]
)
def test_wrong_headers(log: ps.Log, headers: Any) -> None:
    log.create_topic("t")
    with log.producer() as producer, pytest.raises(errors.ConfigError, match="header"):
        producer.send("t", b"x", headers=headers)
    assert rows_of(log, "t") == []


def test_record_larger_than_the_limit(log: ps.Log) -> None:
    log.create_topic("t")
    with log.producer(max_record_bytes="1KiB") as producer:
        producer.send("t", b"x" * 1000)
        with pytest.raises(errors.RecordTooLargeError, match="max_record_bytes is 1024") as caught:
            producer.send("t", b"x" * 1025)
        assert (caught.value.size, caught.value.limit) == (1025, 1024)
        with pytest.raises(errors.RecordTooLargeError):
            producer.send_batch("t", [{"value": b"small"}, {"value": b"x" * 5000}])
    assert len(rows_of(log, "t")) == 1


def test_use_after_close(log: ps.Log) -> None:
    log.create_topic("t")
    producer = log.producer()
    producer.send("t", b"x")
    producer.close()
    producer.close()
    for use in (
        lambda: producer.send("t", b"x"),
        lambda: producer.send_batch("t", [{"value": b"x"}]),
        producer.flush,
    ):
        with pytest.raises(errors.ClosedError, match="the producer is closed"):
            use()


@pytest.mark.parametrize("acks", ["published", "interval", "durable", 0, 1, "all", -1])
def test_acks(log: ps.Log, acks: Any) -> None:
    log.create_topic("t")
    with log.producer(acks=acks) as producer:
        assert producer.send("t", b"x").result().offset == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"acks": "some"},
        {"acks": True},
        {"batch_size": 0},
        {"linger": 5},
        {"linger": "-1ms"},
        {"compression": "gzip"},
        {"buffer_memory": "lots"},
        {"max_block": None},
    ],
)
def test_wrong_settings(log: ps.Log, settings: dict[str, Any]) -> None:
    with pytest.raises(errors.ConfigError, match=f"{next(iter(settings))} is"):
        log.producer(**settings)


def test_table_goes_to_a_topic_that_was_made_again(log: ps.Log) -> None:
    schema = {"n": "int64"}
    log.create_topic("t", schema)
    with log.producer() as producer:
        for partitions in (1, 2):
            for partition in (None, 0):
                (sent,) = producer.send_batch("t", {"n": [1]}, partition=partition)
            assert sent.base_offset >= 0
            log.delete_topic("t")
            log.create_topic("t", schema, partitions=partitions + 1)
        (sent,) = producer.send_batch("t", {"n": [2]}, partition=2)
        assert sent == ps.BatchMetadata("t", 2, 0, 1)


def test_topic_deleted_under_a_producer(log: ps.Log) -> None:
    log.create_topic("t")
    with log.producer(linger="1h") as producer:
        kept = producer.send("t", b"1")
        producer.flush()
        lost = producer.send("t", b"2")
        log.delete_topic("t")
        with pytest.raises(errors.UnknownTopicError, match="was deleted"):
            producer.flush()
        assert isinstance(lost.exception(), errors.UnknownTopicError)
        assert kept.result().offset == 0
        with pytest.raises(errors.UnknownTopicError, match="does not exist"):
            producer.send("t", b"3")
        log.create_topic("t")
        producer.send("t", b"4")
        producer.flush()
    assert [row["value"] for row in rows_of(log, "t")] == [b"4"]


def test_topic_deleted_while_a_table_is_on_its_way_takes_no_table(log: ps.Log) -> None:
    def rows_then_delete() -> Iterator[dict[str, int]]:
        yield {"n": 1}
        log.delete_topic("t")

    def create_and_send(producer: ps.Producer) -> None:
        log.create_topic("t", {"n": "int64"})
        producer.send_batch("t", {"n": [0]})

    with log.producer(linger="1h") as producer:
        create_and_send(producer)
        with pytest.raises(errors.UnknownTopicError, match="was deleted"):
            producer.send_batch("t", rows_then_delete())
        create_and_send(producer)
        # The record is appended by another thread first, and its callback deletes the topic.
        log.create_topic("other")
        delivery = producer.send("other", b"1")
        delivery.add_done_callback(lambda _: log.delete_topic("t"))
        with pytest.raises(errors.UnknownTopicError, match="was deleted"):
            producer.send_batch("t", {"n": [1]})


def test_child_of_a_fork_cannot_use_the_parents_producer(log: ps.Log) -> None:
    log.create_topic("t")
    producer = log.producer(linger="1h")
    pending = producer.send("t", b"1")
    child = os.fork()
    if child == 0:
        status = 0
        for use in (lambda: producer.send("t", b"2"), producer.flush, pending.result):
            try:
                use()
                status = 1
            except errors.ClosedError as error:
                status |= 0 if "forked child" in str(error) else 2
        producer.close()
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    producer.close()
    assert pending.result().offset == 0
    assert [row["value"] for row in rows_of(log, "t")] == [b"1"]


# -- tables --------------------------------------------------------------------------------------

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
