"""Tables of other libraries in, tables of other libraries out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pystream._native import RecordBatch as NativeBatch
from pystream._native import Schema, export_stream
from pystream.engines.local.returned import own_arrays, own_batches
from pystream.errors import ConfigError, SchemaError
from pystream.log._optional import require
from pystream.log.masked import separate_masks
from pystream.log.record_batch import RecordBatch
from pystream.log.schema import to_schema

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

__all__ = ["CollectedTable", "import_table", "stage_output", "to_schema"]


class CollectedTable:
    """The batches of a result, for export; shared, not copied, with Arrow."""

    def __init__(self, schema: Schema, batches: list[NativeBatch]) -> None:
        self._schema = schema
        self._batches = batches

    def __arrow_c_schema__(self) -> object:
        return self._schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return export_stream(self._schema, self._batches)

    def to_arrow(self) -> pyarrow.Table:
        """Return a pyarrow Table."""
        return require("pyarrow", extra="arrow").table(self)

    def to_pandas(self) -> pandas.DataFrame:
        """Return a pandas DataFrame."""
        require("pandas", extra="pandas")
        return self.to_arrow().to_pandas()

    def to_polars(self) -> polars.DataFrame:
        """Return a polars DataFrame."""
        frame: polars.DataFrame = require("polars", extra="polars").DataFrame(self)
        return frame


def import_table(table: object) -> tuple[Schema, list[NativeBatch]]:
    """Return schema and batches of anything tabular.

    Raises
    ------
    SchemaError
        If several tables have different columns.
    ConfigError
        If it is nothing tabular.
    """
    if isinstance(table, Sequence) and not isinstance(table, str) and table:
        parts = [import_table(part) for part in table]
        schema = parts[0][0]
        for other, _ in parts[1:]:
            if other != schema:
                raise SchemaError(
                    f"from_arrow got tables of different columns: [{schema}] and [{other}]. "
                    "Cast them to one schema."
                )
        return schema, [batch for _, batches in parts for batch in batches]
    if isinstance(table, Mapping):
        batch = RecordBatch.from_numpy({k: np.asarray(v) for k, v in table.items()}).to_native()
        return batch.schema, [batch]
    if hasattr(table, "__arrow_c_stream__") or hasattr(table, "__arrow_c_array__"):
        batches = NativeBatch.from_arrow(table)
        schema = batches[0].schema if batches else Schema.from_arrow(_schema_of(table))
        return schema, batches
    raise ConfigError(
        f"from_arrow got {type(table).__name__}, which is no table. Pass a pyarrow, pandas or "
        "polars table, a dict of numpy arrays, or a list of tables."
    )


def stage_output(output: Any, schema: Schema, name: str) -> list[NativeBatch]:
    """Check and convert what a Python stage returned.

    Raises
    ------
    SchemaError
        If it does not have the columns that the stage promised.
    """
    if isinstance(output, RecordBatch):
        return _all_columns([output.to_native()], schema, name)
    if isinstance(output, Mapping):
        _check_columns(output, schema, name)
        return [own_arrays(schema, *separate_masks(output))]
    if hasattr(output, "__arrow_c_stream__") or hasattr(output, "__arrow_c_array__"):
        return _all_columns(own_batches(NativeBatch.from_arrow(output), output), schema, name)
    raise SchemaError(
        f"map_batches({name}) returned {type(output).__name__}, which is no table. Return a "
        "pyarrow, pandas or polars table, a dict of numpy arrays, or a RecordBatch."
    )


def _all_columns(batches: list[NativeBatch], schema: Schema, name: str) -> list[NativeBatch]:
    for batch in batches:
        _check_columns(batch.schema.names, schema, name)
    return [batch.cast_to(schema, f"map_batches({name})") for batch in batches]


def _check_columns(returned: Iterable[str], schema: Schema, name: str) -> None:
    """Refuse a result that lacks a column, which would be null otherwise."""
    names = list(returned)
    missing = [column for column in schema.names if column not in names]
    if missing:
        raise SchemaError(
            f"map_batches({name}) returned the columns {', '.join(names)}, without {missing[0]!r}. "
            "Return every column of its schema, or name the ones that it returns in schema=.",
            column=missing[0],
        )


def _schema_of(table: Any) -> Any:
    if hasattr(table, "__arrow_c_schema__"):
        return table
    return require("pyarrow", extra="arrow").table(table).schema
