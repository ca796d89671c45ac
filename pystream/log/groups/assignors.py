"""Which member of a consumer group reads which partition: functions of data, and nothing else."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Mapping, Set

__all__ = ["ASSIGNORS", "Assignment", "Partition", "assign"]

Partition = tuple[bytes, int]
"""A topic's id and the number of the partition."""

Assignment = dict[Partition, int]
"""The member, by its number, that reads a partition."""

ASSIGNORS = ("sticky", "uniform", "range")


def assign(
    assignor: str,
    members: Mapping[int, Set[bytes]],
    topics: Mapping[bytes, int],
    before: Mapping[Partition, int],
) -> Assignment:
    """Give each partition of a subscribed topic to one member that is subscribed to the topic.

    Parameters
    ----------
    assignor : {"sticky", "uniform", "range"}
        - ``"sticky"``: no member could give another a partition and still have more; what is left
          open by that stays where it was.
        - ``"uniform"``: the same, but if the partitions do not divide evenly the first members have
          one more, as with Kafka's assignor of that name.
        - ``"range"``: of each topic the first members get the first partitions, so that equal
          partitions of topics of equal size come together. What was before plays no part.
    members : mapping of int to set of bytes
        Topics that each is subscribed to, by the member's number; their order is that of the
        numbers.
    topics : mapping of bytes to int
        Number of partitions, in an order that all callers share.
    before : mapping of Partition to int
        The last assignment; it may name members and partitions that are gone.

    Returns
    -------
    dict of Partition to int
        Without the topics that nobody is subscribed to.

    Examples
    --------
    >>> topics = {b"a": 3, b"b": 3}
    >>> both = {1: {b"a", b"b"}, 2: {b"a", b"b"}}
    >>> assign("range", both, topics, {})[b"b", 0], assign("range", both, topics, {})[b"b", 2]
    (1, 2)
    >>> before = assign("sticky", {1: both[1]}, topics, {})
    >>> after = assign("sticky", both, topics, before)
    >>> sum(before[partition] != after[partition] for partition in before)
    3
    """
    order = sorted(members)
    topics = {
        topic: count
        for topic, count in topics.items()
        if any(topic in subscribed for subscribed in members.values())
    }
    if assignor == "range":
        return _ranges(members, order, topics)
    # The first partitions of all topics come first, so that who gives some up keeps parts of each.
    partitions = [
        (topic, number)
        for number in range(max(topics.values(), default=0))
        for topic, count in topics.items()
        if number < count
    ]
    kept: dict[int, list[Partition]] = {member: [] for member in order}
    free = []
    for partition in partitions:
        member = before.get(partition)
        if member is not None and member in members and partition[0] in members[member]:
            kept[member].append(partition)
        else:
            free.append(partition)
    if all(topic in members[member] for topic in topics for member in order):
        _fill_to_quotas(kept, free, is_sticky=assignor == "sticky")
    else:
        _fill_lightest(members, kept, free)
        _level(members, kept)
    return {partition: member for member, its in kept.items() for partition in its}


def _ranges(
    members: Mapping[int, Set[bytes]], order: list[int], topics: Mapping[bytes, int]
) -> Assignment:
    assignment: Assignment = {}
    for topic, count in topics.items():
        readers = [member for member in order if topic in members[member]]
        least, more = divmod(count, len(readers))
        first = 0
        for place, member in enumerate(readers):
            end = first + least + (place < more)
            assignment.update(((topic, number), member) for number in range(first, end))
            first = end
    return assignment


def _fill_to_quotas(
    kept: dict[int, list[Partition]], free: list[Partition], *, is_sticky: bool
) -> None:
    """Give all members as many, up to one; all of them may read all."""
    if not kept:
        return
    total = len(free) + sum(map(len, kept.values()))
    least, more = divmod(total, len(kept))
    order = list(kept)
    if is_sticky:  # one more goes to those that have it already
        order.sort(key=lambda member: len(kept[member]) <= least)
    quotas = {member: least + (place < more) for place, member in enumerate(order)}
    for member, its in kept.items():
        free += its[quotas[member] :]
        del its[quotas[member] :]
    wanting = deque(member for member in kept if len(kept[member]) < quotas[member])
    for partition in free:
        member = wanting.popleft()
        kept[member].append(partition)
        if len(kept[member]) < quotas[member]:
            wanting.append(member)


def _fill_lightest(
    members: Mapping[int, Set[bytes]], kept: dict[int, list[Partition]], free: list[Partition]
) -> None:
    """Give each free partition to the member with the fewest of those that may read it."""
    readers = {
        topic: [member for member in kept if topic in members[member]]
        for topic in {topic for topic, _ in free}
    }
    for partition in sorted(free, key=lambda partition: len(readers[partition[0]])):
        member = min(readers[partition[0]], key=lambda member: len(kept[member]))
        kept[member].append(partition)


def _level(members: Mapping[int, Set[bytes]], kept: dict[int, list[Partition]]) -> None:
    """Move partitions, through other members if need be, from those with many to those with few.

    Balanced is what no such path improves; each makes the sum of squares smaller, so it ends.
    """
    while path := _path_to_lighter(members, kept):
        for giver, taker in itertools.pairwise(path):
            mine = kept[giver]
            place = max(i for i, partition in enumerate(mine) if partition[0] in members[taker])
            kept[taker].append(mine.pop(place))


def _path_to_lighter(
    members: Mapping[int, Set[bytes]], kept: dict[int, list[Partition]]
) -> list[int]:
    """Return members, the first of which has two more than the last; each can give to the next."""
    fewest = min(map(len, kept.values()), default=0)
    for start in sorted(kept, key=lambda member: -len(kept[member])):
        if len(kept[start]) < fewest + 2:
            break
        came_from = {start: start}
        ahead = deque([start])
        while ahead:
            giver = ahead.popleft()
            topics = {topic for topic, _ in kept[giver]}
            for taker, its in kept.items():
                if taker in came_from or topics.isdisjoint(members[taker]):
                    continue
                came_from[taker] = giver
                if len(its) <= len(kept[start]) - 2:
                    return _walked(came_from, taker)
                ahead.append(taker)
    return []


def _walked(came_from: Mapping[int, int], last: int) -> list[int]:
    path = [last]
    while came_from[path[-1]] != path[-1]:
        path.append(came_from[path[-1]])
    return path[::-1]
