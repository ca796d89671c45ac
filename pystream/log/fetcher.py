"""Reads assigned partitions in append order, and waits for more. One thread at a time."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from pystream._native import Log as NativeLog
from pystream._native import LogBatch, Partition, PartitionReader
from pystream.log.arrivals import Arrivals
from pystream.log.fetch_metrics import FetchMetrics
from pystream.log.record_batch import RecordBatch
from pystream.log.topic import Topic
from pystream.types import SkippedRecords, TopicPartition

if TYPE_CHECKING:
    from pystream._native import OnCorruption

__all__ = ["AssignedPartition", "Fetcher"]


class AssignedPartition:
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

    __slots__ = ("is_paused", "name", "partition", "position", "reader", "topic")

    def __init__(
        self, topic: Topic, number: int, position: int, *, on_corruption: OnCorruption = "raise"
    ) -> None:
        self.name = TopicPartition(topic.name, number)
        self.topic = topic
        self.partition = partition = topic.native_partition(number)
        self.position = position
        self.reader: PartitionReader = partition.reader(position, on_corruption=on_corruption)
        self.is_paused = False

    def seek(self, offset: int) -> None:
        """Move to an offset within the log; OffsetOutOfRangeError names both ends."""
        self.reader.seek(offset)
        self.position = offset


class Fetcher:
    """Hands out stored batches of several partitions, those appended first at the front.

    Parameters
    ----------
    log : native Log
        Of all partitions.
    """

    def __init__(self, log: NativeLog) -> None:
        self._arrivals = Arrivals(log)
        self.metrics = FetchMetrics()
        self._is_closed = False
        self._is_moving = False  # between two steps that belong together
        self._assigned: list[AssignedPartition] = []
        # The next batch of each partition that had one, by append sequence. Partitions that had
        # none are not looked at before it is empty: a thousand idle ones cost little per batch.
        self._ready: list[tuple[int, int, LogBatch]] = []
        # Partitions to look at before the next batch is chosen.
        self._unseen: list[int] = []

    def assign(self, assigned: list[AssignedPartition]) -> None:
        """Replace the partitions that are read."""
        self._assigned = assigned
        self.forget_ready()
        self.interrupt()

    def forget_ready(self) -> None:
        """Look at all partitions again, after one was moved, paused or resumed."""
        self._ready.clear()
        self._unseen.clear()

    def next(self, max_records: int | None) -> tuple[AssignedPartition, RecordBatch] | None:
        """Return the next batch that is there, from the position on; None when there is none.

        The partition's position moves past it.

        Raises
        ------
        CorruptRecordError
            If the next records of a partition are damaged; nothing moves, and the error comes
            again until the partition's position is moved.
        """
        if self._is_moving:
            self._go_back()
        self._is_moving = True
        self._look()
        self._is_moving = False
        if not self._ready:
            return None
        _, index, stored = self._ready[0]
        assigned = self._assigned[index]
        begin = max(0, assigned.position - stored.base_offset)
        end = stored.record_count
        is_whole = max_records is None or end - begin <= max_records
        if not is_whole:
            assert max_records is not None
            end = begin + max_records
        batch = RecordBatch.from_stored(stored, begin, end)
        if is_whole:
            self._is_moving = True
            heapq.heappop(self._ready)
            assigned.reader.next()
            assigned.position = stored.next_offset
            self._unseen.append(index)
            self._is_moving = False
        else:
            assigned.position = stored.base_offset + end
        self.metrics.records_consumed += end - begin
        return assigned, batch

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

    def interrupt(self) -> None:
        """End a wait that is going on, in any thread or task: something has changed."""
        self._arrivals.interrupt()

    def forget_in_child(self) -> None:
        """In a forked child: the parent goes on waiting, the child cannot."""
        self._arrivals.forget_in_child()

    def close(self) -> None:
        """Let nobody wait any more, now and later."""
        self._is_closed = True
        self.assign([])

    def _awaited(self) -> tuple[list[Partition], list[int]] | None:
        if self._is_closed:
            return None
        active = [assigned for assigned in self._assigned if not assigned.is_paused]
        return [a.partition for a in active], [a.position for a in active]

    def _go_back(self) -> None:
        """Undo what an error or Ctrl-C cut short: a batch that nobody got is handed out again."""
        for assigned in self._assigned:
            assigned.seek(assigned.position)
        self.forget_ready()
        self._is_moving = False

    def _look(self) -> None:
        if not self._ready and not self._unseen:
            self._unseen.extend(reversed(range(len(self._assigned))))
        while self._unseen:
            self._peek(self._unseen.pop())

    def _peek(self, index: int) -> None:
        assigned = self._assigned[index]
        if assigned.is_paused:
            return
        stored = assigned.reader.peek()
        for skipped in assigned.reader.take_skipped():
            self.metrics.skip(
                SkippedRecords(
                    *assigned.name,
                    skipped.offset,
                    skipped.next_offset,
                    skipped.position,
                    skipped.path,
                )
            )
        if stored is not None:
            heapq.heappush(self._ready, (stored.append_sequence, index, stored))
        else:
            # The reader may have stepped over offsets that hold no record.
            assigned.position = max(assigned.position, assigned.reader.position)
