"""What a program was promised by a log, and whether a log keeps it.

A workload says what it is about to do and what came of it; :class:`Promises` takes these notes in
order, up to the moment of a crash. :func:`check` opens the log after it and compares.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pystream as ps
from pystream import config
from pystream.errors import LogError, NotSupportedError
from pystream.log.findings import VerifyReport
from pystream.log.verify import verify_log
from tests.log.reading import batches_of
from tests.torture import latest
from tests.torture.latest import LATEST, Latest
from tests.torture.ledger import LEDGER, Counts, Ledger

SCHEMA = {"number": "int64 not null", "text": "string"}
OWN_RULES = frozenset((LEDGER, LATEST))  # topics that are not counted record by record
LEVELS = ("published", "interval", "durable")
# The producer that has a name, and the number of its record with sequence id 0 in each topic.
LOADER = "loader"
LOADED = 10**15
# What verifying finds right after a crash, and the next open puts right.
_OF_A_CRASH = frozenset(
    {"control-missing", "control-damaged", "topic-file", "topic-without-directory"}
)
_OF_A_FAILED_CALL = frozenset({"sync-failed"})

Records = dict[int, int]  # offset -> number


def text_of(number: int) -> str:
    """Return the text that belongs to a number: a record carries its own proof."""
    return f"{number:08d}" * (1 + number % 7)


def allow_small_segments() -> None:
    """Let a small log have many segments, in this process."""
    config.SEGMENT_BYTES_MIN = 4096  # type: ignore[misc]


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


def read(log: ps.Log, topic: str, partition: int) -> Records:
    """Return the records of a partition; each one's text must be that of its number."""
    records: Records = {}
    for batch in batches_of(log, topic, partition):
        numbers = batch["number"].to_numpy().tolist()
        texts = batch["text"].to_pylist()
        assert texts == [text_of(number) for number in numbers], "a record has another's text"
        for i, number in enumerate(numbers):
            offset = batch.base_offset + i
            assert offset not in records, f"offset {offset} is there twice"
            records[offset] = number
    return records


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


def topics_of(log: ps.Log) -> list[str]:
    """Return all topics but those that have their own rules."""
    return [name for name in log.topics() if name not in OWN_RULES]


def check_catalog(promises: Promises, log: ps.Log) -> None:
    names = set(topics_of(log))
    expected = set(promises.topics)
    if promises.deleting:
        expected -= {promises.deleting} - names
    if promises.making:
        expected |= {promises.making} & names
    assert names == expected, f"topics are {sorted(names)}, must be {sorted(expected)}"
    for group, topic, partition in promises.commits | promises.committing:
        if topic not in names:
            continue
        with log.consumer(group_id=group) as consumer:
            found = consumer.committed(ps.TopicPartition(topic, partition))
        key = (group, topic, partition)
        allowed = {
            promises.commits.get(key),
            promises.committing.get(key, promises.commits.get(key)),
        }
        assert found in allowed, f"{group} committed {allowed}, found {found}"
        end = log.topic(topic).ends()[partition].end
        assert found is None or found <= end, f"{group} committed {found}, the log ends at {end}"


def verified(directory: Path, *, has_failed_calls: bool = False) -> VerifyReport | None:
    """Return what verifying finds in a log as it was left: the crash, or calls that failed.

    None when there is no log yet, or no longer.
    """
    known = _OF_A_CRASH | _OF_A_FAILED_CALL if has_failed_calls else _OF_A_CRASH
    try:
        report = verify_log(directory)
    except LogError as error:
        if "is not a log" in str(error):
            return None
        raise
    others = [finding for finding in report.problems if finding.kind not in known]
    assert not others, f"verify found {others}"
    return report


def check_verified(report: VerifyReport, found: Mapping[tuple[str, int], Records]) -> None:
    """Raise AssertionError when verifying a log and reading it do not agree."""
    said = {(its.topic, its.partition): its for its in report.partitions}
    for place in [place for place in said if place[0] in OWN_RULES]:
        its = said.pop(place)
        assert its.lost_records == 0, f"{place} has lost {its.lost_records} records"
    for name, records in found.items():
        its = said.pop(name, None)
        where = f"{name[0]}-{name[1]}: verify"
        if its is None:
            assert not records, f"{where} found no partition, a reader {len(records)} records"
            continue
        assert its.lost_records == 0, f"{where} says that {its.lost_records} records are lost"
        assert its.records == len(records), f"{where} {its.records} records, read {len(records)}"
        end = max(records, default=-1)
        assert its.log_end_offset > end, f"{where} ends at {its.log_end_offset}, read up to {end}"


def check_resumed(log: ps.Log, name: str, loaded: int) -> dict[tuple[str, int], Records]:
    """Let the producer that has a name go on; raise AssertionError for a loss or a duplicate.

    All sequence ids below `loaded` are stored then, each once. Returns the topic's records.
    """
    partitions = log.topic(name).partitions
    stored = _loaded(log, name)
    if loaded > 0:
        with log.producer(producer_name=LOADER, acks="published") as producer:
            resumed = producer.last_sequence_id(name) + 1
            missing = set(range(resumed)) - set(stored)
            assert not missing, (
                f"{name}: sequence ids {sorted(missing)} count as stored and are not"
            )
            sent = {}
            for sequence in range(resumed, loaded):
                number = LOADED + sequence
                row = {"number": number, "text": text_of(number)}
                sent[sequence] = producer.send(
                    name, row, sequence_id=sequence, partition=sequence % partitions
                )
            producer.flush()
            for sequence, delivery in sent.items():
                is_duplicate = delivery.result().is_duplicate
                assert is_duplicate == (sequence in stored), f"{name}: sequence id {sequence}"
    again = sorted(_loaded(log, name))
    assert again == list(range(loaded)), f"{name}: sequence ids {again}, sent below {loaded}"
    return {(name, number): read(log, name, number) for number in range(partitions)}


