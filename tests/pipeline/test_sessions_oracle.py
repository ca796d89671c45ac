"""Sessions against the model of one record at a time, on random streams.

As in test_windows_oracle.py, whose columns and batches these are: several partitions, cuts at
random, one and two threads, constant gaps and gaps from columns. Results must come in the order of
the model, too.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pystream as ps
from pystream import col
from tests.oracle.sessions import run_sessions
from tests.oracle.windows import Record, rows
from tests.pipeline import test_windows_oracle as windows
from tests.pipeline.test_aggregates_oracle import COUNTED, LISTED, PICKED


@dataclass(frozen=True)
class Case:
    gap: int | None  # None: of each record, its column "gap"
    gaps: tuple[int, ...]
    out_of_orderness: int
    partitions: int
    keys: tuple[str, ...]
    records: tuple[Record, ...]
    cuts: tuple[int, ...]


@st.composite
def cases(draw: st.DrawFn, *, max_records: int = 60) -> Case:
    partitions = draw(st.integers(1, 3))
    keys = draw(st.lists(st.sampled_from(sorted(windows.KEY_COLUMNS)), unique=True, max_size=2))
    disorder = draw(st.integers(0, 60))
    clock = draw(st.integers(-200, 100))
    records, gaps = [], []
    for _ in range(draw(st.integers(0, max_records))):
        clock += draw(st.integers(0, 8) | st.integers(0, 30))
        records.append(
            Record(
                timestamp=clock - draw(st.integers(0, disorder)),
                key=tuple(draw(windows.KEY_COLUMNS[key][1]) for key in keys),
                values=tuple(draw(values) for _, values in windows.VALUE_COLUMNS.values()),
                partition=draw(st.integers(0, partitions - 1)),
            )
        )
        gaps.append(draw(st.integers(1, 30)))
    return Case(
        draw(st.none() | st.integers(1, 25)),
        tuple(gaps),
        draw(st.integers(0, 40)),
        partitions,
        tuple(keys),
        tuple(records),
        tuple(draw(st.lists(st.integers(1, 20), min_size=1, max_size=5))),
    )


def table_of(case: Case, indexes: list[int]) -> pa.Table:
    table = windows.table_of(case, indexes)  # type: ignore[arg-type]
    # A gap column that is not needed holds what would be an error.
    gaps = [case.gaps[i] if case.gap is None else None for i in indexes]
    return table.append_column("gap", pa.array(gaps, pa.int32()))


def batches_of(case: Case) -> Iterator[list[int]]:
    """Yield the indexes of each batch; one ends at a cut or where the partition changes."""
    lengths = itertools.cycle(case.cuts)
    begin = 0
    while begin < len(case.records):
        limit = min(begin + next(lengths), len(case.records))
        end = begin + 1
        while end < limit and case.records[end].partition == case.records[begin].partition:
            end += 1
        yield list(range(begin, end))
        begin = end


def expected(
    case: Case, partitions: range, aggregates: windows.Aggregates
) -> tuple[list[Any], list[int]]:
    result = run_sessions(
        case.records,
        gap=case.gaps if case.gap is None else case.gap,
        out_of_orderness=case.out_of_orderness,
        partitions=partitions,
    )
    table = rows(result, case.records, [kind for kind, _ in aggregates.values()])
    return [windows.comparable(row) for row in table], result.late


def native(
    stream: ps.Stream, case: Case, aggregates: windows.Aggregates
) -> tuple[list[Any], list[int]]:
    """Return the result rows in their order, and the ids of late records."""
    late = ps.OutputTag("late")
    window = ps.session(col("gap") * 1 if case.gap is None else f"{case.gap}ms")
    windowed = stream.key_by(*case.keys).window(window) if case.keys else stream.window_all(window)
    result = windowed.side_output_late_data(late).aggregate(
        **{name: aggregation for name, (_, aggregation) in aggregates.items()}
    )
    table = result.to_arrow()
    columns = [
        column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        for column in table.columns
    ]
    found = zip(*(column.to_pylist() for column in columns), strict=True)
    late_ids = result.side_output(late).to_arrow()["id"].to_pylist()
    return [windows.comparable(row) for row in found], late_ids


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ps.Log]:
    with ps.open(tmp_path_factory.mktemp("sessions") / "log") as opened:
        yield opened


def publish(log: ps.Log, topic: str, case: Case) -> None:
    """Make a topic of the records, in their order and batches."""
    log.create_topic(topic, schema={**windows.SCHEMA, "gap": "int32"}, partitions=case.partitions)
    with log.producer(acks="published") as producer:
        for indexes in batches_of(case):
            partition = case.records[indexes[0]].partition
            producer.send_batch(topic, table_of(case, indexes), partition=partition)


topics = (f"sessions-{number}" for number in itertools.count())


@given(cases())
@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
def test_sessions_over_a_topic_agree_with_the_oracle(log: ps.Log, case: Case) -> None:
    topic = next(topics)
    publish(log, topic, case)
    wanted, wanted_late = expected(case, range(case.partitions), windows.AGGREGATES)
    for parallelism in (1, 2):
        env = ps.Environment(log, parallelism=parallelism)
        watermark = windows.watermark_of(case)  # type: ignore[arg-type]
        stream = env.from_topic(topic, watermark=watermark, bounded=True)
        found, late = native(stream, case, windows.AGGREGATES)
        assert found == wanted
        assert late == wanted_late


@given(cases())
@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
def test_state_beside_rows_of_sessions_over_a_table_agrees_with_the_oracle(case: Case) -> None:
    """A table in memory is one partition, whatever the records say."""
    aggregates = {**PICKED, **COUNTED, **LISTED}
    tables = [table_of(case, indexes) for indexes in batches_of(case)]
    case = Case(
        **{**vars(case), "records": tuple(windows.on_one_partition(r) for r in case.records)}
    )
    wanted, wanted_late = expected(case, range(1), aggregates)
    whole = pa.concat_tables([table_of(case, []), *tables])
    watermark = windows.watermark_of(case)  # type: ignore[arg-type]
    stream = ps.Environment().from_arrow(whole, watermark=watermark)
    found, late = native(stream, case, aggregates)
    assert found == wanted
    assert late == wanted_late
