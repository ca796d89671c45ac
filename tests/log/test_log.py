"""Opening a log, its topics, and what bad input gets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import pystream as ps
from pystream import errors

PAYMENTS = {"user": "string", "amount": "float64 not null", "ts": "timestamp[ms]"}


def test_topics_survive_reopening(tmp_path: Path) -> None:
    with ps.open(tmp_path / "data") as log:
        log.create_topic("payments", PAYMENTS, key="user", partitions=4, compression="lz4")
        log.create_topic("lines")
    with ps.open(str(tmp_path / "data")) as log:
        assert log.topics() == ["lines", "payments"]
        payments, lines = log.topic("payments"), log.topic("lines")
        assert (payments.name, payments.partitions, payments.key) == ("payments", 4, ("user",))
        assert (payments.compression, payments.timestamp_type) == ("lz4", "create_time")
        assert payments.is_typed
        assert [(n, str(t), null) for n, t, null in payments.schema.fields] == [
            ("user", "string", True),
            ("amount", "float64", False),
            ("ts", "timestamp[ms]", True),
        ]
        assert payments.ends() == [(0, 0)] * 4
        assert not lines.is_typed
        assert lines.schema.names == ["key", "value"]


def test_closing_twice_is_fine_and_use_after_close_is_not(tmp_path: Path) -> None:
    log = ps.open(tmp_path)
    topic = log.create_topic("t")
    log.close()
    log.close()
    assert log.is_closed
    for use in (
        log.topics,
        lambda: log.topic("t"),
        lambda: log.create_topic("u"),
        lambda: log.delete_topic("t"),
        log.producer,
        topic.ends,
    ):
        with pytest.raises(errors.ClosedError, match=f"{tmp_path} is closed") as caught:
            use()
        assert isinstance(caught.value, errors.LogError | ValueError)


def test_schema_may_come_from_arrow(log: ps.Log) -> None:
    schema = pa.schema(
        [pa.field("a", pa.int32(), nullable=False), pa.field("b", pa.large_string())]
    )
    topic = log.create_topic("t", schema, key=["b", "a"])
    assert topic.key == ("b", "a")
    assert str(topic.schema) == "a: int32 not null, b: string"


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({}, "has no columns"),
        ({"a": "int65"}, "int65"),
        ({"a": int}, "column 'a' the type <class 'int'>"),
        ({1: "int64"}, "a column 1"),
        ("int64", "Pass a dict"),
        ([("a", "int64")], "Pass a dict"),
    ],
)
def test_what_is_no_schema_is_refused(log: ps.Log, schema: Any, message: str) -> None:
    with pytest.raises(errors.ConfigError, match=message):
        log.create_topic("t", schema)
    assert log.topics() == []


def test_type_that_a_topic_cannot_hold_is_not_supported(log: ps.Log) -> None:
    with pytest.raises(errors.NotSupportedError, match="tags"):
        log.create_topic("t", pa.schema([("tags", pa.list_(pa.string()))]))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "é", "x" * 250, None, 7])
def test_illegal_topic_names(log: ps.Log, name: Any) -> None:
    with pytest.raises(errors.ConfigError, match="is not legal"):
        log.create_topic(name)


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "x" * 249, "..."])
def test_legal_topic_names(log: ps.Log, name: str) -> None:
    log.create_topic(name)
    assert log.topics() == [name]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"partitions": 0}, "partitions is 0"),
        ({"partitions": "4"}, "partitions is '4'"),
        ({"compression": "zstd"}, "compression is 'zstd'"),
        ({"segment_bytes": 100}, "segment_bytes is 100, but it must be at least 1048576"),
        ({"timestamp_type": "LogAppendTime"}, "timestamp_type is"),
        ({"schema": {"a": "int64"}, "key": "b"}, "names column 'b'"),
        ({"schema": {"a": "int64"}, "key": ["a", "a"]}, "names a column twice"),
        ({"key": "a"}, "topic without a schema"),
    ],
)
def test_wrong_settings_of_a_topic(log: ps.Log, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.ConfigError, match=message):
        log.create_topic("t", **settings)
    assert log.topics() == []


def test_unknown_settings_name_the_nearest(log: ps.Log, tmp_path: Path) -> None:
    for use, near in (
        (lambda: log.create_topic("t", partition=4), "partitions"),  # type: ignore[call-arg]
        (lambda: log.producer(linger_ms=5), "linger"),  # type: ignore[call-arg]
        (lambda: log.consumer("t", group="g"), "group_id"),  # type: ignore[call-arg]
        (lambda: ps.open(tmp_path, readonly=True), "read_only"),  # type: ignore[call-arg]
    ):
        with pytest.raises(errors.ConfigError, match=f"Did you mean {near}?"):
            use()
    assert log.topics() == []


def test_replication_names_kafka(log: ps.Log) -> None:
    with pytest.raises(errors.NotSupportedError, match="kafka://"):
        log.create_topic("t", replication_factor=3)


def test_exist_ok_returns_the_same_topic_and_refuses_another(log: ps.Log) -> None:
    log.create_topic("t", PAYMENTS, key="user")
    again = log.create_topic("t", PAYMENTS, key="user", exist_ok=True)
    assert again.description == log.topic("t").description
    with pytest.raises(errors.TopicExistsError, match="exists already"):
        log.create_topic("t", PAYMENTS, key="user")
    with pytest.raises(errors.TopicExistsError, match="another partitions and schema") as caught:
        log.create_topic("t", {"a": "int64"}, partitions=2, key="a", exist_ok=True)
    assert caught.value.topic == "t"


def test_unknown_topic_names_those_that_exist(log: ps.Log) -> None:
    log.create_topic("orders")
    for unknown in ("order", None):
        with pytest.raises(errors.UnknownTopicError, match="Its topics: orders"):
            log.topic(unknown)  # type: ignore[arg-type]
    with pytest.raises(LookupError):
        log.delete_topic("order")
    with pytest.raises(errors.UnknownTopicError, match="has no partition 1"):
        log.topic("orders").native_partition(1)


def test_deleted_topic_is_gone_with_its_files(log: ps.Log) -> None:
    log.create_topic("t")
    with log.producer() as producer:
        producer.send("t", b"x")
    gone = log.topic("t")
    path = Path(log.directory, "topics", gone.description.id.hex())
    assert path.is_dir()
    log.delete_topic("t")
    assert log.topics() == []
    assert not path.exists()
    assert gone.name == "t"
    for _ in range(2):
        with pytest.raises(errors.UnknownTopicError, match="'t' was deleted"):
            gone.ends()
        assert not path.exists()
        log.create_topic("t", exist_ok=True)
    assert log.topic("t").ends() == [(0, 0)]


# -- what is no log ------------------------------------------------------------------------------


def test_kafka_address_is_not_supported_yet() -> None:
    with pytest.raises(errors.NotSupportedError, match="Kafka cluster"):
        ps.open("kafka://localhost:9092")
    with pytest.raises(errors.ConfigError, match="unknown scheme 's3'"):
        ps.open("s3://bucket")


@pytest.mark.parametrize("path", ["", b"data", 7, None])
def test_what_is_no_path(path: Any) -> None:
    with pytest.raises((errors.ConfigError, TypeError)):
        ps.open(path)


def test_file_in_place_of_the_directory(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("hello")
    for path in (file, file / "below"):
        with pytest.raises(errors.LogError, match="is a file, or lies below one"):
            ps.open(path)
    assert file.read_text() == "hello"


def test_names_of_new_directories_are_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power loss could take the whole log, with all that is durable in it."""
    real, synced = os.fsync, []

    def noting(fd: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{fd}"))
        real(fd)

    monkeypatch.setattr(os, "fsync", noting)
    ps.open(tmp_path / "above" / "log").close()
    assert {str(tmp_path), str(tmp_path / "above")} <= set(synced)
    synced.clear()
    ps.open(tmp_path / "above" / "log").close()
    assert synced == []


def test_directory_that_holds_something_else_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"jpg")
    with pytest.raises(errors.LogError):
        ps.open(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
def test_directory_without_permission(tmp_path: Path) -> None:
    ps.open(tmp_path / "data").close()
    (tmp_path / "data").chmod(0o500)
    try:
        with pytest.raises(errors.StorageError) as caught, ps.open(tmp_path / "data") as log:
            log.create_topic("t")
        assert caught.value.errno in (1, 13, 30)
    finally:
        (tmp_path / "data").chmod(0o700)


def test_child_of_a_fork_opens_the_directory_again(log: ps.Log) -> None:
    log.create_topic("t")
    with log.producer() as producer:
        producer.send("t", b"parent").result()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with log.producer() as mine:
                mine.send("t", b"child")
            status = 0 if log.topic("t").ends() == [(0, 2)] else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert log.topic("t").ends() == [(0, 2)]
