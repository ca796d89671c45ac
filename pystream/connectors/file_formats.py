"""How each format is read: its schema without its rows, then its rows in bounded batches."""

from __future__ import annotations

import contextlib
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pystream.errors import ConfigError, SchemaError
from pystream.log._optional import require

if TYPE_CHECKING:
    import pyarrow

__all__ = ["BadRowError", "CsvFormat", "FileFormat", "JsonFormat", "ParquetFormat"]

BATCH_ROWS = 65_536
BLOCK_BYTES = 1 << 20  # of CSV and JSON in memory at once
CSV_BLOCKS = (BLOCK_BYTES, 8 * BLOCK_BYTES, 64 * BLOCK_BYTES)  # for rows that are longer


EXACT_FLOATS = 2**53  # up to which a float64 holds every integer

TEXT_WAY_OUT = (
    "Pass schema= with the columns and their types, for a column that has no values yet too."
)


class BadRowError(Exception):
    """A row that cannot be read; the message says which, counted from 1 as editors do."""


class FileFormat(Protocol):
    """A format with its options."""

    ending: ClassVar[str]  # of files in a directory
    first_row: ClassVar[int]  # its number, where the first line of a text is 1
    way_out: ClassVar[str]  # for whom a column has a type that pystream does not have

    def schema_of(self, file: str) -> pyarrow.Schema | None:
        """Return the columns of a file, or those that were asked for; None: it is empty."""

    def check(self, file: str, schema: pyarrow.Schema) -> None:
        """Raise SchemaError when the file is known not to have these columns."""

    def read(self, file: str, schema: pyarrow.Schema) -> Iterator[pyarrow.RecordBatch]:
        """Yield the rows, as batches of `schema`."""


@dataclass(frozen=True)
class ParquetFormat:
    """Parquet; `columns` None: all."""

    ending: ClassVar[str] = ".parquet"
    first_row: ClassVar[int] = 1
    way_out: ClassVar[str] = "Pass columns= without it."

    columns: tuple[str, ...] | None = None

    def schema_of(self, file: str) -> pyarrow.Schema:
        """Return the schema in the file's footer."""
        arrow = require("pyarrow", extra="arrow")
        schema = require("pyarrow.parquet", extra="arrow").read_schema(file).remove_metadata()
        names = schema.names if self.columns is None else self.columns
        _require_columns(schema.names, names)
        if self.columns is None:
            return schema
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise SchemaError(f"columns= names {twice[0]!r} twice. Name it once.", column=twice[0])
        return arrow.schema([schema.field(name) for name in self.columns])

    def check(self, file: str, schema: pyarrow.Schema) -> None:
        """Compare footers."""
        found = self.schema_of(file)
        _require_columns(found.names, schema.names, also_exact=True)
        for field in schema:
            if found.field(field.name).type != field.type:
                raise SchemaError(
                    f"column {field.name!r} is {found.field(field.name).type}, but {field.type} in "
                    "the files before it. Read them apart, or write them with one schema."
                )

    def read(self, file: str, schema: pyarrow.Schema) -> Iterator[pyarrow.RecordBatch]:
        """Yield parts of row groups."""
        self.check(file, schema)
        arrow = require("pyarrow", extra="arrow")
        parquet = require("pyarrow.parquet", extra="arrow")
        names = schema.names
        with parquet.ParquetFile(file) as opened:
            for batch in opened.iter_batches(BATCH_ROWS, columns=names):
                columns = [batch.column(name) for name in names]
                yield arrow.RecordBatch.from_arrays(columns, schema=schema)


