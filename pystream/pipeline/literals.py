"""Python values as literals of the plan."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import NoneType
from typing import Any, Final

import numpy as np

from pystream.errors import ConfigError
from pystream.plan.expressions import LiteralNode

__all__ = ["literal_node"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DECIMAL_DIGITS = 38


def literal_node(value: object) -> LiteralNode:
    """Return a Python value or numpy scalar as a literal.

    Raises
    ------
    TypeError
        If no column could hold such a value.
    ConfigError
        If it is of a fitting type, but too large.
    """
    if isinstance(value, np.generic) and not isinstance(value, np.datetime64 | np.timedelta64):
        value = value.item()
    for types, convert in _CONVERTERS:
        if isinstance(value, types):
            return convert(value)
    raise TypeError(
        f"{value!r} of type {type(value).__name__} cannot be a literal. Pass a bool, number, str, "
        "bytes, Decimal, datetime, date, timedelta or numpy scalar."
    )


def _integer(value: int) -> LiteralNode:
    if -(2**63) <= value < 2**63:
        return LiteralNode(value)
    if value < 2**64 and value > 0:
        return LiteralNode(value, "uint64")
    raise ConfigError(f"the integer {value} fits no column. Pass a float for an approximate one.")


def _decimal(value: Decimal) -> LiteralNode:
    if not value.is_finite():
        raise ConfigError(f"the decimal {value} fits no column. Pass a finite one.")
    digits = format(value, "f")
    whole, _, fraction = digits.lstrip("-").partition(".")
    precision = max(len(whole.lstrip("0")) + len(fraction), 1)
    if precision > _DECIMAL_DIGITS:
        raise ConfigError(f"the decimal {value} has more than {_DECIMAL_DIGITS} digits. Round it.")
    return LiteralNode(digits, f"decimal128({precision}, {len(fraction)})")


def _timestamp(value: datetime) -> LiteralNode:
    aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    zone = "" if value.tzinfo is None else ", UTC"
    return LiteralNode((aware - _EPOCH) // _MICROSECOND, f"timestamp[us{zone}]")


def _numpy_time(value: np.datetime64 | np.timedelta64) -> LiteralNode:
    if np.isnat(value):
        return LiteralNode(None)
    unit = np.datetime_data(value.dtype)[0]
    is_instant = isinstance(value, np.datetime64)
    if is_instant and unit in ("Y", "M", "W", "D"):
        return LiteralNode(int(value.astype("datetime64[D]").astype(np.int64)), "date32")
    if unit in ("W", "D", "h", "m"):
        value = value.astype("datetime64[s]" if is_instant else "timedelta64[s]")
        unit = "s"
    if unit not in ("s", "ms", "us", "ns") or np.datetime_data(value.dtype)[1] != 1:
        raise ConfigError(f"{value!r} has no unit of a column. Use s, ms, us or ns.")
    kind = "timestamp" if is_instant else "duration"
    return LiteralNode(int(value.astype(np.int64)), f"{kind}[{unit}]")


# The first that fits counts: bool before int, datetime before date.
_CONVERTERS: Final[list[tuple[Any, Callable[[Any], LiteralNode]]]] = [
    ((bool, float, str, NoneType), LiteralNode),
    (int, _integer),
    (bytes, lambda value: LiteralNode(value, "binary")),
    (Decimal, _decimal),
    (datetime, _timestamp),
    (date, lambda value: LiteralNode((value - date(1970, 1, 1)).days, "date32")),
    (timedelta, lambda value: LiteralNode(value // _MICROSECOND, "duration[us]")),
    ((np.datetime64, np.timedelta64), _numpy_time),
]
