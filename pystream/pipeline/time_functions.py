"""What expressions offer for timestamps and dates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from pystream.config import parse_duration_ns
from pystream.errors import ConfigError
from pystream.plan.expressions import LiteralNode

if TYPE_CHECKING:
    from datetime import timedelta

    from pystream.pipeline.expressions import Expression
    from pystream.plan.expressions import ExpressionNode

_CALENDAR: Final = ("week", "month", "quarter", "year")

__all__ = ["TimeFunctions", "TimePart"]

TimePart: TypeAlias = Literal[
    "year",
    "quarter",
    "month",
    "day",
    "day_of_week",
    "day_of_year",
    "week",
    "iso_year",
    "hour",
    "minute",
    "second",
    "millisecond",
    "microsecond",
    "nanosecond",
    "epoch",
]


class TimeFunctions:
    """The methods for times, a part of :class:`Expression` with a file of its own."""

    __slots__ = ()

    def truncate(self, every: str | timedelta | int) -> Expression:
        """Round down to a multiple of a duration since 1970 in UTC, or to a unit of the calendar.

        Parameters
        ----------
        every : str, timedelta or int
            A duration above zero, such as ``"1h"``, or a number in the unit of the column. Or
            ``"week"`` (which begins on Monday; ``"7d"`` does on Thursday), ``"month"``,
            ``"quarter"`` or ``"year"``, for timestamps and dates.

        Returns
        -------
        Expression
            Of the type of the column.

        Raises
        ------
        ConfigError
            If it is no duration.

        Examples
        --------
        >>> ps.col("ts").truncate("1h")
        col("ts").truncate("1h")
        >>> ps.col("ts").truncate("month")
        col("ts").truncate("month")
        """
        if every in _CALENDAR:
            return self._call("truncate", LiteralNode(str(every)))
        if isinstance(every, int):
            return self._call("truncate", LiteralNode(int(every)))
        nanoseconds = parse_duration_ns(every, name="truncate")
        if not 0 < nanoseconds < 2**63:
            raise ConfigError(
                f'truncate got {every!s}, but it takes a duration above zero. Pass "1h", say.'
            )
        return self._call("truncate", LiteralNode(nanoseconds, "duration[ns]"))

    def extract(self, part: TimePart) -> Expression:
        """Take a part of a timestamp or date, in UTC and the Gregorian calendar.

        Parameters
        ----------
        part : str
            ``"year"``, ``"quarter"``, ``"month"``, ``"day"``, ``"day_of_week"`` (Monday is 1),
            ``"day_of_year"``, ``"week"`` and ``"iso_year"`` (ISO 8601), ``"hour"``, ``"minute"``,
            ``"second"``; ``"millisecond"``, ``"microsecond"`` and ``"nanosecond"`` (all of the
            second, in that unit); ``"epoch"`` (whole seconds since 1970, floor).

        Returns
        -------
        Expression
            int64; null where the value is null. A date is its midnight.

        Raises
        ------
        ConfigError
            If there is no such part.

        Examples
        --------
        >>> ps.col("ts").extract("hour")
        col("ts").extract("hour")
        """
        if part not in get_args(TimePart):
            raise ConfigError(
                f"extract got {part!r}, which is not a part of a time. Use one of "
                f"{', '.join(get_args(TimePart))}."
            )
        return self._call("extract", LiteralNode(part))

    def _call(self, function: str, *arguments: ExpressionNode) -> Expression:
        raise NotImplementedError
