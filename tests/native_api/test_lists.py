"""Columns of lists from and to numpy and Python objects."""

from __future__ import annotations

import datetime
import gc
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import pystream as ps
from pystream._native import _core
from pystream.errors import SchemaError


def objects(rows: list[Any]) -> np.ndarray[Any, Any]:
    array = np.empty(len(rows), object)
    for i, row in enumerate(rows):  # numpy would make equally long rows a second dimension
        array[i] = row
    return array


def column(text: str, rows: Any, mask: Any = None) -> _core.Array:
    schema = _core.Schema([("c", _core.DataType(text), True)])
    values = rows if isinstance(rows, np.ndarray) else objects(rows)
    masks = None if mask is None else {"c": np.asarray(mask)}
    return _core.RecordBatch.from_numpy(schema, {"c": values}, masks).column(0)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("list<int64>", [[1, None], None, [], [2**63 - 1]]),
        ("list<uint8>", [[0, 255], [None], None]),
        ("list<float64>", [[1.5, None], [2.0]]),
        ("list<bool>", [[True, None, False], []]),
        ("list<string>", [["a", None], None, [], ["\u00e9"]]),
        ("list<binary>", [[b"\xff", None], []]),
        ("list<decimal128(10, 2)>", [[Decimal("1.25"), None]]),
        ("list<timestamp[us]>", [[datetime.datetime(1969, 1, 1), None], []]),
        ("list<date32>", [[datetime.date(2020, 2, 29), None], None]),
        ("list<duration[s]>", [[datetime.timedelta(seconds=3)], [None]]),
        ("list<int64>", [[None], None]),
        ("list<int64>", []),
    ],
)
def test_lists_of_python_values_come_back_as_they_went_in(text: str, rows: list[Any]) -> None:
    lists = column(text, rows)
    assert str(lists.type) == text
    assert lists.to_pylist() == rows
    assert [lists[i] for i in range(len(rows))] == rows
    assert lists.null_count == rows.count(None)


def test_numpy_sees_an_array_per_list_and_all_of_one_dtype() -> None:
    whole, none, empty = column("list<int64>", [np.array([1, 2]), None, []]).to_numpy()
    assert (whole.tolist(), none, empty.tolist()) == ([1, 2], None, [])
    assert whole.dtype == empty.dtype == np.int64
    first, second = column("list<int64>", [[1], [2, None]]).to_numpy()
    assert first.dtype == second.dtype == np.float64  # for the sake of the null
    assert np.array_equal(second, [2, np.nan], equal_nan=True)


def test_elements_that_are_masked_are_null() -> None:
    times = np.array(["2020-01-01", "2020-01-02"], "datetime64[us]")
    rows = [np.ma.masked_array([1, 2, 3], [False, True, False]), np.ma.masked_array([4]), [5]]
    assert column("list<int64>", rows).to_pylist() == [[1, None, 3], [4], [5]]
    lists = column("list<timestamp[us]>", [np.ma.masked_array(times, [True, False]), times[:1]])
    assert lists.to_pylist() == [[None, times[1].item()], [times[0].item()]]
    texts = np.ma.masked_array(["a", "b"], [True, False], object)
    assert column("list<string>", [texts, ["c"]]).to_pylist() == [[None, "b"], ["c"]]


def test_integers_of_64_bits_do_not_become_floats() -> None:
    """numpy has no integer for both signs, so that it would make floats of them together."""
    largest = 2**64 - 1
    assert column("list<uint64>", [[largest, None], [1]]).to_pylist() == [[largest, None], [1]]
    near = 2**62 + 1
    rows = [np.array([near]), np.array([7], "uint64")]
    assert column("list<int64>", rows).to_pylist() == [[near], [7]]
    with pytest.raises(SchemaError, match="cannot hold"):
        column("list<int64>", [np.array([largest], "uint64")])
    with pytest.raises(SchemaError, match="list<uint64>"):
        column("list<uint64>", [[largest], [-1]])


def test_views_of_elements_outlive_the_column() -> None:
    lists = column("list<int64>", [np.arange(5), np.arange(3)])
    second = lists.to_numpy()[1]
    del lists
    gc.collect()
    assert second.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="read-only"):
        second[0] = 1


def test_rows_of_two_dimensions_are_lists_of_one_length() -> None:
    lists = column("list<int32>", np.arange(6).reshape(3, 2), mask=[False, True, False])
    assert lists.to_pylist() == [[0, 1], None, [4, 5]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1], "abc"], "'c' expects list<int64>, got str in row 1"),
        ([[1], 5], "'c' expects list<int64>, got int in row 1"),
        ([[[1]]], "2 dimensions of list in row 0"),
        ([[[1], [2, 3]]], "list of lists of different lengths in row 0"),
        ([[1], [True]], "values of bool beside values of int64 in row 1"),
        ([["a"]], "expects int64, got a numpy array of <U1"),
        ([[1.5]], "'c' expects list<int64>, got list<float64>"),
        ([[None, [1]]], "list of lists of different lengths in row 0"),
    ],
    ids=str,
)
def test_what_is_no_list_is_refused_with_its_row(rows: list[Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message.replace("[", r"\[")) as caught:
        column("list<int64>", rows)
    assert caught.value.column == "c"


def test_element_that_does_not_fit_is_refused_with_its_row() -> None:
    with pytest.raises(SchemaError, match="with 300 in row 2, which list<int8> cannot hold"):
        column("list<int8>", [[1], None, [2, 300]])


def test_public_batches_show_lists() -> None:
    table = pa.table({"n": [1, 2, 3], "tags": [["a", None], None, []]})
    batch = ps.RecordBatch.from_arrow(table)
    assert batch.schema == {"n": "int64", "tags": "list<string>"}
    assert batch.to_pylist() == table.to_pylist()
    assert "['a', None], null, []" in repr(batch)
    assert batch["tags"][1:3].to_pylist() == [None, []]
    assert batch.to_arrow().to_pylist() == table.to_pylist()
    assert batch.to_polars()["tags"].to_list() == [["a", None], None, []]
    assert batch.equals(ps.RecordBatch.from_arrow(pa.concat_tables([table[:1], table[1:]])))


def test_type_of_a_list_knows_its_elements() -> None:
    kind = _core.DataType("list<timestamp[ms, UTC]>")
    assert (kind.kind, str(kind.element)) == ("list", "timestamp[ms, UTC]")
    assert kind == _core.DataType("list<item: timestamp[ms, tz=UTC]>")
    assert hash(kind) == hash(_core.DataType(str(kind)))
    assert _core.DataType("int64").element is None
    schema = _core.Schema.from_arrow(pa.schema({"l": pa.list_(pa.timestamp("ms", "UTC"))}))
    assert schema.fields[0][1] == kind
