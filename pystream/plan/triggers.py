"""Triggers of one's own: the contract between a pipeline's author and the engine, Flink's."""

from __future__ import annotations

import enum
import operator
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pystream.errors import ConfigError, NotSupportedError

__all__ = ["Trigger", "TriggerContext", "TriggerResult", "TriggerWindow"]


class TriggerResult(enum.IntEnum):
    """What a trigger wants for the window of a key.

    Attributes
    ----------
    CONTINUE
        Nothing.
    FIRE
        Show what the window holds; it stays there.
    PURGE
        Let go of what the window holds, without showing it.
    FIRE_AND_PURGE
        Show it and let go of it.
    """

    CONTINUE = 0
    FIRE = 1
    PURGE = 2
    FIRE_AND_PURGE = 3


@dataclass(frozen=True)
class TriggerWindow:
    """A window as triggers see it.

    Attributes
    ----------
    start, end : int or None
        In ticks of the event time; the end is exclusive. None of a global window.
    """

    start: int | None
    end: int | None

    @property
    def max_timestamp(self) -> int:
        """The last tick of the window; of a global one, that at which the input ends."""
        return 2**63 - 1 if self.end is None else self.end - 1


class _Timers(Protocol):
    """What the engine does for a context."""

    def register(self, time: int) -> None: ...
    def delete(self, time: int) -> None: ...
    def watermark(self) -> int: ...


class TriggerContext:
    """What a trigger knows and can do for one key in one window; made by the engine.

    Attributes
    ----------
    state : dict
        The trigger's own, kept for this key and window until it is forgotten. Of all that a
        trigger knows, this alone is in snapshots of a job: keep in it what pickle takes.
    merged : tuple of dict
        In ``on_merge``, the states of the windows that became one, in order of time.
    """

    def __init__(
        self,
        timers: _Timers,
        state: dict[str, Any],
        merged: tuple[dict[str, Any], ...] = (),
        *,
        is_processing_time: bool = False,
    ) -> None:
        self._timers = timers
        self._is_processing_time = is_processing_time
        self.state = state
        self.merged = merged

    @property
    def current_watermark(self) -> int:
        """The watermark in force, in ticks; ``-2**63`` before the first, and without event time."""
        return -(2**63) if self._is_processing_time else self._timers.watermark()

    @property
    def current_processing_time(self) -> int:
        """What the clock shows, in milliseconds.

        Raises
        ------
        NotSupportedError
            Of windows of event time: results would depend on the clock.
        """
        self._require_processing_time("current_processing_time", "current_watermark")
        return self._timers.watermark() + 1

    def register_event_time_timer(self, time: int) -> None:
        """Have ``on_event_time`` called when the watermark reaches a time, in ticks.

        Registering a time twice is the same as once. One that the watermark has passed is called
        when it moves next.

        Raises
        ------
        ConfigError
            If it is no whole number of 64 bits.
        NotSupportedError
            Of windows of processing time, where no watermark moves.
        """
        self._require_event_time(f"register_event_time_timer({time!r})")
        self._timers.register(_tick(time))

    def delete_event_time_timer(self, time: int) -> None:
        """Take a timer back, if there is one at that time; raises as the registration."""
        self._require_event_time(f"delete_event_time_timer({time!r})")
        self._timers.delete(_tick(time))

    def register_processing_time_timer(self, time: int) -> None:
        """Have ``on_processing_time`` called when the clock has passed a time, in milliseconds.

        Registering a time twice is the same as once. One that is over is called a millisecond
        later.

        Raises
        ------
        ConfigError
            If it is no whole number of 64 bits.
        NotSupportedError
            Of windows of event time: results would depend on the clock.
        """
        self._require_processing_time(
            f"register_processing_time_timer({time!r})", "register_event_time_timer()"
        )
        self._timers.register(_tick(time))

    def delete_processing_time_timer(self, time: int) -> None:
        """Take a timer back, if there is one at that time; raises as the registration."""
        self._require_processing_time(
            f"delete_processing_time_timer({time!r})", "delete_event_time_timer()"
        )
        self._timers.delete(_tick(time))

    def _require_processing_time(self, call: str, other: str) -> None:
        if not self._is_processing_time:
            raise NotSupportedError(
                f"{call}: windows of event time do not know the clock, so that a replay gives the "
                f"same. Use {other}, or make the source's watermark "
                "WatermarkStrategy.for_processing_time()."
            )

    def _require_event_time(self, call: str) -> None:
        if self._is_processing_time:
            raise NotSupportedError(
                f"{call}: no watermark moves in windows of processing time. Use the method for "
                "processing time."
            )


