"""Expressions of the logical plan: data only, and their text as the user would write it.

Values are already plain: times are ticks with a declared type, spelled as Arrow spells types.
Engines read these nodes; which types fit which function is decided where a schema is known.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
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
# A text shows so many columns, literals and calls, as the core's do: of an expression whose parts
# are in many places it would be longer than any memory.
_MOST_PARTS: Final = 300
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
        return _Text().of(self)


@dataclass(frozen=True)
class CastNode(ExpressionNode):
    """The same values as another type; with `or_null`, null where that does not hold them."""

    operand: ExpressionNode
    type: str
    or_null: bool = False

    def __str__(self) -> str:
        return _Text().of(self)


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
        return _Text().of(self)


def parts_of(node: ExpressionNode) -> tuple[ExpressionNode, ...]:
    """Return the expressions that a node is made of; one may be in several places."""
    match node:
        case CallNode(_, arguments) | UdfNode(_, arguments):
            return arguments
        case CastNode(operand, _, _):
            return (operand,)
    return ()


class Structures:
    """Numbers expressions: equal ones, of the same types throughout, have one number.

    Each node is looked at once, in however many places it is: 1 and True are equal, and not the
    same, and the text of an expression may be longer than any memory.
    """

    def __init__(self) -> None:
        self._numbers: dict[tuple[object, ...], int] = {}
        self._known: dict[int, tuple[ExpressionNode, int]] = {}  # by id, which the node keeps

    def number(self, node: ExpressionNode) -> int:
        """Return the number of an expression."""
        stack = [node]
        while stack:  # not a recursion: the engine has words for what is nested too deeply
            part = stack[-1]
            below = parts_of(part)
            waiting = [each for each in below if id(each) not in self._known]
            if waiting:
                stack += waiting
                continue
            stack.pop()
            key = (*_own(part), *(self._known[id(each)][1] for each in below))
            self._known[id(part)] = part, self._numbers.setdefault(key, len(self._numbers))
        return self._known[id(node)][1]


def _own(node: ExpressionNode) -> tuple[object, ...]:
    match node:
        case ColumnNode(name):
            return "column", name
        case LiteralNode(value, declared):
            return "literal", repr(value), declared
        case CallNode(function):
            return "call", function
        case CastNode(_, target, or_null):
            return "cast", target, or_null
        case UdfNode(name, _, function, returns, kind):
            # A bound method is a new object each time.
            owner, plain = getattr(function, "__self__", None), getattr(function, "__func__", None)
            return "udf", name, returns, kind, id(function) if plain is None else (id(owner), plain)
    raise AssertionError(f"unknown expression {node!r}")


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
    return _Text().receiver(node)


class _Text:
    """The Python that makes an expression; what comes behind `_MOST_PARTS` of it is ``...``."""

    def __init__(self) -> None:
        self._left = _MOST_PARTS

    def of(self, node: ExpressionNode) -> str:
        self._left -= 1
        if self._left < 0:
            return "..."
        match node:
            case CallNode():
                return self._call(node)
            case CastNode(operand, target, or_null):
                name = "try_cast" if or_null else "cast"
                return f"{self.receiver(operand)}.{name}({_quote(target)})"
            case UdfNode(name, arguments):
                return f"{name}({self._list(arguments)})"
        return str(node)

    def receiver(self, node: ExpressionNode) -> str:
        return f"lit({node})" if isinstance(node, LiteralNode) else self._operand(node)

    def _call(self, node: CallNode) -> str:
        function, (first, *rest) = node.function, node.arguments
        if function in _INFIX:
            return f"{self._operand(first)} {_INFIX[function]} {self._operand(rest[0])}"
        if function in _PREFIX:
            return f"{_PREFIX[function]}{self._operand(first)}"
        if function == "case":
            return self._case(node)
        if function in ("abs", "coalesce", "greatest", "least"):
            return f"{function}({self._list(node.arguments)})"
        receiver = self.receiver(first)
        if function == "is_in":
            return f"{receiver}.isin([{self._list(rest)}])"
        return f"{receiver}.{function}({self._list(rest)})"

    def _case(self, node: CallNode) -> str:
        parts = [self.of(argument) for argument in node.arguments]
        arms = zip(parts[::2], parts[1::2], strict=False)
        text = ".".join(f"when({condition}).then({value})" for condition, value in arms)
        return f"{text}.otherwise({parts[-1]})" if len(parts) % 2 else text

    def _list(self, nodes: Sequence[ExpressionNode]) -> str:
        texts = []
        for node in nodes:
            texts.append(self.of(node))
            if self._left <= 0:
                break
        return ", ".join(texts)

    def _operand(self, node: ExpressionNode) -> str:
        is_operator = isinstance(node, CallNode) and (
            node.function in _INFIX or node.function in _PREFIX
        )
        return f"({self.of(node)})" if is_operator else self.of(node)


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
