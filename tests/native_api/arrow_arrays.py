"""Arrow arrays of every type that a topic can hold, for hypothesis."""

from __future__ import annotations

import datetime
import decimal
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
