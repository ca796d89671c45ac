"""Punctuated watermarks against the oracle, over random cuts, partitions and threads."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pystream as ps
from tests.oracle.watermarks import SourceWatermark
from tests.oracle.windows import Record, run

PARTITIONS = 2
SIZE, SLIDE = 20, 10
SCHEMA = {"id": "int64", "ts": "timestamp[ms]", "mark": "timestamp[ms]"}
MARKED = ps.WatermarkStrategy.for_punctuated("mark", timestamp="ts").with_max_ahead(None)
topics = (f"stream-{number}" for number in itertools.count())


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[Record], list[int]]:
    """Return records, of which some carry a watermark, and the lengths of batches."""
    clock = draw(st.integers(-200, 100))
    records = []
    for _ in range(draw(st.integers(0, 40))):
        clock += draw(st.integers(0, 8) | st.just(1000))
        mark = draw(st.none() | st.integers(-60, 20))
        records.append(
            Record(
                clock - draw(st.integers(0, 60)),
                partition=draw(st.integers(0, PARTITIONS - 1)),
                mark=None if mark is None else clock + mark,
            )
        )
    return records, draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))


def table_of(records: list[Record], indexes: range) -> pa.Table:
    return pa.table(
        {
            "id": pa.array(indexes, pa.int64()),
            "ts": pa.array([records[i].timestamp for i in indexes], pa.timestamp("ms")),
            "mark": pa.array([records[i].mark for i in indexes], pa.timestamp("ms")),
        }
    )


def batches_of(records: list[Record], lengths: list[int]) -> Iterator[range]:
    """Cut where the partition changes, and after so many records."""
    begin = 0
    for length in itertools.cycle(lengths):
        if begin >= len(records):
            return
        end = begin + 1
        while (
            end < min(len(records), begin + length)
            and records[end].partition == records[begin].partition
        ):
            end += 1
        yield range(begin, end)
        begin = end


def native(stream: ps.Stream) -> tuple[Counter[Any], list[int]]:
    late = ps.OutputTag("late")
    windows = stream.window_all(ps.hopping(f"{SIZE}ms", f"{SLIDE}ms"))
    totals = windows.side_output_late_data(late).aggregate(n=ps.count(), ids=ps.col("id").sum())
    columns = [column.cast(pa.int64()).to_pylist() for column in totals.to_arrow().columns]
    ids: list[int] = totals.side_output(late).to_arrow()["id"].to_pylist()
    return Counter(zip(*columns, strict=True)), sorted(ids)


def expected(records: list[Record], partitions: range) -> tuple[Counter[Any], list[int]]:
    watermark = SourceWatermark(partitions, is_punctuated=True)
    result = run(records, size=SIZE, slide=SLIDE, partitions=partitions, source_watermark=watermark)
    rows = [(pane.start, pane.end, len(pane.members), sum(pane.members)) for pane in result.panes]
    return Counter(rows), result.late


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ps.Log]:
    with ps.open(tmp_path_factory.mktemp("marks") / "log") as opened:
        yield opened


@given(streams())
@settings(max_examples=50, deadline=None)
def test_marks_of_a_topic_agree_with_the_oracle(
    log: ps.Log, case: tuple[list[Record], list[int]]
) -> None:
    records, lengths = case
    topic = next(topics)
    log.create_topic(topic, schema=SCHEMA, partitions=PARTITIONS)
    with log.producer(acks="published") as producer:
        for indexes in batches_of(records, lengths):
            table = table_of(records, indexes)
            producer.send_batch(topic, table, partition=records[indexes[0]].partition)
    wanted = expected(records, range(PARTITIONS))
    for parallelism in (1, 2):
        env = ps.Environment(log, parallelism=parallelism)
        assert native(env.from_topic(topic, watermark=MARKED, bounded=True)) == wanted


@given(streams())
@settings(max_examples=50, deadline=None)
def test_marks_of_a_table_agree_with_the_oracle(case: tuple[list[Record], list[int]]) -> None:
    records, lengths = case
    tables = [table_of(records, indexes) for indexes in batches_of(records, lengths)]
    stream = ps.Environment().from_arrow(tables or table_of([], range(0)), watermark=MARKED)
    single = [Record(record.timestamp, mark=record.mark) for record in records]
    assert native(stream) == expected(single, range(1))


@given(streams())
@settings(max_examples=40, deadline=None)
def test_topics_that_are_read_as_one_agree_with_the_oracle(
    log: ps.Log, case: tuple[list[Record], list[int]]
) -> None:
    """Each partition of the oracle is a topic of its own here."""
    records, lengths = case
    names = [next(topics) for _ in range(PARTITIONS)]
    for name in names:
        log.create_topic(name, schema=SCHEMA)
    with log.producer(acks="published") as producer:
        for indexes in batches_of(records, lengths):
            table = table_of(records, indexes)
            producer.send_batch(names[records[indexes[0]].partition], table, partition=0)
    wanted = expected(records, range(PARTITIONS))
    for parallelism in (1, 2):
        env = ps.Environment(log, parallelism=parallelism)
        assert native(env.from_topic(names, watermark=MARKED, bounded=True)) == wanted
