"""Event-time windows, one record at a time: the specification of the native engine.

The model has no batches, no slices and no threads. It is written from Flink's DataStream rules
(``BoundedOutOfOrdernessWatermarks``, ``SlidingEventTimeWindows``, ``WindowOperator``,
``EventTimeTrigger``, ``CountTrigger``, ``ContinuousEventTimeTrigger``, ``PurgingTrigger``), and
from ``docs/semantics.md`` where pystream decides for itself (null keys, NaN, integer sums). Times
are integers in ticks of the event-time column.

>>> records = [Record(1, ("a",), (10,)), Record(7, ("a",), (20,)), Record(12, ("b",), (30,))]
>>> result = run(records, size=10, out_of_orderness=0)
>>> [(pane.key, pane.start, pane.end, pane.members) for pane in result.panes]
[(('a',), 0, 10, [0, 1]), (('b',), 10, 20, [2])]
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.oracle.aggregates import Scalar, Wanted, aggregate, best, collect, pick, quantile
from tests.oracle.watermarks import SourceWatermark

MIN_TIME = -(2**63)
MAX_TIME = 2**63 - 1


@dataclass(frozen=True)
class Record:
    """One record in append-sequence order; ``appended`` is when it was, in the same ticks.

    ``mark`` is the watermark that it carries, if any.

    A filtered record stands before a filter that drops it: it moves the watermark and is neither
    counted nor late.
    """

    timestamp: int
    key: tuple[Scalar, ...] = ()
    values: tuple[Scalar, ...] = ()
    partition: int = 0
    is_filtered: bool = False
    appended: int = 0
    mark: int | None = None


@dataclass
class Pane:
    """One key in one window, as it fired.

    ``members`` are indexes of records in arrival order; ``fired_after`` is the index of the record
    whose watermark fired the window, or None when the end of input did. A pane that a record fired
    as it entered the window is that record's own: ``is_own``.
    """

    key: tuple[Scalar, ...]
    start: int
    end: int
    members: list[int]
    fired_after: int | None = None
    is_own: bool = False


@dataclass(frozen=True)
class Trigger:
    """When a window fires besides its close: ``every`` records of a key, or ``every_ticks``.

    With ``fires_on_close`` false (``CountTrigger``) only the records fire it.
    """

    every: int | None = None
    every_ticks: int | None = None
    fires_on_close: bool = True


ON_CLOSE = Trigger()
ON_UPDATE = Trigger(every=1, fires_on_close=False)


@dataclass
class Result:
    """What a run leaves behind: panes in the order of firing, and indexes of late records.

    ``open_panes`` are the windows that the watermark has not passed, with what they hold.
    """

    panes: list[Pane] = field(default_factory=list)
    late: list[int] = field(default_factory=list)
    open_panes: list[Pane] = field(default_factory=list)
    watermarks: list[int] = field(default_factory=list)


class Watermark:
    """Bounded out-of-orderness over several partitions.

    A partition's watermark is its largest timestamp so far, minus the bound, minus one tick. The
    stream's watermark is the minimum over its partitions, and no partition has one before its first
    record. It never goes back, because no partition's does.

    >>> watermark = Watermark(out_of_orderness=5, partitions=[0])
    >>> watermark.observe(0, 100)
    >>> watermark.observe(0, 90)
    >>> watermark.current
    94
    >>> two = Watermark(out_of_orderness=5, partitions=[0, 1])
    >>> two.observe(0, 100)
    >>> two.current == MIN_TIME
    True
    >>> two.observe(1, 50)
    >>> two.current
    44
    """

    def __init__(self, out_of_orderness: int, partitions: Iterable[int]) -> None:
        self._bound = out_of_orderness
        self._largest: dict[int, int | None] = dict.fromkeys(partitions)

    def observe(self, partition: int, timestamp: int) -> None:
        largest = self._largest[partition]
        if largest is None or timestamp > largest:
            self._largest[partition] = timestamp

    @property
    def current(self) -> int:
        lowest: int | None = None
        for largest in self._largest.values():
            if largest is None:
                return MIN_TIME
            lowest = largest if lowest is None else min(lowest, largest)
        if lowest is None:
            return MIN_TIME
        return max(MIN_TIME, lowest - self._bound - 1)


def window_starts(timestamp: int, size: int, slide: int, offset: int) -> list[int]:
    """Return the starts of all windows that hold a time, earliest first.

    The last start is the floor of the time to the slide, also before 1970; the others lie one slide
    apart, down to the first whose end is still after the time. The slide need not divide the size.

    >>> window_starts(12, size=10, slide=10, offset=0)
    [10]
    >>> window_starts(-1, size=10, slide=10, offset=0)
    [-10]
    >>> window_starts(12, size=10, slide=4, offset=0)
    [4, 8, 12]
    >>> window_starts(14, size=10, slide=4, offset=0)
    [8, 12]
    >>> window_starts(12, size=10, slide=10, offset=3)
    [3]
    """
    start = timestamp - (timestamp - offset) % slide
    starts = []
    while start > timestamp - size:
        starts.append(start)
        start -= slide
    return starts[::-1]


def cumulative_windows(timestamp: int, size: int, step: int, offset: int) -> list[tuple[int, int]]:
    """Return the windows ``[start, end)`` that hold a time, where they cumulate; shortest first.

    >>> cumulative_windows(4, size=9, step=3, offset=0)
    [(0, 6), (0, 9)]
    >>> cumulative_windows(-1, size=9, step=3, offset=0)
    [(-9, 0)]
    """
    start = timestamp - (timestamp - offset) % size
    ends = range(start + step, start + size + step, step)
    return [(start, end) for end in ends if timestamp < end]


def is_closed(window_end: int, watermark: int) -> bool:
    """Tell whether the watermark has passed the window ``[start, window_end)``.

    >>> is_closed(10, watermark=8), is_closed(10, watermark=9)
    (False, True)
    """
    return window_end - 1 <= watermark


def cleanup_time(window_end: int, allowed_lateness: int) -> int:
    """Return the watermark at which the window ``[start, window_end)`` is forgotten.

    >>> cleanup_time(10, 0), cleanup_time(10, 5), cleanup_time(10, MAX_TIME) == MAX_TIME
    (9, 14, True)
    """
    return min(window_end - 1 + allowed_lateness, MAX_TIME)


def same_key(key: tuple[Scalar, ...]) -> tuple[object, ...]:
    """Return what decides which group a key belongs to.

    Null is a key like any other; NaN equals NaN; -0.0 equals 0.0.

    >>> same_key((None, float("nan"))) == same_key((None, float("nan")))
    True
    >>> same_key((-0.0,)) == same_key((0.0,))
    True
    """
    return tuple(
        ("NaN",) if isinstance(part, float) and math.isnan(part) else (type(part).__name__, part)
        for part in key
    )


@dataclass
class _Contents:
    """What is kept for one key in one window: ``WindowOperator``'s state and its trigger's."""

    pane: Pane
    since_fired: int = 0  # records, of a trigger that counts them
    next_fire: int | None = None  # of a trigger of event time


class _Windows:
    """All keys and windows that are not forgotten, and their timers."""

    def __init__(self, allowed_lateness: int, trigger: Trigger, *, discarding: bool) -> None:
        self._lateness = allowed_lateness
        self._trigger = trigger
        self._discarding = discarding
        # By end and start, then by key.
        self._contents: dict[tuple[int, int], dict[tuple[object, ...], _Contents]] = {}
        # A heap of time, end, start; of equal ones the first registered comes first.
        self._timers: list[tuple[int, int, int, int, tuple[object, ...]]] = []
        self._registered: set[tuple[int, int, int, tuple[object, ...]]] = set()
        self.fired: list[Pane] = []

    def is_forgotten(self, end: int, watermark: int) -> bool:
        return cleanup_time(end, self._lateness) <= watermark

    def add(self, index: int, record: Record, start: int, end: int, watermark: int) -> None:
        """``WindowOperator.processElement``: add a record to a window that takes it."""
        key = same_key(record.key)
        keys = self._contents.setdefault((end, start), {})
        contents = keys.get(key)
        if contents is None:
            contents = keys[key] = _Contents(Pane(record.key, start, end, []))
            if not is_closed(end, watermark):
                self._register(end - 1, end, start, key)
            self._register(cleanup_time(end, self._lateness), end, start, key)
        contents.pane.members.append(index)
        trigger = self._trigger
        if is_closed(end, watermark):  # EventTimeTrigger: the watermark is already past the window
            self._fire(contents, index, is_own=True)
            return
        if trigger.every is not None:  # CountTrigger
            contents.since_fired += 1
            if contents.since_fired >= trigger.every:
                contents.since_fired = 0
                self._fire(contents, index, is_own=True)
        if trigger.every_ticks is not None and contents.next_fire is None:
            # ContinuousEventTimeTrigger: the first multiple after the record.
            multiple = record.timestamp // trigger.every_ticks * trigger.every_ticks
            self._register_next_fire(contents, multiple, key)

    def advance(self, watermark: int, cause: int | None) -> None:
        """Run the timers that the watermark has reached, in order of time."""
        while self._timers and self._timers[0][0] <= watermark:
            time, end, start, _, key = heapq.heappop(self._timers)
            contents = self._contents[end, start][key]
            if time == end - 1:
                if self._trigger.fires_on_close:
                    self._fire(contents, cause)
            elif time == contents.next_fire:
                self._register_next_fire(contents, time, key)
                self._fire(contents, cause)
            if time == cleanup_time(end, self._lateness):
                del self._contents[end, start][key]

    def open_panes(self, watermark: int) -> list[Pane]:
        return [
            contents.pane
            for end, start in sorted(self._contents)
            for contents in self._contents[end, start].values()
            if not is_closed(end, watermark)
        ]

    def _fire(self, contents: _Contents, cause: int | None, *, is_own: bool = False) -> None:
        pane = contents.pane
        if not pane.members:
            return  # purged, and nothing came since
        members = list(pane.members)
        self.fired.append(Pane(pane.key, pane.start, pane.end, members, cause, is_own))
        if self._discarding:  # PurgingTrigger
            pane.members.clear()

    def _register_next_fire(self, contents: _Contents, time: int, key: tuple[object, ...]) -> None:
        assert self._trigger.every_ticks is not None
        pane = contents.pane
        contents.next_fire = min(time + self._trigger.every_ticks, pane.end - 1)
        self._register(contents.next_fire, pane.end, pane.start, key)

    def _register(self, time: int, end: int, start: int, key: tuple[object, ...]) -> None:
        if (time, end, start, key) not in self._registered:
            self._registered.add((time, end, start, key))
            heapq.heappush(self._timers, (time, end, start, len(self._registered), key))


def run(
    records: Sequence[Record],
    *,
    size: int,
    slide: int | None = None,
    offset: int = 0,
    cumulate: bool = False,
    out_of_orderness: int = 0,
    allowed_lateness: int = 0,
    trigger: Trigger = ON_CLOSE,
    discarding: bool = False,
    partitions: Collection[int] | None = None,
    end_of_input: bool = True,
    source_watermark: SourceWatermark | None = None,
) -> Result:
    """Window a whole stream.

    ``partitions`` are those that the source reads; one that never has a record holds the watermark
    back until the end of input. By default they are the partitions of the records. With
    ``cumulate`` windows start every ``size`` and grow by ``slide``. Without
    ``end_of_input`` the job was stopped, and what is open stays open. ``source_watermark`` is used
    instead of the bounded one where given.

    A record that comes before the watermark but belongs to an open window is counted there:

    >>> stream = [Record(0), Record(18), Record(11), Record(9)]
    >>> result = run(stream, size=10, out_of_orderness=3)
    >>> [(pane.start, pane.members) for pane in result.panes], result.late
    ([(0, [0]), (10, [1, 2])], [3])

    With a slide larger than the size there are records between windows:

    >>> sparse = [Record(0), Record(5), Record(11), Record(6)]
    >>> result = run(sparse, size=5, slide=10)
    >>> [(pane.start, pane.members) for pane in result.panes], result.late
    ([(0, [0]), (10, [2])], [3])

    With allowed lateness a late record enters a window that has fired, and fires it again:

    >>> result = run(stream, size=10, out_of_orderness=3, allowed_lateness=6)
    >>> [(pane.start, pane.members) for pane in result.panes], result.late
    ([(0, [0]), (0, [0, 3]), (10, [1, 2])], [])
    """
    slide = size if slide is None else slide
    period = size if cumulate else slide
    if size <= 0 or slide <= 0 or abs(offset) >= period or (cumulate and size % slide):
        raise ValueError(f"no such windows: size {size}, slide {slide}, offset {offset}")
    if partitions is None:
        partitions = {record.partition for record in records}
    watermark: Watermark | SourceWatermark = Watermark(out_of_orderness, partitions)
    if source_watermark is not None:
        watermark = source_watermark

    def observe(record: Record) -> None:
        if source_watermark is None:
            watermark.observe(record.partition, record.timestamp)
        else:
            source_watermark.observe(
                record.partition, record.timestamp, appended=record.appended, mark=record.mark
            )

    windows = _Windows(allowed_lateness, trigger, discarding=discarding)
    result = Result(panes=windows.fired)

    moved = watermark.current
    for index, record in enumerate(records):
        # Time passes until the record is there. It is judged by the watermark before it, and moves
        # the watermark afterwards.
        if source_watermark is not None:
            source_watermark.arrive(record.partition, record.appended)
            if source_watermark.current > moved:
                windows.advance(source_watermark.current, index - 1 if index else None)
        in_force = watermark.current
        entered = False
        if cumulate:
            bounds = cumulative_windows(record.timestamp, size, slide, offset)
        else:
            starts = window_starts(record.timestamp, size, slide, offset)
            bounds = [(start, start + size) for start in starts]
        for start, end in [] if record.is_filtered else bounds:
            if windows.is_forgotten(end, in_force):
                continue
            entered = True
            windows.add(index, record, start, end, in_force)
        # ``isElementLate``, of a record between two windows: being in none alone is not late.
        is_behind = min(record.timestamp + allowed_lateness, MAX_TIME) <= in_force
        if not entered and not record.is_filtered and (bounds or is_behind):
            result.late.append(index)
        observe(record)
        moved = watermark.current
        result.watermarks.append(moved)
        if moved > in_force:
            windows.advance(moved, index)
    if end_of_input:
        windows.advance(MAX_TIME, None)
    result.open_panes = windows.open_panes(MAX_TIME if end_of_input else moved)
    return result


def in_key_order(panes: Sequence[Pane], records: Sequence[Record]) -> list[Pane]:
    """Return the panes, those that close together by the first record of their key.

    All records count that come to the windows, late ones too; a single key that is null comes
    first. Flink leaves this order open. It is that of windows that fire on close alone; others show
    the keys of a window by their first records in it.

    >>> stream = [Record(15, ("b",)), Record(1, ("a",)), Record(2, ("b",))]
    >>> panes = run(stream, size=10, out_of_orderness=20).panes
    >>> [pane.key for pane in panes], [pane.key for pane in in_key_order(panes, stream)]
    ([('a',), ('b',), ('b',)], [('b',), ('a',), ('b',)])
    """
    first: dict[tuple[object, ...], int] = {same_key((None,)): -1}
    for index, record in enumerate(records):
        if not record.is_filtered:
            first.setdefault(same_key(record.key), index)
    ordered: list[Pane] = []
    for (*_, is_own), group in itertools.groupby(
        panes, key=lambda pane: (pane.fired_after, pane.start, pane.end, pane.is_own)
    ):
        together = list(group)
        if not is_own:
            together.sort(key=lambda pane: first[same_key(pane.key)])
        ordered += together
    return ordered


def rows(
    result: Result, records: Sequence[Record], aggregates: Sequence[tuple[Any, ...]]
) -> list[tuple[Scalar, ...]]:
    """Return the result rows: key parts, window start, window end, one value per aggregate.

    An aggregate is the parts of a :class:`Wanted`, positions counting in ``Record.values``.

    >>> stream = [Record(1, ("a",), (10,)), Record(7, ("a",), (None,))]
    >>> rows(run(stream, size=10), stream, [("count_all", None), ("count", 0), ("sum", 0)])
    [('a', 0, 10, 2, 1, 10)]
    """
    table = []
    for pane in result.panes:
        row = [*pane.key, pane.start, pane.end]
        for parts in aggregates:
            wanted = Wanted(*parts)
            members = [
                records[i]
                for i in pane.members
                if wanted.where is None or records[i].values[wanted.where] is True
            ]
            column = [None if wanted.value is None else r.values[wanted.value] for r in members]
            if wanted.kind in ("first", "last", "arg_min", "arg_max"):
                by = [r.timestamp if wanted.by is None else r.values[wanted.by] for r in members]
                row.append(pick(wanted.kind, column, by))
            elif wanted.kind == "collect_list":
                row.append(collect(column, [r.timestamp for r in members]))
            elif wanted.k is not None:
                row.append(best(wanted.kind, column, wanted.k))
            elif wanted.quantile is not None:
                row.append(quantile(column, wanted.quantile))
            else:
                row.append(aggregate(wanted.kind, column))
        table.append(tuple(row))
    return table
