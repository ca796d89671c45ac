"""Windows over event times of every type and unit against the oracle, which counts ticks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pystream as ps
from pystream import col
from tests.oracle.event_times import TIME_TYPES, TimeType
from tests.oracle.sessions import run_sessions
from tests.oracle.windows import Record, Result, run

topics = (f"times-{number}" for number in itertools.count())


class Windows(NamedTuple):
    """Windows in ticks, and the stream that goes into them."""

    kind: str
    size: int
    slide: int
    out_of_orderness: int
    allowed_lateness: int
    times: list[int]
    cuts: list[int]


@st.composite
def windows(draw: st.DrawFn) -> Windows:
    kind = draw(st.sampled_from(["tumbling", "hopping", "cumulate", "session", "gaps"]))
    slide = draw(st.integers(1, 9))
    size = slide * draw(st.integers(1, 4)) if kind == "cumulate" else draw(st.integers(1, 20))
    clock = draw(st.integers(-100, 10_000))
    times = []
    for _ in range(draw(st.integers(1, 30))):
        clock += draw(st.integers(0, 12))
        times.append(clock - draw(st.integers(0, 20)))
    lateness = draw(st.just(0) | st.integers(1, 20))
    cuts = draw(st.lists(st.integers(1, 8), min_size=1, max_size=4))
    return Windows(kind, size, slide, draw(st.integers(0, 15)), lateness, times, cuts)


def text(ticks: int, time: TimeType) -> str:
    return f"{ticks * time.tick_ns}ns"


def tables(case: Windows, time: TimeType) -> Iterator[pa.Table]:
    """Yield the stream in batches."""
    begin = 0
    for length in itertools.cycle(case.cuts):
        times = case.times[begin : begin + length]
        if not times:
            return
        ids = pa.array(range(begin, begin + len(times)), pa.int64())
        gaps = [case.size * time.tick_ns] * len(times)
        yield pa.table(
            {"ts": ticks(times, time), "id": ids, "gap": pa.array(gaps, pa.duration("ns"))}
        )
        begin += length


def ticks(times: list[int], time: TimeType) -> pa.Array:
    if time.name == "date32":
        return pa.array(times, pa.int32()).cast(pa.date32())
    kind = time.name.removeprefix("timestamp[").rstrip("]").split(", ")
    integers = pa.array(times, pa.int64())
    return integers if time.name == "int64" else integers.cast(pa.timestamp(*kind))


def strategy(case: Windows, time: TimeType) -> ps.WatermarkStrategy:
    bound: Any = time.unit
    return ps.WatermarkStrategy.for_bounded_out_of_orderness(
        text(case.out_of_orderness, time), timestamp="ts", unit=bound
    ).with_max_ahead(None)


def window(case: Windows, time: TimeType) -> Any:
    size, slide = text(case.size, time), text(case.slide, time)
    match case.kind:
        case "hopping":
            return ps.hopping(size, slide)
        case "cumulate":
            return ps.cumulate(size, slide)
        case "session":
            return ps.session(size)
        case "gaps":
            return ps.session(col("gap"))
    return ps.tumbling(size)


def expected(case: Windows) -> tuple[list[tuple[int, int, int, int]], list[int]]:
    records = [Record(time) for time in case.times]
    allowed = {
        "out_of_orderness": case.out_of_orderness,
        "allowed_lateness": case.allowed_lateness,
    }
    result: Result
    if case.kind in ("session", "gaps"):
        result = run_sessions(records, gap=case.size, **allowed)
    else:
        slide = case.size if case.kind == "tumbling" else case.slide
        cumulate = case.kind == "cumulate"
        result = run(records, size=case.size, slide=slide, cumulate=cumulate, **allowed)
    panes = [(pane.start, pane.end, len(pane.members), sum(pane.members)) for pane in result.panes]
    return panes, result.late


def native(
    stream: ps.Stream, case: Windows, time: TimeType
) -> tuple[list[tuple[int, ...]], list[int]]:
    late = ps.OutputTag("late")
    windowed = stream.window_all(window(case, time)).side_output_late_data(late)
    if case.allowed_lateness:
        windowed = windowed.allowed_lateness(text(case.allowed_lateness, time))
    counts = windowed.aggregate(n=ps.count(), ids=col("id").sum())
    table = counts.to_arrow()
    assert str(stream.schema.fields[0][1]) == time.name  # a unit changes no type
    columns = [integers(table[name]) for name in ("window_start", "window_end", "n", "ids")]
    return list(zip(*columns, strict=True)), counts.side_output(late).to_arrow()["id"].to_pylist()


def integers(column: Any) -> list[int]:
    narrow = pa.int32() if pa.types.is_date(column.type) else pa.int64()
    found: list[int] = column.cast(narrow).to_pylist()
    return found


@pytest.mark.parametrize("time", TIME_TYPES, ids=lambda it: f"{it.name}-{it.unit}")
@given(case=windows())
@settings(max_examples=40)
def test_a_table_agrees_with_the_oracle(time: TimeType, case: Windows) -> None:
    stream = ps.Environment().from_arrow(list(tables(case, time)), watermark=strategy(case, time))
    assert native(stream, case, time) == expected(case)


@given(case=windows())
@settings(max_examples=20)
def test_dates_that_arrow_keeps_in_milliseconds_are_dates(case: Windows) -> None:
    days = TimeType("date32")
    batches = [
        table.set_column(0, "ts", table["ts"].cast(pa.date64())) for table in tables(case, days)
    ]
    stream = ps.Environment().from_arrow(batches, watermark=strategy(case, days))
    assert native(stream, case, days) == expected(case)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ps.Log]:
    with ps.open(tmp_path_factory.mktemp("units") / "log") as opened:
        yield opened


@pytest.mark.parametrize("time", TIME_TYPES, ids=lambda it: f"{it.name}-{it.unit}")
@given(case=windows())
@settings(max_examples=10)
def test_a_topic_agrees_with_the_oracle_and_so_do_the_record_timestamps_of_its_results(
    log: ps.Log, time: TimeType, case: Windows
) -> None:
    topic, results, copy = next(topics), next(topics), next(topics)
    log.create_topic(topic, {"ts": time.name, "id": "int64", "gap": "duration[ns]"})
    with log.producer(acks="published") as producer:
        for table in tables(case, time):
            producer.send_batch(topic, table)
    env = ps.Environment(log, parallelism=2)
    stream = env.from_topic(topic, watermark=strategy(case, time), bounded=True)
    found = native(stream, case, time)
    panes, late = expected(case)
    assert (found[0], sorted(found[1])) == (panes, late)
    stream.window_all(window(case, time)).aggregate(n=ps.count()).sink_to_topic(results)
    stream.sink_to_topic(copy)
    env.execute(mode="perfect")
    for name, column, shift in ((results, "window_end", -1), (copy, "ts", 0)):
        table = ps.Environment(log).from_topic(name, timestamp_column="at", bounded=True).to_arrow()
        wanted = [time.record_timestamp(tick + shift) for tick in integers(table[column])]
        assert integers(table["at"]) == wanted
