"""Producers and consumers of topics that were altered, or deleted and made again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import pystream as ps
from pystream import TopicPartition, errors

FIRST = TopicPartition("t", 0)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ps.Log]:
    with ps.open(tmp_path / "log") as log:
        yield log


def make(log: ps.Log, *values: str, partitions: int = 1) -> None:
    """Make the topic, for the first time or again, with a record of each value."""
    if "t" in log.topics():
        log.delete_topic("t")
    log.create_topic("t", partitions=partitions)
    with log.producer() as producer:
        for value in values:
            producer.send("t", value.encode(), partition=0)


def read(consumer: ps.Consumer) -> list[bytes]:
    return [record.value for record in consumer]


# -- producers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("linger", ["0s", "5ms"])
def test_only_what_was_under_way_is_lost_with_a_deleted_topic(log: ps.Log, linger: str) -> None:
    make(log)
    producer = log.producer(linger=linger)
    producer.send("t", b"old").result()
    make(log)
    lost = producer.send("t", b"under way")
    with pytest.raises(errors.UnknownTopicError, match="was deleted"):
        lost.result()
    assert producer.send("t", b"new").result().offset == 0
    with pytest.raises(errors.UnknownTopicError):
        producer.close()  # what was lost is told here, too
    with log.consumer("t", auto_offset_reset="earliest", timeout="0s") as consumer:
        assert read(consumer) == [b"new"]


@pytest.mark.parametrize("settings", [{}, {"linger": "0s"}, {"producer_name": "loader"}])
def test_partitions_that_were_added_take_records_at_once(
    log: ps.Log, settings: dict[str, str]
) -> None:
    make(log)
    with log.producer(**settings) as producer:  # type: ignore[arg-type]
        producer.send("t", b"a").result()
        with pytest.raises(errors.UnknownTopicError, match=r"no partition 3\. Its .* 0 to 0"):
            producer.send("t", b"b", partition=3)
        log.alter_topic("t", partitions=4)
        assert producer.send("t", b"b", partition=3).result().partition == 3
        with pytest.raises(errors.UnknownTopicError, match=r"no partition 4\. Its .* 0 to 3"):
            producer.send("t", b"c", partition=4)


def test_records_of_a_topic_that_was_made_again_are_judged_by_the_new_one(log: ps.Log) -> None:
    log.create_topic("t", {"a": "int64"})
    with log.producer(linger="0s") as producer:
        producer.send("t", {"a": 1}).result()
        log.delete_topic("t")
        log.create_topic("t", {"b": "string"}, partitions=2)
        assert producer.send("t", {"b": "x"}, partition=1).result().offset == 0
        assert producer.send("t", {"b": "x"}).result().offset >= 0
        with pytest.raises(errors.SchemaError):
            producer.send("t", {"a": 1})


@pytest.mark.parametrize("number", [np.int64(1), np.uint8(1)])
def test_a_partition_may_be_a_number_of_numpy(log: ps.Log, number: int) -> None:
    make(log, partitions=2)
    with log.producer() as producer:
        assert producer.send("t", b"x", partition=number).result().partition == 1
        for wrong in (1.0, np.array([1, 0]), "1"):
            with pytest.raises(errors.UnknownTopicError, match="has no partition"):
                producer.send("t", b"x", partition=wrong)  # type: ignore[arg-type]


# -- consumers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [lambda its: its.subscribe("t"), lambda its: its.assign([FIRST])])
def test_who_asks_again_is_given_the_topic_that_has_the_name_now(
    log: ps.Log, again: Callable[[ps.Consumer], None]
) -> None:
    make(log, "old", "old")
    consumer = log.consumer("t", auto_offset_reset="earliest", timeout="0s")
    assert read(consumer) == [b"old", b"old"]
    make(log, "a", "b", "c")
    again(consumer)
    assert read(consumer) == [b"a", b"b", b"c"]
    assert consumer.end_offsets([FIRST]) == {FIRST: consumer.position(FIRST)}
    consumer.seek_to_beginning()
    assert read(consumer) == [b"a", b"b", b"c"]
    again(consumer)  # the same one: it goes on where it was
    assert read(consumer) == []
    consumer.close()


@pytest.mark.parametrize("reset", ["earliest", "latest"])
def test_who_follows_a_topic_reads_all_of_the_one_that_replaces_it(log: ps.Log, reset: str) -> None:
    make(log, "old", partitions=3)
    consumer = log.consumer("t", auto_offset_reset=reset, timeout="0s")
    read(consumer)
    make(log, "a", "b", partitions=2)
    assert read(consumer) == [b"a", b"b"]
    assert consumer.assignment() == {FIRST, TopicPartition("t", 1)}
    consumer.close()


def test_what_is_committed_of_no_partition_is_an_error(log: ps.Log) -> None:
    make(log)
    with log.consumer(group_id="g") as consumer:
        assert consumer.committed(FIRST) is None
        for number in (-1, 1, 2**31, 2**63):
            with pytest.raises(errors.UnknownTopicError, match="has no partition"):
                consumer.committed(("t", number))
