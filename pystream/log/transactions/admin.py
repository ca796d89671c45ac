"""What is known of transactions, and what is done to them from outside."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING, NamedTuple

from pystream.errors import InvalidTransactionStateError, UnknownTransactionError
from pystream.log.catalog.transactions import (
    ABORTED,
    OPEN,
    TransactionRow,
    all_transactions,
    find_transaction,
    partitions_of,
)
from pystream.log.transactions.rescue import abort_orphan, is_owner_alive, partition_of
from pystream.types import TopicPartition

if TYPE_CHECKING:
    from pystream.log.log import Log

__all__ = [
    "TransactionDescription",
    "TransactionListing",
    "TransactionPartition",
    "abort_transaction",
    "describe_transaction",
    "list_transactions",
]


class TransactionListing(NamedTuple):
    """A transaction that is open, or was decided a short while ago.

    Attributes
    ----------
    transaction_id : int
        Which its batches carry.
    transactional_id : str
        Of its producer.
    state : {"open", "committed", "aborted"}
    process_id : int
    is_alive : bool
        Whether its producer lives. One that does not is aborted by whoever meets it.
    age_us : int
        Since it began, in microseconds.
    partitions : list of TopicPartition
        That it may have written to.
    """

    transaction_id: int
    transactional_id: str
    state: str
    process_id: int
    is_alive: bool
    age_us: int
    partitions: list[TopicPartition]


class TransactionPartition(NamedTuple):
    """What a transaction has in a partition.

    Attributes
    ----------
    first_offset : int or None
        Of its first record, while it has no marker behind it; None: it wrote nothing there, or its
        marker is there.
    last_stable_offset : int
        How far a consumer of committed records comes.
    log_end_offset : int
    """

    first_offset: int | None
    last_stable_offset: int
    log_end_offset: int


class TransactionDescription(NamedTuple):
    """A transaction at one moment.

    Attributes
    ----------
    listing : TransactionListing
    producer_id, producer_epoch : int
        Which its batches carry.
    begun_us : int
        When it began, in microseconds since 1970.
    timeout_us : int
        How long it may be open before others abort it.
    partitions : dict of TopicPartition to TransactionPartition
    """

    listing: TransactionListing
    producer_id: int
    producer_epoch: int
    begun_us: int
    timeout_us: int
    partitions: dict[TopicPartition, TransactionPartition]


def list_transactions(log: Log) -> list[TransactionListing]:
    """Do what :meth:`Log.transactions` says."""
    with log.catalog.reading() as connection:
        if not _has_table(connection):
            return []
        rows = all_transactions(connection)
        written = {row.id: partitions_of(connection, row.id) for row in rows}
    return [_listing(log, row, written[row.id]) for row in rows]


def describe_transaction(log: Log, transaction: int | str) -> TransactionDescription:
    """Do what :meth:`Log.describe_transaction` says."""
    row, written = _find(log, transaction)
    partitions = {}
    for topic_id, number in written:
        topic = log.catalog.topic_of_id(topic_id)
        partition = partition_of(log, topic_id, number)
        if topic is None or partition is None:
            continue
        first = [
            found.first_offset
            for found in partition.open_transactions()
            if found.transaction_id == row.id
        ]
        partitions[TopicPartition(topic.name, number)] = TransactionPartition(
            first[0] if first else None,
            partition.last_stable_offset(),
            partition.ends().log_end_offset,
        )
    return TransactionDescription(
        _listing(log, row, written),
        row.producer_id,
        row.producer_epoch,
        row.begun_us,
        row.timeout_us,
        partitions,
    )


def abort_transaction(log: Log, transaction: int | str) -> None:
    """Do what :meth:`Log.abort_transaction` says."""
    log.check_writable("abort a transaction")
    row, _ = _find(log, transaction)
    state = abort_orphan(log, row) if row.state == OPEN else row.state
    if state != ABORTED:
        raise InvalidTransactionStateError(
            f"transaction {row.id} of {row.transactional_id!r} was committed, and stays so. There "
            "is nothing to abort.",
            transaction_id=row.id,
        )


def _find(log: Log, transaction: int | str) -> tuple[TransactionRow, list[tuple[bytes, int]]]:
    with log.catalog.reading() as connection:
        if not _has_table(connection):
            row = None
        elif isinstance(transaction, str):
            found = [
                row for row in all_transactions(connection) if row.transactional_id == transaction
            ]
            # The open one, of which there is one at most; else the last.
            row = next((row for row in found if row.state == OPEN), found[-1] if found else None)
        elif isinstance(transaction, int) and abs(transaction) < 2**63:
            row = find_transaction(connection, transaction)
        else:
            row = None
        if row is None:
            raise UnknownTransactionError(
                f"there is no transaction {transaction!r}, or it is over. log.transactions() lists "
                "those that are not.",
                transaction_id=transaction if isinstance(transaction, int) else None,
            )
        return row, partitions_of(connection, row.id)


def _listing(log: Log, row: TransactionRow, written: list[tuple[bytes, int]]) -> TransactionListing:
    topics = {topic_id: log.catalog.topic_of_id(topic_id) for topic_id, _ in written}
    named = [(topics[topic_id], number) for topic_id, number in written]
    return TransactionListing(
        row.id,
        row.transactional_id,
        row.state,
        row.process_id,
        is_owner_alive(log, row),
        max(time.time_ns() // 1000 - row.begun_us, 0),
        sorted(TopicPartition(topic.name, number) for topic, number in named if topic is not None),
    )


def _has_table(connection: sqlite3.Connection) -> bool:
    """Return whether the catalog has transactions: an older one that is only read has not."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'transactions'")
    return found.fetchone() is not None
