"""JSON lines as a format of files, read in blocks of lines."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pystream.connectors.file_formats import (
    BLOCK_BYTES,
    TEXT_WAY_OUT,
    BadRowError,
    require_exact,
)
from pystream.log._optional import require

if TYPE_CHECKING:
    import pyarrow

__all__ = ["JsonFormat"]

MAYBE_NULL = re.compile(r"(?:^|\})[ \t\r]*null", re.MULTILINE)  # in a string, it is none
NEXT = re.compile(r"\s*\S")  # to where a value begins


@dataclass(frozen=True)
class JsonFormat:
    """One JSON object a line; `schema` None: inferred from the beginning of the first file."""

    ending: ClassVar[str] = ".json"
    first_row: ClassVar[int] = 1
    way_out: ClassVar[str] = TEXT_WAY_OUT

    schema: pyarrow.Schema | None = None

    def schema_of(self, file: str) -> pyarrow.Schema | None:
        """Return the given schema, or what the first megabyte looks like."""
        if self.schema is not None:
            return self.schema
        arrow = require("pyarrow", extra="arrow")
        for first_line, block in _blocks(file):
            try:
                schema: pyarrow.Schema = self._table(block, None).schema
            except arrow.ArrowInvalid:
                raise self._bad_row(first_line, block, None) from None
            _require_exact_lines(block, schema)
            return schema
        return None

    def check(self, file: str, schema: pyarrow.Schema) -> None:
        """Do nothing: which columns there are is only seen in the rows."""

    def read(self, file: str, schema: pyarrow.Schema) -> Iterator[pyarrow.RecordBatch]:
        """Yield blocks of lines."""
        arrow = require("pyarrow", extra="arrow")
        for first_line, block in _blocks(file):
            try:
                table = self._table(block, schema)
            except arrow.ArrowInvalid:
                raise self._bad_row(first_line, block, schema) from None
            yield from table.to_batches()

    def _table(self, block: bytes, schema: pyarrow.Schema | None) -> pyarrow.Table:
        _require_objects(_text_of(block))
        table = self._parse(block, schema)
        _require_object_a_line(block, table.num_rows)
        if schema is None:
            return table
        table = table.select(schema.names)
        for field, column in zip(schema, table.columns, strict=True):
            _require_whole_days(column, field)
        return table.cast(schema)

    def _parse(self, block: bytes, schema: pyarrow.Schema | None) -> pyarrow.Table:
        reading = require("pyarrow.json", extra="arrow")
        strict = "infer" if schema is None else "error" if self.schema is None else "ignore"
        return reading.read_json(
            io.BytesIO(block),
            read_options=reading.ReadOptions(use_threads=False, block_size=len(block) + 1),
            parse_options=reading.ParseOptions(
                explicit_schema=None if schema is None else _as_parsed(schema),
                unexpected_field_behavior=strict,
            ),
        )

    def _bad_row(self, first_line: int, block: bytes, schema: pyarrow.Schema | None) -> BadRowError:
        """Look for the first line with which it does not go, by halves; only if a block failed."""
        lines = block.split(b"\n")
        good, bad = 0, len(lines)
        while bad - good > 1:
            middle = (good + bad) // 2
            if self._error_of(b"\n".join(lines[:middle]), schema):
                bad = middle
            else:
                good = middle
        reason = self._error_of(lines[bad - 1], schema) or "it does not go with those before it"
        return BadRowError(f"row {first_line + bad - 1}: {reason}")

    def _error_of(self, text: bytes, schema: pyarrow.Schema | None) -> str | None:
        arrow = require("pyarrow", extra="arrow")
        if not text.strip():
            return None
        try:
            self._table(text, schema)
        except arrow.ArrowInvalid as error:
            return re.sub(r" in row \d+\.?$", "", str(error))  # of the one line
        return None


def _require_exact_lines(block: bytes, schema: pyarrow.Schema) -> None:
    arrow = require("pyarrow", extra="arrow")
    doubtful = {
        field.name
        for field in schema
        if arrow.types.is_float64(getattr(field.type, "value_type", field.type))
    }
    if not doubtful:
        return
    integers: dict[str, list[int]] = {name: [] for name in doubtful}
    for line in block.split(b"\n"):
        with contextlib.suppress(ValueError):  # of a bad row, which will end the job
            found = json.loads(line)
            for name, row in found.items() if isinstance(found, dict) else ():
                for value in row if isinstance(row, list) else (row,):
                    if isinstance(value, float):
                        integers.pop(name, None)
                    elif isinstance(value, int) and name in integers:
                        integers[name].append(value)
    for name, values in integers.items():
        require_exact(name, values)


def _text_of(block: bytes) -> str:
    """Return the text, or raise ArrowInvalid: pyarrow would let it in."""
    arrow = require("pyarrow", extra="arrow")
    try:
        return block.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        wrong = f"0x{error.object[error.start]:02x}"
        raise arrow.ArrowInvalid(f"the text is not UTF-8: it has {wrong}") from None


def _require_objects(text: str) -> None:
    """Raise ArrowInvalid for null in place of an object, on which pyarrow's reader crashes."""
    if not MAYBE_NULL.search(text):
        return
    arrow = require("pyarrow", extra="arrow")
    decoder, place = json.JSONDecoder(), 0
    while begin := NEXT.match(text, place):
        try:
            found, place = decoder.raw_decode(text, begin.end() - 1)
        except ValueError:
            return  # the reader comes upon it first
        if found is None:
            raise arrow.ArrowInvalid("null is no object")


