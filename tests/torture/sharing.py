"""Members of a group in the workload, which share a topic, and what must be of them.

They join, are given records, commit, leave and die, as the program likes. Whatever happens, what is
committed was processed before, and is not less than what was acknowledged; those who come next get
all partitions between them, and every record behind what is committed, each once.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pystream as ps
from pystream.errors import FencedError, RebalanceInProgressError
from tests.log.reading import batches_of

SHARED = "shared"
GROUP = "sharers"
PARTITIONS = 3
SCHEMA = {"number": "int64 not null"}
SMALL_SEGMENT_BYTES = 16 * 1024
SETTLE_SECONDS = 30.0
ACTIONS = {"poll": 10, "commit": 3, "append": 2, "join": 2, "leave": 2, "die": 1}
MEMBERS_MOST = 3


@dataclass
class Sharing:
    """What is known of the group, by partition."""

    processed: dict[int, int] = field(default_factory=dict)  # no more than that is committed
    committed: dict[int, int] = field(default_factory=dict)  # no less, because it was acknowledged

    def process(self, partition: int, offset: int) -> None:
        self.processed[partition] = max(offset, self.processed.get(partition, 0))

    def commit(self, offsets: Iterable[tuple[int, int]]) -> None:
        for partition, offset in offsets:
            self.committed[partition] = max(offset, self.committed.get(partition, 0))

    def check(self, log: ps.Log) -> dict[int, int]:
        """Raise AssertionError when too much or too little is committed, or read on from there.

        Returns what is committed at the end, by partition.
        """
        if SHARED not in log.topics():
            assert not self.committed, f"the topic is gone, with {self.committed} committed"
            return {}
        found = committed(log)
        for partition, end in enumerate(log.topic(SHARED).ends()):
            offset = found.get(partition, 0)
            least, most = self.committed.get(partition, 0), self.processed.get(partition, 0)
            assert least <= offset <= most, (
                f"{SHARED}-{partition}: {offset} is committed, {least} was acknowledged, "
                f"{most} was processed"
            )
            assert offset <= end.end, f"{SHARED}-{partition}: {offset} of {end.end} is committed"
        return go_on(log, found)


def committed(log: ps.Log) -> dict[int, int]:
    """Return the offsets of the group, by partition."""
    if GROUP not in log.groups():
        return {}
    found = log.describe_group(GROUP).partitions.items()
    return {
        name.partition: its.committed
        for name, its in found
        if name.topic == SHARED and its.committed is not None
    }


def offsets_of(log: ps.Log, partition: int, begin: int, end: int) -> list[int]:
    """Return the offsets at which there are records."""
    return [
        offset
        for batch in batches_of(log, SHARED, partition)
        for offset in batch.offsets.tolist()
        if begin <= offset < end
    ]


def go_on(log: ps.Log, begins: dict[int, int]) -> dict[int, int]:
    """Let two members share what is left; return what is committed then, by partition."""
    members = [join(log, random.Random(0)) for _ in range(2)]
    ends = [end.end for end in log.topic(SHARED).ends()]
    wanted = [
        offsets_of(log, partition, begins.get(partition, 0), end)
        for partition, end in enumerate(ends)
    ]
    given: list[list[int]] = [[] for _ in range(PARTITIONS)]
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        for member in members:
            for place, records in member.poll(max_records=100_000).items():
                given[place.partition] += [record.offset for record in records]
        shares = [{place.partition for place in member.assignment()} for member in members]
        owned = shares[0] | shares[1]
        assert sum(map(len, shares)) == len(owned), f"members share a partition: {shares}"
        is_read = all(len(its) >= len(all_its) for its, all_its in zip(given, wanted, strict=True))
        if all(shares) and len(owned) == PARTITIONS and is_read:
            break
        assert time.monotonic() < deadline, f"members have {shares}, {given} of {wanted}"
    assert given == wanted, f"members were given {given}, there are {wanted}"
    state = log.describe_group(GROUP).state
    assert state == "stable", f"the group is {state}"
    for member in members:
        member.close()
    left = committed(log)
    for partition, end in enumerate(ends):
        assert not offsets_of(log, partition, left.get(partition, 0), end), (
            f"{left} are committed of {wanted}"
        )
    return left


def join(log: ps.Log, choose: random.Random) -> ps.Consumer:
    member = log.consumer(
        group_id=GROUP,
        auto_offset_reset="earliest",
        auto_commit_interval=choose.choice(["1ms", "1h"]),
    )
    member.subscribe(SHARED)
    return member


class _Members:
    """The members of one step of the program."""

    def __init__(self, log: ps.Log, choose: random.Random, say: Callable[..., Any]) -> None:
        self._log = log
        self._choose = choose
        self._say = say
        self._begins = committed(log)
        self._given: list[set[int]] = [set() for _ in range(PARTITIONS)]
        self._positions = [self._begins.get(partition, 0) for partition in range(PARTITIONS)]
        self.members = [join(log, choose) for _ in range(choose.randint(1, 2))]

    def poll(self) -> None:
        member = self._choose.choice(self.members)
        most = self._choose.choice([3, 500])
        for place, records in member.poll(max_records=most).items():
            self._given[place.partition].update(record.offset for record in records)
        for place in member.assignment():  # before anything of it can be committed
            position = member.position(place)
            self._positions[place.partition] = max(position, self._positions[place.partition])
            self._say("sharing.process", partition=place.partition, offset=position)

    def commit(self) -> None:
        member = self._choose.choice(self.members)
        offsets = self._offsets_of(member)
        try:
            member.commit()
        except (FencedError, RebalanceInProgressError):
            return  # others have the partitions now, and commit for themselves
        self._say("sharing.commit", offsets=offsets)

    def join(self) -> None:
        if len(self.members) < MEMBERS_MOST:
            self.members.append(join(self._log, self._choose))

    def leave(self) -> None:
        if len(self.members) > 1:
            self.close(self._choose.randrange(len(self.members)))

    def die(self) -> None:
        """Its lock is free, as after a kill."""
        if len(self.members) > 1:
            del self.members[self._choose.randrange(len(self.members))]

    def close(self, at: int) -> None:
        offsets = self._offsets_of(self.members[at])
        self.members.pop(at).close()
        self._say("sharing.commit", offsets=offsets)

    def check(self) -> None:
        for partition, position in enumerate(self._positions):
            begin = self._begins.get(partition, 0)
            wanted = set(offsets_of(self._log, partition, begin, position))
            missing = sorted(wanted - self._given[partition])
            assert not missing, f"{SHARED}-{partition}: {missing} below {position} were skipped"

    @staticmethod
    def _offsets_of(member: ps.Consumer) -> list[tuple[int, int]]:
        return [(place.partition, member.position(place)) for place in member.assignment()]


def share(log: ps.Log, choose: random.Random, number: int, say: Callable[..., Any]) -> None:
    """Let members of the group come, be given records, commit, go and die."""
    if SHARED not in log.topics():
        log.create_topic(
            SHARED, SCHEMA, partitions=PARTITIONS, segment_bytes=SMALL_SEGMENT_BYTES, exist_ok=True
        )
    append(log, choose, number)
    its = _Members(log, choose, say)
    for _ in range(choose.randint(3, 8)):
        (action,) = choose.choices(list(ACTIONS), list(ACTIONS.values()))
        if action == "append":
            append(log, choose, number)
        else:
            getattr(its, action)()
    while its.members:
        its.close(0)
    its.check()


def append(log: ps.Log, choose: random.Random, number: int) -> None:
    """Append some records, which have the number of the program's step."""
    with log.producer(acks=choose.choice(["published", "interval", "durable"])) as producer:
        rows = [{"number": number}] * choose.choice([1, 4, 30])
        producer.send_batch(SHARED, rows, partition=choose.randrange(PARTITIONS))
