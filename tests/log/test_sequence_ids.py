"""Sequence ids of named producers: which are accepted, and what a repeated one does."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import pystream as ps
from pystream.errors import (
    ConfigError,
    RecordTooLargeError,
    SchemaError,
)
from tests.log.number_topic import NUMBERS, numbers, numbers_of
from tests.log.reading import rows_of

# -- repeated records ------------------------------------------------------------------------------


def test_record_sent_again_is_answered_with_its_offset(log: ps.Log) -> None:
    log.create_topic("numbers", NUMBERS)
    with log.producer(producer_name="loader") as producer:
        first = [producer.send("numbers", {"n": n}) for n in range(3)]
        assert [d.result().offset for d in first] == [0, 1, 2]
        assert not first[0].result().is_duplicate
    with log.producer(producer_name="loader") as producer:
        again = [producer.send("numbers", {"n": n}, sequence_id=n) for n in range(1, 5)]
        producer.flush()
        assert [d.result().offset for d in again] == [1, 2, 3, 4]
        assert [d.result().is_duplicate for d in again] == [True, True, False, False]
        assert all(d.exception() is None for d in again)
        fence = ps.open(log.directory).producer(producer_name="loader")
        assert fence.last_sequence_id("numbers") == 4
    assert numbers_of(log) == [0, 1, 2, 3, 4]


def test_records_sent_again_that_were_deleted_are_given_no_offset(log: ps.Log) -> None:
    log.create_topic("numbers", NUMBERS)
    with log.producer(producer_name="loader") as producer:
        producer.send_batch("numbers", numbers(0, 4))
    log.delete_records({("numbers", 0): 3})
    with log.producer(producer_name="loader", linger="1m") as producer:
        again = [producer.send("numbers", {"n": n}, sequence_id=n) for n in range(1, 5)]
        producer.flush()  # one batch, of nothing else
        assert [d.result().offset for d in again] == [-1, -1, 3, 4]
        assert all(d.result().is_duplicate for d in again)
    assert numbers_of(log) == [3, 4]


def test_append_times_of_repeated_records_are_not_made_up(log: ps.Log) -> None:
    log.create_topic("numbers", NUMBERS, timestamp_type="append_time")
    with log.producer(producer_name="loader") as producer:
        stamp = producer.send("numbers", {"n": 0}).result().timestamp
        assert stamp > 0
    with log.producer(producer_name="loader") as producer:
        again, new = (producer.send("numbers", {"n": n}, sequence_id=n) for n in range(2))
        assert again.result().timestamp == -1
        assert new.result().timestamp >= stamp


def test_of_an_overlapping_table_only_new_rows_are_appended(log: ps.Log) -> None:
    log.create_topic("numbers", NUMBERS)
    with log.producer(producer_name="loader") as producer:
        producer.send_batch("numbers", numbers(0, 9))
    with log.producer(producer_name="loader") as producer:
        known, new = producer.send_batch("numbers", numbers(5, 14), sequence_id=5)
        assert known == ("numbers", 0, 5, 5, True)
        assert new == ("numbers", 0, 10, 5, False)
    with log.producer(producer_name="loader") as producer:
        ids = np.array([12, 14, 20, 30])
        *known, new = producer.send_batch("numbers", {"n": ids}, sequence_id=ids)
        assert known == [("numbers", 0, 12, 1, True), ("numbers", 0, 14, 1, True)]
        assert (new.base_offset, new.record_count) == (15, 2)
        assert producer.last_sequence_id("numbers") == 30
    assert numbers_of(log) == [*range(15), 20, 30]


def test_records_and_tables_keep_their_order(log: ps.Log) -> None:
    log.create_topic("numbers", NUMBERS)
    with log.producer(producer_name="loader", linger="1s") as producer:
        producer.send("numbers", {"n": 0})
        (table,) = producer.send_batch("numbers", numbers(1, 3))
        assert table.base_offset == 1
        producer.send("numbers", {"n": 4})
    assert numbers_of(log) == [0, 1, 2, 3, 4]


def test_threads_that_share_a_producer_lose_nothing(log: ps.Log) -> None:
    log.create_topic("numbers", NUMBERS, partitions=2)

    def send(thread: int) -> None:
        for i in range(0, 600, 3):
            n = 1000 * thread + i
            producer.send("numbers", {"n": n})
            if i % 10 == 0:
                producer.send_batch("numbers", numbers(n + 1, n + 2))
            else:
                producer.send("numbers", {"n": n + 1})
                producer.send("numbers", {"n": n + 2})

    with log.producer(producer_name="loader", batch_size=200) as producer:
        threads = [threading.Thread(target=send, args=(thread,)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        producer.flush()
        assert producer.last_sequence_id("numbers") == 2399
    expected = [1000 * thread + i for thread in range(4) for i in range(600)]
    assert sorted(numbers_of(log)) == expected


def test_records_without_a_key_go_to_the_same_partition_again(log: ps.Log) -> None:
    log.create_topic("numbers", NUMBERS, partitions=3)
    ids = range(0, 40_000, 1000)
    for attempt in range(2):
        with log.producer(producer_name="loader") as producer:
            if attempt == 0:
                for n in ids:
                    producer.send("numbers", {"n": n}, sequence_id=n)
            else:
                sent = np.array(ids)
                parts = producer.send_batch("numbers", {"n": sent}, sequence_id=sent)
                assert all(part.is_duplicate for part in parts)
    assert sorted(numbers_of(log)) == list(ids)
    assert all(numbers_of(log, partition=p) for p in range(3))


def test_refused_records_take_no_sequence_id(log: ps.Log) -> None:
    log.create_topic("numbers", {"n": "int64 not null", "text": "string"})
    with log.producer(producer_name="loader", max_record_bytes=1000) as producer:
        producer.send("numbers", {"n": 0})
        for bad in ({"n": "x"}, {"text": "no n"}):
            with pytest.raises(SchemaError):
                producer.send("numbers", bad, sequence_id=1)
        with pytest.raises(RecordTooLargeError):
            producer.send("numbers", {"n": 1, "text": 2000 * "x"}, sequence_id=1)
        with pytest.raises(RecordTooLargeError):
            producer.send_batch("numbers", {"n": [1], "text": [2000 * "x"]}, sequence_id=1)
        with pytest.raises(SchemaError):
            producer.send_batch("numbers", {"text": ["no n"]}, sequence_id=1)
        empty = {"n": np.empty(0, np.int64), "text": np.empty(0, object)}
        assert producer.send_batch("numbers", empty) == []
        producer.send_batch("numbers", {"n": [1], "text": ["y"]}, sequence_id=1)
        assert producer.last_sequence_id("numbers") == 1
    assert [row["n"] for row in rows_of(log, "numbers")] == [0, 1]


@pytest.mark.parametrize("bad", [-1, 2**62, "7", 1.5])
def test_sequence_ids_that_are_none_are_refused(log: ps.Log, bad: Any) -> None:
    log.create_topic("numbers", NUMBERS)
    with log.producer(producer_name="loader") as producer:
        with pytest.raises(ConfigError, match=r"sequence_id is .* 0 to 2\*\*62 - 1"):
            producer.send("numbers", {"n": 1}, sequence_id=bad)
        with pytest.raises(ConfigError, match=r"sequence_id is .* 0 to 2\*\*62 - 1"):
            producer.send_batch("numbers", numbers(1, 1), sequence_id=bad)
    assert numbers_of(log) == []


def test_largest_sequence_id_is_the_last(log: ps.Log) -> None:
    log.create_topic("numbers", NUMBERS)
    with log.producer(producer_name="loader") as producer:
        producer.send("numbers", {"n": 1}, sequence_id=np.int64(2**62 - 1))
        with pytest.raises(ConfigError):
            producer.send("numbers", {"n": 2})
        producer.flush()
        assert producer.last_sequence_id("numbers") == 2**62 - 1
    with log.producer(producer_name="loader") as producer:
        assert producer.last_sequence_id("numbers") == 2**62 - 1


def test_sequence_ids_that_do_not_rise_are_refused_by_both(log: ps.Log) -> None:
    log.create_topic("numbers", NUMBERS)
    with log.producer(producer_name="loader") as producer:
        producer.send("numbers", {"n": 1}, sequence_id=8)
        for bad in (8, 3):
            with pytest.raises(ConfigError, match=f"is {bad}, but 8 was sent to topic 'numbers'"):
                producer.send("numbers", {"n": 2}, sequence_id=bad)
            with pytest.raises(ConfigError, match=f"is {bad}, but 8 was sent"):
                producer.send_batch("numbers", numbers(1, 1), sequence_id=bad)
        with pytest.raises(ConfigError, match="row 2 is 10, but that of the row before is 10"):
            producer.send_batch("numbers", numbers(1, 3), sequence_id=np.array([9, 10, 10]))
        with pytest.raises(ConfigError, match=r"shape \(2,\), but the table has 3 rows"):
            producer.send_batch("numbers", numbers(1, 3), sequence_id=np.array([9, 10]))
        with pytest.raises(ConfigError, match="float64"):
            producer.send_batch("numbers", numbers(1, 1), sequence_id=np.array([9.0]))
        with pytest.raises(ConfigError, match="last row"):
            producer.send_batch("numbers", numbers(1, 1), sequence_id=np.array([2**62], np.uint64))
        producer.send("numbers", {"n": 2}, sequence_id=9)
    assert numbers_of(log) == [1, 2]


def test_sequence_ids_need_a_name(log: ps.Log) -> None:
    log.create_topic("numbers", NUMBERS)
    with log.producer() as producer:
        with pytest.raises(ConfigError, match="producer with a name"):
            producer.send("numbers", {"n": 1}, sequence_id=1)
        with pytest.raises(ConfigError, match="producer with a name"):
            producer.send_batch("numbers", numbers(1, 1), sequence_id=1)
        with pytest.raises(ConfigError, match="producer with a name"):
            producer.last_sequence_id("numbers")
        assert producer.producer_name is None


# -- a topic that gets columns ---------------------------------------------------------------------


def test_sequences_go_on_when_the_topic_gets_a_column(log: ps.Log) -> None:
    log.create_topic("numbers", NUMBERS)
    with log.producer(producer_name="loader", linger="1s") as producer:
        producer.send("numbers", {"n": 0})
        log.alter_topic("numbers", add_columns={"text": "string"})
        producer.send("numbers", {"n": 1, "text": "one"})
        with pytest.raises(ConfigError, match="is 1, but 1 was sent"):
            producer.send("numbers", {"n": 1, "text": "one"}, sequence_id=1)
        producer.send_batch("numbers", {"n": [2], "text": ["two"]})
        assert producer.last_sequence_id("numbers") == 2
    with log.producer(producer_name="loader") as producer:
        assert producer.last_sequence_id("numbers") == 2
        assert producer.send("numbers", {"n": 2}, sequence_id=2).result().is_duplicate
    assert numbers_of(log) == [0, 1, 2]
