"""What must be in a log that others compact and delete from, whoever was killed at it.

Senders number what they send; a number is in three topics. Of the compacted one, the newest record
of each key stays, at its offset; of the others, all from the log start offset on, which rises no
further than somebody who lives or lived was allowed to raise it.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import pystream as ps

STATE, AGED, SIZED = TOPICS = ("state", "aged", "sized")
PARTITIONS = 2
WRITERS = 2  # with names
PAYER = WRITERS  # the sender whose records are in transactions
SENDERS = WRITERS + 1
KEEPERS = 2
NUMBERS_MOST = 400_000  # of one sender
TRANSACTION = 4  # numbers
RARE_KEYS, KEYS = 8, 48  # of one sender; a rare one has one record, the first of all
KEY_SPAN = 1000
RETENTION_BYTES = 64 * 1024
ACKNOWLEDGED = 1
READ_SECONDS = 60.0
READ_AGAIN_MOST = 9  # times

Numbers = npt.NDArray[np.int64]


def mixed(numbers: Any) -> Any:
    """Return numbers without a pattern."""
    return numbers * 2654435761 // 128


def keys_of(sender: int, numbers: Any) -> Any:
    """Return the keys of numbers; each has numbers of one partition only."""
    often = RARE_KEYS + 2 * (mixed(numbers) % ((KEYS - RARE_KEYS) // 2)) + numbers % 2
    return KEY_SPAN * sender + np.where(numbers < RARE_KEYS, numbers, often)


def is_tombstone(numbers: Any) -> Any:
    """Return whether numbers delete their keys."""
    return numbers % 7 == 6


def is_aborted(sender: int, numbers: Any) -> Any:
    """Return whether the transactions of numbers are not to be committed."""
    return (sender == PAYER) & (mixed(numbers // TRANSACTION) % 4 == 0)


def _words(*shape: int, dtype: Any = np.int64) -> Any:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(mmap.mmap(-1, size), dtype=dtype).reshape(shape)


class Shared:
    """What every process knows of the others; survives them."""

    def __init__(self) -> None:
        self.begun = _words(SENDERS)  # numbers below were perhaps sent
        self.fates = _words(SENDERS, NUMBERS_MOST, dtype=np.int8)
        self.tried_us = _words(SENDERS, NUMBERS_MOST)  # before the first attempt
        self.places = _words(len(TOPICS), SENDERS, NUMBERS_MOST)  # offset + 1, once it was seen
        self.seen = _words(len(TOPICS), SENDERS, NUMBERS_MOST, dtype=np.bool_)  # by members
        self.trimmed = _words(KEEPERS, len(TOPICS), PARTITIONS)
        self.expiry_us = _words(KEEPERS)
        self.rests_until_ns = _words(WRITERS)  # by the monotonic clock
        self.removed, self.compacted = _words(KEEPERS), _words(KEEPERS)
        self.audits = _words(1)
        self._stage = _words(1)

    def begin(self, sender: int, end: int) -> None:
        """Take note that all numbers below `end` will be sent."""
        first = int(self.begun[sender])
        if end > first:
            assert end <= NUMBERS_MOST, "more numbers than there is memory for"
            self.tried_us[sender, first:end] = time.time_ns() // 1000
            self.begun[sender] = end

    @property
    def is_over(self) -> bool:
        return bool(self._stage[0] > 0)

    @property
    def is_drained(self) -> bool:
        return bool(self._stage[0] > 1)

    def end(self, *, is_drained: bool = False) -> None:
        self._stage[0] = 2 if is_drained else 1

    def note(self, topic: int, found: Found) -> None:
        """Hold records against where they were before; an offset is for ever."""
        for sender in range(SENDERS):
            of_sender = found.senders == sender
            numbers, places = found.numbers[of_sender], found.offsets[of_sender] + 1
            before = self.places[topic, sender, numbers]
            moved = (before != 0) & (before != places)
            assert not moved.any(), f"{TOPICS[topic]}: {sender}/{numbers[moved][:5]} moved"
            self.places[topic, sender, numbers] = places
            begun = int(self.begun[sender])
            assert (numbers < begun).all(), f"{sender}: {numbers.max()} was never sent"
            wrong = numbers[is_aborted(sender, numbers)]
            assert not len(wrong), f"{TOPICS[topic]}: {sender}/{wrong[:5]} were aborted"
            if sender == PAYER:  # who sees one number of a transaction must see all
                for number in set((numbers // TRANSACTION * TRANSACTION).tolist()):
                    self.fates[sender, number : number + TRANSACTION] = ACKNOWLEDGED


class Found(NamedTuple):
    """Records, by offset."""

    offsets: Numbers
    senders: Numbers
    numbers: Numbers


def records_of(topic: int, batch: ps.RecordBatch) -> Found:
    if TOPICS[topic] == STATE:
        numbers = batch.timestamps.astype(np.int64)
        keys = batch["key"].to_numpy()
        senders = keys // KEY_SPAN
        assert (keys_of(senders, numbers) == keys).all(), "a record has another's key"
        nulls = np.array([value is None for value in batch["number"].to_pylist()])
        assert (nulls == is_tombstone(numbers)).all(), "a record has another's value"
    else:
        senders, numbers = batch["sender"].to_numpy(), batch["number"].to_numpy()
    return Found(batch.offsets.copy(), senders.copy(), numbers.copy())


def read(log: ps.Log, topic: int, partition: int) -> Found:
    """Return what is committed, at least up to where the partition ends now."""
    name = ps.TopicPartition(TOPICS[topic], partition)
    end = log.topic(name.topic).ends()[partition].end
    parts = [Found(*np.empty((3, 0), np.int64))]
    deadline = time.monotonic() + READ_SECONDS
    with log.consumer(auto_offset_reset="earliest") as consumer:
        consumer.assign([name])
        while consumer.position(name) < end:
            assert time.monotonic() < deadline, f"{name} cannot be read up to {end}"
            for batch in consumer.batches(timeout="20ms"):
                parts.append(records_of(topic, batch))
                if batch.next_offset >= end:
                    break
    return Found(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def audit(log: ps.Log, shared: Shared, *, is_quiet: bool = False) -> None:
    """Raise AssertionError when something is missing that nobody may remove.

    Parameters
    ----------
    is_quiet : bool
        Nobody writes, compacts or deletes any more.
    """
    must = shared.fates == ACKNOWLEDGED
    for partition in range(PARTITIONS):
        wanted = [its[its % PARTITIONS == partition] for its in map(np.flatnonzero, must)]
        lost = _lost_keys(log, shared, partition, wanted, is_quiet=is_quiet)
        # What gave way to a newer record, while a reader was between both, is there the next time.
        for _ in range(0 if is_quiet else READ_AGAIN_MOST):
            if not lost:
                break
            lost &= _lost_keys(log, shared, partition, wanted, is_quiet=is_quiet)
        assert not lost, f"{STATE}-{partition}: {sorted(lost)}"
        for name in (AGED, SIZED):
            found = _read_noted(log, shared, TOPICS.index(name), partition)
            _check_kept(log, shared, ps.TopicPartition(name, partition), found, wanted)
    shared.audits[0] += 1


def _read_noted(log: ps.Log, shared: Shared, topic: int, partition: int) -> Found:
    found = read(log, topic, partition)
    shared.note(topic, found)
    assert (np.diff(found.offsets) > 0).all(), "offsets do not rise"
    return found


def _lost_keys(
    log: ps.Log, shared: Shared, partition: int, wanted: list[Numbers], *, is_quiet: bool
) -> set[str]:
    """Return the keys of which an acknowledged record is gone without a newer one."""
    found = _read_noted(log, shared, TOPICS.index(STATE), partition)
    return {
        text
        for sender in range(SENDERS)
        for text in _lost_keys_of(shared, found, sender, wanted[sender], is_quiet=is_quiet)
    }


def _lost_keys_of(
    shared: Shared, found: Found, sender: int, wanted: Numbers, *, is_quiet: bool
) -> Iterator[str]:
    numbers = found.numbers[found.senders == sender]
    keys = keys_of(0, numbers)
    for key in set(keys.tolist()):
        of_key = numbers[keys == key]
        assert (np.diff(of_key) > 0).all(), f"{STATE}: {sender}, key {key}: {of_key}"
    newest = np.full(KEYS, -1)
    np.maximum.at(newest, keys_of(0, wanted), wanted)
    there = np.full(KEYS, -1)
    np.maximum.at(there, keys, numbers)
    for key in np.flatnonzero(there < newest).tolist():
        later = np.arange(newest[key], int(shared.begun[sender]))
        later = later[(keys_of(0, later) == key) & is_tombstone(later)]
        if not len(later) or (is_quiet and there[key] >= 0):
            yield f"{sender}/{newest[key]} of key {key} is lost, {there[key]} is there"


def _check_kept(
    log: ps.Log, shared: Shared, place: ps.TopicPartition, found: Found, wanted: list[Numbers]
) -> None:
    topic = TOPICS.index(place.topic)
    native = log.topic(place.topic).native_partition(place.partition)
    start = native.ends().log_start_offset
    kept_bytes = sum(facts.bytes for facts in native.segment_facts())
    trimmed = int(shared.trimmed[:, topic, place.partition].max())  # known before it is done
    expiry_us = int(shared.expiry_us.max())
    for sender in range(SENDERS):
        numbers = found.numbers[(found.senders == sender) & (found.offsets >= start)]
        where = f"{place}, which begins at {start}: {sender}"
        assert (np.diff(numbers) > 0).all(), f"{where}: {numbers} do not rise"
        missing = np.setdiff1d(wanted[sender], numbers)
        if not len(missing):
            continue
        last = int(missing[-1])
        assert not len(numbers) or last < numbers[0], f"{where}: {last} is lost behind {numbers[0]}"
        offset = int(shared.places[topic, sender, last]) - 1
        assert offset < start, f"{where}: {last} is lost at offset {offset}"
        if start <= trimmed:
            continue
        if place.topic == AGED:
            early_us = int(shared.tried_us[sender, last]) - expiry_us
            assert early_us <= 0, f"{where}: {last} is deleted {early_us} us too early"
        else:
            assert kept_bytes >= RETENTION_BYTES, f"{where}: only {kept_bytes} bytes are left"


def unseen(log: ps.Log, shared: Shared) -> list[str]:
    """Return what members of the group have not seen, and is there or has to be."""
    wrong = []
    for topic, name in enumerate(TOPICS):
        for partition in range(PARTITIONS):
            found = read(log, topic, partition)
            seen = shared.seen[topic, found.senders, found.numbers]
            wrong += [
                f"{name}-{partition}: members never saw {sender}/{number} at {offset}"
                for offset, sender, number in zip(*(its[~seen] for its in found), strict=True)
            ]
    return wrong
