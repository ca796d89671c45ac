"""The conditions of ``--where``: text such as ``amount > 100 and user != 'ann'``.

::

    condition  = all {"or" all}
    all        = one {"and" one}
    one        = "not" one | "(" condition ")" | test
    test       = column                                      of a bool column
               | column ("=" "==" "!=" "<>" "<" "<=" ">" ">=" "~") value
               | column "contains" value
               | column "is" ["not"] "null"
               | column ["not"] "in" "(" value {"," value} ")"

A column with other characters than letters, digits, ``_``, ``.`` and ``-`` stands in double quotes;
a value with spaces in single quotes, in which ``''`` is a quote. Values are read as what the column
holds, so that quotes are never needed to tell a number from a text. Null is none of the values.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import NoReturn

import numpy as np

from pystream import Expression, col, lit
from pystream._native import DataType, Schema
from pystream.cli.json_values import FLOAT32_END
from pystream.config import parse_duration_ns
from pystream.errors import ConfigError

__all__ = ["Condition", "parse_condition", "parse_value"]

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>'(?:[^']|'')*')
      | (?P<name>"[^"]+"|`[^`]+`)
      | (?P<sign><=|>=|<>|!=|==|=|<|>|~|\(|\)|,)
      | (?P<word>[^\s'"`<>=!~(),]+)
    )""",
    re.VERBOSE,
)
_KEYWORDS = ("and", "or", "not", "in", "is", "null", "contains")
_TRUTHS = {"true": True, "false": False}
_DEPTH_MAX = 100
_HOW = (
    "Write conditions such as \"amount > 100 and user != 'ann'\", "
    '"country in (SE, NO)" or "user is not null".'
)


@dataclass(frozen=True)
class Condition:
    """A parsed condition.

    Attributes
    ----------
    expression : Expression
        Of type bool.
    columns : frozenset of str
        Which it looks at.
    """

    expression: Expression
    columns: frozenset[str]


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    place: int

    def is_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text.lower() in words


def parse_condition(text: str, schema: Schema) -> Condition:
    """Return what a condition means for records of a schema.

    Raises
    ------
    ConfigError
        If it is no condition, names a column that does not exist, or has a value that does not fit
        the column; says where.

    Examples
    --------
    >>> schema = Schema([("n", DataType("int64"), True), ("user", DataType("string"), True)])
    >>> parse_condition("n >= 3 and not user in (ann, 'bob b')", schema).expression
    (col("n") >= 3) & (~col("user").isin(["ann", "bob b"]))
    """
    parser = _Parser(text, schema)
    expression = parser.condition()
    parser.expect_end()
    return Condition(expression, frozenset(parser.columns))


def parse_value(text: str, kind: DataType) -> object:
    """Return a value of a column that is written as text.

    Raises
    ------
    ValueError
        If the column cannot hold it; the message says what it expects.
    """
    name = kind.kind
    for prefixes, parse in _PARSERS:
        if name.startswith(prefixes):
            try:
                return parse(text, kind)
            except (ValueError, InvalidOperation, OverflowError):
                raise ValueError(f"{text!r} is no {kind}") from None
    return text


