"""Expressions of the logical plan: data only, and their text as the user would write it.

Values are already plain: times are ticks with a declared type, spelled as Arrow spells types.
Engines read these nodes; which types fit which function is decided where a schema is known.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from pystream.errors import ConfigError

LiteralValue = bool | int | float | str | bytes | None

_INFIX: Final = {
    "add": "+",
    "subtract": "-",
    "multiply": "*",
    "divide": "/",
    "floor_divide": "//",
    "modulo": "%",
    "power": "**",
    "equal": "==",
    "not_equal": "!=",
    "less": "<",
    "less_equal": "<=",
    "greater": ">",
    "greater_equal": ">=",
    "and": "&",
    "or": "|",
}
_PREFIX: Final = {"negate": "-", "not": "~"}
_DURATION_UNITS: Final = (
    ("d", 86_400 * 10**9),
    ("h", 3_600 * 10**9),
    ("m", 60 * 10**9),
    ("s", 10**9),
    ("ms", 10**6),
    ("us", 10**3),
    ("ns", 1),
)
_NANOSECONDS: Final = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


@dataclass(frozen=True)
class ExpressionNode:
    """A value per row; ``str()`` gives the Python that makes it."""


@dataclass(frozen=True)
class ColumnNode(ExpressionNode):
    """The column of that name."""

    name: str
    # What messages call it, where the user does not know the name.
    label: str = field(default="", compare=False, repr=False)

    def __post_init__(self) -> None:
        _check_unicode(self.name)

    def __str__(self) -> str:
        return self.label or f"col({_quote(self.name)})"


@dataclass(frozen=True)
class LiteralNode(ExpressionNode):
    """One value for all rows.

    Without a type, an int, float or str adapts to the other operand. With one, `value` is the
    number of ticks (timestamp, date32, duration), an integer above int64 (uint64), the bytes
    (binary), the digits (decimal128) or the name of a time zone (zone).
    """

    value: LiteralValue
    type: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.value, str):
            _check_unicode(self.value)

    def __str__(self) -> str:
        if self.type is None or self.type == "zone" or isinstance(self.value, bytes):
            return _quote(self.value) if isinstance(self.value, str) else repr(self.value)
        if self.type.startswith("decimal128"):
            return f"Decimal({_quote(str(self.value))})"
        if self.type == "uint64":
            return str(self.value)
        assert isinstance(self.value, int)
        return _quote(_time_text(self.value, self.type))


@dataclass(frozen=True)
class CallNode(ExpressionNode):
    """A function of the core's expressions, by its name there."""

    function: str
    arguments: tuple[ExpressionNode, ...]

    def __str__(self) -> str:
        first, *rest = self.arguments
        if self.function in _INFIX:
            return f"{_operand(first)} {_INFIX[self.function]} {_operand(rest[0])}"
        if self.function in _PREFIX:
            return f"{_PREFIX[self.function]}{_operand(first)}"
        if self.function == "case":
            return self._case_text()
        if self.function in ("abs", "coalesce", "greatest", "least"):
            return f"{self.function}({', '.join(str(argument) for argument in self.arguments)})"
        listed = ", ".join(str(argument) for argument in rest)
        if self.function == "is_in":
            return f"{receiver_text(first)}.isin([{listed}])"
        return f"{receiver_text(first)}.{self.function}({listed})"

    def _case_text(self) -> str:
        parts = [str(argument) for argument in self.arguments]
        arms = zip(parts[::2], parts[1::2], strict=False)
        text = ".".join(f"when({condition}).then({value})" for condition, value in arms)
        return f"{text}.otherwise({parts[-1]})" if len(parts) % 2 else text


@dataclass(frozen=True)
class CastNode(ExpressionNode):
    """The same values as another type; with `or_null`, null where that does not hold them."""

    operand: ExpressionNode
    type: str
    or_null: bool = False

    def __str__(self) -> str:
        name = "try_cast" if self.or_null else "cast"
        return f"{receiver_text(self.operand)}.{name}({_quote(self.type)})"


@dataclass(frozen=True)
class UdfNode(ExpressionNode):
    """A Python function over columns, of the kind "numpy" or "arrow"; `returns` is its type.

    Pipelines take it out of expressions and make it a stage before an engine sees them.
    """

    name: str
    arguments: tuple[ExpressionNode, ...]
    function: Callable[..., Any]
    returns: str
    kind: str

    def __str__(self) -> str:
        return f"{self.name}({', '.join(str(argument) for argument in self.arguments)})"


def _check_unicode(text: str) -> None:
    """Refuse what has no UTF-8: halves of surrogate pairs."""
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"the text {text!r} is not valid Unicode: it has half a surrogate pair at index "
            f"{error.start}. No column holds it: replace that character."
        ) from None


def receiver_text(node: ExpressionNode) -> str:
    """Return the text of a node in front of a method call: parenthesized where needed."""
    return f"lit({node})" if isinstance(node, LiteralNode) else _operand(node)


def _operand(node: ExpressionNode) -> str:
    is_operator = isinstance(node, CallNode) and (
        node.function in _INFIX or node.function in _PREFIX
    )
    return f"({node})" if is_operator else str(node)


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _time_text(value: int, type: str) -> str:
    if type == "date32":
        return str(np.datetime64(value, "D"))
    unit, _, zone = type[type.index("[") + 1 : -1].partition(", ")
    if type.startswith("timestamp"):
        return str(np.datetime64(value, unit)) + ("Z" if zone else "")  # type: ignore[call-overload]
    nanoseconds = value * _NANOSECONDS[unit]
    for name, size in _DURATION_UNITS:
        if nanoseconds % size == 0 and (nanoseconds or name == unit):
            return f"{nanoseconds // size}{name}"
    raise AssertionError(type)
