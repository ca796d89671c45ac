"""The committed cases are right by a definition that has no code in common with the oracle.

It looks at the whole input at once: it has neither state nor an order of firing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import pytest

from pystream.testing import Case, InputRow, PaneRow, Spec
from tests.conformance.committed import COMMITTED


def bound(case: Case, rows: tuple[InputRow, ...]) -> int | None:
    """Return what the least of the partitions' largest times leaves; None while one has none.

    A window is closed when its end is at most that.
    """
    largest = [
        max((row.ts_ms for row in rows if row.partition == partition), default=None)
        for partition in range(case.spec.partitions)
    ]
    present = [time for time in largest if time is not None]
    return min(present) - case.spec.watermark_delay_ms if len(present) == len(largest) else None


def sessions_by_definition(case: Case) -> tuple[set[PaneRow], set[int]]:
    """Rows are points of a graph, and sessions its connected parts.

    A row is linked with every row of a part that it touches and that is not forgotten yet; it is
    late when it is linked with none and would be forgotten itself. Each part that a moment finds
    ended, and no moment before found so, fires then.
    """
    gap = case.spec.window.gap_ms or 0
    lateness = case.spec.allowed_lateness_ms
    links: dict[int, set[int]] = {}

    def part_of(number: int) -> frozenset[int]:
        part, ahead = {number}, [number]
        while ahead:
            found = links[ahead.pop()] - part
            part |= found
            ahead += found
        return frozenset(part)

    def bounds(part: frozenset[int]) -> tuple[int, int]:
        times = [case.rows[number].ts_ms for number in part]
        return min(times), max(times) + gap

    late = set()
    fired: list[frozenset[int]] = []
    panes = SessionPanes(case, bounds)
    for number, row in enumerate(case.rows):
        before = bound(case, case.rows[:number])
        near = set()
        for part in {part_of(n) for n in links if case.rows[n].key == row.key}:
            start, end = bounds(part)
            is_kept = before is None or end + lateness > before
            if is_kept and start <= row.ts_ms + gap and row.ts_ms <= end:
                near |= part
        if not near and before is not None and row.ts_ms + gap + lateness <= before:
            late.add(number)
        else:
            links[number] = near
            for other in near:
                links[other].add(number)
            whole = part_of(number)
            if before is not None and bounds(whole)[1] <= before:
                fired.append(whole)
                panes.show(whole)
            else:
                panes.count(number, whole)
        after = bound(case, case.rows[: number + 1])
        parts = {part_of(n) for n in links} - set(fired)
        ended = [part for part in parts if after is not None and bounds(part)[1] <= after]
        fired += ended
        panes.close(ended)
    if case.spec.end_of_input:
        panes.close({part_of(n) for n in links} - set(fired))
    return panes.shown, late


class SessionPanes:
    """What sessions show: all of their rows or those not yet shown, and when they count to it."""

    def __init__(self, case: Case, bounds: Callable[[frozenset[int]], tuple[int, int]]) -> None:
        self._case = case
        self._bounds = bounds
        self._every = 1 if case.spec.trigger.kind == "on_update" else case.spec.trigger.every
        self._uncounted: set[int] = set()  # rows in time since their session counted to it
        self._gone: set[int] = set()
        self._times: Counter[tuple[str | None, int, int]] = Counter()
        self.shown: set[PaneRow] = set()

    def show(self, part: frozenset[int]) -> None:
        rows = [self._case.rows[n] for n in sorted(part - self._gone)]
        if rows:
            window = rows[0].key, *self._bounds(part)
            self.shown.add(pane(*window, [row.value for row in rows], self._times[window]))
            self._times[window] += 1
        if self._case.spec.accumulation == "discarding":
            self._gone |= part

    def count(self, number: int, part: frozenset[int]) -> None:
        """Count a row that came in time to the session that holds it."""
        self._uncounted.add(number)
        if self._every is not None and len(part & self._uncounted) >= self._every:
            self._uncounted -= part
            self.show(part)

    def close(self, parts: Iterable[frozenset[int]]) -> None:
        if self._case.spec.trigger.kind != "on_update":
            for part in parts:
                self.show(part)


def untimed_by_definition(case: Case) -> set[PaneRow]:
    """Each key's values are cut into windows, of so many or whole, and these into panes."""
    spec, size = case.spec, case.spec.window.size
    panes = set()
    for key in {row.key for row in case.rows}:
        values = [row.value for row in case.rows if row.key == key]
        number = 0
        for contents in windows_of(values, size, spec.window.slide or size):
            is_full = len(contents) == size or spec.window.slide is not None
            lengths = fired_lengths(
                spec,
                len(contents),
                len(contents),
                is_closed=is_full if size is not None else spec.end_of_input,
            )
            if size is not None:  # a row fires such a window at most once
                lengths = sorted(set(lengths))
            for whole in shown_parts(spec, contents, lengths):
                panes.add(
                    replace(pane(key, 0, 1, whole, number), window_start=None, window_end=None)
                )
                number += 1
    return panes


