"""Windows without end, and triggers of sessions and counted windows, as users see them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import pystream as ps
from pystream import col, errors

TIMES = ps.WatermarkStrategy.for_bounded_out_of_orderness("0s", timestamp="ts")
SALES = [("ann", 10, 1), ("bob", 20, 2), ("ann", 30, 4), ("bob", 5, 8)]


def stream(
    rows: list[tuple[str | None, int, int]], watermark: ps.WatermarkStrategy | None = TIMES
) -> ps.Stream:
    """Return a stream of rows (user, ts, amount)."""
    users, times, amounts = zip(*rows, strict=True)
    table = {"user": pa.array(users, pa.string()), "ts": times, "amount": amounts}
    return ps.Environment().from_arrow(pa.table(table), watermark=watermark)


def rows_of(result: ps.Stream) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in result.to_arrow().to_pylist()]


def totals(windows: ps.WindowedStream) -> list[tuple[Any, ...]]:
    return rows_of(windows.aggregate(n=ps.count(), total=col("amount").sum()))


def test_total_of_each_user_when_the_input_ends() -> None:
    assert totals(stream(SALES).key_by("user").window(ps.global_window())) == [
        ("ann", 10, 31, 2, 5),
        ("bob", 5, 21, 2, 10),
    ]


def test_running_total_after_each_sale_and_none_at_the_end() -> None:
    windows = stream(SALES).key_by("user").window(ps.global_window()).emit("on_update")
    assert [(row[0], row[-1]) for row in totals(windows)] == [
        ("ann", 1),
        ("bob", 2),
        ("ann", 5),
        ("bob", 10),
    ]


def test_discarding_adds_up_to_the_total() -> None:
    windows = stream(SALES).window_all(ps.global_window()).early(count=3).discarding()
    assert totals(windows) == [(10, 31, 3, 7), (5, 6, 1, 8)]


def test_without_event_time_results_have_no_bounds() -> None:
    windows = stream(SALES, watermark=None).key_by("user").window(ps.global_window())
    result = windows.early(count=1).aggregate(last=col("amount").last())
    assert result.schema.names == ["user", "last"]
    assert rows_of(result) == [
        *(("ann", 1), ("bob", 2), ("ann", 4), ("bob", 8)),
        *(("ann", 4), ("bob", 8)),
    ]
    with pytest.raises(errors.PipelineError, match=r'early\("10s"\) needs event time'):
        windows.early("10s")


def test_job_that_is_stopped_fires_no_window_without_end(tmp_path: Path) -> None:
    with ps.open(tmp_path / "log") as log:
        log.create_topic("numbers", {"n": "int64"})
        with log.producer(acks="published") as producer:
            producer.send_batch("numbers", {"n": [1, 2, 3]})
        env = ps.Environment(log)
        windows = env.from_topic("numbers").window_all(ps.global_window())
        windows.early(count=3).aggregate(n=ps.count()).sink_to_topic("counts", acks="published")
        with env.execute_async() as job, log.consumer("counts", auto_offset_reset="earliest") as c:
            first = next(iter(c.batches(timeout="20s")))
            job.cancel()
            assert job.result(timeout="20s").is_cancelled
        assert first["n"].to_pylist() == [3]
        counts = ps.Environment(log).from_topic("counts", bounded=True)
        assert rows_of(counts) == [(3,)]


def test_windows_below_judge_the_last_result_by_the_watermark_of_the_end() -> None:
    """At 30 the watermark is 29: of ann's window, [30, 40) is open; bob's, [20, 30), is closed."""
    late = ps.OutputTag("late")
    per_user = stream(SALES).key_by("user").window(ps.global_window()).aggregate(n=ps.count())
    tens = per_user.window_all(ps.tumbling("10ms")).side_output_late_data(late)
    result = tens.aggregate(users=ps.count())
    assert rows_of(result) == [(30, 40, 1)]
    assert result.side_output(late).to_arrow()["user"].to_pylist() == ["bob"]


def test_state_is_kept_for_each_key(tmp_path: Path) -> None:
    def state_bytes(keys: int) -> int:
        env = ps.Environment()
        rows = pa.table({"key": list(range(keys)) * 2})
        windows = env.from_arrow(rows).key_by("key").window(ps.global_window())
        windows.aggregate(n=ps.count()).sink_to_parquet(tmp_path / "totals.parquet")
        (window,) = (o for o in env.execute().operators if o.name.startswith("window"))
        return int(window.state_bytes)

    few, many = state_bytes(1_000), state_bytes(10_000)
    assert 50 * 9_000 < many - few < 400 * 9_000


def test_late_record_fires_its_session_at_once() -> None:
    rows = [("ann", ts, 1) for ts in (0, 25, 3, 4, 60)]
    windows = stream(rows).key_by("user").window(ps.session("10ms")).allowed_lateness("20ms")
    # At watermark 24 the session of 0 has fired; 3 and 4 each fire it again, and longer.
    late = [("ann", 0, 13, 2, 2), ("ann", 0, 14, 3, 3)]
    rest = [("ann", 25, 35, 1, 1), ("ann", 60, 70, 1, 1)]
    assert totals(windows.early(count=9)) == [("ann", 0, 10, 1, 1), *late, *rest]


@pytest.mark.parametrize(
    "call", [lambda w: w.emit("on_update"), lambda w: w.early(count=2), lambda w: w.discarding()]
)
def test_counted_windows_that_overlap_have_no_trigger(call: Callable[[Any], object]) -> None:
    windows = stream(SALES).key_by("user").window(ps.count_window(3, slide=2))
    with pytest.raises(errors.ConfigError, match=r"last 3 records after every 2 overlap"):
        call(windows)


def test_sum_that_does_not_fit_names_key_and_window() -> None:
    windows = stream([("ann", 1, 2**63 - 1), ("ann", 2, 1)]).key_by("user")
    for window, where in (
        (ps.global_window(), r"window \[1, 3\)"),
        (ps.session("5ms"), r"window \[1, 7\)"),
    ):
        with pytest.raises(errors.OperatorError, match=rf"user = 'ann' in {where}"):
            totals(windows.window(window).emit("on_update"))


def test_explain_names_the_window() -> None:
    windows = stream(SALES).key_by("user").window(ps.global_window()).early("5ms")
    text = windows.aggregate(n=ps.count()).explain()
    assert "window global_window() by user: n=count(), early every 5 ticks" in text
