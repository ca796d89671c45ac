"""Watermark strategies: which column is event time, and how far out of order it may be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from pystream.config import MAX_AHEAD, parse_duration_ns
from pystream.errors import ConfigError, NotSupportedError

__all__ = ["WatermarkStrategy"]


@dataclass(frozen=True)
class WatermarkStrategy:
    """Names the event-time column and bounds its disorder.

    Make one with :meth:`for_bounded_out_of_orderness` or :meth:`for_monotonous_timestamps`.

    Attributes
    ----------
    timestamp : str
        The event-time column: a timestamp of any unit, a date, or an int64 of milliseconds.
    delay : int
        How far a record may lag behind the newest one, in nanoseconds.
    max_ahead : int or None
        How far a record may be ahead of its append time and still move the watermark, in
        nanoseconds; see :meth:`with_max_ahead`.

    Notes
    -----
    The watermark follows every record, not every batch and never the clock: after a record it is
    ``max(event time so far) - delay - 1 tick``. With several partitions it is the minimum over
    them, where batches count in the order in which they were appended to the log. So how the
    input is cut into batches, and how many threads read it, changes nothing.

    References
    ----------
    Apache Flink, ``BoundedOutOfOrdernessWatermarks``.
    """

    timestamp: str
    delay: int
    max_ahead: int | None = parse_duration_ns(MAX_AHEAD)

    @classmethod
    def for_bounded_out_of_orderness(
        cls, delay: str | timedelta, *, timestamp: str
    ) -> WatermarkStrategy:
        """Accept records that lag behind the newest event time by at most `delay`.

        Parameters
        ----------
        delay : str or timedelta
            For example ``"5s"``; zero or more.
        timestamp : str
            The event-time column.

        Returns
        -------
        WatermarkStrategy

        Raises
        ------
        ConfigError
            If the delay is negative or cannot be read.

        Examples
        --------
        >>> WatermarkStrategy.for_bounded_out_of_orderness("5s", timestamp="ts").delay
        5000000000
        """
        nanoseconds = parse_duration_ns(delay, name="delay")
        if nanoseconds < 0:
            raise ConfigError(
                f"watermark delay is {delay!s}, but it must not be negative. "
                'Pass zero or a positive duration such as "5s".'
            )
        return cls(timestamp, nanoseconds)

    @classmethod
    def for_monotonous_timestamps(cls, *, timestamp: str) -> WatermarkStrategy:
        """Expect event times that never go back within a partition.

        Parameters
        ----------
        timestamp : str
            The event-time column.

        Returns
        -------
        WatermarkStrategy

        Examples
        --------
        >>> WatermarkStrategy.for_monotonous_timestamps(timestamp="ts").delay
        0
        """
        return cls(timestamp, 0)

    def with_max_ahead(self, limit: str | timedelta | None) -> WatermarkStrategy:
        """Let no record move the watermark that is further than `limit` ahead of the clock.

        One record from the far future would close every window that is open, and make all records
        after it late. So a record whose event time is more than `limit` later than the time at
        which it was appended to the log does not move the watermark. It goes into its window like
        any other. Such records are counted (``num_ahead_records`` of the source), and the first of
        a job gives a ``RuntimeWarning``.

        Parameters
        ----------
        limit : str, timedelta or None
            Zero or more; the default is ``"1d"``, which leaves room for a wrong time zone. None:
            every record moves the watermark.

        Returns
        -------
        WatermarkStrategy

        Raises
        ------
        ConfigError
            If the limit is negative or cannot be read.

        Notes
        -----
        The append time is stored in the log, so a replay decides as the live job did. A table in
        memory has no append times: there, unless the limit is None, records behind the year 9999
        do not move the watermark, and a limit of one's own is not supported.

        Examples
        --------
        >>> strategy = WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
        >>> strategy.with_max_ahead("1h").max_ahead
        3600000000000
        """
        if limit is None:
            return replace(self, max_ahead=None)
        nanoseconds = parse_duration_ns(limit, name="max_ahead")
        if nanoseconds < 0:
            raise ConfigError(
                f"max_ahead is {limit!s}, but it must not be negative. "
                'Pass zero or a positive duration such as "1d", or None.'
            )
        return replace(self, max_ahead=nanoseconds)

    def with_idleness(self, timeout: str | timedelta) -> WatermarkStrategy:
        """Leave a partition without records out of the minimum after `timeout`.

        Raises
        ------
        NotSupportedError
            Always, until idle partitions are built.
        """
        raise NotSupportedError(
            f"WatermarkStrategy.with_idleness({timeout!r}) is not built yet. "
            "Leave it out: a partition without new records then holds the watermark."
        )
