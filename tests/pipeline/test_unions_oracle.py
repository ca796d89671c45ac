"""Unions against the oracle: order, watermark and late records over random inputs and cuts."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pystream as ps
from pystream import col
from pystream.engines.local import job as local_job
from tests.oracle.sessions import run_sessions
from tests.oracle.triggers import Fixed, run_operator
from tests.oracle.unions import Row, UnionWatermark, order
from tests.oracle.watermarks import SourceWatermark
from tests.oracle.windows import ON_CLOSE, ON_UPDATE, Record, Result, Trigger, run
from tests.pipeline.test_own_triggers import Busy

pytestmark = pytest.mark.usefixtures("also_restored")

SCHEMA = {"ts": "int64", "id": "int64"}
SIZE = 20
ROWS = ("all", "even", "odd")  # inputs that stay records, by the ids that pass
WINDOWS = ("window", "updates", "early", "session", "late", "own", "own_late")
topics = (f"union-{number}" for number in itertools.count())


@dataclass
class Source:
    is_topic: bool
    delay: int
    partitions: list[int]  # numbers that no other source has
    records: list[Record] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)  # arrival in the log, over all sources


@dataclass
class Case:
    sources: list[Source]
    inputs: list[tuple[int, str]]  # of the union: source, and what is done before
    arrivals: list[tuple[int, int]]  # source and index there, in the order of appends
    cuts: list[int]
    turn_rows: int


@st.composite
def cases(draw: st.DrawFn, *, kinds: tuple[str, ...]) -> Case:
    sources = []
    numbers = itertools.count()
    for _ in range(draw(st.integers(1, 3))):
        is_topic = draw(st.booleans())
        partitions = [next(numbers) for _ in range(draw(st.integers(1, 2)) if is_topic else 1)]
        sources.append(Source(is_topic, draw(st.integers(0, 15)), partitions))
    clock = draw(st.integers(-50, 50))
    arrivals = []
    for number in range(draw(st.integers(0, 50))):
        clock += draw(st.integers(0, 6) | st.just(100))
        index = draw(st.integers(0, len(sources) - 1))
        source = sources[index]
        arrivals.append((index, len(source.records)))
        partition = draw(st.sampled_from(source.partitions))
        source.records.append(
            Record(clock - draw(st.integers(0, 30)), (), (number,), partition=partition)
        )
        source.ids.append(number)
    inputs = [(index, draw(st.sampled_from(kinds))) for index in range(len(sources))]
    for _ in range(draw(st.integers(0, 2))):
        index = draw(st.integers(0, len(sources) - 1))
        inputs.append((index, draw(st.sampled_from(kinds))))
    if len(inputs) == 1:
        inputs.append((0, draw(st.sampled_from(kinds))))
    inputs = draw(st.permutations(inputs))
    cuts = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    return Case(sources, list(inputs), arrivals, cuts, draw(st.sampled_from([1, 3, 100])))


# -- the pipeline ------------------------------------------------------------------------------


def table_of(records: list[Record]) -> pa.Table:
    times = pa.array([record.timestamp for record in records], pa.int64())
    return pa.table({"ts": times, "id": pa.array([r.values[0] for r in records], pa.int64())})


def publish(log: ps.Log, case: Case) -> list[str]:
    names = [next(topics) for _ in case.sources]
    for name, source in zip(names, case.sources, strict=True):
        if source.is_topic:
            log.create_topic(name, schema=SCHEMA, partitions=len(source.partitions))

    def place(arrival: tuple[int, int]) -> tuple[int, int]:
        index, row = arrival
        return index, case.sources[index].records[row].partition

    logged = [arrival for arrival in case.arrivals if case.sources[arrival[0]].is_topic]
    lengths = itertools.cycle(case.cuts)
    with log.producer(acks="published") as producer:
        for (index, partition), run_of in itertools.groupby(logged, key=place):
            rest = [case.sources[index].records[row] for _, row in run_of]
            while rest:
                length = next(lengths)
                number = case.sources[index].partitions.index(partition)
                producer.send_batch(names[index], table_of(rest[:length]), partition=number)
                rest = rest[length:]
    return names


def stream_of(env: ps.Environment, source: Source, name: str, cuts: list[int]) -> ps.Stream:
    watermark = ps.WatermarkStrategy.for_bounded_out_of_orderness(
        f"{source.delay}ms", timestamp="ts"
    ).with_max_ahead(None)
    if source.is_topic:
        return env.from_topic(name, watermark=watermark, bounded=True)
    rest, tables = source.records, []
    for length in itertools.cycle(cuts):
        tables.append(table_of(rest[:length]))
        rest = rest[length:]
        if not rest:
            return env.from_arrow(tables, watermark=watermark)
    raise AssertionError


def input_of(stream: ps.Stream, kind: str) -> ps.Stream:
    if kind in ROWS:
        passes = {"all": col("id") >= 0, "even": col("id") % 2 == 0, "odd": col("id") % 2 == 1}
        return stream.filter(passes[kind])
    late = ps.OutputTag("late")
    window = ps.session if kind == "session" else ps.tumbling
    windows = stream.window_all(window(f"{SIZE}ms"))
    if kind == "updates":
        windows = windows.emit("on_update")
    if kind == "early":
        windows = windows.early(count=2)
    if kind.startswith("own"):
        windows = windows.trigger(own_trigger())
    totals = windows.side_output_late_data(late).aggregate(id=col("id").sum())
    if kind.endswith("late"):
        return totals.side_output(late)
    return totals.select(ts=col("window_start"), id=col("id"))


def own_trigger() -> ps.Trigger:
    return Busy(2, 7, ps.TriggerResult.FIRE)


def union_of(log: ps.Log, case: Case, names: list[str], parallelism: int) -> ps.Stream:
    env = ps.Environment(log, parallelism=parallelism)
    streams = [
        stream_of(env, source, name, case.cuts)
        for source, name in zip(case.sources, names, strict=True)
    ]
    first, *others = [input_of(streams[index], kind) for index, kind in case.inputs]
    return first.union(*others)


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Let tables take turns that are short enough to be seen."""
    chosen = {"turn_rows": 1}
    executor = local_job.Executor
    monkeypatch.setattr(
        local_job, "Executor", lambda graph, **given: executor(graph, **given, **chosen)
    )
    return chosen


