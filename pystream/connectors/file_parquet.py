"""Parquet as a format of files, read in parts of row groups."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pystream.connectors.file_formats import BATCH_ROWS, require_columns
from pystream.errors import ConfigError, SchemaError
from pystream.log._optional import require

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet

__all__ = ["ParquetFormat"]

_ARROW_SCHEMA = b"ARROW:schema"  # in a footer: the types before they were Parquet's


@dataclass(frozen=True)
class ParquetFormat:
    """Parquet; all columns, or those of `columns`, or those of `schema`, converted to its types."""

    ending: ClassVar[str] = ".parquet"
    first_row: ClassVar[int] = 1
    way_out: ClassVar[str] = "Pass columns= without it, or schema= with a type that fits."

    columns: tuple[str, ...] | None = None
    schema: pyarrow.Schema | None = None

    def __post_init__(self) -> None:
        if self.columns is not None and self.schema is not None:
            raise ConfigError(
                "from_parquet got columns= and schema=. Pass the one or the other: a schema names "
                "the columns that are read, too."
            )

    def schema_of(self, file: str) -> pyarrow.Schema:
        """Return the given schema, or the one in the file's footer."""
        with require("pyarrow.parquet", extra="arrow").ParquetFile(file) as opened:
            return self._schema_in(opened)

    def check(self, file: str, schema: pyarrow.Schema) -> None:
        """Compare footers."""
        _check_same(self.schema_of(file), schema)

    def read(self, file: str, schema: pyarrow.Schema) -> Iterator[pyarrow.RecordBatch]:
        """Yield parts of row groups."""
        arrow = require("pyarrow", extra="arrow")
        with require("pyarrow.parquet", extra="arrow").ParquetFile(file) as opened:
            _check_same(self._schema_in(opened), schema)
            for batch in opened.iter_batches(BATCH_ROWS, columns=schema.names):
                columns = [batch.column(field.name).cast(field.type) for field in schema]
                yield arrow.RecordBatch.from_arrays(columns, schema=schema)

    def _schema_in(self, opened: pyarrow.parquet.ParquetFile) -> pyarrow.Schema:
        written = _written(opened)
        if self.schema is not None:
            _check_types(written, self.schema)
            return self.schema
        names = written.names if self.columns is None else self.columns
        require_columns(written.names, names)
        if self.columns is None:
            return written
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise SchemaError(f"columns= names {twice[0]!r} twice. Name it once.", column=twice[0])
        arrow = require("pyarrow", extra="arrow")
        return arrow.schema([written.field(name) for name in self.columns])


def _check_same(found: pyarrow.Schema, schema: pyarrow.Schema) -> None:
    require_columns(found.names, schema.names, also_exact=True)
    for field in schema:
        if found.field(field.name).type != field.type:
            raise SchemaError(
                f"column {field.name!r} is {found.field(field.name).type}, but {field.type} in "
                "the files before it. Read them apart, write them with one schema, or pass "
                "schema=."
            )


def _check_types(written: pyarrow.Schema, wanted: pyarrow.Schema) -> None:
    arrow = require("pyarrow", extra="arrow")
    require_columns(written.names, wanted.names)
    for field in wanted:
        found = written.field(field.name).type
        try:
            arrow.nulls(0, found).cast(field.type)
        except arrow.ArrowNotImplementedError:
            raise SchemaError(
                f"column {field.name!r} is {found} in the file, which does not convert to "
                f"{field.type} of schema=. Read it as it is, and convert it in the chain.",
                column=field.name,
            ) from None


def _written(opened: pyarrow.parquet.ParquetFile) -> pyarrow.Schema:
    """Return the columns of a file as they were written.

    Parquet has no seconds: Arrow writes them as milliseconds, and notes what they were.
    """
    arrow = require("pyarrow", extra="arrow")
    schema = opened.schema_arrow.remove_metadata()
    noted = (opened.metadata.metadata or {}).get(_ARROW_SCHEMA)
    if noted is None:
        return schema
    before = arrow.ipc.read_schema(arrow.py_buffer(base64.b64decode(noted)))
    for at, field in enumerate(schema):
        places = before.get_all_field_indices(field.name)
        was = before.field(places[0]).type if len(places) == 1 else field.type
        if arrow.types.is_timestamp(field.type) and was == arrow.timestamp("s", field.type.tz):
            schema = schema.set(at, field.with_type(was))
    return schema
