"""Lines of comma-separated values that tell null from an empty string.

A field is null when there is nothing between its commas, and an empty string when there are two
double quotes. Python's ``csv`` reads both as the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from pystream.errors import SchemaError

__all__ = ["join_line", "read_table", "split_line"]

_FIELD: Final = re.compile(r'(?:"((?:[^"]|"")*)"|([^",]*))(,|\Z)')


def split_line(line: str) -> list[str | None]:
    """Return the fields of a line.

    Raises
    ------
    SchemaError
        If quotes do not enclose whole fields.

    Examples
    --------
    >>> split_line('a,,"",",","an ""apple"" pie"')
    ['a', None, '', ',', 'an "apple" pie']
    """
    found: list[str | None] = []
    position = 0
    while True:
        match = _FIELD.match(line, position)
        if match is None:
            raise SchemaError(
                f"field {len(found) + 1} of {line!r} has a quote in the wrong place. Enclose the "
                "whole field in double quotes, and double those inside it."
            )
        quoted, plain, comma = match.groups()
        found.append(quoted.replace('""', '"') if quoted is not None else plain or None)
        if not comma:
            return found
        position = match.end()


def join_line(values: Sequence[str | int | None]) -> str:
    """Return the line of some fields; the inverse of :func:`split_line`.

    Raises
    ------
    SchemaError
        If a field holds a line break.

    Examples
    --------
    >>> join_line(["a", None, "", 'an "apple" pie', -1])
    'a,,"","an ""apple"" pie",-1'
    """
    return ",".join(_field(value) for value in values)


def read_table(text: str, headers: Sequence[Sequence[str]]) -> list[tuple[int, list[str | None]]]:
    """Return the rows below the header, each with the number of its line.

    Parameters
    ----------
    text : str
        Of the file.
    headers : sequence of sequences of str
        Those that are accepted; missing trailing columns are null in every row.

    Raises
    ------
    SchemaError
        Names the line and what was expected.
    """
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if lines[-1] == "":
        lines.pop()
    longest = max(headers, key=len)
    accepted = [",".join(header) for header in headers]
    header = lines[0] if lines else ""
    if header not in accepted:
        raise SchemaError(
            f"line 1: the header is {header!r}. Write {' or '.join(map(repr, accepted))}."
        )
    width = header.count(",") + 1
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            fields = split_line(line)
        except SchemaError as error:
            raise SchemaError(f"line {number}: {error}") from None
        if len(fields) != width:
            raise SchemaError(
                f"line {number}: there are {len(fields)} fields, but the header has {width}. "
                "Write one for each column; nothing stands for null."
            )
        rows.append((number, fields + [None] * (len(longest) - width)))
    return rows


def _field(value: str | int | None) -> str:
    if value is None:
        return ""
    text = str(value)
    if "\n" in text or "\r" in text:
        raise SchemaError(f"{value!r} holds a line break, which a field cannot. Leave it out.")
    if text == "" or "," in text or '"' in text:
        return '"' + text.replace('"', '""') + '"'
    return text
