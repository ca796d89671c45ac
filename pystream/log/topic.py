"""A topic as users see it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from pystream import _native
from pystream.errors import UnknownTopicError
from pystream.log.topic_description import TopicDescription, check_compression

if TYPE_CHECKING:
    from pystream.log.open_log import OpenLog

__all__ = ["PartitionEnds", "Topic"]

_WHOLE = (int, np.integer)


class PartitionEnds(NamedTuple):
    """Which offsets a partition holds: from ``start`` on, below ``end``.

    Attributes
    ----------
    start : int
        Log start offset: the first that is kept.
    end : int
        Log end offset: the next to be written.
    """

    start: int
    end: int


class Topic:
    """Describes a topic of an open log; get one from :meth:`Log.topic`.

    Notes
    -----
    A description of the moment it was made, but for :meth:`ends`. Any thread.

    Examples
    --------
    >>> import tempfile, pystream as ps
    >>> with tempfile.TemporaryDirectory() as directory, ps.open(directory) as log:
    ...     topic = log.create_topic("payments", {"user": "string", "amount": "float64"},
    ...                              key="user", partitions=2)
    ...     topic.name, topic.partitions, topic.key, topic.ends()[0].end
    ('payments', 2, ('user',), 0)
    """

    def __init__(self, log: OpenLog, description: TopicDescription) -> None:
        self._log = log
        self._description = description
        self._schema = _native.Schema.deserialize(description.schema_blob)

    @property
    def name(self) -> str:
        """The topic's name."""
        return self._description.name

    @property
    def partitions(self) -> int:
        """How many partitions it has."""
        return self._description.partitions

    @property
    def schema(self) -> _native.Schema:
        """Names and types of the columns; of a topic without a schema ``key`` and ``value``."""
        return self._schema

    @property
    def is_typed(self) -> bool:
        """Whether it was created with a schema, and so holds columns instead of bytes."""
        return self._description.is_typed

    @property
    def key(self) -> tuple[str, ...]:
        """Columns whose values decide the partition; empty when there are none."""
        return self._description.key_columns

    @property
    def compression(self) -> Literal["none", "lz4"]:
        """``"none"`` or ``"lz4"``."""
        return check_compression(self._description.config.compression)

    @property
    def timestamp_type(self) -> str:
        """``"create_time"`` or ``"append_time"``."""
        return self._description.config.timestamp_type

    @property
    def segment_bytes(self) -> int:
        """Where a segment ends and the next begins."""
        return self._description.config.segment_bytes

    @property
    def retention(self) -> timedelta | None:
        """How long after its append a record is kept at least; None: for ever."""
        found = self._description.config.retention_us
        return None if found is None else timedelta(microseconds=found)

    @property
    def retention_bytes(self) -> int | None:
        """How much each partition keeps at least; None: everything."""
        return self._description.config.retention_bytes

    @property
    def cleanup_policy(self) -> str:
        """``"delete"``, ``"compact"`` or ``"compact,delete"``."""
        return self._description.config.cleanup_policy

    @property
    def delete_retention(self) -> timedelta:
        """How long a record that deletes its key is kept once it is compacted."""
        return timedelta(microseconds=self._description.config.delete_retention_us)

    @property
    def min_compaction_lag(self) -> timedelta:
        """How long after its append a record is surely kept."""
        return timedelta(microseconds=self._description.config.min_compaction_lag_us)

    @property
    def min_cleanable_ratio(self) -> float:
        """How much of a partition's bytes must be new for it to be compacted."""
        return self._description.config.min_cleanable_ratio

    def ends(self) -> list[PartitionEnds]:
        """Return the offsets that each partition holds now, by partition."""
        found = []
        for partition in self.native_partitions(range(self.partitions)):
            ends = partition.ends()
            found.append(PartitionEnds(ends.log_start_offset, ends.log_end_offset))
        return found

    @property
    def description(self) -> TopicDescription:
        """What the catalog stores, for the layers of this package."""
        return self._description

    def check_partitions(self, numbers: Sequence[int]) -> None:
        """Raise UnknownTopicError unless the topic has these partitions; opens none."""
        count = self.partitions
        for number in numbers:
            if not isinstance(number, _WHOLE) or not 0 <= number < count:
                raise UnknownTopicError(
                    f"topic {self.name!r} has no partition {number!r}. Its partitions are 0 to "
                    f"{count - 1}.",
                    topic=self.name,
                    partition=number,
                )

    def native_partition(self, number: int) -> _native.Partition:
        """Return the handle of a partition, for the layers of this package.

        Raises
        ------
        UnknownTopicError
            If the topic has no such partition.
        """
        return self.native_partitions((number,))[0]

    def native_partitions(self, numbers: Sequence[int]) -> list[_native.Partition]:
        """Return the handles of partitions, as :meth:`native_partition` does, in one go."""
        self.check_partitions(numbers)
        return self._log.native_partitions(self._description, self._schema, numbers)

    def __repr__(self) -> str:
        return f"<Topic {self.name!r}: {self.partitions} partitions, {self._schema}>"
