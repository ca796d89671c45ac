"""The transactions of one producer: what it may do next, and what is written when."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from pystream import _native, config
from pystream.errors import (
    ClientError,
    FencedError,
    InvalidTransactionStateError,
    StreamError,
    UnknownGroupError,
)
from pystream.log.catalog.groups import write_offsets
from pystream.log.catalog.producers import epoch_of
from pystream.log.catalog.transactions import (
    ABORTED,
    COMMITTED,
    OPEN,
    TransactionRow,
    decide,
    decide_row,
    enter_transaction,
    find_transaction,
    open_count,
    raise_epoch,
    register_partitions,
    remove_transactions,
    slots_of_transactions,
    take_transactional_id,
    transactions_of,
)
from pystream.log.groups.liveness import Liveness
from pystream.log.producer_name import check_producer_name
from pystream.log.transactions.offsets import GroupMetadata, PendingOffset, check_may_commit
from pystream.log.transactions.rescue import complete, partition_of, write_markers

if TYPE_CHECKING:
    import sqlite3

    from pystream._native import Partition
    from pystream.log.log import Log

__all__ = ["Transactions"]

_TRANSACTION_ID_BITS = 62


class _Ended(NamedTuple):
    """A transaction that was decided, and up to where its partitions must be on the disk."""

    id: int
    ends: list[tuple[Partition, int]]

    def is_on_disk(self) -> bool:
        return all(partition.ends().durable_offset >= end for partition, end in self.ends)


class Transactions:
    """What a transactional producer does besides sending.

    Parameters
    ----------
    log : Log
    name : str
        The transactional id. Whoever had it before is fenced, and its open transaction aborted.
    timeout_us : int
        How long a transaction may be open before others abort it.

    Attributes
    ----------
    producer_id, epoch : int
        What its batches carry; the epoch rises with each transaction.
    transaction_id : int
        Of the present transaction; -1: none.
    failure : StreamError or None
        Why the present transaction can only be aborted.

    Notes
    -----
    Threads: one begins, commits and aborts, and another may close the producer meanwhile, which
    aborts; the producer's background thread calls :meth:`before_append`.
    """

    def __init__(self, log: Log, name: str, timeout_us: int) -> None:
        self._log = log
        self.name = check_producer_name(name, setting="transactional_id")
        self._timeout_us = timeout_us
        self._liveness = Liveness(log.directory, "transactions")
        self.transaction_id = -1
        self.is_ending = False
        self.failure: StreamError | None = None
        self._begun_us = self._begun_monotonic_us = 0
        self._registered: set[tuple[bytes, int]] = set()
        self._registering = threading.Lock()
        self._deciding = threading.Lock()
        self._is_entered = False  # in the catalog
        self._is_entering = False  # perhaps in the catalog: Ctrl-C may hide from it that it is
        self._offsets: dict[GroupMetadata, dict[tuple[bytes, int], PendingOffset]] = {}
        self._ended: list[_Ended] = []
        with log.catalog.writing() as connection:
            self._liveness.take_slot(slots_of_transactions(connection))
            self.producer_id, self.epoch = take_transactional_id(connection, name)
        log.catalog.note_change()

    # -- what is allowed -----------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether there is a transaction that was begun and not ended."""
        return self.transaction_id >= 0

    def require_none(self) -> None:
        """Raise unless a transaction may begin."""
        if self.is_open:
            raise self._misplaced(
                "begin_transaction() came while a transaction is open. Commit or abort it first."
            )

    def require_open(self, method: str) -> None:
        """Raise unless a transaction is open and has not failed."""
        if not self.is_open or self.is_ending:
            raise self.refusal(method)
        self._raise_failure()

    def refusal(self, method: str = "send") -> StreamError:
        """Return what is raised by a call that needs an open transaction."""
        if self.is_ending:
            return self._misplaced(
                f"{method}() came while the transaction is being ended. Wait for that."
            )
        if self.failure is not None and self.is_open:
            return self._failed()
        return self._misplaced(
            f"{method}() came without a transaction. Call begin_transaction() first."
        )

    def note_failure(self, error: StreamError) -> None:
        """Let the present transaction end in an abort only."""
        if self.is_open and self.failure is None:
            self.failure = error

    # -- in a transaction ----------------------------------------------------------------------

    def begin(self) -> None:
        """Begin a transaction; nothing is written before its first record."""
        self._finish_own()
        self.failure = None
        self._registered = set()
        self._offsets = {}
        self._is_entered = self._is_entering = False
        self._begun_us = time.time_ns() // 1000
        self._begun_monotonic_us = time.monotonic_ns() // 1000
        self.transaction_id = secrets.randbits(_TRANSACTION_ID_BITS)

    def before_append(self, topic_id: bytes, partitions: Iterable[int]) -> None:
        """Register partitions before the transaction writes to them for the first time.

        Raises
        ------
        FencedError
            If a newer producer has taken the name.
        InvalidTransactionStateError
            If the transaction is being aborted, or was by somebody else.
        ClientError
            If too many transactions are open, or it has too many partitions.
        """
        self._raise_failure()
        wanted = {(topic_id, number) for number in partitions}
        if wanted <= self._registered:
            return
        with self._registering:
            missing = wanted - self._registered
            if len(self._registered) + len(missing) > config.TRANSACTION_PARTITIONS_MAX:
                raise ClientError(
                    f"a transaction writes to at most {config.TRANSACTION_PARTITIONS_MAX} "
                    "partitions. Commit earlier, or send to fewer."
                )
            done = [ended for ended in self._ended if ended.is_on_disk()]
            is_first, self._is_entering = not self._is_entering, True
            with self._log.catalog.writing() as connection:
                row = None if is_first else find_transaction(connection, self.transaction_id)
                if row is None:
                    self._enter(connection)
                else:
                    self._is_entered = True
                    self._require_undecided(connection, row)
                register_partitions(connection, self.transaction_id, missing)
                remove_transactions(connection, [ended.id for ended in done])
            self._is_entered = True
            self._registered |= missing
            self._ended = [ended for ended in self._ended if ended not in done]

    def add_offsets(self, offsets: Mapping[tuple[bytes, int], int], group: GroupMetadata) -> None:
        """Commit these offsets of a group with the transaction."""
        pending = self._offsets.get(group, {})
        before = {partition: pending.get(partition) for partition in offsets}
        with self._log.catalog.reading() as connection:
            owned = check_may_commit(connection, self._log.directory, group, before)
        added = {
            partition: PendingOffset(offset, owned.get(partition))
            for partition, offset in offsets.items()
        }
        self._offsets.setdefault(group, {}).update(added)  # another thread may add others

    def check_current(self) -> None:
        """Raise when a newer producer has the name, or somebody has aborted the transaction."""
        with self._log.catalog.reading() as connection:
            row = find_transaction(connection, self.transaction_id) if self._is_entered else None
            self._require_undecided(connection, row)

    # -- its end -------------------------------------------------------------------------------

    def commit(self) -> None:
        """Make what was appended durable, and decide; all was appended before."""
        with self._deciding:
            self._require_not_ended("commit_transaction")
            self._commit()

    def abort(self) -> None:
        """Decide that nothing of it counts."""
        with self._deciding:
            self._require_not_ended("abort_transaction")
            self._abort()

    def close(self) -> None:
        """Give the place up; what is not ended is aborted by whoever finds it."""
        try:
            with_ends = [end for ended in self._ended for end in ended.ends]
            errors = _native.sync_partitions(
                [partition for partition, _ in with_ends], [end for _, end in with_ends]
            )
            if self._ended and all(error is None for error in errors):
                with self._log.catalog.writing() as connection:
                    remove_transactions(connection, [ended.id for ended in self._ended])
            self._ended = []
        finally:
            self._liveness.close()

    def forget(self) -> None:
        """In a forked child: the parent stays the producer."""
        self._liveness.forget()

    def finish_predecessors(self) -> None:
        """Write the markers that producers of this name left to be written."""
        with self._log.catalog.reading() as connection:
            rows = transactions_of(connection, self.producer_id)
        for row in rows:
            if row.state != OPEN:
                complete(self._log, row, is_owned=False)

    # -- helpers -------------------------------------------------------------------------------

    def _require_not_ended(self, method: str) -> None:
        if not self.is_open:
            raise self._misplaced(
                f"{method}() came when another thread had ended the transaction, as close() does. "
                "What that thread did, holds."
            )

    def _commit(self) -> None:
        self._raise_failure()
        partitions = self._partitions()
        touched = self._touched(partitions.values())
        errors = _native.sync_partitions(
            [partition for partition, _ in touched], [end for _, end in touched]
        )
        for error in errors:
            if error is not None:
                failure = _native.to_stream_error(error)
                self.note_failure(failure)
                raise failure
        try:
            if self._is_entered or self._offsets:
                with self._log.catalog.writing() as connection:
                    self._decide_to_commit(connection)
                self._is_entered = True
        except (FencedError, InvalidTransactionStateError, UnknownGroupError) as error:
            self.note_failure(error)
            raise
        self._end(COMMITTED, partitions)

    def _abort(self) -> None:
        with self._log.catalog.reading() as connection:
            # Also when Ctrl-C hid from this producer that it is there.
            self._is_entered |= find_transaction(connection, self.transaction_id) is not None
        if self._is_entered:
            with self._log.catalog.writing() as connection:
                state = decide(connection, self.transaction_id, ABORTED)
                raise_epoch(connection, self.producer_id, self.epoch)  # also without a row
                epoch = epoch_of(connection, self.producer_id)
            self._log.catalog.note_change()
            if epoch != self.epoch + 1:
                self._end(state, is_fenced=True)
                raise self._fenced(epoch)
            if state == COMMITTED:
                transaction_id = self.transaction_id
                self._end(COMMITTED)
                raise InvalidTransactionStateError(
                    f"transaction {transaction_id} was committed: the commit that did not return "
                    "had been decided. Begin the next transaction.",
                    transaction_id=transaction_id,
                )
        self._end(ABORTED)

    def _enter(self, connection: sqlite3.Connection) -> TransactionRow:
        epoch = epoch_of(connection, self.producer_id)
        if epoch != self.epoch:
            raise self._fenced(epoch)
        if self.epoch >= config.PRODUCER_EPOCH_MAX:
            raise ClientError(
                f"producer {self.name!r} has begun {self.epoch} transactions, and there are no "
                "more numbers for it. Make it again."
            )
        if open_count(connection) >= config.TRANSACTIONS_MAX:
            raise ClientError(
                f"{config.TRANSACTIONS_MAX} transactions are open in {self._log.directory}, and "
                "that is the limit. Commit or abort some; log.transactions() lists them."
            )
        row = self._row(OPEN)
        enter_transaction(connection, row)
        return row

    def _row(self, state: str) -> TransactionRow:
        return TransactionRow(
            self.transaction_id,
            self.name,
            self.producer_id,
            self.epoch,
            state,
            self._liveness.slot,
            os.getpid(),
            self._timeout_us,
            self._begun_us,
            self._begun_monotonic_us,
        )

    def _require_undecided(
        self, connection: sqlite3.Connection, row: TransactionRow | None
    ) -> None:
        epoch = epoch_of(connection, self.producer_id)
        if not self._is_entered:
            if epoch != self.epoch:
                raise self._fenced(epoch)
            return
        if row is not None and row.state == OPEN:
            return
        if epoch not in (self.epoch, self.epoch + 1):
            raise self._fenced(epoch)
        raise InvalidTransactionStateError(
            f"transaction {self.transaction_id} of {self.name!r} was aborted by another process: "
            f"by hand, or because it was open for more than transaction_timeout "
            f"({self._timeout_us / 1e6:g} s) while somebody waited for it. Call "
            "abort_transaction(), and begin it anew.",
            transaction_id=self.transaction_id,
        )

    def _decide_to_commit(self, connection: sqlite3.Connection) -> None:
        """Decide, together with the offsets of groups: all of that or nothing."""
        row = find_transaction(connection, self.transaction_id)
        if row is not None and row.state == COMMITTED:
            return  # by an earlier call, which did not return
        if row is None and not self._is_entered:
            row = self._enter(connection)
        else:
            self._require_undecided(connection, row)
        assert row is not None
        for group, pending in self._offsets.items():
            check_may_commit(connection, self._log.directory, group, pending)
            offsets = {partition: its.next_offset for partition, its in pending.items()}
            write_offsets(connection, group.number, offsets)
        decide_row(connection, row, COMMITTED)

    def _partitions(self) -> dict[tuple[bytes, int], Partition]:
        """Return the partitions that the transaction may have written to, but of topics deleted."""
        found = {name: partition_of(self._log, *name) for name in self._registered}
        return {name: partition for name, partition in found.items() if partition is not None}

    def _touched(self, partitions: Iterable[Partition]) -> list[tuple[Partition, int]]:
        """Return those that hold something of the transaction, and their ends."""
        touched = []
        for partition in partitions:
            end = partition.ends().log_end_offset
            if any(
                found.transaction_id == self.transaction_id
                for found in partition.open_transactions()
            ):
                touched.append((partition, end))
        return touched

    def _end(
        self,
        state: str,
        partitions: Mapping[tuple[bytes, int], Partition] | None = None,
        *,
        is_fenced: bool = False,
    ) -> None:
        """Go on to the next transaction; the decision stands, and markers say it where readers are.

        A marker that cannot be written now, on a full disk say, is written by whoever needs it.
        """
        is_entered = self._is_entered
        self._unfinished = self._row(state) if is_entered else None
        self.transaction_id = -1
        self.failure = None
        self._is_entered = False
        if is_entered and not is_fenced:
            self.epoch += 1
        self._finish_own(partitions, is_first_try=True)

    _unfinished: TransactionRow | None = None  # decided, and perhaps without some of its markers

    def _finish_own(
        self,
        partitions: Mapping[tuple[bytes, int], Partition] | None = None,
        *,
        is_first_try: bool = False,
    ) -> None:
        row = self._unfinished
        if row is None:
            return
        try:
            ends = write_markers(self._log, row, partitions or {})
        except StreamError:
            if is_first_try:
                return  # begin() tries again, and tells
            raise
        self._unfinished = None
        self._ended.append(_Ended(row.id, ends))

    def _misplaced(self, message: str) -> InvalidTransactionStateError:
        return InvalidTransactionStateError(
            message, transaction_id=self.transaction_id if self.is_open else None
        )

    def _raise_failure(self) -> None:
        if isinstance(self.failure, FencedError):
            raise self.failure
        if self.failure is not None:
            raise self._failed() from self.failure

    def _failed(self) -> StreamError:
        if isinstance(self.failure, FencedError):
            return self.failure
        return self._misplaced(
            f"transaction {self.transaction_id} has failed ({self.failure}) and can only be "
            "aborted. Call abort_transaction(), and begin it anew."
        )

    def _fenced(self, epoch: int | None) -> FencedError:
        return FencedError(
            f"producer {self.name!r} of epoch {self.epoch} is fenced: a newer one, of epoch "
            f"{epoch}, has taken the transactional_id. Its transaction was aborted; close this "
            "producer, the newer one goes on.",
            producer_name=self.name,
            epoch=self.epoch,
            current_epoch=epoch,
        )
