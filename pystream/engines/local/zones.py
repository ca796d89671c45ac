"""Time zones as tables of offsets, for the core, which reads no files of the machine.

They are those of :mod:`zoneinfo`: the machine's, or else those of the package ``tzdata``.
"""

from __future__ import annotations

import struct
import zoneinfo
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Final

from pystream.errors import ConfigError

__all__ = ["zone_table"]

_ALWAYS: Final = -(2**63)
_NEVER: Final = 2**63 - 1
_WEEK: Final = 7 * 86_400
_COUNTS: Final = struct.Struct(">20x6l")


@lru_cache(maxsize=64)
def zone_table(name: str) -> bytes:
    """Return the offsets of a zone as ``Zone::parse`` of the core reads them.

    Parameters
    ----------
    name : str
        Of the IANA database, for example ``"Europe/Berlin"``.

    Returns
    -------
    bytes
        Where a rule goes on for ever, 401 years of it are written out: the Gregorian calendar
        repeats every 400 years, weekdays included.

    Raises
    ------
    ConfigError
        If there is no such zone, or its file counts leap seconds.

    Examples
    --------
    >>> len(zone_table("UTC"))
    24
    """
    try:
        zone = zoneinfo.ZoneInfo(name)
        data = _file_of(name)
    except (KeyError, ValueError, OSError):
        raise ConfigError(
            f'{name!r} is not a time zone. Use a name of the IANA database: "Europe/Berlin".'
        ) from None
    entries, has_rule = _transitions(data, name)
    cycle_begin = _NEVER
    if has_rule:
        last = entries[-1][0] if len(entries) > 1 else 0
        year = max(datetime.fromtimestamp(last, UTC).year + 1, 2000)
        cycle_begin = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
        end = int(datetime(year + 401, 1, 1, tzinfo=UTC).timestamp())
        entries += _by_rule(zone, last, end)
    return struct.pack(
        f"<q{2 * len(entries)}q", cycle_begin, *(x for pair in entries for x in pair)
    )


def _file_of(name: str) -> bytes:
    parts = name.split("/")
    for root in zoneinfo.TZPATH:
        path = Path(root, *parts)
        if path.is_file():
            return path.read_bytes()
    return resources.files("tzdata").joinpath("zoneinfo", *parts).read_bytes()


def _transitions(data: bytes, name: str) -> tuple[list[tuple[int, int]], bool]:
    """Read a file as RFC 8536 describes it: seconds and offsets, and whether a rule follows."""

    def size(counts: tuple[int, ...], width: int) -> int:
        is_ut, is_std, leaps, times, types, characters = counts
        return times * (width + 1) + types * 6 + characters + leaps * (width + 4) + is_std + is_ut

    first = _COUNTS.unpack_from(data)
    second_at = _COUNTS.size + size(first, 4)
    if data[:4] != b"TZif" or data[4:5] < b"2" or data[second_at : second_at + 4] != b"TZif":
        raise ConfigError(
            f"the time zone {name!r} is of an old format. Install the package tzdata."
        )
    counts = _COUNTS.unpack_from(data, second_at)
    _, _, leaps, times, types, _ = counts
    if leaps:
        raise ConfigError(f'the time zone {name!r} counts leap seconds. Use it without "right/".')
    at = second_at + _COUNTS.size
    seconds = struct.unpack_from(f">{times}q", data, at)
    kinds = data[at + 8 * times : at + 9 * times]
    offsets = [struct.unpack_from(">l??", data, at + 9 * times + 6 * i)[:2] for i in range(types)]
    before = next((offset for offset, is_dst in offsets if not is_dst), offsets[0][0])
    entries = [(_ALWAYS, before)]
    for second, kind in zip(seconds, kinds, strict=True):
        if offsets[kind][0] != entries[-1][1]:
            entries.append((second, offsets[kind][0]))
    rule = data[at + size(counts, 8) :].strip(b"\n")
    return entries, b"," in rule


def _by_rule(zone: zoneinfo.ZoneInfo, begin: int, end: int) -> list[tuple[int, int]]:
    """Return the transitions after `begin`; a rule never has two in one week."""

    def offset(seconds: int) -> int:
        there = datetime.fromtimestamp(seconds, UTC).astimezone(zone)
        return (there.utcoffset() or timedelta()) // timedelta(seconds=1)

    found = []
    low, before = begin, offset(begin)
    while low < end:
        high = low + _WEEK
        after = offset(high)
        if after != before:
            first, last = low, high
            while last - first > 1:
                middle = (first + last) // 2
                first, last = (middle, last) if offset(middle) == before else (first, middle)
            found.append((last, after))
        low, before = high, after
    return found
