"""What is of the wrong type is told by name, and nothing comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pystream as ps
from pystream import TopicPartition, errors

PLACE = TopicPartition("clicks", 0)

Call = Callable[[Any], object]

WITH_CONSUMER: dict[str, tuple[Call, str]] = {
    "pause a list": (lambda c: c.pause([PLACE]), r"\[.*\] names no partition.*one by one"),
    "resume a text": (lambda c: c.resume("clicks"), "'clicks' names no partition"),
    "seek nothing": (lambda c: c.seek(None, 0), "None names no partition"),
    "seek three": (lambda c: c.seek(("clicks", 0, 1), 0), "names no partition"),
    "seek a fraction": (lambda c: c.seek(PLACE, 1.5), "offset of clicks-0 is 1.5"),
    "seek beyond 64 bits": (lambda c: c.seek("clicks", 2**70), "names no partition"),
    "seek a bool": (lambda c: c.seek(PLACE, True), "offset of clicks-0 is True"),
    "seek_to_beginning": (lambda c: c.seek_to_beginning([PLACE]), "one by one"),
    "seek_to_end": (lambda c: c.seek_to_end({PLACE}), "one by one"),
    "position": (lambda c: c.position("clicks"), "names no partition"),
    "committed": (lambda c: c.committed([PLACE]), "names no partition"),
    "commit a list": (lambda c: c.commit([PLACE]), "offsets is .* Pass a mapping"),
    "commit a text": (lambda c: c.commit("clicks"), "offsets is 'clicks'. Pass a mapping"),
    "commit of topics": (lambda c: c.commit({"clicks": 1}), "'clicks' names no partition"),
    "commit a text as offset": (lambda c: c.commit({PLACE: "1"}), "offset of clicks-0 is '1'"),
    "assign one": (lambda c: c.assign(PLACE), "partitions is .* Pass a list"),
    "assign a text": (lambda c: c.assign("clicks"), "partitions is 'clicks'. Pass a list"),
    "assign a number": (lambda c: c.assign(1), "partitions is 1. Pass a list"),
    "assign an array of no axes": (lambda c: c.assign(np.array(1)), "partitions is array"),
    "subscribe to an array of no axes": (lambda c: c.subscribe(np.array("t")), "is no name"),
    "assign numbers": (lambda c: c.assign([1]), "1 names no partition"),
    "assign a text as number": (lambda c: c.assign([("clicks", "0")]), "names no partition"),
    "assign a bool as number": (lambda c: c.assign([("clicks", False)]), "names no partition"),
    "subscribe a number": (lambda c: c.subscribe(5), "topics is 5, and 5 is no name"),
    "on_assign": (lambda c: c.subscribe("clicks", on_assign=5), "on_assign is 5. Pass a function"),
    "times": (lambda c: c.offsets_for_times([PLACE]), "times is .* Pass a mapping"),
    "beginning_offsets": (lambda c: c.beginning_offsets(PLACE), "Pass a list"),
    "end_offsets": (lambda c: c.end_offsets("clicks"), "Pass a list"),
}
WITH_LOG: dict[str, tuple[Call, str]] = {
    "delete_records of topics": (lambda log: log.delete_records({"clicks": 1}), "no partition"),
    "reset_offsets of topics": (
        lambda log: log.reset_offsets("g", offsets={"clicks": 1}),
        "'clicks' names no partition",
    ),
    "reset_offsets of a list": (
        lambda log: log.reset_offsets("g", offsets=[PLACE]),
        "offsets is .* path of a CSV file",
    ),
    "reset_offsets, topics": (
        lambda log: log.reset_offsets("g", to="earliest", topics=5),
        "topics is 5",
    ),
    "apply_retention": (lambda log: log.apply_retention(5), "topics is 5"),
    "key": (lambda log: log.create_topic("a", {"n": "int64"}, key=5), "key is 5"),
    "segment_bytes": (
        lambda log: log.create_topic("a", segment_bytes=2**41),
        r"segment_bytes is 2199023255552, but it can be 1099511627776 bytes at most",
    ),
    "altered segment_bytes": (
        lambda log: log.alter_topic("clicks", segment_bytes="2048GiB"),
        r"segment_bytes is '2048GiB', but it can be 1099511627776 bytes at most",
    ),
    "a size beyond all": (
        lambda log: log.create_topic("a", segment_bytes=2**62),
        "bytes at most",
    ),
    "backup": (lambda log: log.backup(5), "directory is 5. Pass a path"),
    "open": (lambda _: ps.open(5), "directory is 5. Pass a path"),
    "offsets of a transaction": (
        lambda log: _in_transaction(log, [PLACE]),
        "offsets is .* Pass a mapping",
    ),
    "offsets of topics in a transaction": (
        lambda log: _in_transaction(log, {"clicks": 1}),
        "'clicks' names no partition",
    ),
}


def _in_transaction(log: ps.Log, offsets: Any) -> None:
    with log.producer(transactional_id="payer") as producer:
        producer.begin_transaction()
        producer.send_offsets_to_transaction(offsets, "g")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ps.Log]:
    with ps.open(tmp_path / "log") as opened:
        opened.create_topic("clicks", {"n": "int64"})
        with opened.producer() as producer:
            producer.send_batch("clicks", {"n": [1, 2, 3]})
        yield opened


@pytest.mark.parametrize("what", WITH_CONSUMER)
def test_a_consumer_says_what_is_wrong_and_stays_where_it_was(log: ps.Log, what: str) -> None:
    call, message = WITH_CONSUMER[what]
    with log.consumer(
        "clicks", group_id="g", auto_offset_reset="earliest", enable_auto_commit=False
    ) as consumer:
        assert consumer.poll(max_records=1)
        with pytest.raises(errors.ConfigError, match=message):
            call(consumer)
        assert consumer.assignment() == {PLACE}
        assert consumer.paused() == set()
        assert consumer.position(PLACE) == 1
        assert consumer.committed(PLACE) is None


@pytest.mark.parametrize("what", WITH_LOG)
def test_a_log_says_what_is_wrong_and_is_as_it_was(log: ps.Log, what: str) -> None:
    call, message = WITH_LOG[what]
    before = log.topic("clicks").description
    with pytest.raises(errors.ConfigError, match=message):
        call(log)
    assert log.topics() == ["clicks"]
    assert log.topic("clicks").description == before
    assert log.groups() == []
    assert log.topic("clicks").ends() == [ps.PartitionEnds(0, 3)]


def test_partitions_are_named_by_tuples_and_by_integers_of_numpy(log: ps.Log) -> None:
    with log.consumer(group_id="g") as consumer:
        consumer.assign([("clicks", np.int32(0))])  # type: ignore[list-item]
        consumer.seek(("clicks", 0), np.int64(2))  # type: ignore[arg-type]
        assert consumer.position(PLACE) == 2
        consumer.commit({("clicks", np.int16(0)): np.int64(2)})  # type: ignore[dict-item]
        assert consumer.committed(PLACE) == 2
        assert {type(number) for _, number in consumer.assignment()} == {int}


def test_offsets_beyond_64_bits_are_out_of_range(log: ps.Log) -> None:
    with log.consumer("clicks", group_id="g", auto_offset_reset="earliest") as consumer:
        consumer.poll(max_records=1)
        for offset in (2**63, 2**70, -(2**70)):
            with pytest.raises(errors.OffsetOutOfRangeError, match="log end offset is 3"):
                consumer.seek(PLACE, offset)
            with pytest.raises(errors.OffsetOutOfRangeError, match="log end offset is 3"):
                consumer.commit({PLACE: offset})
            with pytest.raises(errors.OffsetOutOfRangeError):
                log.delete_records({PLACE: offset})
        assert consumer.position(PLACE) == 1


def test_flags_and_numbers_of_numpy_are_taken(log: ps.Log) -> None:
    log.create_topic("new", exist_ok=np.True_, replication_factor=np.int64(1))  # type: ignore[arg-type]
    log.create_topic("new", exist_ok=1)  # type: ignore[arg-type]
    log.producer(acks=np.int64(1)).close()
    with log.consumer(enable_auto_commit=np.False_) as consumer:  # type: ignore[arg-type]
        consumer.assign([["clicks", 0]])  # type: ignore[list-item]  # as JSON has it
        assert consumer.assignment() == {PLACE}
    with pytest.raises(errors.ConfigError, match="enable_auto_commit is 'no'"):
        log.consumer(enable_auto_commit="no")  # type: ignore[arg-type]


def test_the_largest_segment_can_be_set_and_opened_again(tmp_path: Path) -> None:
    with ps.open(tmp_path / "data") as log:
        log.create_topic("clicks", segment_bytes=1 << 40)
        log.create_topic("others")
        log.alter_topic("others", segment_bytes="1024GiB")
    with ps.open(tmp_path / "data") as log, log.producer() as producer:
        for topic in ("clicks", "others"):
            assert producer.send(topic, b"x").result().offset == 0
