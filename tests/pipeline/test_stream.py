"""Chains of operators: what they compute, and what is refused while they are built."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import pystream as ps
from pystream import col

SCHEMA = {"user": "string", "amount": "float64", "ts": "timestamp[ms]"}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ps.Log]:
    with ps.open(tmp_path / "log") as opened:
        opened.create_topic("payments", schema=SCHEMA, key="user", partitions=2)
        yield opened


def payments() -> pa.Table:
    return pa.table(
        {
            "user": ["ann", "bob", "ann", None, "ann"],
            "amount": [1.0, 2.0, 3.0, 4.0, None],
            "ts": pa.array([1_000, 2_000, 61_000, 62_000, 180_000], pa.timestamp("ms")),
        }
    )


def stream() -> ps.Stream:
    strategy = ps.WatermarkStrategy.for_bounded_out_of_orderness("5s", timestamp="ts")
    return ps.Environment().from_arrow(payments(), watermark=strategy)


def test_filter_and_select_compute_columns() -> None:
    result = stream().filter(col("amount") > 1).select("user", double=col("amount") * 2)
    assert result.schema.names == ["user", "double"]
    assert result.to_arrow().to_pydict() == {
        "user": ["bob", "ann", None],
        "double": [4.0, 6.0, 8.0],
    }


def test_with_columns_adds_and_replaces() -> None:
    result = stream().with_columns(amount=col("amount") + 1, big=col("amount") > 2)
    assert result.schema.names == ["user", "amount", "ts", "big"]
    assert result.to_arrow()["amount"].to_pylist() == [2.0, 3.0, 4.0, 5.0, None]


def test_select_takes_an_alias() -> None:
    assert stream().select(col("user").alias("who")).schema.names == ["who"]


def test_tumbling_window_per_key_with_a_group_of_nulls() -> None:
    result = (
        stream()
        .key_by("user")
        .window(ps.tumbling("1m"))
        .aggregate(n=ps.count(), total=col("amount").sum(), top=(col("amount") * 2).max())
    )
    rows = result.to_arrow().to_pylist()
    minute = np.datetime64("1970-01-01T00:01", "ms")
    assert sorted(rows, key=lambda r: (r["window_start"], str(r["user"]))) == [
        window_row("ann", 0, 1, 1.0, 2.0),
        window_row("bob", 0, 1, 2.0, 4.0),
        window_row(None, 1, 1, 4.0, 8.0),
        window_row("ann", 1, 1, 3.0, 6.0),
        window_row("ann", 3, 1, None, None),
    ]
    assert minute.astype(int) == 60_000


def window_row(user: str | None, minute: int, n: int, total: Any, top: Any) -> dict[str, Any]:
    moment = np.datetime64(minute * 60_000, "ms")
    return {
        "user": user,
        "window_start": moment.item(),
        "window_end": (moment + np.timedelta64(1, "m")).item(),
        "n": n,
        "total": total,
        "top": top,
    }


def test_window_over_the_results_of_a_window() -> None:
    minutes = stream().key_by("user").window(ps.tumbling("1m")).aggregate(n=ps.count())
    hours = minutes.window_all(ps.tumbling("1h")).aggregate(panes=ps.count(), n=col("n").sum())
    assert hours.to_arrow().select(["panes", "n"]).to_pylist() == [{"panes": 5, "n": 5}]


def test_cascaded_window_of_one_size_sees_its_results_in_the_same_window() -> None:
    minutes = stream().key_by("user").window(ps.tumbling("1m")).aggregate(n=ps.count())
    again = minutes.window_all(ps.tumbling("1m")).aggregate(n=col("n").sum())
    starts = [row["window_start"].minute for row in again.to_arrow().to_pylist()]
    assert starts == [0, 1, 3]


def test_late_rows_keep_the_schema_of_the_input_also_beside_computed_operands(
    log: ps.Log,
) -> None:
    table = pa.table(
        {
            "user": ["a", "a", "a"],
            "amount": [1.0, 2.0, 3.0],
            "ts": pa.array([0, 100_000, 1_000], pa.timestamp("ms")),
        }
    )
    strategy = ps.WatermarkStrategy.for_bounded_out_of_orderness("5s", timestamp="ts")
    late = ps.OutputTag("late")
    source = ps.Environment().from_arrow(table, watermark=strategy)
    totals = (
        source.key_by("user")
        .window(ps.tumbling("1m"))
        .side_output_late_data(late)
        .aggregate(double=(col("amount") * 2).sum())
    )
    rows = totals.side_output(late)
    assert rows.schema == source.schema
    assert rows.to_arrow()["amount"].to_pylist() == [3.0]


def test_map_batches_may_change_rows_and_schema() -> None:
    def explode(batch: ps.RecordBatch) -> dict[str, Any]:
        return {"twice": np.repeat(batch["amount"].to_numpy(), 2)}

    result = stream().filter(col("amount") < 3).map_batches(explode, schema={"twice": "float64"})
    assert result.to_arrow()["twice"].to_pylist() == [1.0, 1.0, 2.0, 2.0]


def test_exception_in_map_batches_is_the_cause_of_an_operator_error() -> None:
    def broken(batch: ps.RecordBatch) -> Any:
        raise ValueError("no such thing")

    with pytest.raises(ps.errors.OperatorError, match=r"broken.*no such thing") as caught:
        stream().map_batches(broken).to_arrow()
    assert isinstance(caught.value.__cause__, ValueError)


def test_result_of_map_batches_is_checked() -> None:
    short = {"user": np.array(["x"], dtype=object)}
    for result in (short, pa.table(short), ps.RecordBatch.from_numpy(short)):
        with pytest.raises(ps.errors.SchemaError, match="without 'amount'"):
            stream().map_batches(lambda batch, result=result: result).to_arrow()


def test_execute_writes_results_and_late_rows_to_new_topics(log: ps.Log) -> None:
    with log.producer() as producer:
        for user, ts in [("a", 0), ("a", 100_000), ("a", 1_000), ("b", 101_000)]:
            producer.send("payments", {"user": user, "amount": 1.0, "ts": ts}, partition=0)
        producer.flush()
        producer.send("payments", {"user": "z", "amount": 1.0, "ts": 200_000}, partition=1)
    env = ps.Environment(log, name="totals")
    late = ps.OutputTag("late")
    totals = (
        env.from_topic(
            "payments",
            watermark=ps.WatermarkStrategy.for_bounded_out_of_orderness("5s", timestamp="ts"),
        )
        .key_by("user")
        .window(ps.tumbling("1m"))
        .side_output_late_data(late)
        .aggregate(n=ps.count())
    )
    totals.sink_to_topic("totals")
    totals.side_output(late).sink_to_topic("late-payments")
    result = env.execute(until="latest")
    assert result.records_in == 5
    assert log.topic("totals").schema.names == ["user", "window_start", "window_end", "n"]
    seen = ps.Environment(log).from_topic("totals").to_arrow()
    assert sum(seen["n"].to_pylist()) + result.late_records == 5


def test_record_timestamp_of_a_window_result_is_the_last_instant_of_the_window(
    log: ps.Log,
) -> None:
    with log.producer() as producer:
        producer.send("payments", {"user": "a", "amount": 1.0, "ts": 1_000})
    env = ps.Environment(log)
    strategy = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
    windows = env.from_topic("payments", watermark=strategy).key_by("user")
    windows.window(ps.tumbling("1m")).aggregate(n=ps.count()).sink_to_topic("counts")
    env.execute(until="latest")
    with log.consumer("counts", auto_offset_reset="earliest") as consumer:
        (batch,) = consumer.batches(timeout="0s")
    assert batch.timestamps.tolist() == [np.datetime64(59_999, "ms")]


def test_parallelism_does_not_change_the_result(log: ps.Log) -> None:
    random = np.random.default_rng(5)
    stamps = np.sort(random.integers(0, 10_000_000, 5_000)) + random.integers(0, 4_000, 5_000)
    with log.producer() as producer:
        for part in np.array_split(np.arange(5_000), 37):
            producer.send_batch(
                "payments",
                {
                    "user": np.array([f"u{i % 50}" for i in part], dtype=object),
                    "amount": part.astype("float64"),
                    "ts": stamps[part].astype("datetime64[ms]"),
                },
            )

    def run(parallelism: int) -> list[Any]:
        strategy = ps.WatermarkStrategy.for_bounded_out_of_orderness("2s", timestamp="ts")
        env = ps.Environment(log, parallelism=parallelism)
        keyed = env.from_topic("payments", watermark=strategy).key_by("user")
        table = keyed.window(ps.hopping("1m", "7s")).aggregate(
            n=ps.count(), total=col("amount").sum()
        )
        return sorted(tuple(row.values()) for row in table.to_arrow().to_pylist())

    assert run(1) == run(2)


def test_explain_says_what_is_native() -> None:
    text = (
        stream()
        .filter(col("amount") > 0)
        .map_batches(lambda batch: batch)
        .key_by("user")
        .window(ps.tumbling("1m"))
        .aggregate(n=ps.count())
        .explain()
    )
    lines = text.splitlines()
    assert [line.rsplit("[")[-1] for line in lines] == ["native]", "python]", "native]", "native]"]
    assert 'filter(col("amount") > 0)' in text


# -- refused while the chain is built ------------------------------------------------------------


def test_unknown_column_in_a_filter() -> None:
    with pytest.raises(ps.errors.SchemaError, match=r"amuont.*amount"):
        stream().filter(col("amuont") > 0)


def test_filter_that_is_not_bool() -> None:
    with pytest.raises(ps.errors.SchemaError, match="float64"):
        stream().filter(col("amount") + 1)


def test_type_error_in_an_expression() -> None:
    with pytest.raises(ps.errors.SchemaError, match="string"):
        stream().select(x=col("user") * col("amount"))


@ps.udf(returns="float64")
def doubled(values: Any) -> Any:
    return values * 2


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda s: s.key_by(col("amount") % 2), r'key_by got col\("amount"\) % 2, .*with_columns'),
        (lambda s: s.key_by("user", doubled(col("amount"))), r"key_by got doubled\(.*with_columns"),
        (lambda s: s.key_by(doubled), "key_by got <udf doubled"),
        (lambda s: s.key_by(col("user")), r'key_by got col\("user"\), .* Pass "user"'),
        (lambda s: s.key_by(["user"]), r"key_by got \['user'\], "),
        (lambda s: s.sink_to_topic("out", key=col("user")), 'sink_to_topic got .* Pass "user"'),
        (lambda s: s.select(big=ps.when(col("amount") > 1)), r"which waits for .*\.then\(value\)"),
        (lambda s: s.with_columns(big=ps.when(col("amount") > 1)), r"\.then\(value\)"),
    ],
)
def test_what_is_no_column_and_no_expression_is_refused(call: Any, words: str) -> None:
    with pytest.raises(ps.errors.ConfigError, match=words):
        call(stream())


def test_unknown_key() -> None:
    with pytest.raises(ps.errors.SchemaError, match=r"customer.*user, amount, ts"):
        stream().key_by("customer")


def test_sum_of_a_string() -> None:
    with pytest.raises(ps.errors.SchemaError, match="user"):
        stream().key_by("ts").window(ps.tumbling("1m")).aggregate(x=col("user").sum())


def test_two_results_of_one_name() -> None:
    with pytest.raises(ps.errors.SchemaError, match="user"):
        stream().key_by("user").window(ps.tumbling("1m")).aggregate(user=ps.count())
    with pytest.raises(ps.errors.SchemaError, match="user"):
        stream().select("user", "user")


@pytest.mark.parametrize("size", ["0s", "-1m"])
def test_window_that_is_not_longer_than_zero(size: str) -> None:
    with pytest.raises(ps.errors.ConfigError, match="longer than zero"):
        ps.tumbling(size)


def test_window_of_a_fraction_of_a_tick() -> None:
    with pytest.raises(ps.errors.ConfigError, match="whole number of ticks"):
        stream().key_by("user").window(ps.tumbling("1500us"))


def test_windows_without_number_are_refused() -> None:
    with pytest.raises(ps.errors.ConfigError, match=r"in 300,000,000,000 windows .* slide of at l"):
        ps.hopping("300000000000d", "1d")
    with pytest.raises(ps.errors.ConfigError, match=r"in 31,536,000,000 windows .* step of at l"):
        ps.cumulate("365d", "1ms")


def test_offset_longer_than_the_slide() -> None:
    with pytest.raises(ps.errors.ConfigError, match="offset"):
        ps.hopping("10m", "1m", offset="1m")


def test_window_without_event_time() -> None:
    with pytest.raises(ps.errors.PipelineError, match="event time"):
        ps.Environment().from_arrow(payments()).key_by("user").window(ps.tumbling("1m"))


def test_window_after_the_event_time_was_dropped() -> None:
    with pytest.raises(ps.errors.PipelineError, match="event time"):
        stream().select("user").key_by("user").window(ps.tumbling("1m"))


def test_event_time_cannot_be_replaced() -> None:
    with pytest.raises(ps.errors.SchemaError, match="event time"):
        stream().with_columns(ts=col("ts"))


def test_event_time_must_be_a_time() -> None:
    strategy = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="user")
    with pytest.raises(ps.errors.SchemaError, match="string"):
        ps.Environment().from_arrow(payments(), watermark=strategy)


def test_null_event_time_stops_the_job() -> None:
    table = pa.table({"ts": pa.array([1, None], pa.timestamp("ms"))})
    strategy = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
    windows = ps.Environment().from_arrow(table, watermark=strategy).window_all(ps.tumbling("1m"))
    with pytest.raises(ps.errors.OperatorError, match="ts"):
        windows.aggregate(n=ps.count()).to_arrow()


def test_side_output_with_another_tag() -> None:
    windows = stream().key_by("user").window(ps.tumbling("1m"))
    totals = windows.side_output_late_data(ps.OutputTag("late")).aggregate(n=ps.count())
    with pytest.raises(ps.errors.PipelineError, match="'other'"):
        totals.side_output(ps.OutputTag("other"))


def test_environment_without_a_sink() -> None:
    with pytest.raises(ps.errors.PipelineError, match="no sink"):
        ps.Environment().execute()


def test_sink_with_another_schema_than_the_topic(log: ps.Log) -> None:
    env = ps.Environment(log)
    with pytest.raises(ps.errors.SchemaError, match="payments"):
        env.from_topic("payments").select("amount").sink_to_topic("payments")


def test_unknown_topic(log: ps.Log) -> None:
    with pytest.raises(ps.errors.UnknownTopicError, match="paymnets"):
        ps.Environment(log).from_topic("paymnets")


@pytest.mark.parametrize(
    "call",
    [
        lambda: ps.Environment().execute(runner="flink"),
    ],
)
def test_what_is_not_built_yet_says_so(call: Any) -> None:
    with pytest.raises(ps.errors.NotSupportedError):
        call()
