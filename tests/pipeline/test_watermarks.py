"""Watermark strategies as users see them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import pystream as ps
from pystream import errors

HOUR = 3_600_000
MILLION_YEARS = 31_556_952_000_000  # seconds


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ps.Log]:
    with ps.open(tmp_path / "log") as opened:
        yield opened


def monotonous() -> ps.WatermarkStrategy:
    return ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")


def hourly(stream: ps.Stream, late: ps.OutputTag) -> ps.Stream:
    return stream.window_all(ps.tumbling("1h")).side_output_late_data(late).aggregate(n=ps.count())


def publish(log: ps.Log, times: list[int], unit: str = "ms") -> None:
    log.create_topic("events", schema={"ts": f"timestamp[{unit}]"}, exist_ok=True)
    with log.producer(acks="published") as producer:
        producer.send_batch("events", {"ts": np.array(times, f"datetime64[{unit}]")}, partition=0)


# -- times far ahead ---------------------------------------------------------------------------


def test_one_wild_timestamp_closes_no_window_and_is_told(log: ps.Log) -> None:
    now = int(time.time() * 1000) // HOUR * HOUR
    wild = now + 365 * 24 * HOUR
    publish(log, [now - HOUR, now, wild, now + 1, now - 1])
    late = ps.OutputTag("late")
    env = ps.Environment(log)
    hourly(env.from_topic("events", watermark=monotonous()), late).sink_to_topic("totals")
    with pytest.warns(RuntimeWarning, match="1 records so far have an event time too far ahead"):
        result = env.execute(until="latest")
    source = result.operators[0]
    assert (source.num_ahead_records, source.num_records_in, result.late_records) == (1, 5, 1)
    rows = ps.Environment(log).from_topic("totals").to_arrow()
    starts = rows["window_start"].cast(pa.int64()).to_pylist()
    assert dict(zip(starts, rows["n"].to_pylist(), strict=True)) == {
        now - HOUR: 1,  # not now - 1, which is late
        now: 2,
        wild: 1,
    }


def test_limit_is_a_setting(log: ps.Log) -> None:
    now = int(time.time() * 1000) // HOUR * HOUR
    publish(log, [now, now + 10 * 24 * HOUR, now + 1])
    for limit, n in ((None, 1), ("30d", 1), (timedelta(days=2), 2), ("0s", 2)):
        strategy = monotonous().with_max_ahead(limit)
        stream = ps.Environment(log).from_topic("events", watermark=strategy, bounded=True)
        totals = hourly(stream, ps.OutputTag("late"))
        if n == 2:
            with pytest.warns(RuntimeWarning, match="too far ahead"):
                table = totals.to_arrow()
        else:
            table = totals.to_arrow()
        assert table["n"].to_pylist()[0] == n


def test_table_has_no_append_times_so_the_calendar_is_the_limit() -> None:
    seconds = np.array([0, MILLION_YEARS, 1], "datetime64[s]")
    stream = ps.Environment().from_arrow({"ts": seconds}, watermark=monotonous())
    with pytest.warns(RuntimeWarning, match="too far ahead"):
        assert hourly(stream, ps.OutputTag("late")).to_arrow()["n"].to_pylist() == [2, 1]
    every = monotonous().with_max_ahead(None)
    stream = ps.Environment().from_arrow({"ts": seconds}, watermark=every)
    assert hourly(stream, ps.OutputTag("late")).to_arrow()["n"].to_pylist() == [1, 1]
    with pytest.raises(errors.NotSupportedError, match="tables and files do not have"):
        ps.Environment().from_arrow({"ts": seconds}, watermark=monotonous().with_max_ahead("1h"))


def test_nanoseconds_end_before_the_calendar_and_are_guarded_too() -> None:
    times = np.array(["2020-01-01", "2262-04-10", "2020-01-01"], "datetime64[ns]")
    env = ps.Environment()
    result = env.from_arrow({"ts": times}, watermark=monotonous()).window_all(ps.tumbling("1d"))
    with pytest.warns(RuntimeWarning, match="too far ahead"):
        counts = result.aggregate(n=ps.count()).to_arrow()
    assert counts["n"].to_pylist() == [2, 1]


def test_date_far_ahead_is_guarded_too() -> None:
    days = pa.table({"ts": pa.array([0, 2_932_897, 1], pa.int32()).cast(pa.date32())})
    stream = ps.Environment().from_arrow(days, watermark=monotonous())
    totals = stream.window_all(ps.tumbling("7d")).aggregate(n=ps.count())
    with pytest.warns(RuntimeWarning, match="too far ahead"):
        assert totals.to_arrow()["n"].to_pylist() == [2, 1]


def test_null_in_a_time_column_of_a_table_is_an_error_that_names_the_row() -> None:
    times = pa.table({"ts": pa.array([1, None], pa.timestamp("ms"))})
    stream = ps.Environment().from_arrow(times, watermark=monotonous())
    with pytest.raises(errors.OperatorError, match="event time of row 1 is null: column 'ts'"):
        hourly(stream, ps.OutputTag("late")).to_arrow()


@pytest.mark.parametrize(("limit", "message"), [("-1s", "must not be negative"), ("soon", "soon")])
def test_limit_that_is_none_is_refused(limit: str, message: str) -> None:
    with pytest.raises(errors.ConfigError, match=message):
        monotonous().with_max_ahead(limit)


@pytest.mark.parametrize("timestamp", [ps.col("ts"), ps.col("ts") + "1h", 1, None])
def test_event_time_is_the_name_of_a_column(timestamp: Any) -> None:
    strategy = ps.WatermarkStrategy
    for make in (
        lambda: strategy.for_monotonous_timestamps(timestamp=timestamp),
        lambda: strategy.for_bounded_out_of_orderness("1s", timestamp=timestamp),
        lambda: strategy.for_punctuated("ts", timestamp=timestamp),
    ):
        with pytest.raises(errors.ConfigError, match=r"timestamp is .*the name of a column"):
            make()


def test_limit_is_a_whole_number_of_ticks(log: ps.Log) -> None:
    log.create_topic("events", schema={"ts": "timestamp[s]"})
    finer = monotonous().with_max_ahead("1.5s")
    with pytest.raises(errors.ConfigError, match="max_ahead is 1500000000 ns"):
        ps.Environment(log).from_topic("events", watermark=finer)


# -- idle partitions ---------------------------------------------------------------------------


def test_partition_without_records_holds_the_watermark_unless_it_is_idle(log: ps.Log) -> None:
    """Append times are real here: the second batch is appended after the shorter timeout."""
    log.create_topic("events", schema={"ts": "timestamp[ms]"}, partitions=2)
    with log.producer(acks="published") as producer:
        for times in ([0, 20_000], [1], [40_000, 2]):
            until = time.time_ns() + 2_000_000
            while time.time_ns() < until:
                pass
            table = {"ts": np.array(times, "datetime64[ms]")}
            producer.send_batch("events", table, partition=0)
    found = {}
    for timeout in ("1h", "1ms"):
        strategy = monotonous().with_idleness(timeout)
        late = ps.OutputTag("late")
        stream = ps.Environment(log).from_topic("events", watermark=strategy, bounded=True)
        totals = stream.window_all(ps.tumbling("10s")).side_output_late_data(late)
        result = totals.aggregate(n=ps.count())
        found[timeout] = result.side_output(late).to_arrow()["ts"].cast(pa.int64()).to_pylist()
    assert found == {"1h": [], "1ms": [1, 2]}


@pytest.mark.parametrize(
    ("timeout", "on_idle", "message"),
    [
        ("0s", "hold", "must be positive"),
        ("-1s", "hold", "between zero and 292 years"),
        ("1s", "stop", 'on_idle is \'stop\'. Pass one of "hold", "advance"'),
    ],
)
def test_idleness_that_cannot_be_is_refused(timeout: str, on_idle: str, message: str) -> None:
    with pytest.raises(errors.ConfigError, match=message):
        monotonous().with_idleness(timeout, on_idle=on_idle)  # type: ignore[arg-type]


def test_explain_shows_guard_and_idleness(log: ps.Log) -> None:
    log.create_topic("events", schema={"ts": "timestamp[ms]"})
    strategy = monotonous().with_max_ahead("1h").with_idleness("30s")
    stream = ps.Environment(log).from_topic("events", watermark=strategy)
    assert stream.explain() == (
        "1: from_topic('events', unbounded) watermark ts - 0 ticks, at most 3600000 ahead, "
        "idle after 30000000 us  [native]"
    )


# -- punctuated --------------------------------------------------------------------------------


def late_times(table: pa.Table, strategy: ps.WatermarkStrategy) -> list[int]:
    """Return the times of the records that are late for windows of ten ticks."""
    late = ps.OutputTag("late")
    stream = ps.Environment().from_arrow(table, watermark=strategy)
    windows = stream.window_all(ps.tumbling("10ms")).side_output_late_data(late)
    result = windows.aggregate(n=ps.count())
    times: list[int] = result.side_output(late).to_arrow()["ts"].to_pylist()
    return times


def test_records_give_the_watermark_where_they_have_one() -> None:
    table = pa.table(
        {
            "ts": pa.array([1, 50, 2, 60, 3, 61, 49], pa.int64()),
            "complete_until": pa.array([None, None, None, 9, None, 5, 49], pa.int64()),
        }
    )
    # 9 closes [0, 10); 5 does not open it again; the 49 is judged before it moves the watermark.
    strategy = ps.WatermarkStrategy.for_punctuated("complete_until", timestamp="ts")
    assert late_times(table, strategy) == [3]


def test_watermark_is_any_expression_over_the_record() -> None:
    table = pa.table(
        {
            "ts": pa.array([1, 15, 3, 14, 4], pa.int64()),
            "kind": ["data", "data", "data", "flush", "data"],
        }
    )
    bounded = ps.WatermarkStrategy.for_bounded_out_of_orderness("4ms", timestamp="ts")
    same = ps.WatermarkStrategy.for_punctuated(ps.col("ts") - 4 - 1, timestamp="ts")
    assert late_times(table, bounded) == late_times(table, same) == [3, 4]
    flush = ps.when(ps.col("kind") == "flush").then(ps.col("ts"))
    assert late_times(table, ps.WatermarkStrategy.for_punctuated(flush, timestamp="ts")) == [4]


def test_watermark_at_the_end_of_time_closes_everything() -> None:
    table = pa.table(
        {
            "ts": pa.array([1, 2, 10**15], pa.int64()),
            "mark": pa.array([2**63 - 1, None, None], pa.int64()),
        }
    )
    strategy = ps.WatermarkStrategy.for_punctuated("mark", timestamp="ts")
    assert late_times(table, strategy.with_max_ahead(None)) == [2, 10**15]
    with pytest.warns(RuntimeWarning, match="too far ahead"):
        assert late_times(table, strategy) == []


def test_watermark_of_a_topic_of_times(log: ps.Log) -> None:
    log.create_topic("events", schema={"ts": "timestamp[ms]"})
    with log.producer(acks="published") as producer:
        for times in ([10_000, 25_000], [4_000, 21_000], [9_000]):
            table = {"ts": np.array(times, "datetime64[ms]")}
            producer.send_batch("events", table, partition=0)
    for behind, counts in (("15.002s", [2, 1, 2]), ("15.001s", [1, 2])):
        strategy = ps.WatermarkStrategy.for_punctuated(ps.col("ts") - behind, timestamp="ts")
        stream = ps.Environment(log).from_topic("events", watermark=strategy, bounded=True)
        result = stream.window_all(ps.tumbling("10s")).aggregate(n=ps.count())
        assert result.to_arrow()["n"].to_pylist() == counts


def test_watermark_that_does_not_fit_is_refused_when_the_chain_is_built(log: ps.Log) -> None:
    for_punctuated = ps.WatermarkStrategy.for_punctuated
    table = {"ts": np.array([0], "datetime64[ms]"), "n": np.array([1]), "name": np.array(["a"])}
    env = ps.Environment()
    with pytest.raises(
        errors.SchemaError, match=r"col\(\"n\"\) is of type int64.*'ts' is timestamp"
    ):
        env.from_arrow(table, watermark=for_punctuated("n", timestamp="ts"))
    with pytest.raises(errors.SchemaError, match="is of type string"):
        env.from_arrow(table, watermark=for_punctuated("name", timestamp="ts"))
    with pytest.raises(errors.SchemaError, match="'nothing'"):
        env.from_arrow(table, watermark=for_punctuated("nothing", timestamp="ts"))
    with pytest.raises(errors.ConfigError, match="Pass the name of a column or an expression"):
        for_punctuated(5, timestamp="ts")  # type: ignore[arg-type]
    log.create_topic("events", schema={"ts": "timestamp[s]", "mark": "timestamp[ms]"})
    with pytest.raises(errors.SchemaError, match="Cast it"):
        ps.Environment(log).from_topic("events", watermark=for_punctuated("mark", timestamp="ts"))


def test_watermark_that_fails_names_expression_and_row() -> None:
    table = {"ts": np.array([1, 2]), "n": np.array([1, 0])}
    strategy = ps.WatermarkStrategy.for_punctuated(ps.col("ts") // ps.col("n"), timestamp="ts")
    with pytest.raises(errors.OperatorError, match="row 1") as caught:
        late_times(pa.table(table), strategy)
    assert caught.value.operator == "from_arrow-1"


def test_explain_shows_the_expression() -> None:
    table = {"ts": np.array([1])}
    strategy = ps.WatermarkStrategy.for_punctuated(ps.col("ts") - 5, timestamp="ts")
    plan = ps.Environment().from_arrow(table, watermark=strategy).explain()
    assert 'watermark col("ts") - 5 at ts, at most' in plan


# -- times of the log --------------------------------------------------------------------------


def test_times_of_the_log_become_columns(log: ps.Log) -> None:
    log.create_topic("events", schema={"n": "int64"}, partitions=2)
    before = time.time_ns() // 1000
    with log.producer(acks="published") as producer:
        for partition in (0, 1):
            sent = producer.send("events", {"n": partition}, partition=partition, timestamp=5)
            sent.result()
    after = time.time_ns() // 1000
    stream = ps.Environment(log).from_topic(
        "events", timestamp_column="when", append_time_column="at"
    )
    assert str(stream.schema) == (
        "n: int64, when: timestamp[us] not null, at: timestamp[us] not null"
    )
    table = stream.to_arrow()
    assert table["n"].to_pylist() == [0, 1]
    assert table["when"].cast(pa.int64()).to_pylist() == [5, 5]
    first, second = table["at"].cast(pa.int64()).to_pylist()
    assert before <= first <= second <= after
    ahead = stream.filter(ps.col("at") > ps.col("when")).select(late=ps.col("at") - ps.col("when"))
    assert len(ahead.to_arrow()) == 2
    assert len(stream.filter(ps.col("at") < ps.lit(0).cast("timestamp[us]")).to_arrow()) == 0


def test_record_timestamp_is_an_event_time(log: ps.Log) -> None:
    log.create_topic("events", schema={"n": "int64"})
    with log.producer(acks="published") as producer:
        for seconds in (1, 12, 3, 25):
            producer.send("events", {"n": 1}, timestamp=seconds * 1_000_000).result()
    late = ps.OutputTag("late")
    strategy = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="when")
    stream = ps.Environment(log).from_topic(
        "events", watermark=strategy, bounded=True, timestamp_column="when"
    )
    windows = stream.window_all(ps.tumbling("10s")).side_output_late_data(late)
    result = windows.aggregate(n=ps.count())
    assert result.to_arrow()["n"].to_pylist() == [1, 1, 1]
    assert result.side_output(late).to_arrow()["when"].cast(pa.int64()).to_pylist() == [3_000_000]


def test_added_time_needs_a_name_of_its_own(log: ps.Log) -> None:
    log.create_topic("events", schema={"n": "int64"})
    env = ps.Environment(log)
    with pytest.raises(errors.SchemaError, match="two columns 'n'"):
        env.from_topic("events", timestamp_column="n")
    with pytest.raises(errors.SchemaError, match="two columns 't'"):
        env.from_topic("events", timestamp_column="t", append_time_column="t")


def test_history_has_no_times_of_a_log(log: ps.Log) -> None:
    log.create_topic("events", schema={"n": "int64"})
    env = ps.Environment(log)
    past = env.from_arrow({"n": np.array([1])})
    with pytest.raises(errors.NotSupportedError, match="'at' of the live part"):
        ps.HybridSource(past, env.from_topic("events", append_time_column="at"))


# -- several topics ----------------------------------------------------------------------------


def test_topics_of_equal_columns_are_one_stream_in_append_order(log: ps.Log) -> None:
    for name in ("web", "shop"):
        log.create_topic(name, schema={"ts": "timestamp[ms]"})
    with log.producer(acks="published") as producer:
        for name, times in (("web", [0, 30_000]), ("shop", [5_000, 12_000]), ("web", [6_000])):
            table = {"ts": np.array(times, "datetime64[ms]")}
            producer.send_batch(name, table, partition=0)
    late = ps.OutputTag("late")
    env = ps.Environment(log)
    stream = env.from_topic(["web", "shop"], watermark=monotonous(), bounded=True)
    assert "from_topic('web', 'shop', bounded)" in stream.explain()
    times = stream.to_arrow()["ts"].cast(pa.int64()).to_pylist()
    assert times == [0, 30_000, 5_000, 12_000, 6_000]
    # The shop is at 12 s, so [0, 10 s) is closed when the last record of the web comes.
    windows = stream.window_all(ps.tumbling("10s")).side_output_late_data(late)
    result = windows.aggregate(n=ps.count())
    assert result.to_arrow()["n"].to_pylist() == [2, 1, 1]
    assert result.side_output(late).to_arrow()["ts"].cast(pa.int64()).to_pylist() == [6_000]


def test_topics_that_cannot_be_one_stream_are_refused(log: ps.Log) -> None:
    log.create_topic("a", schema={"ts": "timestamp[ms]"})
    log.create_topic("b", schema={"ts": "timestamp[s]"})
    env = ps.Environment(log)
    with pytest.raises(errors.SchemaError, match="topics 'a' and 'b' are read as one"):
        env.from_topic(["a", "b"])
    with pytest.raises(errors.ConfigError, match="names a topic twice"):
        env.from_topic(["a", "a"])
    with pytest.raises(errors.ConfigError, match="no topic"):
        env.from_topic([])
    with pytest.raises(errors.UnknownTopicError):
        env.from_topic(["a", "c"])
    with pytest.raises(errors.SchemaError, match="different columns"):
        env.from_topic("a").union(env.from_topic("b"))
