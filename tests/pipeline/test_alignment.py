"""Watermark alignment: sources that are far ahead wait, and no result changes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pystream as ps
from pystream import errors
from pystream._native import DataType, Executor, Graph, RecordBatch, Schema

TIMES = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
SCHEMA = Schema([("ts", DataType("int64"), False)])
ROWS = 10  # of a round


def batch(times: list[int]) -> RecordBatch:
    return RecordBatch.from_numpy(SCHEMA, {"ts": np.array(times, dtype="int64")})


class Sources:
    """Tables of the core that do not meet, read a few rows at a time."""

    def __init__(self, tables: dict[str, list[int]], drift_ms: int | None) -> None:
        graph = Graph()
        self.collects = {}
        for name, times in tables.items():
            port = graph.add_batch_source(
                name,
                [batch(times[at : at + ROWS]) for at in range(0, len(times), ROWS)],
                SCHEMA,
                event_time="ts",
                alignment=None if drift_ms is None else ("all", drift_ms * 10**6),
            )
            self.collects[name] = graph.add_collect(f"{name}-rows", port)
        self.executor = Executor(graph, turn_rows=ROWS, round_rows=ROWS)

    def step(self) -> tuple[str, dict[str, list[int]]]:
        """Return the status and the rows that each table gave in one pass."""
        status = self.executor.run(0)
        found = {}
        for name, node in self.collects.items():
            parts = [part.column(0).to_numpy() for part in self.executor.take_collected(node)]
            found[name] = [int(time) for part in parts for time in part]
        return status, found

    def metrics(self, name: str) -> Any:
        (found,) = (m for m in self.executor.metrics() if m.name == name)
        return found


def test_a_source_that_is_ahead_waits_for_one_that_has_more_to_read() -> None:
    slow = list(range(100))
    fast = list(range(0, 1000, 10))
    sources = Sources({"slow": slow, "fast": fast}, drift_ms=50)
    read: dict[str, int] = {"slow": -1, "fast": -1}
    leads, drifts = [], []
    while True:
        status, found = sources.step()
        for name, times in found.items():
            read[name] = max([read[name], *times])
        if read["slow"] == 99:
            break
        leads.append(read["fast"] - read["slow"])
        drifts.append(sources.metrics("fast").alignment_drift_ns)
    # By the drift, and what one round brings.
    assert max(leads) <= 50 + ROWS * 10
    assert drifts[-1] == leads[-1] * 10**6
    assert sources.metrics("fast").alignment_pauses > 0
    assert sources.metrics("slow").alignment_pauses == 0
    while status != "finished":  # the other has ended, and holds it no longer
        status, found = sources.step()
        read["fast"] = max([read["fast"], *found["fast"]])
    assert read["fast"] == 990


def test_without_alignment_each_goes_at_its_own_pace() -> None:
    sources = Sources({"slow": list(range(100)), "fast": list(range(0, 1000, 10))}, drift_ms=None)
    while sources.step()[0] != "finished":
        pass
    assert sources.metrics("fast").alignment_pauses == 0
    assert sources.metrics("fast").alignment_drift_ns is None


def test_a_source_alone_is_not_held() -> None:
    sources = Sources({"only": list(range(100))}, drift_ms=0)
    while sources.step()[0] != "finished":
        pass
    assert sources.metrics("only").alignment_pauses == 0


@pytest.mark.parametrize("drift_ms", [0, 50, 10**6])
def test_a_backlog_is_read_as_fast_as_without(drift_ms: int) -> None:
    """No pass of the job reads less, and none reads nothing: nobody waits for time to pass."""
    gaps = [0, 1, 7, 1_000]  # of sources whose records are as far apart as that
    tables = {f"t{gap}": [gap * n for n in range(20 * ROWS)] for gap in gaps}

    def passes(drift: int | None) -> list[int]:
        sources, read = Sources(tables, drift), []
        while True:
            status, found = sources.step()
            read.append(sum(map(len, found.values())))
            if status == "finished":
                return read

    together, alone = passes(drift_ms), passes(None)
    assert sum(together) == sum(alone) == 20 * ROWS * len(gaps)
    # The last passes find only that all is read.
    assert together.count(0) == alone.count(0) <= 2
    assert min(filter(None, together)) >= ROWS
    if drift_ms == 10**6:  # none is ever so far ahead: then there is no difference at all
        assert together == alone


def test_sources_that_go_together_never_wait_however_much_there_is_to_read() -> None:
    times = list(range(0, 1_000_000, 1_000))  # a round is 10 s long, and the drift is one
    sources = Sources({"a": times, "b": times}, drift_ms=10_000)
    steps = 1
    while sources.step()[0] != "finished":
        steps += 1
    assert steps <= len(times) // ROWS + 2  # the last ones find only that all is read
    assert [sources.metrics(name).alignment_pauses for name in "ab"] == [0, 0]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ps.Log]:
    with ps.open(tmp_path_factory.mktemp("aligned") / "log") as opened:
        yield opened


def counts_of(env: ps.Environment, stream: ps.Stream, topic: str) -> None:
    windows = stream.window_all(ps.tumbling("10ms"))
    windows.aggregate(n=ps.count()).sink_to_topic(topic)


def test_a_topic_that_has_nothing_to_read_holds_nobody(log: ps.Log) -> None:
    for topic in ("quiet", "backlog"):
        log.create_topic(topic, schema={"ts": "int64"}, partitions=2)
    with log.producer() as producer:
        producer.send_batch("quiet", {"ts": np.array([5])}, partition=0)  # the other is empty
        producer.send_batch("backlog", {"ts": np.arange(100_000)}, partition=0)
        producer.send_batch("backlog", {"ts": np.arange(100_000)}, partition=1)
    env = ps.Environment(log)
    aligned = TIMES.with_watermark_alignment("all", "0s")
    for topic in ("quiet", "backlog"):
        counts_of(env, env.from_topic(topic, watermark=aligned), f"{topic}-counts")
    job = env._prepare(None, "replay", "local")  # follows the topics without end
    job.step()
    operators = {o.name: o for o in job.metrics().operators}
    assert operators["from_topic-4"].num_records_in == 200_000
    assert operators["from_topic-4"].pending_records == 0
    with log.producer() as producer:  # and comes in when it has something
        producer.send_batch("quiet", {"ts": np.array([7])}, partition=1)
    job.step()
    operators = {o.name: o for o in job.metrics().operators}
    assert operators["from_topic-1"].num_records_in == 2
    assert operators["from_topic-4"].watermark_alignment_drift == pytest.approx(99.994)


@given(
    st.lists(
        st.lists(st.integers(0, 300), max_size=60).map(sorted) | st.lists(st.integers(0, 300)),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 100),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_rows_are_the_same_with_and_without(tables: list[list[int]], drift: int) -> None:
    named = {f"t{number}": times for number, times in enumerate(tables)}

    def rows(drift_ms: int | None) -> dict[str, list[int]]:
        sources = Sources(named, drift_ms)
        found: dict[str, list[int]] = {name: [] for name in named}
        for _ in range(10_000):  # far more than there are rounds: none waits for ever
            status, new = sources.step()
            for name, times in new.items():
                found[name] += times
            if status == "finished":
                return found
        raise AssertionError("the job stands still")

    assert rows(drift) == rows(None) == named


@pytest.mark.parametrize("parallelism", [1, 2])
def test_late_rows_and_unions_are_the_same_with_and_without(
    tmp_path: Path, parallelism: int
) -> None:
    rng = np.random.default_rng(4)

    def times(start: int, end: int, size: int) -> pa.Table:
        ordered = np.linspace(start, end, size).astype("int64")
        return pa.table({"ts": ordered + rng.integers(-500, 500, size)})

    tables = [times(0, 200_000, 90_000), times(100_000, 150_000, 80_000), times(0, 9_000, 100)]

    def run(name: str, strategy: ps.WatermarkStrategy) -> list[pa.Table]:
        env = ps.Environment(parallelism=parallelism)
        first, second, third = (env.from_arrow(table, watermark=strategy) for table in tables)
        late = ps.OutputTag("late")
        for number, stream in enumerate((first.union(second), third)):
            windows = stream.window_all(ps.tumbling("1s")).side_output_late_data(late)
            counts = windows.aggregate(n=ps.count())
            counts.sink_to_parquet(tmp_path / f"{name}-{number}.parquet")
            counts.side_output(late).sink_to_parquet(tmp_path / f"{name}-late-{number}.parquet")
        env.execute()
        files = sorted(tmp_path.glob(f"{name}-*.parquet"))
        return [ps.Environment().from_parquet(file).to_arrow() for file in files]

    strategy = ps.WatermarkStrategy.for_bounded_out_of_orderness("100ms", timestamp="ts")
    alone = run("alone", strategy)
    assert run("aligned", strategy.with_watermark_alignment("all", "1s")) == alone
    assert sum(table.num_rows for table in alone) > 1000


class Unions:
    """Unions of tables of the core, each of which is aligned under a name of its own."""

    def __init__(self, unions: list[list[tuple[str, list[int]]]], drift_ms: int | None) -> None:
        graph = Graph()
        self.collects = []
        for number, tables in enumerate(unions):
            ports = [
                graph.add_batch_source(
                    f"{number}-{part}",
                    [batch(times[at : at + ROWS]) for at in range(0, len(times), ROWS)],
                    SCHEMA,
                    event_time="ts",
                    alignment=None if drift_ms is None else (alignment, drift_ms * 10**6),
                )
                for part, (alignment, times) in enumerate(tables)
            ]
            union = graph.add_union(f"union-{number}", ports)
            self.collects.append(graph.add_collect(f"rows-{number}", union))
        self.executor = Executor(graph, turn_rows=ROWS, round_rows=ROWS)

    def rows(self) -> list[list[int]]:
        found: list[list[int]] = [[] for _ in self.collects]
        for _ in range(10_000):
            status = self.executor.run(0)
            for number, node in enumerate(self.collects):
                for part in self.executor.take_collected(node):
                    found[number] += part.column(0).to_numpy().tolist()
            if status == "finished":
                return found
        raise AssertionError("the job stands still")


def test_unions_that_are_ahead_of_each_other_in_different_alignments_do_not_stand_still() -> None:
    early, late = list(range(100)), list(range(1000, 1100))
    unions = [[("a", early), ("b", late)], [("a", late), ("b", early)]]
    assert Unions(unions, 10).rows() == Unions(unions, None).rows()


@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from("abc"), st.lists(st.integers(0, 300), max_size=40)),
            min_size=1,
            max_size=3,
        ),
        min_size=2,
        max_size=4,
    ),
    st.integers(0, 50),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_unions_give_the_same_rows_however_they_are_aligned(
    unions: list[list[tuple[str, list[int]]]], drift: int
) -> None:
    assert Unions(unions, drift).rows() == Unions(unions, None).rows()


def test_explain_and_settings() -> None:
    aligned = TIMES.with_watermark_alignment("clicks", "5s").with_idleness("1m")
    stream = ps.Environment().from_arrow({"ts": np.array([1])}, watermark=aligned)
    assert "aligned in 'clicks' within 5000000000 ns" in stream.explain()
    with pytest.raises(errors.ConfigError, match="the group of an alignment is ''"):
        TIMES.with_watermark_alignment("", "5s")
    with pytest.raises(errors.ConfigError, match="max_drift is -5s"):
        TIMES.with_watermark_alignment("clicks", "-5s")
    assert TIMES.with_watermark_alignment("clicks", "106751d").alignment is not None
    for drift in ("110000d", timedelta(days=110_000)):
        with pytest.raises(errors.ConfigError, match=r"max_drift is 110000 ?d.* 292 years"):
            TIMES.with_watermark_alignment("clicks", drift)
    with pytest.raises(errors.ConfigError, match="on processing time"):
        ps.WatermarkStrategy.for_processing_time().with_watermark_alignment("clicks", "5s")
