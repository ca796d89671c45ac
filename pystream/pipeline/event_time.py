"""The event-time column of a stream, and durations in its ticks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pystream.errors import ConfigError, SchemaError

__all__ = ["EventTime", "check_event_time", "ticks"]

_NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_DAY = 86_400 * 10**9


@dataclass(frozen=True)
class EventTime:
    """Which column of a stream is its event time.

    Attributes
    ----------
    column : str
        Its name.
    tick : int
        Nanoseconds per unit of the column.
    shift : int
        Ticks to add to the column: -1 after a window, whose rows carry ``window_end`` and whose
        event time is the last instant of the window.
    """

    column: str
    tick: int
    shift: int = 0


def check_event_time(column: str, schema: Any) -> EventTime:
    """Return the event time that `column` gives.

    Raises
    ------
    SchemaError
        If the column does not exist or is not a time.
    """
    if column not in schema.names:
        raise SchemaError(
            f"watermark strategy names column {column!r}, which the source does not have. "
            f"Its columns are {', '.join(schema.names)}."
        )
    _, dtype, _ = schema.fields[schema.index_of(column)]
    if dtype.kind == "timestamp":
        return EventTime(column, _NANOSECONDS[dtype.unit])
    if dtype.kind == "date32":
        return EventTime(column, _DAY)
    if dtype.kind == "int64":
        return EventTime(column, _NANOSECONDS["ms"])
    raise SchemaError(
        f"event-time column {column!r} is of type {dtype}. "
        "Use a timestamp, a date32, or an int64 of milliseconds."
    )


def ticks(nanoseconds: int, event_time: EventTime, what: str) -> int:
    """Convert a duration into ticks of the event-time column.

    Raises
    ------
    ConfigError
        If the duration is not a whole number of ticks or does not fit into 63 bits.
    """
    count, rest = divmod(nanoseconds, event_time.tick)
    if rest:
        raise ConfigError(
            f"{what} is {nanoseconds} ns, which is not a whole number of ticks of event-time "
            f"column {event_time.column!r} ({event_time.tick} ns each). "
            "Use a multiple, or a finer column type."
        )
    if abs(count) >= 2**62:
        raise ConfigError(f"{what} of {count} ticks is too large. Use less than 2**62 ticks.")
    return count
