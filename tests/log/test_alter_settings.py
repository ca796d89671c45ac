"""Settings and partitions of a topic that is in use are altered, and everybody notices."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

import pystream as ps
from pystream import TopicPartition, config, errors
from pystream.log.repair import repair_log
from pystream.log.verify import verify_log
from tests.log.members import settle
from tests.oracle.partitioner import partition_of


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ps.Log]:
    monkeypatch.setattr(config, "SEGMENT_BYTES_MIN", 4096)
    monkeypatch.setattr(config, "TOPIC_LOOK_SECONDS", 0.01)
    with ps.open(tmp_path / "log") as opened:
        opened.create_topic("t", {"k": "string", "n": "int64"}, key="k", segment_bytes=1 << 20)
        yield opened


@pytest.fixture
def other(log: ps.Log) -> Iterator[ps.Log]:
    """The same log, as another process has it open."""
    with ps.open(log.directory) as opened:
        yield opened


def test_settings_are_those_of_the_topic_from_then_on(log: ps.Log, other: ps.Log) -> None:
    altered = other.alter_topic(
        "t",
        compression="lz4",
        segment_bytes=16 * 1024,
        timestamp_type="append_time",
        retention="7d",
        retention_bytes="1MiB",
    )
    for topic in (altered, log.topic("t"), other.topic("t")):
        assert (topic.compression, topic.segment_bytes) == ("lz4", 16 * 1024)
        assert (topic.timestamp_type, topic.retention) == ("append_time", timedelta(days=7))
        assert topic.retention_bytes == 1 << 20
    other.alter_topic("t", retention=None)
    assert log.topic("t").retention is None
    assert log.topic("t").retention_bytes == 1 << 20
    with ps.open(log.directory, read_only=True) as view:
        assert view.topic("t").compression == "lz4"
    assert verify_log(log.directory).is_clean


def test_a_producer_that_is_at_work_goes_on_under_the_new_settings(
    log: ps.Log, other: ps.Log
) -> None:
    with log.producer(acks="published") as producer:
        producer.send("t", {"k": "a", "n": 1}, timestamp=7).result()
        other.alter_topic("t", timestamp_type="append_time", segment_bytes=16 * 1024)
        sent = producer.send("t", {"k": "a", "n": 2}, timestamp=7).result()
        assert sent.timestamp == 7  # the record was taken before the producer looked
        sent = producer.send("t", {"k": "a", "n": 3}, timestamp=7).result()
        assert sent.timestamp > 10**15
        for _ in range(40):
            producer.send_batch("t", {"k": ["a"] * 100, "n": np.arange(100)})
    files = sorted(Path(log.directory).glob("topics/*/0/*.seg"))
    # The segment that was begun before is as large as it was meant to be.
    assert len(files) == 1
    log.topic("t").native_partition(0).end_segment()
    with log.producer(acks="published") as producer:
        for _ in range(40):
            producer.send_batch("t", {"k": ["a"] * 100, "n": np.arange(100)})
    assert len(sorted(Path(log.directory).glob("topics/*/0/*.seg"))) > 3


def test_keys_go_to_other_partitions_after_some_were_added(log: ps.Log, other: ps.Log) -> None:
    keys = [f"key-{n}" for n in range(50)]
    with log.producer(acks="published") as producer:
        for key in keys:
            producer.send("t", {"k": key, "n": 0})
        producer.flush()
        assert other.alter_topic("t", partitions=5).partitions == 5
        producer.flush()
        producer.send_batch("t", {"k": ["key-0"], "n": [1]})  # looks at the topic anew
        sent = {key: producer.send("t", {"k": key, "n": 2}) for key in keys}
        producer.flush()
    for key, delivery in sent.items():
        assert delivery.result().partition == partition_of(key.encode(), 5)
    assert sum(ends.end for ends in log.topic("t").ends()) == 101
    assert log.topic("t").ends()[0].end >= 50  # what was stored stays where it is


def test_partitions_cannot_become_fewer(log: ps.Log) -> None:
    log.alter_topic("t", partitions=3)
    assert log.alter_topic("t", partitions=3).partitions == 3
    with pytest.raises(errors.ConfigError, match="has 3 partitions and cannot have 2"):
        log.alter_topic("t", partitions=2, compression="lz4")
    for wrong in (0, -1, True, "4", 10**6):
        with pytest.raises(errors.ConfigError, match="partitions is"):
            log.alter_topic("t", partitions=wrong)  # type: ignore[arg-type]
    assert (log.topic("t").partitions, log.topic("t").compression) == (3, "none")
    with pytest.raises(errors.UnknownTopicError, match="'nothing' does not exist"):
        log.alter_topic("nothing", partitions=2)


def test_a_waiting_consumer_reads_added_partitions_from_their_first_record(
    log: ps.Log, other: ps.Log
) -> None:
    with log.consumer("t", timeout="30s") as consumer:  # from the latest on
        found: list[tuple[int, int]] = []

        def read() -> None:
            for record in consumer:
                found.append((record.partition, record["n"]))
                if len(found) == 2:
                    return

        reader = threading.Thread(target=read)
        reader.start()
        other.alter_topic("t", partitions=3)
        with other.producer() as producer:
            producer.send("t", {"k": "a", "n": 1}, partition=2)
            producer.send("t", {"k": "a", "n": 2}, partition=0)
        reader.join(30)
        assert sorted(found) == [(0, 2), (2, 1)]
        assert consumer.assignment() == {TopicPartition("t", n) for n in range(3)}


def test_a_consumer_in_an_event_loop_notices_them_too(log: ps.Log) -> None:
    async def main() -> list[int]:
        with log.consumer("t", auto_offset_reset="earliest", timeout="30s") as consumer:

            async def first() -> int:
                async for record in consumer:
                    return record.partition
                return -1

            reading = asyncio.create_task(first())
            await asyncio.sleep(0)
            log.alter_topic("t", partitions=2)
            with log.producer() as producer:
                producer.send("t", {"k": "a", "n": 1}, partition=1)
            return [await reading]

    assert asyncio.run(main()) == [1]


def test_who_assigned_partitions_keeps_to_them(log: ps.Log) -> None:
    with log.consumer(auto_offset_reset="earliest", timeout="0s") as consumer:
        consumer.assign([TopicPartition("t", 0)])
        log.alter_topic("t", partitions=2)
        with log.producer() as producer:
            producer.send("t", {"k": "a", "n": 1}, partition=1)
        assert list(consumer) == []
        assert consumer.assignment() == {TopicPartition("t", 0)}


def test_groups_share_added_partitions(log: ps.Log, other: ps.Log) -> None:
    first = log.consumer("t", group_id="g", auto_offset_reset="earliest", timeout="0s")
    second = other.consumer("t", group_id="g", auto_offset_reset="earliest", timeout="0s")
    settle(first, second)
    other.alter_topic("t", partitions=4)
    settle(first, second)
    assert first.assignment() | second.assignment() == {TopicPartition("t", n) for n in range(4)}
    assert not first.assignment() & second.assignment()
    with log.producer() as producer:
        for number in range(4):
            producer.send("t", {"k": "a", "n": number}, partition=number)
    assert sorted(r["n"] for consumer in (first, second) for r in consumer) == [0, 1, 2, 3]
    first.close()
    second.close()


def test_a_named_producer_goes_on_with_more_partitions(log: ps.Log) -> None:
    with log.producer(producer_name="loader") as producer:
        for n in range(20):
            producer.send("t", {"k": f"{n}", "n": n}, sequence_id=n)
        producer.flush()
        log.alter_topic("t", partitions=4)
    with log.producer(producer_name="loader") as producer:
        assert producer.last_sequence_id("t") == 19
        for n in range(20, 40):
            producer.send("t", {"k": f"{n}", "n": n}, sequence_id=n)
        producer.flush()
        assert producer.last_sequence_id("t") == 39
    with log.consumer("t", auto_offset_reset="earliest", timeout="0s") as consumer:
        assert sorted(record["n"] for record in consumer) == list(range(40))


def test_an_altered_topic_survives_the_loss_of_the_catalog(log: ps.Log) -> None:
    with log.producer() as producer:
        producer.send("t", {"k": "a", "n": 1})
    log.alter_topic("t", partitions=2, retention="7d", add_columns={"note": "string"})
    log.close()
    (Path(log.directory) / "catalog.db").unlink()
    repair_log(log.directory, verify_log(log.directory))
    with ps.open(log.directory) as again:
        topic = again.topic("t")
        assert (topic.partitions, topic.retention) == (2, timedelta(days=7))
        assert topic.schema.names == ["k", "n", "note"]
