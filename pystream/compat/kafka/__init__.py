"""kafka-python's names, on a log; `docs/from-kafka.md` says what differs."""

from pystream.compat.kafka.admin.client import KafkaAdminClient
from pystream.compat.kafka.admin.requests import IsolationLevel, OffsetSpec
from pystream.compat.kafka.consumer import KafkaConsumer
from pystream.compat.kafka.listeners import (
    AsyncConsumerRebalanceListener,
    ConsumerRebalanceListener,
)
from pystream.compat.kafka.producer import KafkaProducer
from pystream.compat.kafka.serializer import (
    DefaultSerializer,
    Deserializer,
    JsonSerializer,
    Serializer,
)
from pystream.compat.kafka.structs import (
    ConsumerGroupMetadata,
    OffsetAndMetadata,
    TopicPartition,
    TopicPartitionReplica,
)

__all__ = [
    "AsyncConsumerRebalanceListener",
    "ConsumerGroupMetadata",
    "ConsumerRebalanceListener",
    "DefaultSerializer",
    "Deserializer",
    "IsolationLevel",
    "JsonSerializer",
    "KafkaAdminClient",
    "KafkaConsumer",
    "KafkaProducer",
    "OffsetAndMetadata",
    "OffsetSpec",
    "Serializer",
    "TopicPartition",
    "TopicPartitionReplica",
]
