"""Expressions, one row and one node at a time: the specification of the native kernels.

Written from ``docs/expressions.md``. A value travels with its type; times are integers in ticks,
decimals are fractions, None is null. ``Failure`` stands for OperatorError.

>>> from pystream.pipeline.expressions import col
>>> evaluate((col("x") // 2).node, {"x": "int32"}, {"x": -3})
Value(type='int64', value=-2, is_literal=False)
"""

from __future__ import annotations

import math
import operator
from fractions import Fraction
from typing import Any

from pystream.plan.expressions import CallNode, CastNode, ColumnNode, ExpressionNode, LiteralNode
from tests.oracle.expression_casts import cast, try_cast
from tests.oracle.expression_numbers import (
    MATH,
    decimal_arithmetic,
    extreme,
    hashed,
    is_decimal,
    math_function,
    power,
)
from tests.oracle.expression_patterns import (
    regexp_extract,
    regexp_match,
    regexp_replace,
    split_part,
)
from tests.oracle.expression_times import (
    at_zone,
    extract,
    formatted,
    from_zone,
    parsed_time,
    truncate,
    truncated_in_zone,
)
from tests.oracle.expression_values import (
    NANOS,
    UNITS,
    Failure,
    Value,
    duration_nanos,
    in_range,
    is_time,
    iso_nanos,
    rounded,
    tick,
    unit_of,
)

LITERAL = "literal"  # the type of a bare Python value, before it meets a column
COMPARE = {
    "equal": operator.eq,
    "not_equal": operator.ne,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
}
ARITHMETIC = ("add", "subtract", "multiply", "divide", "floor_divide", "modulo")


def evaluate(node: ExpressionNode, types: dict[str, str], row: dict[str, Any]) -> Value:
    """Return the value of an expression in one row.

    Every part of it is computed, but what case and coalesce do not come to.
    """
    match node:
        case ColumnNode(name):
            return Value(types[name], row[name])
        case LiteralNode(value, declared):
            return _literal(value, declared)
        case CastNode(operand, target, or_null):
            value = settle(evaluate(operand, types, row))
            return try_cast(value, target) if or_null else cast(value, target)
        case CallNode("truncate", (operand, step, LiteralNode(zone))):
            value = evaluate(operand, types, row)
            return truncated_in_zone(value, truncate(at_zone(value, str(zone)), step), str(zone))
        case CallNode("at_zone", (operand, LiteralNode(zone))):
            return at_zone(evaluate(operand, types, row), str(zone))
        case CallNode("from_zone", (operand, *rules)):
            return from_zone(evaluate(operand, types, row), *(str(_value(rule)) for rule in rules))
        case CallNode("format", (operand, LiteralNode(format))):
            return formatted(evaluate(operand, types, row), str(format))
        case CallNode("parse" | "try_parse" as name, (operand, *how)):
            text = settle(evaluate(operand, types, row)).value
            format, kind = (str(_value(argument)) for argument in how)
            return parse(text, format, kind, or_null=name == "try_parse")
        case CallNode("truncate", (operand, step)):
            return truncate(evaluate(operand, types, row), step)
        case CallNode("extract", (operand, LiteralNode(part))):
            return extract(evaluate(operand, types, row), str(part))
        case CallNode("case", arguments):
            return case(arguments, types, row)
        case CallNode("coalesce", arguments):
            return coalesce(arguments, types, row)
        case CallNode("greatest" | "least" as function, arguments):
            kind = common_type(list(arguments), types)
            values = [adapted(evaluate(part, types, row), kind) for part in arguments]
            return extreme(function, kind, values)
        case CallNode(function, arguments):
            values = [evaluate(argument, types, row) for argument in arguments]
            return _call(function, values)
    raise AssertionError(node)


def _value(node: ExpressionNode) -> Any:
    assert isinstance(node, LiteralNode)
    return node.value


def parse(text: str | None, format: str, kind: str, *, or_null: bool) -> Value:
    if text is None:
        return Value(kind, None)
    try:
        return Value(kind, parsed_time(text, format, kind))
    except Failure:
        if or_null:
            return Value(kind, None)
        raise


