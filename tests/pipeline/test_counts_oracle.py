"""Count windows against the model of one record at a time, on random streams.

As in test_sessions_oracle.py: several partitions, cuts at random, one and two threads, results in
the order of the model.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pystream as ps
from tests.oracle.counts import run_counts
from tests.oracle.windows import rows
from tests.pipeline import test_sessions_oracle as sessions
from tests.pipeline import test_windows_oracle as windows
from tests.pipeline.test_aggregates_oracle import LISTED, PICKED

Counts = tuple[int, int]  # size and slide
# Those of a fixed size, in the row of accumulators.
NUMBERS = {
    name: parts
    for name, parts in windows.AGGREGATES.items()
    if not name.startswith(("min_name", "max_name"))
}


def counts() -> st.SearchStrategy[Counts]:
    uneven = st.integers(1, 12).flatmap(lambda size: st.tuples(st.just(size), st.integers(1, size)))
    return uneven | st.integers(1, 6).map(lambda size: (size, size))


@st.composite
def overlapping(draw: st.DrawFn) -> tuple[sessions.Case, Counts]:
    """Return windows of many slides, and few enough keys to fill them."""
    case = draw(sessions.cases(max_records=90))
    slide = draw(st.integers(1, 3))
    size = draw(st.integers(4 * slide, 12 * slide))
    return case, (size, slide)


def expected(case: sessions.Case, counts: Counts, aggregates: windows.Aggregates) -> list[Any]:
    result = run_counts(case.records, size=counts[0], slide=counts[1])
    table = rows(result, case.records, [kind for kind, _ in aggregates.values()])
    return [windows.comparable(row) for row in table]


def native(
    stream: ps.Stream, case: sessions.Case, counts: Counts, aggregates: windows.Aggregates
) -> list[Any]:
    late = ps.OutputTag("late")
    window = ps.count_window(counts[0], slide=counts[1])
    windowed = stream.key_by(*case.keys).window(window) if case.keys else stream.window_all(window)
    result = windowed.side_output_late_data(late).aggregate(
        **{name: aggregation for name, (_, aggregation) in aggregates.items()}
    )
    assert len(result.side_output(late).to_arrow()) == 0
    table = result.to_arrow()
    columns = [
        column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        for column in table.columns
    ]
    found = zip(*(column.to_pylist() for column in columns), strict=True)
    return [windows.comparable(row) for row in found]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ps.Log]:
    with ps.open(tmp_path_factory.mktemp("counts") / "log") as opened:
        yield opened


topics = (f"counts-{number}" for number in itertools.count())


@given(sessions.cases(), counts())
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_count_windows_over_a_topic_agree_with_the_oracle(
    log: ps.Log, case: sessions.Case, counts: Counts
) -> None:
    topic = next(topics)
    sessions.publish(log, topic, case)
    wanted = expected(case, counts, windows.AGGREGATES)
    for parallelism in (1, 2):
        env = ps.Environment(log, parallelism=parallelism)
        watermark = windows.watermark_of(case)  # type: ignore[arg-type]
        stream = env.from_topic(topic, watermark=watermark, bounded=True)
        assert native(stream, case, counts, windows.AGGREGATES) == wanted


@given(sessions.cases(), counts())
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_picked_values_of_count_windows_agree_with_the_oracle(
    case: sessions.Case, counts: Counts
) -> None:
    tables = [sessions.table_of(case, indexes) for indexes in sessions.batches_of(case)]
    whole = pa.concat_tables([sessions.table_of(case, []), *tables])
    watermark = windows.watermark_of(case)  # type: ignore[arg-type]
    stream = ps.Environment().from_arrow(whole, watermark=watermark)
    aggregates = {**PICKED, **LISTED}
    assert native(stream, case, counts, aggregates) == expected(case, counts, aggregates)


@given(overlapping())
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_windows_that_overlap_many_times_agree_with_the_oracle(
    drawn: tuple[sessions.Case, Counts],
) -> None:
    """They are summed up in parts where no aggregate forbids it."""
    case, counts = drawn
    tables = [sessions.table_of(case, indexes) for indexes in sessions.batches_of(case)]
    watermark = windows.watermark_of(case)  # type: ignore[arg-type]
    stream = ps.Environment().from_arrow(
        [sessions.table_of(case, []), *tables], watermark=watermark
    )
    assert native(stream, case, counts, NUMBERS) == expected(case, counts, NUMBERS)


def test_windows_that_overlap_many_times_are_those_of_few_records() -> None:
    """Three keys, thousands of records: what is summed up in parts is given away in time."""
    n = 30_000
    keys = [i * i % 7 % 3 for i in range(n)]
    values = [(i * 7919) % 1000 - 500 for i in range(n)]
    stream = ps.Environment().from_arrow(
        [
            pa.table({"k": pa.array(keys[at : at + 997]), "v": pa.array(values[at : at + 997])})
            for at in range(0, n, 997)
        ]
    )
    for size, slide in ((100, 1), (100, 7), (64, 8), (9, 1)):
        windowed = stream.key_by("k").window(ps.count_window(size, slide=slide))
        v = ps.col("v")
        table = windowed.aggregate(
            n=ps.count(), total=v.sum(), low=v.min(), high=v.max()
        ).to_arrow()
        found: dict[int, list[tuple[int, ...]]] = {}
        for key, *row in zip(*(column.to_pylist() for column in table.columns), strict=True):
            found.setdefault(key, []).append(tuple(row))
        for key in set(keys):
            mine = [value for k, value in zip(keys, values, strict=True) if k == key]
            parts = [mine[max(0, end - size) : end] for end in range(slide, len(mine) + 1, slide)]
            assert found[key] == [(len(p), sum(p), min(p), max(p)) for p in parts]
