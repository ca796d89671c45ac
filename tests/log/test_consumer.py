"""Pulling batches: positions, groups, seeking, pausing, and what is refused."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

import pystream as ps
from pystream import TopicPartition

FIRST = TopicPartition("orders", 0)
SECOND = TopicPartition("orders", 1)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ps.Log]:
    with ps.open(tmp_path / "log") as opened:
        opened.create_topic("orders", schema={"n": "int64"}, partitions=2)
        yield opened


def append(log: ps.Log, partition: int, *numbers: int) -> None:
    with log.producer() as producer:
        values = {"n": np.array(numbers, dtype="int64")}
        producer.send_batch("orders", values, partition=partition)


def read(consumer: ps.Consumer, **options: int) -> list[tuple[int, int, list[int]]]:
    return [
        (batch.partition, batch.base_offset, batch["n"].to_pylist())
        for batch in consumer.batches(timeout="0s", **options)
    ]


def test_batches_come_in_append_order_over_partitions(log: ps.Log) -> None:
    append(log, 1, 10, 11)
    append(log, 0, 20)
    append(log, 1, 12)
    with log.consumer("orders", auto_offset_reset="earliest") as consumer:
        assert read(consumer) == [(1, 0, [10, 11]), (0, 0, [20]), (1, 2, [12])]
        assert read(consumer) == []


def test_latest_is_the_default_and_skips_what_is_there(log: ps.Log) -> None:
    append(log, 0, 1, 2)
    with log.consumer("orders") as consumer:
        assert read(consumer) == []
        append(log, 0, 3)
        assert read(consumer) == [(0, 2, [3])]


def test_max_records_cuts_batches(log: ps.Log) -> None:
    append(log, 0, 1, 2, 3, 4, 5)
    with log.consumer("orders", auto_offset_reset="earliest") as consumer:
        parts = read(consumer, max_records=2)
    assert parts == [(0, 0, [1, 2]), (0, 2, [3, 4]), (0, 4, [5])]


def test_seek_into_a_batch(log: ps.Log) -> None:
    append(log, 0, 1, 2, 3)
    with log.consumer("orders", auto_offset_reset="earliest") as consumer:
        consumer.seek(FIRST, 1)
        assert consumer.position(FIRST) == 1
        assert read(consumer) == [(0, 1, [2, 3])]
        consumer.seek_to_beginning(FIRST)
        assert read(consumer) == [(0, 0, [1, 2, 3])]
        consumer.seek_to_beginning()
        consumer.seek_to_end()
        assert read(consumer) == []
        assert consumer.position(FIRST) == 3


def test_seek_past_the_ends_names_them(log: ps.Log) -> None:
    append(log, 0, 1, 2, 3)
    with log.consumer("orders", auto_offset_reset="earliest") as consumer:
        for offset in (-1, 4):
            with pytest.raises(ps.errors.OffsetOutOfRangeError, match=r"0.*3"):
                consumer.seek(FIRST, offset)
        assert consumer.position(FIRST) == 0
        assert read(consumer) == [(0, 0, [1, 2, 3])]


def test_committed_offsets_are_where_the_next_consumer_begins(log: ps.Log) -> None:
    append(log, 0, 1, 2, 3)
    with log.consumer("orders", group_id="g", auto_offset_reset="earliest") as consumer:
        assert consumer.committed(FIRST) is None
        next(consumer.batches(timeout="0s", max_records=2))
        consumer.commit()
        assert consumer.committed(FIRST) == 2
        assert consumer.committed(SECOND) == 0
    with log.consumer("orders", group_id="g") as consumer:
        assert read(consumer) == [(0, 2, [3])]
    with log.consumer("orders", group_id="other") as consumer:
        assert consumer.committed(FIRST) is None


def test_commit_of_given_offsets(log: ps.Log) -> None:
    append(log, 0, 1, 2, 3)
    with log.consumer(group_id="g") as consumer:
        consumer.commit({FIRST: 1})
        assert consumer.committed(FIRST) == 1
        for offset in (-1, 4):
            with pytest.raises(ps.errors.OffsetOutOfRangeError, match="log end offset is 3"):
                consumer.commit({SECOND: 0, FIRST: offset})
        assert consumer.committed(SECOND) is None


def test_reset_none_refuses_to_guess(log: ps.Log) -> None:
    with pytest.raises(ps.errors.OffsetOutOfRangeError, match="no committed offset"):
        log.consumer("orders", group_id="g", auto_offset_reset="none")


def test_assign_needs_no_membership(log: ps.Log) -> None:
    append(log, 0, 1)
    append(log, 1, 2)
    with log.consumer("orders", group_id="g"), log.consumer(group_id="g") as other:
        other.assign([SECOND])
        other.seek_to_beginning()
        assert other.assignment() == {SECOND}
        assert other.subscription() == set()
        assert read(other) == [(1, 0, [2])]


def test_pause_and_resume(log: ps.Log) -> None:
    append(log, 0, 1)
    append(log, 1, 2)
    with log.consumer("orders", auto_offset_reset="earliest") as consumer:
        consumer.pause(FIRST)
        assert consumer.paused() == {FIRST}
        assert read(consumer) == [(1, 0, [2])]
        consumer.resume(FIRST)
        assert read(consumer) == [(0, 0, [1])]


def test_waiting_consumer_wakes_when_something_is_appended(log: ps.Log) -> None:
    with log.consumer("orders") as consumer:
        writer = threading.Timer(0.05, append, (log, 1, 7))
        writer.start()
        batch = next(consumer.batches(timeout="30s"))
        writer.join()
    assert batch["n"].to_pylist() == [7]


def test_beginning_and_end_offsets(log: ps.Log) -> None:
    append(log, 0, 1, 2)
    with log.consumer() as consumer:
        assert consumer.beginning_offsets([FIRST, SECOND]) == {FIRST: 0, SECOND: 0}
        assert consumer.end_offsets([FIRST, SECOND]) == {FIRST: 2, SECOND: 0}


def test_batch_stays_valid_after_consumer_and_log_are_closed(tmp_path: Path) -> None:
    with ps.open(tmp_path / "other") as log:
        log.create_topic("orders", schema={"n": "int64"})
        append(log, 0, 1, 2, 3)
        with log.consumer("orders", auto_offset_reset="earliest") as consumer:
            (batch,) = consumer.batches(timeout="0s")
            numbers = batch["n"].to_numpy()
        log.delete_topic("orders")
    assert numbers.tolist() == [1, 2, 3]


# -- refused ---------------------------------------------------------------------------------------


def test_unknown_topic_and_partition(log: ps.Log) -> None:
    with pytest.raises(ps.errors.UnknownTopicError, match="'order'"):
        log.consumer("order")
    with log.consumer() as consumer, pytest.raises(ps.errors.UnknownTopicError, match="2"):
        consumer.assign([TopicPartition("orders", 2)])


def test_use_after_close(log: ps.Log) -> None:
    consumer = log.consumer("orders")
    consumer.close()
    consumer.close()
    with pytest.raises(ps.errors.ClosedError):
        consumer.position(FIRST)
    with pytest.raises(ps.errors.ClosedError):
        next(consumer.batches(timeout="0s"))


def test_commit_without_a_group(log: ps.Log) -> None:
    with log.consumer("orders") as consumer, pytest.raises(ps.errors.ConfigError, match="group_id"):
        consumer.commit()


def test_position_of_a_partition_that_is_not_assigned(log: ps.Log) -> None:
    with log.consumer() as consumer, pytest.raises(ps.errors.ConfigError, match="not assigned"):
        consumer.position(FIRST)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"auto_offset_reset": "newest"}, "auto_offset_reset"),
        ({"group_id": ""}, "group_id"),
        ({"timeout": "-1s"}, "between zero"),
        ({"max_poll_records": 0}, "max_poll_records"),
    ],
)
def test_wrong_settings(log: ps.Log, settings: dict[str, object], message: str) -> None:
    with pytest.raises(ps.errors.ConfigError, match=message):
        log.consumer(**settings)


def test_consumer_made_before_a_fork_is_the_parents(log: ps.Log) -> None:
    append(log, 0, 1)
    consumer = log.consumer("orders", group_id="g", auto_offset_reset="earliest")
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            next(consumer.batches(timeout="0s"))
            os.write(write_end, b"no error")
        except ps.errors.LogError as error:
            os.write(write_end, str(error).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    os.waitpid(child, 0)
    with os.fdopen(read_end) as answer:
        assert "before a fork" in answer.read()
    with log.consumer("orders", group_id="g") as other:
        assert other.assignment() == set()  # the child's end did not drop the lock
    assert read(consumer) == [(0, 0, [1])]
    consumer.close()


# -- single records --------------------------------------------------------------------------------


def test_timeout_may_be_set_between_two_records(log: ps.Log) -> None:
    log.create_topic("t")
    with log.producer() as producer:
        producer.send("t", b"a")
    with log.consumer("t", auto_offset_reset="earliest") as consumer:
        assert consumer.timeout is None
        records = iter(consumer)
        assert next(records).value == b"a"
        consumer.timeout = "10ms"
        assert consumer.timeout == timedelta(milliseconds=10)
        assert next(records, None) is None
        with log.producer() as producer:
            producer.send("t", b"b")
        assert next(records).value == b"b"  # the same iterator goes on
        with pytest.raises(ps.errors.ConfigError, match="timeout"):
            consumer.timeout = 5  # type: ignore[assignment]


def test_iteration_yields_records_and_ends_after_the_timeout(log: ps.Log) -> None:
    append(log, 0, 1, 2)
    append(log, 1, 3)
    with log.consumer("orders", auto_offset_reset="earliest", timeout="0s") as consumer:
        seen = [(r.partition, r.offset, r["n"], r.value) for r in consumer]
    assert seen == [(0, 0, 1, {"n": 1}), (0, 1, 2, {"n": 2}), (1, 0, 3, {"n": 3})]


def test_position_follows_single_records_and_batches_go_on_from_there(log: ps.Log) -> None:
    append(log, 0, 1, 2, 3, 4)
    with log.consumer(
        "orders", group_id="g", auto_offset_reset="earliest", timeout="0s"
    ) as consumer:
        for record in consumer:
            assert consumer.position(FIRST) == record.offset + 1
            if record["n"] == 2:
                break
        consumer.commit()
        assert consumer.committed(FIRST) == 2
        assert read(consumer) == [(0, 2, [3, 4])]


def test_iteration_goes_on_after_a_break(log: ps.Log) -> None:
    append(log, 0, 1, 2, 3)
    with log.consumer("orders", auto_offset_reset="earliest", timeout="0s") as consumer:
        assert next(iter(consumer))["n"] == 1
        assert [record["n"] for record in consumer] == [2, 3]


def test_seek_during_iteration(log: ps.Log) -> None:
    append(log, 0, 1, 2, 3)
    with log.consumer("orders", auto_offset_reset="earliest", timeout="0s") as consumer:
        assert next(iter(consumer))["n"] == 1
        consumer.seek(FIRST, 2)
        assert [record["n"] for record in consumer] == [3]


def test_poll_returns_records_by_partition(log: ps.Log) -> None:
    append(log, 0, 1, 2, 3)
    append(log, 1, 4)
    with log.consumer("orders", auto_offset_reset="earliest") as consumer:
        polled = consumer.poll(max_records=2)
        assert {name: [r["n"] for r in records] for name, records in polled.items()} == {
            FIRST: [1, 2]
        }
        polled = consumer.poll()
        assert {name: [r["n"] for r in records] for name, records in polled.items()} == {
            FIRST: [3],
            SECOND: [4],
        }
        assert consumer.poll() == {}


def test_kafka_shaped_records_have_key_value_headers_and_timestamp(log: ps.Log) -> None:
    log.create_topic("plain")
    with log.producer() as producer:
        producer.send(
            "plain", b"v", key=b"k", headers=[("h", b"1")], timestamp=1_700_000_000_000_000
        )
        producer.send("plain", None, key=b"gone")
    with log.consumer("plain", auto_offset_reset="earliest", timeout="0s") as consumer:
        first, second = consumer
    assert (first.key, first.value, first.headers) == (b"k", b"v", [("h", b"1")])
    assert first.timestamp == 1_700_000_000_000_000
    assert (second.key, second.value, second.headers) == (b"gone", None, [])


# -- reading ahead -----------------------------------------------------------------------------


@pytest.fixture
def reader(log: ps.Log) -> Iterator[ps.Consumer]:
    """Of twelve batches of three records each, in turn in the two partitions."""
    for begin in range(0, 36, 3):
        append(log, begin // 3 % 2, begin, begin + 1, begin + 2)
    with log.consumer("orders", auto_offset_reset="earliest", timeout="0s") as consumer:
        yield consumer


def numbers(batches: Iterable[ps.RecordBatch]) -> list[int]:
    return [n for batch in batches for n in batch["n"].to_pylist()]


def test_reading_ahead_moves_no_position(reader: ps.Consumer) -> None:
    batches = iter(reader.batches())
    assert next(batches)["n"].to_pylist() == [0, 1, 2]
    assert (reader.position(FIRST), reader.position(SECOND)) == (3, 0)
    assert next(batches)["n"].to_pylist() == [3, 4, 5]
    assert (reader.position(FIRST), reader.position(SECOND)) == (3, 3)


def test_a_seek_forgets_what_was_read_ahead(reader: ps.Consumer) -> None:
    batches = iter(reader.batches())
    next(batches)
    reader.seek(FIRST, 1)
    assert next(batches)["n"].to_pylist() == [1, 2]
    assert numbers(batches) == list(range(3, 36))


def test_a_paused_partition_gives_nothing_that_was_read_ahead(reader: ps.Consumer) -> None:
    batches = iter(reader.batches())
    next(batches)
    reader.pause(SECOND)
    assert {batch.partition for batch in batches} == {0}
    reader.resume(SECOND)
    assert numbers(reader.batches()) == [n for n in range(36) if n // 3 % 2 == 1]


def test_a_cut_batch_goes_on_between_other_ways_of_reading(reader: ps.Consumer) -> None:
    batches = iter(reader.batches(max_records=2))
    assert next(batches)["n"].to_pylist() == [0, 1]
    assert next(iter(reader))["n"] == 2
    assert next(batches)["n"].to_pylist() == [3, 4]
    assert [record["n"] for record in reader.poll(max_records=2)[SECOND]] == [5]
    assert numbers(batches) == list(range(7, 36))


def test_a_busy_partition_does_not_starve_an_idle_one(log: ps.Log, reader: ps.Consumer) -> None:
    for seen, batch in enumerate(reader.batches()):
        append(log, 0, seen)
        if seen == 20:
            append(log, 1, -1)
        if batch["n"].to_pylist() == [-1]:
            break
        assert seen < 50
    else:
        pytest.fail("the partition was never read")


def test_nothing_keeps_a_batch_that_was_handed_out(reader: ps.Consumer) -> None:
    for batch in reader.batches():
        stored = batch._stored
        assert sys.getrefcount(stored) == 3  # the batch, the variable and the call


class Meanwhile:
    """A fetch of the core during which another thread does something."""

    def __init__(self, consumer: ps.Consumer, what: Callable[[], None]) -> None:
        self.fetcher = consumer._fetcher
        self.native = self.fetcher._begin()
        self.what = what

    def __enter__(self) -> None:
        self.fetcher._native = self  # type: ignore[assignment]
        self.fetcher._epoch = self.fetcher.queue.epoch

    def __exit__(self, *_: object) -> None:
        pass

    def fetch(self, max_batches: int) -> object:
        fetched = self.native.fetch(max_batches)
        self.what()
        return fetched


@pytest.mark.parametrize("offset", [0, 7, 18])
def test_a_seek_wins_against_a_fetch_that_is_going_on(reader: ps.Consumer, offset: int) -> None:
    with Meanwhile(reader, lambda: reader.seek(FIRST, offset)):
        got = numbers(reader.batches())
    first, second = ([n for n in range(36) if n // 3 % 2 == p] for p in (0, 1))
    assert [n for n in got if n // 3 % 2 == 0] == first[offset:]
    assert [n for n in got if n // 3 % 2 == 1] == second


def test_a_pause_wins_against_a_fetch_that_is_going_on(reader: ps.Consumer) -> None:
    with Meanwhile(reader, lambda: reader.pause(FIRST)):
        got = numbers(reader.batches())
    assert got == [n for n in range(36) if n // 3 % 2 == 1]


def test_a_resume_is_seen_by_a_fetch_that_found_nothing(reader: ps.Consumer) -> None:
    reader.pause(FIRST, SECOND)
    with Meanwhile(reader, lambda: reader.resume(FIRST)):
        numbers(reader.batches())
    assert reader._fetcher._epoch != reader._fetcher.queue.epoch
    assert numbers(reader.batches()) == [n for n in range(36) if n // 3 % 2 == 0]


def test_a_seek_of_another_thread_during_reading(log: ps.Log) -> None:
    """Whatever comes is a record of its offset, and positions stay within the log."""
    for begin in range(0, 3000, 3):
        append(log, 0, begin, begin + 1, begin + 2)
    with log.consumer("orders", auto_offset_reset="earliest", timeout="0s") as consumer:
        is_done = threading.Event()

        def jump() -> None:
            random = np.random.default_rng(3)
            while not is_done.is_set():
                consumer.seek(FIRST, int(random.integers(0, 3000)))
                time.sleep(0.0001)

        thread = threading.Thread(target=jump)
        thread.start()
        try:
            for _ in range(200):
                for batch in consumer.batches():
                    rows = batch["n"].to_pylist()
                    assert rows == list(range(batch.base_offset, batch.next_offset))
                    assert rows
        finally:
            is_done.set()
            thread.join()
