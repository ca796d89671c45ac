"""Columns from and to numpy."""

from __future__ import annotations

import decimal
import gc
import sys
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pystream._native import _core
from pystream.errors import SchemaError

NUMBER_TYPES = [
    *("int8", "int16", "int32", "int64"),
    *("uint8", "uint16", "uint32", "uint64"),
    *("float32", "float64"),
]
TIME_TYPES = {
    f"{ours}[{unit}]": f"{theirs}[{unit}]"
    for ours, theirs in (("timestamp", "datetime64"), ("duration", "timedelta64"))
    for unit in ("s", "ms", "us", "ns")
}


def schema(**types: str) -> _core.Schema:
    return _core.Schema([(name, _core.DataType(text), True) for name, text in types.items()])


def column(text: str, values: Any, mask: Any = None) -> _core.Array:
    masks = None if mask is None else {"c": np.asarray(mask)}
    batch = _core.RecordBatch.from_numpy(schema(c=text), {"c": values}, masks)
    return batch.column(0)


def address(array: np.ndarray[Any, Any]) -> int:
    return int(array.__array_interface__["data"][0])


@pytest.mark.parametrize(
    ("text", "dtype"), [*zip(NUMBER_TYPES, NUMBER_TYPES, strict=True), *TIME_TYPES.items()]
)
def test_numbers_and_times_are_shared_both_ways(text: str, dtype: str) -> None:
    values = np.arange(5).astype(dtype)
    got = column(text, values).to_numpy(zero_copy_only=True)
    assert got.dtype == values.dtype
    assert np.array_equal(got, values)
    assert address(got) == address(values)
    assert not got.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        got[0] = got[1]


@settings(deadline=None)
@given(st.lists(st.booleans(), max_size=70), st.data())
def test_bools_and_masks_are_packed_and_unpacked(bools: list[bool], data: st.DataObject) -> None:
    mask = data.draw(st.lists(st.booleans(), min_size=len(bools), max_size=len(bools)))
    expected = [None if is_null else value for value, is_null in zip(bools, mask, strict=True)]
    array = column("bool", np.array(bools, bool), np.array(mask, bool))
    assert array.to_pylist() == expected
    assert array.null_count == sum(mask)
    assert array.null_mask().tolist() == mask
    numbers = column("int64", np.arange(len(bools)), np.array(mask, bool))
    assert numbers.to_pylist() == [None if is_null else i for i, is_null in enumerate(mask)]


@pytest.mark.parametrize(
    "values",
    [
        np.arange(10)[::2],
        np.arange(10)[::-1],
        np.arange(10).astype(">i8"),
        np.frombuffer(b"x" + np.arange(10).tobytes(), np.int64, offset=1),
        np.arange(20).reshape(10, 2)[:, 1],
    ],
    ids=["strided", "reversed", "big endian", "misaligned", "column of a matrix"],
)
def test_other_layouts_are_copied_right(values: np.ndarray[Any, Any]) -> None:
    assert column("int64", values).to_pylist() == values.tolist()


TEXTS = ["", "ä€𝄞", "x" * 100, "nul\0inside"]


@pytest.mark.parametrize(
    "values",
    [
        np.array(TEXTS, object),
        np.array(TEXTS),
        np.array(TEXTS, np.dtypes.StringDType()),
    ],
    ids=["object", "fixed width", "StringDType"],
)
@pytest.mark.parametrize("text", ["string", "dictionary<string>"])
def test_strings_of_every_kind_come_in(text: str, values: np.ndarray[Any, Any]) -> None:
    array = column(text, values)
    assert array.to_pylist() == TEXTS
    got = array.to_numpy()
    assert got.dtype == object
    assert got.tolist() == TEXTS


def test_none_in_object_arrays_and_string_na_are_null() -> None:
    assert column("string", np.array(["a", None], object)).to_pylist() == ["a", None]
    with_na = np.array(["a", None], np.dtypes.StringDType(na_object=None))
    assert column("string", with_na).to_pylist() == ["a", None]
    assert column("binary", np.array([b"a", None], object)).to_pylist() == [b"a", None]


