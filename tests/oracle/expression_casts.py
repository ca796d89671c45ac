"""Casts of one value, the slow and obvious way."""

from __future__ import annotations

import math
from typing import Any

from tests.oracle.expression_numbers import decimal_cast
from tests.oracle.expression_values import (
    Failure,
    Value,
    civil,
    in_range,
    is_time,
    iso_nanos,
    rounded,
    tick,
)


def cast(value: Value, target: str) -> Value:
    content = value.value
    if content is None or value.type == target:
        return Value(target, content)
    if is_time(value.type) and is_time(target):
        return Value(target, in_range(content * tick(value.type) // tick(target), target))
    if target.startswith("decimal128"):
        return Value(target, decimal_cast(value, target))
    if isinstance(content, str | bytes):
        return Value(target, parsed(content, target))
    if target == "bool":
        return Value(target, bool(content))
    if target == "string":
        return Value(target, as_text(value))
    if target.startswith("float"):
        return Value(target, rounded(float(content), target))
    if isinstance(content, float) and not math.isfinite(content):
        raise Failure(f"{content} is no integer")
    return Value(target, in_range(int(content), target))


def parsed(content: str | bytes, target: str) -> Any:
    """Return what a whole text says; texts in tests have no more digits than Python takes."""
    try:
        if target in ("string", "binary"):
            raw = content if isinstance(content, bytes) else content.encode()
            return raw if target == "binary" else raw.decode()
        assert isinstance(content, str)
        if target == "bool":
            return {"true": True, "false": False}[content]
        if is_time(target):
            return in_range(iso_nanos(content) // tick(target), target)
        if content != content.strip() or content.startswith("+"):
            raise ValueError(content)
        if target.startswith("float"):
            return rounded(float(content), target)
        return in_range(int(content), target)
    except (ValueError, KeyError):
        raise Failure(f"{content!r} is not a {target}") from None


def try_cast(value: Value, target: str) -> Value:
    try:
        return cast(value, target)
    except Failure:
        return Value(target, None)


def as_text(value: Value) -> str:
    if value.type == "bool":
        return "true" if value.value else "false"
    if value.type == "date32":
        year, day = civil(value.value)
        return f"{year:04}-{day:%m-%d}"
    return str(value.value)
