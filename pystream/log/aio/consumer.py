"""The consumer for event loops: the methods of Consumer as coroutines."""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypedDict, Unpack

from pystream import config
from pystream.errors import ClientError
from pystream.log.aio.worker import Worker
from pystream.log.consumer import Consumer
from pystream.log.consumer_iterators import Batches, Records, next_in_loop
from pystream.types import OffsetAndTimestamp, SkippedRecords, TopicPartition

if TYPE_CHECKING:
    from pystream._native import Record
    from pystream.log.groups.consumer_group import Callback
    from pystream.log.log import Log
    from pystream.log.times import Time
    from pystream.log.transactions.offsets import GroupMetadata

    AsyncCallback = Callable[["AsyncConsumer", list[TopicPartition]], object]

__all__ = ["AsyncConsumer", "ConsumerSettings"]


class ConsumerSettings(TypedDict, total=False):
    """The settings of :class:`Consumer`, by name."""

    group_id: str | None
    group_instance_id: str | None
    partition_assignment_strategy: str
    enable_auto_commit: bool
    auto_commit_interval: str | timedelta
    session_timeout: str | timedelta
    max_poll_interval: str | timedelta | None
    auto_offset_reset: str
    timeout: str | timedelta | None
    max_poll_records: int
    on_corruption: str
    isolation_level: str


