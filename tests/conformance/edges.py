"""Cases for single rules, whose rows are chosen and not drawn."""

from __future__ import annotations

from collections.abc import Iterator

from pystream.testing import Case, InputRow, Spec, TriggerSpec, WindowSpec
from tests.conformance.expect import expect

HOUR = 3_600_000
DAY = 24 * HOUR
TEN = WindowSpec("tumbling", size_ms=10)
GAP = WindowSpec("session", gap_ms=10)


def edges() -> Iterator[Case]:
    for name, spec, times in (
        ("no_rows", Spec(TEN), []),
        ("no_rows-stopped", Spec(TEN, end_of_input=False), []),
        ("one_row", Spec(TEN), [7]),
        ("one_row-stopped", Spec(TEN, end_of_input=False), [7]),
        ("equal_times", Spec(TEN), [9, 9, 9, 10, 10, 9]),
        ("descending_times", Spec(TEN), [29, 28, 20, 19, 11, 10, 9, 0]),
        ("largest_time_first", Spec(TEN, watermark_delay_ms=5), [1_000_000, 3, 994_999, 999_994]),
        ("edges_of_windows", Spec(TEN), [-11, -10, -1, 0, 1, 9, 10, 19, 20, -1, 9, 10]),
        ("bound_is_reached", Spec(TEN, watermark_delay_ms=5), [1, 14, 3, 15, 3]),
        (
            "bound_is_reached-stopped",
            Spec(TEN, watermark_delay_ms=5, end_of_input=False),
            [1, 14, 3, 15, 3, 24],
        ),
        ("windows_of_one_tick", Spec(WindowSpec("tumbling", size_ms=1)), [-1, 0, 1, 0, 1, 2]),
        ("slide_of_one_tick", Spec(WindowSpec("hopping", size_ms=3, slide_ms=1)), [-1, 4, 2, 1]),
        (
            "slide_of_all_but_one_tick",
            Spec(WindowSpec("hopping", size_ms=5, slide_ms=4)),
            [-9, -5, -4, 0, 3, 4, 8, 4, 3],
        ),
        (
            "days_east_of_utc",
            Spec(WindowSpec("tumbling", size_ms=DAY, offset_ms=-8 * HOUR), HOUR),
            [16 * HOUR - 1, 16 * HOUR, -8 * HOUR, 17 * HOUR, 16 * HOUR - 1, 3 * DAY],
        ),
        (
            "long_gap",
            Spec(WindowSpec("hopping", size_ms=30, slide_ms=10)),
            [0, 10**12, 10**12 - 5, 10**12 - 20, 10**12 - 30, 2],
        ),
        (
            "lateness-bounds",
            Spec(TEN, allowed_lateness_ms=5),
            [1, 10, 3, 14, 4, 9, 15, 5, 9, 24, 10, 25, 10],
        ),
        (
            "lateness-first_row_is_late",
            Spec(TEN, allowed_lateness_ms=5),
            [12, 3, 2, 14, 1, 15, 0],
        ),
        (
            "lateness-fired_and_open_windows",
            Spec(WindowSpec("hopping", size_ms=30, slide_ms=10), allowed_lateness_ms=10),
            [0, 35, 12, 24, -1, 36, 5, 40, 12, 24],
        ),
        (
            "early_panes-multiples",
            Spec(WindowSpec("tumbling", size_ms=20), trigger=TriggerSpec("time", every_ms=5)),
            [-20, -16, -15, -14, -5, 0, 1, 19, 20, 41],
        ),
        (
            "early_panes-behind_the_watermark",
            Spec(WindowSpec("tumbling", size_ms=20), trigger=TriggerSpec("time", every_ms=4)),
            [0, 17, 3, 18, 1, 25],
        ),
        (
            "early_panes-count_and_close",
            Spec(TEN, trigger=TriggerSpec("count", every=2)),
            [0, 1, 2, 3, 4, 5, 6, 20],
        ),
        (
            "lateness-without_end",
            Spec(TEN, allowed_lateness_ms=2**62 - 1),
            [5, 10**12, 3, 10**12 + 10, -(10**12), 4],
        ),
    ):
        yield expect(name, _described(name, spec), _rows(times))
    yield from _sessions()
    yield from _counts()
    yield from _several_partitions()


