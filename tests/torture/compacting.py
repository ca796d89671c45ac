"""Compacts a topic of a sequence, whose key is its text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pystream as ps
from pystream.log.retention import look_after, retention_lock
from tests.oracle.log import LogModel, Row

DELETE_RETENTION_US = 10**8


def compact_model(model: LogModel, topic: str, row: Row, now_us: int) -> None:
    """Append a row to each partition, the last one, and compact what lies before it."""
    for partition in range(len(model.partitions_of(topic))):
        model.append(topic, partition, [row])
    model.compact(topic, "text", now=now_us, delete_retention=DELETE_RETENTION_US)


def compact_topic(
    log: ps.Log, producer: ps.Producer, topic: str, row: Mapping[str, object], now_us: int
) -> None:
    """Do the same: the row begins a segment, so that all before it is sealed."""
    for partition in range(log.topic(topic).partitions):
        log.topic(topic).native_partition(partition).end_segment()
        producer.send_batch(topic, [row], partition=partition)
    retention = timedelta(microseconds=DELETE_RETENTION_US)
    log.alter_topic(topic, cleanup_policy="compact", delete_retention=retention)
    with retention_lock(log.directory) as lock:
        lock.acquire(10**7)
        look_after(log, [log.topic(topic)], now_us=now_us, at_once=True)
    log.alter_topic(topic, cleanup_policy="delete")
