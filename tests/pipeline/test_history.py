"""One program over history and live: what is live is what replay gives, and perfect is perfect."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pystream as ps
from pystream import col
from pystream.errors import ConfigError, OperatorError, SchemaError

SCHEMA = {"user": "string", "amount": "float64", "ts": "timestamp[ms]"}
STRATEGY = ps.WatermarkStrategy.for_bounded_out_of_orderness("30s", timestamp="ts")
DAY_MS = 86_400_000
# Of a day: the same test at full scale is PYSTREAM_DAY_RECORDS=10000000 (docs/semantics.md).
ROWS = int(os.environ.get("PYSTREAM_DAY_RECORDS", "20000"))
SCALE = max(1, ROWS // 200_000)
PARTITIONS = 2
LATE = ps.OutputTag("late")

Rows = list[dict[str, Any]]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ps.Log]:
    with ps.open(tmp_path / "log") as opened:
        opened.create_topic("payments", SCHEMA, key="user", partitions=PARTITIONS)
        yield opened


def day(seed: int = 7) -> pa.Table:
    """Return 24 hours of payments in order of arrival: most a little late, some much."""
    rng = np.random.default_rng(seed)
    due = np.sort(rng.integers(0, DAY_MS, ROWS))
    delay = rng.integers(0, 25_000, ROWS)
    delay[rng.random(ROWS) < 0.02] += 3_600_000
    return pa.table(
        {
            "user": pa.array([f"user-{n}" for n in range(20)]).take(rng.integers(0, 20, ROWS)),
            "amount": pa.array(rng.integers(1, 100, ROWS).astype("float64")),
            "ts": pa.array(due - delay + 1_700_000_000_000, pa.timestamp("ms")),
        }
    )


def hourly(source: ps.Stream, name: str) -> None:
    """Describe the job that runs live, in replay and over files."""
    windows = source.filter(col("amount") > 0).key_by("user").window(ps.hopping("1h", "20m"))
    totals = windows.side_output_late_data(LATE).aggregate(n=ps.count(), total=col("amount").sum())
    totals.sink_to_topic(name)
    totals.side_output(LATE).sink_to_topic(f"{name}-late")


def results(log: ps.Log, topic: str) -> Rows:
    """Return the rows of a topic sorted by window end and key."""
    rows: Rows = ps.Environment(log).from_topic(topic).to_arrow().to_pylist()
    return sorted(rows, key=lambda row: (row.get("window_end", row.get("ts")), str(row)))


def count(log: ps.Log, topic: str) -> int:
    return ps.Environment(log).from_topic(topic).to_arrow().num_rows


def send(log: ps.Log, table: pa.Table, rows: int) -> None:
    with log.producer() as producer:
        for begin in range(0, table.num_rows, rows):
            producer.send_batch("payments", table.slice(begin, rows))


def wait_for(is_true: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(6_000 * SCALE):
        if is_true():
            return
        pause.wait(0.01)
    raise AssertionError(f"it did not come about within {SCALE} minutes")


def test_a_day_live_and_in_replay_gives_the_same_rows(log: ps.Log) -> None:
    """Two producers send a day of event time to a job that is tailing already."""
    table = day()
    env = ps.Environment(log, name="live", parallelism=2)
    hourly(env.from_topic("payments", watermark=STRATEGY), "live")
    with env.execute_async() as job:
        halves = [table.slice(0, ROWS // 2), table.slice(ROWS // 2)]
        send(log, halves[0], 137 * SCALE)
        wait_for(lambda: job.metrics().records_in == ROWS // 2)
        others = [
            threading.Thread(target=send, args=(log, part, 59 * SCALE))
            for part in (halves[1].slice(0, ROWS // 4), halves[1].slice(ROWS // 4))
        ]
        for other in others:
            other.start()
        for other in others:
            other.join()
        wait_for(lambda: job.metrics().records_in == ROWS)
        wait_for(lambda: job.metrics().operators[0].pending_records == 0)
    for parallelism in (1, 2):
        env = ps.Environment(log, parallelism=parallelism)
        hourly(env.from_topic("payments", watermark=STRATEGY), f"replay-{parallelism}")
        env.execute(until="latest", mode="replay")

    live, late = results(log, "live"), results(log, "live-late")
    assert len(late) > 50
    for parallelism in (1, 2):
        replayed = results(log, f"replay-{parallelism}")
        # The live job has not fired what is open at its end: its input has none.
        open_since = max(row["window_end"] for row in live)
        assert [row for row in replayed if row["window_end"] <= open_since] == live
        assert results(log, f"replay-{parallelism}-late") == late


def test_perfect_has_nothing_late_and_each_window_once(log: ps.Log) -> None:
    table = day(seed=8)
    send(log, table, 500)
    env = ps.Environment(log)
    hourly(env.from_topic("payments", watermark=STRATEGY, bounded=True), "perfect")
    assert env.execute(mode="perfect").late_records == 0
    assert count(log, "perfect-late") == 0

    # An order in which nothing is late gives the same windows.
    in_order = table.sort_by("ts")
    env = ps.Environment(log)
    hourly(env.from_arrow(in_order, watermark=STRATEGY), "in-order")
    assert env.execute().late_records == 0
    assert results(log, "perfect") == results(log, "in-order")


def test_perfect_still_wants_an_event_time_of_every_record(log: ps.Log) -> None:
    send(
        log,
        pa.table({"user": ["a"], "amount": [1.0], "ts": pa.array([None], pa.timestamp("ms"))}),
        1,
    )
    env = ps.Environment(log)
    hourly(env.from_topic("payments", watermark=STRATEGY), "perfect")
    with pytest.raises(OperatorError, match="event time is null"):
        env.execute(mode="perfect", until="latest")


def test_perfect_over_an_input_without_end_is_refused_before_anything_runs(log: ps.Log) -> None:
    env = ps.Environment(log)
    hourly(env.from_topic("payments", watermark=STRATEGY), "perfect")
    with pytest.raises(ConfigError, match=r"'payments' is followed without end.*until="):
        env.execute(mode="perfect")
    with pytest.raises(ConfigError, match="mode is 'batch'"):
        env.execute(mode="batch")  # type: ignore[arg-type]
    assert "perfect" not in log.topics()


# -- history, then live --------------------------------------------------------------------------


def test_history_then_live_is_one_job_with_one_watermark(log: ps.Log, tmp_path: Path) -> None:
    """The files hold the first half of the day; the other comes while the job runs."""
    table = day(seed=9)
    for number, begin in enumerate(range(0, ROWS // 2, 3_000)):
        part = table.slice(begin, min(3_000, ROWS // 2 - begin))
        pq.write_table(part, tmp_path / f"part-{number}.parquet")
    env = ps.Environment(log, name="hybrid", parallelism=2)
    history = env.from_parquet(tmp_path / "part-*.parquet", columns=["ts", "user", "amount"])
    source = ps.HybridSource(history, env.from_topic("payments"))
    hourly(env.from_source(source, watermark=STRATEGY), "hybrid")
    with env.execute_async() as job:
        wait_for(lambda: job.metrics().records_in == ROWS // 2)
        send(log, table.slice(ROWS // 2), 211)
        wait_for(lambda: job.metrics().records_in == ROWS)
        wait_for(lambda: job.metrics().operators[0].pending_records == 0)

    env = ps.Environment(log)
    again = ps.HybridSource(env.from_parquet(tmp_path), env.from_topic("payments"))
    hourly(env.from_source(again, watermark=STRATEGY), "replay")
    env.execute(until="latest")
    hybrid, replay = results(log, "hybrid"), results(log, "replay")
    assert [row for row in replay if row["window_end"] <= hybrid[-1]["window_end"]] == hybrid
    assert results(log, "hybrid-late") == results(log, "replay-late")
    assert count(log, "hybrid-late") > 50

    # All rows are there, those of the files once.
    env = ps.Environment(log)
    whole = ps.HybridSource(env.from_parquet(tmp_path), env.from_topic("payments", bounded=True))
    hourly(env.from_source(whole, watermark=STRATEGY), "perfect")
    result = env.execute(mode="perfect")
    assert (result.records_in, result.late_records) == (ROWS, 0)
    assert sum(row["n"] for row in results(log, "perfect")) == 3 * ROWS


def test_live_goes_on_at_the_offsets_it_is_told(log: ps.Log) -> None:
    rows = {"amount": np.arange(4.0), "ts": np.arange(4).astype("datetime64[ms]")}
    with log.producer() as producer:
        for partition in range(PARTITIONS):
            users = np.array(["a"] * 4, dtype=object)
            producer.send_batch("payments", {"user": users, **rows}, partition=partition)
    env = ps.Environment(log)
    history = {"user": np.array(["h"], dtype=object), "amount": [-1.0], "ts": rows["ts"][:1]}
    live = env.from_topic("payments", start=[3, 2])
    source = env.from_source(ps.HybridSource(env.from_arrow(history), live))
    assert source.to_arrow()["amount"].to_pylist() == [-1.0, 3.0, 2.0, 3.0]
    assert "then from_topic('payments', unbounded)" in source.explain()
    with pytest.raises(ConfigError, match="1 offsets, but topic 'payments' has 2 partitions"):
        env.from_topic("payments", start=[3])
    start: Any
    for start in (3, None, datetime(2024, 1, 1), [1.5, 2], [datetime(2024, 1, 1)] * 2):
        with pytest.raises(ConfigError, match=r"start is .*\. Pass .* a list of offsets"):
            env.from_topic("payments", start=start)
    with pytest.raises(ps.errors.OffsetOutOfRangeError):
        env.from_topic("payments", start=np.array([9, 9])).to_arrow()  # type: ignore[arg-type]


def test_parts_that_do_not_fit_are_refused_where_the_chain_is_built(log: ps.Log) -> None:
    env = ps.Environment(log)
    past = env.from_arrow(day().slice(0, 1))
    topic = env.from_topic("payments")
    marked = env.from_topic("payments", watermark=STRATEGY)
    history: Any
    live: Any
    for history, live, message in (
        (1, 2, "no bounded source"),
        (past, "payments", "no topic"),
        (topic, topic, "no bounded source"),
        (past.filter(col("amount") > 0), topic, "no bounded source"),
        (past, past, "no topic"),
        (past, marked, "one for both"),
    ):
        with pytest.raises(ConfigError, match=message):
            ps.HybridSource(history, live)
    for table, message in (
        (day().select(["user", "ts"]), "no column 'amount'"),
        (day().append_column("more", [list(range(ROWS))]), "column 'more'"),
        (
            day().set_column(1, "amount", [list(range(ROWS))]),
            "is int64 in the history, but float64",
        ),
    ):
        with pytest.raises(SchemaError, match=message):
            ps.HybridSource(env.from_arrow(table), topic)
    with pytest.raises(ConfigError, match="from_source got"):
        env.from_source(topic)  # type: ignore[arg-type]


def test_a_bad_row_of_the_history_names_its_file(log: ps.Log, tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("user,amount,ts\na,1.5,2024-01-01\nb,many,2024-01-01\n")
    env = ps.Environment(log)
    history = env.from_csv(tmp_path / "1.csv", schema=SCHEMA)
    source = env.from_source(ps.HybridSource(history, env.from_topic("payments")))
    with pytest.raises(OperatorError, match=r"operator 'from_source-1': .*1.csv: .*#3.*'many'"):
        source.to_arrow()
