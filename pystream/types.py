"""Small values that cross the public API."""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "BatchMetadata",
    "OffsetAndTimestamp",
    "RecordMetadata",
    "SkippedRecords",
    "TopicPartition",
]


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
    is_duplicate : bool
        The producer, which has a name, had stored the record before: this is where. The offset is
        -1 when it was deleted or compacted since; a timestamp of its append is not kept, and -1.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    is_duplicate: bool = False


class BatchMetadata(NamedTuple):
    """Says where a batch of records was appended.

    Attributes
    ----------
    topic : str
    partition : int
    base_offset : int
        Of the first record; the others follow it.
    record_count : int
    is_duplicate : bool
        The producer, which has a name, had stored these records before. The base offset is -1 when
        they were deleted or compacted since.
    """

    topic: str
    partition: int
    base_offset: int
    record_count: int
    is_duplicate: bool = False


class OffsetAndTimestamp(NamedTuple):
    """A record that was looked for by time.

    Attributes
    ----------
    offset : int
    timestamp : int
        Of the record, in microseconds since 1970; where a column was named, its value there, in the
        column's unit.
    """

    offset: int
    timestamp: int


class SkippedRecords(NamedTuple):
    """Records that a consumer with ``on_corruption="skip"`` stepped over because of damage.

    Attributes
    ----------
    topic : str
    partition : int
    offset : int
        Of the first one.
    next_offset : int
        Behind the last one.
    position : int
        Of the damage, in bytes from the start of the file.
    path : str
        Of the damaged file; of the partition's directory where a file is missing.
    """

    topic: str
    partition: int
    offset: int
    next_offset: int
    position: int
    path: str
