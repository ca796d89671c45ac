"""Who is told of a rebalance."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from pystream.types import TopicPartition

__all__ = ["AsyncConsumerRebalanceListener", "ConsumerRebalanceListener"]


class ConsumerRebalanceListener(ABC):
    """Is told of partitions that come and go, within the consumer's ``poll``."""

    @abstractmethod
    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Hear which partitions are given up; their offsets can still be committed."""

    @abstractmethod
    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Hear which partitions came."""

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        """Hear which partitions were taken away; by default they count as revoked."""
        return self.on_partitions_revoked(lost)


class AsyncConsumerRebalanceListener(ABC):
    """The same with coroutines, which are run to their end within ``poll``."""

    @abstractmethod
    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Hear which partitions are given up."""

    @abstractmethod
    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Hear which partitions came."""

    async def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        """Hear which partitions were taken away."""
        await self.on_partitions_revoked(lost)
