"""The record of a partition with the greatest timestamp: Kafka's OffsetSpec.MAX_TIMESTAMP."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pystream.log.consumer import Consumer
    from pystream.types import OffsetAndTimestamp, TopicPartition

__all__ = ["newest_record"]

_LAST_MS = (2**63 - 1) // 1000


def newest_record(consumer: Consumer, name: TopicPartition) -> OffsetAndTimestamp | None:
    """Return the first record of the last millisecond that has one; None of an empty partition.

    Notes
    -----
    Asks for at most 54 times, halving what lies between one that a record has and one that none
    has; each is found in time logarithmic in segments and batches.
    """
    newest = None
    low, high = -_LAST_MS, _LAST_MS
    while low <= high:
        middle = (low + high) // 2
        found = consumer.offsets_for_times({name: middle * 1000})[name]
        if found is None:
            high = middle - 1
        else:
            low = found.timestamp // 1000 + 1
            newest = found
    return newest