def _loaded(log: ps.Log, name: str) -> list[int]:
    """Return the sequence ids of the records that the producer with a name sent."""
    return [
        number - LOADED
        for partition in range(log.topic(name).partitions)
        for number in read(log, name, partition).values()
        if number >= LOADED
    ]


def check(
    promises: Promises,
    directory: Path,
    next_boot: Callable[[], None],
    *,
    is_power_lost: bool,
    is_verified: bool = False,
    has_failed_calls: bool = False,
) -> None:
    """Open the log as it was left, twice; raise AssertionError when a promise is broken.

    Parameters
    ----------
    promises : Promises
    directory : Path
        Of the log.
    next_boot : callable
        Lets the log believe that the machine was started again.
    is_power_lost : bool
        Whether what was not durable may be lost.
    is_verified : bool
        Whether ``pystream verify`` is asked too, before and after, and must agree; in between,
        what can be is compacted.
    has_failed_calls : bool
        Whether it may find, before, that a sync failed.
    """
    if not directory.exists():
        assert not promises.topics, "the log's directory is gone"
        return
    report = verified(directory, has_failed_calls=has_failed_calls) if is_verified else None
    before: dict[tuple[str, int], Records] = {}
    after: dict[tuple[str, int], Records] = {}
    sequences: dict[tuple[str, int], int] = {}
    with ps.open(directory) as log, log.producer(acks="published") as producer:
        check_catalog(promises, log)
        transactions = promises.ledger.check(log)
        promises.latest.check(log, is_power_lost=is_power_lost)
        for name in topics_of(log):
            topic = promises.topics.get(name)
            for number in range(log.topic(name).partitions):
                its = _partition_of(topic, number)
                where = f"{name}-{number}"
                check_start(its, log.topic(name).ends()[number].start)
                before[name, number] = found = read(log, name, number)
                try:
                    check_partition(its, found, is_power_lost=is_power_lost)
                    after[name, number] = {**found, **_append(producer, name, number, its, found)}
                except AssertionError as error:
                    raise AssertionError(f"{where}: {error}") from None
                seen = read(log, name, number)
                wanted = after[name, number]
                assert seen == wanted, f"{where}, after an append: {_difference(wanted, seen)}"
                sequences[name, number] = _last_sequence(log, name, number)
        for name in topics_of(log):
            topic = promises.topics.get(name)
            after |= check_resumed(log, name, topic.loaded if topic else 0)
        tables = latest.go_on(log, 1) if is_verified else latest.tables(log)
    if report is not None:
        check_verified(report, before)
    if is_verified:
        report = verify_log(directory)
        assert report.is_clean, f"verify found {report.problems} in a log that was closed"
        check_verified(report, after)
    next_boot()
    with ps.open(directory) as log, log.producer(acks="published") as producer:
        check_catalog(promises, log)
        again = promises.ledger.check(log)
        assert again == transactions, f"transactions {transactions} were there, now {again}"
        assert latest.tables(log) == tables, f"{tables} became {latest.tables(log)}"
        for (name, number), records in after.items():
            where = f"{name}-{number}"
            found = read(log, name, number)
            assert found == records, f"{where}, opened again: {_difference(records, found)}"
            producer.send_batch(name, _table([-2]), partition=number)
            assert _last_sequence(log, name, number) > sequences[name, number], where


def _difference(before: Records, after: Records) -> str:
    lost = {offset: before[offset] for offset in sorted(before.keys() - after.keys())}
    new = {offset: after[offset] for offset in sorted(after.keys() - before.keys())}
    common = sorted(before.keys() & after.keys())
    changed = {o: (before[o], after[o]) for o in common if before[o] != after[o]}
    return f"lost {lost}, new {new}, changed {changed}"


def _partition_of(topic: Topic | None, number: int) -> Partition:
    """Return what is known of a partition; nothing of one whose making was not noted."""
    known = topic.partitions if topic else []
    return known[number] if number < len(known) else Partition()


def _append(
    producer: ps.Producer, name: str, number: int, its: Partition, found: Records
) -> Records:
    (appended,) = producer.send_batch(name, _table([-1]), partition=number)
    end = max([its.end, *(offset + 1 for offset in found)])
    assert appended.base_offset >= end, (
        f"offset {appended.base_offset} was used before, below {end}"
    )
    return {appended.base_offset: -1}


def _table(numbers: list[int]) -> list[dict[str, Any]]:
    return [{"number": number, "text": text_of(number)} for number in numbers]


def _last_sequence(log: ps.Log, name: str, number: int) -> int:
    partition = log.topic(name).native_partition(number)
    reader = partition.reader(partition.ends().log_start_offset)
    last = 0
    while (batch := reader.next()) is not None:
        assert batch.append_sequence > last, "append sequences do not rise"
        last = batch.append_sequence
    return last
