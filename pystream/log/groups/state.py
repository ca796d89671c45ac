"""A consumer group as the catalog has it, and the steps of KIP-848 that change it.

There is no coordinator process. Whoever changes a group loads it, takes a step and stores it, in
one transaction of the catalog; so there is one order of steps, and each sees the one before.

Each partition has a target, the member that is to read it, and an owner, the member that does. A
change of the group gives all partitions new targets and the group the next epoch. A member that
owns what it is no target of must release that first. Then it comes to the group's epoch and takes
what it is the target of and nobody owns. So no partition ever has two owners, and members that keep
theirs go on reading meanwhile.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pystream.log.groups.assignors import ASSIGNORS, Partition, assign

__all__ = ["AWAY", "GroupState", "Member", "PartitionState", "Subscription", "Topics"]

Topics = Mapping[str, tuple[bytes, int]]
"""Id and number of partitions of topics, by name."""

AWAY = -1
"""Slot of a static member that is not there."""


class Subscription(NamedTuple):
    """What a member wants to read.

    Attributes
    ----------
    topics : tuple of str
    pattern : str or None
        A regular expression that matches whole names.
    """

    topics: tuple[str, ...] = ()
    pattern: str | None = None

    def names_in(self, topics: Iterable[str]) -> list[str]:
        """Return those of the topics that are wanted."""
        found = [name for name in topics if name in self.topics]
        if self.pattern is not None:
            matches = re.compile(self.pattern).fullmatch
            found += [name for name in topics if name not in self.topics and matches(name)]
        return found


@dataclass
class Member:
    """One consumer of the group.

    Attributes
    ----------
    number : int
        Never given to another; the order of members is that of their numbers.
    member_id : str
        What users see.
    instance_id : str or None
        Of a static member.
    slot : int
        Of the kernel lock that its process holds; AWAY for a static member that is not there.
    epoch : int
        The last of the group's that it has come to.
    subscription : Subscription
    assignor : str
    session_timeout_us : int
        How long a static member may be away.
    max_poll_us : int or None
        How long it may leave the group alone while it lives.
    away_us : int or None
        Since when a static member is away, by the monotonic clock.
    process_id : int
    """

    number: int
    member_id: str
    instance_id: str | None
    slot: int
    epoch: int
    subscription: Subscription
    assignor: str
    session_timeout_us: int
    max_poll_us: int | None
    away_us: int | None
    process_id: int


@dataclass
class PartitionState:
    """Who is to read a partition and who does, by their numbers.

    Attributes
    ----------
    target : int or None
    owner : int or None
    owner_epoch : int
        The epoch in which the owner took it.
    """

    target: int | None = None
    owner: int | None = None
    owner_epoch: int = 0


@dataclass
class GroupState:
    """All of a group.

    Attributes
    ----------
    number : int
    name : str
    epoch : int
        Rises with every change of members, subscriptions or topics.
    version : int
        Rises with everything that is stored.
    topics_hash : str
        Of the topics that the targets were computed for.
    members : dict of int to Member
    partitions : dict of Partition to PartitionState
    """

    number: int
    name: str
    epoch: int = 0
    version: int = 0
    topics_hash: str = ""
    members: dict[int, Member] = field(default_factory=dict)
    partitions: dict[Partition, PartitionState] = field(default_factory=dict)

    # -- questions -----------------------------------------------------------------------------

    def instance(self, instance_id: str) -> Member | None:
        """Return the static member of an instance id, there or away."""
        return next((m for m in self.members.values() if m.instance_id == instance_id), None)

    def owned(self, number: int) -> dict[Partition, int]:
        """Return what a member owns, and since which epoch."""
        found = self.partitions.items()
        return {partition: its.owner_epoch for partition, its in found if its.owner == number}

    def revoking(self, number: int) -> set[Partition]:
        """Return what a member must release."""
        found = self.partitions.items()
        return {name for name, its in found if its.owner == number != its.target}

    def can_advance(self, number: int) -> bool:
        """Return whether :meth:`advance` would change something."""
        if self.revoking(number):
            return False
        return self.members[number].epoch < self.epoch or any(
            its.target == number and its.owner is None for its in self.partitions.values()
        )

    def assignor(self) -> str:
        """Return the assignor that most members ask for; of equals, the first in their list."""
        votes = Counter(member.assignor for member in self.members.values())
        return max(ASSIGNORS, key=lambda name: votes[name])

    def hash_of(self, topics: Topics) -> str:
        """Return what differs when other topics, or more partitions, are subscribed to."""
        wanted = {name for m in self.members.values() for name in m.subscription.names_in(topics)}
        text = ",".join(f"{topics[name][0].hex()}:{topics[name][1]}" for name in sorted(wanted))
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    # -- steps ---------------------------------------------------------------------------------

    def retarget(self, topics: Topics) -> None:
        """Begin the next epoch: give every partition its target anew."""
        by_name = dict(sorted(topics.items()))
        targets = assign(
            self.assignor(),
            {
                member.number: {by_name[name][0] for name in member.subscription.names_in(by_name)}
                for member in self.members.values()
            },
            dict(by_name.values()),
            {
                partition: its.target
                for partition, its in self.partitions.items()
                if its.target is not None
            },
        )
        self.epoch += 1
        self.topics_hash = self.hash_of(topics)
        for partition in targets:
            self.partitions.setdefault(partition, PartitionState())
        for partition, its in self.partitions.items():
            its.target = targets.get(partition)
        self._forget_unused()

    def remove(self, number: int) -> None:
        """Take a member out, and what it owns from it; :meth:`retarget` follows."""
        del self.members[number]
        self.release(number, list(self.partitions))

    def release(self, number: int, partitions: Iterable[Partition]) -> None:
        """Take from a member what it owns of these partitions."""
        for partition in partitions:
            its = self.partitions.get(partition)
            if its is not None and its.owner == number:
                its.owner = None
        self._forget_unused()

    def advance(self, number: int) -> None:
        """Bring a member that has nothing to release to the group's epoch.

        It takes what it is the target of and nobody owns.
        """
        self.members[number].epoch = self.epoch
        for its in self.partitions.values():
            if its.target == number and its.owner is None:
                its.owner, its.owner_epoch = number, self.epoch

    def tidy(self, topics: Topics, is_gone: Callable[[Member], bool], now_us: int) -> bool:
        """Take out members that are gone for good, and follow topics; return whether all is new.

        Parameters
        ----------
        topics : Topics
            At least those that any member is subscribed to.
        is_gone : callable
            Whether a member that is not away is gone.
        now_us : int
            Of the monotonic clock.
        """
        is_changed = False
        for member in list(self.members.values()):
            if member.away_us is None and is_gone(member):
                if member.instance_id is None:
                    self.remove(member.number)
                    is_changed = True
                else:
                    self.send_away(member.number, now_us)
            elif self.is_expired(member, now_us):
                self.remove(member.number)
                is_changed = True
        if is_changed or (self.members and self.hash_of(topics) != self.topics_hash):
            self.retarget(topics)
            return True
        return False

    def send_away(self, number: int, now_us: int) -> None:
        """Note that a static member is not there; what it owns stays its own."""
        member = self.members[number]
        member.slot, member.away_us = AWAY, now_us

    @staticmethod
    def is_expired(member: Member, now_us: int) -> bool:
        """Return whether a static member is away for longer than it may be."""
        if member.away_us is None:
            return False
        # Another boot's clock says nothing: the time begins anew.
        member.away_us = min(member.away_us, now_us)
        return now_us - member.away_us > member.session_timeout_us

    def _forget_unused(self) -> None:
        self.partitions = {
            partition: its
            for partition, its in self.partitions.items()
            if its.target is not None or its.owner is not None
        }