def _literal(value: Any, declared: str | None) -> Value:
    if declared is None or declared == "uint64":
        return Value(declared or LITERAL, value)
    if declared.startswith("decimal128"):
        return Value(declared, Fraction(value))
    return Value(declared, value, is_literal=True)


def settle(value: Value) -> Value:
    """Give a bare literal the type that it has on its own."""
    if value.type != LITERAL:
        return value
    names = {bool: "bool", int: "int64", float: "float64", str: "string"}
    return Value(names.get(type(value.value), "null"), value.value)


def _call(function: str, values: list[Value]) -> Value:
    if function in COMPARE:
        return compare(function, *values)
    if function in ARITHMETIC:
        return arithmetic(function, *values)
    if function == "power":
        return power(meet(values[0], values[1]), meet(values[1], values[0]))
    if function in ("and", "or"):
        return Value("bool", kleene(function, values[0].value, values[1].value))
    first = settle(values[0])
    if function == "hash":
        return hashed(first)
    if function in ("list_length", "list_get"):
        return list_function(function, first, *(value.value for value in values[1:]))
    if function in MATH:
        return math_function(function, first, values[1].value if len(values) > 1 else 0)
    if function == "not":
        return Value("bool", None if first.value is None else not first.value)
    if function == "is_null":
        return Value("bool", first.value is None)
    if function == "is_not_null":
        return Value("bool", first.value is not None)
    if function == "is_nan":
        return Value("bool", None if first.value is None else math.isnan(first.value))
    if function == "fill_null":
        return Value(first.type, fill_value(first, values[1]))
    if function == "null_if":
        is_equal = compare("equal", first, values[1]).value
        return Value(first.type, None if is_equal else first.value)
    if function == "is_in":
        return Value("bool", is_in(first, values[1:]))
    if function in TEXT:
        return text_function(function, first, [settle(value) for value in values[1:]])
    return unary(function, first)


# -- nulls, logic, membership --------------------------------------------------------------------


def kleene(function: str, a: bool | None, b: bool | None) -> bool | None:
    decides = function == "or"
    if a is decides or b is decides:
        return decides
    return None if a is None or b is None else not decides


def fill_value(value: Value, fill: Value) -> Any:
    if value.value is not None:
        return value.value
    return adapted(fill, value.type)


def adapted(value: Value, kind: str) -> Any:
    if value.type == LITERAL and value.value is not None and kind.startswith("float"):
        return rounded(float(value.value), kind)
    return value.value


def is_in(value: Value, members: list[Value]) -> bool | None:
    """As ``x = a OR x = b OR ...``, false for an empty list."""
    result: bool | None = False
    for member in members:
        result = kleene("or", result, compare("equal", value, member).value)
    return result


# -- choices -------------------------------------------------------------------------------------


def case(
    arguments: tuple[ExpressionNode, ...], types: dict[str, str], row: dict[str, Any]
) -> Value:
    arms = list(zip(arguments[::2], arguments[1::2], strict=False))
    otherwise = arguments[-1] if len(arguments) % 2 else LiteralNode(None)
    kind = common_type([*(value for _, value in arms), otherwise], types)
    for condition, value in arms:
        if evaluate(condition, types, row).value:
            return Value(kind, adapted(evaluate(value, types, row), kind))
    return Value(kind, adapted(evaluate(otherwise, types, row), kind))


def coalesce(
    arguments: tuple[ExpressionNode, ...], types: dict[str, str], row: dict[str, Any]
) -> Value:
    kind = common_type(list(arguments), types)
    for argument in arguments:
        value = evaluate(argument, types, row)
        if value.value is not None:
            return Value(kind, adapted(value, kind))
    return Value(kind, None)


def common_type(values: list[ExpressionNode], types: dict[str, str]) -> str:
    """Return the type of the first expression, else of the first literal that is not null."""
    for value in values:
        if not isinstance(value, LiteralNode):
            return settle(evaluate(value, types, dict.fromkeys(types))).type
    literals = [settle(evaluate(value, types, {})) for value in values]
    return next(literal.type for literal in literals if literal.value is not None)


# -- strings -------------------------------------------------------------------------------------


def substring(text: str, start: int, length: int | None = None) -> str:
    begin = max(len(text) + start, 0) if start < 0 else start
    return text[begin:] if length is None else text[begin : begin + length]


