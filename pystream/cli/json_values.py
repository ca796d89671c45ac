"""JSON as values of columns: what `json_text` writes, read again, exactly or not at all."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from pystream._native import DataType, Schema
from pystream.config import parse_duration_ns
from pystream.errors import ConfigError

__all__ = ["FLOAT32_END", "converters_of", "read_headers", "ticks_of"]

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_FLOATS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_FLOAT32_BITS = 24
FLOAT32_END = 2**128 - 2**103  # from where on rounding leads beyond the largest
_EPOCH = datetime(1970, 1, 1)

Converter = Callable[[Any], Any]


def converters_of(schema: Schema) -> dict[str, Converter]:
    """Return, for the columns whose values JSON writes as something else, how to read them.

    A converter raises ValueError, whose message says what was expected. What is neither null nor
    its business it leaves as it is, to be refused by the producer where it does not fit.
    """
    makers: dict[str, Callable[[DataType], Converter]] = {
        "timestamp": lambda kind: lambda value: _timestamp(value, kind),
        "date32": lambda kind: _date,
        "duration": lambda kind: lambda value: _duration(value, kind),
        "decimal128": lambda kind: _decimal,
        "binary": lambda kind: _binary,
        "float32": lambda kind: _float32,
        "float64": lambda kind: _float,
    }
    return {name: makers[kind.kind](kind) for name, kind, _ in schema.fields if kind.kind in makers}


def ticks_of(text: str, unit: str, *, has_zone: bool) -> int:
    """Return a time in ISO 8601 as a whole number of units since 1970.

    Raises
    ------
    ValueError
        If it is none, is finer than the unit, or has a zone where there should be none, or none
        where one should be.

    Examples
    --------
    >>> ticks_of("1970-01-01T00:00:01.5", "ms", has_zone=False)
    1500
    >>> ticks_of("1970-01-01T01:00:00.000000001+01:00", "ns", has_zone=True)
    1
    """
    try:
        written = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time; write 2024-01-31T12:00:00") from None
    if (written.tzinfo is not None) != has_zone:
        raise ValueError(f"{text!r} has {'no' if has_zone else 'a'} time zone")
    if written.tzinfo is not None:
        written = written.astimezone(UTC).replace(tzinfo=None)
    since = written.replace(microsecond=0) - _EPOCH
    fraction = re.search(r"[.,](\d+)", text)
    digits = fraction[1] if fraction else ""
    per_second = _PER_SECOND[unit]
    part, rest = divmod(int(digits or 0) * per_second, 10 ** len(digits))
    if rest:
        raise ValueError(f"{text!r} is finer than {unit}, so it would be cut")
    ticks: int = (since.days * 86_400 + since.seconds) * per_second + part
    return ticks


def read_headers(value: Any) -> list[tuple[str, bytes | str | None]]:
    """Return headers that are written as a list of pairs; ValueError when they are not."""
    if value is None:
        return []
    is_pairs = isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in value
    )
    if not is_pairs:
        raise ValueError('_headers are no list of pairs; write [["name", "value"]]')
    return [(name, _binary(content)) for name, content in value]


def _timestamp(value: Any, kind: DataType) -> Any:
    if not isinstance(value, str):
        return value
    return ticks_of(value, str(kind.unit), has_zone=kind.timezone is not None)


def _date(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError(f"{value!r} is no date; write 2024-01-31") from None


def _duration(value: Any, kind: DataType) -> Any:
    if not isinstance(value, str):
        return value
    try:
        ticks, rest = divmod(parse_duration_ns(value) * _PER_SECOND[str(kind.unit)], 10**9)
    except ConfigError:
        raise ValueError(f"{value!r} is no duration; write 200ms") from None
    if rest:
        raise ValueError(f"{value!r} is finer than {kind.unit}, so it would be cut")
    return ticks


def _decimal(value: Any) -> Any:
    if not isinstance(value, str | int) or isinstance(value, bool):
        return value
    try:
        return Decimal(value)
    except InvalidOperation:
        raise ValueError(f"{value!r} is no decimal") from None


def _float(value: Any) -> Any:
    if isinstance(value, str):
        return _FLOATS.get(value, value)
    if isinstance(value, Decimal) and not value.is_finite():
        return float(value)
    read = float(value) if isinstance(value, Decimal) else value
    if isinstance(read, float) and math.isinf(read):
        raise ValueError('expected a float, got one that is out of range; infinity is "Infinity"')
    return read


def _float32(value: Any) -> Any:
    value = _float(value)
    # The producer refuses it as well, but does not know how JSON writes what may be rounded.
    if type(value) is int and 0 < abs(value) < FLOAT32_END:
        lowest_bit = value & -value
        if abs(value) // lowest_bit >= 2**_FLOAT32_BITS:
            raise ValueError(
                f"expected float32, got {value} (not exact as a float: write {value}.0 to round it)"
            )
    return value


def _binary(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if list(value) != ["base64"] or not isinstance(value["base64"], str):
        raise ValueError('expected text or {"base64": "..."}')
    try:
        return base64.b64decode(value["base64"], validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"{value['base64']!r} is no base64") from None
