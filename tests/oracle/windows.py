"""Event-time windows, one record at a time: the specification of the native engine.

The model has no batches, no slices and no threads. It is written from Flink's DataStream rules
(``BoundedOutOfOrdernessWatermarks``, ``SlidingEventTimeWindows``, ``WindowOperator``,
``EventTimeTrigger``), and from ``docs/semantics.md`` where pystream decides for itself (null keys,
NaN, integer sums). Times are integers in ticks of the event-time column.

>>> records = [Record(1, ("a",), (10,)), Record(7, ("a",), (20,)), Record(12, ("b",), (30,))]
>>> result = run(records, size=10, out_of_orderness=0)
>>> [(pane.key, pane.start, pane.end, pane.members) for pane in result.panes]
[(('a',), 0, 10, [0, 1]), (('b',), 10, 20, [2])]
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.oracle.aggregates import Scalar, Wanted, aggregate, pick, quantile
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
    whose watermark fired the window, or None when the end of input did.
    """

    key: tuple[Scalar, ...]
    start: int
    end: int
    members: list[int]
    fired_after: int | None = None


@dataclass
class Result:
    """What a run leaves behind: panes in the order of firing, and indexes of late records."""

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


def run(
    records: Sequence[Record],
    *,
    size: int,
    slide: int | None = None,
    offset: int = 0,
    cumulate: bool = False,
    out_of_orderness: int = 0,
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
    """
    slide = size if slide is None else slide
    period = size if cumulate else slide
    if size <= 0 or not 0 < slide <= size or abs(offset) >= period or (cumulate and size % slide):
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

    # By end and start, then by key.
    windows: dict[tuple[int, int], dict[tuple[object, ...], Pane]] = {}
    result = Result()

    def fire(up_to: int, cause: int | None) -> None:
        for end, start in sorted(windows):
            if is_closed(end, up_to):
                for pane in windows.pop((end, start)).values():
                    pane.fired_after = cause
                    result.panes.append(pane)

    for index, record in enumerate(records):
        # Time passes until the record is there. It is judged by the watermark before it, and moves
        # the watermark afterwards.
        if source_watermark is not None:
            source_watermark.arrive(record.partition, record.appended)
            fire(source_watermark.current, index - 1 if index else None)
        in_force = watermark.current
        entered = False
        if cumulate:
            bounds = cumulative_windows(record.timestamp, size, slide, offset)
        else:
            starts = window_starts(record.timestamp, size, slide, offset)
            bounds = [(start, start + size) for start in starts]
        for start, end in [] if record.is_filtered else bounds:
            if is_closed(end, in_force):
                continue
            entered = True
            panes = windows.setdefault((end, start), {})
            pane = panes.setdefault(same_key(record.key), Pane(record.key, start, end, []))
            pane.members.append(index)
        if not entered and not record.is_filtered:
            result.late.append(index)
        observe(record)
        result.watermarks.append(watermark.current)
        if watermark.current > in_force:
            fire(watermark.current, index)
    if end_of_input:
        fire(MAX_TIME, None)
    result.open_panes = [pane for bounds in sorted(windows) for pane in windows[bounds].values()]
    return result


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
            elif wanted.quantile is not None:
                row.append(quantile(column, wanted.quantile))
            else:
                row.append(aggregate(wanted.kind, column))
        table.append(tuple(row))
    return table
