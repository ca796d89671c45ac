"""Files as a sink: written under another name, whole and synced before they get their own."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import tempfile
from typing import TYPE_CHECKING, Any, Protocol

from pystream._native import RecordBatch, Schema, export_stream
from pystream.errors import NotSupportedError, OperatorError
from pystream.log._optional import require

if TYPE_CHECKING:
    import pyarrow

__all__ = ["FileSink", "FileWriter"]

GROUP_ROWS = 131_072  # rows gathered before they are written: a row group of Parquet


class FileSink:
    """A file that a job writes.

    Parameters
    ----------
    method : str
        For messages: ``"sink_to_csv"``.
    path : str
        Of the file. One that exists is replaced, when the new one is complete.
    form : {"parquet", "csv", "json"}
    schema : Schema
        Of the rows.

    Raises
    ------
    NotSupportedError
        If the format has no place for a column's type; names the column.
    """

    def __init__(self, method: str, path: str, form: str, schema: Schema) -> None:
        self.method = method
        self.path = os.path.abspath(path)
        self.form = form
        self.schema = schema
        require("pyarrow", extra="arrow")
        for name, dtype, _ in schema.fields:
            is_binary = "binary" in (str(dtype), str(dtype.element))
            if (form != "parquet" and is_binary) or (form == "csv" and dtype.element is not None):
                raise NotSupportedError(
                    f"{method}: column {name!r} is {dtype}, which {form.upper()} has no form for. "
                    "Write Parquet, or leave the column out.",
                    column=name,
                )

    def open(self, operator: str) -> FileWriter:
        """Return a writer for one run of a job."""
        return FileWriter(self, operator)


class _Form(Protocol):
    def write(self, table: pyarrow.Table) -> None: ...
    def close(self) -> None: ...


class FileWriter:
    """Writes the rows of one run: :meth:`commit` makes the file appear, :meth:`abort` nothing."""

    def __init__(self, sink: FileSink, operator: str) -> None:
        self._sink = sink
        self._operator = operator
        self._gathered: list[RecordBatch] = []
        self._rows = 0
        directory = os.path.dirname(sink.path)
        os.makedirs(directory, exist_ok=True)
        # Hidden, in the same directory: a rename is atomic only within a file system.
        descriptor, self._temporary = tempfile.mkstemp(
            prefix=f".{os.path.basename(sink.path)}.", suffix=".tmp", dir=directory
        )
        self._file = os.fdopen(descriptor, "wb")
        self._form: _Form | None = None
        try:
            self._form = _form_of(sink, self._file)
        except BaseException:
            self.abort()
            raise

    def write(self, batches: list[RecordBatch]) -> None:
        """Take rows; what is gathered is at most a row group and what comes at once."""
        self._gathered += batches
        self._rows += sum(batch.num_rows for batch in batches)
        if self._rows >= GROUP_ROWS:
            self._flush()

    def commit(self) -> None:
        """Complete the file, sync it, and give it its name."""
        self._flush()
        assert self._form is not None
        self._form.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(self._temporary, 0o666 & ~mask)
        os.replace(self._temporary, self._sink.path)
        directory = os.open(os.path.dirname(self._sink.path), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def abort(self) -> None:
        """Leave nothing behind."""
        if self._form is not None:
            with contextlib.suppress(Exception):  # what cannot be completed is not wanted
                self._form.close()
        self._file.close()
        if os.path.exists(self._temporary):
            os.unlink(self._temporary)

    def _flush(self) -> None:
        if not self._gathered:
            return
        arrow = require("pyarrow", extra="arrow")
        batches, self._gathered, self._rows = self._gathered, [], 0
        table = arrow.table(_Stream(self._sink.schema, batches))
        assert self._form is not None
        try:
            self._form.write(table)
        except ValueError as error:
            raise OperatorError(
                f"operator {self._operator!r}: {self._sink.path}: {error}. Filter such rows out, "
                "or write Parquet.",
                operator=self._operator,
            ) from error


class _Stream:
    """Batches as Arrow takes them."""

    def __init__(self, schema: Schema, batches: list[RecordBatch]) -> None:
        self._schema = schema
        self._batches = batches

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return export_stream(self._schema, self._batches)


def _form_of(sink: FileSink, file: Any) -> _Form:
    schema = require("pyarrow", extra="arrow").schema(sink.schema)
    if sink.form == "parquet":
        parquet: _Form = require("pyarrow.parquet", extra="arrow").ParquetWriter(file, schema)
        return parquet
    if sink.form == "csv":
        csv: _Form = require("pyarrow.csv", extra="arrow").CSVWriter(file, schema)
        return csv
    return _JsonLines(file)


class _JsonLines:
    """One object a line. Times are ISO 8601, as pyarrow reads them; decimals are text."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, table: pyarrow.Table) -> None:
        arrow = require("pyarrow", extra="arrow")
        columns = [_as_json(arrow, column) for column in table.columns]
        names = [json.dumps(name) for name in table.column_names]
        for values in zip(*columns, strict=True):
            # NaN and the infinities are no JSON: a ValueError, which names them.
            pairs = (
                f"{name}: {json.dumps(value, allow_nan=False, ensure_ascii=False)}"
                for name, value in zip(names, values, strict=True)
            )
            self._file.write(("{" + ", ".join(pairs) + "}\n").encode())

    def close(self) -> None:
        """Do nothing: the file is the caller's."""


def _as_json(arrow: Any, column: pyarrow.ChunkedArray) -> list[Any]:
    kind = column.type
    if arrow.types.is_list(kind):
        return [row for chunk in column.chunks for row in _lists_as_json(arrow, chunk)]
    if arrow.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = kind.value_type
    if arrow.types.is_duration(kind):
        column = column.cast(arrow.int64())
    elif arrow.types.is_temporal(kind) or arrow.types.is_decimal(kind):
        column = column.cast(arrow.string())
    values: list[Any] = column.to_pylist()
    return values


def _lists_as_json(arrow: Any, lists: pyarrow.ListArray) -> list[list[Any] | None]:
    elements = iter(_as_json(arrow, arrow.chunked_array([lists.flatten()])))
    lengths = require("pyarrow.compute", extra="arrow").list_value_length(lists).to_pylist()
    return [None if n is None else list(itertools.islice(elements, n)) for n in lengths]
