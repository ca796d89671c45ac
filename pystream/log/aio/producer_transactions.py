"""The transactions of a producer for event loops. Part of the asynchronous producer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pystream.errors import ClientError
from pystream.log.aio.worker import Worker

if TYPE_CHECKING:
    from pystream.log.producer import Producer
    from pystream.log.producer_transactions import TransactionBlock
    from pystream.log.transactions.offsets import GroupMetadata
    from pystream.types import TopicPartition

__all__ = ["AsyncProducerTransactions", "AsyncTransactionBlock"]


class AsyncProducerTransactions:
    """The part of :class:`AsyncProducer` that begins, commits and aborts transactions.

    What is sent while one is being ended waits for its turn.
    """

    def __init__(self) -> None:
        self._producer: Producer | None = None
        self._worker = Worker("pystream-async-producer")

    async def init_transactions(self) -> None:
        """Do nothing that was not done: see :meth:`Producer.init_transactions`."""
        await self._worker.run(self._started().init_transactions)

    async def begin_transaction(self) -> None:
        """Begin a transaction: see :meth:`Producer.begin_transaction`."""
        await self._worker.run(self._started().begin_transaction)

    async def send_offsets_to_transaction(
        self,
        offsets: Mapping[TopicPartition, int] | Mapping[tuple[str, int], int],
        group: str | GroupMetadata,
    ) -> None:
        """Commit offsets with it: see :meth:`Producer.send_offsets_to_transaction`."""
        send = self._started().send_offsets_to_transaction
        await self._worker.run(partial(send, offsets, group))

    async def commit_transaction(self, timeout: str | timedelta | None = None) -> None:
        """Commit the transaction: see :meth:`Producer.commit_transaction`.

        Cancelled when it has begun, the transaction may be committed all the same.
        """
        await self._worker.run(partial(self._started().commit_transaction, timeout))

    async def abort_transaction(self, timeout: str | timedelta | None = None) -> None:
        """Abort the transaction: see :meth:`Producer.abort_transaction`."""
        await self._worker.run(partial(self._started().abort_transaction, timeout))

    def transaction(self) -> AsyncTransactionBlock:
        """Return an ``async with`` block: committed at its end, aborted by an exception.

        Cancelled when it has come to its end, it is ended all the same.

        Examples
        --------
        >>> import asyncio, tempfile, pystream as ps
        >>> async def main(log):
        ...     async with log.async_producer(transactional_id="payer") as producer:
        ...         async with producer.transaction():
        ...             await producer.send("payments", {"amount": 2})
        >>> with tempfile.TemporaryDirectory() as directory, ps.open(directory) as log:
        ...     topic = log.create_topic("payments", {"amount": "int64"})
        ...     asyncio.run(main(log))
        ...     topic.ends()  # the record, and a marker
        [PartitionEnds(start=0, end=2)]
        """
        return AsyncTransactionBlock(self._started().transaction(), self._worker)

    def _started(self) -> Producer:
        if self._producer is None:
            raise ClientError(
                "the producer was not started. Use it in an async with statement, or await its "
                "start() first."
            )
        return self._producer


class AsyncTransactionBlock:
    """A transaction as an ``async with`` block; made by :meth:`AsyncProducer.transaction`."""

    def __init__(self, block: TransactionBlock, worker: Worker) -> None:
        self._block = block
        self._worker = worker
        self._has_begun = False

    async def __aenter__(self) -> Self:
        try:
            await self._worker.run(self._begin)
        except asyncio.CancelledError as error:
            if self._has_begun:  # and nobody would end it
                await self.__aexit__(type(error), error, None)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._worker.end(partial(self._block.__exit__, kind, error, trace))

    def _begin(self) -> None:
        self._block.__enter__()
        self._has_begun = True
