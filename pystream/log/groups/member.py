"""A member of a consumer group: joins, looks after the group, takes, releases, commits, leaves.

What it knows, it reads in the catalog; what happens to it, it finds there. An exception at any
place, Ctrl-C included, therefore leaves nothing to put right: the next look finds what there is.
"""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pystream import config
from pystream.errors import FencedError, UnreleasedInstanceIdError
from pystream.log.catalog.catalog import Catalog
from pystream.log.catalog.groups import (
    copy_of,
    enter_group,
    insert_member,
    load_group,
    load_topics,
    save_group,
    slots_in_use,
    topics_version,
    versions,
    write_offsets,
)
from pystream.log.catalog.rows import Cells
from pystream.log.groups.assignors import Partition
from pystream.log.groups.liveness import Liveness
from pystream.log.groups.state import GroupState, Member, Subscription

__all__ = ["GroupMember", "MemberSettings", "Standing", "monotonic_us"]

_TOPIC_NAME = Cells("topics", "name")


@dataclass(frozen=True)
class MemberSettings:
    """How a member takes part.

    Attributes
    ----------
    group_id : str
    assignor : str
    instance_id : str or None
        Makes it a static member.
    session_timeout_us : int
        How long a static member may be away.
    max_poll_us : int or None
        Without a call for so long the others take it out; None: never.
    """

    group_id: str
    assignor: str
    instance_id: str | None
    session_timeout_us: int
    max_poll_us: int | None


class Standing(NamedTuple):
    """What a member finds about itself.

    Attributes
    ----------
    is_member : bool
        False: the others took it out.
    epoch : int
        Its own.
    owned : dict of Partition to int
        With the epoch in which it took each.
    revoking : set of Partition
        What it must release.
    names : dict of bytes to str
        Of the topics in `owned`; one that was deleted has none.
    """

    is_member: bool
    epoch: int = 0
    owned: Mapping[Partition, int] = {}
    revoking: Collection[Partition] = ()
    names: Mapping[bytes, str] = {}


