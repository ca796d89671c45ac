"""A table on its way through the background thread of a producer with a name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pystream import _native, config
from pystream.errors import ConfigError, StreamError
from pystream.log.bell import Bell
from pystream.types import BatchMetadata

if TYPE_CHECKING:
    from pystream._native import TopicEncoder

__all__ = ["TableBatch", "appended_batches", "sequence_ids"]


class TableBatch:
    """Waits behind the records that were sent before it, and keeps their order.

    Parameters
    ----------
    encoder : TopicEncoder
    batches : sequence of RecordBatch
    timestamps : int or Array
        Of all rows, or of each.
    partition : int, optional
    sequences : ndarray of int64, optional
        Of each row; else they follow `first_sequence`, which is set when the table is sent.
    """

    def __init__(
        self,
        encoder: TopicEncoder,
        batches: Sequence[_native.RecordBatch],
        timestamps: int | _native.Array,
        partition: int | None,
        sequences: npt.NDArray[np.int64] | None,
    ) -> None:
        self.encoder = encoder
        self.byte_count = 0  # of the producer's buffer
        self.first_sequence = -1
        self._batches = batches
        self._timestamps = timestamps
        self.partition = partition
        self._sequences = sequences
        self._appended: list[BatchMetadata] = []
        self._error: StreamError | None = None
        self._bell = Bell()  # rung when it is done

    def append(self, acks: _native.Acks, complete_sequence: int) -> None:
        """Append all rows, in the background thread."""
        total = sum(len(batch) for batch in self._batches)
        sequences = self._sequences
        if sequences is None:
            sequences = np.arange(self.first_sequence, self.first_sequence + total)
        begin = 0
        for batch in self._batches:
            end = begin + len(batch)
            times = self._timestamps
            # What comes behind this batch is not stored yet.
            complete = complete_sequence if end == total else int(sequences[end]) - 1
            result = self.encoder.writer.append(
                batch,
                timestamps=times if isinstance(times, int) else times.slice(begin, len(batch)),
                partition=self.partition,
                acks=acks,
                sequences=_to_array(sequences[begin:end]),
                complete_sequence=complete,
            )
            self._appended += appended_batches(self.encoder.topic, result)
            begin = end

    def complete(self) -> None:
        """Say that all was appended."""
        self._bell.ring()

    def fail(self, error: StreamError) -> None:
        """Say that not all was appended."""
        self._error = error
        self._bell.ring()

    def abandon(self, reason: StreamError) -> None:
        """In a forked child: the table is the parent's."""
        self.fail(reason)

    def result(self) -> list[BatchMetadata]:
        """Wait for the table to be appended, and say where; raise what went wrong."""
        self._bell.wait()
        if self._error is not None:
            raise self._error
        return self._appended


def sequence_ids(topic: str, given: Any, rows: int) -> npt.NDArray[np.int64] | None:
    """Return the sequence ids of a table's rows, or None when they follow the first.

    Raises
    ------
    ConfigError
        If they are no whole numbers, too few or too many, or do not rise.
    """
    if not isinstance(given, np.ndarray) or given.ndim == 0:
        return None
    if given.dtype.kind not in "iu" or given.shape != (rows,):
        raise ConfigError(
            f"sequence_id is an array of {given.dtype} and the shape {given.shape}, but the table "
            f"has {rows} rows. Pass the one of the first row, or an array of integers with one for "
            "each."
        )
    falls = np.flatnonzero(given[1:] <= given[:-1])
    if len(falls):
        row = int(falls[0]) + 1
        raise ConfigError(
            f"sequence_id of row {row} is {given[row]}, but that of the row before is "
            f"{given[row - 1]}, to topic {topic!r}. Sequence ids rise."
        )
    if given[-1] > config.SEQUENCE_ID_MAX:
        raise ConfigError(
            f"sequence_id of the last row is {given[-1]}. Pass whole numbers from 0 to 2**62 - 1."
        )
    return given.astype(np.int64)


def _to_array(sequences: npt.NDArray[np.int64]) -> _native.Array:
    schema = _native.Schema([("sequence", _native.DataType("int64"), False)])
    return _native.RecordBatch.from_numpy(schema, {"sequence": sequences}).column(0)


def appended_batches(topic: str, result: _native.TopicAppendResult) -> list[BatchMetadata]:
    """Return what a writer did with a table."""
    return [
        BatchMetadata(topic, part.partition, part.base_offset, part.record_count, part.is_duplicate)
        for part in result.appends
    ]
