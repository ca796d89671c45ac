"""Reads a whole topic back through the native reader, for tests of what was written."""

from __future__ import annotations

from typing import Any

import pystream as ps
from pystream.log.record_batch import RecordBatch


def batches_of(log: ps.Log, topic: str, partition: int) -> list[RecordBatch]:
    """Return the stored batches of a partition, from the log start offset on."""
    native = log.topic(topic).native_partition(partition)
    start = native.ends().log_start_offset
    reader = native.reader(start)
    batches = []
    while (stored := reader.next()) is not None:
        batches.append(RecordBatch.from_stored(stored, stored.row_from(start)))
    return batches


def rows_of(log: ps.Log, topic: str, partition: int | None = None) -> list[dict[str, Any]]:
    """Return the rows of a partition, or of all of them one after another."""
    numbers = range(log.topic(topic).partitions) if partition is None else [partition]
    return [
        row
        for number in numbers
        for batch in batches_of(log, topic, number)
        for row in batch.to_pylist()
    ]