def _counts() -> Iterator[Case]:
    """Rows of keys in turn; far behind the watermark, and counted."""
    times = [50, 10, 20, 5, 90, 1, 91, 2, 92, 3, 93, 4, 94]
    for name, window in (
        ("count_one", WindowSpec("count", size=1)),
        ("count_three", WindowSpec("count", size=3)),
        ("count_three_after_each", WindowSpec("count", size=3, slide=1)),
        ("count_three_after_two", WindowSpec("count", size=3, slide=2)),
        ("count_four_after_two", WindowSpec("count", size=4, slide=2)),
        ("count_more_than_there_are", WindowSpec("count", size=8, slide=7)),
    ):
        for end, end_of_input in (("", True), ("-stopped", False)):
            spec = Spec(window, end_of_input=end_of_input)
            yield expect(f"{name}{end}", _described(f"{name}{end}", spec), _rows(times))
    nulls = tuple(InputRow(ts, None if ts % 2 else "a", ts or None) for ts in (1, 0, 3, 0, 5, 7))
    spec = Spec(WindowSpec("count", size=2))
    yield expect("count_nulls", _described("count_nulls", spec), nulls)
    partitions = tuple(InputRow(ts, "a", 2**ts, ts % 2) for ts in range(7))
    spec = Spec(WindowSpec("count", size=3, slide=2), partitions=2)
    yield expect("count_over_partitions", _described("count_over_partitions", spec), partitions)


def _sessions() -> Iterator[Case]:
    """Keys alternate, so that a session of one has two steps between its rows."""
    for name, spec, times in (
        ("session_one_gap_apart", Spec(GAP, 30), [0, 100, 10, 111]),
        ("session_gap_of_one_tick", Spec(WindowSpec("session", gap_ms=1)), [0, 0, 1, 2, 2, 4]),
        ("session_saved", Spec(GAP, 5), [20, 30, 11, 18, 2, 0]),
        ("session_bridges", Spec(GAP, 40), [0, 0, 20, 40, 10, 20, 40, 30]),
        ("session_fired_and_begun_anew", Spec(GAP), [0, 10, 10, 19, 5, 29]),
        (
            "session_fired_and_begun_anew-stopped",
            Spec(GAP, end_of_input=False),
            [0, 10, 10, 19, 5, 29],
        ),
        ("session_across_1970", Spec(GAP, 10), [-9, -15, 1, -5, 9, 30]),
    ):
        yield expect(name, _described(name, spec), _rows(times))


def _rows(times: list[int]) -> tuple[InputRow, ...]:
    return tuple(InputRow(ts, "ab"[n % 2], 2**n) for n, ts in enumerate(times))


def _several_partitions() -> Iterator[Case]:
    slow_and_fast = tuple(
        InputRow(ts, "a", 2**n, partition)
        for n, (ts, partition) in enumerate(
            [(100, 0), (200, 0), (5, 1), (120, 0), (50, 1), (45, 0), (45, 1), (130, 1), (100, 0)]
        )
    )
    for name, end_of_input in (("slow_partition", True), ("slow_partition-stopped", False)):
        spec = Spec(TEN, partitions=2, end_of_input=end_of_input)
        yield expect(name, _described(name, spec), slow_and_fast)
    for name, end_of_input in (("silent_partition", True), ("silent_partition-stopped", False)):
        spec = Spec(TEN, partitions=3, end_of_input=end_of_input)
        yield expect(name, _described(name, spec), slow_and_fast)


def _described(name: str, spec: Spec) -> Spec:
    settings = {**vars(spec), "description": name.replace("_", " ").replace("-", ", ")}
    return Spec(**settings)
