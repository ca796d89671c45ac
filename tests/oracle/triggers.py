"""Windows with triggers, one record at a time: the specification of the native engine.

Written from Flink's ``WindowOperator``, ``MergingWindowSet``, ``EventTimeTrigger``,
``CountTrigger``, ``ContinuousEventTimeTrigger``, ``PurgingTrigger`` and ``GlobalWindows`` with its
``EndOfStreamTrigger``. Where Flink leaves the order open, timers go by their time, then by the
ends of their windows, then by the first records of those. A trigger of one's own has the methods
of :class:`Specified`, as a :class:`pystream.Trigger` does.

>>> stream = [Record(0), Record(6), Record(3), Record(30)]
>>> result = run_operator(stream, Sessions(5), Specified(every=2))
>>> [(pane.start, pane.end, pane.members) for pane in result.panes]
[(0, 5, [0]), (3, 11, [1, 2]), (3, 11, [1, 2]), (30, 35, [3])]
>>> result = run_operator(stream, Sessions(5), Specified(every=2), out_of_orderness=9)
>>> [(pane.start, pane.end, pane.members) for pane in result.panes]
[(0, 11, [0, 1, 2]), (0, 11, [0, 1, 2]), (30, 35, [3])]
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.oracle.windows import (
    MAX_TIME,
    MIN_TIME,
    Pane,
    Record,
    Result,
    Scalar,
    Watermark,
    cumulative_windows,
    same_key,
    window_starts,
)


class Outcome(enum.Flag):
    """What a trigger wants."""

    CONTINUE = 0
    FIRE = 1
    PURGE = 2
    FIRE_AND_PURGE = 3


@dataclass(frozen=True)
class Fixed:
    """Windows ``[start, start + size)`` at every slide; or those that cumulate by it."""

    size: int
    slide: int
    offset: int = 0
    cumulate: bool = False

    def windows(self, time: int) -> list[tuple[int, int]]:
        if self.cumulate:
            return cumulative_windows(time, self.size, self.slide, self.offset)
        starts = window_starts(time, self.size, self.slide, self.offset)
        return [(start, start + self.size) for start in starts]


@dataclass(frozen=True)
class Sessions:
    """Windows that merge; the gap is one, or one of each record."""

    gap: int | Sequence[int]


@dataclass(frozen=True)
class Counted:
    """Windows of so many records of a key."""

    size: int


@dataclass(frozen=True)
class Global:
    """One window per key."""


Assigner = Fixed | Sessions | Counted | Global


@dataclass(frozen=True)
class Window:
    """The bounds of a window, as triggers see them; both None of one without an end."""

    start: int | None
    end: int | None

    @property
    def max_timestamp(self) -> int:
        return MAX_TIME if self.end is None else self.end - 1


@dataclass
class Entry:
    """One key in one window: what it holds, what its trigger knows, and its timers."""

    key: tuple[Scalar, ...]
    window: Window
    first: int  # index of its first record
    members: list[int] = field(default_factory=list)
    taken: int = 0  # records since it began, purged or not
    state: dict[str, Any] = field(default_factory=dict)
    timers: set[int] = field(default_factory=set)


class Context:
    """What a trigger can do for the window at hand."""

    def __init__(self, operator: Operator, entry: Entry, merged: Sequence[Entry] = ()) -> None:
        self._operator = operator
        self._entry = entry
        self.state = entry.state
        self.merged = tuple(other.state for other in merged)

    @property
    def current_watermark(self) -> int:
        return self._operator.watermark

    def register_event_time_timer(self, time: int) -> None:
        self._operator.register(self._entry, time)

    def delete_event_time_timer(self, time: int) -> None:
        self._entry.timers.discard(time)


class Specified:
    """On close, every so many records in time, at the multiples of an interval: what is asked for.

    ``every`` alone with ``on_close`` false is Flink's ``CountTrigger``.
    """

    def __init__(
        self, every: int | None = None, every_ticks: int | None = None, *, on_close: bool = True
    ) -> None:
        self.every = every
        self.every_ticks = every_ticks
        self.on_close = on_close

    def on_element(self, row: object, timestamp: int, window: Window, ctx: Context) -> Outcome:
        if window.max_timestamp <= ctx.current_watermark:
            return Outcome.FIRE
        if self.on_close:
            ctx.register_event_time_timer(window.max_timestamp)
        fires = False
        if self.every is not None:
            ctx.state["count"] = ctx.state.get("count", 0) + 1
            fires = ctx.state["count"] >= self.every
            if fires:
                del ctx.state["count"]
        if self.every_ticks is not None and "next" not in ctx.state:
            self._register_next(timestamp // self.every_ticks * self.every_ticks, window, ctx)
        return Outcome.FIRE if fires else Outcome.CONTINUE

    def on_event_time(self, time: int, window: Window, ctx: Context) -> Outcome:
        if time == window.max_timestamp:
            return Outcome.FIRE if self.on_close else Outcome.CONTINUE
        if time == ctx.state.get("next"):
            if window.end is None and ctx.current_watermark == MAX_TIME:
                return Outcome.CONTINUE  # the end of the input is no multiple
            self._register_next(time, window, ctx)
            return Outcome.FIRE
        return Outcome.CONTINUE

    def _register_next(self, time: int, window: Window, ctx: Context) -> None:
        assert self.every_ticks is not None
        ctx.state["next"] = min(time + self.every_ticks, window.max_timestamp)
        ctx.register_event_time_timer(ctx.state["next"])

    def can_merge(self) -> bool:
        return True

    def on_merge(self, window: Window, ctx: Context) -> None:
        counts = [state["count"] for state in ctx.merged if "count" in state]
        if counts:
            ctx.state["count"] = sum(counts)
        timers = [state["next"] for state in ctx.merged if "next" in state]
        if timers:
            ctx.state["next"] = min(timers)
            ctx.register_event_time_timer(ctx.state["next"])

    def clear(self, window: Window, ctx: Context) -> None:
        pass


class Operator:
    """``WindowOperator``: all keys and windows that are not forgotten."""

    def __init__(
        self, assigner: Assigner, trigger: Any, *, allowed_lateness: int, discarding: bool
    ) -> None:
        self._assigner = assigner
        self._trigger = trigger
        self._lateness = allowed_lateness
        self._discarding = discarding
        self._entries: list[Entry] = []
        self._records: Sequence[Record] = ()
        self._now: int | None = None  # of the timer at work
        self.watermark = MIN_TIME
        self.result = Result()

    # -- timers --------------------------------------------------------------------------------

    def register(self, entry: Entry, time: int) -> None:
        is_at_the_end = self._now is not None and self.watermark == MAX_TIME
        if is_at_the_end and entry.window.end is None and time != MAX_TIME:
            return  # what has no end must not go on behind the end of the input
        entry.timers.add(time)

    def _cleanup_time(self, window: Window) -> int:
        return min(window.max_timestamp + self._lateness, MAX_TIME)

    def advance(self, watermark: int, cause: int | None) -> None:
        self.watermark = watermark
        while True:
            due = [
                (time, entry.window.max_timestamp, entry.first, number)
                for number, entry in enumerate(self._entries)
                for time in {*entry.timers, *self._cleanup(entry)}
                if time <= watermark
            ]
            if not due:
                return
            time, _, _, number = min(due)
            entry = self._entries[number]
            entry.timers.discard(time)
            self._now = time
            outcome = self._trigger.on_event_time(time, entry.window, Context(self, entry))
            self._now = None
            self._act(entry, outcome, cause)
            if time in self._cleanup(entry):
                self._forget(entry)

    def open_panes(self) -> list[Pane]:
        """Return what windows hold that the watermark has not passed; those with an end."""
        return [
            Pane(entry.key, entry.window.start, entry.window.end, list(entry.members))
            for entry in self._entries
            if entry.window.start is not None and entry.window.end is not None
            if entry.window.max_timestamp > self.watermark
        ]

    def _cleanup(self, entry: Entry) -> list[int]:
        time = self._cleanup_time(entry.window)
        return [] if time == MAX_TIME else [time]

    # -- records -------------------------------------------------------------------------------

    def process(self, index: int, records: Sequence[Record]) -> None:
        self._records = records
        record = records[index]
        entered = [
            entry for window in self._windows(index) if (entry := self._find(record, index, window))
        ]
        for entry in entered:
            entry.members.append(index)
            entry.taken += 1
            is_full = isinstance(self._assigner, Counted) and entry.taken == self._assigner.size
            ctx = Context(self, entry)
            outcome = self._trigger.on_element(record, record.timestamp, entry.window, ctx)
            self._act(entry, Outcome.FIRE_AND_PURGE if is_full else outcome, index, is_own=True)
            if is_full:
                self._forget(entry)
        if not entered and not self._is_between_windows(record.timestamp):
            self.result.late.append(index)

    def _is_between_windows(self, time: int) -> bool:
        """``isElementLate`` is false: what is in no window is dropped, unless late by itself."""
        if not isinstance(self._assigner, Fixed) or self._assigner.windows(time):
            return False
        return min(time + self._lateness, MAX_TIME) > self.watermark

    def _windows(self, index: int) -> list[Window]:
        time = self._records[index].timestamp
        match self._assigner:
            case Fixed():
                return [Window(*bounds) for bounds in self._assigner.windows(time)]
            case Sessions(gap):
                return [Window(time, time + (gap if isinstance(gap, int) else gap[index]))]
        return [Window(None, None)]

    def _find(self, record: Record, index: int, window: Window) -> Entry | None:
        """Return the entry that takes the record; None where it is late."""
        of_key = [each for each in self._entries if same_key(each.key) == same_key(record.key)]
        if isinstance(self._assigner, Sessions):
            return self._merge(record, index, window, of_key)
        for entry in of_key:
            if entry.window == window:
                return entry
        return self._open(record, index, window)

    def _open(self, record: Record, index: int, window: Window) -> Entry | None:
        if window.end is not None and self._cleanup_time(window) <= self.watermark:
            return None
        self._entries.append(Entry(record.key, window, index))
        return self._entries[-1]

    def _merge(
        self, record: Record, index: int, window: Window, of_key: list[Entry]
    ) -> Entry | None:
        assert window.start is not None
        assert window.end is not None
        touched = [
            (entry.window.start, entry.window.end, entry)
            for entry in of_key
            if entry.window.start is not None and entry.window.end is not None
            if entry.window.start <= window.end and window.start <= entry.window.end
        ]
        if not touched:
            return self._open(record, index, window)
        touched.sort(key=lambda each: each[0])
        parts = [entry for _, _, entry in touched]
        start = min(window.start, touched[0][0])
        end = max(window.end, *(each[1] for each in touched))
        if len(parts) == 1 and parts[0].window == Window(start, end):
            return parts[0]
        whole = Entry(parts[0].key, Window(start, end), min(part.first for part in parts))
        whole.members = sorted(member for part in parts for member in part.members)
        self._trigger.on_merge(whole.window, Context(self, whole, parts))
        for part in parts:
            self._trigger.clear(part.window, Context(self, part))
            self._entries.remove(part)
        self._entries.append(whole)
        return whole

    def _act(self, entry: Entry, outcome: Any, cause: int | None, *, is_own: bool = False) -> None:
        wanted = Outcome(outcome.value)
        if Outcome.FIRE in wanted and entry.members:
            start, end = entry.window.start, entry.window.end
            if start is None or end is None:
                times = [self._records[member].timestamp for member in entry.members]
                start, end = min(times), max(times) + 1
            pane = Pane(entry.key, start, end, list(entry.members), cause, is_own)
            self.result.panes.append(pane)
            if self._discarding:  # PurgingTrigger
                entry.members.clear()
        if Outcome.PURGE in wanted:
            entry.members.clear()

    def _forget(self, entry: Entry) -> None:
        self._trigger.clear(entry.window, Context(self, entry))
        self._entries.remove(entry)


def run_operator(
    records: Sequence[Record],
    assigner: Assigner,
    trigger: Any,
    *,
    allowed_lateness: int = 0,
    discarding: bool = False,
    out_of_orderness: int = 0,
    partitions: Collection[int] | None = None,
    end_of_input: bool = True,
) -> Result:
    """Window a whole stream.

    The watermark, partitions and the end of input are those of :func:`tests.oracle.windows.run`.
    """
    if partitions is None:
        partitions = {record.partition for record in records}
    watermark = Watermark(out_of_orderness, partitions)
    operator = Operator(assigner, trigger, allowed_lateness=allowed_lateness, discarding=discarding)
    for index, record in enumerate(records):
        if not record.is_filtered:
            operator.process(index, records)
        watermark.observe(record.partition, record.timestamp)
        operator.result.watermarks.append(watermark.current)
        if watermark.current > operator.watermark:
            operator.advance(watermark.current, index)
    if end_of_input:
        operator.advance(MAX_TIME, None)
    operator.result.open_panes = operator.open_panes()
    return operator.result
