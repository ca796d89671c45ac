"""Watermark strategies: which column is event time, and how far out of order it may be."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

from pystream.config import MAX_AHEAD, check_choice, parse_duration_ns, parse_duration_us
from pystream.errors import ConfigError
from pystream.plan.expressions import ColumnNode, ExpressionNode
from pystream.plan.nodes import Alignment, TimeUnit

if TYPE_CHECKING:
    from pystream.pipeline.expressions import Expression

__all__ = ["WatermarkStrategy"]

_UNITS: Final[dict[str, TimeUnit]] = {
    "s": "s",
    "ms": "ms",
    "us": "us",
    "ns": "ns",
    "seconds": "s",
    "milliseconds": "ms",
    "microseconds": "us",
    "nanoseconds": "ns",
    "sec": "s",
    "millis": "ms",
    "micros": "us",
    "nanos": "ns",
    "\u00b5s": "us",
}


@dataclass(frozen=True)
class WatermarkStrategy:
    """Names the event-time column and bounds its disorder.

    Make one with :meth:`for_bounded_out_of_orderness`, :meth:`for_monotonous_timestamps`,
    :meth:`for_punctuated` or :meth:`for_processing_time`.

    Attributes
    ----------
    timestamp : str
        The event-time column: a timestamp of any unit, a date, or an int64.
    delay : int
        How far a record may lag behind the newest one, in nanoseconds.
    watermark : ExpressionNode or None
        What gives the watermark instead, where it is not null.
    max_ahead : int or None
        How far a record may be ahead of its append time and still move the watermark, in
        nanoseconds; see :meth:`with_max_ahead`.
    idle_timeout : int or None
        After which a partition without records is idle, in nanoseconds; see :meth:`with_idleness`.
    on_idle : {"hold", "advance"}
        What the watermark does while all partitions are idle.
    is_processing_time : bool
        Whether the clock takes the place of event time; there is no column then.
    alignment : Alignment or None
        With which sources it goes together; see :meth:`with_watermark_alignment`.
    unit : {"s", "ms", "us", "ns"} or None
        What an int64 event time counts; None: milliseconds.

    Notes
    -----
    The watermark follows every record, not every batch and never the clock: after a record it is
    ``max(event time so far) - delay - 1 tick``. With several partitions it is the minimum over
    them (with :meth:`with_idleness`, over those that are not idle), where batches count in the
    order in which they were appended to the log. So how the input is cut into batches, and how many
    threads read it, changes nothing.

    References
    ----------
    Apache Flink, ``BoundedOutOfOrdernessWatermarks``.
    """

    timestamp: str
    delay: int
    watermark: ExpressionNode | None = None
    max_ahead: int | None = parse_duration_ns(MAX_AHEAD)
    idle_timeout: int | None = None
    on_idle: Literal["hold", "advance"] = "hold"
    is_processing_time: bool = False
    alignment: Alignment | None = None
    unit: TimeUnit | None = None

    @classmethod
    def for_bounded_out_of_orderness(
        cls, delay: str | timedelta, *, timestamp: str, unit: TimeUnit | None = None
    ) -> WatermarkStrategy:
        """Accept records that lag behind the newest event time by at most `delay`.

        Parameters
        ----------
        delay : str or timedelta
            For example ``"5s"``; zero or more.
        timestamp : str
            The event-time column.
        unit : {"s", "ms", "us", "ns"}, optional
            What an event-time column of int64 counts; milliseconds if it is not given. Other
            columns have a unit of their own.

        Returns
        -------
        WatermarkStrategy

        Raises
        ------
        ConfigError
            If the delay is negative or cannot be read, `timestamp` is no name, or `unit` is none.

        Examples
        --------
        >>> WatermarkStrategy.for_bounded_out_of_orderness("5s", timestamp="ts").delay
        5000000000
        >>> events = {"seconds": np.array([59, 60])}
        >>> by = WatermarkStrategy.for_bounded_out_of_orderness("5s", timestamp="seconds", unit="s")
        >>> stream = ps.Environment().from_arrow(events, watermark=by)
        >>> minutes = stream.window_all(ps.tumbling("1m")).aggregate(n=ps.count())
        >>> minutes.to_arrow()["window_end"].to_pylist()
        [60, 120]
        """
        nanoseconds = parse_duration_ns(delay, name="delay")
        if nanoseconds < 0:
            raise ConfigError(
                f"watermark delay is {delay!s}, but it must not be negative. "
                'Pass zero or a positive duration such as "5s".'
            )
        return cls(_column_name(timestamp), nanoseconds, unit=_unit(unit))

    @classmethod
    def for_monotonous_timestamps(
        cls, *, timestamp: str, unit: TimeUnit | None = None
    ) -> WatermarkStrategy:
        """Expect event times that never go back within a partition.

        Parameters
        ----------
        timestamp : str
            The event-time column.
        unit : {"s", "ms", "us", "ns"}, optional
            What an event-time column of int64 counts; milliseconds if it is not given. Other
            columns have a unit of their own.

        Returns
        -------
        WatermarkStrategy

        Raises
        ------
        ConfigError
            If `timestamp` is no name, or `unit` is none.

        Examples
        --------
        >>> WatermarkStrategy.for_monotonous_timestamps(timestamp="ts").delay
        0
        """
        return cls(_column_name(timestamp), 0, unit=_unit(unit))

    @classmethod
    def for_punctuated(
        cls, watermark: str | Expression, *, timestamp: str, unit: TimeUnit | None = None
    ) -> WatermarkStrategy:
        """Let records give the watermark themselves, by a column or an expression.

        Parameters
        ----------
        watermark : str or Expression
            Of the type of the event time. After a record the watermark is the largest value so
            far; a record whose value is null does not move it.
        timestamp : str
            The event-time column.
        unit : {"s", "ms", "us", "ns"}, optional
            What an event-time column of int64 counts; milliseconds if it is not given. Other
            columns have a unit of their own.

        Returns
        -------
        WatermarkStrategy

        Raises
        ------
        ConfigError
            If the watermark is neither a name nor an expression, `timestamp` is no name, or `unit`
            is none.

        Notes
        -----
        The watermark says that no record with a time at or below it is expected any more: for a
        bound D on the disorder of millisecond times, it is ``col("ts") - D - 1`` (which is
        :meth:`for_bounded_out_of_orderness`, where it needs not be computed).

        References
        ----------
        Apache Flink, ``WatermarkGenerator.onEvent``.

        Examples
        --------
        >>> from pystream import col, when
        >>> WatermarkStrategy.for_punctuated("complete_until", timestamp="ts").watermark
        ColumnNode(name='complete_until')
        >>> last = when(col("is_last")).then(col("ts"))
        >>> WatermarkStrategy.for_punctuated(last, timestamp="ts").delay
        0
        """
        _column_name(timestamp)
        if isinstance(watermark, str):
            return cls(timestamp, 0, ColumnNode(watermark), unit=_unit(unit))
        node = getattr(watermark, "node", None)
        if not isinstance(node, ExpressionNode):
            raise ConfigError(
                f"the watermark is {watermark!r}. Pass the name of a column or an expression such "
                'as col("ts") - "5s".'
            )
        return cls(timestamp, 0, node, unit=_unit(unit))

    @classmethod
    def for_processing_time(cls) -> WatermarkStrategy:
        """Window by the clock of the machine that runs the job.

        The time of a record is what the clock shows when the window takes it, in whole
        milliseconds; windows fire by the clock, also when no record comes. Nothing is late.

        Returns
        -------
        WatermarkStrategy

        Notes
        -----
        No two runs give the same, and a replay of the log gives what its own clock says. Where that
        matters take the time at which the log took the record as the event time:
        ``from_topic(..., append_time_column="at")`` with ``for_monotonous_timestamps``.

        When a bounded input ends, windows that are still open are not shown, as in Flink's
        STREAMING mode; with ``execute(mode="perfect")`` all fire then, as in its BATCH mode.
        Windows without end (:func:`global_window`) fire at the end of the input as ever.

        References
        ----------
        Apache Flink, ``TumblingProcessingTimeWindows``, ``ProcessingTimeTrigger``.

        Examples
        --------
        >>> strategy = WatermarkStrategy.for_processing_time()
        >>> rows = ps.Environment().from_arrow({"n": np.array([1, 2, 4])}, watermark=strategy)
        >>> totals = rows.window_all(ps.count_window(3)).aggregate(total=ps.col("n").sum())
        >>> totals.to_arrow()["total"].to_pylist()
        [7]
        """
        return cls("", 0, is_processing_time=True)

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
        (behind 2261 in nanoseconds, which end in 2262) do not move the watermark, and a limit of
        one's own is not supported.

        Examples
        --------
        >>> strategy = WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
        >>> strategy.with_max_ahead("1h").max_ahead
        3600000000000
        """
        self._refuse_on_processing_time("with_max_ahead")
        if limit is None:
            return replace(self, max_ahead=None)
        nanoseconds = parse_duration_ns(limit, name="max_ahead")
        if nanoseconds < 0:
            raise ConfigError(
                f"max_ahead is {limit!s}, but it must not be negative. "
                'Pass zero or a positive duration such as "1d", or None.'
            )
        return replace(self, max_ahead=nanoseconds)

    def with_idleness(
        self, timeout: str | timedelta, *, on_idle: Literal["hold", "advance"] = "hold"
    ) -> WatermarkStrategy:
        """Let a partition that has had no record for `timeout` hold the watermark no longer.

        The watermark is then the minimum over the other partitions. It never goes back: a partition
        that returns with older records finds them late.

        Parameters
        ----------
        timeout : str or timedelta
            For example ``"30s"``; a microsecond or more.
        on_idle : {"hold", "advance"}, default "hold"
            While all partitions are idle, the watermark stays, or goes on with the clock, so that
            the last windows close although nothing comes any more.

        Returns
        -------
        WatermarkStrategy

        Raises
        ------
        ConfigError
            If the timeout is not positive or cannot be read.

        Notes
        -----
        Time passes from the append time of one record to that of the next, as the log has stored
        them, and with the clock only while a running job has found nothing to read. So a replay
        finds the same partitions idle as the live job did, unless the clock of the machine was set
        back meanwhile; and a job that is slow, stopped or held up makes no partition idle. One that
        never had a record counts from the first record of the source. A table in memory has no
        partitions that could be idle.

        References
        ----------
        Apache Flink, ``WatermarkStrategy.withIdleness``; FLIP-471.

        Examples
        --------
        >>> strategy = WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
        >>> strategy.with_idleness("30s").idle_timeout
        30000000000
        """
        self._refuse_on_processing_time("with_idleness")
        microseconds = parse_duration_us(timeout, name="idle timeout")
        if microseconds < 1:
            raise ConfigError(
                f"idle timeout is {timeout!s}, but it must be positive. "
                'Pass a duration such as "30s".'
            )
        check_choice(on_idle, ("hold", "advance"), name="on_idle")
        return replace(self, idle_timeout=microseconds * 1000, on_idle=on_idle)

    def with_watermark_alignment(self, group: str, max_drift: str | timedelta) -> WatermarkStrategy:
        """Let the source wait while others of its group are far behind it in event time.

        Of sources that do not meet in the job, each is read as fast as it goes; so one may be hours
        ahead of another, and what a later job reads of their results is as far apart. A source of a
        group waits while another one, that has something to read, is more than `max_drift` behind.

        Parameters
        ----------
        group : str
            A name: sources of the job with the same one are aligned.
        max_drift : str or timedelta
            Such as ``"5m"``; zero or more.

        Returns
        -------
        WatermarkStrategy

        Raises
        ------
        ConfigError
            If the group has no name, or the drift is negative, too long or cannot be read.

        Notes
        -----
        No result depends on it. Sources that meet (:meth:`Stream.union`) have one order, that of
        appends, and with tables turns by their watermarks, which alignment leaves alone; they are
        as far as the last of them. A source that has ended, or has nothing to read, holds nobody,
        so that a job does not stand still; one that is the only one of its group is not held. It
        is looked at every 65,536 rows, by which a source may be ahead of the limit. Sources show
        ``watermark_alignment_drift`` and ``num_alignment_pauses``.

        References
        ----------
        Apache Flink, ``WatermarkStrategy.withWatermarkAlignment``; FLIP-182, FLIP-217.

        Examples
        --------
        >>> strategy = WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
        >>> strategy.with_watermark_alignment("clicks", "5m").alignment
        Alignment(group='clicks', max_drift_ns=300000000000)
        """
        self._refuse_on_processing_time("with_watermark_alignment")
        if not isinstance(group, str) or not group:
            raise ConfigError(
                f"the group of an alignment is {group!r}. Pass a name, the same for all sources "
                "that are to be aligned."
            )
        nanoseconds = parse_duration_ns(max_drift, name="max_drift")
        if nanoseconds < 0:
            raise ConfigError(
                f"max_drift is {max_drift!s}, but it must not be negative. "
                'Pass zero or a positive duration such as "5m".'
            )
        if nanoseconds >= 2**63:
            raise ConfigError(
                f"max_drift is {max_drift!s}, but it must be less than 292 years. Leave alignment "
                "out where no source is to wait."
            )
        return replace(self, alignment=Alignment(group, nanoseconds))

    def _refuse_on_processing_time(self, method: str) -> None:
        if self.is_processing_time:
            raise ConfigError(
                f"{method}() on processing time, whose watermark is the clock and no matter of "
                "records. Leave it out."
            )


def _unit(unit: TimeUnit | None) -> TimeUnit | None:
    if unit is None or (isinstance(unit, str) and unit in _UNITS.values()):
        return unit
    near = difflib.get_close_matches(str(unit).lower(), _UNITS, n=1, cutoff=0.5)
    hint = f' Did you mean "{_UNITS[near[0]]}"?' if near else ""
    raise ConfigError(
        f'unit is {unit!r}, but an int64 event time counts "s", "ms", "us" or "ns".{hint}'
    )


def _column_name(timestamp: object) -> str:
    if isinstance(timestamp, str):
        return timestamp
    raise ConfigError(
        f"timestamp is {timestamp!r}. Pass the name of a column of the source; a time that must be "
        "computed is one of the table, or of a topic that a job with with_columns() writes before."
    )
