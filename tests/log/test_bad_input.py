"""Many topics, wrong settings, and a wall clock that jumps."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pystream as ps
from pystream import errors
from pystream.log.topic_description import TopicConfig, TopicDescription
from tests.log.reading import rows_of

MANY = 10_000


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a log with ten thousand topics, made without a sync for each."""
    directory = tmp_path_factory.mktemp("many") / "log"
    with ps.open(directory) as log:
        first = log.create_topic("t00000", {"n": "int64"}).description
        with log.catalog._write() as connection:
            for n in range(1, MANY):
                topic = TopicDescription(
                    name=f"t{n:05}",
                    partitions=1,
                    schema_blob=first.schema_blob,
                    is_typed=True,
                    key_columns=(),
                    config=TopicConfig(),
                    id=n.to_bytes(16, "big"),
                    schema_id=first.schema_id,
                )
                connection.execute(
                    "INSERT INTO topics VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*topic.to_row(), 0)
                )
                connection.execute(
                    "INSERT INTO topic_schemas VALUES (?, 1, ?, 0)", (topic.id, topic.schema_id)
                )
    return directory


def seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def test_ten_thousand_topics_are_opened_listed_and_found_in_no_time(many: Path) -> None:
    assert seconds(lambda: ps.open(many).close()) < 2
    with ps.open(many) as log:
        assert len(log.topics()) == MANY
        assert seconds(log.topics) < 2
        assert seconds(lambda: [log.topic(f"t{n:05}") for n in range(1000)]) < 5
        assert seconds(lambda: log.create_topic("another")) < 5
        assert seconds(lambda: log.delete_topic("another")) < 5
        with log.producer() as producer:
            assert producer.send("t09999", {"n": 1}).result().offset == 0


def test_unknown_topic_among_many_names_the_nearest(many: Path) -> None:
    with ps.open(many) as log, pytest.raises(errors.UnknownTopicError) as caught:
        log.topic("t0999")
    message = str(caught.value)
    assert "t09999" in message or "t00999" in message
    assert "10,000 topics" in message
    assert len(message) < 500


def test_unknown_topic_among_few_names_them_all(log: ps.Log) -> None:
    for name in ("orders", "lines"):
        log.create_topic(name)
    with pytest.raises(errors.UnknownTopicError, match="Its topics: lines, orders"):
        log.topic("order")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", 0),
        ("batch_size", -1),
        ("batch_size", True),
        ("batch_size", 2**63),
        ("batch_size", "1 KB"),
        ("buffer_memory", 0),
        ("max_record_bytes", None),
        ("linger", "-1s"),
        ("linger", "300y"),
        ("max_block", 5),
        ("compression", "zstd"),
        ("acks", 2),
    ],
)
def test_producer_setting_out_of_range_is_named(log: ps.Log, name: str, value: Any) -> None:
    with pytest.raises(errors.ConfigError, match=f"{name} is"):
        log.producer(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("auto_offset_reset", "first"),
        ("timeout", 5),
        ("timeout", "-1s"),
        ("max_poll_records", 0),
        ("max_poll_records", 2**31),
        ("group_id", ""),
        ("group_id", 7),
    ],
)
def test_consumer_setting_out_of_range_is_named(log: ps.Log, name: str, value: Any) -> None:
    with pytest.raises(errors.ConfigError, match=f"{name} is"):
        log.consumer(**{name: value})


def test_topic_name_that_is_a_path_is_refused(log: ps.Log) -> None:
    for name in ("../up", "a/b", "/etc", "..", ".", "", "a\0b", "x" * 250, "é"):
        with pytest.raises(errors.ConfigError, match="not legal"):
            log.create_topic(name)


def test_wall_clock_that_jumps_changes_timestamps_and_nothing_else(
    log: ps.Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waits and lingers use the monotonic clock; order is that of the appends."""
    log.create_topic("t", {"n": "int64"})
    real, jumps = time.time_ns(), [0]

    def jumping() -> int:
        jumps[0] += 1
        return real + (-1) ** jumps[0] * jumps[0] * 3600 * 10**9

    monkeypatch.setattr(time, "time_ns", jumping)
    monkeypatch.setattr(time, "time", lambda: jumping() / 1e9)
    with log.producer(linger="1ms") as producer:
        for n in range(10):
            # The time of a table is read in Python.
            producer.send_batch("t", {"n": [n]})
        producer.send("t", {"n": 10}).result("30s")
        producer.flush("30s")
    with log.consumer("t", group_id="g", auto_offset_reset="earliest") as consumer:
        records = consumer.poll("30s", max_records=20)["t", 0]
        consumer.commit()
        assert [record["n"] for record in records] == list(range(11))
        stamps = [record.timestamp for record in records[:10]]
        assert stamps != sorted(stamps)
        began = time.monotonic()
        assert consumer.poll("20ms") == {}
        assert 0.02 <= time.monotonic() - began < 5
    assert [row["n"] for row in rows_of(log, "t")] == list(range(11))
