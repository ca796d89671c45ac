"""Many sessions of one key that are open at once: a record finds its place among thousands."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa
import pytest

import pystream as ps

GAP = 10
DELAY = 20_000
ROWS = 6_000


def merged(times: list[int]) -> list[tuple[int, int, int]]:
    """Return start, end and length of the sessions of times none of which is late."""
    sessions: list[tuple[int, int, int]] = []
    for time in sorted(times):
        if sessions and time <= sessions[-1][1]:
            start, _, count = sessions.pop()
            sessions.append((start, time + GAP, count + 1))
        else:
            sessions.append((time, time + GAP, 1))
    return sessions


def times_of(seed: int) -> list[int]:
    """Return times that go back by up to the delay, while the watermark goes on."""
    draw = random.Random(seed)
    return [20 * row - draw.randrange(DELAY) for row in range(ROWS)]


@pytest.mark.parametrize("is_triggered", [False, True])
@pytest.mark.parametrize("keys", [1, 2])
def test_records_find_their_sessions_among_a_thousand(keys: int, is_triggered: bool) -> None:
    by_key = {key: times_of(key) for key in range(keys)}
    rows = [(key, times[row]) for row in range(ROWS) for key, times in by_key.items()]
    table = pa.table({"k": [key for key, _ in rows], "ts": [time for _, time in rows]})
    delay = ps.WatermarkStrategy.for_bounded_out_of_orderness(f"{DELAY}ms", timestamp="ts")
    stream = ps.Environment().from_arrow(
        [table.slice(at, 1000) for at in range(0, len(table), 1000)], watermark=delay
    )
    late = ps.OutputTag("late")
    windows: Any = stream.key_by("k").window(ps.session(f"{GAP}ms")).side_output_late_data(late)
    if is_triggered:
        windows = windows.early(count=1_000_000)
    counts = windows.aggregate(n=ps.count())
    found: dict[int, list[tuple[int, ...]]] = {key: [] for key in by_key}
    table = counts.to_arrow()
    for key, *session in zip(*(column.to_pylist() for column in table.columns), strict=True):
        found[key].append(tuple(session))
    assert len(counts.side_output(late).to_arrow()) == 0
    assert found == {key: merged(times) for key, times in by_key.items()}
    assert max(len(sessions) for sessions in found.values()) > 1000
