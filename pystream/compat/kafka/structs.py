"""kafka-python's named tuples."""

from __future__ import annotations

from typing import Any, NamedTuple

from pystream.compat.group_identity import GroupIdentity
from pystream.types import TopicPartition

__all__ = [
    "ConsumerGroupMetadata",
    "ConsumerRecord",
    "MemberState",
    "OffsetAndMetadata",
    "OffsetAndTimestamp",
    "RecordMetadata",
    "TopicPartition",
    "TopicPartitionReplica",
]


class TopicPartitionReplica(NamedTuple):
    """Names a copy of a partition; here there is one, of broker 0."""

    topic: str
    partition: int
    broker_id: int


class OffsetAndMetadata(NamedTuple):
    """An offset to commit; a log stores neither the metadata nor the epoch."""

    offset: int | None = None
    metadata: str | None = ""
    leader_epoch: int | None = -1


class OffsetAndTimestamp(NamedTuple):
    """An offset and the milliseconds of its record."""

    offset: int
    timestamp: int
    leader_epoch: int | None


class MemberState:
    """Where a consumer stands in its group."""

    UNJOINED = "<unjoined>"
    REBALANCING = "<rebalancing>"
    STABLE = "<stable>"


class ConsumerGroupMetadata(NamedTuple):
    """A member of a group; ``KafkaProducer.send_offsets_to_transaction`` takes it."""

    group_id: str | None = None
    generation_id: int = -1
    member_id: str = ""
    group_instance_id: str | None = None
    state: str = MemberState.UNJOINED
    identity: GroupIdentity | None = None


class RecordMetadata(NamedTuple):
    """Where a record was appended; ``timestamp`` is in milliseconds."""

    topic: str
    partition: int
    topic_partition: TopicPartition
    offset: int
    timestamp: int
    checksum: int | None
    serialized_key_size: int
    serialized_value_size: int
    serialized_header_size: int


class ConsumerRecord(NamedTuple):
    """A record as it was read; ``timestamp`` is in milliseconds.

    Sizes are in bytes, -1 where there is nothing, and of a typed topic's columns.
    """

    topic: str
    partition: int
    leader_epoch: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: Any
    value: Any
    headers: list[tuple[str, bytes | None]]
    checksum: int | None
    serialized_key_size: int
    serialized_value_size: int
    serialized_header_size: int
