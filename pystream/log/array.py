"""One column of a record batch."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any, final, overload

from pystream._native import ArrayHandle
from pystream.log._optional import require

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt
    import pyarrow

    from pystream import _native

__all__ = ["Array"]


@final
class Array(ArrayHandle):
    """A column: values of one type, some of them null.

    Immutable, and laid out as Arrow has it. Made by indexing a `RecordBatch`. Views of its memory
    keep that memory alive: an array read from a topic stays valid after the consumer and the log
    are closed and after its segment is deleted; the segment stays mapped until the last view is
    gone. Arrays may be read from any thread.

    Examples
    --------
    >>> import numpy as np
    >>> import pystream as ps
    >>> batch = ps.RecordBatch.from_numpy(
    ...     {"user": np.array(["ann", "bob"]), "amount": np.array([9.5, 1.25])}
    ... )
    >>> batch["amount"].to_numpy(zero_copy_only=True)
    array([9.5 , 1.25])
    >>> batch["user"].to_pylist()
    ['ann', 'bob']
    """

    __slots__ = ()

    @property
    def type(self) -> str:
        """The column's type as Arrow spells it, for example ``timestamp[ms, UTC]``."""
        return str(self._handle.type)

    @property
    def null_count(self) -> int:
        """The number of nulls."""
        return self._handle.null_count

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the values take up."""
        return self._handle.nbytes

    def to_numpy(
        self, *, zero_copy_only: bool = False, null_value: object = None
    ) -> npt.NDArray[Any]:
        """Return the values as a numpy array.

        Parameters
        ----------
        zero_copy_only : bool, default False
            Raise instead of copying.
        null_value : object, optional
            What stands for null; the dtype then stays the column's own.

        Returns
        -------
        numpy.ndarray
            Shape ``(len(self),)``. Numbers, timestamps and durations without nulls are a read-only
            view, unless they are stored dictionary-encoded. All else is a copy: bool as ``bool``,
            date32 as ``datetime64[D]``, strings, binary and decimals as objects; lists as an object
            array with an array of the elements per row, all of one dtype. Without
            `null_value`, null is NaN (integers become float64), NaT or None. Time zones are
            dropped; times are UTC.

        Raises
        ------
        SchemaError
            A copy is needed and `zero_copy_only` is set; or a 64-bit integer column with nulls has
            a value that float64 cannot hold exactly.

        Notes
        -----
        The view stays valid as long as it is referenced.
        """
        return self._handle.to_numpy(zero_copy_only, null_value)

    def to_pylist(self) -> list[Any]:
        """Return one Python object per row; null is None.

        Times are what numpy's ``tolist`` makes of them: datetimes in UTC without a zone, integers
        for nanoseconds.
        """
        return self._handle.to_pylist()

    def to_arrow(self) -> pyarrow.Array:
        """Return the column as a pyarrow array, without a copy unless it is dictionary-encoded.

        Raises
        ------
        ImportError
            pyarrow is not installed.
        """
        array: pyarrow.Array = require("pyarrow", extra="arrow").array(self)
        return array

    def null_mask(self) -> npt.NDArray[np.bool_]:
        """Return a new array that is True where the column is null."""
        return self._handle.null_mask()

    def codes(self) -> npt.NDArray[np.int32]:
        """Return one index into `dictionary` per row of a string or binary column.

        A read-only view where the column is stored dictionary-encoded; else it is encoded first.
        Rows that are null have some valid index, or 0: see `null_mask`.

        Raises
        ------
        SchemaError
            The column has no dictionary: it holds numbers that are stored plainly.
        """
        return self._handle.codes()

    def dictionary(self) -> Array:
        """Return the distinct entries that `codes` refers to; no nulls."""
        return Array(self._handle.dictionary())

    def slice(self, begin: int, length: int) -> Array:
        """Return rows ``[begin, begin + length)``, sharing memory.

        Raises
        ------
        IndexError
            The rows do not all exist.
        """
        return Array(self._handle.slice(begin, length))

    def equals(self, other: Array) -> bool:
        """Return whether both have the same type, nulls and values; NaN equals itself."""
        return self._handle.equals(other._handle)

    @overload
    def __getitem__(self, row: int) -> Any: ...
    @overload
    def __getitem__(self, row: builtins.slice) -> Array: ...
    def __getitem__(self, row: int | builtins.slice) -> Any:
        if isinstance(row, slice):
            begin, end, step = row.indices(len(self))
            if step != 1:
                raise IndexError("an array can only be sliced with step 1; use to_numpy()")
            return self.slice(begin, max(end - begin, 0))
        return self._handle[row]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.to_pylist())

    def __len__(self) -> int:
        return len(self._handle)

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        values = self.to_numpy(zero_copy_only=copy is False)
        if dtype is not None and values.dtype != dtype:
            if copy is False:
                raise ValueError(f"a {self.type} column needs a copy to become {dtype}")
            return values.astype(dtype)
        return values.copy() if copy else values

    def __arrow_c_schema__(self) -> object:
        return self._handle.__arrow_c_schema__()

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        return self._handle.__arrow_c_array__(requested_schema)

    def __repr__(self) -> str:
        return f"<Array {self.type}, {len(self)} rows: {preview(self._handle)}>"


def preview(array: _native.Array, rows: int = 4, width: int = 26) -> str:
    """Return the first values of a column as one line for people."""
    shown = []
    for value in array.slice(0, min(rows, len(array))).to_pylist():
        text = "null" if value is None else value if isinstance(value, str) else str(value)
        shown.append(text if len(text) <= width else text[: width - 1] + "…")
    if len(array) > rows:
        shown.append("…")
    return ", ".join(shown)
