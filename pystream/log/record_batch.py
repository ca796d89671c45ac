"""Records of a topic, column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np

from pystream import _native
from pystream.errors import NotSupportedError, SchemaError
from pystream.log._optional import require
from pystream.log.array import Array, preview
from pystream.log.named import check_column_names

if TYPE_CHECKING:
    from collections.abc import ItemsView, Iterator, Mapping, Sequence

    import numpy.typing as npt
    import pandas
    import polars
    import pyarrow

__all__ = ["RecordBatch"]


@final
class RecordBatch(_native.BatchRows):
    """Records of one partition, or of a pipeline's result, as columns of equal length.

    Immutable. Columns of a batch from a topic are read when they are first touched, straight from
    the mapped segment, and checked against their checksums then. Everything taken from a batch
    stays valid after the consumer and the log are closed and after the segment is deleted.

    Made by ``consumer.batches()``, by pipelines, and by `from_arrow` and `from_numpy`. May be read
    from any thread. Exchanges data with any Arrow library through the Arrow PyCapsule interface,
    so ``pyarrow.record_batch(batch)``, ``polars.DataFrame(batch)`` and DuckDB queries over
    ``batch`` work without a copy.

    Examples
    --------
    >>> import numpy as np
    >>> import pystream as ps
    >>> batch = ps.RecordBatch.from_numpy(
    ...     {"user": np.array(["ann", "bob", "eve"]), "amount": np.array([9.5, 1.25, 3.0])}
    ... )
    >>> batch
    <RecordBatch, 3 records>
      user    string   ann, bob, eve
      amount  float64  9.5, 1.25, 3.0
    >>> float(batch["amount"].to_numpy().sum())
    13.75
    """

    __slots__ = ()

    # --- making one -----------------------------------------------------------------------------

    @classmethod
    def from_arrow(cls, data: object) -> RecordBatch:
        """Make a batch of an Arrow table, batch or stream, without a copy where layouts agree.

        Parameters
        ----------
        data : object with ``__arrow_c_array__`` or ``__arrow_c_stream__``
            From pyarrow, pandas, polars, duckdb and others. A stream is read to its end; several
            batches are joined, which copies them.

        Raises
        ------
        NotSupportedError
            A column has a type that a topic cannot hold; names it.
        SchemaError
            `data` is no such object, or has no batch at all.
        """
        batches = _native.RecordBatch.from_arrow(data)
        if not batches:
            raise SchemaError("the Arrow stream has no batch. Check its source.")
        return cls.from_native(_native.RecordBatch.concat(batches))

    @classmethod
    def from_numpy(
        cls, columns: Mapping[str, npt.NDArray[Any]], schema: Mapping[str, str] | None = None
    ) -> RecordBatch:
        """Make a batch of numpy arrays.

        Parameters
        ----------
        columns : mapping of str to numpy.ndarray
            One-dimensional arrays of equal length. Contiguous numbers and times are shared, not
            copied: do not change them afterwards. None and NaT are null.
        schema : mapping of str to str, optional
            Types by column. By default what fits the dtypes; strings for object arrays. A
            ``list<...>`` column takes an object array of arrays or lists, or an array of two
            dimensions.

        Raises
        ------
        SchemaError
            Names column, expected, got and the first bad row.
        """
        arrays = {name: np.asarray(values) for name, values in columns.items()}
        check_column_names([*(schema or ()), *arrays])
        types = schema or {name: _type_of(values) for name, values in arrays.items()}
        fields = [(name, _native.DataType(text), True) for name, text in types.items()]
        return cls.from_native(_native.RecordBatch.from_numpy(_native.Schema(fields), arrays))

    @classmethod
    def from_native(cls, batch: _native.RecordBatch) -> RecordBatch:
        """Wrap a batch of the core. For pystream's own modules."""
        columns = {i: batch.column(i) for i in range(batch.num_columns)}
        return cls(batch.schema, batch.num_rows, columns)

    @classmethod
    def from_stored(
        cls, stored: _native.LogBatch, begin: int = 0, end: int | None = None
    ) -> RecordBatch:
        """Wrap rows ``[begin, end)`` of a stored batch. For pystream's own modules."""
        end = stored.record_count if end is None else end
        return cls(stored.schema, end - begin, {}, stored, begin)

    def to_native(self) -> _native.RecordBatch:
        """Return the batch as the core has it, all columns read. For pystream's own modules."""
        if not self.num_columns:
            raise SchemaError("the batch has no columns. Select at least one.")
        return _native.RecordBatch(self._schema, [self._column(i) for i in range(self.num_columns)])

    # --- what it is -----------------------------------------------------------------------------

    @property
    def num_rows(self) -> int:
        """The number of records."""
        return self._num_rows

    @property
    def num_columns(self) -> int:
        """The number of columns."""
        return len(self._schema)

    @property
    def column_names(self) -> list[str]:
        """The columns' names in schema order."""
        return self._schema.names

    @property
    def schema(self) -> dict[str, str]:
        """The columns' types by name, as `Log.create_topic` takes them."""
        return {name: str(data_type) for name, data_type, _ in self._schema.fields}

    @property
    def nbytes(self) -> int:
        """Bytes that the values take up. Reads all columns."""
        return sum(self._column(i).nbytes for i in range(self.num_columns))

    @property
    def topic(self) -> str | None:
        """The topic that the batch was read from; None for a batch made in memory."""
        return self._stored.topic if self._stored else None

    @property
    def partition(self) -> int | None:
        """The partition that the batch was read from; None for a batch made in memory."""
        return self._stored.partition if self._stored else None

    @property
    def base_offset(self) -> int:
        """The offset of the first record.

        Raises
        ------
        NotSupportedError
            The batch was made in memory.
        """
        stored = self._from_topic("offsets")
        if not stored.has_gaps:
            return stored.base_offset + self._begin
        if self._begin == stored.record_count:  # none of its records
            return stored.next_offset
        return stored.offset_of(self._begin)

    @property
    def next_offset(self) -> int:
        """The offset after the last record."""
        stored = self._from_topic("offsets")
        if not stored.has_gaps or not self._num_rows:
            return self.base_offset + self._num_rows
        return stored.offset_of(self._begin + self._num_rows - 1) + 1

    @property
    def has_gaps(self) -> bool:
        """Whether offsets between the first and the last record are missing.

        Compaction removes records and lets the others keep their offsets.
        """
        return self._stored is not None and self.next_offset - self.base_offset != self._num_rows

    @property
    def offsets(self) -> npt.NDArray[np.int64]:
        """The records' offsets, a new int64 array of shape ``(num_rows,)``.

        Raises
        ------
        NotSupportedError
            The batch was made in memory.
        """
        stored = self._from_topic("offsets")
        if not stored.has_gaps:
            return np.arange(self.base_offset, self.next_offset, dtype=np.int64)
        deltas = stored.offset_deltas().to_numpy()[self._begin : self._begin + self._num_rows]
        return stored.base_offset + deltas.astype(np.int64)

    @property
    def timestamps(self) -> npt.NDArray[np.datetime64]:
        """The record timestamps, a read-only ``datetime64[us]`` array of shape ``(num_rows,)``.

        Raises
        ------
        NotSupportedError
            The batch was made in memory.
        """
        stored = self._from_topic("timestamps").timestamps()
        return self._rows_of(stored).to_numpy().view("datetime64[us]")

    def native_column(self, index: int) -> _native.Array:
        """Return a column as the core has it. For pystream's own modules."""
        return self._column(index)

    def native_timestamps(self) -> _native.Array:
        """Return the record timestamps as the core has them. For pystream's own modules."""
        return self._rows_of(self._from_topic("timestamps").timestamps())

    def native_headers(self) -> _native.Array | None:
        """Return the encoded headers, if any record has some. For pystream's own modules."""
        headers = self._from_topic("headers").headers()
        return None if headers is None else self._rows_of(headers)

    # --- columns --------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Array:
        column = self._find(name)
        if column is None:
            raise SchemaError(
                f"column {name!r} does not exist; the columns are "
                f"{', '.join(self.column_names)}. Check the name.",
                column=name,
                topic=self.topic,
            )
        return Array(column)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._schema.index_of(name) >= 0

    def __iter__(self) -> Iterator[str]:
        return iter(self.column_names)

    def keys(self) -> list[str]:
        """Return the columns' names, so that ``dict(batch)`` maps names to columns."""
        return self.column_names

    def items(self) -> ItemsView[str, Array]:
        """Return pairs of name and column."""
        return {name: self[name] for name in self.column_names}.items()

    def __len__(self) -> int:
        return self._num_rows

    # --- parts of it ----------------------------------------------------------------------------

    def select(self, names: Sequence[str]) -> RecordBatch:
        """Return a batch with these columns only; no others are read."""
        indices = [self._schema.index_of(name) for name in names]
        if -1 in indices:
            self[names[indices.index(-1)]]  # raises, naming the column
        fields = self._schema.fields
        return RecordBatch(
            _native.Schema(fields[i] for i in indices),
            self._num_rows,
            {at: self._column(i) for at, i in enumerate(indices)},
            self._stored,
            self._begin,
        )

    def slice(self, begin: int, length: int) -> RecordBatch:
        """Return records ``[begin, begin + length)``, sharing memory.

        Raises
        ------
        IndexError
            The records do not all exist.
        """
        if begin < 0 or length < 0 or begin + length > self._num_rows:
            raise IndexError(f"[{begin}, {begin + length}) is not within {self._num_rows} records")
        columns = {i: column.slice(begin, length) for i, column in self._columns.items()}
        return RecordBatch(self._schema, length, columns, self._stored, self._begin + begin)

    def equals(self, other: RecordBatch) -> bool:
        """Return whether columns, types, nulls and values agree; NaN equals itself."""
        return self.to_native().equals(other.to_native())

    # --- exchange -------------------------------------------------------------------------------

    def to_arrow(self) -> pyarrow.RecordBatch:
        """Return a pyarrow record batch, without a copy unless a column is dictionary-encoded.

        Raises
        ------
        ImportError
            pyarrow is not installed.
        """
        return require("pyarrow", extra="arrow").record_batch(self)

    def to_pandas(self) -> pandas.DataFrame:
        """Return a pandas data frame; a copy.

        Raises
        ------
        ImportError
            pandas or pyarrow is not installed.
        """
        require("pandas", extra="pandas")
        return self.to_arrow().to_pandas()

    def to_polars(self) -> polars.DataFrame:
        """Return a polars data frame; numbers and times are not copied.

        Raises
        ------
        ImportError
            polars is not installed.
        """
        frame: polars.DataFrame = require("polars", extra="polars").DataFrame(self)
        return frame

    def to_pydict(self) -> dict[str, list[Any]]:
        """Return a list of Python objects per column."""
        return {name: self[name].to_pylist() for name in self.column_names}

    def to_pylist(self) -> list[dict[str, Any]]:
        """Return one dict per record."""
        columns = self.to_pydict()
        rows = zip(*columns.values(), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def __arrow_c_schema__(self) -> object:
        return self._schema.__arrow_c_schema__()

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        return self.to_native().__arrow_c_array__(requested_schema)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.to_native().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        title = f"{self._num_rows} record{'' if self._num_rows == 1 else 's'}"
        if self._stored:
            title += f", offsets {self.base_offset} to {self.next_offset - 1}"
        place = f" {self.topic}-{self.partition}" if self._stored else ""
        types = self.schema
        names = max((len(name) for name in types), default=0)
        widest = max((len(text) for text in types.values()), default=0)
        lines = [f"<RecordBatch{place}, {title}>"]
        for i, (name, text) in enumerate(types.items()):
            line = f"  {name:<{names}}  {text:<{widest}}  {preview(self._column(i))}"
            lines.append(line.rstrip())
        return "\n".join(lines)

    # --- helpers --------------------------------------------------------------------------------

    def _rows_of(self, stored_column: _native.Array) -> _native.Array:
        if len(stored_column) == self._num_rows:
            return stored_column
        return stored_column.slice(self._begin, self._num_rows)

    def _from_topic(self, what: str) -> _native.LogBatch:
        if self._stored is None:
            raise NotSupportedError(
                f"the batch was made in memory and has no {what}. Only batches of a topic do."
            )
        return self._stored


def _type_of(values: npt.NDArray[Any]) -> str:
    """Return the column type that fits a dtype."""
    kind = values.dtype.kind
    if kind in "OUT":
        return "string"
    if kind == "S":
        return "binary"
    if kind in "mM":
        unit = np.datetime_data(values.dtype)[0]
        if kind == "M" and unit == "D":
            return "date32"
        unit = unit if unit in ("s", "ms", "us", "ns") else "s"
        return f"{'duration' if kind == 'm' else 'timestamp'}[{unit}]"
    return values.dtype.name
