"""Where partitions begin and end, and where a time is in them. Part of the consumer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from pystream.log.named import by_partition, partition_named, partitions_named
from pystream.log.times import Time, find_time
from pystream.types import OffsetAndTimestamp, TopicPartition

if TYPE_CHECKING:
    from pystream._native import Partition
    from pystream.log.log import Log
    from pystream.log.topic import Topic

__all__ = ["ConsumerEnds"]


class ConsumerEnds:
    """The part of :class:`Consumer` that says where records are, of partitions assigned or not."""

    _log: Log
    _is_committed_only: bool

    def offsets_for_times(
        self, times: Mapping[TopicPartition, Time], *, column: str | None = None
    ) -> dict[TopicPartition, OffsetAndTimestamp | None]:
        """Return the first record of each partition at or after a time, assigned or not.

        Parameters
        ----------
        times : mapping of TopicPartition to datetime, numpy.datetime64 or int
            A datetime has a time zone; int: microseconds since 1970, or the unit of `column`.
        column : str, optional
            An event-time column: a timestamp, a date or an int64. Default: the record timestamps.

        Returns
        -------
        dict of TopicPartition to OffsetAndTimestamp or None
            The smallest offset with a time of at least that; None when there is none below the
            end (:meth:`end_offsets`).

        Raises
        ------
        ConfigError
            If a time is none, or the column holds no times.
        UnknownTopicError
            If a topic or partition does not exist.

        Notes
        -----
        Logarithmic in segments and batches, but for what no process has looked at before; then
        the heads of batches are read once. Records need not be in the order of time. Damaged
        records are stepped over.

        Examples
        --------
        >>> import tempfile, pystream as ps
        >>> with tempfile.TemporaryDirectory() as directory, ps.open(directory) as log:
        ...     _ = log.create_topic("clicks", {"page": "string"})
        ...     with log.producer() as producer:
        ...         for n in range(3):
        ...             _ = producer.send("clicks", {"page": f"/{n}"}, timestamp=n * 10**6)
        ...     place = ps.TopicPartition("clicks", 0)
        ...     with log.consumer() as consumer:
        ...         consumer.offsets_for_times({place: 500_000})[place]
        OffsetAndTimestamp(offset=1, timestamp=1000000)
        """
        self._check_usable()
        return {
            name: self._find_time(self._log.topic(name.topic), name.partition, time, column)[0]
            for name, time in by_partition(times, setting="times", of="a time").items()
        }

    def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the log start offset of partitions, assigned or not."""
        return {name: self._ends(name)[0] for name in partitions_named(partitions)}

    def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the end of partitions, assigned or not: the next offset to be written.

        With ``isolation_level="read_committed"``, in Kafka the last stable offset: that of the
        first record whose transaction is not decided, if there is one.
        """
        return {name: self._ends(name)[1] for name in partitions_named(partitions)}

    # -- helpers -------------------------------------------------------------------------------

    def _ends(self, partition: TopicPartition) -> tuple[int, int]:
        self._check_usable()
        name = partition_named(partition)
        return self._ends_of(self._log.topic(name.topic).native_partition(name.partition))

    def _ends_of(self, partition: Partition) -> tuple[int, int]:
        """Return the first and the last offset that may be read, by the isolation level."""
        ends = partition.ends()
        if not self._is_committed_only:
            return ends.log_start_offset, ends.log_end_offset
        return ends.log_start_offset, max(partition.last_stable_offset(), ends.log_start_offset)

    def _find_time(
        self, topic: Topic, partition: int, time: Time, column: str | None
    ) -> tuple[OffsetAndTimestamp | None, int]:
        """Return the first record at or after a time, if it may be read; and where that ends."""
        found = find_time(topic, partition, time, column)
        end = self._ends_of(topic.native_partition(partition))[1]
        return (None if found is None or found.offset >= end else found), end

    def _check_usable(self) -> None:
        """Raise where the consumer may not be used."""
        raise NotImplementedError