TEXT: dict[str, tuple[str, Any]] = {
    "length": ("int64", len),
    "lower": ("string", str.lower),
    "upper": ("string", str.upper),
    "regexp_match": ("bool", regexp_match),
    "regexp_extract": ("string", regexp_extract),
    "regexp_replace": ("string", regexp_replace),
    "split": ("list<string>", str.split),
    "split_part": ("string", split_part),
    "strip": ("string", str.strip),
    "lstrip": ("string", str.lstrip),
    "rstrip": ("string", str.rstrip),
    "contains": ("bool", operator.contains),
    "starts_with": ("bool", str.startswith),
    "ends_with": ("bool", str.endswith),
    "substring": ("string", substring),
}


def text_function(function: str, value: Value, arguments: list[Value]) -> Value:
    kind, python = TEXT[function]
    contents = [value.value, *(argument.value for argument in arguments)]
    return Value(kind, None if None in contents else python(*contents))


# -- lists ---------------------------------------------------------------------------------------


def list_function(function: str, value: Value, index: int = 0) -> Value:
    if function == "list_length":
        return Value("int64", None if value.value is None else len(value.value))
    elements = value.value or []
    is_there = -len(elements) <= index < len(elements)
    return Value(value.type[len("list<") : -1], elements[index] if is_there else None)


# -- comparison ----------------------------------------------------------------------------------


def compare(function: str, a: Value, b: Value) -> Value:
    if a.value is None or b.value is None:
        return Value("bool", None)
    if a.type == LITERAL:
        left, right = comparable(a, b.type), comparable(settle(b), b.type)
    else:
        left, right = comparable(a, a.type), comparable(b, a.type)
    return Value("bool", bool(COMPARE[function](left, right)))


def comparable(value: Value, beside: str) -> Any:
    """Return something that Python orders as the rules do: numbers and instants exactly."""
    content = value.value
    if value.type == LITERAL and is_time(beside):
        if isinstance(content, int):
            return content * tick(beside)
        return duration_nanos(content) if beside.startswith("dur") else iso_nanos(content)
    if is_time(value.type):
        return content * tick(value.type)
    return content.encode() if isinstance(content, str) else content


# -- arithmetic ----------------------------------------------------------------------------------


def arithmetic(function: str, a: Value, b: Value) -> Value:
    if is_decimal(a) or is_decimal(b):
        return decimal_arithmetic(function, a, b)
    if "string" in (settle(a).type, settle(b).type) and not (is_time(a.type) or is_time(b.type)):
        joined = None if a.value is None or b.value is None else a.value + b.value
        return Value("string", joined)
    if is_time(a.type) or is_time(b.type):
        return time_arithmetic(function, a, b)
    left, right = meet(a, b), meet(b, a)
    if left.type.startswith("float") or right.type.startswith("float"):
        single = left.type == right.type == "float32"
        kind = "float32" if single else "float64"
        if left.value is None or right.value is None:
            return Value(kind, None)
        x, y = rounded(float(left.value), kind), rounded(float(right.value), kind)
        return Value(kind, float_arithmetic(function, x, y, kind))
    return integer_arithmetic(function, left, right)


def meet(value: Value, other: Value) -> Value:
    """Give a bare number the type that it computes in: it never widens a float32 or uint64."""
    if value.type != LITERAL:
        return value
    beside = settle(other).type
    if isinstance(value.value, float):
        return Value("float32" if beside == "float32" else "float64", value.value)
    if beside.startswith("float"):
        return Value(beside, value.value)
    return Value("uint64" if beside == "uint64" and value.value >= 0 else "int64", value.value)


def integer_arithmetic(function: str, a: Value, b: Value) -> Value:
    kind = "uint64" if a.type == b.type == "uint64" else "int64"
    if function == "divide":
        kind = "float64"
    if a.value is None or b.value is None:
        return Value(kind, None)
    if function in ("divide", "floor_divide", "modulo") and b.value == 0:
        raise Failure("division by zero")
    if function == "divide":
        return Value(kind, float(a.value) / float(b.value))
    python = {
        "add": operator.add,
        "subtract": operator.sub,
        "multiply": operator.mul,
        "floor_divide": operator.floordiv,
        "modulo": operator.mod,
    }
    return Value(kind, in_range(python[function](a.value, b.value), kind))


