"""What a producer refuses: wrong records and settings, and use after the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

import pystream as ps
from pystream import errors
from tests.log.reading import rows_of


def test_unknown_topic_and_partition(log: ps.Log, payments: ps.Topic) -> None:
    with log.producer() as producer:
        for topic in ("payment", None, 7):
            with pytest.raises(errors.UnknownTopicError, match="does not exist"):
                producer.send(topic, {})  # type: ignore[arg-type]
        with pytest.raises(errors.UnknownTopicError, match="does not exist"):
            producer.send_batch("payment", {})
        for partition in (4, -1, "1"):
            with pytest.raises(errors.UnknownTopicError, match="partitions are 0 to 3"):
                producer.send("payments", {"user": "a"}, partition=partition)  # type: ignore[arg-type]
        with pytest.raises(errors.UnknownTopicError, match="partitions are 0 to 3"):
            producer.send_batch("payments", [{"user": "a"}], partition=4)
    assert rows_of(log, "payments") == []


@pytest.mark.parametrize(
    ("record", "facts"),
    [
        ({"user": 7}, ("user", "string", "int 7")),
        ({"user": b"a"}, ("user", "string", "bytes b'a'")),
        ({"user": "a", "amount": "9"}, ("amount", "float64", "str '9'")),
        ({"user": "a", "amount": True}, ("amount", "float64", "bool True")),
        ({"user": "a", "ts": 1.5}, ("ts", "timestamp[ms]", "float 1.5")),
        ({"user": "\ud800"}, ("user", "string", "str '\\ud800'")),
        ({"user": "a", "colour": 1}, ("colour", "nothing", "int")),
        ([1], (None, "dict", "list")),
        (None, (None, "dict", "NoneType")),
    ],
)
def test_wrong_record_names_topic_column_expected_and_got(
    log: ps.Log, payments: ps.Topic, record: Any, facts: tuple[str, str, str]
) -> None:
    with log.producer() as producer:
        producer.send("payments", {"user": "before"})
        with pytest.raises(errors.SchemaError, match="topic 'payments'") as caught:
            producer.send("payments", record)
        producer.send("payments", {"user": "after"})
    error = caught.value
    assert error.topic == "payments"
    assert (error.column, error.expected, error.got) == facts
    assert isinstance(error, TypeError)
    assert sorted(row["user"] for row in rows_of(log, "payments")) == ["after", "before"]


def test_missing_column_is_null_where_it_may_be(log: ps.Log) -> None:
    log.create_topic("t", {"a": "int64 not null", "b": "string"})
    with log.producer() as producer:
        producer.send("t", {"a": 1})
        with pytest.raises(errors.SchemaError, match=r"'a' \(int64\) is missing") as caught:
            producer.send("t", {"b": "x"})
        assert caught.value.column == "a"
        with pytest.raises(errors.SchemaError, match="null, but the column is not nullable"):
            producer.send("t", {"a": None})
    assert rows_of(log, "t") == [{"a": 1, "b": None}]


def test_key_of_a_typed_topic_is_a_column(log: ps.Log, payments: ps.Topic) -> None:
    with log.producer() as producer, pytest.raises(errors.ConfigError, match="Leave key= out"):
        producer.send("payments", {"user": "a"}, key="a")


@pytest.mark.parametrize(
    "headers", [[("a",)], [("a", 1)], [(b"a", b"b")], ["ab"], [("a", b"b"), None]]
)
def test_wrong_headers(log: ps.Log, headers: Any) -> None:
    log.create_topic("t")
    with log.producer() as producer, pytest.raises(errors.ConfigError, match="header"):
        producer.send("t", b"x", headers=headers)
    assert rows_of(log, "t") == []


def test_record_larger_than_the_limit(log: ps.Log) -> None:
    log.create_topic("t")
    with log.producer(max_record_bytes="1KiB") as producer:
        producer.send("t", b"x" * 1000)
        with pytest.raises(errors.RecordTooLargeError, match="max_record_bytes is 1024") as caught:
            producer.send("t", b"x" * 1025)
        assert (caught.value.size, caught.value.limit) == (1025, 1024)
        with pytest.raises(errors.RecordTooLargeError):
            producer.send_batch("t", [{"value": b"small"}, {"value": b"x" * 5000}])
    assert len(rows_of(log, "t")) == 1


def test_use_after_close(log: ps.Log) -> None:
    log.create_topic("t")
    producer = log.producer()
    producer.send("t", b"x")
    producer.close()
    producer.close()
    for use in (
        lambda: producer.send("t", b"x"),
        lambda: producer.send_batch("t", [{"value": b"x"}]),
        producer.flush,
    ):
        with pytest.raises(errors.ClosedError, match="the producer is closed"):
            use()


@pytest.mark.parametrize("acks", ["published", "interval", "durable", 0, 1, "all", -1])
def test_acks(log: ps.Log, acks: Any) -> None:
    log.create_topic("t")
    with log.producer(acks=acks) as producer:
        assert producer.send("t", b"x").result().offset == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"acks": "some"},
        {"acks": True},
        {"batch_size": 0},
        {"linger": 5},
        {"linger": "-1ms"},
        {"compression": "gzip"},
        {"buffer_memory": "lots"},
        {"max_block": None},
    ],
)
def test_wrong_settings(log: ps.Log, settings: dict[str, Any]) -> None:
    with pytest.raises(errors.ConfigError, match=f"{next(iter(settings))} is"):
        log.producer(**settings)


def test_table_goes_to_a_topic_that_was_made_again(log: ps.Log) -> None:
    schema = {"n": "int64"}
    log.create_topic("t", schema)
    with log.producer() as producer:
        for partitions in (1, 2):
            for partition in (None, 0):
                (sent,) = producer.send_batch("t", {"n": [1]}, partition=partition)
            assert sent.base_offset >= 0
            log.delete_topic("t")
            log.create_topic("t", schema, partitions=partitions + 1)
        (sent,) = producer.send_batch("t", {"n": [2]}, partition=2)
        assert sent == ps.BatchMetadata("t", 2, 0, 1)


def test_topic_deleted_under_a_producer(log: ps.Log) -> None:
    log.create_topic("t")
    with log.producer(linger="1h") as producer:
        kept = producer.send("t", b"1")
        producer.flush()
        lost = producer.send("t", b"2")
        log.delete_topic("t")
        with pytest.raises(errors.UnknownTopicError, match="was deleted"):
            producer.flush()
        assert isinstance(lost.exception(), errors.UnknownTopicError)
        assert kept.result().offset == 0
        with pytest.raises(errors.UnknownTopicError, match="does not exist"):
            producer.send("t", b"3")
        log.create_topic("t")
        producer.send("t", b"4")
        producer.flush()
    assert [row["value"] for row in rows_of(log, "t")] == [b"4"]


def test_topic_deleted_while_a_table_is_on_its_way_takes_no_table(log: ps.Log) -> None:
    def rows_then_delete() -> Iterator[dict[str, int]]:
        yield {"n": 1}
        log.delete_topic("t")

    def create_and_send(producer: ps.Producer) -> None:
        log.create_topic("t", {"n": "int64"})
        producer.send_batch("t", {"n": [0]})

    with log.producer(linger="1h") as producer:
        create_and_send(producer)
        with pytest.raises(errors.UnknownTopicError, match="was deleted"):
            producer.send_batch("t", rows_then_delete())
        create_and_send(producer)
        # The record is appended by another thread first, and its callback deletes the topic.
        log.create_topic("other")
        delivery = producer.send("other", b"1")
        delivery.add_done_callback(lambda _: log.delete_topic("t"))
        with pytest.raises(errors.UnknownTopicError, match="was deleted"):
            producer.send_batch("t", {"n": [1]})


def test_child_of_a_fork_cannot_use_the_parents_producer(log: ps.Log) -> None:
    log.create_topic("t")
    producer = log.producer(linger="1h")
    pending = producer.send("t", b"1")
    child = os.fork()
    if child == 0:
        status = 0
        for use in (lambda: producer.send("t", b"2"), producer.flush, pending.result):
            try:
                use()
                status = 1
            except errors.ClosedError as error:
                status |= 0 if "forked child" in str(error) else 2
        producer.close()
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    producer.close()
    assert pending.result().offset == 0
    assert [row["value"] for row in rows_of(log, "t")] == [b"1"]
