"""Completes transactions that somebody left behind: who meets one does it, whoever it is.

The catalog's row is what was decided. Markers say the same in each partition, and are written by
the producer, or, when it died or is stuck, by the next one who finds that one is missing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from pystream import _native
from pystream.errors import StreamError
from pystream.log.catalog.transactions import (
    ABORTED,
    COMMITTED,
    OPEN,
    TransactionRow,
    decide,
    find_transaction,
    partitions_of,
    remove_transactions,
    sound_transactions,
)
from pystream.log.kernel_lock import is_locked

if TYPE_CHECKING:
    from pystream._native import Partition
    from pystream.log.open_log import OpenLog

__all__ = [
    "abort_orphan",
    "finish_orphans",
    "is_owner_alive",
    "settle",
    "write_markers",
]


def is_owner_alive(log: OpenLog, row: TransactionRow) -> bool:
    """Return whether the producer of a transaction lives, in whichever process."""
    return is_locked(os.path.join(log.directory, "transactions.lock"), row.slot)


def is_overdue(row: TransactionRow) -> bool:
    """Return whether a transaction has been open for longer than it may."""
    age_us = time.monotonic_ns() // 1000 - row.begun_monotonic_us
    return age_us > row.timeout_us


def settle(log: OpenLog, partitions: Iterable[Partition]) -> bool:
    """Do what can be done about the transactions that are open in partitions.

    Those that were decided get their markers. Those whose producer is dead, or which are open for
    longer than they may, are aborted. Others are left alone.

    Returns
    -------
    bool
        Whether a marker was written, here or by somebody who was faster.
    """
    is_done = False
    for partition in partitions:
        for found in partition.open_transactions():
            with log.catalog.reading() as connection:
                row = find_transaction(connection, found.transaction_id)
            # Without a row it never was decided: one goes only when all markers are on the disk.
            # But where its marker was damaged, nobody can say.
            absent = OPEN if found.is_doubtful else ABORTED
            state = absent if row is None else _finish(log, row)
            if state == OPEN:
                continue
            partition.end_transaction(
                found.transaction_id,
                producer_id=found.producer_id,
                producer_epoch=found.producer_epoch + 1,
                is_commit=state == COMMITTED,
            )
            is_done = True
    return is_done


def finish_orphans(log: OpenLog) -> None:
    """Complete the transactions whose producers are dead."""
    with log.catalog.reading() as connection:
        rows = sound_transactions(connection)
    for row in rows:
        if not is_owner_alive(log, row):
            _finish(log, row)


def abort_orphan(log: OpenLog, row: TransactionRow) -> str:
    """Decide that an open transaction is aborted; return what was decided, if somebody was faster.

    Its producer learns of it with its next call.
    """
    with log.catalog.writing() as connection:
        state = decide(connection, row.id, ABORTED)
    log.catalog.note_change()
    complete(log, row._replace(state=state), is_owned=is_owner_alive(log, row))
    return state


def _finish(log: OpenLog, row: TransactionRow) -> str:
    """Complete a transaction that is decided, or that nobody will decide; return its state."""
    is_owned = is_owner_alive(log, row)
    if row.state != OPEN:
        complete(log, row, is_owned=is_owned)
        return row.state
    if is_owned and not is_overdue(row):
        return OPEN
    return abort_orphan(log, row)


def complete(log: OpenLog, row: TransactionRow, *, is_owned: bool) -> None:
    """Write the markers of a decided transaction; forget it, unless its producer will."""
    ends = write_markers(log, row, {})
    if is_owned:
        return
    errors = _native.sync_partitions([partition for partition, _ in ends], [end for _, end in ends])
    if any(error is not None for error in errors):
        return  # it is kept, and found again
    with log.catalog.writing() as connection:
        remove_transactions(connection, [row.id])


def write_markers(
    log: OpenLog, row: TransactionRow, known: Mapping[tuple[bytes, int], Partition]
) -> list[tuple[Partition, int]]:
    """Write what markers of a decided transaction are missing.

    Parameters
    ----------
    log : OpenLog
    row : TransactionRow
    known : mapping of (topic id, number) to Partition
        Handles that need not be looked up.

    Returns
    -------
    list of (Partition, int)
        All partitions that it may have written to, and an offset up to which each must be durable
        before the transaction may be forgotten.
    """
    assert row.state in (ABORTED, COMMITTED)
    with log.catalog.reading() as connection:
        names = partitions_of(connection, row.id)
    ends = []
    for topic_id, number in names:
        partition = known.get((topic_id, number)) or partition_of(log, topic_id, number)
        if partition is None:
            continue
        partition.end_transaction(
            row.id,
            producer_id=row.producer_id,
            producer_epoch=row.producer_epoch + 1,
            is_commit=row.state == COMMITTED,
        )
        ends.append((partition, partition.ends().log_end_offset))
    return ends


def partition_of(log: OpenLog, topic_id: bytes, number: int) -> Partition | None:
    """Return a partition; None when its topic was deleted."""
    found = log.catalog.topic_of_id(topic_id)
    if found is None:
        return None
    try:
        return log.native_partitions(found, _schema_of(found.schema_blob), (number,))[0]
    except StreamError:
        if log.catalog.has_topic(topic_id):
            raise
        return None


@lru_cache(maxsize=64)
def _schema_of(blob: bytes) -> _native.Schema:
    return _native.Schema.deserialize(blob)
