"""Positions, committed offsets and the ends of partitions. Part of the consumer."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from pystream import errors, types
from pystream.compat.confluent_kafka.kafka_error import (
    KafkaError,
    KafkaException,
    raised,
    to_kafka_error,
)
from pystream.compat.confluent_kafka.message import (
    OFFSET_BEGINNING,
    OFFSET_END,
    OFFSET_INVALID,
    OFFSET_STORED,
    Message,
    TopicPartition,
)
from pystream.compat.confluent_kafka.translated import translated
from pystream.compat.reader import COMMIT_SECONDS

if TYPE_CHECKING:
    from pystream._native import Record
    from pystream.compat.reader import Reader
    from pystream.log import Log

__all__ = ["ConsumerOffsets"]


class ConsumerOffsets:
    """The part of :class:`Consumer` that is about offsets."""

    _log: Log
    _reader: Reader
    _is_auto_store: bool
    _auto_seconds: float | None  # between two commits of what the program stored; None: never
    _auto_at: float
    _on_commit: Callable[..., object] | None
    _stored: dict[types.TopicPartition, int]
    _committed: dict[types.TopicPartition, int]
    _told_ends: dict[types.TopicPartition, int]
    _commits: deque[tuple[KafkaError | None, list[TopicPartition]]]  # to be told of

    @translated
    def position(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
        """Return partitions with the offset behind the last message, or OFFSET_INVALID."""
        self._check_open()
        consumed = self._reader.consumed()
        return [self._with(each, consumed.get(self._name(each))) for each in partitions]

    @translated
    def seek(self, partition: TopicPartition) -> None:
        """Go on from the partition's ``offset``, which may be one of the ``OFFSET_`` constants."""
        self._check_open()
        name = self._name(partition)
        if name not in self._reader.consumer.assignment():
            raise KafkaException(
                KafkaError(
                    KafkaError._STATE,
                    f"Failed to seek to offset {partition.offset}: {name.topic} "
                    f"[{name.partition}] is not assigned",
                )
            )
        offset = self._offset_of(partition)
        if offset is not None:
            self._reader.seek(name, offset)
        self._told_ends.pop(name, None)

    # -- committing ------------------------------------------------------------------------------

    def commit(
        self,
        message: Message | None = None,
        offsets: list[TopicPartition] | None = None,
        asynchronous: bool = True,
    ) -> list[TopicPartition] | None:
        """Store the offset behind a message, or offsets, or by default all positions.

        Parameters
        ----------
        message : Message, optional
        offsets : list of TopicPartition, optional
            Those without a number are left out; when none is left, the error is ``_NO_OFFSET``.
        asynchronous : bool, default True
            Do not wait for the disk: it is stored soon, and ``on_commit`` is called then.

        Returns
        -------
        list of TopicPartition or None
            None when it is asynchronous.
        """
        self._check_open()
        rows = self._rows(message, offsets)
        if rows is None:
            rows = self._uncommitted()
        if not rows:
            error = KafkaError(KafkaError._NO_OFFSET, "Commit failed: Local: No offset stored")
            if not asynchronous:
                raise KafkaException(error)
            self._commits.append((error, []))
            self._reader.plain = None
            return None
        if asynchronous:
            self._reader.commit_late(rows, self._told_of_commit)
            return None
        try:
            self._reader.commit(rows)
        except errors.StreamError as error:
            raise raised(error) from error
        self._committed.update(rows)
        return [TopicPartition(*name, offset) for name, offset in rows.items()]

    def store_offsets(
        self, message: Message | None = None, offsets: list[TopicPartition] | None = None
    ) -> None:
        """Say what is processed, for the next commit; needs ``enable.auto.offset.store`` off."""
        self._check_open()
        if self._is_auto_store:
            raise self._invalid(
                "StoreOffsets failed: enable.auto.offset.store must be set to False"
            )
        rows = self._rows(message, offsets)
        if rows is None:
            raise ValueError("expected either message or offsets")
        for name in rows:
            if name not in self._reader.consumer.assignment():
                raise KafkaException(
                    KafkaError(KafkaError._STATE, f"{name.topic} [{name.partition}] not assigned")
                )
        self._stored.update(rows)

    @translated
    def committed(
        self, partitions: list[TopicPartition], timeout: float | None = -1
    ) -> list[TopicPartition]:
        """Return partitions with the group's committed offset, or OFFSET_INVALID.

        One that does not exist has an ``error``.
        """
        self._check_open()
        self._reader.store_late()

        def answered(partition: TopicPartition) -> TopicPartition:
            try:
                offset = self._reader.consumer.committed(self._known(partition))
            except errors.UnknownTopicError as error:
                return self._failed(partition, OFFSET_INVALID, to_kafka_error(error))
            return self._with(partition, offset)

        return [answered(each) for each in partitions]

    # -- what the log holds ----------------------------------------------------------------------

    @translated
    def get_watermark_offsets(
        self, partition: TopicPartition, timeout: float | None = -1, cached: bool = False
    ) -> tuple[int, int]:
        """Return the first offset that is kept, and the next one to be written."""
        self._check_open()
        name = self._known(partition)
        consumer = self._reader.consumer
        return consumer.beginning_offsets([name])[name], consumer.end_offsets([name])[name]

    @translated
    def offsets_for_times(
        self, partitions: list[TopicPartition], timeout: float | None = -1
    ) -> list[TopicPartition]:
        """Return partitions with the first offset at or after the milliseconds in ``offset``.

        One that does not exist has an ``error``; when none does, it is raised.
        """
        self._check_open()

        def answered(partition: TopicPartition) -> TopicPartition:
            name = self._name(partition)
            try:
                found = self._reader.consumer.offsets_for_times({name: partition.offset * 1000})
            except errors.UnknownTopicError as error:
                failed = to_kafka_error(error)
                if error.partition is not None:
                    failed = KafkaError(KafkaError._UNKNOWN_PARTITION, str(error))
                return self._failed(partition, partition.offset, failed)
            place = found[name]
            return self._with(partition, OFFSET_END if place is None else place.offset)

        if not partitions:
            raise self._invalid("Failed to get offsets: no partitions are given")
        answers = [answered(each) for each in partitions]
        if all(each.error is not None for each in answers):
            reason = f"Failed to get offsets: {answers[0].error}"
            raise KafkaException(KafkaError(KafkaError._UNKNOWN_PARTITION, reason))
        return answers

    # -- helpers ---------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._reader.is_closed:
            raise RuntimeError("Consumer closed")

    def _offset_of(self, partition: TopicPartition) -> int | None:
        """Return where a partition is to begin; None: at the committed offset."""
        if partition.offset >= 0:
            return partition.offset
        if partition.offset in (OFFSET_BEGINNING, OFFSET_END):
            name = self._known(partition)
            consumer = self._reader.consumer
            if partition.offset == OFFSET_BEGINNING:
                return consumer.beginning_offsets([name])[name]
            return consumer.end_offsets([name])[name]
        if partition.offset in (OFFSET_INVALID, OFFSET_STORED):
            return None
        raise self._invalid(f"offset {partition.offset} is neither an offset nor a logical one")

    def _name(self, partition: TopicPartition) -> types.TopicPartition:
        if not isinstance(partition, TopicPartition):
            raise TypeError("expected TopicPartition")
        return types.TopicPartition(partition.topic, partition.partition)

    def _known(self, partition: TopicPartition) -> types.TopicPartition:
        name = self._name(partition)
        self._log.topic(name.topic).native_partition(name.partition)
        return name

    def _with(self, partition: TopicPartition, offset: int | None) -> TopicPartition:
        at = OFFSET_INVALID if offset is None else offset
        return TopicPartition(partition.topic, partition.partition, at)

    def _failed(self, partition: TopicPartition, offset: int, error: KafkaError) -> TopicPartition:
        answer = self._with(partition, offset)
        answer.error = error
        return answer

    def _rows(
        self, message: Message | None, offsets: list[TopicPartition] | None
    ) -> dict[types.TopicPartition, int] | None:
        if message is not None and offsets is not None:
            raise ValueError("message and offsets are mutually exclusive")
        if message is not None:
            if message.error() is not None:
                raise self._invalid(
                    f"Cannot store offsets for message with error: {message.error()}"
                )
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            assert topic is not None
            assert partition is not None
            assert offset is not None
            return {types.TopicPartition(topic, partition): offset + 1}
        if offsets is None:
            return None
        return {self._name(each): each.offset for each in offsets if each.offset >= 0}

    def _uncommitted(self) -> dict[types.TopicPartition, int]:
        rows = self._reader.consumed() if self._is_auto_store else self._stored
        return {name: at for name, at in rows.items() if at > self._committed.get(name, -1)}

    def _commit_stored(self) -> None:
        assert self._auto_seconds is not None
        self._auto_at = time.monotonic() + self._auto_seconds
        rows = self._uncommitted()
        if rows:
            self._reader.commit_late(rows, self._told_of_commit)
            self._reader.store_late()

    def _next(self, wait: float | None) -> Record | None:
        """Wait for a record; commits that fall due meanwhile are stored and told of."""
        self._report_commits()  # of what was due before
        left = wait
        deadline = None if wait is None else time.monotonic() + wait
        while (due := self._due_seconds()) is not None and (left is None or due < left):
            record = self._reader.next(due)
            if record is not None:
                return record
            self._reader.settle()
            if self._auto_seconds is not None and time.monotonic() >= self._auto_at:
                self._commit_stored()
            self._report_commits()
            left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
        return self._reader.next(left)

    def _due_seconds(self) -> float | None:
        """Return how long nothing must be committed; None: as long as nothing is read."""
        due = self._reader.late_seconds()
        if due is None and self._auto_seconds is not None and self._uncommitted():
            due = self._auto_at - time.monotonic()
        return None if due is None else max(due, COMMIT_SECONDS)

    def _told_of_commit(
        self, rows: dict[types.TopicPartition, int], error: errors.StreamError | None
    ) -> None:
        failed = None if error is None else to_kafka_error(error)
        if failed is None:
            self._committed.update(rows)
        partitions = [TopicPartition(*name, offset) for name, offset in rows.items()]
        for partition in partitions:
            partition.error = failed
        self._commits.append((failed, partitions))

    def _report_commits(self) -> None:
        """Call on_commit for what was stored, or failed, meanwhile."""
        while self._commits:
            failed, partitions = self._commits.popleft()
            if self._on_commit is not None:
                self._on_commit(failed, partitions)

    def _invalid(self, reason: str) -> KafkaException:
        return raised(errors.ConfigError(reason))
