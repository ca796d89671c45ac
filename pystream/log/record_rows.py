"""The records of a batch, for iteration one by one."""

from __future__ import annotations

from pystream._native import Array, DataType, RecordRows, Schema
from pystream._native import RecordBatch as NativeBatch
from pystream.log.record_batch import RecordBatch

__all__ = ["record_rows"]

_TIMESTAMPS = DataType("int64")
_HEADERS = DataType("binary")


def record_rows(batch: RecordBatch, key: tuple[str, ...], *, is_typed: bool) -> RecordRows:
    """Return the rows of a batch of a topic; each column is read when a record first needs it.

    Parameters
    ----------
    batch : RecordBatch
        Of a topic.
    key : tuple of str
        The topic's key columns.
    is_typed : bool
        Whether the topic has a schema of its own.
    """
    names = tuple(batch.column_names)

    def load(index: int) -> tuple[object, Array] | None:
        if index < len(names):
            column = batch.native_column(index)
            kind = column.type
        elif index == len(names):
            column, kind = batch.native_timestamps(), _TIMESTAMPS
        else:
            headers = batch.native_headers()
            if headers is None:
                return None
            column, kind = headers, _HEADERS
        one = NativeBatch(Schema([("column", kind, True)]), [column])
        return one._capsule(), column

    assert batch.topic is not None
    assert batch.partition is not None
    return RecordRows(
        batch.topic,
        batch.partition,
        batch.base_offset,
        batch.num_rows,
        names,
        tuple(names.index(name) for name in key),
        is_typed,
        load,
        batch.offsets.tobytes() if batch.has_gaps else None,
    )
