"""RecordBatch over stored batches: what is read, where it lies, how long it lives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from pystream import _native
from pystream.log.record_batch import RecordBatch

SCHEMA = _native.Schema(
    [
        ("user", _native.DataType("string"), True),
        ("amount", _native.DataType("float64"), True),
        ("ts", _native.DataType("timestamp[ms]"), True),
    ]
)
COUNT = 1000
USERS = [f"user-{i % 7}" for i in range(COUNT)]
AMOUNTS = np.arange(COUNT) / 4
TIMES = np.arange(COUNT).astype("datetime64[ms]")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[_native.Log]:
    opened = _native.Log.open(str(tmp_path))
    yield opened
    opened.close()


@pytest.fixture
def stored(log: _native.Log) -> _native.LogBatch:
    """The second batch of a partition, offsets 1000 to 1999."""
    partition = log.open_partition(
        topic="payments", topic_id=b"0123456789abcdef", partition=3, schema=SCHEMA, schema_id=1
    )
    batch = _native.RecordBatch.from_numpy(
        SCHEMA, {"user": np.array(USERS), "amount": AMOUNTS, "ts": TIMES}
    )
    record_times = _native.RecordBatch.from_numpy(
        _native.Schema([("t", _native.DataType("int64"), True)]), {"t": np.arange(COUNT) * 1000}
    ).column(0)
    partition.append(batch, timestamps=0)
    partition.append(batch, timestamps=record_times)
    found = partition.reader(COUNT).next()
    assert found is not None
    return found


@pytest.fixture
def batch(stored: _native.LogBatch) -> RecordBatch:
    return RecordBatch.from_stored(stored)


def address(array: np.ndarray[Any, Any]) -> int:
    return int(array.__array_interface__["data"][0])


def mapped_ranges(path: str) -> list[range]:
    ranges = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        if path in line:
            begin, end = line.split()[0].split("-")
            ranges.append(range(int(begin, 16), int(end, 16)))
    return ranges


def is_mapped(pointer: int, path: str) -> bool:
    return any(pointer in mapped for mapped in mapped_ranges(path))


def test_a_batch_says_where_it_comes_from(batch: RecordBatch) -> None:
    assert (batch.topic, batch.partition) == ("payments", 3)
    assert (batch.base_offset, batch.next_offset, batch.num_rows) == (1000, 2000, 1000)
    assert batch.offsets.dtype == np.int64
    assert batch.offsets.tolist() == list(range(1000, 2000))
    assert batch.timestamps.dtype == "datetime64[us]"
    assert np.array_equal(batch.timestamps, TIMES)
    assert not batch.timestamps.flags.writeable
    first_lines = repr(batch).splitlines()[:2]
    assert first_lines == [
        "<RecordBatch payments-3, 1000 records, offsets 1000 to 1999>",
        "  user    string         user-0, user-1, user-2, user-3, …",
    ]


def test_parts_keep_their_place(stored: _native.LogBatch, batch: RecordBatch) -> None:
    parts = [
        RecordBatch.from_stored(stored, begin=10, end=15),
        batch.slice(10, 5),
        batch.slice(4, 20).slice(6, 5).select(["amount", "user"]),
    ]
    assert batch["user"][0] == "user-0"  # slices of read and of unread columns agree
    parts.append(batch.slice(10, 5))
    for part in parts:
        assert part.offsets.tolist() == [1010, 1011, 1012, 1013, 1014]
        assert np.array_equal(part.timestamps, TIMES[10:15])
        assert part["amount"].to_pylist() == AMOUNTS[10:15].tolist()
        assert part["user"].to_pylist() == USERS[10:15]


def test_numbers_and_times_are_views_of_the_segment(
    stored: _native.LogBatch, batch: RecordBatch
) -> None:
    for values in (
        batch["amount"].to_numpy(zero_copy_only=True),
        batch["ts"].to_numpy(zero_copy_only=True),
        batch.slice(10, 5)["amount"].to_numpy(zero_copy_only=True),
        batch.timestamps,
    ):
        assert is_mapped(address(values), stored.path)
        assert not values.flags.writeable
    assert np.array_equal(batch["amount"].to_numpy(), AMOUNTS)


def test_arrow_and_polars_see_the_segment_too(stored: _native.LogBatch, batch: RecordBatch) -> None:
    view = address(batch["amount"].to_numpy())
    arrow = batch.to_arrow()
    arrow.validate(full=True)
    assert arrow.column("amount").buffers()[1].address == view
    assert pa.table(batch).column("amount").chunk(0).buffers()[1].address == view
    assert address(batch.to_polars()["amount"].to_numpy()) == view
    assert is_mapped(view, stored.path)


def test_every_library_gets_the_same_rows(batch: RecordBatch) -> None:
    total = float(AMOUNTS.sum())
    assert batch.to_pandas()["amount"].sum() == total
    assert batch.to_polars()["user"].to_list() == USERS
    assert pl.DataFrame(batch).equals(batch.to_polars())
    assert batch.to_arrow()["user"].to_pylist() == USERS
    with duckdb.connect() as connection:
        query = "SELECT user, sum(amount) FROM batch GROUP BY user ORDER BY user"
        sums = dict(connection.execute(query).fetchall())
    assert sums == {f"user-{i}": float(AMOUNTS[i::7].sum()) for i in range(7)}


def test_encoded_columns_show_codes_of_the_segment(
    stored: _native.LogBatch, batch: RecordBatch
) -> None:
    codes = batch["user"].codes()
    assert is_mapped(address(codes), stored.path)
    entries = batch["user"].dictionary().to_numpy()
    assert sorted(entries) == [f"user-{i}" for i in range(7)]
    assert entries[codes].tolist() == USERS


def test_columns_are_read_on_first_touch(stored: _native.LogBatch) -> None:
    """A batch whose `user` column is damaged still gives the others."""
    path = Path(stored.path)
    data = bytearray(path.read_bytes())
    at = data.index(b"user-0user-1", stored.file_position)
    data[at] ^= 1
    with path.open("r+b") as file:
        file.write(data)
    batch = RecordBatch.from_stored(stored)
    assert np.array_equal(batch["amount"].to_numpy(), AMOUNTS)
    assert batch.select(["ts"]).to_arrow().num_rows == COUNT
    with pytest.raises(Exception, match="payments"):
        batch["user"]


class TestLifetime:
    def test_everything_outlives_the_log_and_the_file(self, tmp_path: Path) -> None:
        log = _native.Log.open(str(tmp_path))
        partition = log.open_partition(
            topic="t", topic_id=b"0123456789abcdef", partition=0, schema=SCHEMA, schema_id=1
        )
        columns = {"user": np.array(USERS), "amount": AMOUNTS, "ts": TIMES}
        partition.append(_native.RecordBatch.from_numpy(SCHEMA, columns), timestamps=0)
        stored = partition.reader(0).next()
        assert stored is not None
        path = stored.path
        batch = RecordBatch.from_stored(stored)
        view = batch["amount"].to_numpy()
        del stored, partition
        log.close()
        del log
        Path(path).unlink()

        # What was not touched before can be read still.
        assert batch["user"].to_pylist() == USERS
        arrow, frame = batch.to_arrow(), batch.to_polars()
        del batch
        assert np.array_equal(view, AMOUNTS)
        assert arrow["amount"].to_pylist() == frame["amount"].to_list() == AMOUNTS.tolist()
        for name in ("view", "arrow", "frame"):
            assert mapped_ranges(path), f"unmapped before {name} was gone"
            if name == "view":
                del view
            elif name == "arrow":
                del arrow
            else:
                del frame
        assert not mapped_ranges(path)
