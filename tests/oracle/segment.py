"""Reads stored batches as docs/formats/segment.md says, one value at a time.

Written from that page alone, with `struct`: it shares nothing with the reader that it judges.
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass, field

HEADER = struct.Struct("<II BBH IQ qII qq qiiIHH qqQqIIq")
COLUMN = struct.Struct("<HBBIIIIIQQQ")
BUFFER = struct.Struct("<QQQIBBBB")

TIMESTAMP_COLUMN = 0xFFFF
HEADERS_COLUMN = 0xFFFE
SEQUENCE_COLUMN = 0xFFFB

PLAIN, DICTIONARY, CONSTANT, ALL_NULL = range(4)
VALIDITY, OFFSETS, VALUES, CODES = range(4)

BOOL, DECIMAL, STRING, BINARY = 1, 12, 16, 17
VALUE_FORMATS = {
    2: "<b", 3: "<h", 4: "<i", 5: "<q", 6: "<B", 7: "<H", 8: "<I", 9: "<Q", 10: "<f", 11: "<d",
    13: "<q", 14: "<i", 15: "<q",
}  # fmt: skip

Value = int | float | bool | str | bytes | None


def crc32c(data: bytes, before: int = 0) -> int:
    """CRC32C of `data` behind something whose CRC32C is `before`.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    state = ~before & 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = (state >> 1) ^ (0x82F63B78 if state & 1 else 0)
    return ~state & 0xFFFFFFFF


def decompress_lz4(block: bytes) -> bytes:
    """One LZ4 block: tokens of literals and matches."""
    out = bytearray()
    at = 0

    def length(nibble: int) -> int:
        nonlocal at
        total = nibble
        while nibble == 15:
            total += block[at]
            at += 1
            if block[at - 1] != 255:
                break
        return total

    while at < len(block):
        token = block[at]
        at += 1
        literals = length(token >> 4)
        out += block[at : at + literals]
        at += literals
        if at == len(block):
            break
        distance = int.from_bytes(block[at : at + 2], "little")
        at += 2
        for _ in range(length(token & 15) + 4):
            out.append(out[-distance])
    return bytes(out)


@dataclass
class Column:
    """A column entry and its rows."""

    id: int
    type: int
    encoding: int
    null_count: int
    minimum: int | float | None
    maximum: int | float | None
    rows: list[Value]


@dataclass
class Batch:
    """A stored batch: header fields by name, columns by id."""

    header: dict[str, int]
    columns: dict[int, Column] = field(default_factory=dict)


HEADER_NAMES = (
    "magic header_crc version reserved0 flags header_length total_length base_offset record_count "
    "last_offset_delta min_timestamp max_timestamp producer_id producer_epoch sequence_lag "
    "schema_id column_count buffer_count append_time transaction_id append_sequence "
    "durable_offset incarnation previous_header_crc base_sequence"
)


def read_batch(data: bytes, salt: int, position: int) -> Batch:
    """The batch at the start of `data`; raises ValueError on any checksum that is wrong."""
    header = dict(zip(HEADER_NAMES.split(), HEADER.unpack_from(data), strict=True))
    if header["magic"] != int.from_bytes(b"PSBH", "little"):
        raise ValueError("no batch")
    seed = crc32c((salt ^ position).to_bytes(8, "little"))
    if crc32c(data[8 : header["header_length"]], seed) != header["header_crc"]:
        raise ValueError("header checksum")
    batch = Batch(header)
    buffers_at = HEADER.size + COLUMN.size * header["column_count"]
    for i in range(header["column_count"]):
        entry = COLUMN.unpack_from(data, HEADER.size + COLUMN.size * i)
        first, count = entry[6], entry[7]
        buffers = [
            _read_buffer(data, buffers_at + BUFFER.size * b) for b in range(first, first + count)
        ]
        column = _read_column(entry, buffers, header["record_count"])
        batch.columns[column.id] = column
    return batch


def _read_buffer(data: bytes, at: int) -> tuple[int, bytes]:
    offset, stored_length, raw_length, crc, codec, kind, _, _ = BUFFER.unpack_from(data, at)
    stored = data[offset : offset + stored_length]
    if crc32c(stored) != crc:
        raise ValueError("buffer checksum")
    raw = decompress_lz4(stored) if codec else stored
    if len(raw) != raw_length:
        raise ValueError("raw length")
    return kind, raw


def _read_column(entry: tuple[int, ...], buffers: list[tuple[int, bytes]], rows: int) -> Column:
    id_, type_, encoding, flags, null_count, dictionary_length, _, _, low, high, _ = entry
    minimum = _statistic(type_, low) if flags & 1 else None
    maximum = _statistic(type_, high) if flags & 1 else None
    column = Column(id_, type_, encoding, null_count, minimum, maximum, [])
    if encoding == CONSTANT:
        column.rows = [minimum] * rows
    elif encoding == ALL_NULL:
        column.rows = [None] * rows
    else:
        valid = [True] * rows
        if buffers[0][0] == VALIDITY:
            valid = [bool(_bit(buffers[0][1], i)) for i in range(rows)]
            buffers = buffers[1:]
        if encoding == DICTIONARY:
            codes = struct.unpack(f"<{rows}i", buffers[0][1])
            entries = _plain(type_, buffers[1:], dictionary_length)
            values = [entries[code] for code in codes]
        else:
            values = _plain(type_, buffers, rows)
        column.rows = [v if ok else None for v, ok in zip(values, valid, strict=True)]
    return column


def _bit(bits: bytes, i: int) -> int:
    return bits[i // 8] >> (i % 8) & 1


def _statistic(type_: int, bits: int) -> int | float:
    raw = bits.to_bytes(8, "little")
    if VALUE_FORMATS[type_] in ("<f", "<d"):
        return float(struct.unpack("<d", raw)[0])
    return int.from_bytes(raw, "little", signed=VALUE_FORMATS[type_][1].islower())


def _plain(type_: int, buffers: list[tuple[int, bytes]], count: int) -> list[Value]:
    if type_ in (STRING, BINARY):
        offsets = struct.unpack(f"<{count + 1}i", buffers[0][1])
        parts = [buffers[1][1][a:b] for a, b in itertools.pairwise(offsets)]
        return [part.decode() if type_ == STRING else part for part in parts]
    raw = buffers[0][1]
    if type_ == BOOL:
        return [bool(_bit(raw, i)) for i in range(count)]
    if type_ == DECIMAL:
        return [
            int.from_bytes(raw[i : i + 16], "little", signed=True) for i in range(0, len(raw), 16)
        ]
    return [value for (value,) in struct.iter_unpack(VALUE_FORMATS[type_], raw)]
