"""What `send_batch` accepts as a table, as batches of the topic's schema."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pystream import _native
from pystream.errors import ConfigError, SchemaError
from pystream.log.masked import separate_masks
from pystream.log.named import check_column_names
from pystream.log.record_batch import RecordBatch

if TYPE_CHECKING:
    from pystream._native import TopicEncoder

__all__ = ["import_table", "row_timestamps"]


def import_table(table: Any, encoder: TopicEncoder) -> list[_native.RecordBatch]:
    """Return a table as native batches of a topic's schema, none of them empty.

    Raises
    ------
    SchemaError
        If it is no table, or its columns do not fit; names topic and column.
    """
    try:
        batches = _import(table, encoder)
    except SchemaError as error:
        if error.topic is None:
            error.topic = encoder.topic
            error.args = (f"topic {encoder.topic!r}: {error}",)
        raise
    if encoder.needs_key:
        _refuse_keyless(batches, encoder)
    return [batch for batch in batches if len(batch) > 0]


def _refuse_keyless(batches: list[_native.RecordBatch], encoder: TopicEncoder) -> None:
    key = encoder.target.key
    if len(key) > 1:
        return  # one of whose parts some are null is a key
    index = encoder.target.schema.index_of(key[0])
    before = 0
    for batch in batches:
        column = batch.column(index)
        if column.null_count:
            row = before + next(i for i, v in enumerate(column.to_pylist()) if v is None)
            raise SchemaError(
                f"topic {encoder.topic!r} is compacted, and row {row} has no key: column "
                f"{key[0]!r} is null. Nothing was appended; send rows with a key, because "
                "compaction keeps the last record of each.",
                topic=encoder.topic,
                column=key[0],
                row=row,
            )
        before += len(batch)


def _import(table: Any, encoder: TopicEncoder) -> list[_native.RecordBatch]:
    schema = encoder.target.schema
    if isinstance(table, RecordBatch):
        return [table.to_native().cast_to(schema, encoder.topic)]
    if isinstance(table, _native.RecordBatch):
        return [table.cast_to(schema, encoder.topic)]
    if isinstance(table, Mapping):
        return [_from_arrays(table, schema)]
    if hasattr(table, "__arrow_c_stream__") or hasattr(table, "__arrow_c_array__"):
        try:
            return _native.RecordBatch.from_arrow(table, schema)
        except ImportError:
            # pandas exports through pyarrow, which need not be there.
            return [_from_arrays({name: table[name].to_numpy() for name in table.columns}, schema)]
    if isinstance(table, Iterable) and not isinstance(table, str | bytes | np.ndarray):
        capsule = _native.encode_rows(encoder, table)
        return [_native.RecordBatch._from_capsule(capsule)]
    raise SchemaError(
        f"a {type(table).__name__} is not a table. Send an Arrow, pandas or polars table, a dict "
        "of numpy arrays, or a list of dicts.",
        expected="a table",
        got=type(table).__name__,
    )


def _from_arrays(table: Mapping[str, Any], schema: _native.Schema) -> _native.RecordBatch:
    check_column_names(table)
    columns, masks = separate_masks(table)
    return _native.RecordBatch.from_numpy(schema, columns, masks)


def row_timestamps(topic: str, given: Any, rows: int) -> int | _native.Array:
    """Return one timestamp in microseconds for all rows, or a column of one per row."""
    if given is None:
        return time.time_ns() // 1000
    if not isinstance(given, np.ndarray) or given.ndim == 0:
        return _native.timestamp_us(topic, given)
    if given.shape != (rows,):
        raise ConfigError(
            f"timestamp has the shape {given.shape}, but the table has {rows} rows. Pass one for "
            "all, or an array with one for each."
        )
    kind = "int64" if given.dtype.kind in "iu" else "timestamp[us]"
    schema = _native.Schema([("timestamp", _native.DataType(kind), False)])
    return _native.RecordBatch.from_numpy(schema, {"timestamp": given}).column(0)
