"""The native engine against the model of one record at a time, on random streams.

Records go through a log with one to three partitions, in batches cut at random, and are read by one
and by two threads; windows, rows and late records must equal the oracle's, which knows of none of
this. All sums of floats here are exact, so that they do not depend on order either.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pystream as ps
from pystream import col
from tests.oracle.windows import ON_CLOSE, ON_UPDATE, Record, Trigger, in_key_order, rows, run

KEY_COLUMNS = {
    "text": (pa.string(), st.sampled_from(["", "a", "b", "ä", None])),
    "number": (pa.int64(), st.sampled_from([-1, 0, 1, 2**40, None])),
    "real": (pa.float64(), st.sampled_from([0.0, -0.0, 1.5, float("nan"), None])),
}
VALUE_COLUMNS = {
    "whole": (pa.int64(), st.none() | st.integers(-1000, 1000)),
    "half": (pa.float64(), st.none() | st.integers(-1000, 1000).map(lambda n: n / 2)),
    "name": (pa.string(), st.none() | st.sampled_from(["", "x", "y", "xy", "é"])),
    "flag": (pa.bool_(), st.none() | st.booleans()),
}
KINDS = {
    "whole": ("count", "sum", "mean", "min", "max"),
    "half": ("count", "sum", "mean", "min", "max"),
    "name": ("count", "min", "max"),
    "flag": ("count", "min", "max", "any", "all"),
}
SCHEMA = {
    "id": "int64",
    "ts": "timestamp[ms]",
    "text": "string",
    "number": "int64",
    "real": "float64",
    "whole": "int64",
    "half": "float64",
    "name": "string",
    "flag": "bool",
}
# As (kind, position in VALUE_COLUMNS) for the oracle, and for the pipeline.
Aggregates = dict[str, tuple[tuple[Any, ...], Any]]
Rows = list[tuple[Any, ...]]
FLAG = list(VALUE_COLUMNS).index("flag")
AGGREGATES: Aggregates = {
    "rows": (("count_all", None), ps.count()),
    **{
        f"{kind}_{column}": ((kind, position), getattr(col(column), kind)())
        for position, column in enumerate(VALUE_COLUMNS)
        for kind in KINDS[column]
    },
    "rows_where": (("count_all", None, FLAG), ps.count(where=col("flag"))),
    **{
        f"{kind}_{column}_where": (
            (kind, position, FLAG),
            getattr(col(column), kind)(where=col("flag")),
        )
        for position, column in enumerate(VALUE_COLUMNS)
        for kind in KINDS[column]
    },
}
# Of these the last digits depend on the order of records.
VARIANCES: Aggregates = {
    f"{kind}_{column}": ((kind, position), getattr(col(column), kind)())
    for position, column in enumerate(("whole", "half"))
    for kind in ("var_samp", "var_pop", "stddev_samp", "stddev_pop")
}


TRIGGERS = [ON_UPDATE, Trigger(every=2), Trigger(every=3)]
triggers_of_time = st.builds(Trigger, st.none() | st.integers(1, 4), st.integers(1, 50))


@dataclass(frozen=True)
class Case:
    size: int
    slide: int
    offset: int
    cumulate: bool
    out_of_orderness: int
    allowed_lateness: int
    trigger: Trigger
    discarding: bool
    partitions: int
    keys: tuple[str, ...]
    records: tuple[Record, ...]
    cuts: tuple[int, ...]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    cumulate = draw(st.booleans())
    slide = draw(st.integers(1, 40))
    if cumulate:
        size = slide * draw(st.integers(1, 6))
    else:
        size = draw(st.just(slide) | st.integers(1, 40))  # shorter: gaps between windows
    period = size if cumulate else slide
    offset = draw(st.integers(-period + 1, period - 1))
    partitions = draw(st.integers(1, 3))
    keys = draw(st.lists(st.sampled_from(sorted(KEY_COLUMNS)), unique=True, max_size=2))
    disorder = draw(st.integers(0, 60))
    clock = draw(st.integers(-200, 100))
    records = []
    for _ in range(draw(st.integers(0, 60))):
        clock += draw(st.integers(0, 8) | st.just(1000))
        records.append(
            Record(
                timestamp=clock - draw(st.integers(0, disorder)),
                key=tuple(draw(KEY_COLUMNS[key][1]) for key in keys),
                values=tuple(draw(values) for _, values in VALUE_COLUMNS.values()),
                partition=draw(st.integers(0, partitions - 1)),
            )
        )
    cuts = draw(st.lists(st.integers(1, 20), min_size=1, max_size=5))
    bound = draw(st.integers(0, 40))
    lateness = draw(st.just(0) | st.integers(1, 60) | st.just(2**61))
    trigger = draw(st.just(ON_CLOSE) | st.sampled_from(TRIGGERS) | triggers_of_time)
    return Case(
        size,
        slide,
        offset,
        cumulate,
        bound,
        lateness,
        trigger,
        draw(st.booleans()),
        partitions,
        tuple(keys),
        tuple(records),
        tuple(cuts),
    )


def table_of(case: Case, indexes: list[int]) -> pa.Table:
    records = [case.records[i] for i in indexes]
    columns: dict[str, pa.Array] = {
        "id": pa.array(indexes, pa.int64()),
        "ts": pa.array([record.timestamp for record in records], pa.timestamp("ms")),
    }
    for name, (kind, _) in KEY_COLUMNS.items():
        position = case.keys.index(name) if name in case.keys else None
        values = [None if position is None else record.key[position] for record in records]
        columns[name] = pa.array(values, kind)
    for position, (name, (kind, _)) in enumerate(VALUE_COLUMNS.items()):
        columns[name] = pa.array([record.values[position] for record in records], kind)
    return pa.table(columns)


def publish(log: ps.Log, topic: str, case: Case) -> None:
    """Append the records in their order; a batch ends at a cut or where the partition changes."""
    lengths = itertools.cycle(case.cuts)
    with log.producer(acks="published") as producer:
        begin = 0
        while begin < len(case.records):
            end = begin + 1
            partition = case.records[begin].partition
            length = next(lengths)
            while (
                end < len(case.records)
                and end - begin < length
                and case.records[end].partition == partition
            ):
                end += 1
            producer.send_batch(topic, table_of(case, list(range(begin, end))), partition=partition)
            begin = end


def window_of(case: Case) -> Any:
    offset = f"{case.offset}ms"
    if case.cumulate:
        return ps.cumulate(f"{case.size}ms", f"{case.slide}ms", offset=offset)
    if case.slide == case.size:
        return ps.tumbling(f"{case.size}ms", offset=offset)
    return ps.hopping(f"{case.size}ms", f"{case.slide}ms", offset=offset)


def native(
    stream: ps.Stream, case: Case, aggregates: Aggregates = AGGREGATES
) -> tuple[Rows, list[int]]:
    """Return the result rows of a stream, in order, and the ids of its late records."""
    late = ps.OutputTag("late")
    window = window_of(case)
    windowed = stream.key_by(*case.keys).window(window) if case.keys else stream.window_all(window)
    windowed = windowed.allowed_lateness(f"{case.allowed_lateness}ms")
    trigger = case.trigger
    if trigger == ON_UPDATE:
        windowed = windowed.emit("on_update")
    elif trigger != ON_CLOSE:
        every = None if trigger.every_ticks is None else f"{trigger.every_ticks}ms"
        windowed = windowed.early(every, count=trigger.every)
    if case.discarding:
        windowed = windowed.discarding()
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
    return [comparable(row) for row in found], late_ids


def expected(
    case: Case, partitions: range, aggregates: Aggregates = AGGREGATES
) -> tuple[Rows, list[int]]:
    """Return the result rows, in order, and the indexes of late records."""
    result = run(
        case.records,
        size=case.size,
        slide=case.slide,
        offset=case.offset,
        cumulate=case.cumulate,
        out_of_orderness=case.out_of_orderness,
        allowed_lateness=case.allowed_lateness,
        trigger=case.trigger,
        discarding=case.discarding,
        partitions=partitions,
    )
    if case.trigger == ON_CLOSE and not case.discarding:
        result.panes = in_key_order(result.panes, case.records)
    table = rows(result, case.records, [kind for kind, _ in aggregates.values()])
    return [comparable(row) for row in table], result.late


def comparable(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Make NaN equal to itself and -0.0 (which may stand for a key's zero) equal to 0.0."""
    return tuple(
        comparable(tuple(value))
        if isinstance(value, list)
        else value
        if not isinstance(value, float)
        else "NaN"
        if math.isnan(value)
        else value + 0.0
        for value in row
    )


