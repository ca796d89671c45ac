"""What becomes an expression only with its next call, and is refused where one is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NoReturn

from pystream.errors import ConfigError

__all__ = ["Unfinished"]

_OPERATORS: Final = {
    "+": "add radd",
    "-": "sub rsub neg",
    "*": "mul rmul",
    "/": "truediv rtruediv",
    "//": "floordiv rfloordiv",
    "%": "mod rmod",
    "**": "pow rpow",
    "abs()": "abs",
    "==": "eq",
    "!=": "ne",
    "<": "lt",
    "<=": "le",
    ">": "gt",
    ">=": "ge",
    "&": "and rand",
    "|": "or ror",
    "~": "invert",
    "a condition of Python": "bool",
}


class Unfinished:
    """A base class, of ``when(condition)``; operators refuse it."""

    __slots__ = ()

    def complaint(self, function: str) -> str:
        """Return what `function` says that got it."""
        return f"{function} got {self!r}, which waits for its value. Add .then(value)."


def _refusal(symbol: str) -> Callable[..., NoReturn]:
    def refuse(self: Unfinished, *_: object) -> NoReturn:
        raise ConfigError(self.complaint(symbol))

    return refuse


for _symbol, _names in _OPERATORS.items():
    for _name in _names.split():
        setattr(Unfinished, f"__{_name}__", _refusal(_symbol))
