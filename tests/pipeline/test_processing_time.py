"""Windows over the clock: what users see. The model is in test_processing_time_oracle.py."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import pystream as ps
from pystream import TriggerResult, col, errors
from pystream.testing import ManualClock, StepwiseJob

pytestmark = pytest.mark.usefixtures("also_restored")

CLOCK = ps.WatermarkStrategy.for_processing_time()
NEVER_SHOWN = "the input ended while windows of processing time were open"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ps.Log]:
    with ps.open(tmp_path / "log") as opened:
        opened.create_topic("clicks", schema={"user": "string", "n": "int64"})
        yield opened


class Clicks:
    """A topic to which one sends, and a clock."""

    def __init__(self, log: ps.Log) -> None:
        self.log = log
        self.clock = ManualClock()
        self.env = ps.Environment(log, clock=self.clock)
        self.stream = self.env.from_topic("clicks", watermark=CLOCK)

    def send(self, *users: str) -> None:
        with self.log.producer() as producer:
            for number, user in enumerate(users):
                producer.send("clicks", {"user": user, "n": number})

    def windows(self, window: ps.Window) -> ps.WindowedStream:
        return self.stream.key_by("user").window(window)


@pytest.fixture
def clicks(log: ps.Log) -> Clicks:
    return Clicks(log)


def bounds(rows: list[dict[str, Any]]) -> list[tuple[str, int, int, int]]:
    return [(r["user"], r["window_start"].second, r["window_end"].second, r["count"]) for r in rows]


def test_windows_fire_by_the_clock_although_no_record_comes(clicks: Clicks) -> None:
    job = StepwiseJob(clicks.windows(ps.tumbling("10s")).aggregate(count=ps.count()))
    clicks.clock.advance("3s")
    clicks.send("ann", "bob", "ann")
    assert job.rows() == []
    clicks.clock.now_ms = 9_999
    clicks.send("ann")  # the last millisecond of the window is part of it
    assert job.rows() == []
    clicks.clock.advance("1ms")
    assert bounds(job.rows()) == [("ann", 0, 10, 3), ("bob", 0, 10, 1)]
    clicks.clock.advance("1h")
    assert job.rows() == []  # a window and key without records has no row


def test_a_session_ends_when_nothing_has_come_for_a_while(clicks: Clicks) -> None:
    job = StepwiseJob(clicks.windows(ps.session("5s")).aggregate(count=ps.count()))
    for second in (0, 4, 8):
        clicks.clock.now_ms = second * 1000
        clicks.send("ann")
        assert job.rows() == []
    clicks.clock.now_ms = 12_999
    assert job.rows() == []
    clicks.clock.now_ms = 13_000
    clicks.send("ann")  # the session has fired before this comes
    assert bounds(job.rows()) == [("ann", 0, 13, 3)]
    clicks.clock.now_ms = 60_000
    assert len(job.rows()) == 1


def test_counted_windows_show_when_their_records_came(clicks: Clicks) -> None:
    job = StepwiseJob(clicks.windows(ps.count_window(2)).aggregate(count=ps.count()))
    clicks.send("ann")
    assert job.rows() == []
    clicks.clock.now_ms = 7_000
    clicks.send("ann")
    (row,) = job.rows()
    assert row["window_start"] == datetime.datetime(1970, 1, 1)
    assert row["window_end"] == datetime.datetime(1970, 1, 1, 0, 0, 7, 1000)


def test_early_panes_come_at_multiples_of_the_clock(clicks: Clicks) -> None:
    windows = clicks.windows(ps.tumbling("10s")).early("4s").discarding()
    job = StepwiseJob(windows.aggregate(count=ps.count()))
    clicks.send("ann")
    shown = []
    for second in range(1, 11):
        job.rows()
        clicks.clock.now_ms = second * 1000 + 1
        if rows := job.rows():
            shown.append((second, rows[0]["count"]))
        if second == 5:
            clicks.send("ann", "ann")
    assert shown == [(4, 1), (8, 2)]  # nothing is left for the close


def test_a_job_that_waits_for_records_wakes_for_its_windows(clicks: Clicks) -> None:
    clicks.windows(ps.tumbling("10s")).aggregate(count=ps.count()).sink_to_topic("counts")
    with (
        clicks.env.execute_async() as job,
        clicks.log.consumer("counts", auto_offset_reset="earliest") as consumer,
    ):
        clicks.send("ann")
        for _ in range(100):  # in which window the record is, is a matter of threads
            clicks.clock.advance("10s")
            records = [record for some in consumer.poll("100ms").values() for record in some]
            if records:
                break
        assert [record.value["count"] for record in records] == [1]
        # As in Flink, the time of a result is the last instant of its window.
        end = np.datetime64(records[0].value["window_end"], "us")
        assert np.datetime64(records[0].timestamp, "us") == end - np.timedelta64(1, "ms")
        assert job.is_running


@pytest.mark.filterwarnings("error")
def test_the_clock_of_the_machine_is_the_default(log: ps.Log) -> None:
    before = np.datetime64(datetime.datetime.now(datetime.UTC).replace(tzinfo=None), "ms")
    stream = ps.Environment().from_arrow({"n": [1, 2]}, watermark=CLOCK)
    windows = stream.window_all(ps.global_window()).aggregate(total=col("n").sum())
    (row,) = windows.to_arrow().to_pylist()
    assert row["total"] == 3
    after = np.datetime64(datetime.datetime.now(datetime.UTC).replace(tzinfo=None), "ms")
    assert before <= np.datetime64(row["window_start"]) <= after


def test_windows_that_are_open_when_the_input_ends_are_not_shown_but_told(clicks: Clicks) -> None:
    clicks.send("ann")
    counts = clicks.windows(ps.tumbling("10s")).aggregate(count=ps.count())
    with pytest.warns(RuntimeWarning, match=NEVER_SHOWN) as caught:
        assert counts.to_arrow().num_rows == 0
    assert caught[0].filename == __file__  # the line that ran the job


@pytest.mark.parametrize("window", [ps.hopping("10s", "3s"), ps.session("10s")])
def test_a_perfect_run_shows_all_windows_at_the_end(clicks: Clicks, window: ps.Window) -> None:
    clicks.send("ann", "ann")
    clicks.windows(window).aggregate(count=ps.count()).sink_to_topic("counts")
    clicks.env.execute(until="latest", mode="perfect")
    counts = clicks.env.from_topic("counts", bounded=True).to_arrow()
    assert set(counts["count"].to_pylist()) == {2}


@pytest.mark.filterwarnings("ignore:window-2")
def test_below_a_window_whose_rest_is_dropped_the_input_ends_all_the_same(clicks: Clicks) -> None:
    table = {"user": ["ann", "ann", "bob"]}
    stream = clicks.env.from_arrow(table, watermark=CLOCK).key_by("user")
    counts = stream.window(ps.tumbling("10s")).emit("on_update").aggregate(count=ps.count())
    all_of_them = counts.window_all(ps.global_window()).aggregate(total=col("count").sum())
    assert all_of_them.to_arrow()["total"].to_pylist() == [4]  # 1, 2 and 1


def test_a_clock_that_is_set_back_stands(clicks: Clicks) -> None:
    job = StepwiseJob(clicks.windows(ps.tumbling("10s")).aggregate(count=ps.count()))
    clicks.clock.now_ms = 12_000
    clicks.send("ann")
    job.rows()
    clicks.clock.now_ms = 1_000
    clicks.send("ann")
    job.rows()
    clicks.clock.now_ms = 20_000
    assert bounds(job.rows()) == [("ann", 10, 20, 2)]


def test_time_is_that_at_which_python_gives_the_rows_back(clicks: Clicks) -> None:
    def slow(batch: ps.RecordBatch) -> ps.RecordBatch:
        clicks.clock.advance("10s")
        return batch

    stream = clicks.stream.map_batches(slow).select("user")
    job = StepwiseJob(stream.key_by("user").window(ps.tumbling("10s")).aggregate(count=ps.count()))
    clicks.send("ann")
    job.rows()
    clicks.clock.now_ms = 20_000
    assert bounds(job.rows()) == [("ann", 10, 20, 1)]


def test_every_aggregate_gives_what_it_gives_of_event_time(log: ps.Log) -> None:
    times = [0, 3, 3, 11, 12, 25, 25, 40]
    values = [5, 1, None, 7, 7, -2, 4, 9]
    v = col("v")
    aggregates: dict[str, Any] = {
        "rows": ps.count(),
        "some": ps.count(where=v > 4),
        **{
            kind: getattr(v, kind)()
            for kind in (
                *("count", "sum", "mean", "min", "max", "var_pop", "stddev_samp", "first", "last"),
                *("count_distinct", "approx_count_distinct", "collect_list"),
            )
        },
        "median": v.approx_quantile(0.5),
        "most": v.top_k(2),
        "best": col("k").arg_max("v"),
    }
    log.create_topic("values", schema={"k": "string", "v": "int64"})
    clock = ManualClock()
    stream = ps.Environment(log, clock=clock).from_topic("values", watermark=CLOCK)
    windows = stream.window_all(ps.hopping("20ms", "10ms"))
    job = StepwiseJob(windows.aggregate(**aggregates))
    found = []
    with log.producer() as producer:
        for number, (time, value) in enumerate(zip(times, values, strict=True)):
            clock.now_ms = time
            producer.send("values", {"k": f"k{number}", "v": value})
            producer.flush()
            found += job.rows()
    clock.now_ms = 1000
    found += job.rows()
    table = pa.table(
        {
            "ts": pa.array(times, pa.timestamp("ms")),
            "k": [f"k{number}" for number in range(len(times))],
            "v": pa.array(values, pa.int64()),
        }
    )
    event_time = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
    other = ps.Environment().from_arrow(table, watermark=event_time)
    expected = other.window_all(ps.hopping("20ms", "10ms")).aggregate(**aggregates)
    assert found == expected.to_arrow().to_pylist()


def test_streams_of_the_clock_can_be_put_together(clicks: Clicks) -> None:
    clicks.log.create_topic("more", schema={"user": "string", "n": "int64"})
    more = clicks.env.from_topic("more", watermark=CLOCK)
    each = clicks.windows(ps.count_window(1)).aggregate(count=ps.count()).select("user")
    both = clicks.stream.select("user").union(more.select("user"), each)
    job = StepwiseJob(both.key_by("user").window(ps.tumbling("10s")).aggregate(count=ps.count()))
    clicks.send("ann", "bob")
    with clicks.log.producer() as producer:
        producer.send("more", {"user": "ann", "n": 0})
    assert job.rows() == []
    clicks.clock.advance("10s")
    assert bounds(job.rows()) == [("ann", 0, 10, 3), ("bob", 0, 10, 2)]


def test_results_of_the_clock_come_into_a_union_also_when_no_record_comes(clicks: Clicks) -> None:
    counts = (
        clicks.windows(ps.tumbling("10s"))
        .aggregate(count=ps.count())
        .select("user", n=col("count"))
    )
    both = counts.union(clicks.stream.filter(col("n") > 100))
    job = StepwiseJob(both)
    clicks.send("ann")
    assert job.rows() == []
    clicks.clock.advance("10s")
    assert job.rows() == [{"user": "ann", "n": 1}]


def test_a_union_with_event_time_has_no_time(clicks: Clicks) -> None:
    ordered = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="n")
    mixed = clicks.stream.union(clicks.env.from_topic("clicks", watermark=ordered))
    with pytest.raises(errors.PipelineError, match="needs event time"):
        mixed.window_all(ps.tumbling("10s"))


def test_no_record_is_late_and_the_side_output_has_the_columns_of_the_input(
    clicks: Clicks,
) -> None:
    late = ps.OutputTag("late")
    windows = clicks.windows(ps.global_window()).side_output_late_data(late)
    counts = windows.aggregate(count=ps.count())
    clicks.send("ann")
    assert counts.to_arrow().num_rows == 1
    assert counts.side_output(late).to_arrow().column_names == ["user", "n"]
    assert counts.side_output(late).to_arrow().num_rows == 0
    with pytest.raises(errors.ConfigError, match="windows of processing time"):
        windows.allowed_lateness("1s")


def test_explain_and_metrics_say_that_it_is_the_clock(clicks: Clicks) -> None:
    counts = clicks.windows(ps.hopping("10s", "5s")).aggregate(count=ps.count())
    assert "hopping(size=10000, slide=5000 ms of processing time) by user" in counts.explain()
    session = clicks.windows(ps.session("5s")).aggregate(count=ps.count())
    assert "session(gap=5000 ms of processing time)" in session.explain()
    job = StepwiseJob(counts)
    clicks.send("ann", "bob")
    job.rows()
    clicks.clock.advance("1m")
    job.rows()
    operators = {o.name: o for o in job.metrics().operators}
    window = operators["window-2"]
    assert (window.num_records_in, window.num_records_out) == (2, 4)
    assert window.current_watermark is None
    assert window.watermark_lag is None
    assert operators["window-2-clock"].kind == "processing time"


class Delayed(ps.Trigger):
    """Fires a while after the first record, by the clock."""

    def on_element(self, row: Any, timestamp: Any, window: Any, ctx: Any) -> TriggerResult:
        assert timestamp == ctx.current_processing_time
        assert ctx.current_watermark == -(2**63)
        if "at" not in ctx.state:
            ctx.state["at"] = timestamp + 1_500
            ctx.register_processing_time_timer(ctx.state["at"])
        return TriggerResult.CONTINUE

    def on_processing_time(self, time: int, window: Any, ctx: Any) -> TriggerResult:
        is_own = time == ctx.state.pop("at", None)
        return TriggerResult.FIRE_AND_PURGE if is_own else TriggerResult.CONTINUE


def test_a_trigger_has_timers_of_the_clock(clicks: Clicks) -> None:
    windows = clicks.windows(ps.global_window()).trigger(Delayed())
    job = StepwiseJob(windows.aggregate(count=ps.count()))
    clicks.send("ann", "ann")
    assert job.rows() == []
    clicks.clock.now_ms = 1_500
    assert job.rows() == []
    clicks.clock.now_ms = 1_501  # its millisecond is over
    assert [row["count"] for row in job.rows()] == [2]
    clicks.clock.now_ms = 60_000
    assert job.rows() == []


def test_a_trigger_hears_of_the_end_of_its_window_by_the_clock(clicks: Clicks) -> None:
    class Close(Delayed):
        def on_processing_time(self, time: int, window: Any, ctx: Any) -> TriggerResult:
            is_close = time == window.max_timestamp
            return TriggerResult.FIRE if is_close else TriggerResult.CONTINUE

    windows = clicks.windows(ps.tumbling("10s")).trigger(Close())
    job = StepwiseJob(windows.aggregate(count=ps.count()))
    clicks.send("ann")
    job.rows()
    clicks.clock.now_ms = 10_000
    assert bounds(job.rows()) == [("ann", 0, 10, 1)]


@pytest.mark.filterwarnings("ignore:window-2")
def test_timers_that_are_left_when_the_input_ends_are_dropped(clicks: Clicks) -> None:
    clicks.send("ann")
    windows = clicks.windows(ps.tumbling("10s")).trigger(Delayed())
    assert windows.aggregate(count=ps.count()).to_arrow().num_rows == 0


@pytest.mark.parametrize("method", ["register_event_time_timer", "delete_event_time_timer"])
def test_timers_of_event_time_are_refused_in_windows_of_the_clock(
    clicks: Clicks, method: str
) -> None:
    class Wrong(Delayed):
        def on_element(self, row: Any, timestamp: Any, window: Any, ctx: Any) -> TriggerResult:
            getattr(ctx, method)(5)
            return TriggerResult.CONTINUE

    clicks.send("ann")
    windows = clicks.windows(ps.global_window()).trigger(Wrong())
    with pytest.raises(errors.OperatorError, match=method) as caught:
        windows.aggregate(count=ps.count()).to_arrow()
    assert isinstance(caught.value.__cause__, errors.NotSupportedError)


def test_settings_that_mean_nothing_by_the_clock_are_refused() -> None:
    for call in (lambda: CLOCK.with_idleness("1s"), lambda: CLOCK.with_max_ahead("1s")):
        with pytest.raises(errors.ConfigError, match="on processing time"):
            call()
    with pytest.raises(errors.ConfigError, match="clock is 3"):
        ps.Environment(clock=3)  # type: ignore[arg-type]
    stream = ps.Environment().from_arrow({"n": [1]}, watermark=CLOCK)
    with pytest.raises(errors.ConfigError, match="not a whole number of ticks of processing time"):
        stream.window_all(ps.tumbling("1500us"))
    with pytest.raises(errors.ConfigError, match="now_ms"):
        ManualClock(1.5)  # type: ignore[arg-type]
    with pytest.raises(errors.ConfigError, match="duration is -1s"):
        ManualClock().advance("-1s")