@dataclass(frozen=True)
class CsvFormat:
    """CSV with a header; `schema` None: inferred from the beginning of the first file."""

    ending: ClassVar[str] = ".csv"
    first_row: ClassVar[int] = 2
    way_out: ClassVar[str] = TEXT_WAY_OUT

    schema: pyarrow.Schema | None = None
    delimiter: str = ","

    def __post_init__(self) -> None:
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
        _require_columns(schema.names, schema.names)
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
                _require_exact(name, [Decimal(text) for text in digits])
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
        _require_columns(names, schema.names, also_exact=self.schema is None)
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
        for first_line, block in _blocks(file):
            _require_text(block, first_line)
            schema: pyarrow.Schema = self._parse(block, None).schema
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

    def _table(self, block: bytes, schema: pyarrow.Schema) -> pyarrow.Table:
        _require_text(block)
        table = self._parse(block, schema).select(schema.names)
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

    def _bad_row(self, first_line: int, block: bytes, schema: pyarrow.Schema) -> BadRowError:
        """Look for the first line that does not go, by halves; only when a block failed."""
        lines = block.split(b"\n")
        begin, end = 0, len(lines)
        while end - begin > 1:
            middle = (begin + end) // 2
            found = self._error_of(b"\n".join(lines[begin:middle]), schema)
            begin, end = (begin, middle) if found else (middle, end)
        reason = self._error_of(lines[begin], schema) or "it does not go with those before it"
        return BadRowError(f"row {first_line + begin}: {reason}")

    def _error_of(self, text: bytes, schema: pyarrow.Schema) -> str | None:
        arrow = require("pyarrow", extra="arrow")
        if not text.strip():
            return None
        try:
            self._table(text, schema)
        except arrow.ArrowInvalid as error:
            return str(error)
        return None


def _require_exact_lines(block: bytes, schema: pyarrow.Schema) -> None:
    arrow = require("pyarrow", extra="arrow")
    doubtful = {field.name for field in schema if arrow.types.is_float64(field.type)}
    if not doubtful:
        return
    integers: dict[str, list[int]] = {name: [] for name in doubtful}
    for line in block.split(b"\n"):
        with contextlib.suppress(ValueError):  # of a bad row, which will end the job
            for name, value in json.loads(line).items():
                if isinstance(value, float):
                    integers.pop(name, None)
                elif isinstance(value, int) and name in integers:
                    integers[name].append(value)
    for name, values in integers.items():
        _require_exact(name, values)


def _require_exact(name: str, integers: list[int] | list[Decimal]) -> None:
    """Raise SchemaError for integers that a float64 may not hold."""
    for value in integers:
        if not -EXACT_FLOATS <= value <= EXACT_FLOATS:
            raise SchemaError(
                f"column {name!r} has the integer {value}, but would be float64, which rounds it. "
                "Pass schema= with the type that it shall have: decimal128, string or float64.",
                column=name,
            )


def _require_text(block: bytes, first_line: int | None = None) -> None:
    """Raise ArrowInvalid for what is not UTF-8; with its line, if the first has a number."""
    arrow = require("pyarrow", extra="arrow")
    try:
        block.decode()
    except UnicodeDecodeError as error:
        line = block.count(b"\n", 0, error.start)
        row = "" if first_line is None else f"row {first_line + line}: "
        place = error.start - block.rfind(b"\n", 0, error.start)
        wrong = f"0x{block[error.start]:02x} as byte {place} of the line"
        raise arrow.ArrowInvalid(f"{row}the text is not UTF-8: {wrong}") from None


def _require_whole_days(column: pyarrow.ChunkedArray, field: pyarrow.Field) -> None:
    """Raise ArrowInvalid for a time that is to be a date: a cast would cut it off."""
    arrow = require("pyarrow", extra="arrow")
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


def _require_columns(
    found: list[str], wanted: list[str] | tuple[str, ...], *, also_exact: bool = False
) -> None:
    missing = [name for name in wanted if name not in found]
    if missing:
        raise SchemaError(
            f"there is no column {missing[0]!r}; the columns are {', '.join(found)}. Name columns "
            "that every file has.",
            column=missing[0],
        )
    counts = Counter(found)
    twice = [name for name in wanted if counts[name] > 1]
    if twice:
        raise SchemaError(
            f"there is a column {twice[0]!r} twice. Rename one of them.", column=twice[0]
        )
    more = [name for name in found if name not in wanted]
    if also_exact and more:
        raise SchemaError(
            f"there is a column {more[0]!r}, which the files before it do not have. Name the "
            "columns to be read.",
            column=more[0],
        )
