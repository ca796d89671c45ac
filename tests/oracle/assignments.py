"""What an assignment of partitions to members must be, said by counting. Slow and obvious.

An assignment is balanced when no other one is fairer: each is compared by the numbers of partitions
that members have, the largest first, and a smaller list is fairer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Set

Partition = tuple[bytes, int]


def partitions_of(topics: Mapping[bytes, int], members: Mapping[int, Set[bytes]]) -> set[Partition]:
    """Return the partitions that somebody is subscribed to."""
    wanted = set().union(*members.values()) if members else set()
    return {(topic, n) for topic, count in topics.items() if topic in wanted for n in range(count)}


def loads(assignment: Mapping[Partition, int], members: Mapping[int, Set[bytes]]) -> list[int]:
    """Return how many partitions the members have, the most first.

    >>> loads({(b"a", 0): 1, (b"a", 1): 1}, {1: {b"a"}, 2: {b"a"}})
    [2, 0]
    """
    counts = Counter(assignment.values())
    return sorted((counts[member] for member in members), reverse=True)


def all_loads(
    members: Mapping[int, Set[bytes]], partitions: list[Partition]
) -> Iterator[tuple[int, ...]]:
    """Yield the counts per member of every assignment that there is; each count once."""
    order = sorted(members)
    reached = {(0,) * len(order)}
    for topic, _ in partitions:
        reached = {
            (*counts[:place], counts[place] + 1, *counts[place + 1 :])
            for counts in reached
            for place, member in enumerate(order)
            if topic in members[member]
        }
    yield from reached


def fairest(members: Mapping[int, Set[bytes]], partitions: set[Partition]) -> list[int]:
    """Return the loads of a balanced assignment, the most first."""
    return min(sorted(counts, reverse=True) for counts in all_loads(members, sorted(partitions)))


def fewest_moves(
    members: Mapping[int, Set[bytes]], partitions: set[Partition], before: Mapping[Partition, int]
) -> int:
    """Return how many partitions must leave a member that lives, for balance, at the least.

    For members that are all subscribed to all: then only the counts matter.
    """
    have = Counter(
        before[partition] for partition in partitions if before.get(partition) in members
    )
    goal = fairest(members, partitions)
    return min(
        sum(
            max(0, have[member] - count)
            for member, count in zip(sorted(members), counts, strict=True)
        )
        for counts in all_loads(members, sorted(partitions))
        if sorted(counts, reverse=True) == goal
    )