class AsyncConsumer:
    """Reads topics in an event loop, which it never blocks; made by :meth:`Log.async_consumer`.

    Parameters
    ----------
    log : Log
    *topics : str
        Subscribed to by :meth:`start`.
    **settings
        Those of :class:`Consumer`.

    Notes
    -----
    ``async with`` starts and closes it; else :meth:`start` and :meth:`close` do. Methods have the
    names and meanings of Consumer's; those that may wait are coroutines. One task waits for
    records at a time; other tasks of its loop may call the other methods meanwhile. What is done
    for the group, and everything else that may wait for the disk, is done in a thread of the
    consumer's own, and callbacks are called in the loop.

    Examples
    --------
    >>> import asyncio, tempfile, pystream as ps
    >>> async def main(log):
    ...     async with log.async_consumer("lines", auto_offset_reset="earliest") as consumer:
    ...         async for record in consumer:
    ...             return record.value
    >>> with tempfile.TemporaryDirectory() as directory, ps.open(directory) as log:
    ...     topic = log.create_topic("lines")
    ...     with log.producer() as producer:
    ...         delivery = producer.send("lines", "one")
    ...     asyncio.run(main(log))
    b'one'
    """

    def __init__(self, log: Log, *topics: str, **settings: Unpack[ConsumerSettings]) -> None:
        self._log = log
        self._topics = topics
        self._settings = settings
        self._consumer: Consumer | None = None
        self._worker = Worker("pystream-async-consumer")

    async def start(self) -> None:
        """Make the consumer and subscribe; nothing happens the second time.

        Raises
        ------
        StreamError
            As :meth:`Log.consumer`.
        """

        def start() -> None:
            if self._consumer is None:
                self._consumer = self._log.consumer(*self._topics, **self._settings)

        await self._worker.run(start)

    # -- what is read --------------------------------------------------------------------------

    async def subscribe(
        self,
        topics: str | Iterable[str] = (),
        *,
        pattern: str | re.Pattern[str] | None = None,
        on_assign: AsyncCallback | None = None,
        on_revoke: AsyncCallback | None = None,
        on_lost: AsyncCallback | None = None,
    ) -> None:
        """Read these topics, and no others: see :meth:`Consumer.subscribe`.

        Parameters
        ----------
        topics : str or iterable of str
        pattern : str or re.Pattern, optional
        on_assign, on_revoke, on_lost : callable, optional
            Functions or coroutine functions, called in the loop with this consumer and a list of
            TopicPartition. A partition is given up when `on_revoke` has returned. Other tasks'
            calls wait until then: do not wait for them.
        """
        await self._worker.run(
            partial(
                self._started().subscribe,
                topics,
                pattern=pattern,
                on_assign=self._called_in_loop(on_assign),
                on_revoke=self._called_in_loop(on_revoke),
                on_lost=self._called_in_loop(on_lost),
            )
        )

    async def unsubscribe(self) -> None:
        """Read nothing any more; a member leaves its group."""
        await self._worker.run(self._started().unsubscribe)

    async def assign(self, partitions: Iterable[TopicPartition | tuple[str, int]]) -> None:
        """Read exactly these partitions: see :meth:`Consumer.assign`."""
        await self._worker.run(partial(self._started().assign, partitions))

    def assignment(self) -> set[TopicPartition]:
        """Return the partitions that are read."""
        return self._started().assignment()

    def subscription(self) -> set[str]:
        """Return the topics subscribed to; empty after :meth:`assign`."""
        return self._started().subscription()

    # -- reading -------------------------------------------------------------------------------

    def batches(
        self, timeout: str | timedelta | None = None, *, max_records: int | None = None
    ) -> Batches:
        """Iterate over batches with ``async for``: see :meth:`Consumer.batches`."""
        consumer = self._started()
        most = None if max_records is None else consumer._most(max_records)
        return Batches(consumer, most, consumer._wait_us(timeout), self._worker)

    def __aiter__(self) -> Records:
        """Iterate over single records; ends when nothing came for the consumer's `timeout`."""
        return Records(self._started(), self._worker)

    async def poll(
        self, timeout: str | timedelta = "0s", *, max_records: int | None = None
    ) -> dict[TopicPartition, list[Record]]:
        """Return the records that are there, waiting for the first: see :meth:`Consumer.poll`.

        Cancelling it moves no position.
        """
        consumer = self._started()
        most = consumer._most(max_records)
        wait_us = config.parse_timeout_us(timeout)
        consumer._check_usable()
        consumer._leave_record()
        return consumer._polled(await next_in_loop(consumer, most, wait_us, self._worker), most)

    def metrics(self) -> dict[str, dict[str, int]]:
        """Return counters by group and name, as Kafka's clients have them."""
        return self._started().metrics()

    @property
    def timeout(self) -> timedelta | None:
        """How long iteration waits for the next record; it may be set between two of them."""
        return self._started().timeout

    @timeout.setter
    def timeout(self, value: str | timedelta | None) -> None:
        self._started().timeout = value

    @property
    def skipped_records(self) -> list[SkippedRecords]:
        """Where damage was stepped over with ``on_corruption="skip"``: the newest 1000 places."""
        return self._started().skipped_records

    @property
    def member_id(self) -> str | None:
        """What the group calls the consumer, as :meth:`Log.describe_group` does; None outside."""
        return self._started().member_id

    # -- partitions that rest ------------------------------------------------------------------

    def pause(self, *partitions: TopicPartition) -> None:
        """Read nothing from these partitions until :meth:`resume`."""
        self._started().pause(*partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        """Go on with these partitions."""
        self._started().resume(*partitions)

    def paused(self) -> set[TopicPartition]:
        """Return the partitions that are paused."""
        return self._started().paused()

    # -- positions -----------------------------------------------------------------------------

    def position(self, partition: TopicPartition) -> int:
        """Return the offset of the next record of a partition."""
        return self._started().position(partition)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Go to an offset of a partition: see :meth:`Consumer.seek`."""
        self._started().seek(partition, offset)

    def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        """Go to the first record of these partitions; of all when none is given."""
        self._started().seek_to_beginning(*partitions)

    def seek_to_end(self, *partitions: TopicPartition) -> None:
        """Go behind the last record of these partitions; of all when none is given."""
        self._started().seek_to_end(*partitions)

    async def beginning_offsets(
        self, partitions: Iterable[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """Return the log start offset of partitions, assigned or not."""
        return await self._worker.run(partial(self._started().beginning_offsets, partitions))

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the log end offset of partitions, assigned or not."""
        return await self._worker.run(partial(self._started().end_offsets, partitions))

    async def seek_to_timestamp(
        self, time: Time, *partitions: TopicPartition, column: str | None = None
    ) -> None:
        """Go to the first record at or after a time: see :meth:`Consumer.seek_to_timestamp`."""
        seek = self._started().seek_to_timestamp
        await self._worker.run(partial(seek, time, *partitions, column=column))

    async def offsets_for_times(
        self, times: Mapping[TopicPartition, Time], *, column: str | None = None
    ) -> dict[TopicPartition, OffsetAndTimestamp | None]:
        """Return the first record at or after a time: see :meth:`Consumer.offsets_for_times`."""
        return await self._worker.run(
            partial(self._started().offsets_for_times, times, column=column)
        )

    # -- committed offsets ---------------------------------------------------------------------

    async def commit(self, offsets: Mapping[TopicPartition, int] | None = None) -> None:
        """Store offsets of the group, all or none: see :meth:`Consumer.commit`."""
        await self._worker.run(partial(self._started().commit, offsets))

    async def consumer_group_metadata(self) -> GroupMetadata:
        """Return who this is, for :meth:`AsyncProducer.send_offsets_to_transaction`."""
        return await self._worker.run(self._started().consumer_group_metadata)

    async def committed(self, partition: TopicPartition) -> int | None:
        """Return the offset that the group committed for a partition, or None."""
        return await self._worker.run(partial(self._started().committed, partition))

    # -- life ----------------------------------------------------------------------------------

    async def close(self) -> None:
        """Leave the group, with the positions committed: see :meth:`Consumer.close`."""
        await self._close(is_processed=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close(is_processed=error is None)

    def __repr__(self) -> str:
        inner = "not started" if self._consumer is None else repr(self._consumer)[1:-1]
        return f"<AsyncConsumer: {inner}>"

    # -- helpers -------------------------------------------------------------------------------

    async def _close(self, *, is_processed: bool) -> None:
        if self._consumer is None:
            return
        try:
            await self._worker.end(partial(self._consumer._close, is_processed=is_processed))
        finally:
            self._consumer._fetcher.interrupt()  # whoever waits for records, learns of it
            self._worker.close()

    def _called_in_loop(self, callback: AsyncCallback | None) -> Callback | None:
        if callback is None:
            return None
        myself = weakref.ref(self)  # a consumer that is dropped leaves its group
        worker = self._worker

        def call(_: Consumer, partitions: list[TopicPartition]) -> object:
            return worker.call_back(callback, myself(), partitions)

        return call

    def _started(self) -> Consumer:
        if self._consumer is None:
            raise ClientError(
                "the consumer was not started. Use it in an async with statement, or await its "
                "start() first."
            )
        return self._consumer
