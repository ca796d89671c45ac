"""What expressions offer for timestamps and dates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args
from zoneinfo import ZoneInfo

from pystream.config import parse_duration_ns
from pystream.errors import ConfigError
from pystream.plan.expressions import LiteralNode

if TYPE_CHECKING:
    from datetime import timedelta

    from pystream.pipeline.expressions import Expression
    from pystream.plan.expressions import ExpressionNode

_CALENDAR: Final = ("week", "month", "quarter", "year")
_UNITS: Final = (
    "Units are ns, us, ms, s, m, h and d; alone stand "
    '"week", "month", "quarter" and "year", those of the calendar.'
)

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

    def truncate(self, every: str | timedelta | int, *, zone: str | None = None) -> Expression:
        """Round down to a multiple of a duration since 1970 in UTC, or to a unit of the calendar.

        Parameters
        ----------
        every : str, timedelta or int
            A duration above zero, such as ``"1h"``, or a number in the unit of the column. Or
            ``"week"`` (which begins on Monday; ``"7d"`` does on Thursday), ``"month"``,
            ``"quarter"`` or ``"year"``, for timestamps and dates.
        zone : str, optional
            Round down what the clocks of this time zone show: days begin at their midnight. For
            timestamps. Where clocks show the result twice, it is the one before or after they are
            turned as the time itself; where never, the end of the gap.

        Returns
        -------
        Expression
            Of the type of the column.

        Raises
        ------
        ConfigError
            If it is no duration, or there is no such zone.

        Examples
        --------
        >>> ps.col("ts").truncate("1h")
        col("ts").truncate("1h")
        >>> ps.col("ts").truncate("month")
        col("ts").truncate("month")
        >>> ps.col("ts").truncate("1d", zone="Europe/Berlin")
        col("ts").truncate("1d", "Europe/Berlin")
        """
        zones = () if zone is None else (_zone(zone, "truncate"),)
        if every in _CALENDAR:
            return self._call("truncate", LiteralNode(str(every)), *zones)
        if isinstance(every, int):
            return self._call("truncate", LiteralNode(int(every)), *zones)
        nanoseconds = parse_duration_ns(every, name="truncate", alternatives=_UNITS)
        if not 0 < nanoseconds < 2**63:
            raise ConfigError(
                f'truncate got {every!s}, but it takes a duration above zero. Pass "1h", say.'
            )
        return self._call("truncate", LiteralNode(nanoseconds, "duration[ns]"), *zones)

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

    def at_zone(self, zone: str) -> Expression:
        """Take what the clocks of a time zone show, as SQL's AT TIME ZONE.

        Parameters
        ----------
        zone : str
            A name of the IANA database, as :mod:`zoneinfo` knows it.

        Returns
        -------
        Expression
            timestamp without a zone, in the unit of the column: for :meth:`extract` and
            :meth:`format`, not for arithmetic with instants.

        Raises
        ------
        ConfigError
            If there is no such zone.

        Examples
        --------
        >>> ps.col("ts").at_zone("Europe/Berlin").extract("hour")
        col("ts").at_zone("Europe/Berlin").extract("hour")
        """
        return self._call("at_zone", _zone(zone, "at_zone"))

    def from_zone(
        self,
        zone: str,
        *,
        ambiguous: Literal["earliest", "latest", "null", "error"] = "earliest",
        nonexistent: Literal["shift", "null", "error"] = "shift",
    ) -> Expression:
        """Take the instant at which the clocks of a time zone show the value.

        Parameters
        ----------
        zone : str
        ambiguous : str, default "earliest"
            Which one, where clocks that are turned back show it twice.
        nonexistent : str, default "shift"
            Where clocks that are turned forward never show it: what a clock would that was not
            turned, so later by the length of the gap, as :mod:`datetime` and Java have it.

        Returns
        -------
        Expression
            timestamp in the unit of the column, to be shown in `zone`.

        Raises
        ------
        ConfigError
            If there is no such zone or choice.

        Examples
        --------
        >>> ps.col("departure").from_zone("America/New_York", ambiguous="latest")
        col("departure").from_zone("America/New_York", "latest", "shift")
        """
        for name, choice, choices in (
            ("ambiguous", ambiguous, ("earliest", "latest", "null", "error")),
            ("nonexistent", nonexistent, ("shift", "null", "error")),
        ):
            if choice not in choices:
                raise ConfigError(
                    f"from_zone got {name}={choice!r}. Use one of {', '.join(choices)}."
                )
        rules = LiteralNode(ambiguous), LiteralNode(nonexistent)
        return self._call("from_zone", _zone(zone, "from_zone"), *rules)

    def format(self, format: str) -> Expression:
        """Write a timestamp or date as text, as :meth:`datetime.datetime.strftime` does.

        Parameters
        ----------
        format : str
            Of the directives ``%Y %y %m %d %j %H %I %p %M %S %f %a %A %b %B %u %w %U %W %G %V``
            and ``%%``, with English names.

        Returns
        -------
        Expression
            string, of the time in UTC; null where the value is null.

        Examples
        --------
        >>> ps.col("ts").format("%d.%m.%Y %H:%M")
        col("ts").format("%d.%m.%Y %H:%M")
        """
        return self._call("format", _text(format, "format", "format"))

    def parse(self, format: str, type: str = "timestamp[us]") -> Expression:
        """Read a time from text, as :meth:`datetime.datetime.strptime` does.

        Parameters
        ----------
        format : str
            Of the directives ``%Y %y %m %d %j %H %I %p %M %S %f %a %A %b %B %z`` and ``%%``, each
            once, with English names in any case. White space stands for any.
        type : str, default "timestamp[us]"
            Of the result: a timestamp or ``"date32"``.

        Returns
        -------
        Expression
            Null where the value is null. Text that is no such time raises OperatorError when the
            pipeline runs.

        Examples
        --------
        >>> ps.col("day").parse("%d/%m/%Y", "date32")
        col("day").parse("%d/%m/%Y", "date32")
        """
        return self._call("parse", _text(format, "parse", "format"), LiteralNode(str(type)))

    def try_parse(self, format: str, type: str = "timestamp[us]") -> Expression:
        """Read a time from text, with null where :meth:`parse` would fail.

        Parameters
        ----------
        format : str
        type : str, default "timestamp[us]"

        Returns
        -------
        Expression

        Examples
        --------
        >>> ps.col("day").try_parse("%d/%m/%Y", "date32")
        col("day").try_parse("%d/%m/%Y", "date32")
        """
        return self._call("try_parse", _text(format, "try_parse", "format"), LiteralNode(str(type)))

    def _call(self, function: str, *arguments: ExpressionNode) -> Expression:
        raise NotImplementedError


def _text(value: object, function: str, name: str) -> LiteralNode:
    if not isinstance(value, str):
        raise TypeError(f"{function} got the {name} {value!r}. Pass a str.")
    return LiteralNode(value)


def _zone(name: str, function: str) -> LiteralNode:
    """Return the zone, which the engine looks up; one that does not exist is refused here."""
    try:
        ZoneInfo(name)
    except (TypeError, KeyError, ValueError, OSError):
        raise ConfigError(
            f"{function} got the zone {name!r}, which zoneinfo does not know. Use a name such as "
            '"Europe/Berlin".'
        ) from None
    return LiteralNode(name, "zone")