# -- the oracle --------------------------------------------------------------------------------


def marks_of(case: Case) -> list[SourceWatermark]:
    return [SourceWatermark(s.partitions, out_of_orderness=s.delay) for s in case.sources]


def ordered(case: Case) -> list[tuple[int, int]]:
    marks = marks_of(case)

    def seen(index: int, row: int) -> None:
        record = case.sources[index].records[row]
        marks[index].observe(record.partition, record.timestamp)

    # Of equal watermarks the first of the union's inputs comes first.
    places = list(dict.fromkeys(index for index, _ in case.inputs))
    rows = [
        [
            Row(record, number if case.sources[index].is_topic else None)
            for record, number in zip(
                case.sources[index].records, case.sources[index].ids, strict=True
            )
        ]
        for index in places
    ]
    taken = order(
        rows,
        lambda n: marks[places[n]].current,
        turn_rows=case.turn_rows,
        seen=lambda n, row: seen(places[n], row),
    )
    return [(places[n], row) for n, row in taken]


def passes(kind: str, number: int) -> bool:
    return kind == "all" or kind == ("even" if number % 2 == 0 else "odd")


def events_of(source: Source, kind: str) -> tuple[dict[int, list[Any]], dict[int, list[Any]]]:
    """Return the rows of an input that come at, and right behind, each record of its source."""
    at: dict[int, list[Any]] = defaultdict(list)
    behind: dict[int, list[Any]] = defaultdict(list)
    if kind in ROWS:
        for row, record in enumerate(source.records):
            if passes(kind, record.values[0]):
                at[row].append((record.timestamp, record.values[0]))
        return at, behind
    result = result_of(source, kind)
    if kind.endswith("late"):
        for row in result.late:
            record = source.records[row]
            at[row].append((record.timestamp, record.values[0]))
        return at, behind
    for pane in result.panes:
        total = sum(source.records[member].values[0] for member in pane.members)
        cause = len(source.records) - 1 if pane.fired_after is None else pane.fired_after
        behind[cause].append((pane.start, total))
    return at, behind


