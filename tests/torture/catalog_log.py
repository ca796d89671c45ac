"""A small log that has some of everything in its catalog, as a process leaves it that is killed."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import pystream as ps
from pystream.errors import StorageError
from pystream.log.transactions import transactions

SMALL_SEGMENT_BYTES = 16 * 1024
LEDGER = "ledger"
GROUPS = ("readers", "away", "present")
COLUMNS = {"user": "string", "n": "int64 not null"}

Rows = dict[int, dict[str, Any]]  # by offset
Partition = tuple[str, int]


@dataclass
class Content:
    """What the log holds.

    Attributes
    ----------
    records : dict of (topic, partition) to Rows
    ids : dict of str to bytes
        Of the topics.
    committed : dict of str to dict of (topic, partition) to int
        By group.
    """

    records: dict[Partition, Rows] = field(default_factory=dict)
    ids: dict[str, bytes] = field(default_factory=dict)
    committed: dict[str, dict[Partition, int]] = field(default_factory=dict)


def read(log: ps.Log, topic: str, partition: int) -> Rows:
    """Read a partition from its log start offset on."""
    rows: Rows = {}
    with log.consumer(auto_offset_reset="earliest") as consumer:
        consumer.assign([ps.TopicPartition(topic, partition)])
        for batch in consumer.batches(timeout="0s"):
            rows |= zip(batch.offsets.tolist(), batch.to_pylist(), strict=True)
    return rows


def build(scratch: Path) -> tuple[Path, Content]:
    """Make the log in an empty directory; return where it is, and what it holds."""
    living, killed = scratch / "living", scratch / "killed"
    with ps.open(living) as log:
        _create_topics(log)
        _send(log)
        _read_in_groups(log)
        left = _leave_transactions(log)
        present = log.consumer(group_id="present", auto_offset_reset="earliest")
        present.subscribe(pattern="typed|evolved")
        present.poll(timeout="0s")
        present.commit()
        # What a process leaves that is killed now: its locks are not copied.
        shutil.copytree(living, killed, ignore=shutil.ignore_patterns("*-shm"))
        for client in (present, *left):
            client.close()
    shutil.rmtree(living)
    return killed, _content_of(killed, scratch / "looked-at")


def _create_topics(log: ps.Log) -> None:
    small: Any = {"segment_bytes": SMALL_SEGMENT_BYTES}
    log.create_topic("plain", partitions=2, **small)
    log.create_topic("typed", COLUMNS, key="user", partitions=3, compression="lz4", **small)
    log.create_topic("evolved", {"n": "int64"}, retention="7d", retention_bytes="64KiB", **small)
    log.create_topic(LEDGER, {"n": "int64 not null"}, partitions=2, **small)
    log.create_topic("compacted", COLUMNS, key="user", cleanup_policy="compact", **small)
    log.create_topic("empty", {"n": "int64 not null"}, **small)


def _send(log: ps.Log) -> None:
    with log.producer(producer_name="loader", acks="published") as producer:
        for n in range(40):
            producer.send("typed", {"user": f"user {n % 7}", "n": n}, sequence_id=n)
        producer.flush()
    log.delete_records({ps.TopicPartition("typed", 0): 2})  # makes floors
    with log.producer(acks="published") as producer:
        for n in range(30):
            producer.send("plain", f"value {n}", key=f"key {n % 5}", partition=n % 2)
        for n in range(20):
            producer.send_batch("compacted", {"user": [f"user {n % 4}"], "n": [n]})
        producer.send_batch("evolved", {"n": list(range(20))})
        log.alter_topic("evolved", add_columns={"note": "string"})
        rows = [{"n": n, "note": f"note {n}"} for n in range(20, 40)]
        producer.send_batch("evolved", rows)


def _read_in_groups(log: ps.Log) -> None:
    with log.consumer(
        "plain", "typed", group_id="readers", auto_offset_reset="earliest"
    ) as consumer:
        consumer.poll(timeout="0s", max_records=10)
    with log.consumer(
        "plain", group_id="away", group_instance_id="one", auto_offset_reset="earliest"
    ) as consumer:
        consumer.poll(timeout="0s")


def _leave_transactions(log: ps.Log) -> list[ps.Producer]:
    """Leave one that is open, one committed and one aborted; both without their markers."""

    def no_marker(*_: object) -> None:
        raise StorageError("the process was killed here.")

    producers = []
    for number, name in enumerate(("open", "committed", "aborted", "whole")):
        producer = log.producer(transactional_id=f"payer-{name}", acks="published")
        producer.begin_transaction()
        for partition in range(2):
            producer.send_batch(LEDGER, {"n": [100 * number + partition]}, partition=partition)
        if name == "whole":
            producer.send_offsets_to_transaction({ps.TopicPartition(LEDGER, 0): 1}, "readers")
        with mock.patch.object(transactions, "write_markers", no_marker):
            if name in ("committed", "whole"):
                producer.commit_transaction()
            elif name == "aborted":
                producer.abort_transaction()
        producers.append(producer)
    return producers


def _content_of(killed: Path, place: Path) -> Content:
    content = Content()
    shutil.copytree(killed, place)
    with ps.open(place) as log:
        for topic in log.topics():
            content.ids[topic] = log.topic(topic).description.id
            for partition in range(log.topic(topic).partitions):
                content.records[topic, partition] = read(log, topic, partition)
        for group in GROUPS:
            content.committed[group] = committed(log, group, list(content.records))
    shutil.rmtree(place)
    return content


def committed(log: ps.Log, group: str, partitions: list[Partition]) -> dict[Partition, int]:
    """Return what a group has committed of these partitions."""
    found = {}
    with log.consumer(group_id=group) as consumer:
        for topic, partition in partitions:
            at = consumer.committed(ps.TopicPartition(topic, partition))
            if at is not None:
                found[topic, partition] = at
    return found
