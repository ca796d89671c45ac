"""RecordBatch and Array as users see them; batches made in memory."""

from __future__ import annotations

import sys
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from pystream.errors import NotSupportedError, SchemaError
from pystream.log import _optional
from pystream.log.record_batch import RecordBatch

USERS = np.array(["ann", "bob", None, "eve"], object)
AMOUNTS = np.array([9.5, 1.25, 3.0, 4.0])
TIMES = np.array([0, 1, 2, 3], "datetime64[ms]")


@pytest.fixture
def batch() -> RecordBatch:
    return RecordBatch.from_numpy({"user": USERS, "amount": AMOUNTS, "ts": TIMES})


def address(array: np.ndarray[Any, Any]) -> int:
    return int(array.__array_interface__["data"][0])


def test_columns_by_name(batch: RecordBatch) -> None:
    assert batch["amount"].to_numpy().sum() == 17.75
    assert batch["user"].to_pylist() == ["ann", "bob", None, "eve"]
    assert (len(batch), batch.num_rows, batch.num_columns) == (4, 4, 3)
    assert batch.column_names == list(batch) == ["user", "amount", "ts"]
    assert batch.schema == {"user": "string", "amount": "float64", "ts": "timestamp[ms]"}
    assert "user" in batch
    assert "nobody" not in batch
    assert 7 not in batch
    assert [name for name, _ in batch.items()] == batch.column_names
    assert dict(batch)["amount"].type == "float64"


def test_unknown_column_is_named_and_the_others_listed(batch: RecordBatch) -> None:
    with pytest.raises(SchemaError, match=r"'amounts' does not exist.*user, amount, ts") as caught:
        batch["amounts"]
    assert caught.value.column == "amounts"
    with pytest.raises(SchemaError, match="'x' does not exist"):
        batch.select(["user", "x"])


def test_repr_shows_place_types_and_first_values(batch: RecordBatch) -> None:
    assert repr(batch) == (
        "<RecordBatch, 4 records>\n"
        "  user    string         ann, bob, null, eve\n"
        "  amount  float64        9.5, 1.25, 3.0, 4.0\n"
        "  ts      timestamp[ms]  1970-01-01 00:00:00, 1970-01-01 00:00:00.001000, "
        "1970-01-01 00:00:00.002000, 1970-01-01 00:00:00.003000"
    )
    long = RecordBatch.from_numpy({"s": np.array(["x" * 100] * 9)})
    assert repr(long["s"]) == f"<Array string, 9 rows: {', '.join(['x' * 25 + '…'] * 4)}, …>"
    empty = RecordBatch.from_numpy({"s": np.array([], object)})
    assert repr(empty) == "<RecordBatch, 0 records>\n  s  string"


class TestArray:
    def test_numbers_are_views_and_read_only(self, batch: RecordBatch) -> None:
        values = batch["amount"].to_numpy(zero_copy_only=True)
        assert address(values) == address(AMOUNTS)
        assert not values.flags.writeable

    def test_numpy_protocol(self, batch: RecordBatch) -> None:
        array = batch["amount"]
        assert address(np.asarray(array)) == address(AMOUNTS)
        assert address(np.array(array)) != address(AMOUNTS)
        assert np.array(array).flags.writeable
        assert np.asarray(array, np.float32).dtype == np.float32
        assert np.mean(array) == AMOUNTS.mean()
        with pytest.raises(ValueError, match="needs a copy"):
            np.asarray(array, np.float32, copy=False)
        with pytest.raises(SchemaError, match="without a copy"):
            np.asarray(batch["user"], copy=False)

    def test_items_and_slices(self, batch: RecordBatch) -> None:
        array = batch["user"]
        assert (array[0], array[-1], array[2]) == ("ann", "eve", None)
        assert array[1:3].to_pylist() == ["bob", None]
        assert array[3:1].to_pylist() == []
        assert array[-2:].to_pylist() == list(array)[-2:]
        with pytest.raises(IndexError):
            array[4]
        with pytest.raises(IndexError, match="step 1"):
            array[::2]

    def test_nulls(self, batch: RecordBatch) -> None:
        array = batch["user"]
        assert array.null_count == 1
        assert array.null_mask().tolist() == [False, False, True, False]
        assert array.to_numpy(null_value="").tolist() == ["ann", "bob", "", "eve"]

    def test_codes_and_dictionary(self) -> None:
        batch = RecordBatch.from_arrow(pa.table({"c": pa.array(["a", "b", "a"])}))
        entries = batch["c"].dictionary().to_numpy()
        assert entries[batch["c"].codes()].tolist() == ["a", "b", "a"]

    def test_to_arrow(self, batch: RecordBatch) -> None:
        assert batch["ts"].to_arrow().type == pa.timestamp("ms")
        assert batch["user"].to_arrow().to_pylist() == batch["user"].to_pylist()

    def test_equals(self, batch: RecordBatch) -> None:
        assert batch["user"].equals(batch["user"])
        assert not batch["user"].equals(batch["user"][1:])


