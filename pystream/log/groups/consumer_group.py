"""What a consumer does for its group: membership, callbacks, offsets. Part of the consumer."""

from __future__ import annotations

import operator
import re
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from pystream import config
from pystream.errors import ConfigError, FencedError, GroupNotEmptyError, UnknownTopicError
from pystream.log.catalog.groups import enter_group, load_group, write_offsets
from pystream.log.fetcher import AssignedPartition
from pystream.log.groups.assignors import ASSIGNORS, Partition
from pystream.log.groups.liveness import is_member_alive
from pystream.log.groups.member import GroupMember, MemberSettings, Standing
from pystream.log.groups.state import Subscription
from pystream.log.offsets import reset_offset
from pystream.log.transactions.offsets import GroupMetadata
from pystream.types import TopicPartition

if TYPE_CHECKING:
    from pystream.log.consumer import Consumer
    from pystream.log.log import Log
    from pystream.log.topic import Topic

__all__ = ["Callback", "Callbacks", "ConsumerGroup", "check_pattern", "member_settings"]

Callback = Callable[["Consumer", list[TopicPartition]], object]


class Callbacks(NamedTuple):
    """What a user wants to be told of, each with the consumer and the partitions concerned."""

    on_assign: Callback | None = None
    on_revoke: Callback | None = None
    on_lost: Callback | None = None

    def check(self) -> None:
        """Raise ConfigError for what cannot be called."""
        for name, call in self._asdict().items():
            if call is not None and not callable(call):
                raise ConfigError(
                    f"{name} is {call!r}. Pass a function of the consumer and its partitions."
                )


