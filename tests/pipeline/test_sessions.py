"""Sessions as users see them: what goes in, and which rows come out of the pipeline."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import pystream as ps
from pystream import col, errors

Row = tuple[str | None, int, int | None]  # user, ts, gap


def clicks(rows: list[Row], *, delay: str = "0s", gap_type: Any = None) -> ps.Stream:
    users, times, gaps = zip(*rows, strict=True) if rows else ((), (), ())
    table = pa.table(
        {
            "user": pa.array(users, pa.string()),
            "ts": pa.array(times, pa.timestamp("ms")),
            "gap": pa.array(gaps, gap_type or pa.int64()),
        }
    )
    bounded = ps.WatermarkStrategy.for_bounded_out_of_orderness(delay, timestamp="ts")
    # Some tests mean the end of time.
    watermark = bounded.with_max_ahead(None)
    return ps.Environment().from_arrow(table, watermark=watermark)


def rows_of(stream: ps.Stream) -> list[tuple[Any, ...]]:
    table = stream.to_arrow()
    columns = [
        column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        for column in table.columns
    ]
    return list(zip(*(column.to_pylist() for column in columns), strict=True))


def sessions(stream: ps.Stream, gap: Any) -> list[tuple[Any, ...]]:
    return rows_of(stream.key_by("user").window(ps.session(gap)).aggregate(n=ps.count()))


def test_a_visit_ends_half_an_hour_after_its_last_click() -> None:
    minute = 60_000
    visits = clicks(
        [
            ("ann", 0, None),
            ("bob", 10 * minute, None),
            ("ann", 30 * minute, None),  # exactly one gap apart: the same visit
            ("ann", 61 * minute, None),
            ("bob", 70 * minute, None),
        ],
        delay="2h",
    )
    assert sessions(visits, "30m") == [
        ("bob", 10 * minute, 40 * minute, 1),
        ("ann", 0, 60 * minute, 2),
        ("ann", 61 * minute, 91 * minute, 1),
        ("bob", 70 * minute, 100 * minute, 1),
    ]
    assert sessions(visits, timedelta(minutes=30)) == sessions(visits, "30m")


def test_late_click_goes_to_the_side_output_unless_an_open_session_takes_it() -> None:
    late = ps.OutputTag("late")
    stream = clicks([("ann", 100, 1), ("ann", 91, 2), ("ann", 80, 3)])
    windows = stream.key_by("user").window(ps.session("10ms")).side_output_late_data(late)
    result = windows.aggregate(n=ps.count(), total=(col("gap") * 2).sum())
    assert rows_of(result) == [("ann", 91, 110, 2, 6)]
    assert result.side_output(late).to_arrow().to_pylist() == [
        {"user": "ann", "ts": pa.scalar(80, pa.timestamp("ms")).as_py(), "gap": 3}
    ]


def test_each_record_can_have_its_own_gap() -> None:
    stream = clicks([("ann", 0, 5), ("ann", 6, 100), ("ann", 50, 1), ("bob", 7, 1)], delay="1s")
    expected = [("ann", 0, 5, 1), ("bob", 7, 8, 1), ("ann", 6, 106, 2)]
    assert sessions(stream, col("gap")) == expected
    longer = [("bob", 7, 9, 1), ("ann", 0, 206, 3)]
    assert sessions(stream, col("gap") * 2) == longer


@pytest.mark.parametrize(
    ("gap_type", "gap"),
    [(pa.duration("ms"), 10), (pa.duration("us"), 10_000), (pa.uint8(), 10), (pa.int32(), 10)],
)
def test_gaps_are_durations_or_integers_of_ticks(gap_type: Any, gap: int) -> None:
    stream = clicks([("ann", 0, gap), ("ann", 10, gap), ("ann", 21, gap)], gap_type=gap_type)
    assert sessions(stream, col("gap")) == [("ann", 0, 20, 2), ("ann", 21, 31, 1)]


def test_sessions_of_sessions_see_their_last_instants() -> None:
    stream = clicks([("ann", 0, None), ("bob", 3, None), ("ann", 40, None)], delay="100ms")
    visits = stream.key_by("user").window(ps.session("10ms")).aggregate(n=ps.count())
    busy = visits.window_all(ps.session("5ms")).aggregate(users=ps.count(), n=col("n").sum())
    assert rows_of(busy) == [(9, 17, 2, 2), (49, 54, 1, 1)]
    by_time = visits.window_all(ps.tumbling("10ms")).aggregate(users=ps.count())
    assert rows_of(by_time) == [(0, 10, 1), (10, 20, 1), (40, 50, 1)]


def test_without_keys_the_whole_stream_has_sessions() -> None:
    stream = clicks([("ann", 0, None), ("bob", 9, None), ("ann", 30, None)])
    result = stream.window_all(ps.session("10ms")).aggregate(n=ps.count())
    assert rows_of(result) == [(0, 19, 2), (30, 40, 1)]


def test_no_rows_make_no_sessions() -> None:
    assert sessions(clicks([]), "1s") == []


@pytest.mark.parametrize(
    ("time_type", "gap", "expected"),
    [
        (pa.int64(), "3ms", [(-1, 5, 2), (9, 12, 1)]),
        (pa.timestamp("ns"), timedelta(microseconds=1), [(-1, 1009, 3)]),
        (pa.timestamp("s", "Asia/Tokyo"), "3s", [(-1, 5, 2), (9, 12, 1)]),
        (pa.date32(), "3d", [(-1, 5, 2), (9, 12, 1)]),
    ],
)
def test_every_event_time_type_has_sessions(time_type: Any, gap: Any, expected: Any) -> None:
    times = pa.array([-1, 2, 9], pa.int32() if time_type == pa.date32() else pa.int64())
    table = pa.table({"ts": times.cast(time_type)})
    watermark = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
    stream = ps.Environment().from_arrow(table, watermark=watermark)
    result = stream.window_all(ps.session(gap)).aggregate(n=ps.count()).to_arrow()
    assert result.schema.field("window_end").type == time_type
    bounds = [result[name].cast(times.type).to_pylist() for name in ("window_start", "window_end")]
    assert list(zip(*bounds, result["n"].to_pylist(), strict=True)) == expected


@pytest.mark.parametrize("gap", ["0s", "-1s", "soon", timedelta(0), 5, None])
def test_gaps_that_do_not_exist_are_refused_when_written(gap: Any) -> None:
    with pytest.raises(errors.ConfigError):
        ps.session(gap)


@pytest.mark.parametrize("gap", ["1us", "1500us", "9000000000s"])
def test_gap_is_a_whole_number_of_ticks_that_fits(gap: str) -> None:
    seconds = pa.table({"ts": pa.array([0], pa.timestamp("ms" if "us" in gap else "ns"))})
    watermark = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
    stream = ps.Environment().from_arrow(seconds, watermark=watermark)
    with pytest.raises(errors.ConfigError, match="session gap"):
        stream.window_all(ps.session(gap))


def test_gap_column_of_a_wrong_type_is_refused_when_the_chain_is_built() -> None:
    keyed = clicks([("ann", 0, 1)]).key_by("user")
    for gap in (col("user"), col("ts"), col("gap") * 1.5, col("gap") > 1):
        with pytest.raises(errors.SchemaError, match="the gap of sessions is"):
            keyed.window(ps.session(gap))
    with pytest.raises(errors.SchemaError, match="'gpa' does not exist"):
        keyed.window(ps.session(col("gpa")))


@pytest.mark.parametrize("gap", [None, 0, -3])
def test_bad_gap_of_a_record_is_an_error_with_its_values(gap: int | None) -> None:
    stream = clicks([("ann", 1, 5), ("ann", 2, gap)])
    shown = "null" if gap is None else str(gap)
    with pytest.raises(
        errors.OperatorError, match=rf"is {shown} \(int64\) in column 'gap', row 1.*event time 2"
    ):
        sessions(stream, col("gap"))


def test_gap_that_is_no_whole_number_of_ticks_is_an_error() -> None:
    stream = clicks([("ann", 1, 1500)], gap_type=pa.duration("us"))
    with pytest.raises(errors.OperatorError, match=r"is 1500 \(duration\[us\]\).*whole number"):
        sessions(stream, col("gap"))


def test_session_beyond_the_range_of_times_is_an_error() -> None:
    largest = 2**63 - 1
    with pytest.raises(errors.OperatorError, match=rf"event time {largest - 5} in column 'ts'"):
        sessions(clicks([("ann", largest - 5, None)]), "10ms")
    with pytest.raises(errors.OperatorError, match=rf"its gap is {largest} ticks"):
        sessions(clicks([("ann", 5, largest)]), col("gap"))
    assert sessions(clicks([("ann", largest - 10, None)]), "10ms") == [
        ("ann", largest - 10, largest, 1)
    ]


def test_records_behind_the_end_of_their_session_are_counted(tmp_path: Path) -> None:
    stream = clicks([("ann", 0, None), ("ann", 12, None), ("ann", 2, None), ("ann", -40, None)])
    visits = stream.key_by("user").window(ps.session("3ms")).allowed_lateness("20ms")
    visits.aggregate(n=ps.count()).sink_to_csv(tmp_path / "visits.csv")
    (window,) = (
        operator
        for operator in stream._env.execute().operators
        if operator.kind == "session window"
    )
    assert window.num_records_out == 3
    assert (window.num_accepted_late_records, window.num_late_records) == (1, 1)


def test_null_event_time_is_an_error_that_names_the_column() -> None:
    table = pa.table({"ts": pa.array([1, None], pa.int64())})
    watermark = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
    stream = ps.Environment().from_arrow(table, watermark=watermark)
    with pytest.raises(errors.OperatorError, match="'ts'"):
        stream.window_all(ps.session("1s")).aggregate(n=ps.count()).to_arrow()


def test_explain_names_the_gap() -> None:
    keyed = clicks([("ann", 0, 1)]).key_by("user")
    constant = keyed.window(ps.session("30m")).aggregate(n=ps.count())
    assert "window session(gap=1800000 ticks of ts) by user: n=count()" in constant.explain()
    dynamic = keyed.window(ps.session(col("gap") * 2)).aggregate(n=ps.count())
    assert 'session(gap=col("gap") * 2 ticks of ts)' in dynamic.explain()
