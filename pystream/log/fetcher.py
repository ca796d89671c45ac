"""Reads assigned partitions in append order, and waits for more. One thread at a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pystream import config
from pystream._native import BatchQueue, Partition, PartitionPosition, PartitionReader
from pystream._native import Fetcher as NativeFetcher
from pystream.errors import OffsetOutOfRangeError, RequestTimeoutError, StorageError
from pystream.log import fork
from pystream.log.arrivals import Arrivals
from pystream.log.fetch_metrics import FetchMetrics
from pystream.log.record_batch import RecordBatch
from pystream.log.topic import Topic
from pystream.types import SkippedRecords, TopicPartition

if TYPE_CHECKING:
    from pystream._native import IsolationLevel, OnCorruption
    from pystream.log.open_log import OpenLog

__all__ = ["AssignedPartition", "Fetcher"]


class AssignedPartition(PartitionPosition):
    """A partition that a consumer reads, and how far it is.

    Attributes
    ----------
    name : TopicPartition
    topic : Topic
    partition : Partition
    position : int
        Offset of the next record to hand out.
    is_paused : bool
    """

    __slots__ = (
        "_isolation_level",
        "_on_corruption",
        "is_paused",
        "name",
        "partition",
        "reader",
        "skipped_to",
        "topic",
    )

    def __init__(
        self,
        topic: Topic,
        number: int,
        position: int,
        *,
        on_corruption: OnCorruption = "raise",
        isolation_level: IsolationLevel = "read_committed",
    ) -> None:
        super().__init__(position)
        self.name = TopicPartition(topic.name, number)
        self.topic = topic
        self.partition = partition = topic.native_partition(number)
        self._on_corruption = on_corruption
        self._isolation_level = isolation_level
        # May be ahead of `position`, by batches that were fetched and not handed out yet.
        self.reader: PartitionReader = partition.reader(
            position, on_corruption=on_corruption, isolation_level=isolation_level
        )
        self.skipped_to = 0  # damage below was counted
        self.is_paused = False

    def renew_reader(self, offset: int) -> None:
        """Read from an offset within the log; OffsetOutOfRangeError names both ends.

        The one before stays with the fetch that may be using it.
        """
        self.reader = self.partition.reader(
            offset, on_corruption=self._on_corruption, isolation_level=self._isolation_level
        )
        self.skipped_to = 0


class Fetcher:
    """Hands out stored batches of several partitions, those appended first at the front.

    Parameters
    ----------
    log : Log
        Of all partitions.
    on_corruption : {"raise", "skip"}
        Of all partitions.
    """

    def __init__(self, log: OpenLog, *, on_corruption: OnCorruption = "raise") -> None:
        self._log = log
        self._arrivals = Arrivals(log.native)
        # Transactions that were in the way at the last look, and when they are looked at again.
        self._settled: dict[AssignedPartition, int] = {}
        self._settle_at = 0.0
        self._is_skipping = on_corruption == "skip"
        # Reading a batch ahead costs next to nothing, unless it is verified for that.
        self._fetch_batches = 1 if self._is_skipping else config.FETCH_BATCHES
        # What was fetched and not handed out.
        self.queue: BatchQueue[AssignedPartition, RecordBatch] = BatchQueue(RecordBatch)
        self.metrics = FetchMetrics(self.queue)
        self._is_closed = False
        self._assigned: list[AssignedPartition] = []
        self._active: list[AssignedPartition] = []  # not paused; as `_native` numbers them
        self._native: NativeFetcher | None = None  # None: to be made anew, from the positions on
        self._epoch = 0  # of `_native`: when the queue has another, it is of no use

    def assign(self, assigned: list[AssignedPartition]) -> None:
        """Replace the partitions that are read."""
        self._assigned = assigned
        self.forget_ready()
        self.interrupt()

    def forget_ready(self) -> None:
        """Look at all partitions again, after one was moved, paused or resumed."""
        self.queue.clear()

    def seek(self, assigned: AssignedPartition, offset: int) -> None:
        """Move a partition to an offset within the log; OffsetOutOfRangeError names both ends."""
        assigned.renew_reader(offset)
        self.queue.move(assigned, offset)

    def seek_to_start(self, assigned: AssignedPartition) -> None:
        """Move a partition to the log start offset, while that may be moving itself."""
        while True:
            start = assigned.partition.ends().log_start_offset
            try:
                return self.seek(assigned, start)
            except OffsetOutOfRangeError:
                if assigned.partition.ends().log_start_offset == start:
                    raise

    def next(self, max_records: int | None) -> tuple[AssignedPartition, RecordBatch] | None:
        """Return the next batch that is there, from the position on; None when there is none.

        The partition's position moves past it.

        Raises
        ------
        CorruptRecordError
            If the next records of a partition are damaged; nothing moves, and the error comes
            again until the partition's position is moved.
        """
        found = self.queue.take(max_records)
        while found is None and self._fetch():
            found = self.queue.take(max_records)
        return found

    def wait(self, deadline: float | None) -> bool:
        """Wait until there may be more to hand out; False after the deadline.

        Parameters
        ----------
        deadline : float or None
            In seconds of ``time.monotonic()``; None waits for ever. Ctrl-C ends the wait.
        """
        return self._arrivals.wait(self._awaited, deadline)

    async def wait_in_loop(self, deadline: float | None) -> bool:
        """Do what :meth:`wait` does without blocking the running event loop."""
        return await self._arrivals.wait_in_loop(self._awaited, deadline)

    @property
    def is_held_up(self) -> bool:
        """Whether a partition has records of a transaction that is not decided yet."""
        return bool(self._held_up())

    def settle(self) -> bool:
        """Do what can be done about transactions in the way; return whether there may be more."""
        if self._log.is_read_only:
            return False
        held_up = self._held_up()
        now = time.monotonic()
        if not held_up or (now < self._settle_at and held_up.items() <= self._settled.items()):
            return False
        self._settled = held_up
        self._settle_at = now + config.TRANSACTION_LOOK_SECONDS / 2
        with fork.importing:
            from pystream.log.transactions.rescue import settle  # noqa: PLC0415  few logs need it

        try:
            return settle(self._log, [assigned.partition for assigned in held_up])
        except (StorageError, RequestTimeoutError):
            return False  # who reads need not be able to write: it waits, and tries again

    def _held_up(self) -> dict[AssignedPartition, int]:
        """Return the transactions that partitions wait for."""
        found = {}
        for assigned in self._assigned:
            undecided = None if assigned.is_paused else assigned.reader.undecided
            if undecided is not None:
                found[assigned] = undecided.transaction_id
        return found

    def interrupt(self) -> None:
        """End a wait that is going on, in any thread or task: something has changed."""
        self._arrivals.interrupt()

    def forget_in_child(self) -> None:
        """In a forked child: the parent goes on reading and waiting, the child cannot."""
        self.forget_ready()
        self._arrivals.forget_in_child()

    def close(self) -> None:
        """Let nobody wait any more, now and later."""
        self._is_closed = True
        self.assign([])

    def _awaited(self) -> tuple[list[Partition], list[int]] | None:
        if self._is_closed:
            return None
        active = [assigned for assigned in self._assigned if not assigned.is_paused]
        return [a.partition for a in active], [_awaited_offset(a) for a in active]

    def _fetch(self) -> bool:
        """Read ahead; False when there is nothing."""
        epoch = self.queue.epoch
        # Made anew when an error or Ctrl-C cuts this short, or another thread moves something.
        native, self._native = self._native, None
        if native is None or self._epoch != epoch:
            native = self._begin()
        active = self._active
        try:
            fetched = native.fetch(self._fetch_batches)
        finally:
            if self._is_skipping:
                self._count_skipped()
        count = len(fetched[0])
        if count > 0:
            self.queue.put(epoch, active, fetched)
        else:
            # Readers may have stepped over offsets without a record.
            self.queue.step_over(epoch, active, [each.reader.position for each in active])
        self._native, self._epoch = native, epoch
        return count > 0

    def _begin(self) -> NativeFetcher:
        self._active = [assigned for assigned in self._assigned if not assigned.is_paused]
        readers = []
        for assigned in self._active:
            reader = assigned.reader
            if reader.position != assigned.position:
                reader.seek(assigned.position)
            readers.append(reader)
        return NativeFetcher(readers)

    def _count_skipped(self) -> None:
        for assigned in self._active:
            for skipped in assigned.reader.take_skipped():
                if skipped.offset < assigned.skipped_to:
                    continue  # read ahead before
                assigned.skipped_to = skipped.next_offset
                self.metrics.skip(
                    SkippedRecords(
                        *assigned.name,
                        skipped.offset,
                        skipped.next_offset,
                        skipped.position,
                        skipped.path,
                    )
                )


def _awaited_offset(assigned: AssignedPartition) -> int:
    """Return the offset that something new has: that a transaction is decided, say."""
    undecided = assigned.reader.undecided
    return assigned.position if undecided is None else undecided.end_offset
