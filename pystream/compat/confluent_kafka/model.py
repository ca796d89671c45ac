"""What the admin client is given and returns: nodes, groups' states, collections."""

from __future__ import annotations

from enum import Enum

from pystream.compat.confluent_kafka.message import TopicPartition

__all__ = [
    "ConsumerGroupState",
    "ConsumerGroupTopicPartitions",
    "ConsumerGroupType",
    "IsolationLevel",
    "Node",
    "ThrottleEvent",
    "TopicCollection",
    "TopicPartitionInfo",
    "Uuid",
]


class ConsumerGroupState(Enum):
    """Where a group stands."""

    UNKNOWN = 0
    PREPARING_REBALANCING = 1
    COMPLETING_REBALANCING = 2
    STABLE = 3
    DEAD = 4
    EMPTY = 5


class ConsumerGroupType(Enum):
    """By what protocol a group works; all of a log's are CONSUMER."""

    UNKNOWN = 0
    CONSUMER = 1
    CLASSIC = 2


class IsolationLevel(Enum):
    """Whether records of open transactions count."""

    READ_UNCOMMITTED = 0
    READ_COMMITTED = 1


class Node:
    """Stands for a broker: number 0, and ``host`` is the log's directory."""

    def __init__(self, id: int, host: str, port: int, rack: str | None = None) -> None:
        self.id = id
        self.id_string = str(id)
        self.host = host
        self.port = port
        self.rack = rack

    def __str__(self) -> str:
        return f"({self.id}) {self.host}:{self.port}"


class ConsumerGroupTopicPartitions:
    """A group, and partitions with their offsets."""

    def __init__(self, group_id: str, topic_partitions: list[TopicPartition] | None = None) -> None:
        self.group_id = group_id
        self.topic_partitions = topic_partitions


class TopicCollection:
    """Names of topics."""

    def __init__(self, topic_names: list[str]) -> None:
        self.topic_names = topic_names


class TopicPartitionInfo:
    """A partition, with the node that stands for its leader and its replicas."""

    def __init__(self, id: int, leader: Node, replicas: list[Node], isr: list[Node]) -> None:
        self.id = id
        self.leader = leader
        self.replicas = replicas
        self.isr = isr


class Uuid:
    """A topic's id."""

    def __init__(self, most_significant_bits: int, least_significant_bits: int) -> None:
        self._both = most_significant_bits, least_significant_bits

    def get_most_significant_bits(self) -> int:
        """Return the first half."""
        return self._both[0]

    def get_least_significant_bits(self) -> int:
        """Return the second half."""
        return self._both[1]

    def __int__(self) -> int:
        return (self._both[0] & (1 << 64) - 1) << 64 | self._both[1] & (1 << 64) - 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Uuid) and self._both == other._both

    def __hash__(self) -> int:
        return hash(self._both)

    def __str__(self) -> str:
        from base64 import urlsafe_b64encode  # noqa: PLC0415  few programs print ids

        return urlsafe_b64encode(int(self).to_bytes(16, "big")).decode().rstrip("=")

    __repr__ = __str__


class ThrottleEvent:
    """Of a broker that slows a client down: a log never does."""

    def __init__(self, broker_name: str, broker_id: int, throttle_time: float) -> None:
        self.broker_name = broker_name
        self.broker_id = broker_id
        self.throttle_time = throttle_time

    def __str__(self) -> str:
        milliseconds = int(self.throttle_time * 1000)
        return f"{self.broker_name}/{self.broker_id} throttled for {milliseconds} ms"
