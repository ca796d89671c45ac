"""The golden batches, read by a program that was written from docs/formats/segment.md alone."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.oracle import segment

GOLDEN = Path(__file__).parents[1] / "golden"
SALT = 0x123456789ABCDEF0
POSITION = 8192


def read(name: str) -> segment.Batch:
    return segment.read_batch((GOLDEN / f"batch-{name}.bin").read_bytes(), SALT, POSITION)


def rows(batch: segment.Batch) -> list[list[segment.Value]]:
    return [column.rows for id_, column in sorted(batch.columns.items()) if id_ < 0xFF00]


def test_the_example_of_the_page() -> None:
    batch = read("example")
    assert rows(batch) == [[1, 2]]
    assert batch.columns[segment.TIMESTAMP_COLUMN].rows == [1_600_000_000_000_000] * 2
    assert batch.header["base_offset"] == 1000
    assert batch.header["append_sequence"] == 77
    assert batch.header["durable_offset"] == 900


def test_every_type() -> None:
    batch = read("every-type")
    nan = batch.columns[10].rows[0]
    assert isinstance(nan, float)
    assert math.isnan(nan)
    batch.columns[10].rows[0] = None
    assert rows(batch) == [
        [True, False, True],
        [-128, None, 127],
        [-1, 0, 1],
        [1, None, 3],
        [-(2**63), 0, 2**63 - 1],
        [0, 1, 255],
        [0, 1, 65535],
        [0, 1, 2**32 - 1],
        [0, 1, 2**64 - 1],
        [-1.5, None, 0.25],
        [None, -0.0, 2.5],
        [-1, 0, 12345],
        [-1, 0, 1],
        [-719162, 0, 20000],
        [5, 6, None],
        ["grün", None, ""],
        [b"\0\xff", b"x", b"yz"],
    ]


def test_statistics_leave_out_nulls_and_nan() -> None:
    columns = read("every-type").columns
    assert (columns[1].minimum, columns[1].maximum) == (-128, 127)
    assert (columns[8].minimum, columns[8].maximum) == (0, 2**64 - 1)
    assert (columns[9].minimum, columns[9].maximum) == (-1.5, 0.25)
    assert (columns[10].minimum, columns[10].maximum) == (-0.0, 2.5)
    assert (columns[14].minimum, columns[14].maximum) == (5, 6)
    for without in (0, 11, 15, 16):
        assert columns[without].minimum is None


def test_dictionaries() -> None:
    batch = read("dictionaries")
    assert [batch.columns[i].encoding for i in range(3)] == [segment.DICTIONARY] * 3
    assert rows(batch) == [
        ["ann", "ann", "bob", "ann", None, "bob", "ann", "ann"],
        [9, 9, -4, 9, -4, 9, 9, 9],
        ["b", None, "a", "b", "b", "b", "b", "b"],
    ]
    assert (batch.columns[1].minimum, batch.columns[1].maximum) == (-4, 9)


def test_columns_without_buffers() -> None:
    batch = read("constants-and-nulls")
    assert batch.header["buffer_count"] == 0
    assert rows(batch) == [[-7] * 3, [None] * 3, [None] * 3]


def test_kafka_shaped_records() -> None:
    batch = read("kafka-shaped")
    assert rows(batch) == [[b"k1", None, b"k3"], [b"v1", b"value two", None]]
    assert batch.columns[segment.HEADERS_COLUMN].rows == [b"\2\2a\2x", None, b""]
    assert batch.columns[segment.TIMESTAMP_COLUMN].rows == [300, 100, 200]
    names = ("min_timestamp", "max_timestamp", "producer_id", "producer_epoch", "base_sequence")
    assert [batch.header[name] for name in names] == [100, 300, 12, 3, 400]
    assert batch.header["transaction_id"] == 55
    assert segment.SEQUENCE_COLUMN not in batch.columns
    assert batch.header["schema_id"] == 9
    assert batch.header["flags"] == 1 | 32


def test_sequences_with_a_gap() -> None:
    batch = read("sequences")
    assert rows(batch) == [[7, 8, 9]]
    assert batch.columns[segment.SEQUENCE_COLUMN].rows == [1000, 1001, 1005]
    names = ("producer_id", "producer_epoch", "sequence_lag", "base_sequence", "flags")
    assert [batch.header[name] for name in names] == [1 << 61, 40_000, -2, 1000, 64]


def test_append_time() -> None:
    batch = read("append-time")
    assert batch.header["flags"] == 8
    assert batch.columns[segment.TIMESTAMP_COLUMN].rows == [batch.header["append_time"]] * 3


def test_lz4() -> None:
    batch = read("lz4")
    assert rows(batch) == [[i // 40 for i in range(200)], [f"word number {i}" for i in range(200)]]


@pytest.mark.parametrize("byte", [9, 100, 200, 256])
def test_a_changed_byte_is_found(byte: int) -> None:
    data = bytearray((GOLDEN / "batch-example.bin").read_bytes())
    data[byte] ^= 4
    with pytest.raises(ValueError, match="checksum"):
        segment.read_batch(bytes(data), SALT, POSITION)


def test_a_batch_elsewhere_is_refused() -> None:
    data = (GOLDEN / "batch-example.bin").read_bytes()
    with pytest.raises(ValueError, match="header checksum"):
        segment.read_batch(data, SALT, POSITION + 64)
