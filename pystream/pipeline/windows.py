"""Window assigners as users write them: ``tumbling("1m")``, ``session("30m")``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from pystream.config import parse_duration_ns
from pystream.errors import ConfigError
from pystream.pipeline.expressions import Expression
from pystream.plan.expressions import ExpressionNode

# Of one record; each of them fires. More would take days for a single one.
_MOST_WINDOWS = 2**24

__all__ = ["Window", "count_window", "cumulate", "global_window", "hopping", "session", "tumbling"]


@dataclass(frozen=True)
class Window:
    """A window assigner; make one with :func:`tumbling`, :func:`hopping` or another function.

    Attributes
    ----------
    kind : str
        ``"tumbling"``, ``"hopping"``, ``"cumulate"``, ``"session"``, ``"count"`` or ``"global"``.
    size, slide, offset : int
        In nanoseconds; `slide` is the step of windows that cumulate. Of count windows size and
        slide are in records. Zero for sessions.
    gap : int, ExpressionNode or None
        Of sessions: nanoseconds, or what computes it.
    """

    kind: str
    size: int = 0
    slide: int = 0
    offset: int = 0
    gap: int | ExpressionNode | None = None


def tumbling(size: str | timedelta, offset: str | timedelta = "0s") -> Window:
    """Cut event time into windows of one size, one after another.

    A window is ``[start, start + size)`` with ``start = offset + k * size`` for every integer
    ``k``, counted from 1970-01-01T00:00:00 UTC; times before 1970 are floored, not truncated.

    Parameters
    ----------
    size : str or timedelta
        Length of a window, for example ``"1m"``.
    offset : str or timedelta, default "0s"
        Shifts all windows by less than their distance; may be negative.
        ``tumbling("1d", offset="-8h")`` gives the days of a place eight hours east of UTC.

    Returns
    -------
    Window

    Raises
    ------
    ConfigError
        If the size is not positive, the offset not shorter, or a duration cannot be read.

    Examples
    --------
    >>> tumbling("1m").kind
    'tumbling'
    """
    nanoseconds = _positive("size", size)
    return Window("tumbling", nanoseconds, nanoseconds, _offset(offset, nanoseconds))


def hopping(
    size: str | timedelta, slide: str | timedelta, offset: str | timedelta = "0s"
) -> Window:
    """Start a window of one size every `slide`; a record counts in each that covers it.

    Called *sliding* in Flink's DataStream API and ``HOP`` in its SQL. The slide need not divide
    the size.

    Parameters
    ----------
    size : str or timedelta
        Length of a window.
    slide : str or timedelta
        Distance between the starts of two windows. Where it is larger than `size`, records between
        two windows are in none and are left out; late is of them only what is behind the watermark.
    offset : str or timedelta, default "0s"
        Shifts all windows by less than `slide`; may be negative.

    Returns
    -------
    Window

    Raises
    ------
    ConfigError
        If a duration is not positive or cannot be read, or a record would be in more than 2**24
        windows.

    Examples
    --------
    >>> hopping("24h", "1h").slide // 10**9
    3600
    """
    size_ns = _positive("size", size)
    slide_ns = _positive("slide", slide)
    _check_windows(size_ns, slide_ns, "slide")
    return Window("hopping", size_ns, slide_ns, _offset(offset, slide_ns))


def cumulate(
    size: str | timedelta, step: str | timedelta, offset: str | timedelta = "0s"
) -> Window:
    """Start windows every `size` that grow by `step`: totals so far, as of each step.

    Windows are ``[start, start + step)``, ``[start, start + 2 * step)`` and so on up to
    ``[start, start + size)``. A record counts in each of those that end after it; ``CUMULATE`` in
    Flink's SQL.

    Parameters
    ----------
    size : str or timedelta
        Length of the longest window, and distance from one start to the next.
    step : str or timedelta
        By which a window is longer than the one before; divides `size`.
    offset : str or timedelta, default "0s"
        Shifts all windows by less than `size`; may be negative.

    Returns
    -------
    Window

    Raises
    ------
    ConfigError
        If a duration is not positive or cannot be read, the step does not divide the size, or a
        record would be in more than 2**24 windows.

    Examples
    --------
    >>> day = cumulate("1d", "1h")
    >>> day.size // day.slide
    24
    """
    size_ns = _positive("size", size)
    step_ns = _positive("step", step)
    if size_ns % step_ns != 0:
        raise ConfigError(
            f"windows that cumulate have the size {size!s}, which their step {step!s} does not "
            "divide. Use a step that does, so that the last one ends with the longest window."
        )
    _check_windows(size_ns, step_ns, "step")
    return Window("cumulate", size_ns, step_ns, _offset(offset, size_ns))


def session(gap: str | timedelta | Expression) -> Window:
    """Keep a window open until no record of the key has come for a while.

    A record opens ``[t, t + gap)``; windows of a key that touch are one session, so that records
    exactly one gap apart are together. A session ends a gap after its last record.

    Parameters
    ----------
    gap : str, timedelta or Expression
        For example ``"30m"``, or of each record its own: ``col("gap")``, a duration or an integer
        that counts ticks of the event-time column.

    Returns
    -------
    Window

    Raises
    ------
    ConfigError
        If the gap is not positive or cannot be read.

    Notes
    -----
    A gap of an expression that is null, not positive or no whole number of ticks is an
    :class:`~pystream.errors.OperatorError` that shows the row's values. Sessions of a stream are
    merged in the order of its records, by one thread.

    Examples
    --------
    >>> session("30m").gap // 10**9
    1800
    """
    if isinstance(gap, Expression):
        return Window("session", gap=gap.node)
    return Window("session", gap=_positive("gap", gap))


def count_window(size: int, slide: int | None = None) -> Window:
    """Cut a stream after so many records of a key, whatever their times.

    With a slide, a window of the last `size` records is complete each time that `slide` more have
    come; the first ones of a key are shorter. Flink's ``countWindow``.

    Parameters
    ----------
    size : int
        Records of a window.
    slide : int, optional
        Records from the end of one window to the end of the next; at most `size`. Default: `size`.

    Returns
    -------
    Window

    Raises
    ------
    ConfigError
        If the size or the slide is no whole number from 1, or the slide is larger than the size.

    Notes
    -----
    Needs no event time. Where the stream has one, ``window_start`` is the least of the window's
    records, ``window_end`` the greatest plus one tick; else results have neither column. Records
    are never late. What a key has of its next window when the input ends is not a result. Each
    result costs up to two merges for every slide in the window. Records are counted in the order
    of the log, by one thread.

    Examples
    --------
    >>> count_window(100, slide=10).slide
    10
    """
    slide = size if slide is None else slide
    for name, records in (("size", size), ("slide", slide)):
        if not isinstance(records, int) or isinstance(records, bool) or not 1 <= records < 2**62:
            raise ConfigError(
                f"count window has {name} {records!r}. Pass a whole number of records from 1."
            )
    if slide > size:
        raise ConfigError(
            f"count window has slide {slide} larger than size {size}, so that records between two "
            "windows would belong to none. Use a slide of at most the size."
        )
    return Window("count", size, slide)


def global_window() -> Window:
    """Keep all records of a key in one window without end.

    It fires when a bounded input ends (Flink's ``GlobalWindows.createWithEndOfStreamTrigger()``),
    and before that as ``emit("on_update")`` and ``early()`` say.

    Returns
    -------
    Window

    Notes
    -----
    Needs no event time. Where the stream has one, ``window_start`` is the least of the records that
    a row shows, ``window_end`` the greatest plus one tick; else results have neither column.
    Records are never late. A key is kept as long as the job runs: see ``state_bytes``; and where
    the input has no end and nothing fires before, there are no results. Records are taken in the
    order of the log, by one thread.

    Examples
    --------
    >>> sales = {"user": ["ann", "bob", "ann"], "amount": [1, 2, 4]}
    >>> windows = ps.Environment().from_arrow(sales).key_by("user").window(global_window())
    >>> totals = windows.emit("on_update").aggregate(total=ps.col("amount").sum())
    >>> totals.to_arrow()["total"].to_pylist()
    [1, 2, 5]
    """
    return Window("global")


def _check_windows(size: int, distance: int, name: str) -> None:
    windows = size // distance
    if windows > _MOST_WINDOWS:
        raise ConfigError(
            f"a record would be in {windows:,} windows of {size} ns, one every {distance} ns. "
            f"Use a {name} of at least {-(-size // _MOST_WINDOWS)} ns, or shorter windows."
        )


def _offset(value: str | timedelta, period: int) -> int:
    nanoseconds = parse_duration_ns(value, name="offset")
    if abs(nanoseconds) >= period:
        raise ConfigError(
            f"window offset is {value!s}, but windows repeat every {period} ns. "
            "Pass an offset shorter than that, in either direction."
        )
    return nanoseconds


def _positive(name: str, value: str | timedelta) -> int:
    nanoseconds = parse_duration_ns(value, name=name)
    if nanoseconds <= 0:
        raise ConfigError(
            f"window {name} is {value!s}, but a window must be longer than zero. "
            f'Pass a positive duration such as {name}="1m".'
        )
    return nanoseconds