def result_of(source: Source, kind: str) -> Result:
    if kind.startswith("own"):
        return run_operator(
            source.records,
            Fixed(SIZE, SIZE),
            own_trigger(),
            out_of_orderness=source.delay,
            partitions=source.partitions,
        )
    triggers = {"updates": ON_UPDATE, "early": Trigger(every=2)}
    mark = SourceWatermark(source.partitions, out_of_orderness=source.delay)
    if kind == "session":
        return run_sessions(source.records, gap=SIZE, source_watermark=mark)
    trigger = triggers.get(kind, ON_CLOSE)
    return run(source.records, size=SIZE, source_watermark=mark, trigger=trigger)


def expected_order(case: Case) -> list[Any]:
    inputs = [(index, *events_of(case.sources[index], kind)) for index, kind in case.inputs]
    rows = []
    for source, row in ordered(case):
        for index, at, _ in inputs:
            rows += at[row] if index == source else []
        for index, _, behind in inputs:
            rows += behind[row] if index == source else []
    return rows


# -- the claims --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ps.Log]:
    with ps.open(tmp_path_factory.mktemp("unions") / "log") as opened:
        yield opened


FIXTURE = HealthCheck.function_scoped_fixture


@given(case=cases(kinds=ROWS + WINDOWS))
@settings(max_examples=80, deadline=None, suppress_health_check=[FIXTURE])
def test_rows_and_results_come_in_the_order_of_what_caused_them(
    log: ps.Log, turns: dict[str, int], case: Case
) -> None:
    turns["turn_rows"] = case.turn_rows
    names = publish(log, case)
    for parallelism in (1, 2):
        found = union_of(log, case, names, parallelism).to_arrow()
        assert list(
            zip(found["ts"].to_pylist(), found["id"].to_pylist(), strict=True)
        ) == expected_order(case)


@given(case=cases(kinds=ROWS))
@settings(max_examples=80, deadline=None, suppress_health_check=[FIXTURE])
def test_windows_over_a_union_follow_the_minimum_of_its_sources(
    log: ps.Log, turns: dict[str, int], case: Case
) -> None:
    turns["turn_rows"] = case.turn_rows
    names = publish(log, case)
    records: list[Record] = []
    for source, row in ordered(case):
        record = case.sources[source].records[row]
        copies = [index == source and passes(kind, record.values[0]) for index, kind in case.inputs]
        records += [Record(record.timestamp, (), record.values, partition=-1)] * sum(copies)
        # It moves the watermark once, also where nothing of it comes through.
        records.append(Record(record.timestamp, partition=record.partition, is_filtered=True))
    source_of = {p: n for n, source in enumerate(case.sources) for p in source.partitions}
    lengths = [len(source.records) for source in case.sources]
    for is_ordered in (False, True):
        watermark = UnionWatermark(marks_of(case), source_of, lengths)
        trigger = {"trigger": ON_UPDATE} if is_ordered else {}
        result = run(records, size=SIZE, source_watermark=watermark, **trigger)  # type: ignore[arg-type]
        panes = [
            (pane.start, len(pane.members), sum(records[m].values[0] for m in pane.members))
            for pane in result.panes
        ]
        late_ids = Counter(records[index].values[0] for index in result.late)
        for parallelism in (1, 2):
            late = ps.OutputTag("late")
            windows = union_of(log, case, names, parallelism).window_all(ps.tumbling(f"{SIZE}ms"))
            windows = windows.emit("on_update") if is_ordered else windows
            totals = windows.side_output_late_data(late).aggregate(n=ps.count(), id=col("id").sum())
            table = totals.to_arrow()
            columns = (table[name].to_pylist() for name in ("window_start", "n", "id"))
            assert list(zip(*columns, strict=True)) == panes
            assert Counter(totals.side_output(late).to_arrow()["id"].to_pylist()) == late_ids
