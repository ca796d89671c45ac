"""What a job says about itself while it runs: the counters of its operators, from any thread."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import pystream as ps
from pystream import col
from pystream.engines.local.metrics import read_operator

SCHEMA = {"user": "string", "amount": "float64", "ts": "timestamp[ms]"}
MILLIS = ps.WatermarkStrategy.for_bounded_out_of_orderness("5s", timestamp="ts")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ps.Log]:
    with ps.open(tmp_path / "log") as opened:
        opened.create_topic("payments", schema=SCHEMA)
        yield opened


@pytest.fixture(autouse=True)
def in_own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def send(log: ps.Log, *rows: tuple[str, float, int]) -> None:
    with log.producer() as producer:
        for user, amount, ts in rows:
            producer.send("payments", {"user": user, "amount": amount, "ts": ts})


def totals(env: ps.Environment) -> ps.Stream:
    positive = env.from_topic("payments", watermark=MILLIS).filter(col("amount") > 0)
    return positive.key_by("user").window(ps.tumbling("1m")).aggregate(n=ps.count())


def wait_for(is_true: Callable[[], bool]) -> None:
    """Look again and again, for at most a minute."""
    pause = threading.Event()
    for _ in range(6_000):
        if is_true():
            return
        pause.wait(0.01)
    raise AssertionError("it did not come about within a minute")


def test_result_counts_records_batches_and_late_rows_of_each_operator(log: ps.Log) -> None:
    send(log, ("a", 1.0, 0), ("a", -1.0, 1), ("a", 1.0, 100_000), ("a", 1.0, 2))
    env = ps.Environment(log)
    totals(env).sink_to_topic("totals")
    source, filtered, window, sink = env.execute(until="latest").operators
    assert [source.num_records_in, filtered.num_records_in, window.num_records_in] == [4, 4, 3]
    assert [filtered.num_records_out, window.num_records_out, sink.num_records_in] == [3, 2, 2]
    assert window.num_late_records == 1
    assert source.num_batches_in == 1
    assert source.pending_records == 0
    assert filtered.pending_records is None
    assert [o.is_source for o in (source, filtered, window, sink)] == [True, False, False, False]


def test_a_running_job_is_read_from_another_thread(log: ps.Log) -> None:
    env = ps.Environment(log, name="live")
    totals(env).sink_to_topic("totals")
    with env.execute_async() as job:
        assert job.is_running
        assert job.metrics().records_in == 0
        send(log, ("a", 1.0, 0), ("b", 1.0, 7_000))
        wait_for(lambda: job.metrics().operators[-1].current_watermark is not None)
        reading = job.metrics()
        assert reading.job == "live"
        assert reading.operators[0].current_watermark == 7_000 - 5_000 - 1
        assert reading.operators[2].state_bytes > 0
    assert not job.is_running
    assert job.result().records_in == 2
    assert job.metrics().seconds == job.metrics().seconds  # it stands still


def test_pending_records_are_those_that_the_job_has_not_taken(log: ps.Log) -> None:
    """A stage that waits keeps the source from reading what is sent meanwhile."""
    is_inside, may_go_on = threading.Event(), threading.Event()

    def wait(batch: ps.RecordBatch) -> ps.RecordBatch:
        is_inside.set()
        assert may_go_on.wait(60)
        return batch

    env = ps.Environment(log)
    env.from_topic("payments").map_batches(wait).sink_to_topic("copy")
    with env.execute_async() as job:
        send(log, ("a", 1.0, 0))
        assert is_inside.wait(60)
        assert job.metrics().operators[0].pending_records == 0
        send(log, ("a", 1.0, 0), ("a", 1.0, 0))
        assert job.metrics().operators[0].pending_records == 2
        may_go_on.set()
        wait_for(lambda: job.metrics().operators[2].num_records_in == 3)


def test_pending_records_of_a_bounded_source_end_where_it_ends(log: ps.Log) -> None:
    is_inside, may_go_on = threading.Event(), threading.Event()

    def wait(batch: ps.RecordBatch) -> ps.RecordBatch:
        is_inside.set()
        assert may_go_on.wait(60)
        return batch

    send(log, ("a", 1.0, 0))
    env = ps.Environment(log)
    env.from_topic("payments", bounded=True).map_batches(wait).sink_to_topic("copy")
    with env.execute_async() as job:
        assert is_inside.wait(60)
        send(log, ("a", 1.0, 0))
        assert job.metrics().operators[0].pending_records == 0
        may_go_on.set()
        assert job.result("1m").records_in == 1


def test_busy_time_is_that_of_the_operator_alone() -> None:
    """The stage sleeps; what is before and behind it does next to nothing."""
    pause = threading.Event()

    def slow(batch: ps.RecordBatch) -> ps.RecordBatch:
        pause.wait(0.2)
        return batch

    table = {"n": np.arange(10)}
    with ps.open("busy-log") as log:
        env = ps.Environment(log)
        env.from_arrow(table).filter(col("n") >= 0).map_batches(slow).sink_to_topic("out")
        result = env.execute()
    source, filtered, stage, sink = (o.busy_time for o in result.operators)
    assert 0.2 <= stage <= result.seconds
    assert all(0 < busy < 0.2 for busy in (source, filtered, sink))
    assert source + filtered + stage + sink <= result.seconds


@pytest.mark.parametrize("parallelism", [1, 2])
def test_busy_times_together_are_at_most_the_threads_times_the_time(
    log: ps.Log, parallelism: int
) -> None:
    log.create_topic("numbers", schema={"n": "int64", "ts": "timestamp[ms]"}, partitions=2)
    with log.producer() as producer:
        for partition in (0, 1):
            rows = {"n": np.arange(50_000), "ts": np.arange(50_000).astype("datetime64[ms]")}
            producer.send_batch("numbers", rows, partition=partition)
    env = ps.Environment(log, parallelism=parallelism)
    keyed = env.from_topic("numbers", watermark=MILLIS).key_by("n")
    keyed.window(ps.tumbling("1s")).aggregate(rows=ps.count()).sink_to_topic("out")
    result = env.execute(until="latest")
    assert [o.parallelism for o in result.operators] == [parallelism, parallelism, 1]
    assert all(o.busy_time > 0 for o in result.operators)
    assert sum(o.busy_time for o in result.operators) <= parallelism * result.seconds


def test_rates_are_those_between_two_readings(log: ps.Log) -> None:
    send(log, ("a", 1.0, 0))
    env = ps.Environment(log)
    totals(env).sink_to_topic("totals")
    with env.execute_async(until="latest") as job:
        job.result("1m")
    end = job.metrics()
    later = replace(
        end,
        seconds=end.seconds + 2.0,
        operators=[
            replace(o, num_records_in=o.num_records_in + 10, busy_time=o.busy_time + 0.5)
            for o in end.operators
        ],
    )
    rates = later.since(end)[0]
    assert (rates.num_records_in_per_second, rates.num_records_out_per_second) == (5.0, 0.0)
    assert rates.busy_share == pytest.approx(0.25)
    assert later.since(later)[0].busy_share == 0.0
    assert end.since(None)[0].num_records_in_per_second == pytest.approx(1 / end.seconds)


@pytest.mark.parametrize(
    ("kind", "ticks_per_day"),
    [("timestamp[s]", 86_400), ("timestamp[us]", 86_400 * 10**6), ("int64", 86_400_000)],
)
def test_watermark_lag_counts_in_seconds_whatever_the_unit(
    log: ps.Log, kind: str, ticks_per_day: int
) -> None:
    log.create_topic("times", schema={"ts": kind})
    strategy = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
    env = ps.Environment(log)
    env.from_topic("times", watermark=strategy).sink_to_topic("out")
    with env.execute_async() as job:
        with log.producer() as producer:
            producer.send("times", {"ts": ticks_per_day + 1})
        wait_for(lambda: job.metrics().operators[0].current_watermark is not None)
        native = job._executor.metrics()[0]
        assert native.watermark == ticks_per_day
        assert read_operator(native, now_ns=3 * 86_400 * 10**9).watermark_lag == 2 * 86_400
        reading = job.metrics().operators[0]
        assert reading.watermark_lag is not None
        assert reading.watermark_lag > 0


def test_error_of_a_job_is_raised_by_its_result() -> None:
    def broken(batch: ps.RecordBatch) -> ps.RecordBatch:
        raise ValueError("no such thing")

    with ps.open("error-log") as log:
        env = ps.Environment(log)
        env.from_arrow({"n": np.arange(3)}).map_batches(broken).sink_to_topic("out")
        with env.execute_async() as job, pytest.raises(ps.errors.OperatorError, match="no such"):
            job.result("1m")
        assert not job.is_running
        assert repr(job) == "<Job 'pipeline', failed>"


def left_alone(*, is_asked: bool) -> None:
    def broken(batch: ps.RecordBatch) -> ps.RecordBatch:
        raise ValueError("no such thing")

    with ps.open("alone-log") as log:
        env = ps.Environment(log, name="alone")
        env.from_arrow({"n": np.arange(3)}).map_batches(broken).sink_to_topic("out")
        with env.execute_async() as job:
            wait_for(lambda: not job.is_running)
        assert job.has_unseen_error
        if is_asked:
            with pytest.raises(ps.errors.OperatorError):
                job.result()
            assert not job.has_unseen_error


@pytest.mark.parametrize("is_asked", [False, True])
def test_failure_of_a_job_that_nobody_asks_is_logged(
    is_asked: bool, caplog: pytest.LogCaptureFixture
) -> None:
    left_alone(is_asked=is_asked)
    gc.collect()
    texts = [r.getMessage() for r in caplog.records if r.name == "pystream"]
    if is_asked:
        assert texts == []
    else:
        (text,) = texts
        assert text.startswith("job 'alone' failed, and its result() was never asked for:")
        assert "ValueError: no such thing" in text


def test_waiting_for_a_job_has_an_end(log: ps.Log) -> None:
    env = ps.Environment(log)
    env.from_topic("payments").sink_to_topic("copy")
    with env.execute_async() as job:
        with pytest.raises(ps.errors.RequestTimeoutError, match="still runs"):
            job.result("1ms")
        job.cancel()
        assert job.result("1m").records_in == 0


def test_a_result_says_whether_the_job_was_cancelled(log: ps.Log) -> None:
    env = ps.Environment(log, name="copy")
    env.from_topic("payments").sink_to_topic("copies")
    with env.execute_async() as job:
        pass
    result = job.result()
    assert result.is_cancelled
    assert "is_cancelled=True" in repr(result)
    assert repr(job) == "<Job 'copy', cancelled>"
    with env.execute_async(until="latest") as job:
        assert not job.result("1m").is_cancelled
    job.cancel()  # too late to change anything
    assert not job.result().is_cancelled
    assert repr(job) == "<Job 'copy', finished>"


def test_a_cancelled_job_ends_after_the_batch_in_hand() -> None:
    is_inside, may_go_on = threading.Event(), threading.Event()
    calls: list[int] = []

    def hold(batch: ps.RecordBatch) -> ps.RecordBatch:
        calls.append(batch.num_rows)
        is_inside.set()
        assert may_go_on.wait(60)
        return batch

    with ps.open("cancelled") as log:
        env = ps.Environment(log)
        held = env.from_arrow([{"n": np.arange(1_000)}] * 20).map_batches(hold)
        held.sink_to_topic("out")
        held.map_batches(hold).sink_to_parquet("files/out.parquet")
        with env.execute_async() as job:
            assert is_inside.wait(60)
            job.cancel()
            may_go_on.set()
            job.result("1m")
        assert len(calls) == 1
        assert env.from_topic("out").to_arrow().num_rows == calls[0]
    assert list(Path("files").iterdir()) == []


def test_progress_is_told_between_batches_of_a_python_function() -> None:
    events: list[str] = []
    pause = threading.Event()

    def slow(batch: ps.RecordBatch) -> ps.RecordBatch:
        events.append("batch")
        pause.wait(0.11)  # longer than the time between two reports
        return batch

    with ps.open("slow") as log:
        env = ps.Environment(log)
        env.from_arrow({"n": np.arange(250_000)}).map_batches(slow).sink_to_topic("out")
        env.execute(on_progress=lambda progress: events.append("told"))
    batches = [place for place, event in enumerate(events) if event == "batch"]
    assert len(batches) > 2
    assert all(events[place + 1] == "told" for place in batches)


def test_failure_of_a_job_that_is_never_asked_is_logged_at_the_end(tmp_path: Path) -> None:
    program = """
import numpy as np
import pystream as ps
env = ps.Environment(ps.open("failing"))
env.from_arrow({"n": np.arange(3)}).map_batches(lambda batch: batch["m"]).sink_to_topic("copy")
job = env.execute_async()
while job.is_running:
    pass
"""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={"PYTHONPATH": str(Path(ps.__file__).parents[1])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0
    assert ran.stderr.startswith("job 'pipeline' failed, and its result() was never asked for:")
    assert "column 'm' does not exist" in ran.stderr


def test_a_job_that_is_left_running_ends_with_the_program(tmp_path: Path) -> None:
    program = """
import pystream as ps
log = ps.open("left-running")
log.create_topic("t", schema={"n": "int64"})
env = ps.Environment(log)
env.from_topic("t").sink_to_topic("copy")
job = env.execute_async()
print(job)
"""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={"PYTHONPATH": str(Path(ps.__file__).parents[1])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == "<Job 'pipeline', running>\n"
