"""Sending whole tables. Part of the producer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pystream import _native
from pystream.errors import ConfigError, SchemaError
from pystream.log.producer_transactions import ProducerTransactions
from pystream.log.table import import_table, row_timestamps
from pystream.log.table_batch import TableBatch, appended_batches, sequence_ids
from pystream.types import BatchMetadata

if TYPE_CHECKING:
    from pystream._native import TopicEncoder
    from pystream.log.producer_name import ProducerName

__all__ = ["ProducerTables"]


class ProducerTables(ProducerTransactions):
    """The part of :class:`Producer` that sends tables."""

    _name: ProducerName | None
    _acks: _native.Acks

    def send_batch(
        self,
        topic: str,
        table: Any,
        *,
        partition: int | None = None,
        timestamp: datetime | np.datetime64 | int | npt.NDArray[Any] | None = None,
        sequence_id: int | npt.NDArray[np.integer[Any]] | None = None,
    ) -> list[BatchMetadata]:
        """Append a whole table, after everything sent before it.

        Parameters
        ----------
        topic : str
            Must exist.
        table : object
            With the topic's columns in any order: anything with ``__arrow_c_stream__`` or
            ``__arrow_c_array__`` (pyarrow, polars, pandas, a RecordBatch), a pandas DataFrame, a
            dict of numpy arrays or lists (masked where null), or a list of dicts.
        partition : int, optional
            Default: by the key of each row; a table without keys goes to one partition after
            another.
        timestamp : datetime, numpy.datetime64, int or array of the latter two, optional
            Of all records, or one for each; int: microseconds since 1970. Default: now.
        sequence_id : int or array of int, optional
            Only of a producer with a name: of the first row, which the others follow, or of each
            row, rising. Default: the one before and 1.

        Returns
        -------
        list of BatchMetadata
            One per appended batch, or per run of records that had been appended before.

        Raises
        ------
        UnknownTopicError
            If the topic or partition does not exist.
        ConfigError
            If ``sequence_id`` does not rise, or the producer has no name. Nothing was appended.
        SchemaError
            Names topic, column, expected, got and the first bad row. Nothing was appended.
        RecordTooLargeError
            If a row is larger than ``max_record_bytes``. Nothing was appended.
        StorageError
            If the system refuses; attribute ``published_records`` says how many rows were
            acknowledged all the same. After a failed sync the log must be opened again.

        Notes
        -----
        Buffers are used where they lie when layouts agree. When the call returns, everything is
        appended at the producer's ``acks``, and the table may be changed. Ctrl-C during the wait
        for a sync raises KeyboardInterrupt: the rows are then published, and not acknowledged.

        Examples
        --------
        >>> import tempfile, numpy as np, pystream as ps
        >>> with tempfile.TemporaryDirectory() as directory, ps.open(directory) as log:
        ...     topic = log.create_topic("prices", {"symbol": "string", "price": "float64"})
        ...     with log.producer() as producer:
        ...         (batch,) = producer.send_batch(
        ...             "prices", {"symbol": ["A", "B"], "price": [1.5, 2.5]}
        ...         )
        ...     batch.partition, batch.base_offset, batch.record_count
        (0, 0, 2)
        """
        self._check_usable()
        if self._transactions is not None:
            self._transactions.require_open("send_batch")
        self._topics.forget_changed()
        encoder = self._accumulator.encoder(topic)
        if partition is not None:
            encoder.target.native_partition(partition)  # raises when there is none
        try:
            batches = import_table(table, encoder)
        except SchemaError:
            # What can be read once is partly read by now.
            if isinstance(table, Iterator) or not self._topics.is_outdated(encoder):
                raise
            encoder = self._accumulator.encoder(topic)
            batches = import_table(table, encoder)
        rows = sum(len(batch) for batch in batches)
        stamps = row_timestamps(topic, timestamp, rows)
        if self._name is not None:
            return self._send_numbered(encoder, batches, stamps, partition, sequence_id)
        if sequence_id is not None:
            raise ConfigError(
                "sequence_id needs a producer with a name, by which its records are known again. "
                "Make one with log.producer(producer_name=...)."
            )
        if self._transactions is not None:
            return self._send_in_transaction(encoder, batches, stamps, partition)
        if self._sender.drain(None) or isinstance(table, Iterator):
            self._topics.check(encoder)  # time has passed since the topic was looked up
        return self._append_table(encoder, batches, stamps, partition)

    def _append_table(
        self,
        encoder: TopicEncoder,
        batches: Sequence[_native.RecordBatch],
        stamps: int | _native.Array,
        partition: int | None,
    ) -> list[BatchMetadata]:
        appended: list[BatchMetadata] = []
        begin = 0
        for batch in batches:
            here = stamps if isinstance(stamps, int) else stamps.slice(begin, len(batch))
            begin += len(batch)
            result = encoder.writer.append(
                batch, timestamps=here, partition=partition, acks=self._acks
            )
            appended += appended_batches(encoder.topic, result)
        return appended

    def _send_numbered(
        self,
        encoder: TopicEncoder,
        batches: Sequence[_native.RecordBatch],
        stamps: int | _native.Array,
        partition: int | None,
        sequence_id: Any,
    ) -> list[BatchMetadata]:
        """Append a table in the background thread, because nothing may overtake it."""
        self._sender.check_not_inside()
        rows = sum(len(batch) for batch in batches)
        for batch in batches:
            encoder.writer.check(batch)  # what would be refused must take no sequence ids
        if rows == 0:
            return []
        sequences = sequence_ids(encoder.topic, sequence_id, rows)
        table = TableBatch(encoder, batches, stamps, partition, sequences)
        if sequences is None:
            self._accumulator.add_table(encoder, table, rows, sequence_id)
        else:
            first, last = int(sequences[0]), int(sequences[-1])
            self._accumulator.add_table(encoder, table, rows, first, last)
        self._sender.wake()
        return table.result()
