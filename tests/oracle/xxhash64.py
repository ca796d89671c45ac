"""XXH64 with seed 0, word for word from its specification, with Python's integers."""

from __future__ import annotations

MASK = 2**64 - 1
P1, P2 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F
P3, P4, P5 = 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5


def rotated(value: int, bits: int) -> int:
    value &= MASK
    return (value << bits | value >> (64 - bits)) & MASK


def mixed(lane: int, word: int) -> int:
    return rotated(lane + word * P2, 31) * P1 & MASK


def xxhash64(data: bytes) -> int:
    at = 0
    if len(data) >= 32:
        lanes = [P1 + P2, P2, 0, -P1]
        while len(data) - at >= 32:
            words = [int.from_bytes(data[at + i * 8 : at + i * 8 + 8], "little") for i in range(4)]
            lanes = [mixed(lane, word) for lane, word in zip(lanes, words, strict=True)]
            at += 32
        result = sum(rotated(lane, b) for lane, b in zip(lanes, (1, 7, 12, 18), strict=True))
        for lane in lanes:
            result = ((result ^ mixed(0, lane)) * P1 + P4) & MASK
    else:
        result = P5
    result += len(data)
    while len(data) - at >= 8:
        word = int.from_bytes(data[at : at + 8], "little")
        result = rotated(result ^ mixed(0, word), 27) * P1 + P4
        at += 8
    if len(data) - at >= 4:
        word = int.from_bytes(data[at : at + 4], "little")
        result = rotated(result ^ word * P1 & MASK, 23) * P2 + P3
        at += 4
    for byte in data[at:]:
        result = rotated(result ^ byte * P5 & MASK, 11) * P1
    result &= MASK
    result = (result ^ result >> 33) * P2 & MASK
    result = (result ^ result >> 29) * P3 & MASK
    return result ^ result >> 32
