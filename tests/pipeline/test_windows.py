"""Windows as users see them: what goes into a topic, and which rows come out of the pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import pystream as ps
from pystream import col, errors

SCHEMA = {"user": "string", "amount": "int64", "ts": "timestamp[ms]"}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ps.Log]:
    with ps.open(tmp_path / "log") as opened:
        yield opened


def publish(log: ps.Log, rows: list[tuple[str | None, int | None, int]], topic: str = "in") -> None:
    """Append rows of (user, amount, ts), one batch to partition 0."""
    log.create_topic(topic, schema=SCHEMA, exist_ok=True)
    users, amounts, times = zip(*rows, strict=True)
    table = pa.table(
        {
            "user": pa.array(users, pa.string()),
            "amount": pa.array(amounts, pa.int64()),
            "ts": pa.array(times, pa.timestamp("ms")),
        }
    )
    with log.producer(acks="published") as producer:
        producer.send_batch(topic, table, partition=0)


def read(log: ps.Log, delay: str = "0s", topic: str = "in", **options: Any) -> ps.Stream:
    watermark = ps.WatermarkStrategy.for_bounded_out_of_orderness(delay, timestamp="ts")
    return ps.Environment(log, **options).from_topic(topic, watermark=watermark, bounded=True)


def tuples(stream: ps.Stream) -> list[tuple[Any, ...]]:
    """Return all rows, times as milliseconds, sorted by window and key."""
    table = stream.to_arrow()
    columns = [
        column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        for column in table.columns
    ]
    rows = list(zip(*(column.to_pylist() for column in columns), strict=True))
    start = table.schema.names.index("window_start")
    return sorted(rows, key=lambda row: (row[start], str(row[:start])))


def totals(stream: ps.Stream, window: Any) -> list[tuple[Any, ...]]:
    windowed = stream.key_by("user").window(window)
    return tuples(windowed.aggregate(n=ps.count(), total=col("amount").sum()))


def test_minute_totals_by_user(log: ps.Log) -> None:
    publish(log, [("ann", 5, 1_000), ("bob", 7, 2_000), ("ann", 1, 59_999), ("ann", 9, 60_000)])
    assert totals(read(log), ps.tumbling("1m")) == [
        ("ann", 0, 60_000, 2, 6),
        ("bob", 0, 60_000, 1, 7),
        ("ann", 60_000, 120_000, 1, 9),
    ]


def test_window_closes_exactly_when_the_bound_has_passed_its_end(log: ps.Log) -> None:
    for topic, newest, n in (("just-open", 64_999, 2), ("just-closed", 65_000, 1)):
        publish(log, [("ann", 1, 0), ("bob", 1, newest), ("ann", 1, 10)], topic)
        rows = totals(read(log, "5s", topic), ps.tumbling("1m"))
        assert rows[0] == ("ann", 0, 60_000, n, n)


def test_late_rows_go_to_the_side_output_unchanged_and_are_counted(log: ps.Log) -> None:
    publish(log, [("ann", 1, 5_000), ("bob", 2, 20_000), ("ann", 3, 6_000), ("cid", None, 12_000)])
    late = ps.OutputTag("late")
    windowed = read(log).key_by("user").window(ps.tumbling("10s")).side_output_late_data(late)
    result = windowed.aggregate(n=ps.count())
    assert tuples(result) == [("ann", 0, 10_000, 1), ("bob", 20_000, 30_000, 1)]
    rows = result.side_output(late).to_arrow().to_pylist()
    assert [(row["user"], row["amount"]) for row in rows] == [("ann", 3), ("cid", None)]


def test_aggregates_of_expressions_are_named_by_them_and_told_apart() -> None:
    table = pa.table({"ts": pa.array([1, 2], pa.int64()), "n": [1, 2], 'col("n") * 2': [5, 7]})
    stream = ps.Environment().from_arrow(
        table, watermark=ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
    )
    windows = stream.window_all(ps.tumbling("10ms"))
    twice = col("n") * 2
    (row,) = (
        windows.aggregate(
            whole=twice.sum(),
            mean=twice.mean(),
            real=(col("n") * 2.0).sum(),
            stored=col('col("n") * 2').sum(),
        )
        .to_arrow()
        .to_pylist()
    )
    assert [row[name] for name in ("whole", "mean", "real", "stored")] == [6, 3.0, 6.0, 12]
    assert isinstance(row["real"], float)
    with pytest.raises(errors.SchemaError, match=r"any does not take column 'col\(\"n\"\) \+ 1'"):
        windows.aggregate(bad=(col("n") + 1).any())


def test_side_output_of_computed_aggregates_may_go_nowhere() -> None:
    table = pa.table({"ts": pa.array([1, 20, 2], pa.int64()), "n": [1, 2, 3]})
    late = ps.OutputTag("late")
    stream = ps.Environment().from_arrow(
        table, watermark=ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
    )
    windows = stream.window_all(ps.tumbling("10ms")).side_output_late_data(late)
    totals = windows.aggregate(twice=(col("n") * 2).sum())
    assert totals.to_arrow()["twice"].to_pylist() == [2, 4]
    assert totals.side_output(late).to_arrow().to_pylist() == [{"ts": 2, "n": 3}]


def test_late_rows_are_counted_without_a_side_output(log: ps.Log) -> None:
    publish(log, [("ann", 1, 5_000), ("bob", 2, 20_000), ("ann", 3, 6_000)])
    env = ps.Environment(log)
    watermark = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
    stream = env.from_topic("in", watermark=watermark).key_by("user").window(ps.tumbling("10s"))
    stream.aggregate(n=ps.count()).sink_to_topic("out")
    assert env.execute(until="latest").late_records == 1


def test_row_behind_the_watermark_whose_window_is_open_counts(log: ps.Log) -> None:
    publish(log, [("ann", 1, 18_000), ("ann", 1, 11_000)])
    assert totals(read(log), ps.tumbling("10s")) == [("ann", 10_000, 20_000, 2, 2)]


def test_late_record_within_the_allowed_lateness_fires_its_window_again(log: ps.Log) -> None:
    publish(log, [("ann", 1, 1_000), ("bob", 2, 2_000), ("cid", 0, 12_000), ("ann", 4, 3_000)])
    windowed = read(log).key_by("user").window(ps.tumbling("10s")).allowed_lateness("5s")
    result = windowed.aggregate(n=ps.count(), total=col("amount").sum())
    rows = [(row["user"], row["n"], row["total"]) for row in result.to_arrow().to_pylist()]
    assert sorted(rows[:2]) == [("ann", 1, 1), ("bob", 1, 2)]
    assert rows[2:] == [("ann", 2, 5), ("cid", 1, 0)]


def test_record_after_the_allowed_lateness_is_late(log: ps.Log) -> None:
    # 15,000 takes the watermark to 14,999, and [0, 10 s) is kept until 9,999 + 5,000.
    for topic, newest, is_late in (("kept", 14_999, False), ("forgotten", 15_000, True)):
        publish(log, [("ann", 1, 0), ("bob", 1, newest), ("ann", 1, 10)], topic)
        windowed = read(log, topic=topic).key_by("user").window(ps.tumbling("10s"))
        late = ps.OutputTag("late")
        result = windowed.allowed_lateness("5s").side_output_late_data(late)
        counts = result.aggregate(n=ps.count())
        assert counts.side_output(late).to_arrow().num_rows == is_late
        assert [row[3] for row in tuples(counts)] == ([1, 1] if is_late else [1, 2, 1])


def test_windows_fire_between_records_that_come_late(log: ps.Log) -> None:
    """Panes and windows come in the order of the records that caused them, also within a batch."""
    publish(log, [("ann", 1, 0), ("ann", 1, 12_000), ("ann", 1, 1), ("ann", 1, 23_000),
                  ("ann", 1, 2), ("ann", 1, 13_000)])  # fmt: skip
    windowed = read(log).key_by("user").window(ps.tumbling("10s")).allowed_lateness("1m")
    rows = windowed.aggregate(n=ps.count()).to_arrow().to_pylist()
    seconds = [(row["window_start"].second, row["n"]) for row in rows]
    assert seconds == [(0, 1), (0, 2), (10, 1), (0, 3), (10, 2), (20, 1)]


def test_window_below_takes_panes_only_within_its_own_allowed_lateness(log: ps.Log) -> None:
    """A pane goes on with the watermark that its record saw: below it is behind, too."""
    publish(log, [("ann", 1, 0), ("bob", 1, 12_000), ("ann", 1, 1), ("bob", 1, 30_000)])
    first = read(log).key_by("user").window(ps.tumbling("10s")).allowed_lateness("1m")
    late = ps.OutputTag("late")
    second = first.aggregate(n=ps.count()).window_all(ps.tumbling("10s"))
    strict = second.side_output_late_data(late).aggregate(n=col("n").sum())
    assert [row[2] for row in tuples(strict)] == [1, 1, 1]
    assert [row["n"] for row in strict.side_output(late).to_arrow().to_pylist()] == [2]
    lenient = second.allowed_lateness("1m").aggregate(n=col("n").sum())
    assert [row[2] for row in tuples(lenient)] == [1, 3, 1, 1]


def test_records_accepted_late_are_counted(log: ps.Log) -> None:
    publish(log, [("ann", 1, 5_000), ("bob", 2, 20_000), ("ann", 3, 6_000), ("ann", 3, -5_000)])
    env = ps.Environment(log)
    watermark = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
    stream = env.from_topic("in", watermark=watermark).key_by("user").window(ps.tumbling("10s"))
    stream.allowed_lateness("15s").aggregate(n=ps.count()).sink_to_topic("out")
    result = env.execute(until="latest")
    (window,) = (op for op in result.operators if op.kind == "window")
    assert (window.num_accepted_late_records, window.num_late_records) == (1, 1)
    assert result.late_records == 1


def panes(stream: ps.Stream) -> list[tuple[Any, ...]]:
    """Return key, window start in seconds, and n of each row, in order."""
    rows = stream.to_arrow().to_pylist()
    return [(row["user"], row["window_start"].second, row["n"]) for row in rows]


def test_windows_that_fire_on_update_show_every_record(log: ps.Log) -> None:
    publish(log, [("ann", 1, 0), ("bob", 1, 1), ("ann", 1, 2), ("ann", 1, 10_000)])
    windowed = read(log).key_by("user").window(ps.tumbling("10s"))
    wanted = [("ann", 0, 1), ("bob", 0, 1), ("ann", 0, 2), ("ann", 10, 1)]
    assert panes(windowed.emit("on_update").aggregate(n=ps.count())) == wanted
    closed = windowed.emit("on_update").emit("on_close").aggregate(n=ps.count())
    assert sorted(panes(closed)) == [("ann", 0, 2), ("ann", 10, 1), ("bob", 0, 1)]


def test_early_panes_come_after_so_many_records_of_a_key(log: ps.Log) -> None:
    publish(log, [("ann", 1, n) for n in range(5)] + [("bob", 1, 5)])
    windowed = read(log).key_by("user").window(ps.tumbling("10s")).early(count=2)
    early, close = [("ann", 0, 2), ("ann", 0, 4)], [("ann", 0, 5), ("bob", 0, 1)]
    found = panes(windowed.aggregate(n=ps.count()))
    assert (found[:2], sorted(found[2:])) == (early, close)
    found = panes(windowed.discarding().aggregate(n=ps.count()))
    assert (found[:2], sorted(found[2:])) == ([("ann", 0, 2)] * 2, [("ann", 0, 1), ("bob", 0, 1)])


def test_early_panes_come_as_event_time_passes(log: ps.Log) -> None:
    publish(log, [("ann", 1, 500), ("bob", 1, 1_500), ("ann", 1, 2_500), ("ann", 1, 9_000)])
    windowed = read(log).key_by("user").window(ps.tumbling("10s")).early("4s")
    found = panes(windowed.aggregate(n=ps.count()))
    # 9,000 takes the watermark to 8,999: both timers of both keys are behind it.
    assert [sorted(found[n : n + 2]) for n in (0, 2, 4)] == [
        [("ann", 0, 3), ("bob", 0, 1)],
    ] * 3


def test_discarded_panes_add_up_to_the_window(log: ps.Log) -> None:
    publish(log, [("ann", 3, 0), ("ann", 4, 12_000), ("ann", 5, 1), ("ann", None, 2)])
    windowed = read(log).key_by("user").window(ps.tumbling("10s")).allowed_lateness("1m")
    amount = col("amount")
    sums = windowed.discarding().aggregate(n=ps.count(), total=amount.sum(), most=amount.max())
    rows = [(row["n"], row["total"], row["most"]) for row in sums.to_arrow().to_pylist()]
    assert rows == [(1, 3, 3), (1, 5, 5), (1, None, None), (1, 4, 4)]


def test_window_below_counts_early_panes_in_the_same_window(log: ps.Log) -> None:
    publish(log, [("ann", 1, 0), ("bob", 1, 1), ("ann", 1, 2), ("ann", 1, 12_000)])
    first = read(log).key_by("user").window(ps.tumbling("10s")).emit("on_update")
    second = first.aggregate(n=ps.count()).window_all(ps.tumbling("10s"))
    assert tuples(second.aggregate(panes=ps.count())) == [(0, 10_000, 3), (10_000, 20_000, 1)]


def test_late_records_of_windows_with_a_trigger_go_to_the_side_output(log: ps.Log) -> None:
    publish(log, [("ann", 1, 5_000), ("bob", 2, 20_000), ("ann", 3, 6_000)])
    late = ps.OutputTag("late")
    windowed = read(log).filter(col("amount") > 0).key_by("user").window(ps.tumbling("10s"))
    result = windowed.emit("on_update").side_output_late_data(late).aggregate(n=ps.count())
    assert panes(result) == [("ann", 0, 1), ("bob", 20, 1)]
    assert result.side_output(late).to_arrow()["amount"].to_pylist() == [3]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda w: w.emit("now"), "emit got 'now'"),
        (lambda w: w.early(), "no time and no count"),
        (lambda w: w.early("0s"), "early got 0s"),
        (lambda w: w.early("-1s"), "early got -1s"),
        (lambda w: w.early("1us"), "not a whole number of ticks"),
        (lambda w: w.early(count=0), "count=0"),
        (lambda w: w.early(count=True), "count=True"),
        (lambda w: w.early(count=1.5), "count=1.5"),
        (lambda w: w.early("1s").emit("on_update"), "Leave one of them out"),
        (lambda w: w.emit("on_update").early("1s"), "Leave one of them out"),
    ],
)
def test_triggers_that_do_not_exist_are_refused(log: ps.Log, call: Any, message: str) -> None:
    publish(log, [("ann", 1, 0)])
    with pytest.raises(errors.ConfigError, match=message):
        call(read(log).key_by("user").window(ps.tumbling("1m")))


def test_sessions_take_late_records(log: ps.Log) -> None:
    publish(log, [("ann", 1, 0), ("ann", 1, 30_000), ("ann", 1, 5_000)])
    windowed = read(log).key_by("user").window(ps.session("10s"))
    late = windowed.allowed_lateness("25s").emit("on_close").aggregate(n=ps.count())
    assert [(s, e, n) for _, s, e, n in tuples(late)] == [
        (0, 10_000, 1),
        (0, 15_000, 2),
        (30_000, 40_000, 1),
    ]


def test_windows_of_records_know_no_lateness(log: ps.Log) -> None:
    publish(log, [("ann", 1, 0)])
    for window in (ps.count_window(2), ps.global_window()):
        with pytest.raises(errors.ConfigError, match="for which no record is late"):
            read(log).key_by("user").window(window).allowed_lateness("1s")


def test_explain_names_the_trigger(log: ps.Log) -> None:
    publish(log, [("ann", 1, 0)])
    windowed = read(log).key_by("user").window(ps.tumbling("1m"))
    early = windowed.early("5s", count=7).discarding().aggregate(n=ps.count()).explain()
    assert "early every 5000 ticks, early every 7 records, discarding" in early
    assert ", on update" in windowed.emit("on_update").aggregate(n=ps.count()).explain()


def test_allowed_lateness_that_does_not_exist_is_refused(log: ps.Log) -> None:
    publish(log, [("ann", 1, 0)])
    windowed = read(log).key_by("user").window(ps.tumbling("1m"))
    with pytest.raises(errors.ConfigError, match="allowed_lateness is -1s"):
        windowed.allowed_lateness("-1s")
    with pytest.raises(errors.ConfigError, match="not a whole number of ticks"):
        windowed.allowed_lateness("1us")


def test_explain_names_the_allowed_lateness(log: ps.Log) -> None:
    publish(log, [("ann", 1, 0)])
    windowed = read(log).key_by("user").window(ps.tumbling("1m")).allowed_lateness("5s")
    assert "allowed lateness 5000" in windowed.aggregate(n=ps.count()).explain()


def test_hopping_row_counts_in_those_windows_that_are_open(log: ps.Log) -> None:
    publish(log, [("ann", 1, 0), ("ann", 2, 35_000), ("ann", 4, 12_000), ("ann", 8, -1_000)])
    assert totals(read(log), ps.hopping("30s", "10s")) == [
        ("ann", -20_000, 10_000, 1, 1),
        ("ann", -10_000, 20_000, 1, 1),
        ("ann", 0, 30_000, 1, 1),
        ("ann", 10_000, 40_000, 2, 6),
        ("ann", 20_000, 50_000, 1, 2),
        ("ann", 30_000, 60_000, 1, 2),
    ]


def test_hopping_slide_need_not_divide_the_size(log: ps.Log) -> None:
    publish(log, [("ann", 1, 12_000), ("ann", 2, 14_000)])
    assert totals(read(log), ps.hopping("10s", "4s")) == [
        ("ann", 4_000, 14_000, 1, 1),
        ("ann", 8_000, 18_000, 2, 3),
        ("ann", 12_000, 22_000, 2, 3),
    ]


def test_offset_and_times_before_1970(log: ps.Log) -> None:
    publish(log, [("ann", 1, -1), ("ann", 1, -60_000), ("ann", 1, -60_001)])
    assert totals(read(log, "1h"), ps.tumbling("1m")) == [
        ("ann", -120_000, -60_000, 1, 1),
        ("ann", -60_000, 0, 2, 2),
    ]
    assert totals(read(log, "1h"), ps.tumbling("1m", offset="-1ms")) == [
        ("ann", -60_001, -1, 2, 2),
        ("ann", -1, 59_999, 1, 1),
    ]


def test_null_keys_form_one_group(log: ps.Log) -> None:
    publish(log, [(None, 1, 0), ("ann", 2, 0), (None, 4, 0)])
    assert totals(read(log), ps.tumbling("1m")) == [
        ("ann", 0, 60_000, 1, 2),
        (None, 0, 60_000, 2, 5),
    ]


def test_aggregates_skip_nulls(log: ps.Log) -> None:
    publish(log, [("ann", 1, 0), ("ann", None, 1), ("ann", 2, 2), ("bob", None, 3)])
    amount = col("amount")
    result = read(log).key_by("user").window(ps.tumbling("1m")).aggregate(
        rows=ps.count(), n=amount.count(), total=amount.sum(), mean=amount.mean(),
        least=amount.min(), most=amount.max(),
    )  # fmt: skip
    assert tuples(result) == [
        ("ann", 0, 60_000, 3, 2, 3, 1.5, 1, 2),
        ("bob", 0, 60_000, 1, 0, None, None, None, None),
    ]


def test_without_keys_there_is_one_row_per_window(log: ps.Log) -> None:
    publish(log, [("ann", 1, 0), ("bob", 2, 1), ("ann", 4, 60_000)])
    result = read(log).window_all(ps.tumbling("1m")).aggregate(total=col("amount").sum())
    assert tuples(result) == [(0, 60_000, 3), (60_000, 120_000, 4)]


def test_second_window_sees_results_in_the_same_window(log: ps.Log) -> None:
    publish(log, [("ann", 1, 0), ("bob", 2, 1), ("ann", 4, 60_000), ("bob", 8, 125_000)])
    by_user = read(log).key_by("user").window(ps.tumbling("1m")).aggregate(n=ps.count())
    users = by_user.window_all(ps.tumbling("1m")).aggregate(users=ps.count(), n=col("n").sum())
    assert tuples(users) == [(0, 60_000, 2, 2), (60_000, 120_000, 1, 1), (120_000, 180_000, 1, 1)]


def test_slowest_partition_holds_the_watermark(log: ps.Log) -> None:
    log.create_topic("in", schema=SCHEMA, partitions=2)
    with log.producer(acks="published") as producer:
        for partition, time in (
            (0, 1_000),
            (1, 2_000),
            (0, 50_000),
            (0, 3_000),
            (1, 40_000),
            (0, 4_000),
        ):
            table = {"user": ["ann"], "amount": [1], "ts": np.array([time], "datetime64[ms]")}
            producer.send_batch("in", table, partition=partition)
    # Partition 1 stands at 2,000 when 3,000 comes and at 40,000 when 4,000 does.
    for parallelism in (1, 2):
        assert totals(read(log, parallelism=parallelism), ps.tumbling("10s")) == [
            ("ann", 0, 10_000, 3, 3),
            ("ann", 40_000, 50_000, 1, 1),
            ("ann", 50_000, 60_000, 1, 1),
        ]


def test_null_event_time_is_an_error_that_names_the_column(log: ps.Log) -> None:
    log.create_topic("in", schema=SCHEMA)
    table = pa.table(
        {
            "user": ["ann", "bob"],
            "amount": [1, 2],
            "ts": pa.array([1, None], pa.timestamp("ms")),
        }
    )
    with log.producer(acks="published") as producer:
        producer.send_batch("in", table, partition=0)
    with pytest.raises(errors.OperatorError, match="'ts'"):
        totals(read(log), ps.tumbling("1m"))


def test_sum_that_does_not_fit_is_an_error_that_names_key_and_window(log: ps.Log) -> None:
    publish(log, [("ann", 2**63 - 1, 0), ("ann", 1, 1)])
    with pytest.raises(errors.OperatorError, match=r"user = 'ann'.*\[0, 60000\)"):
        totals(read(log), ps.tumbling("1m"))


def test_sums_do_not_wrap_on_the_way(log: ps.Log) -> None:
    publish(log, [("ann", 2**63 - 1, 0), ("ann", 1, 1), ("ann", -1, 2)])
    assert totals(read(log), ps.tumbling("1m"))[0][-1] == 2**63 - 1


@pytest.mark.parametrize(
    "window",
    [
        lambda: ps.tumbling("0s"),
        lambda: ps.tumbling("-1s"),
        lambda: ps.hopping("1s", "0s"),
        lambda: ps.cumulate("10s", "3s"),
        lambda: ps.cumulate("10s", "20s"),
        lambda: ps.cumulate("10s", "0s"),
        lambda: ps.cumulate("10s", "5s", offset="10s"),
    ],
)
def test_windows_that_do_not_exist_are_refused_when_written(window: Any) -> None:
    with pytest.raises(errors.ConfigError):
        window()


@ps.udf(returns="float64")
def halved(values: Any) -> Any:
    return values / 2


def test_condition_of_an_aggregate_is_a_bool_expression(log: ps.Log) -> None:
    with pytest.raises(errors.ConfigError, match="where=True is not an expression"):
        ps.count(where=True)  # type: ignore[arg-type]
    with pytest.raises(errors.ConfigError, match="where='amount' is not an expression"):
        col("amount").sum(where="amount")  # type: ignore[arg-type]
    publish(log, [("ann", 1, 0)])
    windows = read(log).key_by("user").window(ps.tumbling("1m"))
    with pytest.raises(errors.SchemaError, match=r"n=count\(where=.*where must be bool.*int64"):
        windows.aggregate(n=ps.count(where=col("amount")))
    with pytest.raises(errors.SchemaError, match=r"where must be bool, but .* is of type float64"):
        windows.aggregate(n=col("amount").max(where=halved(col("amount"))))
    with pytest.raises(errors.SchemaError, match="'amuont' does not exist"):
        windows.aggregate(n=ps.count(where=col("amuont") > 0))


def test_explain_names_the_windows_and_conditions(log: ps.Log) -> None:
    publish(log, [("ann", 1, 0)])
    windows = read(log).key_by("user").window(ps.cumulate("1h", "10m", offset="5m"))
    text = windows.aggregate(n=ps.count(where=col("amount") > 0)).explain()
    assert "cumulate(size=3600000, step=600000, offset=300000 ticks of ts) by user" in text
    assert 'n=count(where=col("amount") > 0)' in text


def test_aggregate_that_does_not_take_the_type_is_refused_when_the_chain_is_built(
    log: ps.Log,
) -> None:
    publish(log, [("ann", 1, 0)])
    windowed = read(log).key_by("user").window(ps.tumbling("1m"))
    with pytest.raises(errors.SchemaError, match="sum"):
        windowed.aggregate(total=col("user").sum())
