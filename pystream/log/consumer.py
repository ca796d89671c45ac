"""The consumer: pulls batches or records of topics, at its own pace."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pystream import config
from pystream._native import RecordIterator, RecordRows
from pystream.errors import (
    ClosedError,
    ConfigError,
    CorruptRecordError,
    LogError,
    NotSupportedError,
)
from pystream.log import fork
from pystream.log.consumer_group import (
    Callback,
    Callbacks,
    ConsumerGroup,
    check_pattern,
    member_settings,
)
from pystream.log.consumer_iterators import Batches, Records
from pystream.log.fetcher import AssignedPartition, Fetcher
from pystream.log.group_state import Subscription
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
        The consumer group: its members share the partitions of what they subscribe to, and begin
        at its committed offsets. :doc:`docs/groups.md` explains.
    group_instance_id : str, optional
        Makes it a static member: another consumer of the same id, made within `session_timeout`
        after this one was closed or died, gets its partitions, and nobody else notices.
    partition_assignment_strategy : {"sticky", "uniform", "range"}, default "sticky"
        What the group goes by, if most of its members say so.
    enable_auto_commit : bool, default True
        Commit the positions as a member of the group every `auto_commit_interval`, when records
        are asked for, when partitions are given up, and by :meth:`close`.
    auto_commit_interval : str or timedelta, default "5s"
    session_timeout : str or timedelta, default "45s"
        How long a static member may be away. Other members are gone when their process is.
    max_poll_interval : str or timedelta, optional
        A member that has not asked for records for longer loses its partitions. Default: a member
        that lives keeps them, however slow it is.
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
        group_instance_id: str | None = None,
        partition_assignment_strategy: str = "sticky",
        enable_auto_commit: bool = True,
        auto_commit_interval: str | timedelta = config.AUTO_COMMIT_INTERVAL,
        session_timeout: str | timedelta = config.SESSION_TIMEOUT,
        max_poll_interval: str | timedelta | None = None,
        auto_offset_reset: str = "latest",
        timeout: str | timedelta | None = None,
        max_poll_records: int = config.MAX_POLL_RECORDS,
        on_corruption: str = "raise",
    ) -> None:
        self._log = log
        self._reset = config.check_choice(
            auto_offset_reset, AUTO_OFFSET_RESETS, name="auto_offset_reset"
        )
        self._timeout_us = config.parse_timeout_us(timeout)
        self._max_poll_records = config.check_positive(max_poll_records, name="max_poll_records")
        config.check_choice(on_corruption, ("raise", "skip"), name="on_corruption")
        self._on_corruption: OnCorruption = "skip" if on_corruption == "skip" else "raise"
        self._assigned: dict[TopicPartition, AssignedPartition] = {}
        self._subscription = Subscription()
        self._fetcher = Fetcher(log.native, on_corruption=self._on_corruption)
        self._records: RecordIterator | None = None  # while records are iterated over
        self._reading: AssignedPartition | None = None  # whose batch that is in
        self._is_closing = self._is_closed = False  # in between, on_revoke may still commit
        self._is_in_child = False
        self._group: ConsumerGroup | None = None
        if group_id is not None or group_instance_id is not None:
            settings = member_settings(
                group_id,
                group_instance_id,
                partition_assignment_strategy,
                session_timeout,
                max_poll_interval,
            )
            interval_us = config.parse_duration_us(
                auto_commit_interval, name="auto_commit_interval"
            )
            log.check_writable("join a consumer group")
            self._group = ConsumerGroup(
                log, self, settings, interval_us if enable_auto_commit else None
            )
        fork.on_child(self)
        if topics:
            self.subscribe(topics)

    # -- what is read --------------------------------------------------------------------------

    def subscribe(
        self,
        topics: str | Iterable[str] = (),
        *,
        pattern: str | re.Pattern[str] | None = None,
        on_assign: Callback | None = None,
        on_revoke: Callback | None = None,
        on_lost: Callback | None = None,
    ) -> None:
        """Read these topics, and no others: all partitions, or the group's share of them.

        Parameters
        ----------
        topics : str or iterable of str
        pattern : str or re.Pattern, optional
            Also every topic whose whole name it matches, now and later. Only with a group.
        on_assign, on_revoke, on_lost : callable, optional
            Called with the consumer and a list of TopicPartition, within this method, `close` or
            whatever asks for records: after partitions came, before others are given up (they can
            still be committed), and after some were taken away (they cannot; by default
            `on_revoke` is called).

        Raises
        ------
        UnknownTopicError
            If a topic does not exist, or the pattern matches none.
        ConfigError
            If there is neither topic nor pattern, or the pattern is no regular expression.
        UnreleasedInstanceIdError
            If another live member of the group has the `group_instance_id`.
        """
        self._check_usable()
        names = (topics,) if isinstance(topics, str) else tuple(dict.fromkeys(topics))
        if not names and pattern is None:
            raise ConfigError("subscribe() got no topic. Name at least one.")
        found = [self._log.topic(name) for name in names]
        text = None
        if pattern is not None:
            if self._group is None:
                raise NotSupportedError(
                    "subscribe(pattern=...) without a consumer group is not built: nobody would "
                    'look for new topics. Pass group_id="..." to the consumer, or name the topics.'
                )
            text = check_pattern(pattern, self._log.topics())
        subscription = Subscription(names, text)
        if self._group is None:
            self._assign((topic, number) for topic in found for number in range(topic.partitions))
        else:
            self._leave_record()
            if not self._group.is_member:
                self._put_assigned({})
            self._group.subscribe(subscription, Callbacks(on_assign, on_revoke, on_lost))
        self._subscription = subscription

    def unsubscribe(self) -> None:
        """Read nothing any more; a member leaves its group."""
        self._check_usable()
        self._leave_record()
        self._leave_group()
        self._subscription = Subscription()
        self._put_assigned({})

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
        self._subscription = Subscription()
        self._assign((topics[name.topic], name.partition) for name in names)

    def assignment(self) -> set[TopicPartition]:
        """Return the partitions that are read."""
        return set(self._assigned)

    def subscription(self) -> set[str]:
        """Return the topics subscribed to; empty after :meth:`assign`."""
        if self._subscription.pattern is None:
            return set(self._subscription.topics)
        return set(self._subscription.names_in(self._log.topics()))

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
        FencedError
            If a partition is not this member's, or it is no member any more.
        GroupNotEmptyError
            If the consumer has not subscribed and the group has members.
        """
        self._check_usable()
        group = self._require_group("commit")
        if offsets is None and not group.is_member:
            offsets = {a.name: self._position(a) for a in self._assigned.values()}
        rows = None
        if offsets is not None:
            rows = dict(self._offset_row(TopicPartition(*n), at) for n, at in offsets.items())
        group.commit(rows)

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
        return self._require_group("committed").committed(topic_id, name.partition)

    # -- life ----------------------------------------------------------------------------------

    def close(self) -> None:
        """Leave the group, with the positions committed if `enable_auto_commit` is on.

        Closing twice is fine; batches stay valid. Leaving a ``with`` block by an exception closes
        without a commit, because nobody knows how far the last records were processed.
        """
        self._close(is_processed=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close(is_processed=error is None)

    def __repr__(self) -> str:
        group = "" if self._group is None else f" of group {self._group.group_id!r}"
        return f"<Consumer{group}: {len(self._assigned)} partitions>"

    def forget_in_child(self) -> None:
        """In a forked child: the parent goes on reading, the child may not."""
        self._is_in_child = True
        self._fetcher.forget_in_child()
        if self._group is not None:
            self._group.forget()

    # -- helpers -------------------------------------------------------------------------------

    def _close(self, *, is_processed: bool) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        try:
            self._leave_group(is_processed=is_processed)
        finally:
            self._is_closed = True
            if self._records is not None:
                self._records.drop()
            self._assigned = {}
            self._fetcher.close()

    def _assign(self, partitions: Iterable[tuple[Topic, int]]) -> None:
        self._leave_record()
        fresh: dict[TopicPartition, AssignedPartition] = {}
        for topic, number in partitions:
            name = TopicPartition(topic.name, number)
            fresh[name] = self._assigned.get(name) or self._begin(topic, number)
        self._put_assigned(fresh)

    def _put_assigned(self, assigned: dict[TopicPartition, AssignedPartition]) -> None:
        """Read these from now on; what was read ahead is read again."""
        self._assigned = assigned
        self._fetcher.assign(list(assigned.values()))

    def _begin(self, topic: Topic, partition: int) -> AssignedPartition:
        if self._group is not None:
            return self._group.begin(topic, partition)
        ends = topic.native_partition(partition).ends()
        both = ends.log_start_offset, ends.log_end_offset
        name = TopicPartition(topic.name, partition)
        offset = reset_offset(self._reset, name, None, both, None)
        return AssignedPartition(topic, partition, offset, on_corruption=self._on_corruption)

    def _next(
        self, max_records: int | None, wait_us: int | None
    ) -> tuple[AssignedPartition, RecordBatch] | None:
        """Return the next batch and whose it is, or None when nothing came for `wait_us`."""
        self._check_usable()
        if self._group is not None:
            self._group.poll()
        found = self._fetcher.next(max_records)
        if found is not None:
            return found
        deadline = None if wait_us is None else time.monotonic() + wait_us / 1e6
        while found is None and self._wait(deadline):
            self._check_usable()
            found = self._fetcher.next(max_records)
        return found

    def _wait(self, deadline: float | None) -> bool:
        """Wait until there may be more to hand out; False after the deadline."""
        while not self._fetcher.wait(self._until(deadline)):
            if self._look_after_group():
                return True
            if deadline is not None and time.monotonic() >= deadline:
                return False
        return True

    def _until(self, deadline: float | None) -> float | None:
        """Return when a wait must end: a member looks after its group meanwhile."""
        if self._group is None or not self._group.is_member:
            return deadline
        look_at = time.monotonic() + config.GROUP_LOOK_SECONDS
        return look_at if deadline is None else min(look_at, deadline)

    def _look_after_group(self) -> bool:
        self._check_usable()
        return self._group is not None and self._group.poll()

    def _next_rows(self) -> RecordRows | None:
        records = self._records
        found = self._next(self._rows_most(), self._timeout_us)
        if records is not None and self._records is not records:
            self._hold(records)  # a callback has moved something
        if found is None:
            return None
        self._reading, batch = found
        return self._rows_of(self._reading, batch)

    def _rows_most(self) -> int | None:
        """Return how many records may come between two looks after the group."""
        return self._max_poll_records if self._group is not None else None

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
        # A member looks after its group between any two batches.
        self._fetcher.queue.is_held = records is not None or self._group is not None

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

    def _offset_row(self, name: TopicPartition, offset: int) -> tuple[tuple[bytes, int], int]:
        _, end = self._ends(name)
        check_committable(name, offset, end)
        return (self._log.topic(name.topic).description.id, name.partition), offset

    def _require_group(self, method: str) -> ConsumerGroup:
        self._log.check_writable(f"use {method}()")
        if self._group is None:
            raise ConfigError(
                f'{method}() needs a consumer group. Pass group_id="..." to the consumer.'
            )
        return self._group

    def _leave_group(self, *, is_processed: bool = True) -> None:
        if self._group is not None and not self._is_in_child:
            self._group.leave(is_processed=is_processed)

    def _check_usable(self) -> None:
        if self._is_in_child:
            raise LogError(
                "this consumer was made before a fork and belongs to the parent process. "
                "Make a new one in the child."
            )
        if self._is_closed:
            raise ClosedError("the consumer is closed. Make a new one with log.consumer().")
