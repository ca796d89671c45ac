"""Topics that get more columns while they are written and read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import pystream as ps
from pystream import col, errors
from pystream.log.repair import repair_log
from pystream.log.verify import verify_log

COLUMNS = {"user": "string", "amount": "float64"}
WIDER = {**COLUMNS, "note": "string"}


@pytest.fixture
def topic(log: ps.Log) -> ps.Topic:
    return log.create_topic("payments", COLUMNS, key="user")


def all_batches(log: ps.Log) -> list[ps.RecordBatch]:
    with log.consumer("payments", auto_offset_reset="earliest") as consumer:
        return list(consumer.batches(timeout="0s"))


def all_rows(log: ps.Log) -> list[dict[str, Any]]:
    return [row for batch in all_batches(log) for row in batch.to_pylist()]


def send(log: ps.Log, *rows: dict[str, object]) -> None:
    with log.producer() as producer:
        producer.send_batch("payments", list(rows))


def test_old_records_have_nulls_in_the_new_column(log: ps.Log, topic: ps.Topic) -> None:
    send(log, {"user": "ann", "amount": 1.0})
    altered = log.alter_topic("payments", add_columns={"note": "string"})
    assert altered.schema.names == ["user", "amount", "note"]
    assert log.topic("payments").schema == altered.schema
    send(log, {"user": "bob", "amount": 2.0, "note": "hi"})
    assert all_rows(log) == [
        {"user": "ann", "amount": 1.0, "note": None},
        {"user": "bob", "amount": 2.0, "note": "hi"},
    ]
    with log.consumer("payments", auto_offset_reset="earliest", timeout="0s") as consumer:
        assert [record["note"] for record in consumer] == [None, "hi"]


def test_every_way_out_of_a_batch_has_the_nulls(log: ps.Log, topic: ps.Topic) -> None:
    send(log, {"user": "ann", "amount": 1.0}, {"user": "bob", "amount": 2.0})
    log.alter_topic(
        "payments",
        add_columns={"note": "string", "count": "int64", "at": "timestamp[ms]", "ok": "bool"},
    )
    (batch,) = all_batches(log)
    assert batch.schema == {
        "user": "string",
        "amount": "float64",
        "note": "string",
        "count": "int64",
        "at": "timestamp[ms]",
        "ok": "bool",
    }
    assert batch["amount"].to_numpy(zero_copy_only=True).tolist() == [1.0, 2.0]
    assert np.isnan(batch["count"].to_numpy()).all()
    assert batch["note"].null_mask().tolist() == [True, True]
    assert batch.to_arrow().column("note") == pa.nulls(2, pa.string())
    assert batch.to_arrow().column("at").type == pa.timestamp("ms")
    assert batch.to_pandas()["note"].isna().all()
    assert batch.to_polars()["count"].to_list() == [None, None]
    assert batch.select(["note"]).to_pydict() == {"note": [None, None]}
    assert batch.slice(1, 1).to_pylist()[0]["ok"] is None


def test_whole_schema_may_be_given_and_the_same_one_changes_nothing(
    log: ps.Log, topic: ps.Topic
) -> None:
    log.alter_topic("payments", WIDER, key="user")
    again = log.alter_topic(
        "payments", pa.schema([(n, getattr(pa, t)()) for n, t in WIDER.items()])
    )
    assert again.schema.names == list(WIDER)
    history = log.catalog.schema_history(again.description.id)
    assert [len(blob) for _, blob in history] == sorted(len(blob) for _, blob in history)
    assert len(history) == 2
    assert history[-1][0] == again.description.schema_id


@pytest.mark.parametrize(
    ("change", "kind", "column", "message"),
    [
        ({"schema": {"user": "string"}}, errors.NotSupportedError, "amount", "cannot be dropped"),
        (
            {"schema": {"user": "string", "total": "float64"}},
            errors.NotSupportedError,
            "amount",
            "dropped or renamed",
        ),
        (
            {"schema": {"amount": "float64", "user": "string"}},
            errors.NotSupportedError,
            "user",
            "cannot move",
        ),
        (
            {"schema": {"user": "string", "amount": "float32"}},
            errors.SchemaError,
            "amount",
            "is float64 and cannot become float32",
        ),
        (
            {"schema": {"user": "string", "amount": "float64 not null"}},
            errors.SchemaError,
            "amount",
            "cannot become float64 not null",
        ),
        (
            {"schema": {"note": "string", **COLUMNS}},
            errors.NotSupportedError,
            "user",
            "cannot move",
        ),
        (
            {"add_columns": {"note": "string not null"}},
            errors.SchemaError,
            "note",
            'Add it as "string"',
        ),
        ({"add_columns": {"user": "int64"}}, errors.SchemaError, "user", "already"),
        ({"schema": WIDER, "key": "amount"}, errors.NotSupportedError, "amount", "key of topic"),
        ({"schema": WIDER, "key": ()}, errors.NotSupportedError, None, "key of topic"),
    ],
)
def test_incompatible_change_is_refused_by_name(
    log: ps.Log,
    change: dict[str, Any],
    kind: type[errors.StreamError],
    column: str | None,
    message: str,
) -> None:
    topic = log.create_topic("payments", COLUMNS, key="user")
    with pytest.raises(kind, match=message) as caught:
        log.alter_topic("payments", **change)
    assert caught.value.topic == "payments"  # type: ignore[attr-defined]
    assert caught.value.column == column  # type: ignore[attr-defined]
    assert log.topic("payments").schema == topic.schema


def test_what_cannot_be_altered_at_all(log: ps.Log, topic: ps.Topic) -> None:
    log.create_topic("lines")
    with pytest.raises(errors.SchemaError, match="without a schema"):
        log.alter_topic("lines", add_columns={"note": "string"})
    with pytest.raises(errors.UnknownTopicError):
        log.alter_topic("nothing", add_columns={"note": "string"})
    with pytest.raises(errors.ConfigError, match="Pass one of"):
        log.alter_topic("payments")
    with pytest.raises(errors.ConfigError, match="Pass one of"):
        log.alter_topic("payments", WIDER, add_columns={"note": "string"})
    with pytest.raises(errors.TopicExistsError, match="alter_topic"):
        log.create_topic("payments", WIDER, key="user", exist_ok=True)


def test_log_that_is_open_for_reading_only_is_not_altered(tmp_path: Path) -> None:
    with ps.open(tmp_path / "log") as log:
        log.create_topic("payments", COLUMNS)
    with (
        ps.open(tmp_path / "log", read_only=True) as log,
        pytest.raises(errors.LogError, match="alter a topic"),
    ):
        log.alter_topic("payments", add_columns={"note": "string"})


def test_producer_of_before_goes_on_with_and_without_the_column(
    log: ps.Log, topic: ps.Topic
) -> None:
    with log.producer(linger="1h") as producer:
        producer.send("payments", {"user": "a", "amount": 1.0})
        with pytest.raises(errors.SchemaError, match="no column 'note'"):
            producer.send("payments", {"user": "a", "amount": 2.0, "note": "early"})
        log.alter_topic("payments", add_columns={"note": "string"})
        producer.send("payments", {"user": "a", "amount": 3.0})
        producer.send("payments", {"user": "a", "amount": 4.0, "note": "hi"})
        producer.send("payments", {"user": "a", "amount": 5.0})
        producer.send_batch("payments", {"user": ["a"], "amount": [6.0]})
        producer.send_batch("payments", {"user": ["a"], "amount": [7.0], "note": ["ho"]})
    assert [(row["amount"], row["note"]) for row in all_rows(log)] == [
        (1.0, None),
        (3.0, None),
        (4.0, "hi"),
        (5.0, None),
        (6.0, None),
        (7.0, "ho"),
    ]


def test_table_of_an_iterator_has_the_columns_of_now(log: ps.Log, topic: ps.Topic) -> None:
    with log.producer() as producer:
        producer.send_batch("payments", [{"user": "a", "amount": 1.0}])
        log.alter_topic("payments", add_columns={"note": "string"})
        rows = iter([{"user": "a", "amount": 2.0}, {"user": "a", "amount": 3.0, "note": "x"}])
        producer.send_batch("payments", rows)
    assert [row["note"] for row in all_rows(log)] == [None, None, "x"]


OTHER = """
import sys, pystream as ps
with ps.open(sys.argv[1]) as log:
    if sys.argv[2] == "alter":
        log.alter_topic("payments", add_columns={"note": "string"})
    with log.producer() as producer:
        producer.send("payments", {"user": "a", "amount": 2.0, "note": "other"})
