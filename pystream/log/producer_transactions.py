"""What a transactional producer adds to a producer: begin, commit, abort. Part of the producer."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pystream import config
from pystream.errors import (
    ClosedError,
    ConfigError,
    FencedError,
    InvalidTransactionStateError,
    StreamError,
)
from pystream.log.offsets import committable_rows
from pystream.log.transactions.offsets import GroupMetadata, group_metadata
from pystream.types import BatchMetadata, TopicPartition

if TYPE_CHECKING:
    from datetime import timedelta

    from pystream import _native
    from pystream._native import RecordAccumulator, TopicEncoder
    from pystream.log.log import Log
    from pystream.log.producer_topics import ProducerTopics
    from pystream.log.sender import Sender
    from pystream.log.transactions.transactions import Transactions

__all__ = ["ProducerTransactions", "TransactionBlock"]


class ProducerTransactions:
    """The part of :class:`Producer` that has to do with transactions."""

    _log: Log
    _transactions: Transactions | None
    _topics: ProducerTopics
    _sender: Sender
    _accumulator: RecordAccumulator
    _check_usable: Callable[[], None]
    _raise_error: Callable[[], None]
    _append_table: Callable[
        [TopicEncoder, Sequence[_native.RecordBatch], int | _native.Array, int | None],
        list[BatchMetadata],
    ]
    close: Callable[[], None]

    def init_transactions(self) -> None:
        """Do nothing that was not done: for programs that were written for Kafka.

        Making the producer has fenced those before it, aborted what they left open, and completed
        what they had decided.

        Raises
        ------
        ConfigError
            If the producer has no ``transactional_id``.
        """
        self._check_usable()
        self._require_transactional("init_transactions")

    def begin_transaction(self) -> None:
        """Begin a transaction: what is sent from now on counts when it is committed, or never.

        Raises
        ------
        ConfigError
            If the producer has no ``transactional_id``.
        InvalidTransactionStateError
            If a transaction is open.
        StorageError
            If the last one left something to be written, and the system refuses still.

        Examples
        --------
        >>> import tempfile, pystream as ps
        >>> with tempfile.TemporaryDirectory() as directory, ps.open(directory) as log:
        ...     topic = log.create_topic("payments", {"amount": "int64"})
        ...     with log.producer(transactional_id="payer") as producer:
        ...         producer.begin_transaction()
        ...         _ = producer.send("payments", {"amount": 1})
        ...         producer.abort_transaction()
        ...         producer.begin_transaction()
        ...         _ = producer.send("payments", {"amount": 2})
        ...         producer.commit_transaction()
        ...     with log.consumer("payments", auto_offset_reset="earliest") as consumer:
        ...         [record["amount"] for record in consumer.poll()["payments", 0]]
        [2]
        """
        self._check_usable()
        transactions = self._require_transactional("begin_transaction")
        self._sender.check_not_inside()
        transactions.require_none()
        transactions.begin()
        self._topics.begin_transaction()
        self._sender.take_error()
        self._accumulator.refusal = None

    def send_offsets_to_transaction(
        self,
        offsets: Mapping[TopicPartition, int] | Mapping[tuple[str, int], int],
        group: str | GroupMetadata,
    ) -> None:
        """Commit offsets of a consumer group with the transaction: they are stored if it is.

        Parameters
        ----------
        offsets : mapping of TopicPartition to int
            Offset of the next record to read, as :meth:`Consumer.position` gives it.
        group : GroupMetadata or str
            What :meth:`Consumer.consumer_group_metadata` of the member returns; or the name of a
            group without members.

        Raises
        ------
        ConfigError
            If the producer has no ``transactional_id``.
        InvalidTransactionStateError
            If no transaction is open, or it can only be aborted.
        UnknownTopicError, UnknownGroupError
            If there is none of that name.
        OffsetOutOfRangeError
            If an offset is negative or above the log end offset.
        FencedError
            If a partition is not the member's any more. That is looked at once more when the
            transaction is committed, which then raises.
        GroupNotEmptyError
            If the offsets come from no member, and the group has some.

        Notes
        -----
        After every error but ConfigError the transaction can only be aborted: its records would
        count without their offsets.

        Examples
        --------
        >>> import tempfile, pystream as ps
        >>> with tempfile.TemporaryDirectory() as directory, ps.open(directory) as log:
        ...     _ = log.create_topic("in"), log.create_topic("out")
        ...     with log.producer() as producer:
        ...         _ = producer.send("in", "a")
        ...     with (
        ...         log.consumer("in", group_id="copy", auto_offset_reset="earliest",
        ...                      enable_auto_commit=False) as consumer,
        ...         log.producer(transactional_id="copy-1") as producer,
        ...     ):
        ...         for partition, records in consumer.poll().items():
        ...             with producer.transaction():
        ...                 for record in records:
        ...                     _ = producer.send("out", record.value)
        ...                 producer.send_offsets_to_transaction(
        ...                     {partition: consumer.position(partition)},
        ...                     consumer.consumer_group_metadata(),
        ...                 )
        ...         consumer.committed(partition)
        1
        """
        self._check_usable()
        transactions = self._require_transactional("send_offsets_to_transaction")
        transactions.require_open("send_offsets_to_transaction")
        try:
            rows = committable_rows(self._log.topic, offsets)
            transactions.add_offsets(rows, group_metadata(self._log, group))
        except ConfigError:
            raise
        except StreamError as error:
            self._fail_transaction(error)  # records must not count without their offsets
            raise

    def commit_transaction(self, timeout: str | timedelta | None = None) -> None:
        """Commit the transaction: everything in it counts from now on, also after a power loss.

        Parameters
        ----------
        timeout : str or timedelta, optional
            How long to wait for what was sent to be appended. Default: no limit.

        Raises
        ------
        ConfigError
            If the producer has no ``transactional_id``.
        InvalidTransactionStateError
            If no transaction is open; or a record of it could not be appended, or it was aborted by
            somebody else: then it can only be aborted.
        FencedError
            If a newer producer has taken the ``transactional_id``, or a group's partition is
            another member's. Nothing of it counts.
        RequestTimeoutError
            If it takes longer; commit again, or abort.
        StorageError
            If the system refuses; commit again, or abort.

        Notes
        -----
        What was sent is flushed first. When the call returns, all is on the disk, at every `acks`:
        the records, the decision and the offsets of groups. After Ctrl-C it may be called again: a
        transaction that had been decided stays so.
        """
        self._check_usable()
        transactions = self._require_transactional("commit_transaction")
        self._sender.check_not_inside()
        transactions.require_open("commit_transaction")
        limit = None if timeout is None else config.parse_duration_us(timeout, name="timeout")
        with self._ending(transactions, "commit_transaction"):
            self._sender.drain(limit)
            transactions.commit()
        self._sender.take_error()

    def abort_transaction(self, timeout: str | timedelta | None = None) -> None:
        """Abort the transaction: nothing in it ever counts, nor do its offsets.

        Records that were not appended yet are not any more; their deliveries fail.

        Parameters
        ----------
        timeout : str or timedelta, optional
            How long to wait for an append that is going on. Default: no limit.

        Raises
        ------
        ConfigError
            If the producer has no ``transactional_id``.
        InvalidTransactionStateError
            If no transaction is open; or a commit that did not return had been decided.
        FencedError
            If a newer producer has taken the ``transactional_id``; it is aborted all the same.
        RequestTimeoutError
            If it takes longer; abort again.
        """
        self._check_usable()
        transactions = self._require_transactional("abort_transaction")
        self._sender.check_not_inside()
        if not transactions.is_open:
            raise transactions.refusal("abort_transaction")
        limit = None if timeout is None else config.parse_duration_us(timeout, name="timeout")
        with self._ending(transactions, "abort_transaction"):
            transactions.note_failure(transactions.refusal("send"))
            self._sender.drain(limit)
            transactions.abort()
        self._sender.take_error()

    def transaction(self) -> TransactionBlock:
        """Return a block that is a transaction: committed at its end, aborted by an exception.

        Examples
        --------
        >>> import tempfile, pystream as ps
        >>> with tempfile.TemporaryDirectory() as directory, ps.open(directory) as log:
        ...     topic = log.create_topic("payments", {"amount": "int64"})
        ...     with log.producer(transactional_id="payer") as producer:
        ...         with producer.transaction():
        ...             _ = producer.send("payments", {"amount": 2})
        ...     topic.ends()  # the record, and a marker
        [PartitionEnds(start=0, end=2)]
        """
        self._require_transactional("transaction")
        return TransactionBlock(self)

    # -- helpers -------------------------------------------------------------------------------

    def _require_transactional(self, method: str) -> Transactions:
        if self._transactions is None:
            raise ConfigError(
                f"{method}() needs a transactional producer. Make one with "
                "log.producer(transactional_id=...)."
            )
        return self._transactions

    def _send_in_transaction(
        self,
        encoder: TopicEncoder,
        batches: Sequence[_native.RecordBatch],
        stamps: int | _native.Array,
        partition: int | None,
    ) -> list[BatchMetadata]:
        transactions = self._require_transactional("send_batch")
        for batch in batches:
            encoder.writer.check(batch)  # what is refused leaves the transaction as it was
        self._sender.drain(None)
        with self._tables:
            transactions.require_open("send_batch")
            try:
                self._topics.check(encoder, partition)
                return self._append_table(encoder, batches, stamps, partition)
            except StreamError as error:
                self._fail_transaction(error)
                raise

    def _close_transactions(self, transactions: Transactions) -> None:
        was_open = transactions.is_open
        if was_open:
            transactions.note_failure(ClosedError("the producer was closed before it committed."))
        self._sender.stop()
        try:
            if transactions.is_open:
                with contextlib.suppress(FencedError, InvalidTransactionStateError):
                    transactions.abort()
        finally:
            transactions.close()
        if not was_open:
            self._raise_error()

    def _fail_transaction(self, error: StreamError) -> None:
        """Let the present transaction end in an abort only, and take no more records."""
        transactions = self._require_transactional("send")
        transactions.note_failure(error)
        if transactions.failure is not None:
            self._accumulator.refusal = transactions.refusal

    def _ending(self, transactions: Transactions, method: str) -> _Ending:
        return _Ending(self._accumulator, transactions, method, self._tables)

    _tables: threading.Lock  # held while a table of a transaction is appended


class _Ending:
    """Refuses to send while a transaction is being ended, and behind its end."""

    def __init__(
        self,
        accumulator: RecordAccumulator,
        transactions: Transactions,
        method: str,
        tables: threading.Lock,
    ) -> None:
        self._accumulator = accumulator
        self._transactions = transactions
        self._tables = tables
        if transactions.is_ending:
            raise transactions.refusal(method)

    def __enter__(self) -> None:
        self._transactions.is_ending = True
        self._accumulator.refusal = self._transactions.refusal
        try:
            with self._tables:  # what another thread is appending belongs to it
                pass
        except BaseException:  # Ctrl-C
            self._go_on()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._go_on()

    def _go_on(self) -> None:
        self._transactions.is_ending = False
        if self._transactions.is_open and self._transactions.failure is None:
            self._accumulator.refusal = None  # it goes on


class TransactionBlock:
    """A transaction as a ``with`` block; made by :meth:`Producer.transaction`."""

    def __init__(self, producer: ProducerTransactions) -> None:
        self._producer = producer

    def __enter__(self) -> Self:
        self._producer.begin_transaction()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        transactions = self._producer._require_transactional("transaction")
        if error is None:
            try:
                self._producer.commit_transaction()
            except StreamError:
                self._abort_quietly(transactions)
                raise
        else:
            self._abort_quietly(transactions)

    def _abort_quietly(self, transactions: Transactions) -> None:
        """Abort, unless that is done or another's; what led here is what is to be told."""
        if not transactions.is_open:
            return
        try:
            self._producer.abort_transaction()
        except StreamError as error:
            if transactions.is_open:
                transactions.note_failure(error)  # whoever meets it next aborts it
