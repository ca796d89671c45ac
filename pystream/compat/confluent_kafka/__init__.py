"""confluent-kafka's names, on a log; `docs/from-kafka.md` says what differs."""

from importlib import import_module

from pystream.compat.confluent_kafka.consumer import Consumer
from pystream.compat.confluent_kafka.kafka_error import KafkaError, KafkaException
from pystream.compat.confluent_kafka.message import (
    OFFSET_BEGINNING,
    OFFSET_END,
    OFFSET_INVALID,
    OFFSET_STORED,
    TIMESTAMP_CREATE_TIME,
    TIMESTAMP_LOG_APPEND_TIME,
    TIMESTAMP_NOT_AVAILABLE,
    Message,
    TopicPartition,
)
from pystream.compat.confluent_kafka.model import (
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    ConsumerGroupType,
    IsolationLevel,
    Node,
    ThrottleEvent,
    TopicCollection,
    TopicPartitionInfo,
    Uuid,
)
from pystream.compat.confluent_kafka.producer import Producer
from pystream.compat.confluent_kafka.serializing import DeserializingConsumer, SerializingProducer
from pystream.compat.partitioners import consistent, fnv1a, murmur2

# Imported by whoever imports them, as in the library: `admin`, `aio`, `serialization`, `error`.


def version() -> tuple[str, int]:
    """Return the version of the library whose names these are."""
    return "2.16.1", 0x02100100


def __getattr__(name: str) -> object:
    if name in ("admin", "aio"):
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "OFFSET_BEGINNING",
    "OFFSET_END",
    "OFFSET_INVALID",
    "OFFSET_STORED",
    "TIMESTAMP_CREATE_TIME",
    "TIMESTAMP_LOG_APPEND_TIME",
    "TIMESTAMP_NOT_AVAILABLE",
    "Consumer",
    "ConsumerGroupState",
    "ConsumerGroupTopicPartitions",
    "ConsumerGroupType",
    "DeserializingConsumer",
    "IsolationLevel",
    "KafkaError",
    "KafkaException",
    "Message",
    "Node",
    "Producer",
    "SerializingProducer",
    "ThrottleEvent",
    "TopicCollection",
    "TopicPartition",
    "TopicPartitionInfo",
    "Uuid",
    "consistent",
    "fnv1a",
    "murmur2",
    "version",
]