def test_binary_takes_anything_with_a_buffer() -> None:
    values = np.array([b"a\0b", bytearray(b"c"), memoryview(b"d")], object)
    assert column("binary", values).to_pylist() == [b"a\0b", b"c", b"d"]
    assert column("binary", np.array([b"ab", b"c"])).to_pylist() == [b"ab", b"c"]


def test_not_a_time_is_null_both_ways() -> None:
    values = np.array(["2013-01-01", "NaT", "1969-12-31T23:59:59.999"], "datetime64[ms]")
    array = column("timestamp[ms]", values)
    assert array.null_count == 1
    assert np.array_equal(array.to_numpy(), values, equal_nan=True)
    spans = np.array([5, "NaT"], "timedelta64[s]")
    assert column("duration[s]", spans, [True, False]).to_pylist() == [None, None]


@pytest.mark.parametrize("unit", ["D", "W", "M", "Y", "h", "m"])
def test_coarse_numpy_units_become_seconds(unit: str) -> None:
    values = np.array([-3, 0, 7], f"datetime64[{unit}]")
    got = column("timestamp[s]", values).to_numpy()
    assert np.array_equal(got, values.astype("datetime64[s]"))


def test_days_become_date32_and_come_back() -> None:
    days = np.array(["1900-03-01", "2024-02-29", "NaT"], "datetime64[D]")
    array = column("date32", days)
    assert np.array_equal(array.to_numpy(), days, equal_nan=True)
    assert column("date32", days[:2]).to_numpy().dtype == "datetime64[D]"


def test_numpy_times_are_utc() -> None:
    values = np.array(["2024-01-01T12:00"], "datetime64[s]")
    assert np.array_equal(column("timestamp[s, Asia/Tokyo]", values).to_numpy(), values)


def test_decimals_are_exact() -> None:
    largest = "9" * 36 + ".99"
    values = [decimal.Decimal(text) for text in ("1.5", "-0.01", "1E2", "0", "-0.00", largest)]
    values.append(decimal.Decimal("1." + "0" * 60))
    array = column("decimal128(38, 2)", np.array(values, object))
    assert array.to_pylist() == values
    assert array[5] == values[5]


@pytest.mark.parametrize("text", ["1.234", "1000000000", "NaN", "Infinity", "1E100"])
def test_decimal_that_does_not_fit_is_refused_with_its_row(text: str) -> None:
    values = np.array([decimal.Decimal(1), decimal.Decimal(text)], object)
    with pytest.raises(SchemaError, match="which does not fit") as caught:
        column("decimal128(9, 2)", values)
    assert (caught.value.column, caught.value.row) == ("c", 1)


@pytest.mark.parametrize(
    ("text", "values", "got", "row"),
    [
        ("int64", np.array([1.5]), "float64", None),
        ("int64", np.array(["1"]), "<U1", None),
        ("float64", np.array([1.5], np.float16), "float16", None),
        ("float64", np.array([1.5], np.longdouble), np.dtype(np.longdouble).name, None),
        ("float64", np.array([1j]), "complex128", None),
        ("string", np.array([1]), "int64", None),
        ("string", np.array(["a", 7], object), "int", 1),
        ("string", np.array(["a", b"b"], object), "bytes", 1),
        ("string", np.array(["a", "\ud800"], object), "str", 1),
        ("binary", np.array([b"a", "b"], object), "str", 1),
        ("decimal128(5, 1)", np.array([1.5], object), "float", 0),
        ("timestamp[s]", np.array([1], "datetime64[ps]"), "datetime64[ps]", None),
        ("timestamp[s]", np.array([1], "timedelta64[s]"), "duration[s]", None),
        ("int8", np.array([1, 300]), "int64", 1),
        ("bool", np.array([1]), "int64", None),
    ],
)
def test_wrong_values_are_refused_with_column_expected_got_and_row(
    text: str, values: np.ndarray[Any, Any], got: str, row: int | None
) -> None:
    with pytest.raises(SchemaError, match="column 'c' expects") as caught:
        column(text, values)
    error = caught.value
    assert (error.column, error.expected, error.got, error.row) == ("c", text, got, row)


