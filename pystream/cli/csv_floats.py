"""Floats that Arrow read from CSV: where a number was written that no float is near enough to.

Decimals such as 0.1 are rounded to the nearest float, as everywhere. A whole number that a float
cannot hold, or a number beyond all floats, is another one when it is read, and to be refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np

from pystream.log._optional import require

__all__ = ["find_misread"]

_EXACT_BELOW = {"float32": 2.0**24, "float64": 2.0**53}  # every smaller whole number is a float
_WHOLE = re.compile(r"\s*[+-]?\d+\s*")


def find_misread(
    table: Any, kinds: dict[str, str], types: dict[str, Any], read: Callable[[dict[str, Any]], Any]
) -> tuple[int, str] | None:
    """Return the row, from 0, of a float that was read as another number, and what is wrong.

    Parameters
    ----------
    table : pyarrow.Table
    kinds : dict of str to str
        The types of the topic's columns.
    types : dict of str to pyarrow.DataType
        With which the table was read.
    read : callable
        Reads it again, with other types: only when a float is so large that it may be another.
    """
    doubtful = {}
    for name in table.column_names:
        if (limit := _EXACT_BELOW.get(kinds.get(name, ""))) is not None:
            rows = np.flatnonzero(np.abs(table.column(name).to_numpy()) >= limit)
            if len(rows):
                doubtful[name] = rows
    if not doubtful:
        return None
    string = require("pyarrow", extra="arrow").string()
    texts = read({**types, **dict.fromkeys(doubtful, string)})
    found = []
    for name, rows in doubtful.items():
        floats, given = table.column(name).take(rows), texts.column(name).take(rows)
        # Of a float32 consume writes a whole number that may be near it alone.
        as_written = floats.cast(string)
        for row, value, text, written in zip(
            rows.tolist(), *(part.to_pylist() for part in (floats, given, as_written)), strict=True
        ):
            if text != written and (what := _difference(value, text)):
                found.append((row, f"column {name!r}: expected {kinds[name]}, got {text} ({what})"))
                break
    return min(found, default=None)


def _difference(value: float, text: str) -> str:
    """Say how a float differs from the number that was written; nothing when it does not."""
    if math.isinf(value):
        return "out of range" if any(map(str.isdigit, text)) else ""
    is_rounded = _WHOLE.fullmatch(text) and Decimal(text) != Decimal(value)
    return f"not exact as a float: write {text.strip()}.0 to round it" if is_rounded else ""
