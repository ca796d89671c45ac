"""Reading assigned partitions: in batches or records, from any position. Part of the consumer."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from pystream import config
from pystream._native import RecordIterator, RecordPlace, RecordRows
from pystream.errors import (
    ClosedError,
    ConfigError,
    CorruptRecordError,
    LogError,
    OffsetOutOfRangeError,
)
from pystream.log.consumer_ends import ConsumerEnds
from pystream.log.consumer_iterators import Batches, Records
from pystream.log.fetcher import AssignedPartition, Fetcher
from pystream.log.named import partition_named
from pystream.log.offsets import check_whole, within_range
from pystream.log.record_rows import record_rows
from pystream.log.times import Time
from pystream.types import SkippedRecords, TopicPartition

if TYPE_CHECKING:
    from pystream._native import OnCorruption, Record
    from pystream.log.groups.consumer_group import ConsumerGroup
    from pystream.log.log import Log
    from pystream.log.record_batch import RecordBatch

__all__ = ["ConsumerReading"]


class ConsumerReading(ConsumerEnds):
    """The part of :class:`Consumer` that reads what is assigned; who assigned it plays no part.

    A member looks after its group whenever more is asked for, so this knows whether there is one.
    """

    def __init__(
        self,
        log: Log,
        *,
        timeout: str | timedelta | None,
        max_poll_records: int,
        on_corruption: str,
        isolation_level: str,
        reset: str,
    ) -> None:
        self._log = log
        self._timeout_us = config.parse_timeout_us(timeout)
        self._max_poll_records = config.check_positive(max_poll_records, name="max_poll_records")
        config.check_choice(on_corruption, ("raise", "skip"), name="on_corruption")
        self._on_corruption: OnCorruption = "skip" if on_corruption == "skip" else "raise"
        self._assigned: dict[TopicPartition, AssignedPartition] = {}
        config.check_choice(isolation_level, config.ISOLATION_LEVELS, name="isolation_level")
        self._is_committed_only = isolation_level == "read_committed"
        self._fetcher = Fetcher(log, on_corruption=self._on_corruption)
        self._records: RecordPlace | None = None  # while records are iterated over
        self._reading: AssignedPartition | None = None  # whose batch that is in
        self._is_closed = self._is_in_child = False
        self._group: ConsumerGroup | None = None
        self._reset = reset  # where to go on when records were deleted before they were read
        self._is_following = False  # subscribed: partitions that are added are read, too

    # -- reading -------------------------------------------------------------------------------

    def batches(
        self, timeout: str | timedelta | None = None, *, max_records: int | None = None
    ) -> Batches:
        """Iterate over batches as they lie in the log, without a copy.

        With ``for`` it waits in this thread; with ``async for`` the event loop goes on.

        Parameters
        ----------
        timeout : str or timedelta, optional
            End when nothing came for so long; ``"0s"`` ends at once when all is read. Default:
            the consumer's `timeout`.
        max_records : int, optional
            Cut larger batches. Default: whole stored batches.

        Returns
        -------
        iterator and asynchronous iterator of RecordBatch
            Records of one partition with consecutive offsets. The position is behind them as
            soon as they are handed out.

        Raises
        ------
        CorruptRecordError
            If the next batch is damaged; the position stays, and ``seek`` to the error's
            `next_offset` goes on behind it.
        """
        most = None if max_records is None else self._most(max_records)
        return Batches(self, most, self._wait_us(timeout))

    def __iter__(self) -> Iterator[Record]:
        """Iterate over single records; ends when nothing came for the consumer's `timeout`.

        The position is behind a record as soon as it is handed out, and one may break off and
        go on, also with :meth:`batches`.
        """
        self._check_usable()
        self._leave_record()
        place = RecordPlace()
        self._hold(place)
        return RecordIterator(place, self._next_rows)

    def __aiter__(self) -> Records:
        """Iterate over single records as ``for`` does, while the event loop goes on."""
        return Records(self)

    def poll(
        self, timeout: str | timedelta = "0s", *, max_records: int | None = None
    ) -> dict[TopicPartition, list[Record]]:
        """Return the records that are there, waiting for the first.

        Parameters
        ----------
        timeout : str or timedelta, default "0s"
            How long to wait for the first record.
        max_records : int, optional
            Default: the consumer's `max_poll_records`.

        Returns
        -------
        dict of TopicPartition to list of Record
            Empty when nothing came.
        """
        most = self._most(max_records)
        self._check_usable()
        self._leave_record()
        return self._polled(self._next(most, config.parse_timeout_us(timeout)), most)

    @property
    def timeout(self) -> timedelta | None:
        """How long iteration waits for the next record; it may be set between two of them."""
        return None if self._timeout_us is None else timedelta(microseconds=self._timeout_us)

    @timeout.setter
    def timeout(self, value: str | timedelta | None) -> None:
        self._timeout_us = config.parse_timeout_us(value)

    def metrics(self) -> dict[str, dict[str, int]]:
        """Return counters by group and name, as Kafka's clients have them."""
        return self._fetcher.metrics.by_group()

    @property
    def skipped_records(self) -> list[SkippedRecords]:
        """Where damage was stepped over with ``on_corruption="skip"``: the newest 1000 places."""
        return list(self._fetcher.metrics.skipped)

    # -- partitions that rest ------------------------------------------------------------------

    def pause(self, *partitions: TopicPartition) -> None:
        """Read nothing from these partitions until :meth:`resume`."""
        self._set_paused(partitions, is_paused=True)

    def resume(self, *partitions: TopicPartition) -> None:
        """Go on with these partitions."""
        self._set_paused(partitions, is_paused=False)

    def paused(self) -> set[TopicPartition]:
        """Return the partitions that are paused."""
        return {name for name, assigned in self._assigned.items() if assigned.is_paused}

    # -- positions -----------------------------------------------------------------------------

    def position(self, partition: TopicPartition) -> int:
        """Return the offset of the next record of a partition."""
        return self._position(self._of(partition))

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Go to an offset of a partition.

        Raises
        ------
        ConfigError
            If the partition is not assigned, or the offset is no whole number.
        OffsetOutOfRangeError
            If it is below the log start offset or above the log end offset; names both.
        """
        self._leave_record()
        assigned = self._of(partition)
        self._fetcher.seek(assigned, within_range(check_whole(assigned.name, offset)))
        self._fetcher.interrupt()

    def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        """Go to the first record of these partitions; of all when none is given."""
        self._leave_record()
        for assigned in self._some(partitions):
            self._fetcher.seek_to_start(assigned)
        self._fetcher.interrupt()

    def seek_to_end(self, *partitions: TopicPartition) -> None:
        """Go to the end of these partitions, as `end_offsets` says; of all when none is given."""
        self._leave_record()
        for assigned in self._some(partitions):
            self._fetcher.seek(assigned, self._ends_of(assigned.partition)[1])
        self._fetcher.interrupt()

    def seek_to_timestamp(
        self, time: Time, *partitions: TopicPartition, column: str | None = None
    ) -> None:
        """Go to the first record at or after a time; to the end where there is none.

        Parameters
        ----------
        time : datetime, numpy.datetime64 or int
        *partitions : TopicPartition
            Default: all that are assigned.
        column : str, optional
            As in :meth:`offsets_for_times`.

        Raises
        ------
        ConfigError
            If the time is none, the column holds no times, or a partition is not assigned.

        Examples
        --------
        >>> import tempfile, pystream as ps
        >>> with tempfile.TemporaryDirectory() as directory, ps.open(directory) as log:
        ...     _ = log.create_topic("clicks", {"page": "string"})
        ...     with log.producer() as producer:
        ...         for n in range(3):
        ...             _ = producer.send("clicks", {"page": f"/{n}"}, timestamp=n * 10**6)
        ...     with log.consumer("clicks", timeout="0s") as consumer:
        ...         consumer.seek_to_timestamp(1_000_000)
        ...         [record["page"] for record in consumer]
        ['/1', '/2']
        """
        self._leave_record()
        targets = []
        for assigned in self._some(partitions):
            found, end = self._find_time(assigned.topic, assigned.name.partition, time, column)
            targets.append((assigned, end if found is None else found.offset))
        for assigned, offset in targets:
            self._fetcher.seek(assigned, offset)
        self._fetcher.interrupt()

    # -- helpers -------------------------------------------------------------------------------

    def _put_assigned(self, assigned: dict[TopicPartition, AssignedPartition]) -> None:
        """Read these from now on; what was read ahead is read again."""
        self._assigned = assigned
        self._fetcher.assign(list(assigned.values()))

    def _next(
        self, max_records: int | None, wait_us: int | None
    ) -> tuple[AssignedPartition, RecordBatch] | None:
        """Return the next batch and whose it is, or None when nothing came for `wait_us`."""
        self._check_usable()
        if self._group is not None and self._group.poll():
            self._check_usable()  # a callback may have closed it
        found = self._take(max_records)
        if found is None and self._look_for_partitions():
            found = self._take(max_records)
        if found is not None:
            return found
        deadline = None if wait_us is None else time.monotonic() + wait_us / 1e6
        while found is None and self._wait(deadline):
            self._check_usable()
            found = self._take(max_records)
        return found

    def _take(self, max_records: int | None) -> tuple[AssignedPartition, RecordBatch] | None:
        """Return the next batch that is there, and whose it is.

        A partition whose position was deleted goes on where `auto_offset_reset` says.
        """
        while True:
            try:
                return self._fetcher.next(max_records)
            except OffsetOutOfRangeError as error:
                self._reset_position(error)

    def _reset_position(self, error: OffsetOutOfRangeError) -> None:
        """Move the partition that an error is about; raise it when that is not wanted."""
        if error.topic is None or error.partition is None:
            raise error
        assigned = self._assigned.get(TopicPartition(error.topic, error.partition))
        if assigned is None or self._reset == "none":
            raise error
        if self._reset == "earliest":
            self._fetcher.seek_to_start(assigned)
        else:
            self._fetcher.seek(assigned, self._ends_of(assigned.partition)[1])

    def _may_have_partitions(self) -> bool:
        """Return whether there is a reason to look for them."""
        return False

    def _look_for_partitions(self) -> bool:
        """Read partitions that subscribed topics have got; return whether there were any."""
        return False

    def _wait(self, deadline: float | None) -> bool:
        """Wait until there may be more to hand out; False after the deadline."""
        while not self._fetcher.settle() and not self._fetcher.wait(self._until(deadline)):
            if self._look_after_group():
                return True
            if deadline is not None and time.monotonic() >= deadline:
                return False
        return True

    def _until(self, deadline: float | None) -> float | None:
        """Return when a wait must end: to look after a group, transactions, or partitions."""
        if self._group is not None and self._group.is_member:
            look_at = time.monotonic() + config.GROUP_LOOK_SECONDS
        elif self._fetcher.is_held_up:
            look_at = time.monotonic() + config.TRANSACTION_LOOK_SECONDS
        elif self._is_following:
            look_at = time.monotonic() + config.TOPIC_LOOK_SECONDS
        else:
            return deadline
        return look_at if deadline is None else min(look_at, deadline)

    def _is_group_due(self) -> bool:
        if self._group is None:
            return self._may_have_partitions()
        return self._group.is_due()

    def _look_after_group(self) -> bool:
        self._check_usable()
        if self._group is None:
            return self._look_for_partitions()
        return self._group.poll()

    def _next_rows(self) -> RecordRows | None:
        records = self._records
        found = self._next(self._rows_most(), self._timeout_us)
        if records is not None and self._records is not records:
            self._hold(records)  # a callback has moved something
        if found is None:
            return None
        self._reading, batch = found
        return self._rows_of(self._reading, batch)

    def _wait_us(self, timeout: str | timedelta | None) -> int | None:
        return self._timeout_us if timeout is None else config.parse_timeout_us(timeout)

    def _most(self, max_records: int | None) -> int:
        if max_records is None:
            return self._max_poll_records
        return config.check_positive(max_records, name="max_records")

    def _polled(
        self, found: tuple[AssignedPartition, RecordBatch] | None, most: int
    ) -> dict[TopicPartition, list[Record]]:
        """Return the records of a batch and of those that are there behind it."""
        polled: dict[TopicPartition, list[Record]] = {}
        while found is not None:
            assigned, batch = found
            rows = self._rows_of(assigned, batch)
            polled.setdefault(assigned.name, []).extend(rows.records(0, rows.length))
            most -= rows.length
            try:
                found = self._take(most) if most > 0 else None
            except CorruptRecordError:
                break  # what came before it is not lost; the next call raises
        return polled

    def _rows_most(self) -> int | None:
        """Return how many records may come between two looks after the group."""
        return self._max_poll_records if self._group is not None else None

    def _rows_of(self, assigned: AssignedPartition, batch: RecordBatch) -> RecordRows:
        topic = assigned.topic
        return record_rows(batch, topic.key, is_typed=topic.is_typed)

    def _position(self, assigned: AssignedPartition) -> int:
        rows = None if self._records is None else self._records.rows
        if rows is None or assigned is not self._reading or self._records is None:
            return assigned.position
        return rows.position(self._records.row)

    def _leave_record(self) -> None:
        """Stop iterating over records where it is: the rest of the batch is read again."""
        if self._records is not None and self._records.rows is not None:
            reading = self._reading
            assert reading is not None
            position = self._position(reading)
            self._records.drop()
            if position < reading.position:
                self._fetcher.seek(reading, position)
        self._hold(None)

    def _hold(self, records: RecordPlace | None) -> None:
        """Let this say where the position is, until `_leave_record`."""
        self._records = records
        # A member looks after its group between any two batches.
        self._fetcher.queue.is_held = records is not None or self._group is not None

    def _set_paused(self, partitions: Iterable[TopicPartition], *, is_paused: bool) -> None:
        self._leave_record()
        for partition in partitions:
            self._of(partition).is_paused = is_paused
        self._fetcher.forget_ready()
        self._fetcher.interrupt()

    def _of(self, partition: TopicPartition) -> AssignedPartition:
        self._check_usable()
        name = partition_named(partition)
        assigned = self._assigned.get(name)
        if assigned is None:
            have = ", ".join(f"{t}-{p}" for t, p in sorted(self._assigned)) or "none"
            raise ConfigError(
                f"partition {name.topic}-{name.partition} is not assigned to this consumer. "
                f"Assigned are: {have}."
            )
        return assigned

    def _some(self, partitions: tuple[TopicPartition, ...]) -> list[AssignedPartition]:
        self._check_usable()
        return [self._of(partition) for partition in partitions or self._assigned]

    def _check_usable(self) -> None:
        if self._is_in_child:
            raise LogError(
                "this consumer was made before a fork and belongs to the parent process. "
                "Make a new one in the child."
            )
        if self._is_closed:
            raise ClosedError("the consumer is closed. Make a new one with log.consumer().")
