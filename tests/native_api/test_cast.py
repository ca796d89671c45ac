"""RecordBatch.cast_to: exact casts of foreign batches to a topic's schema."""

from __future__ import annotations

import decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pystream._native import _core
from pystream.errors import SchemaError
from tests.native_api.arrow_arrays import INT_TYPES, UNITS, make_array, values


def schema(nullable: bool = True, **types: str) -> _core.Schema:
    return _core.Schema([(name, _core.DataType(text), nullable) for name, text in types.items()])


def imported(**columns: Any) -> _core.RecordBatch:
    (batch,) = _core.RecordBatch.from_arrow(pa.record_batch(columns))
    return batch


def cast(array: pa.Array, to: str) -> list[Any]:
    batch = imported(c=array).cast_to(schema(c=to))
    assert str(batch.column(0).type) == to
    return batch.column(0).to_pylist()


def holds(target: str, value: int) -> bool:
    """The obvious model of which integers a type holds exactly."""
    if target.startswith("float"):
        return int(np.dtype(target).type(value)) == value
    limits = np.iinfo(target)
    return int(limits.min) <= value <= int(limits.max)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(INT_TYPES),
    st.sampled_from([str(t) for t in INT_TYPES] + ["float32", "float64"]),
    st.data(),
)
def test_integers_become_any_number_that_holds_them(
    source: pa.DataType, target: str, data: st.DataObject
) -> None:
    items = data.draw(st.lists(st.none() | values(source), max_size=10))
    bad = [i for i, v in enumerate(items) if v is not None and not holds(target, v)]
    array = pa.array(items, source)
    if not bad:
        assert cast(array, target) == items
        return
    with pytest.raises(SchemaError, match=f"with {items[bad[0]]} in row {bad[0]}") as caught:
        cast(array, target)
    error = caught.value
    assert (error.column, error.expected, error.got, error.row) == (
        "c",
        target,
        str(source),
        bad[0],
    )


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["timestamp", "duration"]),
    st.sampled_from(UNITS),
    st.sampled_from(UNITS),
    st.lists(
        st.none() | st.integers(-(2**62), 2**62) | st.integers(-9, 9).map(lambda n: n * 10**9)
    ),
)
def test_time_units_convert_only_exactly(
    kind: str, source: str, target: str, items: list[int | None]
) -> None:
    ticks = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
    expected = []
    bad = None
    for i, item in enumerate(items):
        exact = None if item is None else item * ticks[target] / ticks[source]
        if item is not None:
            scaled, rest = divmod(item * ticks[target], ticks[source])
            if (rest or not -(2**63) <= scaled < 2**63) and bad is None:
                bad = i
            exact = scaled
        expected.append(exact)
    array = make_array(getattr(pa, kind)(source), items)
    batch = imported(c=array)
    if bad is not None:
        with pytest.raises(SchemaError) as caught:
            batch.cast_to(schema(c=f"{kind}[{target}]"))
        assert caught.value.row == bad
        return
    got = pa.record_batch(batch.cast_to(schema(c=f"{kind}[{target}]"))).column(0)
    assert got.cast(pa.int64()).to_pylist() == expected


@pytest.mark.parametrize(
    ("array", "to", "expected"),
    [
        (pa.array([1.5, None], pa.float32()), "float64", [1.5, None]),
        (pa.array(["a", None]), "dictionary<string>", ["a", None]),
        (pa.array(["a", None]).dictionary_encode(), "string", ["a", None]),
        (pa.array(["ä", None]), "binary", ["ä".encode(), None]),
        (pa.array(["ä", None]).dictionary_encode(), "binary", ["ä".encode(), None]),
        (pa.array([7, None, 7]).dictionary_encode(), "int8", [7, None, 7]),
        (
            pa.array([decimal.Decimal("1.5")], pa.decimal128(3, 1)),
            "decimal128(9, 1)",
            [decimal.Decimal("1.5")],
        ),
    ],
    ids=str,
)
def test_exact_casts(array: pa.Array, to: str, expected: list[Any]) -> None:
    assert cast(array, to) == expected


