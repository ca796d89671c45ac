"""kafka-python's partitioners."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from typing import Any

from pystream.compat.partitioners import murmur2 as _partition_of
from pystream.compat.partitioners import murmur2_hash
from pystream.errors import UnknownTopicError
from pystream.log import Log

__all__ = ["ClusterView", "DefaultPartitioner", "Partitioner", "StickyPartitioner", "murmur2"]


def murmur2(data: bytes) -> int:
    """Return Kafka's hash of a key."""
    return murmur2_hash(bytes(data))


class ClusterView:
    """What a partitioner is told of the topics: every partition there is, is available."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def topics(self, exclude_internal_topics: bool = True) -> set[str]:
        """Return the names of all topics."""
        return set(self._log.topics())

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        """Return the partitions of a topic, or None when it does not exist."""
        try:
            return set(range(self._log.topic(topic).partitions))
        except UnknownTopicError:
            return None

    def available_partitions_for_topic(self, topic: str) -> set[int] | None:
        """Return the same."""
        return self.partitions_for_topic(topic)


class Partitioner(ABC):
    """Chooses the partition of a record; pass an instance as ``partitioner``."""

    @abstractmethod
    def partition(
        self,
        topic: str,
        key: Any,
        serialized_key: bytes | None,
        value: Any,
        serialized_value: bytes | None,
        cluster: ClusterView,
    ) -> int | None:
        """Return a partition."""


class DefaultPartitioner(Partitioner):
    """By the key's hash; records without a key go anywhere. What a log does by itself."""

    def partition(  # noqa: D102
        self,
        topic: str,
        key: Any,
        serialized_key: bytes | None,
        value: Any,
        serialized_value: bytes | None,
        cluster: ClusterView,
    ) -> int | None:
        partitions = sorted(cluster.partitions_for_topic(topic) or ())
        if not partitions:
            raise ValueError(f"Topic {topic} not found in ClusterMetadata")
        if serialized_key is None:
            return random.choice(partitions)
        return partitions[_partition_of(bytes(serialized_key), len(partitions))]


class StickyPartitioner(DefaultPartitioner):
    """The same: a log fills one partition's batch after another anyway."""
