"""The consumer: pulls batches or records of topics, at its own pace."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pystream import config
from pystream._native import RecordIterator, RecordRows
from pystream.errors import ClosedError, ConfigError, CorruptRecordError, LogError
from pystream.log import fork
from pystream.log.consumer_iterators import Batches, Records
from pystream.log.fetcher import AssignedPartition, Fetcher
from pystream.log.group_member import GroupMember
from pystream.log.offsets import AUTO_OFFSET_RESETS, check_committable, reset_offset
from pystream.log.record_rows import record_rows
from pystream.types import SkippedRecords, TopicPartition

if TYPE_CHECKING:
    from pystream._native import OnCorruption, Record
    from pystream.log.log import Log
    from pystream.log.record_batch import RecordBatch
    from pystream.log.topic import Topic

__all__ = ["Consumer"]


class Consumer:
    """Reads topics from a position that it keeps per partition; made by :meth:`Log.consumer`.

    Parameters
    ----------
    log : Log
    *topics : str
        Subscribed to at once; see :meth:`subscribe`. None: call `subscribe` or `assign`.
    group_id : str, optional
        Whose committed offsets to begin at and to commit to.
    auto_offset_reset : {"latest", "earliest", "none"}, default "latest"
        Where to begin without a committed offset, or with one that is not in the log any more;
        ``"none"`` raises OffsetOutOfRangeError.
    timeout : str or timedelta, optional
        Iteration ends when nothing came for so long. Default: it waits for ever.
    max_poll_records : int, default 500
        The most records that one :meth:`poll` returns.
    on_corruption : {"raise", "skip"}, default "raise"
        What damaged records do: raise CorruptRecordError, at the latest when a damaged column is
        read, or be stepped over and counted (:meth:`metrics`, :attr:`skipped_records`); then
        every batch is verified in full before it is handed out, once per process.

    Notes
    -----
    Not for two threads at once. Batches of several partitions come in the order in which they
    were appended to the log, as far as they are there.
    """

    def __init__(
        self,
        log: Log,
        *topics: str,
        group_id: str | None = None,
        auto_offset_reset: str = "latest",
        timeout: str | timedelta | None = None,
        max_poll_records: int = config.MAX_POLL_RECORDS,
        on_corruption: str = "raise",
    ) -> None:
        if group_id is not None and (not isinstance(group_id, str) or not group_id):
            raise ConfigError(f"group_id is {group_id!r}. Pass a name, or leave it out.")
        if group_id is not None:
            log.check_writable("join a consumer group")
        self._log = log
        self._group_id = group_id
        self._reset = config.check_choice(
            auto_offset_reset, AUTO_OFFSET_RESETS, name="auto_offset_reset"
        )
        self._timeout_us = config.parse_timeout_us(timeout)
        self._max_poll_records = config.check_positive(max_poll_records, name="max_poll_records")
        config.check_choice(on_corruption, ("raise", "skip"), name="on_corruption")
        self._on_corruption: OnCorruption = "skip" if on_corruption == "skip" else "raise"
        self._member: GroupMember | None = None
        self._assigned: dict[TopicPartition, AssignedPartition] = {}
        self._topics: tuple[str, ...] = ()
        self._fetcher = Fetcher(log.native, on_corruption=self._on_corruption)
        self._records: RecordIterator | None = None  # while records are iterated over
        self._reading: AssignedPartition | None = None  # whose batch that is in
        self._is_closed = False
        self._is_in_child = False
        fork.on_child(self)
        if topics:
            self.subscribe(topics)

    # -- what is read --------------------------------------------------------------------------

    def subscribe(self, topics: str | Iterable[str]) -> None:
        """Read all partitions of some topics, and of no others.

        Parameters
        ----------
        topics : str or iterable of str

        Raises
        ------
        UnknownTopicError
            If a topic does not exist.
        NotSupportedError
            If the consumer's group has another live member.
        """
        self._check_usable()
        names = (topics,) if isinstance(topics, str) else tuple(dict.fromkeys(topics))
        if not names:
            raise ConfigError("subscribe() got no topic. Name at least one.")
        found = [self._log.topic(name) for name in names]
        if self._group_id is not None and self._member is None:
            self._member = GroupMember(self._log.directory, self._log.catalog, self._group_id)
        self._assign((topic, number) for topic in found for number in range(topic.partitions))
        self._topics = names

    def assign(self, partitions: Iterable[TopicPartition | tuple[str, int]]) -> None:
        """Read exactly these partitions, without becoming a member of the group.

        Parameters
        ----------
        partitions : iterable of TopicPartition

        Raises
        ------
        UnknownTopicError
            If a topic or partition does not exist.
        """
        self._check_usable()
        names = [TopicPartition(*partition) for partition in partitions]
        topics = {name: self._log.topic(name) for name in {name.topic for name in names}}
        self._leave_group()
        self._topics = ()
        self._assign((topics[name.topic], name.partition) for name in names)

    def assignment(self) -> set[TopicPartition]:
        """Return the partitions that are read."""
        return set(self._assigned)

    def subscription(self) -> set[str]:
        """Return the topics subscribed to; empty after :meth:`assign`."""
        return set(self._topics)

    def pause(self, *partitions: TopicPartition) -> None:
        """Read nothing from these partitions until :meth:`resume`."""
        self._set_paused(partitions, is_paused=True)

    def resume(self, *partitions: TopicPartition) -> None:
        """Go on with these partitions."""
        self._set_paused(partitions, is_paused=False)

    def paused(self) -> set[TopicPartition]:
        """Return the partitions that are paused."""
        return {name for name, assigned in self._assigned.items() if assigned.is_paused}

    # -- reading -------------------------------------------------------------------------------

    def batches(
        self, timeout: str | timedelta | None = None, *, max_records: int | None = None
    ) -> Batches:
        """Iterate over batches as they lie in the log, without a copy.

        With ``for`` it waits in this thread; with ``async for`` the event loop goes on.

        Parameters
        ----------
        timeout : str or timedelta, optional
            End when nothing came for so long; ``"0s"`` ends at once when all is read. Default:
            the consumer's `timeout`.
        max_records : int, optional
            Cut larger batches. Default: whole stored batches.

        Returns
        -------
        iterator and asynchronous iterator of RecordBatch
            Records of one partition with consecutive offsets. The position is behind them as
            soon as they are handed out.

        Raises
        ------
        CorruptRecordError
            If the next batch is damaged; the position stays, and ``seek`` to the error's
            `next_offset` goes on behind it.
        """
        limit = None
        if max_records is not None:
            limit = config.check_positive(max_records, name="max_records")
        wait_us = self._timeout_us if timeout is None else config.parse_timeout_us(timeout)
        return Batches(self, limit, wait_us)

    def __iter__(self) -> Iterator[Record]:
        """Iterate over single records; ends when nothing came for the consumer's `timeout`.

        The position is behind a record as soon as it is handed out, and one may break off and
        go on, also with :meth:`batches`.
        """
        self._check_usable()
        self._leave_record()
        records = RecordIterator(self._next_rows)
        self._hold(records)
        return records

    def __aiter__(self) -> Records:
        """Iterate over single records as ``for`` does, while the event loop goes on."""
        return Records(self)

    def poll(
        self, timeout: str | timedelta = "0s", *, max_records: int | None = None
    ) -> dict[TopicPartition, list[Record]]:
        """Return the records that are there, waiting for the first.

        Parameters
        ----------
        timeout : str or timedelta, default "0s"
            How long to wait for the first record.
        max_records : int, optional
            Default: the consumer's `max_poll_records`.

        Returns
        -------
        dict of TopicPartition to list of Record
            Empty when nothing came.
        """
        left = self._max_poll_records
        if max_records is not None:
            left = config.check_positive(max_records, name="max_records")
        self._check_usable()
        self._leave_record()
        polled: dict[TopicPartition, list[Record]] = {}
        found = self._next(left, config.parse_timeout_us(timeout))
        while found is not None:
            assigned, batch = found
            rows = self._rows_of(assigned, batch)
            polled.setdefault(assigned.name, []).extend(rows.records(0, rows.length))
            left -= rows.length
            try:
                found = self._fetcher.next(left) if left > 0 else None
            except CorruptRecordError:
                break  # what came before it is not lost; the next call raises
        return polled

    def metrics(self) -> dict[str, dict[str, int]]:
        """Return counters by group and name, as Kafka's clients have them."""
        return self._fetcher.metrics.by_group()

    @property
    def skipped_records(self) -> list[SkippedRecords]:
        """Where damage was stepped over with ``on_corruption="skip"``: the newest 1000 places."""
        return list(self._fetcher.metrics.skipped)

    # -- positions -----------------------------------------------------------------------------

    def position(self, partition: TopicPartition) -> int:
        """Return the offset of the next record of a partition."""
        return self._position(self._of(partition))

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Go to an offset of a partition.

        Raises
        ------
        OffsetOutOfRangeError
            If it is below the log start offset or above the log end offset; names both.
        """
        self._leave_record()
        self._fetcher.seek(self._of(partition), offset)
        self._fetcher.interrupt()

    def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        """Go to the first record of these partitions; of all when none is given."""
        self._leave_record()
        for assigned in self._some(partitions):
            self._fetcher.seek(assigned, assigned.partition.ends().log_start_offset)
        self._fetcher.interrupt()

    def seek_to_end(self, *partitions: TopicPartition) -> None:
        """Go behind the last record of these partitions; of all when none is given."""
        self._leave_record()
        for assigned in self._some(partitions):
            self._fetcher.seek(assigned, assigned.partition.ends().log_end_offset)
        self._fetcher.interrupt()

    def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the log start offset of partitions, assigned or not."""
        return {name: self._ends(name)[0] for name in partitions}

    def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the log end offset of partitions, assigned or not."""
        return {name: self._ends(name)[1] for name in partitions}

    # -- committed offsets ---------------------------------------------------------------------

    def commit(self, offsets: Mapping[TopicPartition, int] | None = None) -> None:
        """Store offsets of the group, all or none; they survive power loss.

        Parameters
        ----------
        offsets : mapping of TopicPartition to int, optional
            Offset of the next record to read. Default: the position of every assigned partition.

        Raises
        ------
        ConfigError
            If the consumer has no group.
        OffsetOutOfRangeError
            If an offset is negative or above the log end offset.
        """
        self._check_usable()
        number = self._group_number("commit")
        if offsets is None:
            rows = [
                (a.topic.description.id, a.name.partition, self._position(a))
                for a in self._assigned.values()
            ]
        else:
            rows = [self._offset_row(TopicPartition(*n), offset) for n, offset in offsets.items()]
        self._log.catalog.commit_offsets(number, rows)

    def committed(self, partition: TopicPartition) -> int | None:
        """Return the offset that the group committed for a partition, or None.

        Raises
        ------
        ConfigError
            If the consumer has no group.
        """
        self._check_usable()
        name = TopicPartition(*partition)
        topic_id = self._log.topic(name.topic).description.id
        number = self._group_number("committed")
        return self._log.catalog.committed_offset(number, topic_id, name.partition)

    # -- life ----------------------------------------------------------------------------------

    def close(self) -> None:
        """Leave the group; commits nothing. Closing twice is fine; batches stay valid."""
        if not self._is_closed:
            self._is_closed = True
            if self._records is not None:
                self._records.drop()
            self._leave_group()
            self._assigned = {}
            self._fetcher.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        group = "" if self._group_id is None else f" of group {self._group_id!r}"
        return f"<Consumer{group}: {len(self._assigned)} partitions>"

    def forget_in_child(self) -> None:
        """In a forked child: the parent goes on reading, the child may not."""
        self._is_in_child = True
        self._fetcher.forget_in_child()
        if self._member is not None:
            self._member.forget()

    # -- helpers -------------------------------------------------------------------------------

    def _assign(self, partitions: Iterable[tuple[Topic, int]]) -> None:
        self._leave_record()
        fresh: dict[TopicPartition, AssignedPartition] = {}
        for topic, number in partitions:
            name = TopicPartition(topic.name, number)
            fresh[name] = self._assigned.get(name) or self._begin(topic, number)
        self._assigned = fresh
        self._fetcher.assign(list(fresh.values()))

    def _begin(self, topic: Topic, partition: int) -> AssignedPartition:
        ends = topic.native_partition(partition).ends()
        offset = None
        if self._group_id is not None:
            number = self._group_number("committed")
            offset = self._log.catalog.committed_offset(number, topic.description.id, partition)
        if offset is None or not ends.log_start_offset <= offset <= ends.log_end_offset:
            name = TopicPartition(topic.name, partition)
            both = ends.log_start_offset, ends.log_end_offset
            offset = reset_offset(self._reset, name, offset, both, self._group_id)
        return AssignedPartition(topic, partition, offset, on_corruption=self._on_corruption)

    def _next(
        self, max_records: int | None, wait_us: int | None
    ) -> tuple[AssignedPartition, RecordBatch] | None:
        """Return the next batch and whose it is, or None when nothing came for `wait_us`."""
        self._check_usable()
        found = self._fetcher.next(max_records)
        if found is not None:
            return found
        deadline = None if wait_us is None else time.monotonic() + wait_us / 1e6
        while found is None and self._fetcher.wait(deadline):
            self._check_usable()
            found = self._fetcher.next(max_records)
        return found

    def _next_rows(self) -> RecordRows | None:
        found = self._next(None, self._timeout_us)
        if found is None:
            return None
        self._reading, batch = found
        return self._rows_of(self._reading, batch)

    def _rows_of(self, assigned: AssignedPartition, batch: RecordBatch) -> RecordRows:
        topic = assigned.topic
        return record_rows(batch, topic.key, is_typed=topic.is_typed)

    def _position(self, assigned: AssignedPartition) -> int:
        rows = None if self._records is None else self._records.rows
        if rows is None or assigned is not self._reading or self._records is None:
            return assigned.position
        return rows.base_offset + self._records.row

    def _leave_record(self) -> None:
        """Stop iterating over records where it is: the rest of the batch is read again."""
        if self._records is not None and self._records.rows is not None:
            reading = self._reading
            assert reading is not None
            position = self._position(reading)
            self._records.drop()
            if position < reading.position:
                self._fetcher.seek(reading, position)
        self._hold(None)

    def _hold(self, records: RecordIterator | None) -> None:
        """Let this iterator say where the position is, until `_leave_record`."""
        self._records = records
        self._fetcher.queue.is_held = records is not None

    def _set_paused(self, partitions: Iterable[TopicPartition], *, is_paused: bool) -> None:
        self._leave_record()
        for partition in partitions:
            self._of(partition).is_paused = is_paused
        self._fetcher.forget_ready()
        self._fetcher.interrupt()

    def _of(self, partition: TopicPartition) -> AssignedPartition:
        self._check_usable()
        name = TopicPartition(*partition)
        assigned = self._assigned.get(name)
        if assigned is None:
            have = ", ".join(f"{t}-{p}" for t, p in sorted(self._assigned)) or "none"
            raise ConfigError(
                f"partition {name.topic}-{name.partition} is not assigned to this consumer. "
                f"Assigned are: {have}."
            )
        return assigned

    def _some(self, partitions: tuple[TopicPartition, ...]) -> list[AssignedPartition]:
        self._check_usable()
        if not partitions:
            return list(self._assigned.values())
        return [self._of(partition) for partition in partitions]

    def _ends(self, partition: TopicPartition) -> tuple[int, int]:
        self._check_usable()
        name = TopicPartition(*partition)
        ends = self._log.topic(name.topic).native_partition(name.partition).ends()
        return ends.log_start_offset, ends.log_end_offset

    def _offset_row(self, name: TopicPartition, offset: int) -> tuple[bytes, int, int]:
        _, end = self._ends(name)
        check_committable(name, offset, end)
        return self._log.topic(name.topic).description.id, name.partition, offset

    def _group_number(self, method: str) -> int:
        self._log.check_writable(f"use {method}()")
        if self._group_id is None:
            raise ConfigError(
                f'{method}() needs a consumer group. Pass group_id="..." to the consumer.'
            )
        if self._member is not None:
            return self._member.number
        return self._log.catalog.group_id(self._group_id)

    def _leave_group(self) -> None:
        if self._member is not None:
            member, self._member = self._member, None
            if not self._is_in_child:
                member.close()

    def _check_usable(self) -> None:
        if self._is_in_child:
            raise LogError(
                "this consumer was made before a fork and belongs to the parent process. "
                "Make a new one in the child."
            )
        if self._is_closed:
            raise ClosedError("the consumer is closed. Make a new one with log.consumer().")
