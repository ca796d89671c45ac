"""Positions, committed offsets and the ends of partitions. Part of the consumer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from pystream import errors
from pystream.compat.kafka.errors import IllegalStateError, raised
from pystream.compat.kafka.future import Future
from pystream.compat.kafka.structs import OffsetAndMetadata, OffsetAndTimestamp
from pystream.compat.kafka.translated import translated
from pystream.types import TopicPartition

if TYPE_CHECKING:
    from pystream.compat.reader import Reader

__all__ = ["ConsumerOffsets", "checked"]


class ConsumerOffsets:
    """The part of :class:`KafkaConsumer` that is about offsets."""

    _reader: Reader
    _group_id: str | None
    _on_commit: Callable[..., object] | None

    @translated
    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Go on from an offset; where none is, ``auto_offset_reset`` decides."""
        checked(partition)
        if not isinstance(offset, int) or offset < 0:
            raise ValueError("Offset must be >= 0")
        if partition not in self.assignment():
            raise ValueError("Unassigned partition")
        self._reader.seek(partition, offset)

    @translated
    def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        """Go to the first record of these partitions, or of all."""
        for name in self._some(partitions):
            self._reader.go_to(name, is_end=False)

    @translated
    def seek_to_end(self, *partitions: TopicPartition) -> None:
        """Go behind the last record of these partitions, or of all."""
        for name in self._some(partitions):
            self._reader.go_to(name, is_end=True)

    @translated
    def position(self, partition: TopicPartition, timeout_ms: float | None = None) -> int:
        """Return the offset of the next record."""
        self._check_assigned(partition)
        return self._reader.consumer.position(partition)

    @translated
    def highwater(self, partition: TopicPartition) -> int:
        """Return the offset of the next record that will be written."""
        self._check_assigned(partition)
        return self._reader.consumer.end_offsets([partition])[partition]

    @translated
    def beginning_offsets(
        self, partitions: Iterable[TopicPartition], timeout_ms: float | None = None
    ) -> dict[TopicPartition, int]:
        """Return the first offset that is kept, by partition."""
        return self._reader.consumer.beginning_offsets(partitions)

    @translated
    def end_offsets(
        self, partitions: Iterable[TopicPartition], timeout_ms: float | None = None
    ) -> dict[TopicPartition, int]:
        """Return the next offset to be written, by partition."""
        return self._reader.consumer.end_offsets(partitions)

    @translated
    def offsets_for_times(
        self, timestamps: Mapping[TopicPartition, int], timeout_ms: float | None = None
    ) -> dict[TopicPartition, OffsetAndTimestamp | None]:
        """Return the first record at or after so many milliseconds since 1970, by partition.

        None where there is none, also of a partition that does not exist.
        """
        for name, stamp in timestamps.items():
            if stamp < 0:
                raise ValueError(
                    f"The target time for partition {name} is {stamp}. The target time cannot be "
                    "negative."
                )
        return {name: self._first_from(name, stamp) for name, stamp in timestamps.items()}

    def _first_from(self, name: TopicPartition, stamp: int) -> OffsetAndTimestamp | None:
        try:
            place = self._reader.consumer.offsets_for_times({name: int(stamp) * 1000})[name]
        except errors.UnknownTopicError:
            return None
        if place is None:
            return None
        return OffsetAndTimestamp(place.offset, place.timestamp // 1000, -1)

    # -- committing ------------------------------------------------------------------------------

    @translated
    def commit(
        self,
        offsets: Mapping[TopicPartition, OffsetAndMetadata] | None = None,
        timeout_ms: float | None = None,
    ) -> None:
        """Store offsets of the group, by default all positions; they survive power loss."""
        self._check_group()
        self._reader.commit(self._offsets(offsets))

    @translated
    def commit_async(
        self,
        offsets: Mapping[TopicPartition, OffsetAndMetadata] | None = None,
        callback: Callable[..., object] | None = None,
    ) -> Future:
        """Store offsets soon; ``callback(offsets, error or None)`` is called by :meth:`poll`."""
        self._check_group()
        future = Future(self._reader.store_late)
        rows = self._offsets(offsets)
        told = {name: OffsetAndMetadata(offset) for name, offset in rows.items()}
        report = callback or self._on_commit

        def done(_: dict[TopicPartition, int], error: errors.StreamError | None) -> None:
            failed = None if error is None else raised(error)
            if failed is None:
                future.success(told)
            else:
                future.failure(failed)
            if report is not None:
                report(told, failed)

        self._reader.commit_late(rows, done)
        return future

    @translated
    def committed(
        self, partition: TopicPartition, metadata: bool = False, timeout_ms: float | None = None
    ) -> int | OffsetAndMetadata | None:
        """Return the group's committed offset, or None, also when there is no such partition."""
        self._check_group()
        checked(partition)
        self._reader.store_late()
        try:
            offset = self._reader.consumer.committed(partition)
        except errors.UnknownTopicError:
            return None
        return OffsetAndMetadata(offset) if metadata and offset is not None else offset

    # -- helpers ---------------------------------------------------------------------------------

    def assignment(self) -> set[TopicPartition]:
        """Return the partitions that are read."""
        return self._reader.consumer.assignment()

    def _offsets(
        self, offsets: Mapping[TopicPartition, OffsetAndMetadata] | None
    ) -> dict[TopicPartition, int]:
        if offsets is None:
            consumer = self._reader.consumer
            return {name: consumer.position(name) for name in consumer.assignment()}
        rows = {}
        for name, place in offsets.items():
            offset = place if isinstance(place, int) else place.offset
            assert offset is not None
            rows[checked(name)] = offset
        return rows

    def _check_open(self) -> None:
        if self._reader.is_closed:
            raise IllegalStateError("KafkaConsumer is closed")

    def _check_group(self) -> None:
        self._check_open()
        if self._group_id is None:
            raise IllegalStateError("Requires group_id")

    def _check_assigned(self, partition: TopicPartition) -> None:
        if checked(partition) not in self.assignment():
            raise IllegalStateError("Partition is not assigned")

    def _some(self, partitions: Sequence[TopicPartition]) -> list[TopicPartition]:
        names = [checked(partition) for partition in partitions] or sorted(self.assignment())
        if not names:
            raise ValueError("No partitions are currently assigned")
        for name in names:
            if name not in self.assignment():
                raise ValueError(f"Unassigned partition: {name}")
        return names


def checked(partition: object) -> TopicPartition:
    """Return a name of a partition that is one; TypeError for anything else."""
    if not isinstance(partition, TopicPartition):
        raise TypeError("partition must be a TopicPartition namedtuple")
    return partition