class TestParts:
    def test_select(self, batch: RecordBatch) -> None:
        part = batch.select(["ts", "user"])
        assert part.column_names == ["ts", "user"]
        assert part.num_rows == 4

    def test_slice_shares_memory(self, batch: RecordBatch) -> None:
        part = batch.slice(1, 2)
        assert part.to_pydict()["user"] == ["bob", None]
        assert address(part["amount"].to_numpy()) == address(AMOUNTS) + 8
        assert part.slice(1, 1)["amount"].to_pylist() == [3.0]
        for begin, length in [(-1, 1), (0, 5), (5, 0), (1, -1)]:
            with pytest.raises(IndexError):
                batch.slice(begin, length)

    def test_equals(self, batch: RecordBatch) -> None:
        assert batch.equals(RecordBatch.from_arrow(batch.to_arrow()))
        assert not batch.equals(batch.slice(0, 3))
        assert not batch.equals(batch.select(["user"]))

    def test_a_batch_in_memory_has_no_place(self, batch: RecordBatch) -> None:
        assert (batch.topic, batch.partition) == (None, None)
        for read in (lambda: batch.offsets, lambda: batch.base_offset, lambda: batch.timestamps):
            with pytest.raises(NotSupportedError, match="made in memory"):
                read()


class TestExchange:
    def test_arrow_shares_memory_and_is_immutable(self, batch: RecordBatch) -> None:
        arrow = batch.to_arrow()
        arrow.validate(full=True)
        column = arrow.column("amount")
        assert column.buffers()[1].address == address(AMOUNTS)
        assert not column.buffers()[1].is_mutable
        assert pa.table(batch).to_pydict() == batch.to_pydict()
        assert pa.schema(batch) == arrow.schema

    def test_polars_shares_numbers(self, batch: RecordBatch) -> None:
        frame = batch.to_polars()
        assert address(frame["amount"].to_numpy()) == address(AMOUNTS)
        assert frame.to_dict(as_series=False) == pl.DataFrame(batch).to_dict(as_series=False)
        assert frame["user"].to_list() == ["ann", "bob", None, "eve"]

    def test_pandas(self, batch: RecordBatch) -> None:
        frame = batch.to_pandas()
        assert isinstance(frame, pd.DataFrame)
        assert frame["amount"].tolist() == AMOUNTS.tolist()
        assert frame["user"].isna().tolist() == [False, False, True, False]
        assert frame["ts"].dtype == "datetime64[ms]"

    def test_duckdb_queries_the_object_itself(self, batch: RecordBatch) -> None:
        assert batch is not None
        with duckdb.connect() as connection:
            found = connection.execute("SELECT sum(amount) FROM batch WHERE user IS NOT NULL")
            assert found.fetchall() == [(14.75,)]

    def test_round_trips(self, batch: RecordBatch) -> None:
        for other in (batch.to_arrow(), pa.table(batch), batch.to_polars().rechunk()):
            again = RecordBatch.from_arrow(other)
            assert again.to_pydict() == batch.to_pydict()

    def test_from_arrow_joins_chunks_and_wants_at_least_one(self) -> None:
        table = pa.concat_tables([pa.table({"a": [1, 2]}), pa.table({"a": [3]})])
        assert RecordBatch.from_arrow(table)["a"].to_pylist() == [1, 2, 3]
        with pytest.raises(SchemaError, match="no batch"):
            RecordBatch.from_arrow(pa.schema([("a", pa.int64())]).empty_table())

    def test_pylists(self, batch: RecordBatch) -> None:
        rows = batch.select(["user", "amount"]).to_pylist()
        assert rows[:2] == [{"user": "ann", "amount": 9.5}, {"user": "bob", "amount": 1.25}]

    def test_from_numpy_guesses_types_or_takes_them(self) -> None:
        arrays = {
            "a": np.arange(2, dtype=np.int32),
            "b": np.array([b"x", b"y"]),
            "d": np.array([0, 1], "datetime64[D]"),
            "t": np.array([0, 1], "timedelta64[ns]"),
            "h": np.array([0, 1], "datetime64[h]"),
        }
        assert RecordBatch.from_numpy(arrays).schema == {
            "a": "int32",
            "b": "binary",
            "d": "date32",
            "t": "duration[ns]",
            "h": "timestamp[s]",
        }
        assert RecordBatch.from_numpy({"a": [1, 2]}, {"a": "int8"}).schema == {"a": "int8"}

    @pytest.mark.parametrize(
        ("method", "module", "extra"),
        [
            ("to_arrow", "pyarrow", "arrow"),
            ("to_pandas", "pandas", "pandas"),
            ("to_polars", "polars", "polars"),
        ],
    )
    def test_missing_library_names_the_extra(
        self,
        batch: RecordBatch,
        monkeypatch: pytest.MonkeyPatch,
        method: str,
        module: str,
        extra: str,
    ) -> None:
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(ImportError, match=rf"{module} is not.*pystream\[{extra}\]") as caught:
            getattr(batch, method)()
        assert caught.value.name == module
        assert _optional.require("json", extra="none").loads("1") == 1
