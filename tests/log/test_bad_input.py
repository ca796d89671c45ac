"""Wrong settings, and a wall clock that jumps."""

from __future__ import annotations

import time
from typing import Any

import pytest

import pystream as ps
from pystream import errors
from tests.log.reading import rows_of


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