def _tick(time: object) -> int:
    try:
        tick = operator.index(time)  # type: ignore[arg-type]
    except TypeError:
        tick = None
    if tick is None or isinstance(time, bool) or not -(2**63) <= tick < 2**63:
        raise ConfigError(
            f"a timer at {time!r} ({type(time).__name__}): timers are set to whole ticks of 64 "
            "bits. Round it with int(), or use window.max_timestamp."
        )
    return tick


class Trigger(ABC):
    """Decides when the windows of a stream fire, in Python; Flink's ``Trigger``.

    Give an instance of a subclass to :meth:`WindowedStream.trigger`. It takes the place of the
    window's own: nothing fires, also when the watermark passes a window's end or the input ends,
    unless it says so.

    Notes
    -----
    A trigger is called once per record and timer, in the order of the log and by one thread, so
    that results do not depend on batches and threads. It should keep what it knows in
    ``ctx.state``. An exception in it ends the job as an :class:`~pystream.errors.OperatorError`
    that names the trigger, the key and the window.

    Examples
    --------
    >>> class AtLeast(ps.Trigger):
    ...     '''Fires when the amounts since the last time add up to a limit.'''
    ...
    ...     def __init__(self, limit):
    ...         self.limit = limit
    ...
    ...     def on_element(self, row, timestamp, window, ctx):
    ...         ctx.state["total"] = ctx.state.get("total", 0) + row["amount"]
    ...         if ctx.state["total"] < self.limit:
    ...             return ps.TriggerResult.CONTINUE
    ...         ctx.state.clear()
    ...         return ps.TriggerResult.FIRE_AND_PURGE
    >>> sales = ps.Environment().from_arrow({"amount": [3, 4, 5, 9, 2]})
    >>> windows = sales.window_all(ps.global_window()).trigger(AtLeast(8))
    >>> result = windows.aggregate(total=ps.col("amount").sum())
    >>> result.to_arrow()["total"].to_pylist()
    [12, 9]
    """

    @abstractmethod
    def on_element(
        self,
        row: Mapping[str, Any],
        timestamp: int | None,
        window: TriggerWindow,
        ctx: TriggerContext,
    ) -> TriggerResult:
        """Decide after a record has entered a window.

        Parameters
        ----------
        row : mapping
            The record: values by column.
        timestamp : int or None
            Its event time in ticks, or the time of the clock in milliseconds; None where the
            stream has neither.
        window : TriggerWindow
        ctx : TriggerContext
            Of the record's key in this window.

        Returns
        -------
        TriggerResult
        """

    def on_event_time(self, time: int, window: TriggerWindow, ctx: TriggerContext) -> TriggerResult:
        """Decide when the watermark has reached a timer, or forgets the window.

        Parameters
        ----------
        time : int
            Of the timer; or the end of the window minus one tick, plus the allowed lateness.
        window : TriggerWindow
        ctx : TriggerContext

        Returns
        -------
        TriggerResult
            By default ``CONTINUE``.
        """
        return TriggerResult.CONTINUE

    def on_processing_time(
        self, time: int, window: TriggerWindow, ctx: TriggerContext
    ) -> TriggerResult:
        """Decide when the clock has passed a timer, or forgets the window.

        Of windows of processing time, which call this and not ``on_event_time``.

        Parameters
        ----------
        time : int
            Of the timer, in milliseconds; or the end of the window minus one.
        window : TriggerWindow
        ctx : TriggerContext

        Returns
        -------
        TriggerResult
            By default ``CONTINUE``.
        """
        return TriggerResult.CONTINUE

    def can_merge(self) -> bool:
        """Return whether it works for windows that merge, that is sessions; by default not."""
        return False

    def on_merge(self, window: TriggerWindow, ctx: TriggerContext) -> None:  # noqa: B027
        """Take over what windows knew that became one, or one that has grown.

        The timers of those are gone, and ``ctx.state`` is empty: what is to stay is taken from
        ``ctx.merged``, and registered again. ``on_element`` of the record that joined them comes
        next.
        """

    def clear(self, window: TriggerWindow, ctx: TriggerContext) -> None:  # noqa: B027
        """Hear that a window is forgotten, or has become part of another one."""
