"""The event-time column of a stream, durations in its ticks, and the watermark of a source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pystream import config
from pystream.errors import ConfigError, NotSupportedError, SchemaError
from pystream.pipeline.watermarks import WatermarkStrategy
from pystream.plan.nodes import Watermark

if TYPE_CHECKING:
    from collections.abc import Callable

    from pystream._native import DataType, Schema
    from pystream.plan.expressions import ExpressionNode
    from pystream.plan.nodes import TimeUnit

__all__ = ["EventTime", "ProcessingTime", "Time", "check_event_time", "plan_watermark", "ticks"]

_NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_DAY = 86_400 * 10**9
_MAX_AHEAD = config.parse_duration_ns(config.MAX_AHEAD)


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
    int64_unit : {"s", "ms", "us", "ns"}
        What the column counts where it is int64.
    """

    column: str
    tick: int
    shift: int = 0
    int64_unit: TimeUnit = "ms"

    @property
    def label(self) -> str:
        """What messages call it."""
        return f"event-time column {self.column!r}"


@dataclass(frozen=True)
class ProcessingTime:
    """The clock is the time of a stream's records: when a window takes them.

    Attributes
    ----------
    results : EventTime or None
        Of the results of windows: the last instant of their windows, for record timestamps.
    tick : int
        Nanoseconds, as of event time.
    """

    results: EventTime | None = None
    tick: int = 10**6
    int64_unit: ClassVar[TimeUnit] = "ms"  # of window_end, which is timestamp[ms]

    @property
    def label(self) -> str:
        """What messages call it."""
        return "processing time"


Time = EventTime | ProcessingTime


def check_event_time(column: str, schema: Any, unit: TimeUnit | None = None) -> EventTime:
    """Return the event time that `column` gives; `unit` is that of an int64.

    Raises
    ------
    SchemaError
        If the column does not exist or is not a time, or has a unit of its own beside `unit`.
    """
    if column not in schema.names:
        raise SchemaError(
            f"watermark strategy names column {column!r}, which the source does not have. "
            f"Its columns are {', '.join(schema.names)}."
        )
    _, dtype, _ = schema.fields[schema.index_of(column)]
    if unit is not None and dtype.kind in ("timestamp", "date32"):
        raise SchemaError(
            f"watermark strategy has unit={unit!r}, but event-time column {column!r} is {dtype}, "
            "which has its own. Leave unit= out: it says what an int64 counts.",
            column=column,
            got=str(dtype),
        )
    if dtype.kind == "timestamp":
        return EventTime(column, _NANOSECONDS[dtype.unit])
    if dtype.kind == "date32":
        return EventTime(column, _DAY)
    if dtype.kind == "int64":
        return EventTime(column, _NANOSECONDS[unit or "ms"], int64_unit=unit or "ms")
    raise SchemaError(
        f"event-time column {column!r} is of type {dtype}. "
        "Use a timestamp, a date32, or an int64 of milliseconds, or of what unit= says."
    )


def plan_watermark(
    strategy: WatermarkStrategy | None,
    schema: Schema,
    infer: Callable[[ExpressionNode, Schema], DataType],
    *,
    has_append_times: bool,
) -> tuple[Time | None, Watermark | None]:
    """Return the time of a source's records and its watermark, in ticks of the event-time column.

    Parameters
    ----------
    strategy : WatermarkStrategy or None
    schema : Schema
        Of the source.
    infer : callable
        Gives the type of an expression over it.
    has_append_times : bool
        Whether the source is a log.

    Raises
    ------
    SchemaError
        If the column does not exist or is not a time, or the watermark is of another type.
    ConfigError
        If a duration is not a whole number of ticks.
    NotSupportedError
        If the strategy counts from append times that the source does not have.
    """
    if strategy is None:
        return None, None
    if not isinstance(strategy, WatermarkStrategy):
        raise ConfigError(
            f"watermark is {strategy!r}. Pass a WatermarkStrategy, such as "
            'WatermarkStrategy.for_bounded_out_of_orderness("5s", timestamp="ts").'
        )
    if strategy.is_processing_time:
        return ProcessingTime(), None
    event_time = check_event_time(strategy.timestamp, schema, strategy.unit)
    if strategy.watermark is not None:
        _check_type(strategy.watermark, infer(strategy.watermark, schema), strategy, schema)
    if not has_append_times and strategy.max_ahead not in (None, _MAX_AHEAD):
        raise NotSupportedError(
            "with_max_ahead() counts from the time at which records were appended to a log, which "
            "tables and files do not have. Leave it out, pass None, or filter the rows before they "
            "come here."
        )
    max_ahead, idle = strategy.max_ahead, strategy.idle_timeout
    return event_time, Watermark(
        strategy.timestamp,
        delay=ticks(strategy.delay, event_time, "watermark delay"),
        expression=strategy.watermark,
        max_ahead=None if max_ahead is None else ticks(max_ahead, event_time, "max_ahead"),
        idle_timeout_us=None if idle is None else idle // 1000,
        advances_when_idle=strategy.on_idle == "advance",
        alignment=strategy.alignment,
        int64_unit=event_time.int64_unit,
    )


def _check_type(
    watermark: ExpressionNode, found: DataType, strategy: WatermarkStrategy, schema: Schema
) -> None:
    _, wanted, _ = schema.fields[schema.index_of(strategy.timestamp)]
    if (found.kind, found.unit) != (wanted.kind, wanted.unit):
        raise SchemaError(
            f"the watermark {watermark} is of type {found}, but the event time "
            f"{strategy.timestamp!r} is {wanted}. Cast it to the type of the event time.",
            column=strategy.timestamp,
        )


def ticks(nanoseconds: int, time: Time, what: str) -> int:
    """Convert a duration into ticks of the event-time column, or milliseconds of the clock.

    Raises
    ------
    ConfigError
        If the duration is not a whole number of ticks or does not fit into 63 bits.
    """
    count, rest = divmod(nanoseconds, time.tick)
    if rest:
        finer = ", or a finer column" if isinstance(time, EventTime) else ""
        raise ConfigError(
            f"{what} is {nanoseconds} ns, which is not a whole number of ticks of {time.label} "
            f"({time.tick} ns each). Use a multiple{finer}."
        )
    if abs(count) >= 2**62:
        raise ConfigError(f"{what} of {count} ticks is too large. Use less than 2**62 ticks.")
    return count