class ConsumerGroup:
    """Stands between a consumer and its group.

    Parameters
    ----------
    log : Log
    consumer : Consumer
        Whose partitions it sets.
    settings : MemberSettings
    auto_commit_us : int or None
        How often positions are committed; None: only when asked.

    Notes
    -----
    Every position that :meth:`poll` finds is behind records that were processed, because whoever
    asks for more is done with what came before.
    """

    def __init__(
        self, log: Log, consumer: Consumer, settings: MemberSettings, auto_commit_us: int | None
    ) -> None:
        self._log = log
        self._owner = weakref.ref(consumer)  # a consumer that is dropped leaves the group
        self._settings = settings
        self._auto_commit_us = auto_commit_us
        self._commit_at = 0.0
        self._member: GroupMember | None = None
        self._subscription = Subscription()
        self._callbacks = Callbacks()
        self._committed: dict[Partition, int] = {}  # by this member, as far as it knows
        self._has_news = False  # that nobody acted on yet
        self._is_busy = False  # in a callback, say
        self._is_leaving = False
        self._told: Collection[Partition] = ()  # whom on_revoke is called for just now
        self._mutex = threading.RLock()  # close() may come from another thread

    @property
    def _consumer(self) -> Consumer:
        consumer = self._owner()
        assert consumer is not None
        return consumer

    @property
    def group_id(self) -> str:
        """Its name."""
        return self._settings.group_id

    @property
    def is_member(self) -> bool:
        """Whether the consumer takes part; else it only names the group."""
        return self._member is not None

    @property
    def member_id(self) -> str | None:
        """What the group calls the consumer."""
        return None if self._member is None else self._member.member_id

    # -- membership ----------------------------------------------------------------------------

    def subscribe(self, subscription: Subscription, callbacks: Callbacks) -> None:
        """Join the group, or want other topics from now on."""
        with self._mutex:
            self._subscription, self._callbacks = subscription, callbacks
            if self._member is not None:
                self._member.subscribe(subscription)
                self._reconcile()
                return
            self._join()
            try:
                self._reconcile()
            except BaseException:
                self._callbacks = Callbacks()
                self.leave(is_processed=False)
                raise

    def is_due(self) -> bool:
        """Return whether :meth:`poll` has something to do. Cheap; call it often."""
        member = self._member
        if member is None or self._is_busy:
            return False
        if member.has_news():
            self._has_news = True
        return self._has_news or self._must_commit()

    def poll(self) -> bool:
        """Do what is due; return whether the assignment may have changed. Cheap; call it often."""
        member = self._member
        if not self.is_due():
            return False
        with self._mutex:
            if self._member is not member:
                return False
            if self._must_commit():
                self._auto_commit()
            has_news, self._has_news = self._has_news, False
            return has_news and self._reconcile()

    def leave(self, *, is_processed: bool = True) -> None:
        """Give all partitions up, and leave.

        Parameters
        ----------
        is_processed : bool
            Whether what was handed out last is; else nothing is committed by itself.
        """
        with self._mutex:
            member = self._member
            if member is None or self._is_leaving:
                return
            offsets: dict[Partition, int] = {}
            self._is_leaving = True
            try:
                if is_processed and self._auto_commit_us is not None:
                    offsets = self._positions()
                offsets = self._tell_of_leaving(member, offsets)
            finally:
                self._is_leaving = False
                self._member = None
                self._put({})
                member.close(offsets)

    def forget(self) -> None:
        """In a forked child: the parent stays the member."""
        if self._member is not None:
            self._member.forget()

    # -- offsets -------------------------------------------------------------------------------

    def commit(self, offsets: Mapping[Partition, int] | None) -> None:
        """Store offsets of the group; by default the positions of all that is assigned."""
        with self._mutex:
            member = self._member
            wanted = self._positions() if offsets is None else offsets
            if member is None:
                self._commit_from_outside(wanted)
                return
            try:
                member.commit(wanted, self._name_of)
            except FencedError:
                if offsets is not None:
                    raise
                # Of topics that were deleted there is nothing to keep.
                catalog = self._log.catalog
                kept = {name: at for name, at in wanted.items() if catalog.has_topic(name[0])}
                if len(kept) == len(wanted):
                    raise
                member.commit(kept, self._name_of)
            self._committed.update(wanted)

    def metadata(self) -> GroupMetadata:
        """Return who commits offsets here: the member, or, before it is one, nobody's."""
        number = self._log.catalog.group_id(self.group_id)
        member = self._member
        if member is None:
            return GroupMetadata(self.group_id, number)
        return GroupMetadata(self.group_id, number, member.number, member.member_id)

    def committed(self, topic_id: bytes, partition: int) -> int | None:
        """Return the offset that the group committed for a partition, or None."""
        catalog = self._log.catalog
        number = catalog.group_id(self.group_id)
        return catalog.committed_offset(number, topic_id, operator.index(partition))

    # -- reconciliation ------------------------------------------------------------------------

    def _join(self) -> None:
        self._commit_at = self._next_commit()
        self._committed = {}
        log = self._log
        self._member = GroupMember(log.directory, log.catalog, self._settings, self._subscription)

    def _reconcile(self) -> bool:
        """Come to what the group has in mind for this consumer."""
        if self._is_busy:
            return False
        self._is_busy = True
        try:
            before = set(self._consumer._assigned.values())
            while (member := self._member) is not None:
                standing = member.sync()
                if not standing.is_member:
                    self._lose(self._assigned())
                    if self._member is member:  # a callback may have left the group
                        self._join()
                elif self._settle(member, standing):
                    break
            return set(self._consumer._assigned.values()) != before
        finally:
            self._is_busy = False

    def _settle(self, member: GroupMember, standing: Standing) -> bool:
        """Take a step towards what the group has in mind; return whether it was the last."""
        mine = self._assigned()
        gone = {name: its for name, its in mine.items() if name not in standing.owned}
        if gone:
            self._lose(gone)
            if self._member is not member:
                return False
        if standing.revoking:
            self._revoke(member, standing.revoking)
            return False
        self._add(name for name in standing.owned if name not in mine)
        return True

    def _revoke(self, member: GroupMember, partitions: Collection[Partition]) -> None:
        mine = self._assigned()
        leaving = {name: mine[name] for name in partitions if name in mine}
        self._consumer._fetcher.forget_ready()
        offsets = {}
        if self._auto_commit_us is not None:
            offsets = self._positions(leaving)
        try:
            if leaving and self._callbacks.on_revoke is not None:
                if offsets:
                    member.commit(offsets, self._name_of)
                    offsets = {}
                self._told = leaving.keys()
                self._tell(self._callbacks.on_revoke, leaving)
        finally:
            self._told = ()
            if self._member is member:
                self._put({name: its for name, its in mine.items() if name not in leaving})
                member.release(partitions, offsets)

    def _lose(self, lost: Mapping[Partition, AssignedPartition]) -> None:
        """Stop reading what is another's already, or was deleted with its topic."""
        if not lost:
            return
        mine = self._assigned()
        self._put({name: its for name, its in mine.items() if name not in lost})
        catalog = self._log.catalog
        deleted = {name: its for name, its in lost.items() if not catalog.has_topic(name[0])}
        taken = {name: its for name, its in lost.items() if name not in deleted}
        if deleted:
            self._tell(self._callbacks.on_revoke, deleted)
        if taken:
            self._tell(self._callbacks.on_lost or self._callbacks.on_revoke, taken)

    def _add(self, partitions: Iterable[Partition]) -> None:
        topics: dict[bytes, Topic | None] = {}
        added = {}
        for topic_id, partition in sorted(partitions):
            if topic_id not in topics:
                topics[topic_id] = self._log.topic_of_id(topic_id)
            topic = topics.get(topic_id)
            if topic is not None and partition < topic.partitions:
                added[topic_id, partition] = self.begin(topic, partition)
        if added:
            self._put(self._assigned() | added)
            self._tell(self._callbacks.on_assign, added)

    def begin(self, topic: Topic, partition: int) -> AssignedPartition:
        """Return a partition from its committed offset on."""
        name = TopicPartition(topic.name, partition)
        native = topic.native_partition(partition)
        committed = self.committed(topic.description.id, partition)

        def choose(readable: tuple[int, int]) -> int:
            ends = native.ends()
            if committed is not None and ends.log_start_offset <= committed <= ends.log_end_offset:
                return committed
            return reset_offset(self._consumer._reset, name, committed, readable, self.group_id)

        return self._consumer._assigned_at(topic, partition, choose)

    def _tell(
        self, callback: Callback | None, partitions: Mapping[Partition, AssignedPartition]
    ) -> None:
        if callback is not None:
            callback(self._consumer, sorted(its.name for its in partitions.values()))

    def _tell_of_leaving(
        self, member: GroupMember, offsets: dict[Partition, int]
    ) -> dict[Partition, int]:
        """Call on_revoke as the last member's act, or on_lost; return what is left to commit."""
        mine = self._assigned()
        was_busy, self._is_busy = self._is_busy, True
        try:
            if not member.sync().is_member:
                self._lose(mine)
                return {}
            untold = {name: its for name, its in mine.items() if name not in self._told}
            if untold and self._callbacks.on_revoke is not None:
                if offsets:
                    member.commit(offsets, self._name_of)
                self._tell(self._callbacks.on_revoke, untold)
                return {}
            return offsets
        finally:
            self._is_busy = was_busy

    # -- helpers -------------------------------------------------------------------------------

    def _assigned(self) -> dict[Partition, AssignedPartition]:
        return {
            (its.topic.description.id, its.name.partition): its
            for its in self._consumer._assigned.values()
        }

    def _put(self, assigned: Mapping[Partition, AssignedPartition]) -> None:
        self._consumer._put_assigned({its.name: its for its in assigned.values()})

    def _positions(
        self, assigned: Mapping[Partition, AssignedPartition] | None = None
    ) -> dict[Partition, int]:
        found = self._assigned() if assigned is None else assigned
        return {name: self._consumer._position(its) for name, its in found.items()}

    def _name_of(self, partition: Partition) -> tuple[str, int]:
        for its in self._consumer._assigned.values():
            if its.topic.description.id == partition[0]:
                return its.name.topic, partition[1]
        topic = self._log.topic_of_id(partition[0])
        return partition[0].hex() if topic is None else topic.name, partition[1]

    def _must_commit(self) -> bool:
        return self._auto_commit_us is not None and time.monotonic() >= self._commit_at

    def _next_commit(self) -> float:
        return time.monotonic() + (self._auto_commit_us or 0) / 1e6

    def _auto_commit(self) -> None:
        self._commit_at = self._next_commit()
        positions = self._positions()
        fresh = {name: at for name, at in positions.items() if self._committed.get(name) != at}
        if fresh:
            try:
                self.commit(fresh)
            except FencedError:
                # Whatever was taken away, the next look finds out and tells.
                return

    def _commit_from_outside(self, offsets: Mapping[Partition, int]) -> None:
        """Commit as nobody's member, which only a group without members allows."""
        catalog = self._log.catalog
        with catalog.writing() as connection:
            number = enter_group(connection, self.group_id)  # others may just have deleted it
            state = load_group(connection, number)
            assert state is not None
            living = [
                m
                for m in state.members.values()
                if m.away_us is not None or is_member_alive(self._log.directory, m)
            ]
            if living:
                raise GroupNotEmptyError(
                    f"group {self.group_id!r} has {len(living)} members, and only they commit its "
                    "offsets. subscribe() to become one, or wait until they have left.",
                    group_id=self.group_id,
                    members=len(living),
                )
            write_offsets(connection, number, offsets)


