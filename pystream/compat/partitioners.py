"""The partitions that Kafka's clients choose for keys."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable

__all__ = ["PARTITIONERS", "consistent", "fnv1a", "murmur2", "murmur2_hash"]

_WORD = 0xFFFFFFFF
_SIGN = 0x7FFFFFFF


def murmur2_hash(key: bytes) -> int:
    """Return Kafka's 32-bit MurmurHash2 of a key; what `docs/formats/partitioning.md` specifies."""
    multiplier = 0x5BD1E995
    size = len(key)
    state = (0x9747B28C ^ size) & _WORD
    whole = size & ~3
    for at in range(0, whole, 4):
        word = int.from_bytes(key[at : at + 4], "little") * multiplier & _WORD
        word ^= word >> 24
        state = (state * multiplier & _WORD) ^ (word * multiplier & _WORD)
    if size > whole:
        state ^= int.from_bytes(key[whole:], "little")
        state = state * multiplier & _WORD
    state ^= state >> 13
    state = state * multiplier & _WORD
    return state ^ (state >> 15)


def murmur2(key: bytes, partition_count: int) -> int:
    """Return the partition of a key as Java's clients, kafka-python and this log choose it.

    Examples
    --------
    >>> murmur2(b"user_12345", 10)
    3
    """
    return (murmur2_hash(_checked(key, partition_count)) & _SIGN) % partition_count


def consistent(key: bytes, partition_count: int) -> int:
    """Return the partition of a key by CRC-32, as librdkafka chooses it by default."""
    return zlib.crc32(_checked(key, partition_count)) % partition_count


def fnv1a(key: bytes, partition_count: int) -> int:
    """Return the partition of a key by FNV-1a, as Sarama chooses it."""
    state = 0x811C9DC5
    for byte in _checked(key, partition_count):
        state = (state ^ byte) * 0x01000193 & _WORD
    signed = state - (1 << 32) if state > _SIGN else state
    return abs(signed) % partition_count


def _checked(key: bytes, partition_count: int) -> bytes:
    if not isinstance(key, bytes):
        raise TypeError(f"a bytes-like object is required, not '{type(key).__name__}'")
    if not isinstance(partition_count, int):
        raise TypeError(f"'{type(partition_count).__name__}' is not an integer")
    if partition_count <= 0:
        raise ValueError("partition_count must be > 0")
    return key


def _random(_key: bytes | None, partition_count: int) -> int:
    return random.randrange(partition_count)


def _spread(
    choose: Callable[[bytes, int], int], *, is_empty_a_key: bool
) -> Callable[[bytes | None, int], int | None]:
    """Leave records without a key to the log, which fills one partition's batch after another."""

    def spread(key: bytes | None, partition_count: int) -> int | None:
        if key is None or not (key or is_empty_a_key):
            return None
        return choose(key, partition_count)

    return spread


def _always(choose: Callable[[bytes, int], int]) -> Callable[[bytes | None, int], int | None]:
    def always(key: bytes | None, partition_count: int) -> int | None:
        return choose(key or b"", partition_count)

    return always


PARTITIONERS: dict[str, Callable[[bytes | None, int], int | None] | None] = {
    "random": _random,
    "consistent": _always(consistent),
    "consistent_random": _spread(consistent, is_empty_a_key=False),
    "murmur2": _always(murmur2),
    "murmur2_random": None,
    "fnv1a": _always(fnv1a),
    "fnv1a_random": _spread(fnv1a, is_empty_a_key=True),
}
"""librdkafka's names. None: what the log does by itself."""
