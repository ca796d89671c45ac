"""The producer: sends records one by one, in whole tables and in transactions."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from pystream import _native, config
from pystream.errors import BufferFullError, ClosedError, ConfigError
from pystream.log import fork, topic_description
from pystream.log.living import Living
from pystream.log.producer_name import ProducerName
from pystream.log.producer_tables import ProducerTables
from pystream.log.producer_topics import ProducerTopics
from pystream.log.sender import Sender

if TYPE_CHECKING:
    from pystream._native import TopicEncoder
    from pystream.log.log import Log

__all__ = ["Producer"]

_ACKS: dict[object, _native.Acks] = {
    "published": "published",
    "interval": "interval",
    "durable": "durable",
    0: "published",
    1: "interval",
    "all": "durable",
    -1: "durable",
}


class Producer(ProducerTables):
    """Sends records to the topics of a log; made by :meth:`Log.producer`.

    Parameters
    ----------
    log : Log
    producer_name : str, optional
        Of 1 to 249 characters. A producer with a name can be made again after a crash, goes on
        where the one before stopped, and repeats nothing: see Notes.
    transactional_id : str, optional
        Of 1 to 249 characters. Makes it a transactional producer, whose records count when the
        transaction that they were sent in is committed: all of them, or none. Instead of a
        `producer_name`; :doc:`docs/transactions.md` explains.
    transaction_timeout : str or timedelta, default "60s"
        A transaction that is open for longer may be aborted by whoever waits for it. One whose
        producer has died is aborted at once.
    acks : {"interval", "published", "durable", 0, 1, "all", -1}, default "interval"
        What an acknowledged record survives. ``"published"`` (Kafka's 0): the death of any
        process. ``"interval"`` (1): also power loss, but for what was appended since the last
        sync, at most 50 ms. ``"durable"`` ("all", -1): also power loss, without exception; batches
        that are appended at the same time, also by other threads and processes, share a sync.
    batch_size : int or str, default 1 MiB
        A partition's batch is appended when it has this size.
    linger : str or timedelta, default "5ms"
        A batch is appended at the latest this long after its first record. With ``"0s"`` a record
        that comes alone is appended by ``send`` itself, except in an event loop, at
        ``acks="durable"``, or with a `producer_name`.
    compression : {"none", "lz4"}, optional
        Default: the topic's.
    buffer_memory : int or str, default 64 MiB
        Records that are not appended yet; when it is full, ``send`` waits.
    max_block : str or timedelta, default "60s"
        How long ``send`` waits for it.
    max_record_bytes : int or str, default 16 MiB
        A larger record is refused.

    Notes
    -----
    Any thread. ``send`` copies the record and returns; a background thread appends batches. Order
    within a partition is the order of the calls. Nothing is lost silently: an error is in the
    delivery of each record concerned, and the first one is raised by ``flush`` and ``close``; a
    program that ends without ``close`` flushes. What was sent by a producer that is dropped is
    appended, too, and an error is only in its deliveries then. A forked child cannot use its
    parent's producer.

    Each record of a producer with a name has a sequence id, which rises over the topic: the one
    given to ``send``, or the next. :meth:`last_sequence_id` says up to which all are stored, so
    that a program that crashed sends its input again from there. What is sent again and was stored
    is not stored twice: its metadata say where it is, and ``is_duplicate``. The same id must mean
    the same record, to the same partition. A producer that takes a name fences the one that had it
    before (FencedError); one whose record cannot be appended appends no later one to that topic.

    Examples
    --------
    >>> import tempfile, pystream as ps
    >>> with tempfile.TemporaryDirectory() as directory, ps.open(directory) as log:
    ...     topic = log.create_topic("lines")
    ...     with log.producer() as producer:
    ...         for line in ("one", "two"):
    ...             delivery = producer.send("lines", line, key="file-1")
    ...         delivery.result()
    RecordMetadata(topic='lines', partition=0, offset=1, timestamp=..., is_duplicate=False)
    """

    def __init__(
        self,
        log: Log,
        *,
        producer_name: str | None = None,
        transactional_id: str | None = None,
        transaction_timeout: str | timedelta = config.TRANSACTION_TIMEOUT,
        acks: str | int = "interval",
        batch_size: int | str = config.BATCH_SIZE,
        linger: str | timedelta = config.LINGER,
        compression: str | None = None,
        buffer_memory: int | str = config.BUFFER_MEMORY,
        max_block: str | timedelta = config.MAX_BLOCK,
        max_record_bytes: int | str = config.MAX_RECORD_BYTES,
    ) -> None:
        self._log = log
        self._acks = _parse_acks(acks)
        codec = None if compression is None else topic_description.check_compression(compression)
        self._max_block_us = config.parse_duration_us(max_block, name="max_block")
        self._max_record_bytes = config.parse_size(max_record_bytes, name="max_record_bytes")
        self._buffer_memory = config.parse_size(buffer_memory, name="buffer_memory")
        batch_bytes = config.parse_size(batch_size, name="batch_size")
        linger_us = config.parse_duration_us(linger, name="linger")
        timeout_us = config.parse_duration_us(transaction_timeout, name="transaction_timeout")
        if producer_name is not None and transactional_id is not None:
            raise ConfigError(
                "a producer has a producer_name or a transactional_id, not both: a transaction is "
                "committed or is to be sent anew, so there is nothing to resume. Pass one of them."
            )
        # Behind every check: it fences the producer that has the name.
        self._name = None if producer_name is None else ProducerName(log.catalog, producer_name)
        self._transactions = None
        self._tables = threading.Lock()
        if transactional_id is not None:
            with fork.importing:
                from pystream.log.transactions.transactions import Transactions  # noqa: PLC0415  few need it

            self._transactions = Transactions(log, transactional_id, timeout_us)
        self._topics = ProducerTopics(
            log,
            self._name,
            codec,
            self._max_record_bytes,
            lambda topics: _native.RecordAccumulator(
                self._make_encoder,
                self._wake,
                self._wait_for_memory,
                topics.is_outdated,
                batch_size=batch_bytes,
                buffer_memory=self._buffer_memory,
                max_record_bytes=self._max_record_bytes,
            ),
            transactions=self._transactions,
        )
        self._accumulator = self._topics.accumulator
        self._sender = Sender(self._accumulator, self._acks, linger_us, self._topics.check)
        if self._transactions is not None:
            self._accumulator.refusal = self._transactions.refusal
            self._sender.on_error = self._fail_transaction
            self._transactions.finish_predecessors()
        elif linger_us == 0 and self._acks != "durable":
            self._accumulator.append_lone_records(
                self._acks, self._topics.check, self._sender.note_error
            )
        # Called millions of times a second: the instance has the compiled method itself.
        self.send = self._accumulator.send  # type: ignore[method-assign]
        fork.on_child(self)
        _living.add(self)

    def send(
        self,
        topic: str,
        value: object = None,
        *,
        key: bytes | str | None = None,
        partition: int | None = None,
        timestamp: datetime | np.datetime64 | int | None = None,
        headers: Sequence[tuple[str, bytes | str | None]] | None = None,
        sequence_id: int | None = None,
    ) -> _native.Delivery:
        """Send one record; it is appended in the background.

        Parameters
        ----------
        topic : str
            Must exist.
        value : mapping, bytes, str or None
            Of a topic with a schema: a value per column; a nullable column may be left out. Else
            the record's value; text is encoded as UTF-8.
        key : bytes or str, optional
            Of a topic without a schema: records with equal keys go to one partition.
        partition : int, optional
            Default: by the key; records without one fill a batch of one partition after another.
        timestamp : datetime, numpy.datetime64 or int, optional
            Of the record; int: microseconds since 1970. Default: now.
        headers : sequence of (str, bytes) tuples, optional
        sequence_id : int, optional
            Only of a producer with a name: larger than the one before, such as the line number or
            the offset in the source. Default: the one before and 1.

        Returns
        -------
        Delivery
            A future; it need not be kept. An error also appears at :meth:`flush`.

        Raises
        ------
        UnknownTopicError
            If the topic or partition does not exist.
        ConfigError
            If ``sequence_id`` does not rise, or the producer has no name.
        SchemaError
            If a column is missing, unknown or of another type. Nothing of the record is kept.
        RecordTooLargeError
            If it is larger than ``max_record_bytes``.
        BufferFullError
            If the buffer stayed full for ``max_block``.
        ClosedError
            After :meth:`close`, or in a forked child.

        Notes
        -----
        Copies the record. Any thread.

        Examples
        --------
        >>> import tempfile, pystream as ps
        >>> with tempfile.TemporaryDirectory() as directory, ps.open(directory) as log:
        ...     topic = log.create_topic("payments", {"user": "string", "amount": "float64"},
        ...                              key="user")
        ...     with log.producer() as producer:
        ...         delivery = producer.send("payments", {"user": "ann", "amount": 9.5})
        ...     delivery.result().offset
        0
        """
        return self._accumulator.send(
            topic,
            value,
            key=key,
            partition=partition,
            timestamp=timestamp,
            headers=headers,
            sequence_id=sequence_id,
        )

    # -- sequences -----------------------------------------------------------------------------

    @property
    def producer_name(self) -> str | None:
        """The producer's name, or None."""
        return None if self._name is None else self._name.name

    def last_sequence_id(self, topic: str) -> int:
        """Return the sequence id up to which all records of this producer are stored.

        Parameters
        ----------
        topic : str
            Must exist.

        Returns
        -------
        int
            -1 when there is none: a program goes on with what follows it.

        Raises
        ------
        ConfigError
            If the producer has no name.
        UnknownTopicError
            If the topic does not exist.
        FencedError
            If a newer producer has taken the name.

        Notes
        -----
        Right after the producer was made: what those of its name before had stored. It may be less
        than that after a crash, never more, and sending records again does no harm. When the
        machine lost its power, records that were not durable are gone, and it says so.

        Examples
        --------
        >>> import tempfile, pystream as ps
        >>> with tempfile.TemporaryDirectory() as directory, ps.open(directory) as log:
        ...     topic = log.create_topic("lines")
        ...     for attempt in ("first", "second"):
        ...         with log.producer(producer_name="loader") as producer:
        ...             for number in range(producer.last_sequence_id("lines") + 1, 3):
        ...                 delivery = producer.send("lines", f"line {number}", sequence_id=number)
        ...     topic.ends()[0].end, log.producer(producer_name="loader").last_sequence_id("lines")
        (3, 2)
        """
        if self._name is None:
            raise ConfigError(
                "last_sequence_id() needs a producer with a name. Make one with "
                "log.producer(producer_name=...)."
            )
        self._check_usable()
        self._topics.forget_changed()
        sequences = self._accumulator.encoder(topic).sequences
        assert sequences is not None  # the producer has a name
        return sequences.complete()

    # -- life ----------------------------------------------------------------------------------

    def flush(self, timeout: str | timedelta | None = None) -> None:
        """Wait until everything sent before the call is appended.

        Parameters
        ----------
        timeout : str or timedelta, optional
            Default: no limit.

        Raises
        ------
        ClientError
            In a delivery callback, which would wait for itself.
        RequestTimeoutError
            If it takes longer; the rest goes on.
        StreamError
            The first error since the last flush; each delivery has its own.
        """
        self._check_usable()
        limit = None if timeout is None else config.parse_duration_us(timeout, name="timeout")
        self._sender.drain(limit)
        self._raise_error()

    def close(self) -> None:
        """Flush, and end the background thread; nothing happens the second time.

        Raises
        ------
        StreamError
            As :meth:`flush`; the producer is closed all the same.
        """
        if self._accumulator.unusable is None:
            self._sender.check_not_inside()
            self._accumulator.unusable = "the producer is closed. Make another with log.producer()."
        elif not self._sender.is_running:
            return
        # Also when Ctrl-C ended an earlier call: the thread may not be done yet.
        if self._transactions is not None:
            self._close_transactions(self._transactions)
            return
        self._sender.stop()
        self._topics.save_positions()
        self._raise_error()

    @property
    def is_closed(self) -> bool:
        """Whether :meth:`close` was called, or the producer belongs to a parent process."""
        return self._accumulator.unusable is not None

    @property
    def is_full(self) -> bool:
        """Whether ``send`` would wait, because ``buffer_memory`` is in use."""
        return self._accumulator.buffered_bytes >= self._buffer_memory

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = ", closed" if self.is_closed else ""
        name = "" if self._name is None else f" {self._name.name!r}"
        return f"<Producer{name} of {self._log.directory!r}, acks={self._acks!r}{state}>"

    def forget_in_child(self) -> None:
        """Say that this producer stays with the parent process."""
        self._accumulator.unusable = (
            f"the producer was made by process {os.getppid()}, and this is its forked child. Make "
            "another with log.producer()."
        )
        self._sender.abandon(ClosedError(self._accumulator.unusable))
        if self._transactions is not None:
            self._transactions.forget()

    # -- called by the accumulator and the sender ------------------------------------------------

    def _make_encoder(self, topic: str) -> TopicEncoder:
        """Look a topic up for its first record."""
        encoder = self._topics.make_encoder(topic)
        # Behind what others registered meanwhile, such as the catalog, and so before it.
        atexit.unregister(_close_all)
        atexit.register(_close_all)
        return encoder

    def _wake(self) -> None:
        self._sender.wake()

    def _wait_for_memory(self) -> None:
        deadline = time.monotonic() + self._max_block_us / 1e6
        while self.is_full and self._accumulator.unusable is None:
            # An open batch may be all that fills the buffer.
            self._accumulator.seal_older_than(0)
            self._sender.wake()
            left = deadline - time.monotonic()
            if left <= 0:
                raise BufferFullError(
                    f"{self._accumulator.buffered_bytes} bytes wait to be appended, and "
                    f"buffer_memory is {self._buffer_memory}: no space within max_block "
                    f"({self._max_block_us / 1e6:g} s). Send less at a time, or raise either.",
                    limit=self._buffer_memory,
                )
            self._sender.wait_for_progress(min(left, config.WAIT_SLICE_US / 1e6))

    # -- helpers -------------------------------------------------------------------------------

    def _check_usable(self) -> None:
        if self._accumulator.unusable is not None:
            raise ClosedError(self._accumulator.unusable)

    def _raise_error(self) -> None:
        error = self._sender.take_error()
        if error is not None:
            raise error


_living: Living[Producer] = Living()


def _close_all() -> None:
    """Flush what the program leaves open at its end."""
    with contextlib.ExitStack() as stack:
        for producer in _living.all():
            stack.callback(producer.close)


def _parse_acks(acks: str | int) -> _native.Acks:
    is_one = isinstance(acks, str | int | np.integer) and not isinstance(acks, bool)
    known = _ACKS.get(acks) if is_one else None
    if known is None:
        raise ConfigError(
            f'acks is {acks!r}. Pass "interval" (1), "published" (0) or "durable" ("all").'
        )
    return known