def member_settings(
    group_id: str | None,
    group_instance_id: str | None,
    strategy: str,
    session_timeout: str | timedelta,
    max_poll_interval: str | timedelta | None,
) -> MemberSettings:
    """Return settings that are right, or raise ConfigError."""
    if group_id is None:
        raise ConfigError(
            f"group_instance_id is {group_instance_id!r}, which only a member of a group has. "
            "Pass group_id too."
        )
    if not config.is_name(group_id):
        raise ConfigError(f"group_id is {group_id!r}. Pass a name, or leave it out.")
    if group_instance_id is not None and not config.is_name(group_instance_id):
        raise ConfigError(
            f"group_instance_id is {group_instance_id!r}. Pass a name, or leave it out."
        )
    interval_us = None
    if max_poll_interval is not None:
        interval_us = config.parse_duration_us(max_poll_interval, name="max_poll_interval")
    return MemberSettings(
        group_id,
        config.check_choice(strategy, ASSIGNORS, name="partition_assignment_strategy"),
        group_instance_id,
        config.parse_duration_us(session_timeout, name="session_timeout"),
        interval_us,
    )


def check_pattern(pattern: object, topics: Iterable[str]) -> str:
    """Return a pattern that matches at least one of the topics.

    Raises
    ------
    ConfigError
        If it is no regular expression.
    UnknownTopicError
        If it matches none.
    """
    text = pattern.pattern if isinstance(pattern, re.Pattern) else pattern
    if not isinstance(text, str) or not text:
        raise ConfigError(f"pattern is {pattern!r}. Pass a regular expression as a string.")
    if isinstance(pattern, re.Pattern) and pattern.flags != re.compile(text).flags:
        raise ConfigError(
            f"pattern {text!r} has flags, which other members of the group would not see. Write "
            'them into it, as in "(?i)...".'
        )
    try:
        matches = re.compile(text).fullmatch
    except re.error as error:
        raise ConfigError(f"pattern {text!r} is no regular expression: {error}.") from error
    names = list(topics)
    if not any(matches(name) for name in names):
        some = ", ".join(repr(name) for name in names[:5]) or "none"
        raise UnknownTopicError(
            f"pattern {text!r} matches no topic. It must match a whole name; there are {some}"
            f"{', ...' if len(names) > 5 else ''}. Create a topic first, or change it."
        )
    return text
