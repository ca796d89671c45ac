"""Input as parts to be sent: tables, with the number of the line or row of each record."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from pystream.cli.csv_floats import find_misread
from pystream.cli.input_lines import BadInputError, Input, line_blocks
from pystream.cli.json_values import converters_of, read_headers, ticks_of
from pystream.errors import ConfigError, NotSupportedError, SchemaError
from pystream.log._optional import require

if TYPE_CHECKING:
    from pystream import Topic

__all__ = ["Extra", "Part", "csv_parts", "json_parts", "parquet_parts", "raw_parts"]

_META = ("_topic", "_partition", "_offset", "_timestamp", "_headers")
_PARQUET_ROWS = 65_536
_LINE_END = re.compile(rb"\r\n?|\n")  # as Arrow has them
_ARROW_ROW = re.compile(
    r"(?:In CSV column #(\d+): |CSV parse error: )Row #(\d+): (?:CSV )?(.*)", re.S
)


@dataclass(frozen=True)
class Extra:
    """What ``--meta`` says of a record."""

    partition: int | None = None
    timestamp: int | None = None
    headers: list[tuple[str, bytes | str | None]] = field(default_factory=list)


@dataclass(frozen=True)
class Part:
    """Records that are sent together.

    Attributes
    ----------
    table : object
        As `Producer.send_batch` takes it.
    count : int
        Of records.
    unit : str
        ``"line"`` or ``"row"``, of which `places` are the numbers.
    places : sequence of int
        Of each record in the input, from 1.
    extras : list of Extra, optional
        Of each record.
    error : BadInputError, optional
        What is wrong with the input right behind these records.
    """

    table: Any
    count: int
    unit: str
    places: Sequence[int]
    extras: list[Extra] | None = None
    error: BadInputError | None = None


# -- JSON lines ------------------------------------------------------------------------------------


def json_parts(source: Input, topic: Topic, *, with_meta: bool) -> Iterator[Part]:
    """Yield the objects of JSON lines; empty lines are none."""
    converters = converters_of(topic.schema)
    has_decimals = any(kind.kind == "decimal128" for _, kind, _ in topic.schema.fields)
    decode = json.JSONDecoder(
        parse_float=Decimal if has_decimals else None,
        parse_constant=Decimal,  # so that infinity is told from a number that is too large
    ).decode
    line = 0
    for block in line_blocks(source, b"\n"):
        rows: list[Any] = []
        places: list[int] = []
        extras: list[Extra] = []
        error = None
        for text in block.split(b"\n"):
            line += 1
            try:
                row = _read_line(text, decode, is_first=line == 1)
                if row is None:
                    continue
                if with_meta:
                    extras.append(_take_extra(row))
                for name, convert in converters.items():
                    if row.get(name) is not None:
                        row[name] = _convert(name, convert, row[name])
            except BadInputError as bad:
                error = BadInputError(f"line {line}: {bad}")
                break
            rows.append(row)
            places.append(line)
        line -= error is None and block.endswith(b"\n")
        if rows or error:
            known = extras[: len(rows)] if with_meta else None
            yield Part(rows, len(rows), "line", places, known, error)
        if error:
            return


def _read_line(
    text: bytes, decode: Callable[[str], Any], *, is_first: bool
) -> dict[str, Any] | None:
    try:
        written = text.decode("utf-8-sig" if is_first else "utf-8")
        row = decode(written) if written.strip() else None
    except UnicodeDecodeError:
        raise BadInputError("the text is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"this is no JSON: {error}") from None
    if row is not None and not isinstance(row, dict):
        raise BadInputError(f"{written.strip()[:40]} is no object")
    if row is None and written.strip():
        raise BadInputError("null is no object")
    return row


def _convert(name: str, convert: Callable[[Any], Any], value: Any) -> Any:
    try:
        return convert(value)
    except ValueError as error:
        raise BadInputError(f"column {name!r}: {error}") from None


def _take_extra(row: dict[str, Any]) -> Extra:
    given = {name: row.pop(name, None) for name in _META}
    partition, timestamp = given["_partition"], given["_timestamp"]
    try:
        if isinstance(timestamp, str):
            timestamp = ticks_of(timestamp, "us", has_zone=True)
        headers = read_headers(given["_headers"])
    except ValueError as error:
        raise BadInputError(str(error)) from None
    for name, value in (("_partition", partition), ("_timestamp", timestamp)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise BadInputError(f"{name} is {value!r}, which is none")
    return Extra(partition, timestamp, headers)


# -- raw -------------------------------------------------------------------------------------------


def raw_parts(
    source: Input, topic: Topic, *, delimiter: bytes, key_separator: bytes | None
) -> Iterator[Part]:
    """Yield lines as values, with what comes before a separator as keys."""
    name, is_text = _raw_column(topic, key_separator)
    line = 0
    for block in line_blocks(source, delimiter):
        values: list[Any] = block.removesuffix(delimiter).split(delimiter)
        places = range(line + 1, line + 1 + len(values))
        line += len(values)
        table: dict[str, Any] = {}
        error = None
        if key_separator is not None:
            split = [value.partition(key_separator) for value in values]
            bad = next((row for row, (_, found, _) in enumerate(split) if not found), None)
            if bad is not None:
                split = split[:bad]
                error = BadInputError(f"line {places[bad]}: there is no {key_separator!r} in it")
            table["key"] = _objects([key for key, _, _ in split])
            values = [value for _, _, value in split]
        if is_text:
            values, error = _decoded(values, places)
        table[name] = _objects(values)
        yield Part(table, len(values), "line", places, None, error)
        if error:
            return


def _raw_column(topic: Topic, key_separator: bytes | None) -> tuple[str, bool]:
    if not topic.is_typed:
        return "value", False
    fields = topic.schema.fields
    if (
        key_separator is not None
        or len(fields) != 1
        or fields[0][1].kind
        not in (
            "string",
            "binary",
        )
    ):
        raise ConfigError(
            f"--format raw is for topics without columns, or with a single text, but topic "
            f"{topic.name!r} has {topic.schema}. Produce JSON or CSV."
        )
    return fields[0][0], fields[0][1].kind == "string"


def _decoded(values: list[bytes], places: Sequence[int]) -> tuple[list[str], BadInputError | None]:
    texts: list[str] = []
    try:
        for value in values:
            texts.append(value.decode())  # what came before the error counts
    except UnicodeDecodeError:
        return texts, BadInputError(f"line {places[len(texts)]}: the text is not UTF-8")
    return texts, None


def _objects(values: list[Any]) -> Any:
    """Return an array of objects: of bytes, numpy would drop zeros at the end."""
    array = np.empty(len(values), object)
    array[:] = values
    return array


# -- CSV and Parquet -------------------------------------------------------------------------------


def csv_parts(source: Input, topic: Topic, *, with_meta: bool) -> Iterator[Part]:
    """Yield rows of CSV with a heading; their number counts the heading, as editors do."""
    arrow = require("pyarrow", extra="arrow")
    kinds = {name: kind.kind for name, kind, _ in topic.schema.fields}
    types = {item.name: item.type for item in arrow.schema(topic.schema)}
    if with_meta:
        types |= _meta_types(arrow)
    names: list[str] = []
    row = 1
    for block in line_blocks(source, b"\n", has_quotes=True):
        body = block
        if not names:
            names, body = _heading(block)
            _check_names(names, list(types), topic)
            row = 2
        read = partial(_read_csv, body, names)
        try:
            table = read(types)
            misread = find_misread(table, kinds, types, read)
            problem = None if misread is None else f"row {row + misread[0]}: {misread[1]}"
        except arrow.ArrowInvalid as error:
            problem = _csv_problem(str(error), names, row)
        if problem is not None:
            yield Part(None, 0, "row", [], None, BadInputError(problem))
            return
        for batch in table.to_batches():
            yield _table_part(arrow, batch, row, with_meta=with_meta)
            row += batch.num_rows
    if not names:
        raise BadInputError("the input is empty, but CSV begins with a heading")


def _heading(block: bytes) -> tuple[list[str], bytes]:
    """Return the names in the first row that is not empty, and what is behind it."""
    block = block.lstrip(b"\r\n")
    ends = (found.end() for found in _LINE_END.finditer(block))
    outside = (end for end in ends if block.count(b'"', 0, end) % 2 == 0)
    end = next(outside, len(block))
    try:
        text = block[:end].decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInputError("the heading is not UTF-8") from None
    return next(csv.reader(io.StringIO(text, newline="")), []), block[end:]


def _read_csv(body: bytes, names: list[str], types: dict[str, Any]) -> Any:
    reading, arrow = require("pyarrow.csv", extra="arrow"), require("pyarrow", extra="arrow")
    if not body.strip(b"\r\n") and len(names) != 1:
        return arrow.table({name: arrow.array([], types[name]) for name in names})

    def read(*, use_threads: bool) -> Any:
        return reading.read_csv(
            io.BytesIO(body),
            read_options=reading.ReadOptions(
                use_threads=use_threads, block_size=len(body) + 1, column_names=names
            ),
            parse_options=reading.ParseOptions(
                newlines_in_values=True,
                # In a single column, an empty line is a null: what consume writes.
                ignore_empty_lines=len(names) != 1,
            ),
            convert_options=reading.ConvertOptions(
                column_types=types,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )

    if not body:
        return arrow.table({name: arrow.array([], types[name]) for name in names})
    try:
        return read(use_threads=True)
    except arrow.ArrowInvalid:
        return read(use_threads=False)  # raises as well, but knows the row


def _meta_types(arrow: Any) -> dict[str, Any]:
    instant = arrow.timestamp("us", "UTC")
    kinds = (arrow.string(), arrow.int32(), arrow.int64(), instant, arrow.string())
    return dict(zip(_META, kinds, strict=True))


def _check_names(names: list[str], known: list[str], topic: Topic) -> None:
    for name in names:
        if names.count(name) > 1:
            raise BadInputError(f"there is a column {name!r} twice")
        if name not in known:
            raise BadInputError(
                f"there is a column {name!r}, which topic {topic.name!r} does not have; its "
                f"columns are {', '.join(topic.schema.names)}"
            )


def _csv_problem(message: str, names: list[str], first_row: int) -> str:
    found = _ARROW_ROW.match(message)
    if found is None:
        return message
    column, row, problem = found.groups()
    where = "" if column is None else f"column {names[int(column)]!r}: "
    return f"row {first_row - 1 + int(row)}: {where}{problem}"


def parquet_parts(source: Input, topic: Topic, *, with_meta: bool) -> Iterator[Part]:
    """Yield rows of a Parquet file; one that comes through a pipe is kept in a temporary file."""
    arrow, parquet = require("pyarrow", extra="arrow"), require("pyarrow.parquet", extra="arrow")
    with tempfile.TemporaryFile() as kept:
        file: IO[bytes] = source.file
        if not file.seekable():
            shutil.copyfileobj(source, kept, 1 << 20)
            file = kept
        try:
            opened = parquet.ParquetFile(file)
        except arrow.ArrowInvalid as error:
            raise BadInputError(f"this is no Parquet: {error}") from None
        known = [*topic.schema.names, *(_META if with_meta else ())]
        _check_names(opened.schema_arrow.names, known, topic)
        _check_zones(arrow, opened.schema_arrow, topic)
        row = 1
        for batch in opened.iter_batches(_PARQUET_ROWS):
            yield _table_part(arrow, batch, row, with_meta=with_meta)
            row += batch.num_rows


def _check_zones(arrow: Any, found: Any, topic: Topic) -> None:
    """Raise BadInputError where times have a time zone and the topic's have none, or vice versa."""
    wanted = arrow.schema(topic.schema)
    for name in wanted.names:
        at = found.get_field_index(name)
        kinds = [wanted.field(name).type, found.types[at]] if at >= 0 else []
        zones = [kind.tz for kind in kinds if arrow.types.is_timestamp(kind)]
        if len(zones) == 2 and (zones[0] is None) != (zones[1] is None):
            raise BadInputError(
                f"column {name!r}: expected {kinds[0]}, got {kinds[1]}, which has "
                f"{'no' if zones[1] is None else 'a'} time zone"
            )


