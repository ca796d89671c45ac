"""Transactions of the workload, in a topic of their own, and what of them must be there.

Each transaction has a number, which all its records hold, in some of the ledger's partitions; and
commits an offset of a group. Whatever happens, all of that is there or none, and all of it when the
commit was acknowledged.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pystream as ps
from pystream.errors import InvalidTransactionStateError, StorageError

LEDGER = "ledger"
PARTITIONS = 3
GROUP = "ledger-readers"
SCHEMA = {"number": "int64 not null"}
SMALL_SEGMENT_BYTES = 16 * 1024
NAMES = ("payer", "payee")

Counts = dict[str, int]  # records by partition; keys as JSON has them


@dataclass
class Ledger:
    """What is known of the transactions."""

    trying: dict[int, Counts] = field(default_factory=dict)  # its commit was not begun
    committing: dict[int, tuple[Counts, int]] = field(default_factory=dict)
    committed: dict[int, tuple[Counts, int]] = field(default_factory=dict)
    aborted: set[int] = field(default_factory=set)

    def try_transaction(self, number: int, counts: Counts) -> None:
        self.trying[number] = counts

    def try_commit(self, number: int, offset: int) -> None:
        self.committing[number] = self.trying.pop(number), offset

    def ended(self, number: int, *, is_committed: bool) -> None:
        if is_committed:
            self.committed[number] = self.committing.pop(number)
        else:
            self.trying.pop(number, None)
            self.committing.pop(number, None)
            self.aborted.add(number)

    def check(self, log: ps.Log) -> set[int]:
        """Raise AssertionError when a transaction is torn, lost, or there against its promise.

        Returns those that are there: nobody can decide otherwise any more.
        """
        if LEDGER not in log.topics():
            assert not self.committed, f"the ledger is gone, with {self.committed}"
            return set()
        found, order = read_ledger(log)
        possible = self.committed | self.committing
        for number, counts in found.items():
            assert number in possible, f"transaction {number} is there, and was not committed"
            assert counts == possible[number][0], (
                f"transaction {number} is torn: {counts}, not {possible[number][0]}"
            )
        lost = self.committed.keys() - found.keys()
        assert not lost, f"transactions {sorted(lost)} were committed and are lost"
        for numbers in order:
            assert numbers == sorted(numbers), f"transactions out of order: {numbers}"
        last = max(found, default=None)
        expected = None if last is None else possible[last][1]
        with log.consumer(group_id=GROUP) as consumer:
            offset = consumer.committed(ps.TopicPartition(LEDGER, 0))
        assert offset == expected, f"offset {offset} is committed, not {expected} of {last}"
        for partition in range(PARTITIONS):
            native = log.topic(LEDGER).native_partition(partition)
            left = [its.transaction_id for its in native.open_transactions()]
            assert not left, f"transactions {left} hold readers up in partition {partition}"
        return set(found)


def read_ledger(log: ps.Log) -> tuple[dict[int, Counts], list[list[int]]]:
    """Return the records of each transaction that readers are shown, and the order by partition."""
    found: dict[int, Counts] = {}
    order: list[list[int]] = [[] for _ in range(PARTITIONS)]
    with log.consumer(LEDGER, auto_offset_reset="earliest") as consumer:
        for batch in consumer.batches(timeout="0s"):
            for number in batch["number"].to_numpy().tolist():
                counts = found.setdefault(number, {})
                where = str(batch.partition)
                counts[where] = counts.get(where, 0) + 1
                order[batch.partition].append(number)
    return found, order


def transact(log: ps.Log, choose: random.Random, number: int, say: Callable[..., Any]) -> None:
    """Run one transaction of the program, to some end; StorageError as it comes."""
    try:
        _transact(log, choose, number, say)
    except InvalidTransactionStateError as error:
        if not isinstance(error.__cause__, StorageError):
            raise
        raise error.__cause__ from None  # a record could not be appended, so all else is refused


def _transact(log: ps.Log, choose: random.Random, number: int, say: Callable[..., Any]) -> None:
    if LEDGER not in log.topics():
        log.create_topic(
            LEDGER, SCHEMA, partitions=PARTITIONS, segment_bytes=SMALL_SEGMENT_BYTES, exist_ok=True
        )
    log.consumer(LEDGER, group_id=GROUP, enable_auto_commit=False).close()
    partitions = choose.sample(range(PARTITIONS), choose.randint(1, PARTITIONS))
    counts = {str(partition): choose.randint(1, 4) for partition in partitions}
    end = choose.choice(["commit", "commit", "commit", "abort", "leave", "take"])
    name, level = choose.choice(NAMES), choose.choice(["published", "interval", "durable"])
    with log.producer(transactional_id=name, acks=level, linger="1s") as producer:
        producer.begin_transaction()
        say("try_transaction", number=number, counts=counts)
        for partition, count in counts.items():
            if choose.random() < 0.5:
                producer.send_batch(LEDGER, [{"number": number}] * count, partition=int(partition))
                continue
            for _ in range(count):
                producer.send(LEDGER, {"number": number}, partition=int(partition))
        producer.flush()
        offset = log.topic(LEDGER).ends()[0].end
        producer.send_offsets_to_transaction({(LEDGER, 0): offset}, GROUP)
        if end == "commit":
            say("try_commit_transaction", number=number, offset=offset)
            producer.commit_transaction()
            say("transaction_ended", number=number, is_committed=True)
        elif end == "abort":
            producer.abort_transaction()
            say("transaction_ended", number=number, is_committed=False)
        elif end == "take":
            log.producer(transactional_id=name).close()
            say("transaction_ended", number=number, is_committed=False)
        # else the producer is closed, which aborts it
