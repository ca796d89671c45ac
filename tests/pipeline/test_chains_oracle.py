"""Chains of windows against the model of one record at a time, on random streams.

Each stage of a chain is of any kind of window. The records go through a log with one to three
partitions, in batches cut at random, are filtered, and are read by one and by two threads.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pystream as ps
from pystream import col
from tests.oracle import chains
from tests.oracle.counts import run_counts
from tests.oracle.sessions import run_sessions
from tests.oracle.watermarks import SourceWatermark
from tests.oracle.windows import (
    ON_CLOSE,
    ON_UPDATE,
    Record,
    Result,
    Trigger,
    in_key_order,
    rows,
    run,
)

pytestmark = pytest.mark.usefixtures("also_restored")

Rows = list[tuple[Any, ...]]
Outcome = tuple[Rows, list[int]]
SCHEMA = {"ts": "timestamp[ms]", "k": "int64", "n": "int64", "is_kept": "bool"}


@dataclass(frozen=True)
class Windows:
    """The windows of one stage."""

    kind: str
    size: int
    slide: int = 0
    allowed_lateness: int = 0
    trigger: Trigger = ON_CLOSE

    def run(self, records: Sequence[Record], watermark: SourceWatermark) -> Result:
        if self.kind == "count":
            return run_counts(records, size=self.size, slide=self.slide, source_watermark=watermark)
        if self.kind == "session":
            return run_sessions(
                records,
                gap=self.size,
                allowed_lateness=self.allowed_lateness,
                source_watermark=watermark,
            )
        return run(
            records,
            size=self.size,
            slide=self.slide,
            cumulate=self.kind == "cumulate",
            allowed_lateness=self.allowed_lateness,
            trigger=self.trigger,
            source_watermark=watermark,
        )

    def apply(self, stream: ps.Stream) -> Any:
        """Return the windowed stream, by key."""
        keyed = stream.key_by("k")
        if self.kind == "count":
            return keyed.window(ps.count_window(self.size, slide=self.slide))
        if self.kind == "session":
            windowed = keyed.window(ps.session(f"{self.size}ms"))
        elif self.kind == "cumulate":
            windowed = keyed.window(ps.cumulate(f"{self.size}ms", f"{self.slide}ms"))
        else:
            windowed = keyed.window(ps.hopping(f"{self.size}ms", f"{self.slide}ms"))
        windowed = windowed.allowed_lateness(f"{self.allowed_lateness}ms")
        if self.trigger == ON_UPDATE:
            return windowed.emit("on_update")
        if self.trigger == ON_CLOSE:
            return windowed
        every = None if self.trigger.every_ticks is None else f"{self.trigger.every_ticks}ms"
        return windowed.early(every, count=self.trigger.every)


@dataclass(frozen=True)
class Case:
    stages: tuple[Windows, ...]
    out_of_orderness: int
    partitions: int
    records: tuple[Record, ...]
    cuts: tuple[int, ...]


@st.composite
def windows(draw: st.DrawFn) -> Windows:
    kind = draw(st.sampled_from(["hopping", "hopping", "cumulate", "session", "count"]))
    lateness = draw(st.just(0) | st.integers(1, 60))
    slide = draw(st.integers(1, 40))
    if kind == "count":
        slide = draw(st.integers(1, 4))
        return Windows(kind, slide + draw(st.integers(0, 3)), slide)
    if kind == "session":
        return Windows(kind, slide, 0, lateness)
    size = slide * draw(st.integers(1, 4))
    trigger = draw(
        st.just(ON_CLOSE)
        | st.sampled_from([ON_UPDATE, Trigger(every=2)])
        | st.builds(Trigger, st.none() | st.integers(1, 4), st.integers(1, 50))
    )
    return Windows(kind, size, slide, lateness, trigger)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    partitions = draw(st.integers(1, 3))
    disorder = draw(st.integers(0, 60))
    clock = draw(st.integers(-200, 100))
    records = []
    for _ in range(draw(st.integers(0, 60))):
        clock += draw(st.integers(0, 8) | st.integers(0, 60) | st.just(1000))
        records.append(
            Record(
                timestamp=clock - draw(st.integers(0, disorder)),
                key=(draw(st.sampled_from([0, 1, 2])),),
                values=(draw(st.integers(-5, 5)),),
                partition=draw(st.integers(0, partitions - 1)),
                is_filtered=draw(st.integers(0, 4)) == 0,
            )
        )
    return Case(
        tuple(draw(st.lists(windows(), min_size=2, max_size=3))),
        draw(st.integers(0, 40)),
        partitions,
        tuple(records),
        tuple(draw(st.lists(st.integers(1, 20), min_size=1, max_size=5))),
    )


def table_of(records: Sequence[Record]) -> pa.Table:
    return pa.table(
        {
            "ts": pa.array([record.timestamp for record in records], pa.timestamp("ms")),
            "k": pa.array([record.key[0] for record in records], pa.int64()),
            "n": pa.array([record.values[0] for record in records], pa.int64()),
            "is_kept": pa.array([not record.is_filtered for record in records], pa.bool_()),
        }
    )


def batches_of(case: Case) -> Iterator[Sequence[Record]]:
    """Cut where the partition changes, and after so many records."""
    lengths = itertools.cycle(case.cuts)
    for _, group in itertools.groupby(case.records, key=lambda record: record.partition):
        rest = list(group)
        while rest:
            length = next(lengths)
            yield rest[:length]
            del rest[:length]


def watermark_of(case: Case) -> ps.WatermarkStrategy:
    return ps.WatermarkStrategy.for_bounded_out_of_orderness(
        f"{case.out_of_orderness}ms", timestamp="ts"
    )


def chain(stream: ps.Stream, case: Case) -> tuple[ps.Stream, ps.Stream]:
    """Return the results of the last stage, and what was late for it."""
    stream = stream.filter(col("is_kept"))
    late = ps.OutputTag("late")
    for stage in case.stages:
        windowed = stage.apply(stream)
        if stage.kind != "count":
            windowed = windowed.side_output_late_data(late)
        stream = windowed.aggregate(rows=ps.count(), n=col("n").sum())
    last = case.stages[-1]
    return stream, stream if last.kind == "count" else stream.side_output(late)


def native(stream: ps.Stream, case: Case) -> Outcome:
    result, late = chain(stream, case)
    columns = [column.cast(pa.int64()).to_pylist() for column in result.to_arrow().columns]
    found = list(zip(*columns, strict=True))
    if result is late:
        return found, []
    # The event time of a result is that of the last instant of its window.
    table = late.to_arrow()
    time = "ts" if "ts" in table.column_names else "window_end"
    less = 0 if time == "ts" else 1
    return found, sorted(value - less for value in table[time].cast(pa.int64()).to_pylist())


def expected(case: Case, watermark: SourceWatermark) -> Outcome:
    records: Sequence[Record] = case.records
    for number, windows in enumerate(case.stages):
        result = windows.run(records, watermark)
        if windows.kind in ("hopping", "cumulate") and windows.trigger == ON_CLOSE:
            result.panes = in_key_order(result.panes, records)
        if number + 1 < len(case.stages):
            totals = [row[-1] for row in rows(result, records, [("sum", 0)])]
            records = chains.below(result, totals)
            watermark = chains.watermark_below()
    late = sorted(records[index].timestamp for index in result.late)
    return rows(result, records, [("count_all", None), ("sum", 0)]), late


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ps.Log]:
    with ps.open(tmp_path_factory.mktemp("chains") / "log") as opened:
        yield opened


topics = (f"stream-{number}" for number in itertools.count())


@given(cases())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_chains_over_a_topic_agree_with_the_oracle(log: ps.Log, case: Case) -> None:
    topic = next(topics)
    log.create_topic(topic, schema=SCHEMA, partitions=case.partitions)
    with log.producer(acks="published") as producer:
        for batch in batches_of(case):
            producer.send_batch(topic, table_of(batch), partition=batch[0].partition)
    bounded = SourceWatermark(range(case.partitions), out_of_orderness=case.out_of_orderness)
    wanted = expected(case, bounded)
    for parallelism in (1, 2):
        env = ps.Environment(log, parallelism=parallelism)
        assert (
            native(env.from_topic(topic, watermark=watermark_of(case), bounded=True), case)
            == wanted
        )


@given(cases())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_chains_over_a_table_agree_with_the_oracle(case: Case) -> None:
    """A table in memory is one partition, whatever the records say."""
    tables = [table_of(batch) for batch in batches_of(case)] or table_of([])
    one = replace(case, records=tuple(replace(record, partition=0) for record in case.records))
    wanted = expected(one, SourceWatermark([0], out_of_orderness=case.out_of_orderness))
    assert native(ps.Environment().from_arrow(tables, watermark=watermark_of(case)), case) == wanted


@given(cases())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_perfect_chains_see_no_watermark(log: ps.Log, case: Case) -> None:
    topic, results = next(topics), next(topics)
    log.create_topic(topic, schema=SCHEMA)
    with log.producer(acks="published") as producer:
        for batch in batches_of(case):
            producer.send_batch(topic, table_of(batch), partition=0)
    env = ps.Environment(log)
    stream = env.from_topic(topic, watermark=watermark_of(case), bounded=True)
    result, _ = chain(stream, case)
    result.sink_to_topic(results)
    assert env.execute(mode="perfect").late_records == 0
    table = env.from_topic(results, bounded=True).to_arrow()
    columns = [column.cast(pa.int64()).to_pylist() for column in table.columns]
    wanted, late = expected(case, SourceWatermark(range(4)))  # partition 3 has no records
    assert (list(zip(*columns, strict=True)), late) == (wanted, [])