def test_integers_become_times_in_the_columns_unit() -> None:
    batch = imported(t=pa.array([1, None, -1], pa.int32()), d=pa.array([5, 6, 7]))
    got = pa.record_batch(batch.cast_to(schema(t="timestamp[ms, UTC]", d="duration[s]")))
    assert got.column(0).cast(pa.int64()).to_pylist() == [1, None, -1]
    assert got.column(1).cast(pa.int64()).to_pylist() == [5, 6, 7]


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
@pytest.mark.parametrize("target", ["timestamp[s]", "timestamp[s, Europe/Berlin]"])
def test_zones_do_not_move_instants(zone: str | None, target: str) -> None:
    batch = imported(c=pa.array([1000], pa.int64()).cast(pa.timestamp("s", zone)))
    got = pa.record_batch(batch.cast_to(schema(c=target))).column(0)
    assert got.cast(pa.int64()).to_pylist() == [1000]


@pytest.mark.parametrize(
    ("array", "to"),
    [
        (pa.array([1.0]), "int64"),
        (pa.array([1.0]), "float32"),
        (pa.array([1.0]), "timestamp[s]"),
        (pa.array([True]), "int8"),
        (pa.array([1]), "bool"),
        (pa.array([1]), "string"),
        (pa.array([1]), "decimal128(9, 0)"),
        (pa.array([1]), "date32"),
        (pa.array(["1"]), "int64"),
        (pa.array([b"a"]), "string"),
        (pa.array([1], pa.timestamp("s")), "int64"),
        (pa.array([1], pa.timestamp("s")), "duration[s]"),
        (pa.array([1], pa.date32()), "timestamp[s]"),
        (pa.array([decimal.Decimal("1.5")], pa.decimal128(9, 1)), "decimal128(5, 1)"),
        (pa.array([decimal.Decimal("1.5")], pa.decimal128(9, 1)), "decimal128(12, 2)"),
        (pa.array([decimal.Decimal("1.5")], pa.decimal128(9, 1)), "float64"),
    ],
    ids=str,
)
def test_other_types_are_refused_naming_both(array: pa.Array, to: str) -> None:
    with pytest.raises(SchemaError) as caught:
        imported(c=array).cast_to(schema(c=to), "payments")
    error = caught.value
    assert f"column 'c' of topic 'payments' expects {to}, got" in str(error)
    assert (error.topic, error.column, error.expected, error.row) == ("payments", "c", to, None)


def test_columns_may_stand_in_any_order_and_fitting_ones_are_shared() -> None:
    batch = imported(b=pa.array(["x"]), a=pa.array([1]))
    got = batch.cast_to(schema(a="int64", b="string"))
    assert got.schema.names == ["a", "b"]
    assert [got.column(i).to_pylist() for i in (0, 1)] == [[1], ["x"]]
    shared = got.column_numpy(0).__array_interface__["data"]
    assert shared == batch.column_numpy(1).__array_interface__["data"]


def test_missing_extra_and_repeated_columns_are_named() -> None:
    strict = schema(nullable=False, a="int64", b="string")
    with pytest.raises(SchemaError, match=r"'b' of topic 't' \(string\) is missing") as caught:
        imported(a=pa.array([1])).cast_to(strict, "t")
    assert (caught.value.topic, caught.value.column) == ("t", "b")
    target = schema(a="int64", b="string")
    assert imported(a=pa.array([1])).cast_to(target, "t").column(1).to_pylist() == [None]
    three = imported(a=pa.array([1]), b=pa.array([""]), c=pa.array([1]))
    with pytest.raises(SchemaError, match="'c' does not exist in topic 't'; the columns are a, b"):
        three.cast_to(target, "t")
    (twice,) = _core.RecordBatch.from_arrow(
        pa.record_batch([pa.array([1]), pa.array([2])], names=["a", "a"])
    )
    with pytest.raises(SchemaError, match="'a' is given twice"):
        twice.cast_to(target)


def test_null_in_a_column_that_is_not_nullable_is_named_with_its_row() -> None:
    batch = imported(a=pa.array([1, 2, None, None]))
    with pytest.raises(SchemaError, match="'a' is not nullable, row 2 is null") as caught:
        batch.cast_to(schema(nullable=False, a="int64"))
    assert caught.value.row == 2


def test_value_below_a_null_is_not_looked_at() -> None:
    array = pa.Array.from_buffers(
        pa.int64(), 2, [pa.py_buffer(b"\x01"), pa.py_buffer(np.array([1, 2**40]).tobytes())]
    )
    assert cast(array, "int8") == [1, None]
