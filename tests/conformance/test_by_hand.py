"""Generator and engine give the answers that were worked out by hand from Flink's rules."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pystream.testing import InputRow, PaneRow, Spec, TriggerSpec, WindowSpec, check_case
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
    # CountTrigger merges by adding: 0 and 20 have one row each, and the 10 that bridges them is the
    # third. The end of input shows all once more.
    Answer(
        "counts of sessions that merge",
        Spec(GAP, 30, trigger=TriggerSpec("count", every=3)),
        [0, 20, 10, 5],
        {("a", 0, 30): (1 + 2 + 4, 1 + 2 + 4 + 8)},
        [],
    ),
    # ContinuousEventTimeTrigger of 15: the 0 registers min(15, 9) = 9, the last tick of [0, 10).
    # The 6 makes that [0, 16): at 9 it is no close, and registers 24, at which the 14 and 18 have
    # moved the end to 28. The end of input fires 24, then the close.
    Answer(
        "timers of sessions that grow",
        Spec(GAP, trigger=TriggerSpec("time", every_ms=15)),
        [0, 6, 14, 18],
        {("a", 0, 24): 1 + 2 + 4, ("a", 0, 28): (15, 15)},
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


@dataclass(frozen=True)
class Untimed:
    name: str
    spec: Spec
    times: list[int]
    sums: list[int]


THREE = WindowSpec("count", size=3)
WHOLE = WindowSpec("global")
UNTIMED = [
    # GlobalWindows: no row is late, and only the end of input fires.
    Untimed("global", Spec(WHOLE), [5, 90, 1], [1 + 2 + 4]),
    Untimed("global, stopped", Spec(WHOLE, end_of_input=False), [5, 90, 1], []),
    Untimed("global on update", Spec(WHOLE, trigger=TriggerSpec("on_update")), [5, 90], [1, 3]),
    # The 1 registers 4, the 5 takes the watermark to it, and the 9 to 8; the end of input is no
    # multiple of 4, and fires the window once.
    Untimed(
        "global by time", Spec(WHOLE, trigger=TriggerSpec("time", every_ms=4)), [1, 5, 9], [3, 7, 7]
    ),
    Untimed(
        "global by count, discarding",
        Spec(WHOLE, trigger=TriggerSpec("count", every=2), accumulation="discarding"),
        [1, 2, 3],
        [1 + 2, 4],
    ),
    # A window that is complete is gone, with what its trigger has counted.
    Untimed(
        "counts by count",
        Spec(THREE, trigger=TriggerSpec("count", every=2)),
        [9, 8, 7, 6, 5],
        [1 + 2, 1 + 2 + 4, 8 + 16],
    ),
    Untimed(
        "counts on update, discarding",
        Spec(THREE, trigger=TriggerSpec("on_update"), accumulation="discarding"),
        [9, 8, 7, 6],
        [1, 2, 4, 8],
    ),
    # The 1 registers 4. The 4 takes the watermark to 3, the 5, which completes the window, to 4.
    Untimed(
        "counts by time, complete",
        Spec(THREE, trigger=TriggerSpec("time", every_ms=4)),
        [1, 4, 5],
        [7],
    ),
    Untimed(
        "counts by time", Spec(THREE, trigger=TriggerSpec("time", every_ms=4)), [1, 5, 6], [3, 7]
    ),
]


@pytest.mark.parametrize("answer", UNTIMED, ids=lambda answer: answer.name)
def test_answer_by_hand_without_bounds_is_that_of_generator_and_engine(answer: Untimed) -> None:
    rows = tuple(InputRow(ts, "a", 2**n) for n, ts in enumerate(answer.times))
    case = expect(answer.name, answer.spec, rows)
    assert [pane.sum for pane in case.panes] == answer.sums
    assert [pane.pane for pane in case.panes] == list(range(len(answer.sums)))
    assert {(pane.window_start, pane.window_end) for pane in case.panes} <= {(None, None)}
    assert case.late == ()
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