def test_shapes_and_masks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SchemaError, match="array of 2 dimensions"):
        column("int64", np.zeros((2, 2), np.int64))
    with pytest.raises(SchemaError, match="mask of column 'c' is not a bool array with 3"):
        column("int64", np.arange(3), [True])
    with pytest.raises(SchemaError, match="mask of column 'c'"):
        column("int64", np.arange(3), [0, 1, 0])
    with pytest.raises(SchemaError, match="column 'b' has 3 rows, column 'a' has 2"):
        _core.RecordBatch.from_numpy(
            schema(a="int64", b="int64"), {"a": np.arange(2), "b": np.arange(3)}
        )


class TestToNumpy:
    @pytest.mark.parametrize("text", ["int8", "int32", "int64", "uint64", "float32", "float64"])
    def test_nulls_become_nan(self, text: str) -> None:
        got = column(text, np.array([1, 2, 3], text), [False, True, False]).to_numpy()
        assert got.dtype == ("float32" if text == "float32" else "float64")
        assert np.array_equal(got, [1, np.nan, 3], equal_nan=True)

    def test_null_value_keeps_the_dtype(self) -> None:
        array = column("int64", np.array([2**60 + 1, 2]), [False, True])
        got = array.to_numpy(null_value=-1)
        assert got.dtype == np.int64
        assert got.tolist() == [2**60 + 1, -1]
        with pytest.raises(TypeError):
            array.to_numpy(null_value=1.5)
        times = column("timestamp[s]", np.array([1, "NaT"], "datetime64[s]"))
        filled = times.to_numpy(null_value=np.datetime64(0, "s"))
        assert filled.astype(np.int64).tolist() == [1, 0]
        texts = column("string", np.array(["a", None], object))
        assert texts.to_numpy(null_value="?").tolist() == ["a", "?"]

    @pytest.mark.parametrize("value", [2**53 + 1, -(2**53) - 1, 2**63 - 1])
    def test_integer_without_exact_float_is_never_rounded(self, value: int) -> None:
        array = column("int64", np.array([0, value]), [True, False])
        with pytest.raises(SchemaError, match="row 1 has no exact float64") as caught:
            array.to_numpy()
        assert caught.value.row == 1
        assert array.to_pylist() == [None, value]

    def test_bools_with_nulls_are_objects(self) -> None:
        array = column("bool", np.array([True, False]), [False, True])
        assert array.to_numpy().tolist() == [True, None]
        assert array.to_numpy(null_value=False).dtype == bool

    @pytest.mark.parametrize(
        ("text", "values", "reason"),
        [
            ("string", np.array(["a"]), "numpy has no such type"),
            ("bool", np.array([True]), "bit-packed"),
            ("date32", np.array([1], "datetime64[D]"), "64 bits"),
            ("timestamp[s]", np.array([1, "NaT"], "datetime64[s]"), "1 nulls"),
        ],
    )
    def test_zero_copy_only_says_why_it_cannot(
        self, text: str, values: np.ndarray[Any, Any], reason: str
    ) -> None:
        with pytest.raises(SchemaError, match=reason):
            column(text, values).to_numpy(zero_copy_only=True)

    def test_empty_columns(self) -> None:
        for text in [*NUMBER_TYPES, *TIME_TYPES, "bool", "date32"]:
            got = column(text, np.array([], _core.DataType(text).numpy_dtype())).to_numpy()
            assert got.dtype == _core.DataType(text).numpy_dtype()
            assert len(got) == 0


class TestDictionaries:
    def test_codes_point_into_the_dictionary(self) -> None:
        array = column("string", np.array(["b", "a", "b", None], object)).encode()
        assert array.is_encoded
        codes = array.codes()
        assert codes.dtype == np.int32
        entries = array.dictionary().to_pylist()
        assert entries == ["b", "a"]
        assert [entries[code] for code in codes[:3]] == ["b", "a", "b"]
        assert address(array.codes()) == address(codes)

    def test_equal_entries_share_one_object(self) -> None:
        first, second = column("string", np.array(["some text"] * 2)).encode().to_pylist()
        assert first is second

    def test_decode_is_the_inverse(self) -> None:
        array = column("string", np.array(["b", "a", "b", None], object))
        assert not array.encode().decode().is_encoded
        assert array.encode().decode().equals(array)

    def test_numbers_have_no_codes(self) -> None:
        with pytest.raises(SchemaError, match="not dictionary-encoded"):
            column("int64", np.arange(3)).codes()


