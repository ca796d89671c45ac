"""Which partition a key belongs to, slowly and obviously: docs/formats/partitioning.md."""

from __future__ import annotations

import math
import re
import struct
from decimal import Decimal

SEED = 0x9747B28C
MULTIPLIER = 0x5BD1E995
MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Return MurmurHash2 of 32 bits with Kafka's seed."""
    hashed = SEED ^ len(data)
    whole = len(data) // 4 * 4
    for begin in range(0, whole, 4):
        word = int.from_bytes(data[begin : begin + 4], "little") * MULTIPLIER & MASK
        word = (word ^ (word >> 24)) * MULTIPLIER & MASK
        hashed = (hashed * MULTIPLIER & MASK) ^ word
    if whole < len(data):
        hashed = (hashed ^ int.from_bytes(data[whole:], "little")) * MULTIPLIER & MASK
    hashed = (hashed ^ (hashed >> 13)) * MULTIPLIER & MASK
    return hashed ^ (hashed >> 15)


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key's bytes."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


WIDTHS = {"int8": 1, "int16": 2, "int32": 4, "int64": 8}
WIDTHS |= {f"u{name}": width for name, width in WIDTHS.items()}


def key_bytes(value: object, type_name: str) -> bytes:
    """Return the bytes of a key that is not null; times are their ticks."""
    kind = re.split(r"[\[(]", type_name, maxsplit=1)[0]
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value
    if kind == "bool":
        return bytes([bool(value)])
    if kind in ("float32", "float64"):
        assert isinstance(value, float)
        number = math.nan if math.isnan(value) else value + 0.0
        return struct.pack(">f" if kind == "float32" else ">d", number)
    if kind == "decimal128":
        assert isinstance(value, Decimal)
        scale = int(type_name.split(",")[1].rstrip(")"))
        return int(value.scaleb(scale)).to_bytes(16, "big", signed=True)
    assert isinstance(value, int)
    width = {"date32": 4}.get(kind) or WIDTHS.get(kind, 8)
    return value.to_bytes(width, "big", signed=not kind.startswith("u"))


def composite_key_bytes(parts: list[bytes | None]) -> bytes:
    """Return the bytes of a key of several columns."""
    return b"".join(
        struct.pack(">i", -1) if part is None else struct.pack(">i", len(part)) + part
        for part in parts
    )
