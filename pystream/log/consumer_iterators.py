"""What `for` and `async for` walk over: batches or records. Part of the consumer."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Self, final

from pystream._native import BatchIterator, RecordIterator, RecordPlace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pystream._native import Record
    from pystream.log.aio.worker import Worker
    from pystream.log.consumer_reading import ConsumerReading
    from pystream.log.fetcher import AssignedPartition
    from pystream.log.record_batch import RecordBatch

__all__ = ["Batches", "Records", "next_in_loop"]


@final
class Batches:
    """Walks over batches, in a thread or in an event loop; see :meth:`Consumer.batches`.

    Between two batches the event loop has a turn, so that a long history does not stop it.
    Cancelling a task that waits moves nothing; the iterator can go on afterwards.
    """

    def __init__(
        self,
        consumer: ConsumerReading,
        max_records: int | None,
        wait_us: int | None,
        worker: Worker | None = None,
    ) -> None:
        self._consumer = consumer
        self._worker = worker
        self._max_records = max_records
        self._wait_us = wait_us
        self._has_begun = False
        # Not a method of this: a cycle would keep a consumer that is dropped.
        self._iterator: BatchIterator[RecordBatch] = BatchIterator(
            consumer._fetcher.queue, max_records, partial(_wait, consumer, max_records, wait_us)
        )

    def __iter__(self) -> Iterator[RecordBatch]:
        return self._iterator

    def __next__(self) -> RecordBatch:
        return next(self._iterator)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> RecordBatch:
        if self._has_begun:
            await asyncio.sleep(0)
        self._has_begun = True
        self._consumer._leave_record()
        found = await next_in_loop(self._consumer, self._max_records, self._wait_us, self._worker)
        if found is None:
            raise StopAsyncIteration
        return found[1]


@final
class Records:
    """Iterates over records in an event loop; see :meth:`Consumer.__aiter__`."""

    def __init__(self, consumer: ConsumerReading, worker: Worker | None = None) -> None:
        consumer._check_usable()
        self._consumer = consumer
        self._worker = worker
        self._place = RecordPlace()
        self._records = RecordIterator(self._place, _no_rows)
        self._begin()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Record:
        consumer = self._consumer
        while True:
            try:
                return next(self._records)
            except StopIteration:
                pass
            await asyncio.sleep(0)
            self._begin()
            found = await next_in_loop(
                consumer, consumer._rows_most(), consumer._timeout_us, self._worker
            )
            if found is None:
                raise StopAsyncIteration
            consumer._reading, batch = found
            self._place.enter(consumer._rows_of(consumer._reading, batch))

    def _begin(self) -> None:
        self._consumer._leave_record()
        self._consumer._hold(self._place)


def _no_rows() -> None:
    """Stop where the batch at hand ends: the next one is awaited."""


def _wait(
    consumer: ConsumerReading, max_records: int | None, wait_us: int | None
) -> RecordBatch | None:
    consumer._leave_record()
    found = consumer._next(max_records, wait_us)
    return None if found is None else found[1]


async def next_in_loop(
    consumer: ConsumerReading,
    max_records: int | None,
    wait_us: int | None,
    worker: Worker | None,
) -> tuple[AssignedPartition, RecordBatch] | None:
    """Do what ``consumer._next`` does without blocking the running event loop.

    Parameters
    ----------
    worker : Worker or None
        Looks after the group, which may wait for the disk; None: that is done in the loop.
    """
    deadline = None if wait_us is None else time.monotonic() + wait_us / 1e6
    while True:
        if worker is None:
            found = _look_and_take(consumer, max_records)
        else:
            async with worker.turn():
                if consumer._is_group_due():
                    await worker.make(consumer._look_after_group)
                consumer._check_usable()
                found = consumer._take(max_records)
        if found is not None or not await _wait_in_loop(consumer, deadline, worker):
            return found


def _look_and_take(
    consumer: ConsumerReading, max_records: int | None
) -> tuple[AssignedPartition, RecordBatch] | None:
    consumer._look_after_group()
    consumer._check_usable()  # a callback may have closed it
    return consumer._take(max_records)


async def _wait_in_loop(
    consumer: ConsumerReading, deadline: float | None, worker: Worker | None
) -> bool:
    """Wait as ``consumer._wait`` does; True also when there is something to do for the group."""
    while not await _settle_in_loop(consumer, worker):
        if await consumer._fetcher.wait_in_loop(consumer._until(deadline)):
            return True
        consumer._check_usable()
        if consumer._is_group_due():
            return True
        if deadline is not None and time.monotonic() >= deadline:
            return False
    return True


async def _settle_in_loop(consumer: ConsumerReading, worker: Worker | None) -> bool:
    fetcher = consumer._fetcher
    if worker is None or not fetcher.is_held_up:
        return fetcher.settle()
    return await worker.run(fetcher.settle)
