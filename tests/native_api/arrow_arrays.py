"""Arrow arrays of every type that there is here, for hypothesis."""

from __future__ import annotations

import datetime
import decimal
import itertools
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

INT_TYPES = [
    pa.int8(),
    pa.int16(),
    pa.int32(),
    pa.int64(),
    pa.uint8(),
    pa.uint16(),
    pa.uint32(),
    pa.uint64(),
]
UNITS = ["s", "ms", "us", "ns"]
SUPPORTED_TYPES = [
    pa.bool_(),
    *INT_TYPES,
    pa.float32(),
    pa.float64(),
    pa.decimal128(12, 3),
    pa.decimal128(38, 0),
    *[pa.timestamp(unit) for unit in UNITS],
    pa.timestamp("us", "Europe/Berlin"),
    *[pa.duration(unit) for unit in UNITS],
    pa.date32(),
    pa.string(),
    pa.binary(),
    pa.dictionary(pa.int32(), pa.string()),
]
# Which topics do not hold.
LIST_TYPES = [
    pa.list_(element)
    for element in (
        pa.bool_(),
        pa.int8(),
        pa.int64(),
        pa.float64(),
        pa.decimal128(38, 0),
        pa.timestamp("us", "Europe/Berlin"),
        pa.date32(),
        pa.string(),
        pa.binary(),
        SUPPORTED_TYPES[-1],
    )
]
FOREIGN_LIST_TYPES = {
    pa.large_list(pa.int64()): pa.list_(pa.int64()),
    pa.list_(pa.int64(), 2): pa.list_(pa.int64()),
    pa.list_(pa.large_string(), 1): pa.list_(pa.string()),
    pa.large_list(pa.dictionary(pa.int8(), pa.string())): LIST_TYPES[-1],
}
# What becomes which of ours when it comes in.
FOREIGN_TYPES = {
    pa.large_string(): pa.string(),
    pa.string_view(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.binary_view(): pa.binary(),
    **{pa.dictionary(index, pa.string()): SUPPORTED_TYPES[-1] for index in INT_TYPES},
    pa.dictionary(pa.int8(), pa.large_string()): SUPPORTED_TYPES[-1],
    pa.dictionary(pa.int8(), pa.int64()): pa.int64(),
    pa.dictionary(pa.int16(), pa.binary()): pa.binary(),
}


def values(arrow_type: pa.DataType) -> st.SearchStrategy[Any]:
    """Python values of an Arrow type, in the form that `pa.array` takes."""
    if pa.types.is_dictionary(arrow_type):
        return values(arrow_type.value_type)
    if is_list(arrow_type):
        size = arrow_type.list_size if pa.types.is_fixed_size_list(arrow_type) else None
        return st.lists(
            st.none() | values(arrow_type.value_type), min_size=size or 0, max_size=size or 3
        )
    if pa.types.is_boolean(arrow_type):
        return st.booleans()
    if arrow_type in INT_TYPES:
        bits = arrow_type.bit_width
        is_signed = pa.types.is_signed_integer(arrow_type)
        low = -(2 ** (bits - 1)) if is_signed else 0
        return st.integers(low, low + 2**bits - 1)
    if pa.types.is_floating(arrow_type):
        return st.floats(width=arrow_type.bit_width)
    if pa.types.is_decimal(arrow_type):
        bound = 10**arrow_type.precision - 1
        return st.integers(-bound, bound).map(
            lambda digits: decimal.Decimal(f"{digits}E{-arrow_type.scale}")
        )
    if pa.types.is_date(arrow_type):
        return st.dates(datetime.date(1, 1, 1), datetime.date(9999, 12, 31))
    if pa.types.is_timestamp(arrow_type) or pa.types.is_duration(arrow_type):
        return st.integers(-(2**62), 2**62)
    if "string" in str(arrow_type):
        return st.text(max_size=30)
    return st.binary(max_size=30)


def make_array(arrow_type: pa.DataType, items: list[Any]) -> pa.Array:
    """`pa.array`, also where that cannot build the type directly."""
    if is_list(arrow_type):
        return _list_array(arrow_type, items)
    if pa.types.is_dictionary(arrow_type):
        plain = pa.array(items, arrow_type.value_type)
        if arrow_type.value_type == pa.large_string():
            encoded = plain.dictionary_encode()
            return pa.DictionaryArray.from_arrays(
                encoded.indices.cast(arrow_type.index_type), encoded.dictionary
            )
        return plain.dictionary_encode().cast(arrow_type)
    if pa.types.is_timestamp(arrow_type) or pa.types.is_duration(arrow_type):
        return pa.array(items, pa.int64()).cast(arrow_type)
    return pa.array(items, arrow_type)


def is_list(arrow_type: pa.DataType) -> bool:
    """Whether it is a list of any layout."""
    types = pa.types
    return bool(
        types.is_list(arrow_type)
        or types.is_large_list(arrow_type)
        or types.is_fixed_size_list(arrow_type)
    )


def _list_array(arrow_type: pa.DataType, items: list[Any]) -> pa.Array:
    nulls = pa.array([item is None for item in items], pa.bool_())
    if pa.types.is_fixed_size_list(arrow_type):
        size = arrow_type.list_size
        flat = [value for item in items for value in (item or [None] * size)]
        elements = make_array(arrow_type.value_type, flat)
        return pa.FixedSizeListArray.from_arrays(elements, size, mask=nulls)
    ends = list(itertools.accumulate((len(item or []) for item in items), initial=0))
    flat = [value for item in items for value in (item or [])]
    is_large = pa.types.is_large_list(arrow_type)
    form = pa.LargeListArray if is_large else pa.ListArray
    offsets = pa.array(ends, pa.int64() if is_large else pa.int32())
    return form.from_arrays(offsets, make_array(arrow_type.value_type, flat), mask=nulls)


@st.composite
def arrays(draw: st.DrawFn, arrow_type: pa.DataType) -> pa.Array:
    """An array with nulls, cut out of a larger one so that offsets are not zero."""
    items = draw(st.lists(st.none() | values(arrow_type), max_size=20))
    begin = draw(st.integers(0, len(items)))
    length = draw(st.integers(0, len(items) - begin))
    return make_array(arrow_type, items).slice(begin, length)


@st.composite
def batches(draw: st.DrawFn, types: list[pa.DataType]) -> pa.RecordBatch:
    """A batch of a few columns of any of `types`, sliced as a whole too."""
    chosen = draw(st.lists(st.sampled_from(types), min_size=1, max_size=4))
    rows = draw(st.integers(0, 25))
    columns = [
        make_array(
            arrow_type,
            draw(st.lists(st.none() | values(arrow_type), min_size=rows, max_size=rows)),
        )
        for arrow_type in chosen
    ]
    batch = pa.record_batch(columns, names=[f"c{i}" for i in range(len(chosen))])
    begin = draw(st.integers(0, rows))
    return batch.slice(begin, draw(st.integers(0, rows - begin)))
