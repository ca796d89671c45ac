"""The formats in which ``pystream consume`` writes: one writer each."""

from __future__ import annotations

import json
from typing import IO, Any, Protocol

import numpy as np
from rich.cells import cell_len, set_cell_size

from pystream._native import Array, RecordBatch, Schema
from pystream.cli.forms import Format
from pystream.cli.json_text import column_texts, time_texts
from pystream.errors import ConfigError, NotSupportedError
from pystream.log._optional import require

__all__ = ["Writer", "open_writer"]

_GROUP_ROWS = 131_072  # of Parquet, gathered before they are written
_FIRST_YEAR, _LAST_YEAR = np.datetime64("0000", "Y"), np.datetime64("9999", "Y")
_CELL = 60  # of a table: longer texts are cut


class Writer(Protocol):
    """Writes batches to a binary file, and flushes nothing."""

    is_complete_early: bool
    """Whether what was written can be read before `close`."""

    def write(self, batch: RecordBatch) -> None:
        """Write all rows."""

    def close(self) -> None:
        """Write what belongs to the end; the file is the caller's."""


def open_writer(
    form: Format,
    out: IO[bytes],
    schema: Schema,
    *,
    delimiter: bytes = b"\n",
    key_separator: bytes | None = None,
    is_coloured: bool = False,
) -> Writer:
    """Return a writer of a format.

    Raises
    ------
    NotSupportedError
        If the format has no place for a column's type; names it.
    ConfigError
        If the format needs other columns.
    """
    if form is Format.RAW:
        return _RawWriter(out, schema, delimiter, key_separator)
    if form is Format.CSV:
        return _CsvWriter(out, schema)
    if form is Format.PARQUET:
        return _ParquetWriter(out, schema)
    return _TableWriter(out, is_coloured) if form is Format.TABLE else _JsonWriter(out)


class _JsonWriter:
    """One object a line."""

    is_complete_early = True

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out

    def write(self, batch: RecordBatch) -> None:
        names = batch.schema.names
        columns = [_json_texts(batch, at, name) for at, name in enumerate(names)]
        # Names are text: a % in one is no place for a value.
        pairs = (f"{json.dumps(name, ensure_ascii=False)}: ".replace("%", "%%") for name in names)
        line = "{" + ", ".join(pair + "%s" for pair in pairs) + "}\n"
        self._out.write("".join(map(line.__mod__, zip(*columns, strict=True))).encode())

    def close(self) -> None: ...


def _json_texts(batch: RecordBatch, at: int, name: str) -> list[str]:
    if name == "_headers":  # is JSON already
        return [text or "null" for text in batch.column(at).to_pylist()]
    return column_texts(batch.column(at))


class _RawWriter:
    """The values and nothing else; null is nothing, too."""

    is_complete_early = True

    def __init__(
        self, out: IO[bytes], schema: Schema, delimiter: bytes, key_separator: bytes | None
    ) -> None:
        self._out = out
        self._delimiter = delimiter
        self._separator = key_separator
        names = schema.names
        wanted = ["key", "value"] if key_separator is not None else ["value"]
        if key_separator is None and len(names) == 1:
            wanted = names
        kinds = {name: kind.kind for name, kind, _ in schema.fields}
        if any(kinds.get(name) not in ("string", "binary") for name in wanted):
            raise ConfigError(
                f"--format raw writes {' and '.join(wanted)} as they are, but the columns are "
                f"{schema}. Pick a single text with --columns, or write JSON or CSV."
            )
        self._wanted = wanted

    def write(self, batch: RecordBatch) -> None:
        columns = [_as_bytes(batch, name) for name in self._wanted]
        if self._separator is None:
            lines = columns[0]
        else:
            lines = list(map(self._separator.join, zip(*columns, strict=True)))
        self._out.write(self._delimiter.join([*lines, b""]))

    def close(self) -> None: ...


def _as_bytes(batch: RecordBatch, name: str) -> list[bytes]:
    column = batch.column(batch.schema.index_of(name))
    if column.type.kind == "string":
        return [b"" if value is None else value.encode() for value in column.to_pylist()]
    return [value or b"" for value in column.to_pylist()]


