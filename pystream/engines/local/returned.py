"""What Python functions return, made the core's own.

The core shares the memory of arrays, and keeps it for as long as it needs the rows. A function may
keep what it returned, and use it again: so what can still be written to is copied.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from pystream._native import RecordBatch as NativeBatch
from pystream._native import Schema

__all__ = ["own_arrays", "own_batches"]


def own_arrays(
    schema: Schema, columns: dict[str, Any], masks: dict[str, Any] | None
) -> NativeBatch:
    """Return a batch of numpy arrays."""
    return NativeBatch.from_numpy(
        schema,
        {name: a.copy() if _may_change(a) else a for name, a in columns.items()},
        masks,
    )


def own_batches(batches: list[NativeBatch], table: Any) -> list[NativeBatch]:
    """Return the batches that `table`, of another library, was imported as."""
    if not _table_may_change(table):
        return batches
    return [batch.take(np.arange(batch.num_rows, dtype=np.int32)) for batch in batches]


def _may_change(array: Any) -> bool:
    """Return whether the function may have kept the array, or what it shows, and write to it."""
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return True
        array = array.base
    return False  # what the core has lent, or bytes


def _table_may_change(table: Any) -> bool:
    pyarrow = sys.modules.get("pyarrow")
    if pyarrow is None or not isinstance(table, pyarrow.Table | pyarrow.RecordBatch):
        return True  # nobody says
    # pyarrow shares the memory of numpy arrays.
    return any(buffer is not None and buffer.is_mutable for buffer in _buffers(table))


def _buffers(table: Any) -> Iterator[Any]:
    for column in table.columns:
        for array in getattr(column, "chunks", [column]):
            yield from array.buffers()
            if hasattr(array, "dictionary"):
                yield from array.dictionary.buffers()
