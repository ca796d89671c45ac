"""Removing old records: by age, by size, and up to an offset."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from pystream import _native
from pystream import config as settings
from pystream.errors import ClosedError, StreamError
from pystream.log.kernel_lock import KernelLock
from pystream.log.named import by_partition, topics_named
from pystream.log.offsets import check_whole, within_range
from pystream.log.pinned import pinned_bytes
from pystream.log.transactions.rescue import settle
from pystream.types import TopicPartition

if TYPE_CHECKING:
    from pystream.log.log_topics import LogTopics
    from pystream.log.topic import Topic

__all__ = ["RemovedRecords", "apply_retention", "delete_records", "look_after", "retention_lock"]


class RemovedRecords(NamedTuple):
    """What retention did to a partition.

    Attributes
    ----------
    topic : str
    partition : int
    log_start_offset : int
        The first offset that is kept.
    removed_records : int
        Offsets by which the log start offset was raised.
    removed_segments : int
        Files that were removed.
    removed_bytes : int
        Of those files.
    compacted_records : int
        That compaction removed: their offsets are missing between others.
    compacted_bytes : int
        By which files of segments became smaller.
    pinned_bytes : int
        Of files of the partition, removed now or before, which batches, arrays and readers of any
        process still hold, so that the disk has them until the last is gone. Processes of other
        users count where the system lets them be seen.
    """

    topic: str
    partition: int
    log_start_offset: int
    removed_records: int
    removed_segments: int
    removed_bytes: int
    pinned_bytes: int
    compacted_records: int = 0
    compacted_bytes: int = 0


def retention_lock(directory: str) -> KernelLock:
    """Return the lock of whoever looks after retention in a log."""
    path = os.path.join(directory, "retention.lock")
    return KernelLock(path, what=f"retention in {directory}")


def delete_records(
    log: LogTopics, offsets: Mapping[TopicPartition, int] | Mapping[tuple[str, int], int]
) -> dict[TopicPartition, int]:
    """Do what :meth:`Log.delete_records` says."""
    log.check_writable("delete records")
    wanted = []
    of = "the offset before which records are deleted"
    for place, offset in by_partition(offsets, setting="offsets", of=of).items():
        topic = log.topic(place.topic)
        partition = topic.native_partition(place.partition)
        before = check_whole(place, offset)
        if before == -1:
            before = partition.ends().log_end_offset
        wanted.append((place, topic, partition, before))
    starts = {}
    for place, topic, partition, before in wanted:
        starts[place] = _delete(log, topic, place.partition, partition, before).log_start_offset
    return starts


def apply_retention(
    log: LogTopics, topics: str | Iterable[str] | None = None, *, now_us: int | None = None
) -> list[RemovedRecords]:
    """Do what :meth:`Log.apply_retention` says.

    Parameters
    ----------
    now_us : int, optional
        Instead of the wall clock.
    """
    log.check_writable("apply retention")
    names = log.topics() if topics is None else topics_named(topics)
    found = [log.topic(name) for name in names]
    lock = retention_lock(log.directory)
    try:
        if not lock.try_acquire():
            lock.acquire(settings.parse_duration_us(settings.LOCK_TIMEOUT))
        done = look_after(log, found, now_us=now_us, at_once=True)
    finally:
        lock.close()
    ids = {topic.name: topic.description.id.hex() for topic in found}
    partitions = (
        os.path.join(log.directory, "topics", ids[its.topic], str(its.partition)) for its in done
    )
    pinned = pinned_bytes(partitions)
    return [
        its._replace(pinned_bytes=its_bytes) for its, its_bytes in zip(done, pinned, strict=True)
    ]


def look_after(
    log: LogTopics,
    topics: Iterable[Topic],
    *,
    now_us: int | None = None,
    at_once: bool = False,
) -> list[RemovedRecords]:
    """Remove what topics need not keep; the caller has the lock.

    Partitions of topics that are deleted meanwhile are left out. One that fails costs no other:
    the first error is raised when all were looked at. What is pinned is not looked for: the maps
    of all processes of the machine are long.

    Parameters
    ----------
    at_once : bool
        Compact whatever can be, not only partitions with much that is new.
    """
    now_us = time.time_ns() // 1000 if now_us is None else now_us
    done = []
    failure: StreamError | None = None
    for topic in topics:
        if not topic.description.config.needs_upkeep:
            continue
        for number in range(topic.partitions):
            try:
                removed = _look_after_partition(log, topic, number, now_us)
                if topic.description.config.is_compacted:
                    _settle_sealed(log, topic, number)
                    removed = _compact(topic, number, removed, now_us, at_once=at_once)
                done.append(removed)
            except ClosedError:
                raise
            except StreamError as error:
                if not _exists(log, topic):
                    break
                failure = failure or error
    if failure is not None:
        raise failure
    return done


def _exists(log: LogTopics, topic: Topic) -> bool:
    found = log.topic_if_exists(topic.name)
    return found is not None and found.description.id == topic.description.id


def _settle_sealed(log: LogTopics, topic: Topic, number: int) -> None:
    """Do what can be done about transactions that hold up the compaction of sealed segments."""
    partition = topic.native_partition(number)
    if not partition.open_transactions():
        return
    sealed = [facts.end_offset for facts in partition.segment_facts() if not facts.is_active]
    if sealed and sealed[-1] > partition.last_stable_offset():
        settle(log, [partition])


def _compact(
    topic: Topic, number: int, removed: RemovedRecords, now_us: int, *, at_once: bool
) -> RemovedRecords:
    config = topic.description.config
    result = topic.native_partition(number).compact(
        [topic.schema.index_of(name) for name in topic.key],
        now_us=now_us,
        delete_retention_us=config.delete_retention_us,
        min_compaction_lag_us=config.min_compaction_lag_us,
        min_cleanable_ratio=0.0 if at_once else config.min_cleanable_ratio,
    )
    return removed._replace(
        compacted_records=result.removed_records,
        compacted_bytes=result.bytes_before - result.bytes_after,
    )


def _look_after_partition(log: LogTopics, topic: Topic, number: int, now_us: int) -> RemovedRecords:
    partition = topic.native_partition(number)
    before = partition.ends().log_start_offset
    if not topic.description.config.is_deleted:
        result = partition.delete_records(before)  # removes what a crash left
        return RemovedRecords(topic.name, number, before, 0, result.segments, result.bytes, 0)
    facts = partition.segment_facts()
    start = max(_start_by_age(topic, facts, now_us), _start_by_size(topic, facts), before)
    results = [_remove(log, topic, number, facts, start)]
    # What is stable is gone by now, so that there is space for markers.
    if start > partition.last_stable_offset() and settle(log, [partition]):
        results.append(_remove(log, topic, number, facts, start))
    kept_from = results[-1].log_start_offset
    return RemovedRecords(
        topic.name,
        number,
        kept_from,
        kept_from - before,
        sum(result.segments for result in results),
        sum(result.bytes for result in results),
        0,
    )


def _remove(
    log: LogTopics, topic: Topic, number: int, facts: list[_native.SegmentFacts], start: int
) -> _native.RemovalResult:
    """Remove what is before an offset, but not what a transaction that is open holds up."""
    partition = topic.native_partition(number)
    before = partition.ends().log_start_offset
    # Records of a transaction that is open have been seen by nobody.
    start = min(start, partition.last_stable_offset())
    if facts and start >= facts[-1].end_offset > before:
        # All of the active segment is old: the next append begins another, and then it can go.
        partition.end_segment()
    return _delete(log, topic, number, partition, max(start, before))


def _start_by_age(topic: Topic, facts: list[_native.SegmentFacts], now_us: int) -> int:
    """Return behind the last segment, from the first on, in which every record is old enough."""
    kept_us = topic.description.config.retention_us
    start = 0
    if kept_us is None:
        return start
    for segment in facts:
        if segment.last_append_us >= now_us - kept_us:
            break
        start = segment.end_offset
    return start


def _start_by_size(topic: Topic, facts: list[_native.SegmentFacts]) -> int:
    """Return behind the segments without which there is still as much as is to be kept."""
    kept = topic.retention_bytes
    start = 0
    if kept is None:
        return start
    total = sum(segment.bytes for segment in facts)
    for segment in facts:
        if segment.is_active or total - segment.bytes < kept:
            break
        total -= segment.bytes
        start = segment.end_offset
    return start


def _delete(
    log: LogTopics, topic: Topic, number: int, partition: _native.Partition, offset: int
) -> _native.RemovalResult:
    """Raise a partition's log start offset, with all that is known of producers kept."""
    if not 0 <= offset <= partition.ends().log_end_offset:
        return partition.delete_records(within_range(offset))  # raises, naming both ends
    if offset > partition.ends().log_start_offset:
        _keep_floors(log, topic, number, partition)
    return partition.delete_records(offset)


def _keep_floors(log: LogTopics, topic: Topic, number: int, partition: _native.Partition) -> None:
    """Note what the batches of a partition say of producers with names, before some are gone.

    It holds for ever, because it is on the disk by then; the next producer of a name reads on from
    there.
    """
    topic_id = topic.description.id
    floors = []
    for name, producer_id, epoch, position in log.catalog.producers_of(topic_id, number):
        writer = _native.TopicWriter(
            [partition],
            producer_id=producer_id,
            producer_epoch=epoch,
            producer_name=name,
            positions=[position],
        )
        ((next_offset, incarnation, last, complete),) = writer.positions()
        floors.append((producer_id, (next_offset, incarnation, last, max(complete, position[3]))))
    if floors:
        partition.sync()
        log.catalog.save_floors(topic_id, number, floors)