def _table_part(arrow: Any, batch: Any, row: int, *, with_meta: bool) -> Part:
    places = range(row, row + batch.num_rows)
    extras = None
    if with_meta:
        extras = _extras_of(arrow, batch)
        batch = batch.select([name for name in batch.schema.names if name not in _META])
    return Part(batch, batch.num_rows, "row", places, extras)


def _extras_of(arrow: Any, batch: Any) -> list[Extra]:
    count, names = batch.num_rows, batch.schema.names
    if "_headers" in names and batch.column("_headers").null_count < count:
        raise NotSupportedError(
            "the input has _headers, which CSV and Parquet cannot bring into a topic. Produce JSON."
        )
    try:
        times = _ints(arrow, batch, "_timestamp", arrow.timestamp("us", "UTC"), arrow.int64())
        partitions = _ints(arrow, batch, "_partition", arrow.int32(), arrow.int32())
    except arrow.ArrowInvalid as error:
        raise SchemaError(f"--meta: {error}. Write them as consume --meta does.") from None
    return [Extra(partition, time) for partition, time in zip(partitions, times, strict=True)]


def _ints(arrow: Any, batch: Any, name: str, kind: Any, as_kind: Any) -> list[int | None]:
    if name not in batch.schema.names:
        return [None] * batch.num_rows
    found: list[int | None] = batch.column(name).cast(kind).cast(as_kind).to_pylist()
    return found
