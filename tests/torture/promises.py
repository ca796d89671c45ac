"""What a program was promised by a log.

A workload says what it is about to do and what came of it; :class:`Promises` takes these notes in
order, up to the moment of a crash. ``keeping.py`` opens the log after it and compares.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pystream as ps
from pystream import config
from pystream.errors import NotSupportedError
from tests.torture.latest import LATEST, Latest
from tests.torture.ledger import LEDGER, Counts, Ledger
from tests.torture.sharing import SHARED, Sharing

SCHEMA = {"number": "int64 not null", "text": "string"}
OWN_RULES = frozenset((LEDGER, LATEST, SHARED))  # topics that are not counted record by record
LEVELS = ("published", "interval", "durable")
# The producer that has a name, and the number of its record with sequence id 0 in each topic.
LOADER = "loader"
LOADED = 10**15
Records = dict[int, int]  # offset -> number


def text_of(number: int) -> str:
    """Return the text that belongs to a number: a record carries its own proof."""
    return f"{number:08d}" * (1 + number % 7)


def allow_small_segments() -> None:
    """Let a small log have many segments, in this process, and members look around each time."""
    config.SEGMENT_BYTES_MIN = 4096  # type: ignore[misc]
    config.GROUP_LOOK_SECONDS = 0.0  # type: ignore[misc]


def supported_levels(log: ps.Log) -> list[str]:
    """Return the levels of acknowledgement that exist."""
    levels = []
    for level in LEVELS:
        try:
            log.producer(acks=level).close()
        except NotSupportedError:
            continue
        levels.append(level)
    return levels


@dataclass
class Partition:
    acknowledged: Records = field(default_factory=dict)
    end: int = 0  # above every offset that was ever seen
    durable: int = 0  # all below survive power loss
    start: int = 0  # all below was deleted
    deleting_to: int = 0  # and may be by now
    trying: list[int] = field(default_factory=list)  # numbers under way, in order
    refused: list[int] = field(default_factory=list)  # since the log was last looked at
    # What a failed sync cost. Until something is appended behind it, another boot may find some of
    # it again: when the disk still failed as the partition was opened anew.
    given_up: list[int] = field(default_factory=list)

    def start_at(self, offset: int) -> None:
        """Forget what was deleted; nothing below the offset may come back."""
        self.start, self.deleting_to = offset, 0
        self.end = max(self.end, offset)
        self.acknowledged = {at: n for at, n in self.acknowledged.items() if at >= offset}


@dataclass
class Topic:
    partitions: list[Partition]
    loaded: int = 0  # sequence ids below it were sent by the producer that has a name


@dataclass
class Promises:
    """The state of the log, as far as the workload can know it."""

    topics: dict[str, Topic] = field(default_factory=dict)
    making: str | None = None
    making_partitions: int = 0
    deleting: str | None = None
    is_sync_failed: bool = False
    has_sync_just_failed: bool = False  # since the log was last looked at
    commits: dict[tuple[str, str, int], int] = field(default_factory=dict)
    committing: dict[tuple[str, str, int], int] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    latest: Latest = field(default_factory=Latest)
    sharing: Sharing = field(default_factory=Sharing)

    def note(self, text: str) -> None:
        """Take a note of the workload: a JSON object with ``do``, which may name its part."""
        note = json.loads(text)
        owner, _, name = note.pop("do").rpartition(".")
        if owner:
            getattr(getattr(self, owner), name)(**note)
        else:
            getattr(self, f"_{name}")(**note)

    def _try_create(self, topic: str, partitions: int) -> None:
        self.making, self.making_partitions = topic, partitions

    def _created(self, topic: str, partitions: int) -> None:
        self.making = None
        if self.deleting == topic:
            self.deleting = None
        self.topics[topic] = Topic([Partition() for _ in range(partitions)])

    def _try_delete(self, topic: str) -> None:
        self.deleting = topic

    def _deleted(self, topic: str) -> None:
        self.deleting = None
        del self.topics[topic]
        self.commits = {key: value for key, value in self.commits.items() if key[1] != topic}

    def _sync_failed(self) -> None:
        self.is_sync_failed = self.has_sync_just_failed = True

    def _try_send(self, topic: str, partition: int, first: int, count: int) -> None:
        if topic == self.making:  # its creation failed behind the commit
            self._created(topic, self.making_partitions)
        its = self.topics[topic].partitions[partition]
        if first >= LOADED:
            self.topics[topic].loaded = max(self.topics[topic].loaded, first + count - LOADED)
        if first < LOADED or first not in its.acknowledged.values():
            its.trying += range(first, first + count)

    def _sent(
        self, topic: str, partition: int, first: int, count: int, *, offset: int, level: str
    ) -> None:
        its = self.topics[topic].partitions[partition]
        sent = range(first, first + count)
        its.trying = [number for number in its.trying if number not in sent]
        its.acknowledged.update(zip(range(offset, offset + count), sent, strict=True))
        its.given_up = []
        its.end = max(its.end, offset + count)
        if level == "durable":
            its.durable = max(its.durable, offset + count)

    def _refused(self, topic: str, partition: int, first: int, count: int) -> None:
        its = self.topics[topic].partitions[partition]
        its.trying = [number for number in its.trying if not first <= number < first + count]
        its.refused += range(first, first + count)

    def _durable(self, topic: str, partition: int, offset: int) -> None:
        its = self.topics[topic].partitions[partition]
        its.durable = max(its.durable, offset)

    def _try_transaction(self, number: int, counts: Counts) -> None:
        self.ledger.try_transaction(number, counts)

    def _try_commit_transaction(self, number: int, offset: int) -> None:
        self.ledger.try_commit(number, offset)

    def _transaction_ended(self, number: int, *, is_committed: bool) -> None:
        self.ledger.ended(number, is_committed=is_committed)

    def _found_latest(
        self, partition: int, rows: list[Any], durable: int, *, is_new_life: bool
    ) -> None:
        self.latest.found(
            partition,
            rows,
            durable,
            may_be_less=is_new_life or self.is_sync_failed,
            may_come_back=self.has_sync_just_failed and not is_new_life,
        )

    def _try_delete_records(self, topic: str, partition: int, offset: int) -> None:
        its = self.topics[topic].partitions[partition]
        its.deleting_to = max(its.deleting_to, offset)

    def _deleted_records(self, topic: str, partition: int, offset: int) -> None:
        its = self.topics[topic].partitions[partition]
        its.start_at(max(its.start, offset))

    def _try_add_partitions(self, topic: str, partitions: int) -> None:
        known = self.topics[topic].partitions
        known += [Partition() for _ in range(partitions - len(known))]

    def _try_commit(self, group: str, topic: str, partition: int, offset: int) -> None:
        self.committing[group, topic, partition] = offset

    def _committed(self, group: str, topic: str, partition: int, offset: int) -> None:
        # A commit that failed in its last step may be there, until the next of its kind.
        self.committing.pop((group, topic, partition), None)
        self.commits[group, topic, partition] = offset

    def _found(
        self,
        topic: str,
        partition: int,
        partitions: int,
        *,
        records: list[tuple[int, int]],
        durable: int,
        start: int = 0,
        is_new_life: bool,
    ) -> None:
        """What is there after power was lost, or after an error: that is what must stay."""
        known = self.topics.setdefault(topic, Topic([Partition() for _ in range(partitions)]))
        known.partitions += [Partition() for _ in range(partitions - len(known.partitions))]
        its = known.partitions[partition]
        check_start(its, start)
        found = dict(records)
        may_be_less = is_new_life or self.is_sync_failed
        check_partition(its, found, is_power_lost=may_be_less)
        if self.has_sync_just_failed and not is_new_life:
            known_numbers = [*its.given_up, *its.acknowledged.values(), *its.refused]
            back = set(found.values())
            its.given_up = [number for number in known_numbers if number not in back]
        its.refused = []
        its.start_at(start)
        its.acknowledged = found
        its.end = max([its.end, *(offset + 1 for offset in found)])
        its.durable = durable
        its.trying = []

    def _found_topics(self, topics: list[str], *, is_new_life: bool) -> None:
        known = set(self.topics) - {self.deleting}
        assert is_new_life or known <= set(topics), f"topics are {topics}, were {known}"
        self.making = self.deleting = None
        self.has_sync_just_failed = False
        self.topics = {name: topic for name, topic in self.topics.items() if name in topics}
        self.commits = {key: value for key, value in self.commits.items() if key[1] in topics}


def check_start(its: Partition, start: int) -> None:
    """Raise AssertionError when the log start offset is not one that was promised."""
    assert start in (its.start, max(its.start, its.deleting_to)), (
        f"the log start offset is {start}, was {its.start}, and {its.deleting_to} was asked for"
    )


def check_partition(its: Partition, found: Records, *, is_power_lost: bool) -> None:
    """Raise AssertionError when the records are not what was promised."""
    assert list(found) == sorted(found), "offsets do not rise"
    last = max(found, default=-1)
    start = its.start
    if its.deleting_to > start and min(found, default=its.deleting_to) >= its.deleting_to:
        start = its.deleting_to  # it was done, but for the note of it
    assert min(found, default=start) >= start, f"offset {min(found)} was deleted and is back"
    for offset, number in its.acknowledged.items():
        if offset < start:
            continue
        if offset in found:
            assert found[offset] == number, f"offset {offset}: {found[offset]}, not {number}"
        else:
            assert is_power_lost, f"offset {offset} was acknowledged and is lost"
            assert offset >= its.durable, f"offset {offset} was durable and is lost"
            assert offset > last, f"offset {offset} is lost, but offset {last} is there"
    more = {at: number for at, number in found.items() if at not in its.acknowledged}
    back = [number for number in more.values() if number in its.given_up]
    assert back == [number for number in its.given_up if number in back], f"{back} are back"
    others = {at: number for at, number in more.items() if number not in back}
    sent = its.trying[: len(others)]
    assert list(others.values()) == sent, f"{others} are there, {its.trying} were sent"
    assert not others or min(others) >= its.end