class TestBounds:
    array = column("int64", np.arange(10))

    def test_items(self) -> None:
        assert [self.array[i] for i in (0, 9, -1, -10)] == [0, 9, 9, 0]
        for row in (10, -11):
            with pytest.raises(IndexError):
                self.array[row]

    @pytest.mark.parametrize(("begin", "length"), [(-1, 2), (0, 11), (11, 0), (5, -1), (2**62, 9)])
    def test_slice(self, begin: int, length: int) -> None:
        with pytest.raises(IndexError):
            self.array.slice(begin, length)

    @pytest.mark.parametrize("row", [-1, 10, 2**40])
    def test_take(self, row: int) -> None:
        with pytest.raises(IndexError, match=f"row {row} does not exist in 10"):
            self.array.take(np.array([0, row]))

    def test_take_wants_integers(self) -> None:
        with pytest.raises(TypeError):
            self.array.take(np.array([0.5]))

    def test_columns(self) -> None:
        batch = _core.RecordBatch(schema(a="int64"), [self.array])
        for call in (batch.column, batch.column_numpy):
            with pytest.raises(IndexError):
                call(1)
        with pytest.raises(IndexError):
            batch.select([1])
        with pytest.raises(IndexError):
            batch.select([-1])


class TestLifetime:
    def test_batch_holds_the_numpy_array_and_lets_it_go(self) -> None:
        values = np.arange(1000)
        before = sys.getrefcount(values)
        batch = _core.RecordBatch.from_numpy(schema(a="int64"), {"a": values})
        part = batch.slice(10, 5)
        assert sys.getrefcount(values) == before + 1
        del batch
        assert sys.getrefcount(values) == before + 1
        del part
        gc.collect()
        assert sys.getrefcount(values) == before

    def test_last_reference_may_go_on_another_thread(self) -> None:
        values = np.arange(1000)
        before = sys.getrefcount(values)
        held = [_core.RecordBatch.from_numpy(schema(a="int64"), {"a": values})]
        thread = threading.Thread(target=held.clear)
        thread.start()
        thread.join()
        assert sys.getrefcount(values) == before

    def test_object_dropped_without_the_interpreter_lock_is_released(self) -> None:
        values = np.arange(1000)
        before = sys.getrefcount(values)
        capsules = _core.RecordBatch.from_numpy(
            schema(a="int64"), {"a": values}
        ).__arrow_c_array__()

        class Source:
            def __arrow_c_array__(self, requested_schema: object = None) -> object:
                return capsules

        # Refused after the array was moved out of its capsule, where the lock is free.
        with pytest.raises(SchemaError):
            _core.RecordBatch.from_arrow(Source(), schema(a="string"))
        assert sys.getrefcount(values) == before

    def test_view_keeps_its_memory(self) -> None:
        view = column("int64", np.arange(1000)).to_numpy()
        gc.collect()
        assert int(view.sum()) == 499_500

    def test_objects_are_not_leaked(self) -> None:
        text = "a text of its own"
        array = column("string", np.array([text] * 100))
        objects = array.to_numpy()
        value = objects[0]
        # value, the array's slot, and getrefcount's argument.
        assert sys.getrefcount(value) == 3
        marker = object()
        before = sys.getrefcount(marker)
        filled = column("string", np.array([None] * 100, object)).to_numpy(null_value=marker)
        assert sys.getrefcount(marker) == before + 100
        del filled
        assert sys.getrefcount(marker) == before

    def test_capsule_shares_the_batch(self) -> None:
        batch = _core.RecordBatch.from_numpy(schema(a="int64"), {"a": np.arange(3)})
        again = _core.RecordBatch._from_capsule(batch._capsule())
        assert again.equals(batch)
        assert address(again.column_numpy(0)) == address(batch.column_numpy(0))
        with pytest.raises((ValueError, TypeError)):
            _core.RecordBatch._from_capsule(object())
