"""Values of the expression oracle with their types, and what its rules say of numbers and units."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

NANOS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
UNITS = list(NANOS)  # coarse to fine
DAY = 86_400 * 10**9


class Failure(Exception):
    """What raises OperatorError when the pipeline runs."""


@dataclass(frozen=True)
class Value:
    type: str
    value: Any
    is_literal: bool = False


def in_range(number: int, kind: str) -> int:
    if kind == "date32":
        kind = "int32"
    elif is_time(kind):
        kind = "int64"
    bits = int(kind.strip("uint"))
    low, high = (0, 2**bits) if kind.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    if not low <= number < high:
        raise Failure(f"{number} does not fit {kind}")
    return number


def rounded(number: float, kind: str) -> float:
    return ctypes.c_float(number).value if kind == "float32" else number


def is_time(kind: str) -> bool:
    return kind == "date32" or kind.startswith(("timestamp", "duration"))


def unit_of(kind: str) -> str:
    return "s" if kind == "date32" else kind[kind.index("[") + 1 :].rstrip("]").split(",")[0]


def tick(kind: str) -> int:
    """Nanoseconds of one tick."""
    return DAY if kind == "date32" else NANOS[unit_of(kind)]


def iso_nanos(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        moment = moment.replace(tzinfo=None) - moment.utcoffset()  # type: ignore[operator]
    return (moment - datetime(1970, 1, 1)) // timedelta(microseconds=1) * 1000


def duration_nanos(text: str) -> int | None:
    sizes = {"d": DAY, "h": DAY // 24, "m": 60 * 10**9, **NANOS}
    unit = text.lstrip("-0123456789")
    return int(text.removesuffix(unit)) * sizes[unit] if unit in sizes else None


def civil(days: int) -> tuple[int, date]:
    """Return the year, and the day in a year that Python's dates reach.

    The Gregorian calendar repeats every 400 years, weekdays included.
    """
    cycles, rest = divmod(days, 146_097)
    day = date(1970, 1, 1) + timedelta(days=rest)
    return day.year + 400 * cycles, day
