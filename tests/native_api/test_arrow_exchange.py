"""Batches in from and out to Arrow, against pyarrow as the oracle."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pystream._native import _core
from pystream.errors import NotSupportedError, SchemaError
from tests.native_api.arrow_arrays import (
    FOREIGN_LIST_TYPES,
    FOREIGN_TYPES,
    INT_TYPES,
    LIST_TYPES,
    SUPPORTED_TYPES,
    arrays,
    batches,
    is_list,
    make_array,
)

FOREIGN = {**FOREIGN_TYPES, **FOREIGN_LIST_TYPES}
OWN_TYPES = [*SUPPORTED_TYPES, *LIST_TYPES]
ALL_TYPES = [*OWN_TYPES, *FOREIGN]


def import_one(source: object, schema: _core.Schema | None = None) -> _core.RecordBatch:
    (batch,) = _core.RecordBatch.from_arrow(source, schema)
    return batch


def same_rows(left: pa.Array, right: pa.Array) -> bool:
    """Equal with NaN equal to itself, whatever the encoding."""
    if is_list(left.type):
        lengths = [pc.list_value_length(array).to_pylist() for array in (left, right)]
        return lengths[0] == lengths[1] and same_rows(left.flatten(), right.flatten())
    if pa.types.is_temporal(left.type) and left.type.bit_width == 64:
        # Python's own datetimes end in the year 9999.
        left, right = left.cast(pa.int64()), right.cast(pa.int64())
    return [repr(value) for value in left.to_pylist()] == [
        repr(value) for value in right.to_pylist()
    ]


def pointer(array: pa.Array) -> int:
    return int(array.buffers()[1].address) + array.offset * array.type.bit_width // 8


@pytest.mark.parametrize("arrow_type", ALL_TYPES, ids=str)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_every_type_comes_back_as_it_went_in(arrow_type: pa.DataType, data: st.DataObject) -> None:
    array = data.draw(arrays(arrow_type))
    batch = import_one(pa.record_batch([array], names=["c"]))
    exported = pa.record_batch(batch)
    exported.validate(full=True)
    assert exported.schema.field("c").type == FOREIGN.get(arrow_type, arrow_type)
    assert same_rows(exported.column(0), array)
    assert batch.column(0).null_count == array.null_count


@settings(max_examples=50, deadline=None)
@given(batch=batches(ALL_TYPES))
def test_sliced_batches_of_any_columns_come_back(batch: pa.RecordBatch) -> None:
    exported = pa.record_batch(import_one(batch))
    exported.validate(full=True)
    assert exported.num_rows == batch.num_rows
    for got, expected in zip(exported.columns, batch.columns, strict=True):
        assert same_rows(got, expected)


@settings(max_examples=50, deadline=None)
@given(batch=batches(OWN_TYPES), data=st.data())
def test_slice_and_take_agree_with_arrow(batch: pa.RecordBatch, data: st.DataObject) -> None:
    ours = import_one(batch)
    begin = data.draw(st.integers(0, batch.num_rows))
    length = data.draw(st.integers(0, batch.num_rows - begin))
    rows = st.integers(0, max(batch.num_rows - 1, 0))
    indices = data.draw(st.lists(rows, max_size=30 if batch.num_rows else 0))
    sliced = pa.record_batch(ours.slice(begin, length))
    taken = pa.record_batch(ours.take(np.array(indices, np.int64)))
    for i, column in enumerate(batch.columns):
        assert same_rows(sliced.column(i), column.slice(begin, length))
        assert same_rows(taken.column(i), column.take(pa.array(indices, pa.int64())))


@settings(max_examples=50, deadline=None)
@given(batch=batches(ALL_TYPES), data=st.data())
def test_concat_of_any_cut_is_the_whole(batch: pa.RecordBatch, data: st.DataObject) -> None:
    whole = import_one(batch)
    cuts = sorted(data.draw(st.lists(st.integers(0, batch.num_rows), max_size=4)))
    bounds = [0, *cuts, batch.num_rows]
    parts = [whole.slice(begin, end - begin) for begin, end in itertools.pairwise(bounds)]
    assert _core.RecordBatch.concat(parts).equals(whole)
    again = [import_one(batch.slice(begin, 1)) for begin in range(batch.num_rows)]
    if again:
        assert _core.RecordBatch.concat(again).equals(whole)


@pytest.mark.parametrize("arrow_type", [*INT_TYPES, pa.float64(), pa.timestamp("ms")], ids=str)
def test_fixed_width_columns_are_not_copied_either_way(arrow_type: pa.DataType) -> None:
    array = make_array(arrow_type, list(range(100))).slice(10)
    batch = import_one(pa.record_batch([array], names=["c"]))
    assert batch.column_numpy(0).__array_interface__["data"][0] == pointer(array)
    assert pointer(pa.record_batch(batch).column(0)) == pointer(array)


def test_strings_are_not_copied_either_way() -> None:
    array = pa.array(["some text"] * 50).slice(20)
    exported = pa.record_batch(import_one(pa.record_batch([array], names=["c"]))).column(0)
    assert exported.buffers()[2].address == array.buffers()[2].address


@pytest.mark.parametrize("index_type", INT_TYPES, ids=str)
def test_null_dictionary_entries_and_null_indexes_are_null_rows(index_type: pa.DataType) -> None:
    array = pa.DictionaryArray.from_arrays(
        pa.array([0, None, 1, 2, 0], index_type), pa.array(["a", None, "c"])
    )
    column = import_one(pa.record_batch([array], names=["c"])).column(0)
    assert column.to_pylist() == ["a", None, None, "c", "a"]
    assert column.null_count == 2


@pytest.mark.parametrize("bad", [3, -1, 127])
def test_dictionary_index_out_of_range_is_refused_with_its_row(bad: int) -> None:
    array = pa.DictionaryArray.from_arrays(
        pa.array([0, 1, bad], pa.int8()), pa.array(["a", "b", "c"]), safe=False
    )
    with pytest.raises(SchemaError, match=f"index of row 2 is {bad}.* 3 entries") as caught:
        import_one(pa.record_batch([array], names=["city"]))
    assert caught.value.column == "city"


DAY_MS = 86_400_000


@pytest.mark.parametrize("start", [0, 1])
def test_date64_becomes_date32(start: int) -> None:
    millis = pa.array([None, 0, -DAY_MS, None, 19_000 * DAY_MS], pa.int64())
    dates = millis.view(pa.date64()).slice(start)
    lists = pa.ListArray.from_arrays(pa.array([0, len(dates)], pa.int32()), dates)
    batch = import_one(pa.record_batch([dates], names=["day"]))
    assert [str(dtype) for _, dtype, _ in batch.schema.fields] == ["date32"]
    assert batch.column(0).to_pylist() == dates.cast(pa.date32()).to_pylist()
    encoded = pa.record_batch([dates.dictionary_encode(), dates], names=["c", "d"])
    assert import_one(encoded).column(0).to_pylist() == dates.cast(pa.date32()).to_pylist()
    assert import_one(pa.record_batch([lists], names=["l"])).column(0).to_pylist() == [
        dates.cast(pa.date32()).to_pylist()
    ]


@pytest.mark.parametrize("wrong", [1, DAY_MS - 1, -1, 2**31 * DAY_MS, 2**63 - 1])
def test_date64_that_is_no_day_is_refused_with_its_row(wrong: int) -> None:
    dates = pa.array([0, wrong], pa.int64()).view(pa.date64())
    with pytest.raises(SchemaError, match=f"column 'day' is a date64, but row 1 is {wrong} ms"):
        import_one(pa.record_batch([dates], names=["day"]))


UNSUPPORTED = {
    "float16": pa.array([1.0], pa.float16()),
    "time": pa.array([1], pa.time64("us")),
    "list_view": pa.array([[1]], pa.list_view(pa.int64())),
    "struct": pa.array([{"a": 1}]),
    "map": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
    "fixed_size_binary": pa.array([b"ab"], pa.binary(2)),
    "decimal of other than 128 bits": pa.array([1], pa.decimal256(5, 0)),
    "interval": pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
    "run_end_encoded": pa.RunEndEncodedArray.from_arrays([1], ["a"]),
    "null": pa.nulls(1),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported_type_is_refused_naming_column_and_type(name: str) -> None:
    batch = pa.record_batch([pa.array([1]), UNSUPPORTED[name]], names=["fine", "wrong"])
    with pytest.raises(NotSupportedError, match=f"column 'wrong' has Arrow type {name}") as caught:
        import_one(batch)
    assert caught.value.column == "wrong"


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        (pa.array([[[1]]]), "is a list of lists"),
        (pa.array([[[1]]], pa.list_(pa.list_(pa.int64(), 1))), "is a list of lists"),
        (pa.array([[]]), "is a list of Arrow's type null"),
        (pa.array([[{"a": 1}]]), "has Arrow type struct"),
        (
            pa.DictionaryArray.from_arrays([0], pa.array([[1]])),
            "is a dictionary whose values are lists",
        ),
    ],
    ids=str,
)
def test_lists_of_what_lists_cannot_hold_are_refused(wrong: pa.Array, what: str) -> None:
    with pytest.raises(NotSupportedError, match=f"column 'wrong' {what}") as caught:
        import_one(pa.record_batch([wrong], names=["wrong"]))
    assert caught.value.column == "wrong"


def test_lists_are_not_copied_either_way() -> None:
    array = pa.array([[1, 2], [3]] * 50)
    exported = pa.record_batch(import_one(pa.record_batch([array], names=["c"]))).column(0)
    assert exported.buffers()[1].address == array.buffers()[1].address
    assert exported.values.buffers()[1].address == array.values.buffers()[1].address


def test_lists_of_nulls_alone_take_the_type_of_the_target_schema() -> None:
    schema = _core.Schema([("a", _core.DataType("list<string>"), True)])
    batch = import_one(pa.record_batch([pa.array([[None], [], None])], names=["a"]), schema)
    assert batch.column(0).to_pylist() == [[None], [], None]


def test_null_type_takes_the_type_of_the_target_schema() -> None:
    schema = _core.Schema(
        [("a", _core.DataType("int64"), True), ("b", _core.DataType("dictionary<string>"), True)]
    )
    batch = import_one(pa.record_batch([pa.nulls(3), pa.nulls(3)], names=["b", "a"]), schema)
    assert batch.schema == schema
    assert [batch.column(i).to_pylist() for i in (0, 1)] == [[None] * 3] * 2


def test_null_type_is_refused_for_a_column_that_is_not_nullable() -> None:
    schema = _core.Schema([("a", _core.DataType("int64"), False)])
    with pytest.raises(SchemaError, match="'a' is not nullable, row 0 is null"):
        import_one(pa.record_batch([pa.nulls(3)], names=["a"]), schema)


def test_rows_that_are_null_as_a_whole_are_refused() -> None:
    rows = pa.StructArray.from_arrays(
        [pa.array([1, 2, 3])], names=["a"], mask=pa.array([False, True, False])
    )
    with pytest.raises(SchemaError, match="row 1 is null as a whole"):
        import_one(rows)


def test_struct_array_counts_as_a_batch() -> None:
    rows = pa.StructArray.from_arrays([pa.array([1, 2, 3])], names=["a"]).slice(1)
    assert import_one(rows).column(0).to_pylist() == [2, 3]


@pytest.mark.parametrize("source", [pa.array([1, 2]), _core.DataType("int64"), [1, 2], None])
def test_what_is_no_table_is_refused(source: object) -> None:
    with pytest.raises(SchemaError, match="expected"):
        _core.RecordBatch.from_arrow(source)


def test_stream_gives_all_batches() -> None:
    table = pa.concat_tables([pa.table({"a": [1, 2]}), pa.table({"a": [3]}), pa.table({"a": [4]})])
    got = _core.RecordBatch.from_arrow(table)
    assert [batch.column(0).to_pylist() for batch in got] == [[1, 2], [3], [4]]


def test_error_of_a_stream_is_reported_with_its_message() -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"a": [1]})
        raise ValueError("the disk ate it")

    reader = pa.RecordBatchReader.from_batches(pa.schema([("a", pa.int64())]), broken())
    with pytest.raises(SchemaError, match="the disk ate it"):
        _core.RecordBatch.from_arrow(reader)


def test_stream_without_batches_is_still_checked_against_the_schema() -> None:
    schema = _core.Schema([("a", _core.DataType("int64"), True)])
    assert _core.RecordBatch.from_arrow(pa.schema([("a", pa.int32())]).empty_table(), schema) == []
    with pytest.raises(SchemaError, match="'b' does not exist"):
        _core.RecordBatch.from_arrow(pa.schema([("b", pa.int64())]).empty_table(), schema)


def test_exported_stream_is_read_by_others() -> None:
    parts = [import_one(pa.record_batch({"a": [1, 2]})), import_one(pa.record_batch({"a": [3]}))]
    stream = _core.export_stream(parts[0].schema, parts)

    class Source:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return stream

    assert pa.table(Source()).to_pydict() == {"a": [1, 2, 3]}


FRAME = {"n": [1, 2, None], "x": [0.5, None, 2.5], "s": ["a", "bc", None], "b": [True, None, False]}


@pytest.mark.parametrize(
    "library",
    [
        pa.table,
        pa.record_batch,
        pl.DataFrame,
        lambda frame: pd.DataFrame(frame).convert_dtypes(),
        lambda frame: duckdb.from_arrow(pa.table(frame)),
    ],
    ids=["pyarrow table", "pyarrow batch", "polars", "pandas", "duckdb"],
)
def test_frames_of_other_libraries_come_in(library: Callable[[object], object]) -> None:
    batch = import_one(library(FRAME))
    got = {name: batch.column(i).to_pylist() for i, name in enumerate(batch.schema.names)}
    assert got == FRAME


def test_schema_is_exchanged() -> None:
    arrow = pa.schema(
        [pa.field(f"c{i}", arrow_type, i % 2 == 0) for i, arrow_type in enumerate(SUPPORTED_TYPES)]
    )
    ours = _core.Schema.from_arrow(arrow)
    assert pa.schema(ours) == arrow
    assert _core.Schema.deserialize(ours.serialize()) == ours


def test_single_columns_are_exchanged() -> None:
    column = import_one(pa.record_batch({"a": ["x", None]})).column(0)
    assert pa.array(column).to_pylist() == ["x", None]


class TestLeaks:
    def arrow_bytes(self) -> int:
        gc.collect()
        return int(pa.total_allocated_bytes())

    @pytest.mark.parametrize("arrow_type", ALL_TYPES, ids=str)
    def test_foreign_memory_is_released_with_the_last_view(self, arrow_type: pa.DataType) -> None:
        before = self.arrow_bytes()
        batch = import_one(pa.record_batch([make_array(arrow_type, [None] * 1000)], names=["c"]))
        exported = pa.record_batch(batch)
        del batch
        assert exported.column(0).null_count == 1000
        del exported
        assert self.arrow_bytes() == before

    def test_numpy_view_outlives_everything_else(self) -> None:
        before = self.arrow_bytes()
        view = import_one(pa.record_batch({"a": np.arange(10_000)})).column_numpy(0)
        assert self.arrow_bytes() >= before
        assert int(view.sum()) == 49_995_000
        del view
        assert self.arrow_bytes() == before

    def test_exported_column_outlives_its_batch(self) -> None:
        exported = pa.record_batch(import_one(pa.record_batch({"a": ["x"] * 99, "b": [1] * 99})))
        column = exported.column(0)
        del exported
        gc.collect()
        assert column.to_pylist() == ["x"] * 99

    def test_capsules_nobody_consumed_release_their_content(self) -> None:
        before = self.arrow_bytes()
        batch = import_one(pa.record_batch({"a": np.arange(10_000), "b": ["x"] * 10_000}))
        capsules: list[Any] = [
            batch.__arrow_c_array__(),
            batch.__arrow_c_stream__(),
            batch.__arrow_c_schema__(),
            batch._capsule(),
        ]
        del batch
        capsules.clear()
        assert self.arrow_bytes() == before

    def test_refused_import_releases_the_array(self) -> None:
        before = self.arrow_bytes()
        batch = pa.record_batch([pa.array(np.arange(1000)), pa.array([[[1]]] * 1000)], names="ab")
        with pytest.raises(NotSupportedError):
            import_one(batch)
        del batch
        assert self.arrow_bytes() == before
