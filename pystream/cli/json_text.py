"""Columns as JSON texts, a whole column at a time.

Numbers are numbers, but NaN and the infinities the strings "NaN", "Infinity" and "-Infinity"; times
are ISO 8601 in UTC, with a Z where the column has a time zone; durations count the column's unit;
decimals are strings. Bytes are a string where they are UTF-8, else ``{"base64": "..."}``.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterable
from json.encoder import encode_basestring
from typing import Any

import numpy as np

from pystream._native import Array

__all__ = ["bytes_value", "column_texts", "headers_text", "time_texts"]

_NULL = "null"


def column_texts(column: Array) -> list[str]:
    """Return a JSON text per row."""
    if column.is_encoded:
        entries = column_texts(column.dictionary())
        texts = [entries[code] for code in column.codes().tolist()] if entries else []
        texts = texts or [_NULL] * len(column)
        if column.null_count:
            for row in np.flatnonzero(column.null_mask()).tolist():
                texts[row] = _NULL
        return texts
    kind = column.type.kind
    if kind in ("timestamp", "date32"):
        return [_NULL if text is None else f'"{text}"' for text in time_texts(column)]
    if kind == "duration":
        ticks = column.to_numpy(null_value=np.timedelta64("NaT")).astype(np.int64).tolist()
        return _with_nulls(column, ticks, str)
    if kind == "float32":
        return _with_nulls(column, column.to_numpy(null_value=0), _float32_text)
    return _with_nulls(column, column.to_pylist(), _TEXTS.get(kind, str))


def time_texts(column: Array, *, separator: str = "T") -> list[str | None]:
    """Return ISO 8601 per row, with that between date and time; None for null.

    Years have as many digits as they need.
    """
    values = column.to_numpy()
    unit = np.datetime_data(values.dtype)[0]
    zone = "Z" if column.type.timezone is not None else ""
    texts: list[str] = np.datetime_as_string(values, unit=unit).tolist()  # type: ignore[call-overload]
    return [None if text == "NaT" else text.replace("T", separator) + zone for text in texts]


def headers_text(headers: list[tuple[str, bytes | None]]) -> str | None:
    """Return headers as a list of pairs; None when there are none."""
    if not headers:
        return None
    pairs = [[name, None if value is None else bytes_value(value)] for name, value in headers]
    return json.dumps(pairs, ensure_ascii=False)


def bytes_value(value: bytes) -> str | dict[str, str]:
    """Return bytes as what JSON has: text, or an object for what is none."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _with_nulls(column: Array, values: Iterable[Any], text: Callable[[Any], str]) -> list[str]:
    if not column.null_count:
        return list(map(text, values))
    nulls = column.null_mask().tolist()
    return [_NULL if is_null else text(value) for value, is_null in zip(values, nulls, strict=True)]


def _float_text(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return '"NaN"' if math.isnan(value) else '"Infinity"' if value > 0 else '"-Infinity"'


def _float32_text(value: np.float32) -> str:
    return str(value) if np.isfinite(value) else _float_text(float(value))


def _bytes_text(value: bytes) -> str:
    return json.dumps(bytes_value(value), ensure_ascii=False)


_TEXTS: dict[str, Callable[[Any], str]] = {
    "bool": lambda value: "true" if value else "false",
    "float64": _float_text,
    "string": encode_basestring,
    "binary": _bytes_text,
    "decimal128": lambda value: f'"{value}"',
}