def _require_object_a_line(block: bytes, rows: int) -> None:
    """Raise ArrowInvalid where lines and objects differ, which pyarrow does not mind."""
    lines = sum(1 for line in block.split(b"\n") if line.strip())
    if rows == lines:
        return
    arrow = require("pyarrow", extra="arrow")
    several = "several objects on a line" if rows > lines else "an object of several lines"
    raise arrow.ArrowInvalid(f"there is {several}. Give each a line of its own")


def _require_whole_days(column: pyarrow.ChunkedArray, field: pyarrow.Field) -> None:
    """Raise ArrowInvalid for a time that is to be a date: a cast would cut it off."""
    arrow = require("pyarrow", extra="arrow")
    if arrow.types.is_list(field.type):
        elements = arrow.chunked_array([chunk.flatten() for chunk in column.chunks])
        _require_whole_days(elements, field.with_type(field.type.value_type))
        return
    if not arrow.types.is_date32(field.type):
        return
    days = column.cast(field.type).cast(column.type)
    first = require("pyarrow.compute", extra="arrow").not_equal(days, column).index(True).as_py()
    if first >= 0:
        raise arrow.ArrowInvalid(f"column {field.name!r} is a date, but {column[first]} has a time")


def _as_parsed(schema: pyarrow.Schema) -> pyarrow.Schema:
    """Return what JSON is parsed to before it is cast: pyarrow does not parse to all types."""
    arrow = require("pyarrow", extra="arrow")

    def parsed(kind: pyarrow.DataType) -> pyarrow.DataType:
        if arrow.types.is_dictionary(kind):
            return parsed(kind.value_type)
        if arrow.types.is_list(kind):
            return arrow.list_(parsed(kind.value_type))
        if arrow.types.is_date32(kind):
            return arrow.timestamp("s")
        return arrow.int64() if arrow.types.is_duration(kind) else kind

    return arrow.schema([field.with_type(parsed(field.type)) for field in schema])


def _blocks(file: str) -> Iterator[tuple[int, bytes]]:
    """Yield whole lines, about a megabyte at a time, with the number of the first."""
    arrow = require("pyarrow", extra="arrow")
    line, rest = 1, b""
    with arrow.input_stream(file) as stream:
        while read := stream.read(BLOCK_BYTES):
            text = rest + read
            end = text.rfind(b"\n") + 1
            block, rest = text[:end], text[end:]
            if block.strip():
                yield line, block
            line += block.count(b"\n")
    if rest.strip():
        yield line, rest
