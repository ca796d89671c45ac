"""Names that have no UTF-8, as arguments of the command line have whose bytes are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

import pystream as ps
from pystream import TopicPartition, errors

NONE = "caf\udce9"  # what Python makes of the bytes of "café" in Latin-1
PLACE = TopicPartition(NONE, 0)

BAD_NAME = pa.schema([pa.field(b"caf\xe9", pa.int64())])
BAD_ZONE = pa.schema([pa.field("at", pa.timestamp("us", tz=b"caf\xe9"))])

MAKING: dict[str, Callable[[ps.Log], object]] = {
    "topic name": lambda log: log.create_topic(NONE),
    "schema names a column": lambda log: log.create_topic("new", {NONE: "string"}),
    "group_id": lambda log: log.consumer("lines", group_id=NONE),
    "group_instance_id": lambda log: log.consumer("lines", group_id="g", group_instance_id=NONE),
    "producer_name": lambda log: log.producer(producer_name=NONE),
    "transactional_id": lambda log: log.producer(transactional_id=NONE),
}
ASKING: dict[str, Callable[[ps.Log], object]] = {
    "topic": lambda log: log.topic(NONE),
    "alter_topic": lambda log: log.alter_topic(NONE, retention="1d"),
    "delete_topic": lambda log: log.delete_topic(NONE),
    "delete_records": lambda log: log.delete_records({PLACE: 1}),
    "send": lambda log: log.producer().send(NONE, "x"),
    "send_batch": lambda log: log.producer().send_batch(NONE, {"n": [1]}),
    "subscribe": lambda log: log.consumer(group_id="g").subscribe([NONE]),
    "pattern": lambda log: log.consumer(group_id="g").subscribe(pattern=NONE),
    "assign": lambda log: log.consumer().assign([PLACE]),
    "committed": lambda log: log.consumer(group_id="g").committed(PLACE),
    "commit": lambda log: log.consumer(group_id="g").commit({PLACE: 1}),
    "offsets_for_times": lambda log: log.consumer().offsets_for_times({PLACE: 1}),
    "describe_group": lambda log: log.describe_group(NONE),
    "delete_group": lambda log: log.delete_group(NONE),
    "reset_offsets of a topic": lambda log: log.reset_offsets("g", to="earliest", topics=NONE),
    "describe_transaction": lambda log: log.describe_transaction(NONE),
    "abort_transaction": lambda log: log.abort_transaction(NONE),
}


@pytest.mark.parametrize("what", MAKING)
def test_nothing_is_called_what_has_no_utf8(log: ps.Log, what: str) -> None:
    log.create_topic("lines")
    with pytest.raises(errors.ConfigError, match=rf"{what}.*'caf\\udce9'"):
        MAKING[what](log)
    assert log.topics() == ["lines"]
    assert log.groups() == []
    assert log.transactions() == []


@pytest.mark.parametrize("what", ASKING)
def test_who_asks_for_what_has_no_utf8_is_told_that_there_is_none(log: ps.Log, what: str) -> None:
    log.create_topic("lines")
    with pytest.raises(errors.StreamError) as told:
        ASKING[what](log)
    assert str(told.value).encode(), "it can be printed"
    assert r"caf\udce9" in str(told.value)


@pytest.mark.parametrize("name", [NONE, "a\0b"])
def test_a_directory_whose_name_is_no_text_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(errors.ConfigError, match=r"directory is .*Unicode, without NUL"):
        ps.open(f"{tmp_path}/{name}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("schema", [BAD_NAME, BAD_ZONE], ids=["name", "time zone"])
def test_an_arrow_schema_that_is_no_utf8_makes_no_topic(log: ps.Log, schema: pa.Schema) -> None:
    log.create_topic("rows", {"n": "int64"})
    batch = pa.record_batch([pa.array([1], schema.field(0).type)], schema=schema)
    for call in (
        lambda: log.create_topic("new", schema),
        lambda: log.create_topics(["a", "b"], schema),
        lambda: log.alter_topic("rows", add_columns=schema),  # type: ignore[arg-type]
        lambda: log.producer().send_batch("rows", batch),
        lambda: ps.RecordBatch.from_arrow(batch),
    ):
        with pytest.raises(errors.SchemaError, match=r"(name|type) of column 0 is not UTF-8"):
            call()
    assert log.topics() == ["rows"]
    assert log.topic("rows").schema.names == ["n"]
    with pytest.raises(errors.ConfigError, match=r"the type .*udce9"):
        log.create_topic("new", {"at": f"timestamp[us, {NONE}]"})
