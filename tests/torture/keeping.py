"""Whether a log keeps what a program was promised (``promises.py``): it is opened and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pystream as ps
from pystream.errors import LogError
from pystream.log.findings import VerifyReport
from pystream.log.verify import verify_log
from tests.log.reading import batches_of
from tests.torture import latest, sharing
from tests.torture.promises import (
    LOADED,
    LOADER,
    OWN_RULES,
    Partition,
    Promises,
    Records,
    Topic,
    check_partition,
    check_start,
    text_of,
)

# What verifying finds right after a crash, and the next open puts right.
_OF_A_CRASH = frozenset(
    {"control-missing", "control-damaged", "topic-file", "topic-without-directory"}
)
_OF_A_FAILED_CALL = frozenset({"sync-failed"})


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
        shared = promises.sharing.check(log)
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
        assert sharing.committed(log) == shared, f"{shared} was committed"
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