class GroupMember:
    """Takes part in a group until it is closed or its process dies.

    Parameters
    ----------
    directory : str
        Of the log.
    catalog : Catalog
    settings : MemberSettings
    subscription : Subscription

    Raises
    ------
    UnreleasedInstanceIdError
        If a live member has its `instance_id`.

    Notes
    -----
    One thread at a time.
    """

    def __init__(
        self,
        directory: str,
        catalog: Catalog,
        settings: MemberSettings,
        subscription: Subscription,
    ) -> None:
        self._catalog = catalog
        self._settings = settings
        self._liveness = Liveness(directory)
        self.group_number = 0
        self.number = 0
        self.member_id = str(uuid.uuid4())
        self._mark: object = None  # of the catalog when it was last read; None: read it again
        self._versions = (-1, -1)  # of the group and of topics
        self._others: list[Member] = []
        self._next_other = 0
        self._look_at = 0.0
        self._expires_us: int | None = None  # when the next static member has been away too long
        try:
            self._join(subscription)
        except BaseException:
            self._liveness.forget()
            raise

    # -- looking -------------------------------------------------------------------------------

    def has_news(self) -> bool:
        """Return whether :meth:`sync` may find something. Cheap; call it often."""
        now = time.monotonic()
        if self._mark is None or self._is_changed():
            return True
        if now < self._look_at:
            return False
        self._look_at = now + config.GROUP_LOOK_SECONDS
        now_us = monotonic_us()
        if self._settings.max_poll_us is not None:
            self._liveness.note_poll(now_us)
        if self._expires_us is not None and now_us > self._expires_us:
            return True
        return any(self._is_gone(member, now_us) for member in self._next_others())

    def sync(self) -> Standing:
        """Do what there is to do for the group and for itself, and return how it stands."""
        self._mark = None
        mark = self._catalog.commit_mark()
        with self._catalog.reading() as connection:
            state = load_group(connection, self.group_number)
            if state is None or self._me(state) is None:
                return Standing(is_member=False)
            has_work = self._has_work(connection, state)
            names = _names_of(connection, state, self.number)
        if has_work:
            return self._change(_nothing)
        self._remember(state)
        self._mark = mark
        return self._standing(state, names)

    # -- acting --------------------------------------------------------------------------------

    def subscribe(self, subscription: Subscription) -> Standing:
        """Want other topics from now on."""

        def change(connection: sqlite3.Connection, state: GroupState) -> None:
            member = state.members[self.number]
            if member.subscription != subscription:
                member.subscription = subscription
                state.retarget(load_topics(connection, _subscriptions(state)))

        return self._change(change)

    def release(
        self, partitions: Collection[Partition], offsets: Mapping[Partition, int]
    ) -> Standing:
        """Give up partitions, with the offsets where the next owner is to begin."""

        def change(connection: sqlite3.Connection, state: GroupState) -> None:
            owned = state.owned(self.number)
            its = {name: offset for name, offset in offsets.items() if name in owned}
            write_offsets(connection, self.group_number, its)
            state.release(self.number, partitions)

        return self._change(change)

    def commit(
        self, offsets: Mapping[Partition, int], name_of: Callable[[Partition], tuple[str, int]]
    ) -> None:
        """Store offsets of partitions that it owns, all or none; they survive power loss.

        Raises
        ------
        FencedError
            If one is not its own, or it is no member any more. Nothing was stored.
        """
        with self._catalog.writing() as connection:
            owned: set[Partition] = set(
                connection.execute(
                    "SELECT topic_id, partition FROM group_partitions AS its "
                    "JOIN group_members ON number = owner "
                    "WHERE its.group_id = ? AND owner = ? AND member_id = ?",
                    (self.group_number, self.number, self.member_id),
                )
            )
            for partition in offsets:
                if partition not in owned:
                    load_group(connection, self.group_number)  # or its row is damaged
                    self._raise_fenced(connection, name_of(partition))
            write_offsets(connection, self.group_number, offsets)

    def close(self, offsets: Mapping[Partition, int]) -> None:
        """Leave the group; a static member is only away. Stores offsets of what it owns."""

        def change(connection: sqlite3.Connection, state: GroupState) -> None:
            owned = state.owned(self.number)
            its = {name: offset for name, offset in offsets.items() if name in owned}
            write_offsets(connection, self.group_number, its)
            if self._settings.instance_id is None:
                state.remove(self.number)
                state.retarget(load_topics(connection, _subscriptions(state)))
            else:
                state.send_away(self.number, monotonic_us())

        try:
            self._change(change)
        finally:
            self._liveness.close()

    def forget(self) -> None:
        """In a forked child: drop the copies, the parent stays the member."""
        self._liveness.forget()

    # -- helpers -------------------------------------------------------------------------------

    def _join(self, subscription: Subscription) -> None:
        settings = self._settings
        with self._catalog.writing() as connection:
            self.group_number = enter_group(connection, settings.group_id)
            state = load_group(connection, self.group_number)
            assert state is not None
            before = copy_of(state)
            now_us = monotonic_us()
            state.tidy(
                load_topics(connection, _subscriptions(state)),
                lambda member: self._is_gone(member, now_us),
                now_us,
            )
            known = None if settings.instance_id is None else state.instance(settings.instance_id)
            if known is not None and known.away_us is None:
                raise UnreleasedInstanceIdError(
                    f"group_instance_id {settings.instance_id!r} of group {settings.group_id!r} is "
                    f"that of a live member, in process {known.process_id}. Close that consumer, "
                    "or use another id.",
                    group_id=settings.group_id,
                    group_instance_id=settings.instance_id,
                    pid=known.process_id,
                )
            self._liveness.take_slot(slots_in_use(connection))
            self._liveness.note_poll(now_us)
            member = Member(
                number=0 if known is None else known.number,
                member_id=self.member_id,
                instance_id=settings.instance_id,
                slot=self._liveness.slot,
                epoch=0 if known is None else known.epoch,
                subscription=subscription,
                assignor=settings.assignor,
                session_timeout_us=settings.session_timeout_us,
                max_poll_us=settings.max_poll_us,
                away_us=None,
                process_id=os.getpid(),
            )
            if known is None:
                member.number = insert_member(connection, self.group_number, member)
            self.number = member.number
            state.members[self.number] = member
            wanted = (subscription, settings.assignor)
            if known is None or (known.subscription, known.assignor) != wanted:
                state.retarget(load_topics(connection, _subscriptions(state)))
            if not state.revoking(self.number):
                state.advance(self.number)
            save_group(connection, before, state)

    def _change(self, change: Callable[[sqlite3.Connection, GroupState], None]) -> Standing:
        """Take a step, and whatever else there is to do, in one transaction."""
        self._mark = None
        with self._catalog.writing() as connection:
            state = load_group(connection, self.group_number)
            if state is None or self._me(state) is None:
                return Standing(is_member=False)
            before = copy_of(state)
            change(connection, state)
            now_us = monotonic_us()
            topics = load_topics(connection, _subscriptions(state))
            state.tidy(topics, lambda member: self._is_gone(member, now_us), now_us)
            me = self._me(state)
            if me is not None and me.away_us is None and not state.revoking(self.number):
                state.advance(self.number)
            save_group(connection, before, state)
            self._versions = (state.version, topics_version(connection))
            names = _names_of(connection, state, self.number)
        self._remember(state)
        return self._standing(state, names)

    def _is_changed(self) -> bool:
        """Return whether the catalog holds something about the group that was not seen."""
        mark = self._catalog.commit_mark()
        if mark == self._mark:
            return False
        with self._catalog.reading() as connection:
            if versions(connection, self.group_number) != self._versions:
                return True
        self._mark = mark  # somebody has committed an offset, say
        return False

    def _has_work(self, connection: sqlite3.Connection, state: GroupState) -> bool:
        now_us = monotonic_us()
        of_topics = topics_version(connection)
        if of_topics != self._versions[1]:
            topics = load_topics(connection, _subscriptions(state))
            if state.hash_of(topics) != state.topics_hash:
                return True
        self._versions = (state.version, of_topics)
        return state.can_advance(self.number) or any(
            self._is_gone(member, now_us) or state.is_expired(member, now_us)
            for member in state.members.values()
        )

    def _is_gone(self, member: Member, now_us: int) -> bool:
        if member.away_us is not None or member.number == self.number != 0:
            return False
        return not self._liveness.is_held(member.slot) or self._liveness.is_stuck(member, now_us)

    def _remember(self, state: GroupState) -> None:
        """Note whom to look at."""
        self._others = [
            member
            for number, member in state.members.items()
            if number != self.number and member.away_us is None
        ]
        self._expires_us = min(
            (
                member.away_us + member.session_timeout_us
                for member in state.members.values()
                if member.away_us is not None
            ),
            default=None,
        )

    def _next_others(self) -> list[Member]:
        """Return those whose turn it is; in a small group everybody, every time."""
        most = config.GROUP_LOOK_MEMBERS
        if len(self._others) <= most:
            return self._others
        first = self._next_other % len(self._others)
        self._next_other = first + most
        return (self._others + self._others)[first : first + most]

    def _me(self, state: GroupState) -> Member | None:
        """Return its row; who has come back as a static member has the number of the one before."""
        found = state.members.get(self.number)
        return found if found is not None and found.member_id == self.member_id else None

    def _standing(self, state: GroupState, names: Mapping[bytes, str]) -> Standing:
        me = self._me(state)
        if me is None:
            return Standing(is_member=False)
        return Standing(
            True,
            me.epoch,
            state.owned(self.number),
            state.revoking(self.number),
            names,
        )

    def _raise_fenced(self, connection: sqlite3.Connection, name: tuple[str, int]) -> None:
        group = self._settings.group_id
        found = connection.execute(
            "SELECT epoch FROM group_members WHERE number = ? AND member_id = ?",
            (self.number, self.member_id),
        ).fetchone()
        if found is None:
            what = (
                f"member {self.member_id} is no member of group {group!r} any more, because it did "
                "not ask for records for longer than its max_poll_interval or the group's members "
                "were removed. What it has not committed is read again by another; it joins anew "
                "with its next poll."
            )
        else:
            what = (
                f"{name[0]}-{name[1]} is not assigned to member {self.member_id} of group "
                f"{group!r}, so it cannot commit an offset of it. Commit in on_revoke, at the "
                "latest."
            )
        raise FencedError(
            what,
            group_id=group,
            member_id=self.member_id,
            epoch=None if found is None else found[0],
            topic=name[0],
            partition=name[1],
        )


def _nothing(_connection: sqlite3.Connection, _state: GroupState) -> None:
    """Take no step besides what there is to do anyway."""


def monotonic_us() -> int:
    """Return the time of the clock that all processes of this boot share."""
    return time.monotonic_ns() // 1000


def _subscriptions(state: GroupState) -> list[Subscription]:
    return [member.subscription for member in state.members.values()]


def _names_of(connection: sqlite3.Connection, state: GroupState, number: int) -> dict[bytes, str]:
    """Return the names of the topics that a member owns partitions of."""
    names = {}
    for topic_id in {topic_id for topic_id, _ in state.owned(number)}:
        row = connection.execute("SELECT name FROM topics WHERE id = ?", (topic_id,)).fetchone()
        if row is not None:
            (names[topic_id],) = _TOPIC_NAME.checked(row, id=topic_id)
    return names
