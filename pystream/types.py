"""Small values that cross the public API."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["BatchMetadata", "RecordMetadata", "TopicPartition"]


class TopicPartition(NamedTuple):
    """Names a partition of a topic.

    Examples
    --------
    >>> TopicPartition("payments", 0)
    TopicPartition(topic='payments', partition=0)
    """

    topic: str
    partition: int


class RecordMetadata(NamedTuple):
    """Says where a record was appended.

    Attributes
    ----------
    topic : str
    partition : int
    offset : int
    timestamp : int
        Of the record, in microseconds since 1970.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int


class BatchMetadata(NamedTuple):
    """Says where a batch of records was appended.

    Attributes
    ----------
    topic : str
    partition : int
    base_offset : int
        Of the first record; the others follow it.
    record_count : int
    """

    topic: str
    partition: int
    base_offset: int
    record_count: int
