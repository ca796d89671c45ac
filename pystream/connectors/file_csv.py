"""CSV as a format of files, read in blocks of lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

from pystream.connectors.file_formats import (
    BLOCK_BYTES,
    TEXT_WAY_OUT,
    BadRowError,
    require_columns,
    require_exact,
)
from pystream.errors import ConfigError, NotSupportedError, SchemaError
from pystream.log._optional import require

if TYPE_CHECKING:
    import pyarrow

__all__ = ["CsvFormat"]

CSV_BLOCKS = (BLOCK_BYTES, 8 * BLOCK_BYTES, 64 * BLOCK_BYTES)  # for rows that are longer


@dataclass(frozen=True)
class CsvFormat:
    """CSV with a header; `schema` None: inferred from the beginning of the first file."""

    ending: ClassVar[str] = ".csv"
    first_row: ClassVar[int] = 2
    way_out: ClassVar[str] = TEXT_WAY_OUT

    schema: pyarrow.Schema | None = None
    delimiter: str = ","

    def __post_init__(self) -> None:
        arrow = require("pyarrow", extra="arrow")
        for field in () if self.schema is None else self.schema:
            if arrow.types.is_list(field.type):
                raise NotSupportedError(
                    f"from_csv: column {field.name!r} is {field.type}, which CSV has no form for. "
                    "Read it as string, or leave the column out.",
                    column=field.name,
                )
        given: object = self.delimiter
        is_one = isinstance(given, str) and len(given) == 1 and given.isascii()
        if not is_one or self.delimiter in '"\r\n\0':
            raise ConfigError(
                f"from_csv: delimiter={given!r} is not one ASCII character other than a quote or "
                'the end of a line. Pass for example ";" or "\\t".'
            )

    def schema_of(self, file: str) -> pyarrow.Schema | None:
        """Return the given schema, or what the first megabyte looks like."""
        if self.schema is not None:
            if not _is_empty(file):
                self._check_header(file, self.schema)
            return self.schema
        if _is_empty(file):
            return None
        arrow = require("pyarrow", extra="arrow")
        schema = self._look(file)
        require_columns(schema.names, schema.names)
        for field in schema:
            if arrow.types.is_binary(field.type):
                raise SchemaError(
                    f"column {field.name!r} is not UTF-8. Convert the file, or pass a schema= in "
                    "which the column is binary.",
                    column=field.name,
                )
        doubtful = [field for field in schema if arrow.types.is_float64(field.type)]
        for name, texts in self._first_texts(file, doubtful, is_single=len(schema) == 1):
            if not any(set(text) & set(".eE") for text in texts):
                digits = [text for text in texts if text.strip().lstrip("+-").isdecimal()]
                require_exact(name, [Decimal(text) for text in digits])
        return schema

    def _first_texts(
        self, file: str, fields: list[pyarrow.Field], *, is_single: bool
    ) -> list[tuple[str, list[str]]]:
        """Return what is written in columns, as far as their types were inferred from it."""
        arrow = require("pyarrow", extra="arrow")
        as_text = arrow.schema([field.with_type(arrow.string()) for field in fields])
        for block_bytes in CSV_BLOCKS if fields else ():
            try:
                with self._open(file, as_text, block_bytes, is_single=is_single) as reader:
                    batch = reader.read_next_batch()
            except StopIteration:
                break
            except arrow.ArrowInvalid as error:
                if _is_about_block(error):
                    continue
                break  # a bad row, which will end the job
            return [
                (name, column.drop_null().to_pylist())
                for name, column in zip(as_text.names, batch.columns, strict=True)
            ]
        return []

    def check(self, file: str, schema: pyarrow.Schema) -> None:
        """Compare headers."""
        if not _is_empty(file):
            self._check_header(file, schema)

    def read(self, file: str, schema: pyarrow.Schema) -> Iterator[pyarrow.RecordBatch]:
        """Yield blocks of lines."""
        if _is_empty(file):
            return
        arrow = require("pyarrow", extra="arrow")
        is_single = self._check_header(file, schema) == 1
        done = 0
        for block_bytes in CSV_BLOCKS:
            row = 0
            try:
                with self._open(file, schema, block_bytes, is_single=is_single) as reader:
                    for batch in reader:
                        fresh = batch.slice(min(max(done - row, 0), batch.num_rows))
                        row += batch.num_rows
                        done = max(done, row)
                        yield arrow.RecordBatch.from_arrays(fresh.columns, schema=schema)
                return
            except arrow.ArrowInvalid as error:
                if not _is_about_block(error):
                    raise BadRowError(str(error)) from None
        raise _too_long(self.first_row + done)

    def _check_header(self, file: str, schema: pyarrow.Schema) -> int:
        """Return the number of columns."""
        names = self._look(file).names
        require_columns(names, schema.names, also_exact=self.schema is None)
        return len(names)

    def _look(self, file: str) -> pyarrow.Schema:
        arrow = require("pyarrow", extra="arrow")
        for block_bytes in CSV_BLOCKS:
            try:
                with self._open(file, None, block_bytes, is_single=False) as reader:
                    schema: pyarrow.Schema = reader.schema
                if len(schema.names) == 1:
                    with self._open(file, None, block_bytes, is_single=True) as reader:
                        schema = reader.schema
                return schema
            except arrow.ArrowInvalid as error:
                if not _is_about_block(error):
                    raise
            except UnicodeDecodeError:
                raise BadRowError("the header is not UTF-8") from None
        raise _too_long(self.first_row)

    def _open(
        self, file: str, schema: pyarrow.Schema | None, block_bytes: int, *, is_single: bool
    ) -> Any:
        """Open for a look (no schema) or to be read."""
        csv = require("pyarrow.csv", extra="arrow")
        convert = csv.ConvertOptions(
            column_types=schema,
            include_columns=None if schema is None else schema.names,
            # Nothing is null, two quotes are the empty string: what the sink writes.
            null_values=[""],  # NA is Namibia, and nan is a number
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        return csv.open_csv(
            file,
            read_options=csv.ReadOptions(
                use_threads=False,  # one thread: others lose count of the rows
                block_size=block_bytes,
                skip_rows=_lines_before_header(file) if is_single else 0,
            ),
            parse_options=csv.ParseOptions(
                delimiter=self.delimiter,
                newlines_in_values=True,
                # In a single column, an empty line is a null: what the sink writes.
                ignore_empty_lines=not is_single,
                # Looking into a file is not reading it: bad rows end the job, with their number.
                invalid_row_handler=(lambda _: "skip") if schema is None else None,
            ),
            convert_options=convert,
        )


def _is_about_block(error: Exception) -> bool:
    return str(error).startswith("straddling object")


def _too_long(row: int) -> BadRowError:
    return BadRowError(
        f"row {row} or one soon after it is longer than {CSV_BLOCKS[-1]} bytes, or has a quote "
        "that nothing closes"
    )


def _is_empty(file: str) -> bool:
    arrow = require("pyarrow", extra="arrow")
    with arrow.input_stream(file) as stream:
        while read := stream.read(BLOCK_BYTES):
            if read.strip(b"\r\n"):
                return False
    return True


def _lines_before_header(file: str) -> int:
    arrow = require("pyarrow", extra="arrow")
    begin = b""
    with arrow.input_stream(file) as stream:
        while not begin.lstrip(b"\r\n") and (read := stream.read(BLOCK_BYTES)):
            begin += read
    empty = begin[: len(begin) - len(begin.lstrip(b"\r\n"))]
    return len(empty.splitlines())
