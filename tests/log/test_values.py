"""Which Python values each column type takes, and that they come back as they went in."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import pystream as ps
from pystream import errors
from pystream._native import decode_headers, encode_headers
from tests.log.reading import batches_of, rows_of
from tests.oracle.partitioner import composite_key_bytes, key_bytes, partition_of

INTEGERS = {
    f"{sign}int{bits}": (0 if sign else -(2 ** (bits - 1)), 2 ** (bits if sign else bits - 1) - 1)
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
}
TICKS = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
WHOLE_MS = st.datetimes(datetime(1, 1, 1), datetime(9999, 1, 1)).map(
    lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)
)

# Values that come back equal, by column type.
VALUES: dict[str, st.SearchStrategy[Any]] = {
    **{name: st.integers(*limits) for name, limits in INTEGERS.items()},
    "bool": st.booleans(),
    "float64": st.floats(allow_nan=False),
    "float32": st.floats(allow_nan=False, width=32),
    "string": TEXT,
    "dictionary<string>": st.sampled_from(["a", "b", "", "wört"]),
    "binary": st.binary(max_size=20),
    "timestamp[us]": st.datetimes(),
    "timestamp[ms]": WHOLE_MS,
    "date32": st.dates(),
    "duration[us]": st.timedeltas(timedelta(days=-100_000), timedelta(days=100_000)),
    "decimal128(12, 3)": st.decimals(-999_999_999, 999_999_999, places=3),
}

_numbers = itertools.count()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with ps.open(tmp_path_factory.mktemp("values")) as log, log.producer(linger="1h") as producer:
        yield log, producer


def fresh_topic(log: ps.Log, schema: Any, **settings: Any) -> str:
    name = f"t{next(_numbers)}"
    log.create_topic(name, schema, **settings)
    return name


def round_trip(shared: Any, type_name: str, values: list[Any]) -> tuple[list[Any], list[Any]]:
    """Return the values as columns and as records give them."""
    log, producer = shared
    topic = fresh_topic(log, {"v": type_name})
    for value in values:
        producer.send(topic, {"v": value})
    producer.flush()
    with log.consumer(topic, auto_offset_reset="earliest", timeout="0s") as consumer:
        records = [record["v"] for record in consumer]
    return [row["v"] for row in rows_of(log, topic)], records


@pytest.mark.parametrize("type_name", VALUES)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_values_come_back(shared: Any, type_name: str, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.none() | VALUES[type_name], min_size=1, max_size=30))
    columns, records = round_trip(shared, type_name, values)
    assert columns == values
    assert records == values


def test_nan_infinity_and_minus_zero_keep_their_bits(shared: Any) -> None:
    values = [float("nan"), float("inf"), -float("inf"), -0.0]
    for type_name in ("float64", "float32"):
        columns, records = round_trip(shared, type_name, values)
        for found in (columns, records):
            assert np.array_equal(found, values, equal_nan=True)
            assert np.signbit(found[3])


BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2024, 7, 1, 12, 0, 0, 250_000)


@pytest.mark.parametrize(
    ("type_name", "given", "stored"),
    [
        ("int64", np.int8(-5), -5),
        ("int64", np.uint64(5), 5),
        ("uint64", np.uint64(2**64 - 1), 2**64 - 1),
        ("bool", np.bool_(True), True),
        ("float64", 7, 7.0),
        ("float64", np.float32(0.5), 0.5),
        ("float64", np.int64(3), 3.0),
        ("float32", 0.1, float(np.float32(0.1))),
        ("float32", -(2**24) - 2, -(2.0**24) - 2),
        ("float32", float(2**24 + 1), 2.0**24),
        ("string", np.str_("a"), "a"),
        ("binary", bytearray(b"ab"), b"ab"),
        ("binary", memoryview(b"ab"), b"ab"),
        ("binary", "wört", "wört".encode()),
        ("timestamp[ms]", 250, datetime(1970, 1, 1, microsecond=250_000)),
        ("timestamp[ms]", -1, datetime(1969, 12, 31, 23, 59, 59, 999_000)),
        ("timestamp[ms]", NOON, NOON),
        ("timestamp[ms]", NOON.replace(tzinfo=UTC), NOON),
        ("timestamp[ms]", NOON.replace(tzinfo=BERLIN), NOON - timedelta(hours=2)),
        ("timestamp[ms]", np.datetime64("2024-07-01"), datetime(2024, 7, 1)),
        ("timestamp[ms]", np.datetime64("NaT", "us"), None),
        ("timestamp[us]", pd.Timestamp(NOON), NOON),
        ("timestamp[us]", pd.NaT, None),
        ("timestamp[s]", datetime(9999, 12, 31, 23, 59, 59), datetime(9999, 12, 31, 23, 59, 59)),
        ("date32", np.datetime64("1969-12-31"), date(1969, 12, 31)),
        ("date32", -1, date(1969, 12, 31)),
        ("timestamp[us]", np.datetime64(30, "Y"), datetime(2000, 1, 1)),
        ("duration[ms]", np.timedelta64(3, "s"), timedelta(seconds=3)),
        ("duration[s]", np.timedelta64(3), timedelta(seconds=3)),
        ("duration[us]", pd.Timedelta(milliseconds=3), timedelta(milliseconds=3)),
        ("duration[s]", -60, timedelta(minutes=-1)),
        ("decimal128(5, 2)", 7, Decimal("7.00")),
        ("decimal128(5, 2)", Decimal("-999.99"), Decimal("-999.99")),
        ("decimal128(38, 0)", Decimal(-(10**38) + 1), Decimal(-(10**38) + 1)),
        ("decimal128(5, 2)", Decimal("1E+2"), Decimal("100.00")),
    ],
)
def test_values_that_are_converted_exactly(
    shared: Any, type_name: str, given: Any, stored: Any
) -> None:
    columns, records = round_trip(shared, type_name, [given])
    assert columns == [stored]
    assert records == [stored]


@pytest.mark.parametrize(
    ("type_name", "value", "reason"),
    [
        *((name, limits[0] - 1, "out of range") for name, limits in INTEGERS.items()),
        *((name, limits[1] + 1, "out of range") for name, limits in INTEGERS.items()),
        ("int64", True, "expected int64, got bool True"),
        ("int64", 1.0, "got float 1.0"),
        ("int64", "1", "got str '1'"),
        ("int64", np.float64(1), "got float64"),
        ("bool", 1, "got int 1"),
        ("float64", "1", "got str"),
        ("float64", Decimal(1), "got Decimal"),
        ("float64", 2**53 + 1, "not exact"),
        ("float64", 10**400, "out of range"),
        ("float32", 2**24 + 1, "not exact"),
        ("float32", -(2**24) - 1, "not exact"),
        ("float32", 2**128, "out of range"),
        ("float32", 1e39, "out of range"),
        ("string", b"a", "got bytes"),
        ("string", 1, "got int"),
        ("string", "\ud800", "surrogate"),
        ("binary", 1, "got int"),
        ("binary", [1, 2], "got list"),
        ("timestamp[ms]", 1.0, "got float"),
        ("timestamp[ms]", "2024-01-01", "got str"),
        ("timestamp[ms]", date(2024, 1, 1), "got date"),
        ("timestamp[ms]", NOON.replace(microsecond=1), "finer than the column's unit"),
        ("timestamp[s]", np.datetime64(1, "ms"), "finer than the column's unit"),
        # numpy would wrap around in silence.
        ("timestamp[us]", np.datetime64(31_556_952 * 10**9, "ms"), "out of range"),
        ("timestamp[us]", np.datetime64(-31_556_952 * 10**9, "ms"), "out of range"),
        ("timestamp[ns]", np.datetime64(300_000, "D"), "out of range"),
        ("timestamp[us]", np.datetime64(1_000_000, "Y"), "out of range"),
        ("date32", np.datetime64(2**31, "D"), "out of range"),
        ("duration[us]", np.timedelta64(31_556_952 * 10**9, "ms"), "out of range"),
        ("timestamp[us]", pd.Timestamp(1, unit="ns"), "finer than the column's unit"),
        ("timestamp[ns]", datetime(2263, 1, 1), "out of range"),
        ("timestamp[ms, UTC]", NOON, "without a time zone"),
        ("timestamp[ms, UTC]", pd.Timestamp(NOON), "without a time zone"),
        ("timestamp[ms]", timedelta(1), "got timedelta"),
        ("timestamp[ms]", np.timedelta64(1, "s"), "got timedelta64"),
        ("date32", datetime(2024, 1, 1), "got datetime"),
        ("date32", 2**31, "out of range"),
        ("duration[ms]", timedelta(microseconds=1), "finer than the column's unit"),
        ("duration[ms]", np.datetime64(1, "s"), "got datetime64"),
        ("duration[ns]", timedelta(days=200_000), "out of range"),
        ("decimal128(5, 2)", Decimal("1000"), "out of range"),
        ("decimal128(5, 2)", Decimal("0.001"), "finer than the column's scale"),
        ("decimal128(5, 2)", Decimal("NaN"), "not finite"),
        ("decimal128(5, 2)", Decimal("1E+1000000"), "out of range"),
        ("decimal128(5, 2)", 1.5, "got float"),
        ("int64", object(), "got object"),
    ],
)
def test_values_that_are_refused(shared: Any, type_name: str, value: Any, reason: str) -> None:
    log, producer = shared
    topic = fresh_topic(log, {"v": type_name, "w": "int64"})
    with pytest.raises(errors.SchemaError) as caught:
        producer.send(topic, {"w": 1, "v": value})
    assert reason in str(caught.value)
    assert (caught.value.topic, caught.value.column) == (topic, "v")
    producer.flush()
    assert rows_of(log, topic) == []


@pytest.mark.parametrize("time", [np.datetime64(31_556_952 * 10**9, "ms"), 2**63])
def test_record_timestamp_that_microseconds_do_not_hold_is_refused(shared: Any, time: Any) -> None:
    log, producer = shared
    topic = fresh_topic(log, {"v": "int64"})
    with pytest.raises(errors.SchemaError, match=r"column 'timestamp'.*out of range"):
        producer.send(topic, {"v": 1}, timestamp=time)
    producer.flush()
    assert rows_of(log, topic) == []


@pytest.mark.parametrize("type_name", ["int64", "timestamp[ms]", "string", "float64"])
@pytest.mark.parametrize("null", [None, np.datetime64("NaT", "us"), pd.NaT])
def test_null_in_a_column_that_takes_none(shared: Any, type_name: str, null: Any) -> None:
    log, producer = shared
    topic = fresh_topic(log, {"v": f"{type_name} not null"})
    with pytest.raises(errors.SchemaError):
        producer.send(topic, {"v": null})


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    records=st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "a": st.none() | st.integers(-100, 100) | st.just("bad"),
                "b": st.none() | TEXT | st.just(7),
                "c": st.floats(allow_nan=False),
                "x": st.just(1),
            },
        ),
        max_size=40,
    )
)
def test_refused_records_leave_nothing_behind(shared: Any, records: list[dict[str, Any]]) -> None:
    """Whatever is mixed with bad records, exactly the good ones arrive, whole and in order."""
    log, producer = shared
    topic = fresh_topic(log, {"a": "int64", "b": "string", "c": "float64 not null"})
    expected = []
    for record in records:
        is_good = (
            "c" in record
            and "x" not in record
            and record.get("a") != "bad"
            and record.get("b") != 7
        )
        if is_good:
            producer.send(topic, record)
            expected.append({"a": None, "b": None, **record})
        else:
            with pytest.raises(errors.SchemaError):
                producer.send(topic, record)
    producer.flush()
    assert rows_of(log, topic) == expected


def test_wide_records(shared: Any) -> None:
    """More columns than fit on the stack of a send."""
    log, producer = shared
    names = [f"c{i}" for i in range(100)]
    topic = fresh_topic(log, dict.fromkeys(names, "string"))
    sent = [{name: f"{name}-{row}" for name in names} for row in range(50)]
    for record in sent:
        producer.send(topic, record)
    producer.flush()
    assert rows_of(log, topic) == sent


# -- keys ----------------------------------------------------------------------------------------

TICKS_PER_US = {"timestamp[us]": 1, "duration[us]": 1, "timestamp[ms]": 1000}


def model_key(value: Any, type_name: str) -> bytes:
    """Return the bytes of a key as the oracle has them: times as ticks."""
    if isinstance(value, datetime):
        value = (value - datetime(1970, 1, 1)) // timedelta(microseconds=TICKS_PER_US[type_name])
    elif isinstance(value, date):
        value = (value - date(1970, 1, 1)).days
    elif isinstance(value, timedelta):
        value = value // timedelta(microseconds=1)
    return key_bytes(value, type_name)


@pytest.mark.parametrize("type_name", VALUES)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_partition_of_a_key_agrees_with_the_oracle(
    shared: Any, type_name: str, data: st.DataObject
) -> None:
    """Record by record and table by table, for keys of every type."""
    log, producer = shared
    values = data.draw(st.lists(VALUES[type_name], min_size=1, max_size=20))
    topic = fresh_topic(log, {"k": type_name, "n": "int64"}, key="k", partitions=5)
    rows = [{"k": value, "n": n} for n, value in enumerate(values)]
    for row in rows:
        producer.send(topic, row)
    producer.send_batch(topic, rows)
    for number in range(5):
        expected = [
            n for n, v in enumerate(values) if partition_of(model_key(v, type_name), 5) == number
        ]
        assert [row["n"] for row in rows_of(log, topic, number)] == expected * 2


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    keys=st.lists(
        st.tuples(st.none() | TEXT, st.none() | st.integers(-5, 5)), min_size=1, max_size=20
    )
)
@example(keys=[("a", None), (None, 1), (None, None), ("", 0)])
def test_partition_of_a_key_of_two_columns_agrees_with_the_oracle(
    shared: Any, keys: list[tuple[str | None, int | None]]
) -> None:
    log, producer = shared
    topic = fresh_topic(log, {"a": "string", "b": "int16"}, key=["b", "a"], partitions=7)
    for a, b in keys:
        producer.send(topic, {"a": a, "b": b})
    producer.flush()
    for number in range(7):
        expected = [
            (a, b)
            for a, b in keys
            if partition_of(
                composite_key_bytes(
                    [
                        None if b is None else key_bytes(b, "int16"),
                        None if a is None else a.encode(),
                    ]
                ),
                7,
            )
            == number
        ]
        assert [(row["a"], row["b"]) for row in rows_of(log, topic, number)] == expected


# -- headers -------------------------------------------------------------------------------------


@given(st.lists(st.tuples(TEXT, st.none() | st.binary(max_size=300)), min_size=1, max_size=5))
def test_headers_come_back(headers: list[tuple[str, bytes | None]]) -> None:
    encoded = encode_headers(headers)
    assert encoded is not None
    assert decode_headers(encoded) == headers


def test_headers_are_counted_as_they_are_taken() -> None:
    class Grows(list[tuple[str, bytes | str | None]]):
        def __iter__(self) -> Iterator[tuple[str, bytes | str | None]]:
            yield from [("a", b"1"), ("b", b"2")]

    assert encode_headers(Grows([("a", b"1")])) == encode_headers([("a", b"1"), ("b", b"2")])
    assert encode_headers(item for item in [("a", b"1")]) == encode_headers([("a", b"1")])
    assert encode_headers([]) is None
    with pytest.raises(errors.ConfigError, match=r"headers is 7\. Pass"):
        encode_headers(7)  # type: ignore[arg-type]


def test_headers_are_encoded_as_kafka_does() -> None:
    """Zigzag varints: the count, then length and bytes of each name and value; -1 for null."""
    assert encode_headers([("a", b"xy"), ("b", None)]) == b"\x04\x02a\x04xy\x02b\x01"
    assert encode_headers([("k", "x" * 64)]) == b"\x02\x02k\x80\x01" + b"x" * 64


def test_record_gives_all_its_parts(log: ps.Log) -> None:
    log.create_topic("lines")
    log.create_topic("two", {"a": "string", "b": "int64", "c": "bool"}, key=["b", "a"])
    with log.producer() as producer:
        producer.send("lines", "v", key="k", timestamp=5, headers=[("h", "x"), ("n", None)])
        producer.send("lines", None)
        producer.send("two", {"a": "x", "b": 1}, timestamp=datetime(1970, 1, 1, tzinfo=UTC))
    with log.consumer("lines", "two", auto_offset_reset="earliest", timeout="0s") as consumer:
        lines, empty, two = sorted(consumer, key=lambda r: (r.topic, r.offset))
    assert (lines.topic, lines.partition, lines.offset) == ("lines", 0, 0)
    assert (lines.key, lines.value, lines.timestamp) == (b"k", b"v", 5)
    assert lines.headers == [("h", b"x"), ("n", None)]
    assert (empty.key, empty.value, empty.headers) == (None, None, [])
    assert (two.key, two.timestamp, two.headers) == ((1, "x"), 0, [])
    assert two.value == dict(two) == {"a": "x", "b": 1, "c": None}
    assert two["c"] is None
    assert "a" in two
    assert "z" not in two
    assert repr(two) == "<Record two-0 offset 0: {'a': 'x', 'b': 1, 'c': None}>"
    with pytest.raises(
        errors.SchemaError, match=r"no column 'z'\. Its columns are a, b, c"
    ) as caught:
        two["z"]
    assert caught.value.column == "z"


def test_records_cannot_be_made_by_hand() -> None:
    with pytest.raises(TypeError, match="come from a consumer"):
        ps.Record()


def test_records_stay_valid_after_close_and_delete(log: ps.Log) -> None:
    log.create_topic("t", {"v": "string"})
    with log.producer() as producer:
        for n in range(10):
            producer.send("t", {"v": f"value {n}"})
    consumer = log.consumer("t", auto_offset_reset="earliest", timeout="0s")
    records = list(consumer)
    consumer.close()
    log.delete_topic("t")
    log.close()
    assert [record["v"] for record in records] == [f"value {n}" for n in range(10)]


def test_stored_batches_are_sliced_where_iteration_stopped(log: ps.Log) -> None:
    log.create_topic("t", {"n": "int64"})
    with log.producer() as producer:
        producer.send_batch("t", {"n": np.arange(10)})
    assert len(batches_of(log, "t", 0)) == 1
    with log.consumer("t", auto_offset_reset="earliest", timeout="0s") as consumer:
        first = [record["n"] for record in itertools.islice(consumer, 3)]
        (rest,) = consumer.batches(timeout="0s")
    assert first == [0, 1, 2]
    assert rest["n"].to_numpy().tolist() == list(range(3, 10))
