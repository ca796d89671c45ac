"""The key group of a key, from the rule in ``docs/formats/state.md``, with Python's integers."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

Value = int | float | bool | str | bytes | None
MASK = 2**64 - 1
NULL = 0x6E756C6C


def key_group(key: Sequence[Value], max_parallelism: int = 128) -> int:
    """Return the group of a key, which is a tuple of the values of its columns.

    >>> [key_group((number,)) for number in (0, 1, -1, 42)]
    [111, 30, 55, 4]
    """
    group = 0
    for value in key:
        group = mix(group ^ value_hash(value))
    return group % max_parallelism


def value_hash(value: Value) -> int:
    """Return what a value puts into the hash of its key.

    >>> value_hash(-0.0) == value_hash(0.0), value_hash(True) == value_hash(1)
    (True, True)
    """
    match value:
        case None:
            return NULL
        case str():
            return mix(murmur_hash_2(value.encode()))
        case bytes():
            return mix(murmur_hash_2(value))
        case float():
            plain = math.nan if math.isnan(value) else value + 0.0  # one NaN, one zero
            return mix(int.from_bytes(struct.pack("<d", plain), "little"))
        case _:
            return mix(int(value) & MASK)


def mix(word: int) -> int:
    """Return one step of splitmix64: what the generator gives first when it is seeded so.

    >>> hex(mix(0))
    '0xe220a8397b1dcdaf'
    """
    word = (word + 0x9E3779B97F4A7C15) & MASK
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & MASK
    word = (word ^ word >> 27) * 0x94D049BB133111EB & MASK
    return word ^ word >> 31


def murmur_hash_2(data: bytes) -> int:
    """Return the 64-bit MurmurHash2 with seed 0."""
    multiplier = 0xC6A4A7935BD1E995
    value = len(data) * multiplier & MASK
    whole = len(data) // 8 * 8
    for at in range(0, whole, 8):
        word = int.from_bytes(data[at : at + 8], "little") * multiplier & MASK
        word = (word ^ word >> 47) * multiplier & MASK
        value = (value ^ word) * multiplier & MASK
    if whole < len(data):
        value = (value ^ int.from_bytes(data[whole:], "little")) * multiplier & MASK
    value = (value ^ value >> 47) * multiplier & MASK
    return value ^ value >> 47


def groups_of(instance: int, parallelism: int, max_parallelism: int) -> list[int]:
    """Return the groups of an instance: those that Flink's ``operatorIndexForKeyGroup`` gives it.

    >>> groups_of(1, 3, 7)
    [3, 4]
    """
    return [
        group
        for group in range(max_parallelism)
        if group * parallelism // max_parallelism == instance
    ]