class _CsvWriter:
    """As `Stream.sink_to_csv` writes it; bytes are text, or an error.

    Arrow has no text for years of more than four digits, and writes others: a batch with one has
    its times as quoted texts of their own.
    """

    is_complete_early = True

    def __init__(self, out: IO[bytes], schema: Schema) -> None:
        self._arrow = require("pyarrow", extra="arrow")
        found = self._arrow.schema(schema)
        self._binary = [kind.kind == "binary" for _, kind, _ in schema.fields]
        text = self._arrow.string()
        self._schema = self._arrow.schema(
            [
                field.with_type(text) if is_binary else field
                for field, is_binary in zip(found, self._binary, strict=True)
            ]
        )
        self._out = out
        self._csv = require("pyarrow.csv", extra="arrow")
        self._writer = self._csv.CSVWriter(out, self._schema)

    def write(self, batch: RecordBatch) -> None:
        columns = self._arrow.record_batch(batch).columns
        for at, is_binary in enumerate(self._binary):
            if is_binary:
                columns[at] = self._as_text(columns[at], batch.schema.names[at])
        far = [at for at in range(len(columns)) if _has_far_times(batch.column(at))]
        if far:
            self._write_far(batch, columns, far)
        else:
            self._writer.write_batch(self._arrow.record_batch(columns, schema=self._schema))

    def _write_far(self, batch: RecordBatch, columns: list[Any], far: list[int]) -> None:
        for at in far:
            texts = time_texts(batch.column(at), separator=" ")
            columns[at] = self._arrow.array(texts, self._arrow.string())
        lines = self._arrow.BufferOutputStream()
        rows = self._arrow.record_batch(columns, names=self._schema.names)
        self._csv.write_csv(rows, lines, self._csv.WriteOptions(include_header=False))
        self._out.write(lines.getvalue().to_pybytes())

    def _as_text(self, column: Any, name: str) -> Any:
        try:
            return column.cast(self._arrow.string())
        except self._arrow.ArrowInvalid:
            raise NotSupportedError(
                f"column {name!r} has bytes that are not UTF-8, which CSV has no form for. Write "
                "JSON, where they are base64, or Parquet.",
                column=name,
            ) from None

    def close(self) -> None:
        self._writer.close()


def _has_far_times(column: Array) -> bool:
    if column.type.kind not in ("timestamp", "date32"):
        return False
    years = column.to_numpy().astype("datetime64[Y]")
    return bool(((years < _FIRST_YEAR) | (years > _LAST_YEAR)).any())


class _ParquetWriter:
    """One file, which is complete when it is closed."""

    is_complete_early = False

    def __init__(self, out: IO[bytes], schema: Schema) -> None:
        self._arrow = require("pyarrow", extra="arrow")
        self._schema = self._arrow.schema(schema)
        parquet = require("pyarrow.parquet", extra="arrow")
        self._writer = parquet.ParquetWriter(out, self._schema)
        self._gathered: list[Any] = []
        self._rows = 0

    def write(self, batch: RecordBatch) -> None:
        self._gathered.append(self._arrow.record_batch(batch))
        self._rows += len(batch)
        if self._rows >= _GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._gathered:
            batches, self._gathered, self._rows = self._gathered, [], 0
            self._writer.write_table(self._arrow.Table.from_batches(batches, self._schema))

    def close(self) -> None:
        self._flush()
        self._writer.close()


class _TableWriter:
    """Aligned columns, which get wider when they must; the heading comes again when it changes."""

    is_complete_early = True

    def __init__(self, out: IO[bytes], is_coloured: bool) -> None:
        self._out = out
        self._is_coloured = is_coloured
        self._widths: dict[str, int] = {}

    def write(self, batch: RecordBatch) -> None:
        fields = batch.schema.fields
        columns = [_cells(batch, at) for at in range(len(fields))]
        is_new = list(self._widths) != batch.schema.names
        before = {} if is_new else self._widths
        self._widths = {
            name: max(before.get(name, cell_len(name)), *map(cell_len, cells))
            for (name, _, _), cells in zip(fields, columns, strict=True)
        }
        numbers = {name for name, kind, _ in fields if kind.kind.startswith(_NUMBERS)}
        if is_new:
            bold, plain = ("\x1b[1m", "\x1b[0m") if self._is_coloured else ("", "")
            heading = self._line(dict(zip(self._widths, self._widths, strict=True)), numbers)
            self._out.write(f"{bold}{heading}{plain}\n".encode())
        lines = [
            self._line(dict(zip(self._widths, row, strict=True)), numbers)
            for row in zip(*columns, strict=True)
        ]
        self._out.write(("\n".join(lines) + "\n").encode())

    def _line(self, row: dict[str, str], numbers: set[str]) -> str:
        cells = []
        for name, text in row.items():
            width = self._widths[name]
            missing = width - cell_len(text)
            cells.append(" " * missing + text if name in numbers else text + " " * missing)
        return "  ".join(cells).rstrip()

    def close(self) -> None: ...


_NUMBERS = ("int", "uint", "float", "decimal", "duration")


def _cells(batch: RecordBatch, at: int) -> list[str]:
    column = batch.column(at)
    if column.type.kind in ("timestamp", "date32"):
        return ["null" if text is None else text for text in time_texts(column)]
    return [_cell(text) for text in column_texts(column)]


def _cell(text: str) -> str:
    """Return a JSON text as people read it, without what would move a terminal's cursor."""
    if text.startswith('"') and "\\" not in text:
        text = text[1:-1]
    text = "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in text)
    return text if cell_len(text) <= _CELL else set_cell_size(text, _CELL - 1) + "…"