def windows_of(
    values: list[int | None], size: int | None, slide: int | None
) -> list[list[int | None]]:
    """Return windows of so many values, which end every slide; the last may not be full."""
    if size is None or slide is None:
        return [values]
    ends = range(slide, len(values) + 1, slide)
    last = [values[ends[-1] if ends else 0 :]] if slide == size else []
    return [*(values[max(0, end - size) : end] for end in ends), *last]


def shown_parts(
    spec: Spec, values: list[int | None], lengths: list[int]
) -> Iterator[list[int | None]]:
    """Yield what a window shows when it fires at these lengths."""
    shown = 0
    for length in lengths:
        if spec.accumulation == "accumulating":
            if length:
                yield values[:length]
        elif length > shown:
            yield values[shown:length]
        shown = length


def by_definition(case: Case) -> tuple[set[PaneRow], set[int]]:
    window = case.spec.window
    if window.kind == "session":
        return sessions_by_definition(case)
    if not window.has_time:
        return untimed_by_definition(case), set()
    size, slide = window.size_ms or 0, window.distance_ms or 0
    lengths = range(window.step_ms or size, size + 1, window.step_ms or size)
    contents: dict[tuple[str | None, int, int], list[tuple[int | None, bool]]] = defaultdict(list)
    late = set()
    for number, row in enumerate(case.rows):
        before = bound(case, case.rows[:number])
        covering = [
            (start, start + length)
            for start in range(row.ts_ms - size + 1, row.ts_ms + 1)
            if (start - window.offset_ms) % slide == 0
            for length in lengths
            if row.ts_ms < start + length
        ]
        forgotten = None if before is None else before - case.spec.allowed_lateness_ms
        entered = [(start, end) for start, end in covering if forgotten is None or end > forgotten]
        for start, end in entered:
            is_own = before is not None and end <= before
            contents[row.key, start, end].append((row.value, is_own))
        if not entered:
            late.add(number)
    last = bound(case, case.rows)
    panes = set()
    for (key, start, end), entries in contents.items():
        is_closed = case.spec.end_of_input or (last is not None and end <= last)
        values = [value for value, _ in entries]
        on_time = sum(not is_own for _, is_own in entries)
        lengths = fired_lengths(case.spec, on_time, len(entries), is_closed=is_closed)
        for number, whole in enumerate(shown_parts(case.spec, values, lengths)):
            panes.add(pane(key, start, end, whole, number))
    return panes, late


def fired_lengths(spec: Spec, on_time: int, total: int, *, is_closed: bool) -> list[int]:
    """Return how many rows were there each time that a window fired."""
    every = {"on_close": None, "on_update": 1, "count": spec.trigger.every}[spec.trigger.kind]
    early = range(every, on_time + 1, every) if every else range(0)
    at_close = [on_time] if is_closed and spec.trigger.kind != "on_update" else []
    return [*early, *at_close, *range(on_time + 1, total + 1)]


def pane(
    key: str | None, start: int, end: int, values: list[int | None], number: int = 0
) -> PaneRow:
    present = sorted(value for value in values if value is not None)
    if not present:
        return PaneRow(key, start, end, number, count=len(values), count_nonnull=0)
    return PaneRow(
        *(key, start, end, number),
        count=len(values),
        count_nonnull=len(present),
        sum=sum(present),
        min=present[0],
        max=present[-1],
    )


# A window of a day covers more starts than can be tried one by one.
SMALL = [
    case
    for case in COMMITTED
    if (case.spec.window.size_ms or 0) < 1000 and case.spec.trigger.kind != "time"
]


@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.name)
def test_committed_case_is_right_by_definition(case: Case) -> None:
    panes, late = by_definition(case)
    assert set(case.panes) == panes
    assert len(case.panes) == len(panes)
    assert set(case.late) == late
