"""A compacted topic of the workload, and what of it must be there.

Records have one of a few keys; those without a number delete theirs. Whatever happens, the last
record of each key is there or was lost with all that came behind it, and no value comes back that a
newer record had replaced. What compaction removes is no loss: each record that is missing has a
later one of its key, which compaction had in hand, or is a tombstone that was compact for longer
than the topic's `delete_retention`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pystream as ps
from pystream.errors import InvalidTransactionStateError, StorageError
from pystream.log.retention import apply_retention
from tests.oracle.compaction import table

LATEST = "latest"
PARTITIONS = 2
KEYS = 9
ROWS_MOST = 60
SCHEMA = {"key": "string", "number": "int64"}
SMALL_SEGMENT_BYTES = 16 * 1024
SENDER = "editor"
DELETE_RETENTION_US = 500 * 10**6

Row = tuple[str, int | None]  # key and number
Rows = dict[int, Row]  # by offset


def now_us(number: int) -> int:
    """Return the time of a step of the workload: compaction is told what time it is."""
    return number * 10**6


@dataclass
class LatestPartition:
    """What is known of a partition."""

    acknowledged: Rows = field(default_factory=dict)
    end: int = 0  # above every offset that was ever seen
    durable: int = 0
    trying: list[Row] = field(default_factory=list)  # may be there, in this order
    # What a failed sync cost: until something is appended behind it, it may be there again.
    given_up: list[Row] = field(default_factory=list)
    # When it may have been compacted, and up to where at most.
    compactions: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class Latest:
    """What is known of the topic."""

    partitions: list[LatestPartition] = field(
        default_factory=lambda: [LatestPartition() for _ in range(PARTITIONS)]
    )

    def try_rows(self, partition: int, rows: Iterable[Iterable[Any]]) -> None:
        self.partitions[partition].trying += [_row(row) for row in rows]

    def sent(self, partition: int, first: int, count: int, *, is_durable: bool) -> None:
        """Take note that the rows under way have the offsets from `first` on."""
        its = self.partitions[partition]
        its.acknowledged.update(zip(range(first, first + count), its.trying, strict=True))
        its.trying, its.given_up = [], []
        its.end = max(its.end, first + count)
        if is_durable:
            its.durable = max(its.durable, first + count)

    def aborted(self, partition: int) -> None:
        """Take note that what is under way is seen by nobody."""
        its = self.partitions[partition]
        its.trying, its.given_up = [], []

    def try_compact(self, now_us: int, ends: list[int]) -> None:
        for its, end in zip(self.partitions, ends, strict=True):
            its.compactions.append((now_us, end))

    def compacted(self, durable: list[int]) -> None:
        for its, offset in zip(self.partitions, durable, strict=True):
            its.durable = max(its.durable, offset)

    def found(
        self,
        partition: int,
        rows: Iterable[tuple[int, Iterable[Any]]],
        durable: int,
        *,
        may_be_less: bool,
        may_come_back: bool,
    ) -> None:
        """Take what is there after a crash or an error for what must stay."""
        its = self.partitions[partition]
        there = {offset: _row(row) for offset, row in rows}
        check_partition(its, there, is_power_lost=may_be_less)
        known = [*its.given_up, *its.acknowledged.values(), *its.trying]
        if may_come_back:
            its.given_up = [row for row in known if row not in there.values()]
        its.trying = []
        its.end = max([its.end, *(offset + 1 for offset in there)])
        its.acknowledged = there
        its.durable = durable

    def check(self, log: ps.Log, *, is_power_lost: bool) -> None:
        """Raise AssertionError when a key is lost, or an older value is back."""
        if LATEST not in log.topics():
            assert not any(its.acknowledged for its in self.partitions), "the topic is gone"
            return
        for number, its in enumerate(self.partitions):
            try:
                check_partition(its, read_latest(log, number), is_power_lost=is_power_lost)
            except AssertionError as error:
                raise AssertionError(f"{LATEST}-{number}: {error}") from None


def _row(row: Iterable[Any]) -> Row:
    key, number = row
    return key, number


def check_partition(its: LatestPartition, found: Rows, *, is_power_lost: bool) -> None:
    """Raise AssertionError when the rows are not what was promised.

    Where power was lost, all from some offset on may be missing; what is missing before was
    compacted, for records before that offset too.
    """
    assert list(found) == sorted(found), "offsets do not rise"
    for offset, row in found.items():
        known = its.acknowledged.get(offset, row)
        assert known == row, f"offset {offset}: {row}, not {known}"
    more = {at: row for at, row in found.items() if at not in its.acknowledged}
    new = [at for at, row in more.items() if row not in its.given_up]
    assert min(new, default=its.end) >= its.end, f"{more} are there, behind {its.end}"
    possible = [*its.given_up, *its.trying]
    left = iter(possible)
    assert all(row in left for row in more.values()), f"{more} are there, tried {possible}"
    all_rows = its.acknowledged | more
    last = max(found, default=-1) + 1
    ends = [max(its.end, last)]
    if is_power_lost:
        # The first that can be: behind what is there, and what was durable, markers too.
        first = min(max(last, its.durable), ends[0])
        ends = sorted({first, *(at + 1 for at in all_rows if at >= first), *ends})
    wrong = [_loss_below(its, all_rows, found, end) for end in ends]
    assert None in wrong, f"{wrong[0]}; there are {found}"


def _loss_below(its: LatestPartition, rows: Rows, found: Rows, end: int) -> str | None:
    """Return what is wrong if all below an offset is there, but for what was compacted."""
    newer: dict[str, int] = {}  # by key, the next later record
    newest_gone: dict[str, int] = {}
    for offset in sorted(rows, reverse=True):
        key, number = rows[offset]
        if offset >= end:
            continue
        if offset in found:
            if key in newest_gone:
                return f"offset {offset} is there, and offset {newest_gone[key]} of its key is not"
        else:
            newest_gone.setdefault(key, offset)
            follower = newer.get(key)
            is_replaced = follower is not None and any(follower < end for _, end in its.compactions)
            is_expired = number is None and _may_be_expired(its, offset)
            if not is_replaced and not is_expired:
                return f"offset {offset} is lost: {rows[offset]}"
        newer[key] = offset
    return None


def _may_be_expired(its: LatestPartition, offset: int) -> bool:
    """Return whether a tombstone may have been compact for long enough."""
    times = [now for now, end in its.compactions if offset < end]
    return bool(times) and times[-1] - times[0] >= DELETE_RETENTION_US


def read_latest(log: ps.Log, partition: int) -> Rows:
    """Return the records of a partition that readers are shown."""
    rows: Rows = {}
    with log.consumer(auto_offset_reset="earliest") as consumer:
        consumer.assign([ps.TopicPartition(LATEST, partition)])
        for batch in consumer.batches(timeout="0s"):
            keys, numbers = batch["key"].to_pylist(), batch["number"].to_pylist()
            for offset, key, number in zip(batch.offsets.tolist(), keys, numbers, strict=True):
                assert offset not in rows, f"offset {offset} is there twice"
                rows[offset] = key, number
    return rows


def tables(log: ps.Log) -> list[dict[str, int]]:
    """Return what each partition says by key."""
    if LATEST not in log.topics():
        return []
    return [table(read_latest(log, partition).values()) for partition in range(PARTITIONS)]


def go_on(log: ps.Log, number: int) -> list[dict[str, int]]:
    """Append and compact, which changes nothing of what partitions say by key; return that."""
    if LATEST not in log.topics():
        return []
    before = tables(log)
    with log.producer(acks="published") as producer:
        for partition in range(PARTITIONS):
            producer.send_batch(LATEST, [{"key": "new", "number": number}], partition=partition)
            log.topic(LATEST).native_partition(partition).end_segment()
            producer.send_batch(LATEST, [{"key": "new", "number": number}], partition=partition)
    apply_retention(log, LATEST, now_us=now_us(10**12 + number))
    for partition in range(PARTITIONS):
        rows = read_latest(log, partition)
        keys = [key for key, _ in list(rows.values())[:-1]]  # the last one is not compacted
        assert len(keys) == len(set(keys)), f"compacted, and there are {rows}"
    after = tables(log)
    expected = [{**its, "new": number} for its in before]
    assert after == expected, f"compaction made {after} of {expected}"
    return after


def edit(log: ps.Log, choose: random.Random, number: int, say: Callable[..., Any]) -> None:
    """Send some rows, with numbers from `number` on, and perhaps compact."""
    if LATEST not in log.topics():
        log.create_topic(
            LATEST,
            SCHEMA,
            key="key",
            partitions=PARTITIONS,
            segment_bytes=SMALL_SEGMENT_BYTES,
            cleanup_policy="compact",
            delete_retention=f"{DELETE_RETENTION_US // 10**6}s",
            compression=choose.choice(["none", "lz4"]),
            exist_ok=True,
        )
    partition, count = choose.randrange(PARTITIONS), choose.choice([1, 3, 12, ROWS_MOST])
    rows: list[Row] = [
        (f"key {choose.randrange(KEYS)}", None if choose.random() < 0.2 else number + i)
        for i in range(count)
    ]
    _send(log, choose, partition, rows, say)
    native = log.topic(LATEST).native_partition(partition)
    if choose.random() < 0.5:
        native.end_segment()
    if choose.random() < 0.6:
        _compact(log, now_us(number), say)


def _send(
    log: ps.Log,
    choose: random.Random,
    partition: int,
    rows: list[Row],
    say: Callable[..., Any],
) -> None:
    level = choose.choice(["published", "interval", "durable"])
    way = choose.choice(["send", "commit", "commit", "abort"])
    values = [{"key": key, "number": number} for key, number in rows]
    if way == "send":
        with log.producer(acks=level) as producer:
            say("latest.try_rows", partition=partition, rows=rows)
            (sent,) = producer.send_batch(LATEST, values, partition=partition)
            first = sent.base_offset
    else:
        try:
            with log.producer(transactional_id=SENDER, acks=level) as producer:
                producer.begin_transaction()
                say("latest.try_rows", partition=partition, rows=rows)
                (sent,) = producer.send_batch(LATEST, values, partition=partition)
                first = sent.base_offset
                if way == "abort":
                    producer.abort_transaction()
                else:
                    producer.commit_transaction()
        except InvalidTransactionStateError as error:
            if not isinstance(error.__cause__, StorageError):
                raise
            raise error.__cause__ from None
        if way == "abort":
            say("latest.aborted", partition=partition)
            return
    is_durable = level == "durable"
    say("latest.sent", partition=partition, first=first, count=len(rows), is_durable=is_durable)


def _compact(log: ps.Log, now_us: int, say: Callable[..., Any]) -> None:
    natives = [log.topic(LATEST).native_partition(number) for number in range(PARTITIONS)]
    say(
        "latest.try_compact",
        now_us=now_us,
        ends=[native.ends().log_end_offset for native in natives],
    )
    apply_retention(log, LATEST, now_us=now_us)
    say("latest.compacted", durable=[native.ends().durable_offset for native in natives])
    for number, native in enumerate(natives):
        horizon = max((facts.base_offset for facts in native.segment_facts()), default=0)
        keys = [key for at, (key, _) in read_latest(log, number).items() if at < horizon]
        assert len(keys) == len(set(keys)), f"compacted, and the keys are {keys}"
