"""The cases are right, judged without the oracle and without the generator.

First by answers worked out by hand from Flink's rules, then by a definition that looks at the whole
input at once: it has no state, no order of firing, and no code in common with the oracle.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace

import pytest

from pystream.testing import Case, InputRow, PaneRow, Spec, TriggerSpec, WindowSpec, check_case
from tests.conformance.committed import COMMITTED
from tests.conformance.expect import expect

TEN = WindowSpec("tumbling", size_ms=10)
GAP = WindowSpec("session", gap_ms=10)
# Every row has a value of its own power of two, so that a sum tells which rows are in it.
Panes = dict[tuple[str | None, int, int], int | tuple[int | None, ...]]


@dataclass(frozen=True)
class Answer:
    name: str
    spec: Spec
    times: list[int]
    panes: Panes
    late: list[int]


ANSWERS = [
    # BoundedOutOfOrdernessWatermarks: 14 gives 14 - 5 - 1 = 8 < 9, the last tick of [0, 10).
    Answer("open", Spec(TEN, 5), [1, 14, 3], {("a", 0, 10): 1 + 4, ("a", 10, 20): 2}, []),
    # 15 gives 9, the last tick: EventTimeTrigger fires, and WindowOperator drops the 3.
    Answer("closed", Spec(TEN, 5), [1, 15, 3], {("a", 0, 10): 1, ("a", 10, 20): 2}, [2]),
    # The 12 is behind the watermark 17, but [10, 20) is open: late is said of windows, not rows.
    Answer("behind", Spec(TEN), [18, 12, 9], {("a", 10, 20): 1 + 2}, [2]),
    # TimeWindow.getWindowStartWithOffset rounds down: -1 is in [-10, 0), -10 too, -11 is not.
    Answer(
        "before 1970",
        Spec(TEN),
        [-11, -10, -1, 0],
        {("a", -20, -10): 1, ("a", -10, 0): 2 + 4, ("a", 0, 10): 8},
        [],
    ),
    Answer(
        "offset",
        Spec(WindowSpec("tumbling", size_ms=10, offset_ms=-3)),
        [-4, -3, 6, 7],
        {("a", -13, -3): 1, ("a", -3, 7): 2 + 4, ("a", 7, 17): 8},
        [],
    ),
    # SlidingEventTimeWindows: 12 is in [4, 14), [8, 18), [12, 22); the slide does not divide.
    Answer(
        "slide does not divide",
        Spec(WindowSpec("hopping", size_ms=10, slide_ms=4)),
        [12],
        {("a", 4, 14): 1, ("a", 8, 18): 1, ("a", 12, 22): 1},
        [],
    ),
    # At watermark 34 the windows that end at 10, 20 and 30 have fired; 12 still enters two.
    Answer(
        "partly late",
        Spec(WindowSpec("hopping", size_ms=30, slide_ms=10)),
        [0, 35, 12, -1],
        {
            ("a", -20, 10): 1,
            ("a", -10, 20): 1,
            ("a", 0, 30): 1,
            ("a", 10, 40): 2 + 4,
            ("a", 20, 50): 2,
            ("a", 30, 60): 2,
        },
        [3],
    ),
    # At watermark 5 the windows that end at 3 and 6 have fired; 4 enters the last of its cycle.
    Answer(
        "cumulating",
        Spec(WindowSpec("cumulate", size_ms=9, step_ms=3)),
        [1, 6, 4, -1],
        {("a", 0, 3): 1, ("a", 0, 6): 1, ("a", 0, 9): 1 + 2 + 4},
        [3],
    ),
    # TimeWindow.intersects: 10 touches [0, 10), 21 does not touch [0, 20).
    Answer("session", Spec(GAP, 30), [0, 10, 21], {("a", 0, 20): 1 + 2, ("a", 21, 31): 4}, []),
    # MergingWindowSet: 10 joins [0, 10) and [20, 30); 40 stays alone.
    Answer("bridge", Spec(GAP, 50), [0, 20, 40, 10], {("a", 0, 30): 11, ("a", 40, 50): 4}, []),
    # At watermark 24, 11 alone would end at 21 and be late; it is in [20, 30), which is open. That
    # is [11, 30) then, which takes 2, too. -9 alone ends at 1 and touches nothing.
    Answer("saved", Spec(GAP, 5), [20, 30, 11, 2, -9], {("a", 2, 40): 1 + 2 + 4 + 8}, [4]),
    # At watermark 10 [0, 10) has fired and is gone: 10 begins a session of its own.
    Answer("gone", Spec(GAP), [0, 11, 10], {("a", 0, 10): 1, ("a", 10, 21): 2 + 4}, []),
    # At watermark 11 [0, 10) has fired, and takes the 3 until watermark 9 + 5: the 4 is late.
    Answer(
        "allowed lateness",
        Spec(TEN, allowed_lateness_ms=5),
        [1, 12, 3, 15, 4],
        {("a", 0, 10): (1, 1 + 4), ("a", 10, 20): 2 + 8},
        [4],
    ),
    # ContinuousEventTimeTrigger of 4: 1 registers 4, the first multiple after it. The 5 takes the
    # watermark to 4, the 9 to 8, the 12 behind the close: one pane at each, the last with nothing
    # new. 12 registers 16; the end of input fires that, and the close.
    Answer(
        "early by time",
        Spec(TEN, trigger=TriggerSpec("time", every_ms=4)),
        [1, 5, 9, 12],
        {("a", 0, 10): (1 + 2, 1 + 2 + 4, 1 + 2 + 4), ("a", 10, 20): (8, 8)},
        [],
    ),
    # CountTrigger of 2, and EventTimeTrigger: the third row is shown when the window closes.
    Answer(
        "early by count",
        Spec(TEN, trigger=TriggerSpec("count", every=2)),
        [1, 2, 3, 12],
        {("a", 0, 10): (1 + 2, 1 + 2 + 4), ("a", 10, 20): (8,)},
        [],
    ),
    Answer(
        "on update",
        Spec(TEN, trigger=TriggerSpec("on_update"), allowed_lateness_ms=3),
        [1, 12, 2, 14, 3],
        {("a", 0, 10): (1, 1 + 4), ("a", 10, 20): (2, 2 + 8)},
        [4],
    ),
    # PurgingTrigger: the window that has fired is empty, so that the 3 is alone in its pane.
    Answer(
        "discarding",
        Spec(TEN, allowed_lateness_ms=5, accumulation="discarding"),
        [1, 12, 3],
        {("a", 0, 10): (1, 4), ("a", 10, 20): (2,)},
        [],
    ),
    # No end of input, no last watermark: [10, 20) stays open.
    Answer("stopped", Spec(TEN, end_of_input=False), [1, 12], {("a", 0, 10): 1}, []),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.name)
def test_answer_by_hand_is_that_of_generator_and_engine(answer: Answer) -> None:
    rows = tuple(InputRow(ts, "a", 2**n) for n, ts in enumerate(answer.times))
    case = expect(answer.name, answer.spec, rows)
    sums: dict[tuple[str | None, int | None, int | None], tuple[int | None, ...]] = {}
    for pane in case.panes:
        window = pane.key, pane.window_start, pane.window_end
        assert pane.pane == len(sums.get(window, ()))
        sums[window] = (*sums.get(window, ()), pane.sum)
    assert sums == {w: s if isinstance(s, tuple) else (s,) for w, s in answer.panes.items()}
    assert list(case.late) == answer.late
    check_case(case)


def test_nulls_by_hand() -> None:
    """Null keys are one group; null values are counted as rows and not as values."""
    rows = (InputRow(1, None, 5), InputRow(2, "", None), InputRow(3, None, None))
    case = expect("nulls", Spec(TEN), rows)
    assert case.panes == (
        PaneRow(None, 0, 10, count=2, count_nonnull=1, sum=5, min=5, max=5),
        PaneRow("", 0, 10, count=1, count_nonnull=0),
    )
    check_case(case)


def test_slowest_partition_by_hand() -> None:
    """Partition 0 is at 49 - 1, partition 1 at 7 - 1, so [0, 10) is open for the last row."""
    rows = (InputRow(5, "a", 1), InputRow(49, "a", 2), InputRow(7, "a", 4, 1), InputRow(6, "a", 8))
    case = expect("slow", Spec(TEN, partitions=2, end_of_input=False), rows)
    assert (case.panes, case.late) == ((), ())
    case = expect("fast", Spec(TEN, end_of_input=False), tuple(r for r in rows if not r.partition))
    assert [(pane.window_start, pane.sum) for pane in case.panes] == [(0, 1)]
    assert case.late == (2,)


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
        after = bound(case, case.rows[: number + 1])
        parts = {part_of(n) for n in links} - set(fired)
        fired += [part for part in parts if after is not None and bounds(part)[1] <= after]
    if case.spec.end_of_input:
        fired += {part_of(n) for n in links} - set(fired)
    panes: set[PaneRow] = set()
    shown: Counter[tuple[str | None, int, int]] = Counter()
    for part in fired:
        window = case.rows[min(part)].key, *bounds(part)
        panes.add(pane(*window, [case.rows[n].value for n in part], shown[window]))
        shown[window] += 1
    return panes, late


def counts_by_definition(case: Case) -> set[PaneRow]:
    """Row number k * slide of a key, counted from 1, completes its k-th window."""
    size, slide = case.spec.window.size or 0, case.spec.window.slide or case.spec.window.size or 1
    panes = set()
    for key in {row.key for row in case.rows}:
        values = [row.value for row in case.rows if row.key == key]
        for number, end in enumerate(range(slide, len(values) + 1, slide)):
            whole = pane(key, 0, 1, values[max(0, end - size) : end])
            panes.add(replace(whole, window_start=None, window_end=None, pane=number))
    return panes


def by_definition(case: Case) -> tuple[set[PaneRow], set[int]]:
    window = case.spec.window
    if window.kind == "session":
        return sessions_by_definition(case)
    if window.kind == "count":
        return counts_by_definition(case), set()
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
        number = shown = 0
        for length in fired_lengths(case.spec, on_time, len(entries), is_closed=is_closed):
            if length > shown or (length and case.spec.accumulation == "accumulating"):
                begin = 0 if case.spec.accumulation == "accumulating" else shown
                panes.add(pane(key, start, end, values[begin:length], number))
                number, shown = number + 1, length
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


def test_one_committed_case_by_hand() -> None:
    """Days of UTC+8, one hour of delay: 17:00 takes the watermark to the end of the first day."""
    (case,) = (case for case in COMMITTED if case.name == "days_east_of_utc")
    hour = 3_600_000
    assert [row.ts_ms for row in case.rows[:5]] == [
        16 * hour - 1,
        16 * hour,
        -8 * hour,
        17 * hour,
        16 * hour - 1,
    ]
    assert case.late == (4,)
    assert [(p.key, p.window_start, p.window_end, p.sum) for p in case.panes] == [
        ("a", -8 * hour, 16 * hour, 1 + 4),
        ("b", 16 * hour, 40 * hour, 2 + 8),
        ("b", 64 * hour, 88 * hour, 32),
    ]