def float_arithmetic(function: str, a: float, b: float, kind: str) -> float:
    if function == "add":
        return rounded(a + b, kind)
    if function == "subtract":
        return rounded(a - b, kind)
    if function == "multiply":
        return rounded(a * b, kind)
    if function == "divide":
        return rounded(ieee_divide(a, b), kind)
    if b == 0:
        return ieee_divide(a, b) if function == "floor_divide" else math.nan
    if function == "modulo":
        return float_modulo(a, b, kind)
    return float_floor_divide(a, b, kind)


def float_modulo(a: float, b: float, kind: str) -> float:
    return a % b if kind == "float64" else rounded(a % b, kind)


def float_floor_divide(a: float, b: float, kind: str) -> float:
    if kind == "float64":
        return a // b
    # CPython's float_divmod, in single precision.
    if math.isinf(a) or math.isnan(a) or math.isnan(b):
        return math.nan
    rest = math.fmod(a, b)
    quotient = rounded(rounded(a - rest, kind) / b, kind)
    if rest and (b < 0) != (rest < 0):
        quotient = rounded(quotient - 1, kind)
    if quotient == 0:
        return math.copysign(0.0, ieee_divide(a, b))
    if math.isinf(quotient):
        return quotient
    floor = float(math.floor(quotient))
    return floor + 1 if quotient - floor > 0.5 else floor


def ieee_divide(a: float, b: float) -> float:
    if b != 0:
        return a / b
    if a == 0 or math.isnan(a) or math.isnan(b):
        return math.nan
    return math.copysign(math.inf, math.copysign(1, a) * math.copysign(1, b))


def unary(function: str, value: Value) -> Value:
    kind = value.type
    if kind.startswith(("int", "uint")) and kind != "uint64":
        kind = "int64"
    if function == "negate" and kind == "uint64":
        kind = "int64"
    if value.value is None:
        return Value(kind, None)
    result = -value.value if function == "negate" else abs(value.value)
    return Value(kind, in_range(result, kind) if isinstance(result, int) else result)


# -- times ---------------------------------------------------------------------------------------


def time_arithmetic(function: str, a: Value, b: Value) -> Value:
    a, b = time_literal(a, b.type), time_literal(b, a.type)
    if not (is_time(a.type) and is_time(b.type)):  # a duration and a number
        kind = a.type if is_time(a.type) else b.type
        if a.value is None or b.value is None:
            return Value(kind, None)
        if function == "multiply":
            return Value(kind, in_range(a.value * b.value, "int64"))
        if b.value == 0:
            raise Failure("division by zero")
        return Value(kind, in_range(a.value // b.value, "int64"))
    unit = max(unit_of(a.type), unit_of(b.type), key=UNITS.index)
    x, y = in_unit(a, unit), in_unit(b, unit)
    instants = [value.type for value in (a, b) if not value.type.startswith("duration")]
    if len(instants) == 1:
        kind = f"timestamp[{unit}]"
    elif function == "divide":
        kind = "float64"
    elif function == "floor_divide":
        kind = "int64"
    else:
        kind = f"duration[{unit}]"
    result = integer_arithmetic(function, Value("int64", x), Value("int64", y))
    return Value(kind, result.value)


def time_literal(value: Value, beside: str) -> Value:
    """Read text beside a time; keep the column's unit where it holds the literal exactly."""
    if value.type == LITERAL and isinstance(value.value, str):
        kind, nanos = "duration", duration_nanos(value.value)
        if nanos is None:
            kind, nanos = "timestamp", iso_nanos(value.value)
    elif value.is_literal and value.type.startswith(("duration", "timestamp")):
        kind, nanos = value.type.split("[")[0], value.value * tick(value.type)
    else:
        return settle(value)
    for unit in UNITS[UNITS.index(unit_of(beside)) :]:
        if nanos % NANOS[unit] == 0:
            return Value(f"{kind}[{unit}]", nanos // NANOS[unit])
    raise AssertionError(nanos)


def in_unit(value: Value, unit: str) -> int | None:
    if value.value is None:
        return None
    return in_range(value.value * tick(value.type) // NANOS[unit], "int64")