class _Parser:
    """Descends through a condition, one token ahead."""

    def __init__(self, text: str, schema: Schema) -> None:
        self._text = text
        self._types = {name: kind for name, kind, _ in schema.fields}
        self._tokens = self._split()
        self._next = 0
        self._depth = 0
        self.columns: set[str] = set()

    def condition(self) -> Expression:
        found = self._all()
        while self._take_word("or"):
            found |= self._all()
        return found

    def expect_end(self) -> None:
        if (token := self._peek()).kind != "end":
            self._fail(f"{token.text!r} is not expected", token)

    def _all(self) -> Expression:
        found = self._one()
        while self._take_word("and"):
            found &= self._one()
        return found

    def _one(self) -> Expression:
        if self._depth == _DEPTH_MAX:
            self._fail(f"more than {_DEPTH_MAX} parentheses and nots are nested", self._peek())
        self._depth += 1
        try:
            if self._take_word("not"):
                return ~self._one()
            if self._take_sign("("):
                found = self.condition()
                if not self._take_sign(")"):
                    self._fail("a parenthesis is not closed", self._peek())
                return found
            return self._test()
        finally:
            self._depth -= 1

    def _test(self) -> Expression:
        token = self._take()
        is_name = token.kind == "name" or (
            token.kind == "word" and token.text.lower() not in _KEYWORDS
        )
        if not is_name:
            self._fail("a column is expected", token)
        name = token.text[1:-1] if token.kind == "name" else token.text
        if name not in self._types:
            columns = ", ".join(self._types)
            self._fail(f"there is no column {name!r}; the columns are {columns}", token)
        self.columns.add(name)
        column, kind = col(name), self._types[name]
        if self._take_word("is"):
            is_not = self._take_word("not")
            if not self._take_word("null"):
                self._fail("null is expected behind is", self._peek())
            return column.is_not_null() if is_not else column.is_null()
        is_not = self._take_word("not")
        if self._take_word("in"):
            found = column.isin(self._values(kind))
            return ~found if is_not else found
        if is_not:
            self._fail("in is expected behind not", self._peek())
        if self._take_word("contains"):
            return column.contains(self._written())
        sign = self._peek()
        if sign.kind == "sign" and sign.text in _SIGNS:
            self._take()
            if sign.text == "~":
                return column.regexp_match(self._written())
            return _SIGNS[sign.text](column, lit(self._value(kind)))
        if kind.kind != "bool":
            self._fail(f"a comparison is expected behind {name}", sign)
        return column

    def _values(self, kind: DataType) -> list[object]:
        if not self._take_sign("("):
            self._fail("( is expected behind in", self._peek())
        found = [self._value(kind)]
        while self._take_sign(","):
            found.append(self._value(kind))
        if not self._take_sign(")"):
            self._fail("a comma or ) is expected", self._peek())
        return found

    def _value(self, kind: DataType) -> object:
        token = self._peek()
        if token.is_word("null"):
            self._fail("nothing compares to null; write is null or is not null", token)
        text = self._written()
        try:
            return parse_value(text, kind)
        except ValueError as error:
            self._fail(str(error), token)

    def _written(self) -> str:
        token = self._take()
        if token.kind == "text":
            return token.text[1:-1].replace("''", "'")
        if token.kind != "word":
            self._fail("a value is expected", token)
        return token.text

    # -- tokens --------------------------------------------------------------------------------

    def _split(self) -> list[_Token]:
        tokens, place, end = [], 0, len(self._text.rstrip())
        while place < end:
            match = _TOKEN.match(self._text, place)
            if match is None:
                begin = len(self._text) - len(self._text[place:].lstrip())
                self._fail("this cannot be read", _Token("bad", self._text[begin:], begin))
            kind = str(match.lastgroup)
            tokens.append(_Token(kind, match[kind], match.start(kind)))
            place = match.end()
        return [*tokens, _Token("end", "the end", end)]

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._peek()
        self._next += token.kind != "end"
        return token

    def _take_word(self, word: str) -> bool:
        is_there = self._peek().is_word(word)
        self._next += is_there
        return is_there

    def _take_sign(self, sign: str) -> bool:
        token = self._peek()
        is_there = token.kind == "sign" and token.text == sign
        self._next += is_there
        return is_there

    def _fail(self, problem: str, token: _Token) -> NoReturn:
        where = "at the end" if token.kind == "end" else f"at character {token.place + 1}"
        raise ConfigError(f"--where {self._text!r}, {where}: {problem}. {_HOW}")


def _parse_bool(text: str, _: DataType) -> object:
    if text.lower() not in _TRUTHS:
        raise ValueError(text)
    return _TRUTHS[text.lower()]


def _parse_integer(text: str, _: DataType) -> object:
    return int(text.replace("_", ""))


def _parse_float(text: str, kind: DataType) -> object:
    """Return the number that a column would hold, or else what was written.

    No column of float32 holds whole numbers that it would round, what it would round to zero, and
    what is too large for it: they are compared as they are.
    """
    value = float(text)
    is_whole = text.lstrip("+-").isdecimal()
    if kind.kind != "float32" or is_whole or not abs(value) < FLOAT32_END:
        return value
    return float(np.float32(value)) or value


def _parse_decimal(text: str, _: DataType) -> object:
    return Decimal(text)


def _parse_binary(text: str, _: DataType) -> object:
    return text.encode()


def _parse_date(text: str, _: DataType) -> object:
    return date.fromisoformat(text)


def _parse_timestamp(text: str, kind: DataType) -> object:
    """Return the time in the column's unit; one without a zone is in UTC."""
    written = datetime.fromisoformat(text)
    fraction = re.search(r"[.,](\d+)", text)
    digits = (fraction[1] if fraction else "").ljust(9, "0")[:9]
    if written.tzinfo is not None:
        written = written.astimezone(UTC).replace(tzinfo=None)
    ticks = np.datetime64(written.replace(microsecond=0), "s").astype(np.int64).item()
    nanoseconds = ticks * 10**9 + int(digits)
    if kind.timezone is None and -(2**63) <= nanoseconds < 2**63:
        return np.datetime64(nanoseconds, "ns")
    return written if kind.timezone is None else written.replace(tzinfo=UTC)


def _parse_duration(text: str, _: DataType) -> object:
    return np.timedelta64(parse_duration_ns(text), "ns")


_PARSERS: tuple[tuple[str | tuple[str, ...], Callable[[str, DataType], object]], ...] = (
    ("bool", _parse_bool),
    (("int", "uint"), _parse_integer),
    ("float", _parse_float),
    ("decimal", _parse_decimal),
    ("binary", _parse_binary),
    ("date", _parse_date),
    ("timestamp", _parse_timestamp),
    ("duration", _parse_duration),
)
_SIGNS: dict[str, Callable[[Expression, Expression], Expression]] = {
    "=": lambda left, right: left == right,
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<>": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    "~": lambda left, right: left == right,  # not called: a pattern is no operand
}
