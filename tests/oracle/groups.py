"""A consumer group by the rules of KIP-848, one partition at a time. Slow and obvious.

The assignor is left out: each time something changes the model is told the new targets, which are
checked against `assignments.py`. The rest is the protocol. Members come to the group one after
another; whoever does

1. gives up what it owns and is not the target of, with the offset that it has come to;
2. then comes to the group's epoch;
3. takes what it is the target of and nobody owns, from the committed offset on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

Place = tuple[str, int]


class FencedMember(Exception):
    """The partition is not this member's."""


@dataclass
class MemberModel:
    """What a member has: a position in each partition that it owns."""

    positions: dict[Place, int] = field(default_factory=dict)
    epoch: int = 0


@dataclass
class GroupModel:
    """All that the group knows.

    >>> group = GroupModel(ends={("t", 0): 5, ("t", 1): 0})
    >>> group.join("ann")
    >>> group.retarget({"ann": [("t", 0), ("t", 1)]})
    >>> group.come("ann")
    >>> group.read("ann", ("t", 0))
    range(0, 5)
    >>> group.join("bob")
    >>> group.retarget({"ann": [("t", 1)], "bob": [("t", 0)]})
    >>> group.come("bob")  # ann has not let go yet
    >>> group.owned("bob"), group.owned("ann") == {("t", 0), ("t", 1)}
    (set(), True)
    >>> group.come("ann")
    >>> group.come("bob")
    >>> group.owned("bob"), group.read("bob", ("t", 0))
    ({('t', 0)}, range(5, 5))
    """

    ends: dict[Place, int] = field(default_factory=dict)
    committed: dict[Place, int] = field(default_factory=dict)
    members: dict[str, MemberModel] = field(default_factory=dict)
    targets: dict[Place, str] = field(default_factory=dict)
    epoch: int = 0

    def join(self, name: str) -> None:
        self.members[name] = MemberModel()

    def leave(self, name: str, *, commits: bool) -> None:
        """Go; without a commit when it died."""
        if commits:
            for place, position in self.members[name].positions.items():
                self.committed[place] = position
        del self.members[name]

    def retarget(self, targets: dict[str, Iterable[Place]]) -> None:
        self.epoch += 1
        self.targets = {place: name for name, places in targets.items() for place in places}

    def come(self, name: str) -> None:
        """Let a member do what there is for it to do."""
        member = self.members[name]
        for place in list(member.positions):
            if self.targets.get(place) != name:
                self.committed[place] = member.positions.pop(place)
        member.epoch = self.epoch
        for place, target in self.targets.items():
            if target == name and self.owner(place) is None:
                member.positions[place] = self.committed.get(place, 0)

    def read(self, name: str, place: Place) -> range:
        """Return the offsets that a member gets of a partition; it is behind them then."""
        positions = self.members[name].positions
        begin, positions[place] = positions[place], self.ends[place]
        return range(begin, self.ends[place])

    def commit(self, name: str, place: Place, offset: int) -> None:
        if name not in self.members or place not in self.members[name].positions:
            raise FencedMember(name)
        self.committed[place] = offset

    def delete_topic(self, topic: str) -> None:
        """Forget a topic; its partitions are nobody's any more."""
        for places in (self.ends, self.committed, self.targets):
            for place in [place for place in places if place[0] == topic]:
                del places[place]
        for member in self.members.values():
            member.positions = {p: at for p, at in member.positions.items() if p[0] != topic}

    def owner(self, place: Place) -> str | None:
        owners = [name for name, member in self.members.items() if place in member.positions]
        assert len(owners) <= 1, f"{place} has the owners {owners}"
        return owners[0] if owners else None

    def owned(self, name: str) -> set[Place]:
        return set(self.members[name].positions)
