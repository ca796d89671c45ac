"""Finding records by time, and going to them."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pystream as ps
from pystream import OffsetAndTimestamp, TopicPartition, config, errors
from pystream._native import DataType
from pystream.log.times import ticks_of
from tests.oracle.log import LogModel

PLACE = TopicPartition("orders", 0)
OTHER = TopicPartition("orders", 1)
NOON = datetime.datetime(2024, 1, 31, 12, tzinfo=datetime.UTC)
NOON_US = 1_706_702_400_000_000
SCHEMA = {"n": "int64", "at": "timestamp[ms]", "day": "date32", "price": "float64"}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ps.Log]:
    with ps.open(tmp_path / "log") as opened:
        opened.create_topic("orders", SCHEMA, partitions=2)
        with opened.producer() as producer:
            for n, second in enumerate((0, 20, 10, 30)):
                moment = NOON + datetime.timedelta(seconds=second)
                row = {"n": n, "at": np.datetime64(second, "s"), "day": second, "price": 1.5}
                producer.send("orders", row, partition=0, timestamp=moment)
        yield opened


def test_the_first_record_at_or_after_a_time_is_found(log: ps.Log) -> None:
    with log.consumer() as consumer:
        late = NOON + datetime.timedelta(seconds=31)
        for time, found in [
            (NOON, OffsetAndTimestamp(0, NOON_US)),
            (NOON + datetime.timedelta(microseconds=1), (1, NOON_US + 20_000_000)),
            (NOON + datetime.timedelta(seconds=20), (1, NOON_US + 20_000_000)),
            (np.datetime64("2024-01-31T12:00:21"), (3, NOON_US + 30_000_000)),
            (NOON_US + 30_000_000, (3, NOON_US + 30_000_000)),
            (-1, (0, NOON_US)),
            (late, None),
        ]:
            assert consumer.offsets_for_times({PLACE: time}) == {PLACE: found}
        assert consumer.offsets_for_times({PLACE: NOON, OTHER: NOON})[OTHER] is None
        assert consumer.offsets_for_times({("orders", 0): NOON}) == {PLACE: (0, NOON_US)}


def test_an_event_time_column_is_as_good_as_record_timestamps(log: ps.Log) -> None:
    with log.consumer() as consumer:

        def at(time: object, column: str) -> object:
            found = consumer.offsets_for_times({PLACE: time}, column=column)[PLACE]  # type: ignore[dict-item]
            return None if found is None else tuple(found)

        assert at(10_001, "at") == (1, 20_000)
        assert at(np.datetime64("1970-01-01T00:00:20.000001"), "at") == (3, 30_000)
        assert at(datetime.datetime(1970, 1, 1, 0, 0, 1), "at") == (1, 20_000)
        assert at(datetime.date(1970, 1, 22), "day") == (3, 30)
        assert at(11, "day") == (1, 20)
        assert at(2, "n") == (2, 2)
        assert at(4, "n") is None


def test_consumers_seek_to_a_time_and_to_the_end_where_there_is_none(log: ps.Log) -> None:
    with log.consumer("orders", timeout="0s") as consumer:
        consumer.seek_to_timestamp(NOON + datetime.timedelta(seconds=5))
        assert consumer.position(PLACE) == 1
        assert consumer.position(OTHER) == 0
        assert [record["n"] for record in consumer] == [1, 2, 3]
        consumer.seek_to_timestamp(20_001, PLACE, column="at")
        assert [record["n"] for record in consumer] == [3]
        consumer.seek_to_timestamp(NOON + datetime.timedelta(days=1), PLACE)
        assert consumer.position(PLACE) == 4
        with pytest.raises(ps.errors.ConfigError, match="not assigned"):
            consumer.seek_to_timestamp(NOON, TopicPartition("orders", 7))


@pytest.mark.parametrize(
    ("time", "column", "message"),
    [
        ("2024-01-31", None, "'2024-01-31', of type str. Pass a datetime with a time zone"),
        (1.5, None, r"1.5, of type float"),
        (True, None, "of type bool"),
        (None, None, "of type NoneType"),
        (np.datetime64("NaT"), None, "NaT"),
        (datetime.datetime(2024, 1, 31), None, "has no time zone"),
        (datetime.date(2024, 1, 31), None, "of type date"),
        (NOON, "at", "the column has no time zone"),
        (NOON, "n", "the column is int64. Pass an integer"),
        (1 << 63, None, "beyond what 64 bits hold"),
        (np.datetime64(1 << 62, "D"), None, "beyond what 64 bits hold"),
        (1, "price", "'price' of topic 'orders' is float64, which is no event time"),
        (1, "when", "'when', which topic 'orders' does not have"),
    ],
)
def test_a_time_of_a_wrong_type_is_refused(
    log: ps.Log, time: object, column: str | None, message: str
) -> None:
    with log.consumer("orders") as consumer:
        with pytest.raises(ps.errors.ConfigError, match=message):
            consumer.offsets_for_times({PLACE: time}, column=column)  # type: ignore[dict-item]
        position = consumer.position(PLACE)
        with pytest.raises(ps.errors.ConfigError, match=message):
            consumer.seek_to_timestamp(time, column=column)  # type: ignore[arg-type]
        assert consumer.position(PLACE) == position


def test_unknown_partitions_are_named(log: ps.Log) -> None:
    with log.consumer() as consumer, pytest.raises(ps.errors.UnknownTopicError, match="no part"):
        consumer.offsets_for_times({TopicPartition("orders", 2): NOON})


@given(
    ticks=st.integers(-(10**15), 10**15),
    unit=st.sampled_from(["D", "h", "m", "s", "ms", "us", "ns", "ps"]),
    target=st.sampled_from(["timestamp[s]", "timestamp[ms]", "timestamp[ns]", "date32"]),
)
def test_times_are_rounded_up_to_the_unit(ticks: int, unit: str, target: str) -> None:
    kind = DataType(target)
    size = {"date32": 86_400 * 10**12, "timestamp[s]": 10**12}.get(target)
    size = size or {"timestamp[ms]": 10**9, "timestamp[ns]": 10**3}[target]
    picoseconds = {"D": 86_400 * 10**12, "h": 3_600 * 10**12, "m": 60 * 10**12, "s": 10**12}
    exact = ticks * (picoseconds | {"ms": 10**9, "us": 10**6, "ns": 10**3, "ps": 1})[unit]
    if abs(exact // size) >= 2**62:
        return
    found = ticks_of(np.datetime64(ticks, unit), kind)
    assert (found - 1) * size < exact <= found * size


@settings(max_examples=25, deadline=None)
@given(
    batches=st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=5), min_size=1, max_size=40),
    asked=st.lists(st.integers(-1, 61), min_size=1, max_size=10),
)
def test_answers_are_those_of_the_model(
    batches: list[list[int]], asked: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    model = LogModel()
    model.create("events", ["n"], 1)
    small = mock.patch.object(config, "SEGMENT_BYTES_MIN", 4096)
    with small, ps.open(tmp_path_factory.mktemp("log")) as log:
        log.create_topic("events", {"n": "int64"}, segment_bytes=16 * 1024)
        with log.producer(acks="published") as producer:
            for times in batches:
                rows = {"n": np.array(times)}
                producer.send_batch("events", rows, timestamp=np.array(times) * 1_000)
                model.append("events", 0, [{"n": time} for time in times])
        place = TopicPartition("events", 0)
        with log.consumer() as consumer:
            for time in asked:
                expected = model.offset_for_time("events", 0, "n", time)
                for column, scale in (("n", 1), (None, 1_000)):
                    answer = consumer.offsets_for_times({place: time * scale}, column=column)
                    found = answer[place]
                    assert (None if found is None else found.offset) == expected


def test_what_is_not_decided_is_not_found_by_who_reads_what_was_committed(log: ps.Log) -> None:
    with log.producer() as plain, log.producer(transactional_id="t") as producer:
        plain.send("orders", {"n": 0, "price": 1.0}, partition=1, timestamp=100).result()
        producer.begin_transaction()
        producer.send("orders", {"n": 1, "price": 1.0}, partition=1, timestamp=200).result()
        plain.send("orders", {"n": 2, "price": 1.0}, partition=1, timestamp=300).result()
        for level, found, end in (
            ("read_committed", {50: 0, 150: None, 250: None, 350: None}, 1),
            ("read_uncommitted", {50: 0, 150: 1, 250: 2, 350: None}, 3),
        ):
            with log.consumer(isolation_level=level) as consumer:
                consumer.assign([OTHER])
                for time, offset in found.items():
                    there = consumer.offsets_for_times({OTHER: time})[OTHER]
                    assert (None if there is None else there.offset) == offset
                    consumer.seek_to_timestamp(time)
                    assert consumer.position(OTHER) == (end if offset is None else offset)
        producer.commit_transaction()
        with log.consumer() as consumer:
            assert consumer.offsets_for_times({OTHER: 150})[OTHER] == (1, 200)


@pytest.mark.parametrize(
    ("count", "unit"), [(2**62, "m"), (-(2**62), "h"), (10**18, "Y"), (2**61, "W"), (2**62, "M")]
)
def test_a_time_that_numpy_takes_for_another_is_refused(count: int, unit: str) -> None:
    far = np.array(count, "int64").astype(f"datetime64[{unit}]")[()]
    for kind in (None, DataType("date32")):
        with pytest.raises(errors.ConfigError, match="beyond what 64 bits hold"):
            ticks_of(far, kind)
    assert ticks_of(np.datetime64(3, "Y"), DataType("date32")) == 3 * 365 + 1
    assert ticks_of(np.datetime64(-2, "h")) == -7_200_000_000
