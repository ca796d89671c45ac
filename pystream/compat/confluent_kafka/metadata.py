"""What a client is told of topics and groups, where Kafka tells of a cluster."""

from __future__ import annotations

from pystream.compat.confluent_kafka.kafka_error import KafkaError
from pystream.log import Log, Topic

__all__ = [
    "BrokerMetadata",
    "ClusterMetadata",
    "GroupMember",
    "GroupMetadata",
    "PartitionMetadata",
    "TopicMetadata",
    "cluster_id",
    "cluster_metadata",
]

BROKER = 0  # the one that stands for the directory


class ClusterMetadata:
    """The topics of a log; one broker, number 0, stands for its directory."""

    def __init__(self) -> None:
        self.cluster_id: str | None = None
        self.controller_id = -1
        self.brokers: dict[int, BrokerMetadata] = {}
        self.topics: dict[str, TopicMetadata] = {}
        self.orig_broker_id = -1
        self.orig_broker_name: str | None = None

    def __repr__(self) -> str:
        return f"ClusterMetadata({self.cluster_id})"

    def __str__(self) -> str:
        return str(self.cluster_id)


class BrokerMetadata:
    """What stands for a broker: ``host`` is the log's directory."""

    def __init__(self) -> None:
        self.id = -1
        self.host: str | None = None
        self.port = -1

    def __repr__(self) -> str:
        return f"BrokerMetadata({self.id}, {self.host}:{self.port})"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}/{self.id}"


class TopicMetadata:
    """A topic and its partitions, or its error."""

    def __init__(self) -> None:
        self.topic: str | None = None
        self.partitions: dict[int, PartitionMetadata] = {}
        self.error: KafkaError | None = None

    def __repr__(self) -> str:
        error = "" if self.error is None else f", {self.error}"
        return f"TopicMetadata({self.topic}, {len(self.partitions)} partitions{error})"

    def __str__(self) -> str:
        return str(self.topic)


class PartitionMetadata:
    """A partition; its leader and only replica is broker 0."""

    def __init__(self) -> None:
        self.id = -1
        self.leader = -1
        self.replicas: list[int] = []
        self.isrs: list[int] = []
        self.error: KafkaError | None = None

    def __repr__(self) -> str:
        return f"PartitionMetadata({self.id})"

    def __str__(self) -> str:
        return str(self.id)


class GroupMember:
    """A member of a group, as :meth:`AdminClient.list_groups` tells of it."""

    def __init__(self) -> None:
        self.id: str | None = None
        self.client_id: str | None = None
        self.client_host: str | None = None
        self.metadata: bytes | None = None
        self.assignment: bytes | None = None


class GroupMetadata:
    """A group, as :meth:`AdminClient.list_groups` tells of it."""

    def __init__(self) -> None:
        self.broker: BrokerMetadata | None = None
        self.id: str | None = None
        self.error: KafkaError | None = None
        self.state: str | None = None
        self.protocol_type: str | None = None
        self.protocol: str | None = None
        self.members: list[GroupMember] = []

    def __repr__(self) -> str:
        error = "" if self.error is None else f", {self.error}"
        return f"GroupMetadata({self.id}{error})"

    def __str__(self) -> str:
        return str(self.id)


def cluster_id(log: Log) -> str:
    """Return what stands for a cluster's id: the log's directory."""
    return log.directory


def broker_metadata(log: Log) -> BrokerMetadata:
    """Return the broker that stands for the log's directory."""
    broker = BrokerMetadata()
    broker.id, broker.host, broker.port = BROKER, log.directory, 0
    return broker


def cluster_metadata(log: Log, topic: str | None) -> ClusterMetadata:
    """Return all topics of a log, or one; one that is not there has an error."""
    found = ClusterMetadata()
    found.cluster_id = found.orig_broker_name = log.directory
    found.controller_id = found.orig_broker_id = BROKER
    found.brokers = {BROKER: broker_metadata(log)}
    known = log.topics()
    for name in known if topic is None else [topic]:
        found.topics[name] = _topic_metadata(name, log.topic(name) if name in known else None)
    return found


def _topic_metadata(name: str, topic: Topic | None) -> TopicMetadata:
    described = TopicMetadata()
    described.topic = name
    if topic is None:
        described.error = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)
        return described
    for number in range(topic.partitions):
        partition = PartitionMetadata()
        partition.id, partition.leader = number, BROKER
        partition.replicas, partition.isrs = [BROKER], [BROKER]
        described.partitions[number] = partition
    return described
