"""Sending records one by one."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import pystream as ps
from pystream import errors
from tests.log.reading import batches_of, rows_of
from tests.oracle.partitioner import partition_of


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
