"""Several inputs as one stream, one record at a time: their order and their watermark.

Written from ``docs/semantics.md`` and Flink's ``StatusWatermarkValve``.

>>> order([[Row("a"), Row("b")], [Row("c")]], [MIN_TIME, MIN_TIME].__getitem__, turn_rows=10)
[(0, 0), (0, 1), (1, 0)]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.oracle.watermarks import MIN_TIME, SourceWatermark

MAX_TIME = 2**63 - 1


@dataclass(frozen=True)
class Row:
    """A row of a source; `sequence` is its place in the log, None in a table."""

    value: Any
    sequence: int | None = None


def order(
    sources: Sequence[Sequence[Row]],
    watermark: Callable[[int], int],
    *,
    turn_rows: int,
    seen: Callable[[int, int], None] = lambda _source, _index: None,
) -> list[tuple[int, int]]:
    """Return the rows of all sources in order, each as its source and its index there.

    ``watermark`` tells that of a source; ``seen`` is told of each row as it comes, so that it can
    move it. Tables come first, in turns; then topics, in the order of appends.
    """
    taken: list[tuple[int, int]] = []
    following = [0] * len(sources)

    def take(source: int) -> None:
        taken.append((source, following[source]))
        following[source] += 1
        seen(*taken[-1])

    tables = [n for n, rows in enumerate(sources) if rows and rows[0].sequence is None]
    while left := [n for n in tables if following[n] < len(sources[n])]:
        source = min(left, key=lambda n: (watermark(n), n))
        for _ in range(min(turn_rows, len(sources[source]) - following[source])):
            take(source)
    topics = [n for n in range(len(sources)) if n not in tables]
    while left := [n for n in topics if following[n] < len(sources[n])]:
        take(min(left, key=lambda n: sources[n][following[n]].sequence or 0))
    return taken


class UnionWatermark:
    """Watermark of a union, in the shape of a SourceWatermark that is told of partitions.

    ``source_of`` names the source of each partition, and ``lengths`` how many records each source
    has: it ends after the last, which moves the watermark before. A record of partition -1 is one
    that has been counted elsewhere.

    A source that is idle is left out, unless all that go on are: when the last of them becomes so,
    the watermark goes to the largest of theirs, if that last one has held it.

    >>> union = UnionWatermark([SourceWatermark([0]), SourceWatermark([1])], {0: 0, 1: 1}, [1, 2])
    >>> for partition, time in ((0, 50), (1, 10)):
    ...     union.observe(partition, time)
    >>> union.current
    9
    >>> union.observe(1, 20)
    >>> union.current == MAX_TIME
    True

    >>> sources = [SourceWatermark([0], idle_timeout=10), SourceWatermark([1], idle_timeout=20)]
    >>> union = UnionWatermark(sources, {0: 0, 1: 1}, [2, 2])
    >>> for partition, time in ((0, 50), (1, 10)):
    ...     union.arrive(partition, 100)
    ...     union.observe(partition, time, appended=100)
    >>> for now in (111, 120, 121):
    ...     union.pass_time(now)
    ...     print(union.current)
    9
    9
    49
    """

    def __init__(
        self,
        sources: Sequence[SourceWatermark],
        source_of: Mapping[int, int],
        lengths: Sequence[int],
    ) -> None:
        self._sources = sources
        self._source_of = source_of
        self._left = list(lengths)
        self._now: int | None = None
        self._idle_since: dict[int, int] = {}  # of sources
        self._were_all_idle = False
        self.current = MIN_TIME
        self._follow()

    def pass_time(self, now: int) -> None:
        """Let time come to `now` for all sources, instant by instant."""
        for instant in [now] if self._now is None else range(self._now + 1, now + 1):
            self._now = instant
            for source in self._sources:
                source.pass_time(instant)
            self._follow()

    def arrive(self, partition: int, appended: int) -> None:
        if partition >= 0:
            self.pass_time(appended)
            self._sources[self._source_of[partition]].arrive(partition, appended)
            self._follow()

    def observe(
        self, partition: int, event_time: int, *, appended: int = 0, mark: int | None = None
    ) -> None:
        if partition < 0:
            return
        source = self._source_of[partition]
        self._sources[source].observe(partition, event_time, appended=appended, mark=mark)
        self._follow()
        self._left[source] -= 1
        self._follow()

    def _follow(self) -> None:
        """Take the minimum over the sources that go on and are not idle."""
        going_on = [number for number, left in enumerate(self._left) if left > 0]
        active = [number for number in going_on if not self._sources[number].is_idle]
        for number in set(going_on) - set(active):
            self._idle_since.setdefault(number, self._now or 0)
        for number in active:
            self._idle_since.pop(number, None)
        marks = {number: self._sources[number].current for number in going_on}
        if not going_on:
            self.current = MAX_TIME
        elif active:
            self.current = max(self.current, min(marks[number] for number in active))
        elif not self._were_all_idle:
            last = max(going_on, key=lambda number: (self._idle_since[number], marks[number]))
            if marks[last] >= self.current:
                self.current = max(marks.values())
        self._were_all_idle = not active
