"""Transactions over several polls of a member, while partitions move in its group."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import pystream as ps
from pystream import TopicPartition
from pystream.errors import FencedError

FIRST, SECOND = TopicPartition("in", 0), TopicPartition("in", 1)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ps.Log]:
    with ps.open(tmp_path / "log") as log:
        log.create_topic("in", partitions=2)
        log.create_topic("out")
        put(log, b"a", FIRST)
        put(log, b"b", SECOND)
        yield log


def put(log: ps.Log, value: bytes, place: TopicPartition) -> None:
    with log.producer() as producer:
        producer.send("in", value, partition=place.partition)


def member(log: ps.Log) -> ps.Consumer:
    return log.consumer("in", group_id="g", auto_offset_reset="earliest", enable_auto_commit=False)


def work(consumer: ps.Consumer, producer: ps.Producer) -> None:
    """Send on what there is, in the transaction that is open."""
    for place, records in consumer.poll().items():
        for record in records:
            producer.send("out", record.value)
        offsets = {place: consumer.position(place)}
        producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata())


def sent_on(log: ps.Log) -> list[bytes]:
    with log.consumer("out", auto_offset_reset="earliest", timeout="0s") as consumer:
        return sorted(record.value for record in consumer)


def lend_second(log: ps.Log, owner: ps.Consumer, producer: ps.Producer) -> None:
    """Let another member have the second partition for a while, and get on with it."""
    other = member(log)
    work(owner, producer)  # gives it up
    with log.producer(transactional_id="other") as others, others.transaction():
        work(other, others)
    assert other.committed(SECOND) == 1
    other.close()
    owner.poll(max_records=1)  # takes it again
    assert SECOND in owner.assignment()


def test_a_partition_that_another_had_in_between_fails_the_commit(log: ps.Log) -> None:
    consumer, producer = member(log), log.producer(transactional_id="t")
    producer.begin_transaction()
    work(consumer, producer)
    lend_second(log, consumer, producer)
    with pytest.raises(FencedError, match="gave partition 1 up, and took it again"):
        producer.commit_transaction()
    producer.abort_transaction()
    assert (consumer.committed(FIRST), consumer.committed(SECOND)) == (None, 1)
    assert sent_on(log) == [b"b"]
    consumer.close()
    with member(log) as again, producer.transaction():
        work(again, producer)
    assert sent_on(log) == [b"a", b"b"]


def test_nor_does_a_later_offset_of_it_count(log: ps.Log) -> None:
    consumer, producer = member(log), log.producer(transactional_id="t")
    producer.begin_transaction()
    work(consumer, producer)
    lend_second(log, consumer, producer)
    put(log, b"later", SECOND)
    with pytest.raises(FencedError, match="gave partition 1 up, and took it again"):
        work(consumer, producer)
    with pytest.raises(FencedError):
        producer.commit_transaction()
    producer.abort_transaction()
    assert (consumer.committed(FIRST), consumer.committed(SECOND)) == (None, 1)
    assert sent_on(log) == [b"b"]


def test_partitions_that_stay_are_committed_after_a_rebalance(log: ps.Log) -> None:
    consumer, producer = member(log), log.producer(transactional_id="t")
    other = member(log)
    consumer.poll(max_records=1)  # gives the second one up
    consumer.seek_to_beginning()
    producer.begin_transaction()
    work(consumer, producer)
    (place,) = consumer.assignment()
    other.close()  # a rebalance, and the first stays where it was
    consumer.poll(max_records=1)
    assert len(consumer.assignment()) == 2
    producer.commit_transaction()
    assert consumer.committed(place) == 1


def test_a_static_member_that_came_back_is_not_who_it_was(log: ps.Log) -> None:
    def static() -> ps.Consumer:
        return log.consumer(
            "in",
            group_id="g",
            group_instance_id="i",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )

    first, producer = static(), log.producer(transactional_id="t")
    producer.begin_transaction()
    work(first, producer)
    first.close()
    second = static()  # it has the first one's partitions, and their epochs
    with log.producer(transactional_id="other") as others, others.transaction():
        work(second, others)
    with pytest.raises(FencedError, match="does not own partition"):
        producer.commit_transaction()
    producer.abort_transaction()
    assert (second.committed(FIRST), second.committed(SECOND)) == (1, 1)
    assert sent_on(log) == [b"a", b"b"]
    second.close()


def test_threads_that_add_offsets_at_once_lose_none(log: ps.Log) -> None:
    for _ in range(30):
        put(log, b"x", FIRST)
        put(log, b"x", SECOND)
    consumer, producer = member(log), log.producer(transactional_id="t")
    metadata = consumer.consumer_group_metadata()
    with ThreadPoolExecutor(2) as pool:
        for offset in range(1, 31):
            with producer.transaction():
                added = [{place: offset} for place in (FIRST, SECOND)]
                send = producer.send_offsets_to_transaction
                list(pool.map(send, added, [metadata, metadata]))
            assert {consumer.committed(place) for place in (FIRST, SECOND)} == {offset}
