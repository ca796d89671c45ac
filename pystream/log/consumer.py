"""The consumer: pulls batches or records of topics, at its own pace."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pystream import config
from pystream.errors import ConfigError, NotSupportedError, OffsetOutOfRangeError
from pystream.log import fork
from pystream.log.consumer_reading import ConsumerReading
from pystream.log.fetcher import AssignedPartition
from pystream.log.groups.consumer_group import (
    Callback,
    Callbacks,
    ConsumerGroup,
    check_pattern,
    member_settings,
)
from pystream.log.groups.state import Subscription
from pystream.log.named import partition_named, partitions_named, topics_named
from pystream.log.offsets import AUTO_OFFSET_RESETS, committable_rows, reset_offset
from pystream.types import TopicPartition

if TYPE_CHECKING:
    from pystream.log.log import Log
    from pystream.log.topic import Topic
    from pystream.log.transactions.offsets import GroupMetadata

__all__ = ["Consumer"]


class Consumer(ConsumerReading):
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
        Where to begin without a committed offset, or go on when the position is not in the log any
        more; ``"none"`` raises OffsetOutOfRangeError. A partition that is added later is read from
        its first record on by a consumer without a group.
    isolation_level : {"read_committed", "read_uncommitted"}, default "read_committed"
        Whether records of a transaction come only once it was committed, and never if it was
        aborted; then reading stops at the first one that is not decided, and the end of a partition
        is its last stable offset. Or all of them, at once.
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
        isolation_level: str = "read_committed",
        timeout: str | timedelta | None = None,
        max_poll_records: int = config.MAX_POLL_RECORDS,
        on_corruption: str = "raise",
    ) -> None:
        super().__init__(
            log,
            timeout=timeout,
            max_poll_records=max_poll_records,
            on_corruption=on_corruption,
            isolation_level=isolation_level,
            reset=config.check_choice(
                auto_offset_reset, AUTO_OFFSET_RESETS, name="auto_offset_reset"
            ),
        )
        is_automatic = config.check_flag(enable_auto_commit, name="enable_auto_commit")
        self._topics_mark: object = None  # of the catalog when partitions were last counted
        self._subscription = Subscription()
        self._is_closing = False  # until it is closed, on_revoke may still commit
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
            self._group = ConsumerGroup(log, self, settings, interval_us if is_automatic else None)
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
        names = tuple(topics_named(topics))
        if not names and pattern is None:
            raise ConfigError("subscribe() got no topic. Name at least one.")
        callbacks = Callbacks(on_assign, on_revoke, on_lost)
        callbacks.check()
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
            self._topics_mark = None
            self._assign((topic, number) for topic in found for number in range(topic.partitions))
            self._subscription = subscription
            self._is_following = True
            return
        self._leave_record()
        if not self._group.is_member:
            self._put_assigned({})
        self._subscription = subscription  # before callbacks, which may want something else
        try:
            self._group.subscribe(subscription, callbacks)
        finally:
            if not self._group.is_member and self._subscription is subscription:
                self._subscription = Subscription()

    def unsubscribe(self) -> None:
        """Read nothing any more; a member leaves its group."""
        self._check_usable()
        self._leave_record()
        self._leave_group()
        self._subscription = Subscription()
        self._is_following = False
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
        names = partitions_named(partitions)
        topics = {name: self._log.topic(name) for name in {name.topic for name in names}}
        self._leave_group()
        self._subscription = Subscription()
        self._is_following = False
        self._assign((topics[name.topic], name.partition) for name in names)

    def assignment(self) -> set[TopicPartition]:
        """Return the partitions that are read."""
        return set(self._assigned)

    def subscription(self) -> set[str]:
        """Return the topics subscribed to; empty after :meth:`assign`."""
        if self._subscription.pattern is None:
            return set(self._subscription.topics)
        return set(self._subscription.names_in(self._log.topics()))

    @property
    def member_id(self) -> str | None:
        """What the group calls the consumer, as :meth:`Log.describe_group` does; None outside."""
        return None if self._group is None else self._group.member_id

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
            If the consumer has no group, or an offset is no whole number.
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
            rows = committable_rows(self._log.topic, offsets)
        group.commit(rows)

    def consumer_group_metadata(self) -> GroupMetadata:
        """Return who this consumer is, for :meth:`Producer.send_offsets_to_transaction`.

        Raises
        ------
        ConfigError
            If the consumer has no group.
        """
        self._check_usable()
        return self._require_group("consumer_group_metadata").metadata()

    def committed(self, partition: TopicPartition) -> int | None:
        """Return the offset that the group committed for a partition, or None.

        Raises
        ------
        ConfigError
            If the consumer has no group.
        UnknownTopicError
            If there is no such topic or partition.
        """
        self._check_usable()
        name = partition_named(partition)
        topic = self._log.topic(name.topic)
        topic.check_partitions((name.partition,))
        return self._require_group("committed").committed(topic.description.id, name.partition)

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
            kept = self._assigned.get(name)
            if kept is None or kept.topic.description.id != topic.description.id:
                kept = self._begin(topic, number)  # also where a topic was made again
            fresh[name] = kept
        self._put_assigned(fresh)

    def _may_have_partitions(self) -> bool:
        return self._is_following and self._log.catalog.change_mark() != self._topics_mark

    def _look_for_partitions(self) -> bool:
        if not self._may_have_partitions():
            return False
        self._topics_mark = self._log.catalog.change_mark()
        kept, added = self._assigned, {}
        for name in self._subscription.topics:
            topic = self._log.topic_if_exists(name)
            first = self._assigned.get(TopicPartition(name, 0))
            if topic is None or first is None:
                continue
            if topic.description.id != first.topic.description.id:  # deleted and made again
                kept = {place: its for place, its in kept.items() if place.topic != name}
            for number in range(topic.partitions):
                place = TopicPartition(name, number)
                if place not in kept:
                    # From its first record on: there was nothing that `latest` could leave out.
                    added[place] = self._assigned_at(topic, number, lambda ends: ends[0])
        if added:
            self._put_assigned(kept | added)
        return bool(added)

    def _begin(self, topic: Topic, partition: int) -> AssignedPartition:
        if self._group is not None:
            return self._group.begin(topic, partition)
        name = TopicPartition(topic.name, partition)
        return self._assigned_at(
            topic, partition, lambda ends: reset_offset(self._reset, name, None, ends, None)
        )

    def _assigned_at(
        self, topic: Topic, partition: int, choose: Callable[[tuple[int, int]], int]
    ) -> AssignedPartition:
        """Return a partition to be read from an offset between its ends, which `choose` is told.

        It is asked again when the records at that offset were deleted meanwhile.
        """
        native = topic.native_partition(partition)
        while True:
            ends = self._ends_of(native)
            try:
                return self._assigned_from(topic, partition, choose(ends))
            except OffsetOutOfRangeError:
                if self._ends_of(native)[0] == ends[0]:
                    raise

    def _assigned_from(self, topic: Topic, partition: int, offset: int) -> AssignedPartition:
        return AssignedPartition(
            topic,
            partition,
            offset,
            on_corruption=self._on_corruption,
            isolation_level="read_committed" if self._is_committed_only else "read_uncommitted",
        )

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
