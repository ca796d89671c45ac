"""Functions of numbers, decimals as fractions, and hashes, one value at a time."""

from __future__ import annotations

import math
import re
import struct
from fractions import Fraction
from typing import Any

import numpy as np

from tests.oracle.expression_values import Failure, Value, is_time, rounded, tick
from tests.oracle.xxhash64 import xxhash64

MATH = ("round", "floor", "ceil", "sqrt", "ln", "log10", "exp", "sign")
DIGITS = {"8": 3, "16": 5, "32": 10}


def math_function(function: str, value: Value, digits: int) -> Value:
    whole = "int" in value.type
    if whole and function in ("round", "floor", "ceil"):
        return value
    if whole and function == "sign":
        content = value.value
        return Value("int64", None if content is None else (content > 0) - (content < 0))
    kind = value.type if value.type.startswith("float") else "float64"
    if value.value is None:
        return Value(kind, None)
    return Value(kind, rounded(float_function(function, float(value.value), digits), kind))


def float_function(function: str, x: float, digits: int) -> float:
    if math.isnan(x) or (math.isinf(x) and function in ("round", "floor", "ceil")):
        return x
    if function == "sign":
        return x if x == 0 else math.copysign(1, x)
    if function == "round":
        return round(x, digits)
    if function in ("floor", "ceil"):
        return math.copysign(float(getattr(math, function)(x)), x)
    if function == "exp":
        return exp(x)
    if x < 0:
        return math.nan
    if function == "sqrt":
        return math.copysign(math.sqrt(x), x)
    return -math.inf if x == 0 else math.log(x) if function == "ln" else math.log10(x)


def exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def power(a: Value, b: Value) -> Value:
    kind = "float32" if a.type == b.type == "float32" else "float64"
    if a.value is None or b.value is None:
        return Value(kind, None)
    x, y = rounded(float(a.value), kind), rounded(float(b.value), kind)
    return Value(kind, rounded(ieee_power(x, y), kind))


def ieee_power(x: float, y: float) -> float:
    try:
        return math.pow(x, y)
    except OverflowError:
        return -math.inf if x < 0 and y % 2 == 1 else math.inf
    except ValueError:  # a negative power of zero, or a root of a negative number
        return math.nan if x != 0 else math.copysign(math.inf, x) if y % 2 == 1 else math.inf


def extreme(function: str, kind: str, values: list[Any]) -> Value:
    """Return the greatest or least: null where one is null, NaN where one is NaN."""
    if None in values:
        return Value(kind, None)
    best = values[0]
    for value in values[1:]:
        if isinstance(best, float) and (math.isnan(best) or math.isnan(value)):
            best = math.nan
            continue
        a, b = (v.encode() if isinstance(v, str) else v for v in (best, value))
        stays = a >= b if function == "greatest" else a <= b
        best = best if stays else value
    return Value(kind, best)


# -- decimals ------------------------------------------------------------------------------------


def is_decimal(value: Value) -> bool:
    return value.type.startswith("decimal128")


def parts(kind: str) -> tuple[int, int]:
    precision, scale = kind[len("decimal128(") : -1].split(",")
    return int(precision), int(scale)


def decimal_name(precision: int, scale: int) -> str:
    return f"decimal128({precision}, {scale})"


def as_decimal(value: Value) -> Value:
    if is_decimal(value):
        return value
    if value.type == "literal":
        digits = 1 if value.value is None else len(str(abs(value.value)))
    else:
        digits = DIGITS.get(value.type.strip("uint"), 20 if value.type == "uint64" else 19)
    content = None if value.value is None else Fraction(value.value)
    return Value(decimal_name(digits, 0), content)


def half_away(number: Fraction, scale: int) -> Fraction:
    scaled = abs(number) * 10**scale
    whole = math.floor(scaled + Fraction(1, 2))
    return Fraction(whole if number >= 0 else -whole, 10**scale)


def fitting(number: Fraction, kind: str) -> Fraction:
    precision, scale = parts(kind)
    if abs(number) * 10**scale >= 10**precision:
        raise Failure(f"{number} does not fit {kind}")
    return number


def decimal_type(function: str, a: str, b: str) -> str:
    (p, s), (q, t) = parts(a), parts(b)
    if function in ("add", "subtract"):
        scale = max(s, t)
        return decimal_name(min(max(p - s, q - t) + scale + 1, 38), scale)
    if function == "multiply":
        return decimal_name(min(p + q, 38), s + t)
    scale = max(6, s + q + 1)
    whole = p - s + t
    if whole + scale > 38:
        return decimal_name(38, max(38 - whole, min(scale, 6)))
    return decimal_name(whole + scale, scale)


def decimal_arithmetic(function: str, a: Value, b: Value) -> Value:
    a, b = as_decimal(a), as_decimal(b)
    kind = decimal_type(function, a.type, b.type)
    if a.value is None or b.value is None:
        return Value(kind, None)
    if function == "divide":
        if b.value == 0:
            raise Failure("division by zero")
        return Value(kind, fitting(half_away(a.value / b.value, parts(kind)[1]), kind))
    exact = {"add": a.value + b.value, "subtract": a.value - b.value}
    return Value(kind, fitting(exact.get(function, a.value * b.value), kind))


def decimal_cast(value: Value, target: str) -> Fraction:
    content = value.value
    if isinstance(content, str):
        if not re.fullmatch(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", content):
            raise Failure(f"{content!r} is not a {target}")
        number = Fraction(content)
    elif isinstance(content, float):
        if not math.isfinite(content):
            raise Failure(f"{content} is no decimal")
        number = Fraction(str(np.float32(content)) if value.type == "float32" else repr(content))
    else:
        number = Fraction(content)
    return fitting(half_away(number, parts(target)[1]), target)


# -- hashes --------------------------------------------------------------------------------------


def hashed(value: Value) -> Value:
    if value.value is None:
        return Value("uint64", None)
    return Value("uint64", xxhash64(hash_bytes(value.type, value.value)))


def hash_bytes(kind: str, content: Any) -> bytes:
    if isinstance(content, str | bytes):
        return content.encode() if isinstance(content, str) else content
    if kind.startswith("decimal128"):
        scale = parts(kind)[1]
        while scale > 0 and (content * 10 ** (scale - 1)).denominator == 1:
            scale -= 1
        return int(content * 10**scale).to_bytes(16, "little", signed=True) + bytes([scale])
    if is_time(kind):
        return int(content * tick(kind)).to_bytes(16, "little", signed=True)
    if kind.startswith("float"):
        return struct.pack("<d", math.nan if math.isnan(content) else content + 0.0)
    return (int(content) % 2**64).to_bytes(8, "little")