def watermark_of(case: Case) -> ps.WatermarkStrategy:
    return ps.WatermarkStrategy.for_bounded_out_of_orderness(
        f"{case.out_of_orderness}ms", timestamp="ts"
    )


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ps.Log]:
    with ps.open(tmp_path_factory.mktemp("oracle") / "log") as opened:
        yield opened


topics = (f"stream-{number}" for number in itertools.count())


@given(cases())
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_pipeline_over_a_topic_agrees_with_the_oracle(log: ps.Log, case: Case) -> None:
    topic = next(topics)
    log.create_topic(topic, schema=SCHEMA, partitions=case.partitions)
    publish(log, topic, case)
    wanted, wanted_late = expected(case, range(case.partitions))
    for parallelism in (1, 2):
        env = ps.Environment(log, parallelism=parallelism)
        stream = env.from_topic(topic, watermark=watermark_of(case), bounded=True)
        found, late = native(stream, case)
        assert found == wanted
        assert sorted(late) == wanted_late


@given(cases())
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_variances_agree_with_the_oracle(log: ps.Log, case: Case) -> None:
    topic = next(topics)
    log.create_topic(topic, schema=SCHEMA, partitions=case.partitions)
    publish(log, topic, case)
    wanted, _ = expected(case, range(case.partitions), VARIANCES)
    keyed = len(case.keys) + 2
    for parallelism in (1, 2):
        env = ps.Environment(log, parallelism=parallelism)
        stream = env.from_topic(topic, watermark=watermark_of(case), bounded=True)
        found, _ = native(stream, case, VARIANCES)
        # Panes of one key and window come in one order; of one that fired once there is no doubt.
        by_window = sorted(wanted, key=lambda row: str(row[:keyed]))
        found.sort(key=lambda row: str(row[:keyed]))
        assert len(found) == len(by_window)
        for row, wanted_row in zip(found, by_window, strict=True):
            assert row[:keyed] == wanted_row[:keyed]
            for value, other in zip(row[keyed:], wanted_row[keyed:], strict=True):
                assert value == other or value == pytest.approx(other, rel=1e-9, abs=1e-9)


@given(cases())
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_pipeline_over_a_table_agrees_with_the_oracle(case: Case) -> None:
    """A table in memory is one partition, whatever the records say."""
    whole = table_of(case, list(range(len(case.records))))
    lengths = itertools.cycle(case.cuts)
    batches: list[pa.RecordBatch] = []
    begin = 0
    while begin < len(whole):
        length = next(lengths)
        batches += whole.slice(begin, length).combine_chunks().to_batches()
        begin += length
    case = Case(**{**vars(case), "records": tuple(on_one_partition(r) for r in case.records)})
    wanted, wanted_late = expected(case, range(1))
    table = pa.Table.from_batches(batches, whole.schema)
    stream = ps.Environment().from_arrow(table, watermark=watermark_of(case))
    found, late = native(stream, case)
    assert found == wanted
    assert late == wanted_late


def on_one_partition(record: Record) -> Record:
    return Record(record.timestamp, record.key, record.values)
