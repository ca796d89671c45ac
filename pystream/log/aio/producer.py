"""The producer for event loops: the methods of Producer as coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from pystream import _native
from pystream.log.aio.producer_transactions import AsyncProducerTransactions
from pystream.types import BatchMetadata

if TYPE_CHECKING:
    from pystream.log.log import Log

__all__ = ["AsyncProducer", "ProducerSettings"]


class ProducerSettings(TypedDict, total=False):
    """The settings of :class:`Producer`, by name."""

    producer_name: str | None
    transactional_id: str | None
    transaction_timeout: str | timedelta
    acks: str | int
    batch_size: int | str
    linger: str | timedelta
    compression: str | None
    buffer_memory: int | str
    max_block: str | timedelta
    max_record_bytes: int | str


class AsyncProducer(AsyncProducerTransactions):
    """Sends records from an event loop, which it never blocks; made by :meth:`Log.async_producer`.

    Parameters
    ----------
    log : Log
    **settings
        Those of :class:`Producer`.

    Notes
    -----
    ``async with`` starts and closes it; else :meth:`start` and :meth:`close` do. Methods have the
    names and meanings of Producer's; those that may wait are coroutines. Any task of one loop.
    What may wait for the disk is done in a thread of the producer's own, in the order of the
    calls; a call that is cancelled after it began is done all the same.

    Examples
    --------
    >>> import asyncio, tempfile, pystream as ps
    >>> async def main(log):
    ...     async with log.async_producer() as producer:
    ...         delivery = await producer.send("lines", "one")  # in the buffer
    ...         return await delivery  # in the log
    >>> with tempfile.TemporaryDirectory() as directory, ps.open(directory) as log:
    ...     topic = log.create_topic("lines")
    ...     asyncio.run(main(log)).offset
    0
    """

    def __init__(self, log: Log, **settings: Unpack[ProducerSettings]) -> None:
        super().__init__()
        self._log = log
        self._settings = settings
        self._known: set[str] = set()  # topics whose first record was sent: they were looked up

    async def start(self) -> None:
        """Make the producer; nothing happens the second time.

        Raises
        ------
        ConfigError
            If a setting is wrong.
        """

        def start() -> None:
            if self._producer is None:
                self._producer = self._log.producer(**self._settings)

        await self._worker.run(start)

    async def send(
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
        """Put one record into the buffer; it is appended in the background.

        Returns
        -------
        Delivery
            ``await`` it for the record's metadata, once it is appended, or the error.

        Raises
        ------
        StreamError
            As :meth:`Producer.send`.

        Notes
        -----
        While ``buffer_memory`` is full this waits, at most ``max_block``, and the loop goes on.
        Cancelled before it began to send, nothing is sent.
        """
        producer = self._started()
        send = partial(
            producer.send,
            topic,
            value,
            key=key,
            partition=partition,
            timestamp=timestamp,
            headers=headers,
            sequence_id=sequence_id,
        )
        if topic in self._known and not producer.is_full and not self._worker.is_busy:
            return send()
        delivery = await self._worker.run(send)
        self._known.add(topic)
        return delivery

    async def send_batch(
        self,
        topic: str,
        table: Any,
        *,
        partition: int | None = None,
        timestamp: datetime | np.datetime64 | int | npt.NDArray[Any] | None = None,
        sequence_id: int | npt.NDArray[np.integer[Any]] | None = None,
    ) -> list[BatchMetadata]:
        """Append a whole table, after everything sent before it: see :meth:`Producer.send_batch`.

        The table must not be changed before this returns, also when it is cancelled.
        """
        return await self._worker.run(
            partial(
                self._started().send_batch,
                topic,
                table,
                partition=partition,
                timestamp=timestamp,
                sequence_id=sequence_id,
            )
        )

    @property
    def producer_name(self) -> str | None:
        """The producer's name, or None."""
        return self._started().producer_name

    async def last_sequence_id(self, topic: str) -> int:
        """Return up to which all is stored: see :meth:`Producer.last_sequence_id`."""
        return await self._worker.run(partial(self._started().last_sequence_id, topic))

    async def flush(self, timeout: str | timedelta | None = None) -> None:
        """Wait until everything sent before the call is appended: see :meth:`Producer.flush`."""
        producer = self._started()
        async with self._worker.turn():
            pass  # what was sent before this and has to wait
        # In another thread, so that others can go on sending.
        await asyncio.to_thread(producer.flush, timeout)

    async def close(self) -> None:
        """Flush and end; nothing happens the second time.

        Raises
        ------
        StreamError
            As :meth:`Producer.close`; the producer is closed all the same.
        """
        if self._producer is None:
            return
        try:
            await self._worker.end(self._producer.close)
        finally:
            self._worker.close()

    @property
    def is_full(self) -> bool:
        """Whether :meth:`send` would wait, because ``buffer_memory`` is in use."""
        return self._started().is_full

    @property
    def is_closed(self) -> bool:
        """Whether :meth:`close` was called, or the producer belongs to a parent process."""
        return self._producer is not None and self._producer.is_closed

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        inner = "not started" if self._producer is None else repr(self._producer)[1:-1]
        return f"<AsyncProducer: {inner}>"