"""


def run_other(log: ps.Log, what: str) -> None:
    subprocess.run([sys.executable, "-c", OTHER, log.directory, what], check=True, timeout=60)


def test_change_by_another_process_is_seen(log: ps.Log, topic: ps.Topic) -> None:
    with (
        log.producer() as producer,
        log.consumer("payments", auto_offset_reset="earliest", timeout="0s") as consumer,
    ):
        producer.send("payments", {"user": "a", "amount": 1.0})
        producer.flush()
        (batch,) = consumer.batches()
        assert list(batch.schema) == ["user", "amount"]
        run_other(log, "alter")
        producer.send("payments", {"user": "a", "amount": 3.0})
        producer.send("payments", {"user": "a", "amount": 4.0, "note": "own"})
        producer.flush()
        # From the first batch on that was appended since, all have the column.
        assert [row for batch in consumer.batches() for row in batch.to_pylist()] == [
            {"user": "a", "amount": 2.0, "note": "other"},
            {"user": "a", "amount": 3.0, "note": None},
            {"user": "a", "amount": 4.0, "note": "own"},
        ]
        consumer.seek_to_beginning()
        assert [list(batch.schema) for batch in consumer.batches()] == [[*COLUMNS, "note"]] * 4


def test_log_that_ends_between_the_change_and_the_first_append(tmp_path: Path) -> None:
    """The catalog alone knows of the column: as after a crash right behind its commit."""
    with ps.open(tmp_path / "log") as log:
        log.create_topic("payments", COLUMNS)
        send(log, {"user": "ann", "amount": 1.0})
        log.alter_topic("payments", add_columns={"note": "string"})
    with ps.open(tmp_path / "log") as log:
        assert all_rows(log) == [{"user": "ann", "amount": 1.0, "note": None}]
        send(log, {"user": "bob", "amount": 2.0, "note": "hi"})
        assert [row["note"] for row in all_rows(log)] == [None, "hi"]


def test_deleted_topic_comes_back_without_its_history(log: ps.Log, topic: ps.Topic) -> None:
    log.alter_topic("payments", add_columns={"note": "string"})
    log.delete_topic("payments")
    fresh = log.create_topic("payments", COLUMNS)
    assert len(log.catalog.schema_history(fresh.description.id)) == 1
    assert log.catalog.schema_history(topic.description.id) == []


# -- pipelines -------------------------------------------------------------------------------------


def evolved_topic(log: ps.Log) -> None:
    log.create_topic("events", {"n": "int64", "ts": "timestamp[ms]"}, partitions=2)
    with log.producer() as producer:
        for n in range(4):
            producer.send_batch("events", {"n": [n], "ts": [n * 1000]}, partition=n % 2)
        log.alter_topic("events", add_columns={"kind": "dictionary<string>", "price": "float64"})
        for n in range(4, 8):
            row = {"n": [n], "ts": [n * 1000], "kind": ["ab"[n % 2]], "price": [n / 2]}
            producer.send_batch("events", row, partition=n % 2)


def test_pipeline_reads_old_and_new_batches(log: ps.Log) -> None:
    evolved_topic(log)
    env = ps.Environment(log)
    rows = env.from_topic("events").select("n", "kind", "price").to_arrow().to_pylist()
    assert sorted(rows, key=lambda row: row["n"]) == [
        *({"n": n, "kind": None, "price": None} for n in range(4)),
        *({"n": n, "kind": "ab"[n % 2], "price": n / 2} for n in range(4, 8)),
    ]


def test_pipeline_filters_and_windows_on_the_new_column(log: ps.Log) -> None:
    evolved_topic(log)
    env = ps.Environment(log)
    watermark = ps.WatermarkStrategy.for_bounded_out_of_orderness("1h", timestamp="ts")
    events = env.from_topic("events", watermark=watermark)
    assert {r["n"] for r in events.filter(col("price") > 2.4).to_arrow().to_pylist()} == {5, 6, 7}
    assert {r["n"] for r in events.filter(col("kind").is_null()).to_arrow().to_pylist()} == {
        0,
        1,
        2,
        3,
    }
    totals = (
        events.key_by("kind")
        .window(ps.tumbling("1m"))
        .aggregate(count=ps.count(), total=col("price").sum())
        .to_arrow()
        .to_pylist()
    )
    found = {row["kind"]: (row["count"], row["total"]) for row in totals}
    assert found == {None: (4, None), "a": (2, 5.0), "b": (2, 6.0)}


def test_pipeline_into_a_topic_that_has_more_columns(log: ps.Log) -> None:
    log.create_topic("in", {"n": "int64"})
    log.create_topic("out", {"n": "int64"})
    with log.producer() as producer:
        producer.send_batch("in", {"n": [1, 2]})
    log.alter_topic("out", add_columns={"note": "string"})
    env = ps.Environment(log)
    env.from_topic("in").sink_to_topic("out")
    env.execute(until="latest")
    with log.consumer("out", auto_offset_reset="earliest", timeout="0s") as consumer:
        assert [record.value for record in consumer] == [
            {"n": 1, "note": None},
            {"n": 2, "note": None},
        ]


def test_pipeline_still_needs_the_columns_that_cannot_be_null(log: ps.Log) -> None:
    log.create_topic("in", {"n": "int64"})
    log.create_topic("out", {"n": "int64", "m": "int64 not null"})
    env = ps.Environment(log)
    with pytest.raises(errors.SchemaError, match="fit"):
        env.from_topic("in").sink_to_topic("out")


def test_catalog_that_is_lost_comes_back_with_the_columns(tmp_path: Path) -> None:
    with ps.open(tmp_path / "log") as log:
        log.create_topic("other", WIDER)  # has the wider schema first, and so a smaller id
        log.create_topic("payments", COLUMNS, key="user")
        send(log, {"user": "ann", "amount": 1.0})
        log.alter_topic("payments", add_columns={"note": "string"})
        assert verify_log(log.directory).findings == []
    for path in (tmp_path / "log").glob("catalog.db*"):
        path.unlink()
    report = verify_log(tmp_path / "log")
    assert report.findings
    repair_log(tmp_path / "log", report)
    with ps.open(tmp_path / "log") as log:
        assert log.topic("payments").schema.names == list(WIDER)
        assert all_rows(log) == [{"user": "ann", "amount": 1.0, "note": None}]
        send(log, {"user": "bob", "amount": 2.0, "note": "hi"})
        assert [row["note"] for row in all_rows(log)] == [None, "hi"]
