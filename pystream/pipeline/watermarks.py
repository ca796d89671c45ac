"""Watermark strategies: which column is event time, and how far out of order it may be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from pystream.config import parse_duration_ns
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
