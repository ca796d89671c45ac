"""Rows of transactions in the catalog: the statements, within a transaction of the database.

A row says what becomes of a transaction, and changes once: from open to committed or aborted.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pystream import config
from pystream.log.catalog.producers import ID_BITS, take_name
from pystream.log.catalog.rows import TABLES, Cells, DamagedRow, row_name

__all__ = [
    "ABORTED",
    "COMMITTED",
    "OPEN",
    "TransactionRow",
    "all_transactions",
    "decide",
    "decide_row",
    "enter_transaction",
    "find_transaction",
    "open_count",
    "partitions_of",
    "raise_epoch",
    "register_partitions",
    "remove_transactions",
    "slots_of_transactions",
    "sound_transactions",
    "take_transactional_id",
    "transactions_of",
]

OPEN = "open"
COMMITTED = "committed"
ABORTED = "aborted"
_PARTITION = Cells("transaction_partitions", "topic_id", "partition")


class TransactionRow(NamedTuple):
    """A transaction that is open, or whose markers are perhaps not all on the disk."""

    id: int
    transactional_id: str
    producer_id: int
    producer_epoch: int
    state: str
    slot: int
    process_id: int
    timeout_us: int
    begun_us: int
    begun_monotonic_us: int
    decided_us: int | None = None


_TRANSACTION = Cells("transactions", *TransactionRow._fields)
_COLUMNS = _TRANSACTION.names


def take_transactional_id(connection: sqlite3.Connection, name: str) -> tuple[int, int]:
    """Return the producer id and the epoch of a new producer of the name, which fences all before.

    An open transaction of theirs is aborted.
    """
    # Two on: the epoch behind that of an open transaction stands for its end alone.
    producer_id, epoch = take_name(connection, name, steps=2)
    for row in transactions_of(connection, producer_id):
        decide(connection, row.id, ABORTED)
    if epoch > config.PRODUCER_EPOCH_MAX // 2:
        fresh = secrets.randbits(ID_BITS)
        for table in ("producer_positions", "producer_floors"):
            connection.execute(f"DELETE FROM {table} WHERE producer_id = ?", (producer_id,))
        connection.execute(
            "UPDATE producers SET id = ?, epoch = 0 WHERE id = ?", (fresh, producer_id)
        )
        producer_id, epoch = fresh, 0
    return producer_id, epoch


def raise_epoch(connection: sqlite3.Connection, producer_id: int, epoch: int) -> None:
    """Go on to the next epoch, unless somebody has."""
    connection.execute(
        "UPDATE producers SET epoch = epoch + 1 WHERE id = ? AND epoch = ?", (producer_id, epoch)
    )


def enter_transaction(connection: sqlite3.Connection, row: TransactionRow) -> None:
    """Enter a transaction."""
    connection.execute(
        f"INSERT INTO transactions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row
    )


def register_partitions(
    connection: sqlite3.Connection, transaction_id: int, partitions: Iterable[tuple[bytes, int]]
) -> None:
    """Note that a transaction may write to partitions (topic id, number), before it does.

    Of topics that were deleted there is nothing to note.
    """
    connection.executemany(
        "INSERT OR IGNORE INTO transaction_partitions SELECT ?, id, ? FROM topics WHERE id = ?",
        [(transaction_id, number, topic_id) for topic_id, number in partitions],
    )


def decide(connection: sqlite3.Connection, transaction_id: int, state: str) -> str:
    """Decide a transaction, if it is open; return what has been decided, now or before."""
    row = find_transaction(connection, transaction_id)
    # What was committed is kept until nobody asks any more.
    return ABORTED if row is None else decide_row(connection, row, state)


def decide_row(connection: sqlite3.Connection, row: TransactionRow, state: str) -> str:
    """Do what :func:`decide` does with a row that was found in the same transaction of SQLite."""
    decided = connection.execute(
        "UPDATE transactions SET state = ?, decided_us = ? WHERE id = ? AND state = 'open'",
        (state, time.time_ns() // 1000, row.id),
    )
    raise_epoch(connection, row.producer_id, row.producer_epoch)
    return state if decided.rowcount == 1 else row.state


def find_transaction(connection: sqlite3.Connection, transaction_id: int) -> TransactionRow | None:
    """Return a transaction, or None.

    Raises
    ------
    DamagedRow
        If its row is damaged; or missing, which must not count as never decided.
    """
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM transactions WHERE id = ?", (transaction_id,)
    ).fetchone()
    if found is not None:
        return TransactionRow(*_TRANSACTION.checked(found))
    left = "SELECT 1 FROM transaction_partitions WHERE transaction_id = ? LIMIT 1"
    if connection.execute(left, (transaction_id,)).fetchone() is not None:
        what = "it is missing, though table transaction_partitions names it"
        raise DamagedRow("transactions", f"id={transaction_id}", what)
    return None


def all_transactions(connection: sqlite3.Connection) -> list[TransactionRow]:
    """Return all transactions, the oldest first."""
    found = connection.execute(f"SELECT {_COLUMNS} FROM transactions ORDER BY begun_us, id")
    return [TransactionRow(*row) for row in _TRANSACTION.all_checked(found)]


def sound_transactions(connection: sqlite3.Connection) -> list[TransactionRow]:
    """Return those that are not damaged; who needs one of the others is told."""
    rows = []
    for row in connection.execute(f"SELECT {_COLUMNS} FROM transactions ORDER BY begun_us, id"):
        with contextlib.suppress(DamagedRow):
            rows.append(TransactionRow(*_TRANSACTION.checked(row)))
    return rows


def transactions_of(connection: sqlite3.Connection, producer_id: int) -> list[TransactionRow]:
    """Return the transactions of a producer."""
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM transactions WHERE producer_id = ?", (producer_id,)
    )
    return [TransactionRow(*row) for row in _TRANSACTION.all_checked(found)]


def open_count(connection: sqlite3.Connection) -> int:
    """Return how many transactions are open."""
    row = connection.execute("SELECT count(*) FROM transactions WHERE state = 'open'").fetchone()
    return int(row[0])


def slots_of_transactions(connection: sqlite3.Connection) -> set[int]:
    """Return the slots of the producers of all transactions."""
    return {slot for (slot,) in connection.execute("SELECT slot FROM transactions")}


def partitions_of(connection: sqlite3.Connection, transaction_id: int) -> list[tuple[bytes, int]]:
    """Return the partitions (topic id, number) that a transaction may have written to.

    Raises
    ------
    DamagedRow
        If a row is damaged, or names a partition that there is not: then there is another, which
        would go without its marker.
    """
    found = []
    for *name, is_gone, partitions in connection.execute(
        "SELECT w.topic_id, w.partition, t.id IS NULL, t.partitions FROM transaction_partitions w "
        "LEFT JOIN topics t ON t.id = w.topic_id WHERE w.transaction_id = ? "
        "ORDER BY w.topic_id, w.partition",
        (transaction_id,),
    ):
        topic_id, number = _PARTITION.checked(name, transaction_id=transaction_id)
        if is_gone or (type(partitions) is int and number >= partitions):
            key = {"transaction_id": transaction_id, "topic_id": topic_id, "partition": number}
            where = row_name(key, TABLES["transaction_partitions"].key)
            raise DamagedRow("transaction_partitions", where, "there is no such partition")
        found.append((topic_id, number))
    return found


def remove_transactions(connection: sqlite3.Connection, transactions: Sequence[int]) -> None:
    """Forget transactions whose markers are all on the disk."""
    for table, column in (("transaction_partitions", "transaction_id"), ("transactions", "id")):
        connection.executemany(
            f"DELETE FROM {table} WHERE {column} = ?", [(number,) for number in transactions]
        )
