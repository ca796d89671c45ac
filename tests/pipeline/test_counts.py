"""Count windows as users see them: what goes in, and which rows come out of the pipeline."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

import pystream as ps
from pystream import col, errors

TIMES = ps.WatermarkStrategy.for_bounded_out_of_orderness("0s", timestamp="ts")


def stream(
    rows: list[tuple[str | None, int, int]], watermark: ps.WatermarkStrategy | None = TIMES
) -> ps.Stream:
    """Return a stream of rows (user, ts, amount)."""
    users, times, amounts = zip(*rows, strict=True)
    table = pa.table(
        {
            "user": pa.array(users, pa.string()),
            "ts": pa.array(times, pa.int64()),
            "amount": pa.array(amounts, pa.int64()),
        }
    )
    return ps.Environment().from_arrow(table, watermark=watermark)


def rows_of(result: ps.Stream) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in result.to_arrow().to_pylist()]


def totals(windows: ps.WindowedStream) -> list[tuple[Any, ...]]:
    return rows_of(windows.aggregate(n=ps.count(), total=col("amount").sum()))


SALES = [
    ("ann", 10, 1),
    ("bob", 20, 2),
    ("ann", 30, 4),
    ("ann", 5, 8),  # behind the watermark, and counted like any other
    ("bob", 40, 16),
    ("ann", 50, 32),
    ("ann", 60, 64),
]


def test_a_result_for_every_two_sales_of_a_user() -> None:
    assert totals(stream(SALES).key_by("user").window(ps.count_window(2))) == [
        ("ann", 10, 31, 2, 5),
        ("bob", 20, 41, 2, 18),
        ("ann", 5, 51, 2, 40),
    ]


def test_the_last_three_sales_after_every_second_one() -> None:
    assert totals(stream(SALES).key_by("user").window(ps.count_window(3, slide=2))) == [
        ("ann", 10, 31, 2, 5),
        ("bob", 20, 41, 2, 18),
        ("ann", 5, 51, 3, 44),
    ]


def test_running_total_of_the_last_two() -> None:
    windows = stream(SALES[:4]).window_all(ps.count_window(2, slide=1))
    assert [row[-2:] for row in totals(windows)] == [(1, 1), (2, 3), (2, 6), (2, 12)]


def test_without_event_time_results_have_no_bounds() -> None:
    windows = stream(SALES, watermark=None).key_by("user").window(ps.count_window(2))
    result = windows.aggregate(total=col("amount").sum(), last=col("amount").last())
    assert result.schema.names == ["user", "total", "last"]
    # First and last are those of arrival.
    assert rows_of(result) == [("ann", 5, 4), ("bob", 18, 16), ("ann", 40, 32)]
    with pytest.raises(errors.PipelineError, match="a window needs event time"):
        result.window_all(ps.tumbling("1s"))


def test_event_time_of_a_result_is_that_of_its_latest_record() -> None:
    rows = [("ann", ts, 1) for ts in (1, 2, 11, 12, 13, 21)]
    pairs = stream(rows).window_all(ps.count_window(2)).aggregate(n=ps.count())
    late = ps.OutputTag("late")
    by_time = pairs.window_all(ps.tumbling("10ms")).side_output_late_data(late)
    assert rows_of(by_time.aggregate(pairs=ps.count())) == [(0, 10, 1), (10, 20, 1), (20, 30, 1)]


def test_result_is_late_for_a_later_window_when_its_records_were() -> None:
    """The pair of 1 and 2 is complete when the watermark has passed 10: at the second 2."""
    rows = [("ann", 1, 1), ("bob", 30, 1), ("ann", 2, 1), ("bob", 31, 1)]
    pairs = stream(rows).key_by("user").window(ps.count_window(2)).aggregate(n=ps.count())
    late = ps.OutputTag("late")
    by_time = pairs.window_all(ps.tumbling("10ms")).side_output_late_data(late)
    result = by_time.aggregate(pairs=ps.count())
    assert rows_of(result) == [(30, 40, 1)]
    assert result.side_output(late).to_arrow()["user"].to_pylist() == ["ann"]


def test_null_keys_are_one_group() -> None:
    rows = [(None, 1, 1), ("ann", 2, 2), (None, 3, 4)]
    assert totals(stream(rows).key_by("user").window(ps.count_window(2))) == [(None, 1, 4, 2, 5)]


def test_incomplete_windows_are_no_results() -> None:
    assert totals(stream(SALES).key_by("user").window(ps.count_window(6))) == []


@pytest.mark.parametrize(
    ("size", "slide"), [(0, None), (-1, None), (2, 0), (2, 3), (True, None), (1.5, None), ("2", 1)]
)
def test_counts_that_do_not_exist_are_refused_when_written(size: Any, slide: Any) -> None:
    with pytest.raises(errors.ConfigError, match="count window has"):
        ps.count_window(size, slide)


def test_counted_records_know_no_lateness() -> None:
    for watermark in (TIMES, None):
        windows = stream(SALES, watermark).key_by("user").window(ps.count_window(2))
        with pytest.raises((errors.ConfigError, errors.NotSupportedError)):
            windows.allowed_lateness("1s")


def test_windows_of_time_still_need_event_time() -> None:
    untimed = stream(SALES, watermark=None)
    for window in (ps.tumbling("1s"), ps.session("1s")):
        with pytest.raises(errors.PipelineError, match="a window needs event time"):
            untimed.window_all(window)


def test_latest_time_of_the_type_is_an_error() -> None:
    windows = stream([("ann", 2**63 - 1, 1)]).window_all(ps.count_window(1))
    with pytest.raises(
        errors.OperatorError, match=r"event time 9223372036854775807 in column 'ts'"
    ):
        totals(windows)


def test_sum_that_does_not_fit_names_the_key() -> None:
    rows = [("ann", 1, 2**63 - 1), ("ann", 2, 1)]
    for watermark, where in ((TIMES, r"in window \[1, 3\)"), (None, "in a window")):
        windows = stream(rows, watermark).key_by("user").window(ps.count_window(2))
        with pytest.raises(errors.OperatorError, match=f"user = 'ann' {where}"):
            totals(windows)


def test_explain_names_the_counts() -> None:
    keyed = stream(SALES).key_by("user")
    text = keyed.window(ps.count_window(3, slide=2)).aggregate(n=ps.count()).explain()
    assert "window count_window(3, slide=2 records) by user: n=count()" in text
    assert "count_window(3 records)" in (
        keyed.window(ps.count_window(3)).aggregate(n=ps.count()).explain()
    )
