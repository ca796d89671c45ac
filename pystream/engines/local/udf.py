"""Calls a user's function over the columns of a batch: as a stage, or from the core."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pystream._native import Array, DataType, Expression, Schema
from pystream._native import RecordBatch as NativeBatch
from pystream.engines.local.returned import own_arrays, own_batches
from pystream.engines.local.user_calls import UserCalls
from pystream.errors import NotSupportedError, OperatorError, SchemaError, StreamError
from pystream.log._optional import require
from pystream.log.array import Array as PublicArray
from pystream.log.masked import separate_masks
from pystream.log.record_batch import RecordBatch
from pystream.plan.expressions import LiteralNode, UdfNode

__all__ = ["UdfCalls", "udf_stage"]


def udf_stage(
    udf: UdfNode, operands: tuple[str, ...], result: str, schema: Schema
) -> tuple[Callable[[RecordBatch], RecordBatch], Schema]:
    """Return a function over batches of `schema`, and the schema that it gives.

    Parameters
    ----------
    udf : UdfNode
    operands : tuple of str
        The columns that the user's function takes.
    result : str
        The column that is added.
    schema : Schema

    Raises
    ------
    ConfigError
        If the function returns a type that no column has.
    """
    added = _schema_of(udf)
    wider = Schema([*schema.fields, (result, added.fields[0][1], True)])

    def call(batch: RecordBatch) -> RecordBatch:
        arrays = [batch.native_column(schema.index_of(name)) for name in operands]
        try:
            column = _evaluate(udf, arrays, batch.num_rows, added)
        except _WrongError as wrong:  # whose name nobody can catch
            raise SchemaError(str(wrong)) from None
        except StreamError:
            raise
        except Exception as error:
            operator = f"udf {udf.name}"
            text = _failure(udf, batch.num_rows, error)
            raise OperatorError(f"operator {operator!r} {text}", operator=operator) from error
        columns = [batch.native_column(i) for i in range(batch.num_columns)]
        return RecordBatch.from_native(NativeBatch(wider, [*columns, column]))

    return call, wider


class UdfCalls(UserCalls):
    """Calls of a function that is part of an expression of the core's.

    Attributes
    ----------
    returns : DataType
    """

    def __init__(self, udf: UdfNode) -> None:
        super().__init__()
        self._udf = udf
        self._added = _schema_of(udf)
        self.returns = self._added.fields[0][1]

    def __call__(self, arrays: list[Array], rows: int) -> Array:
        """Return a column of `rows` values."""
        try:
            return _evaluate(self._udf, arrays, rows, self._added)
        except _WrongError as wrong:
            raise SchemaError(str(wrong)) from None
        except BaseException as error:
            self.error = error
            text = _failure(self._udf, rows, error)
            raise OperatorError(f"udf {self._udf.name} {text}") from error


def _schema_of(udf: UdfNode) -> Schema:
    return Schema([(udf.name, DataType(udf.returns), True)])  # what errors call it


def _evaluate(udf: UdfNode, arrays: list[Array], rows: int, schema: Schema) -> Array:
    evaluate = _over_arrow if udf.kind == "arrow" else _over_numpy
    return evaluate(udf, arrays, rows, schema)


class _WrongError(Exception):
    """What a function returned is no column of its type."""


def _failure(udf: UdfNode, rows: int, error: BaseException) -> str:
    return (
        f"failed on a batch of {rows} rows: {type(error).__name__}: {error}. Mend the function; "
        f"its exception is the cause.{_text_hint(udf)}"
    )


def _text_hint(udf: UdfNode) -> str:
    """Return what to say of a constant that may have been meant as the name of a column."""
    for argument in udf.arguments:
        if isinstance(argument, LiteralNode) and isinstance(argument.value, str):
            return f" It got the text {argument}: write col({argument}) where a column is meant."
    return ""


def _over_numpy(udf: UdfNode, arrays: list[Array], rows: int, schema: Schema) -> Array:
    """Leave out the rows where an operand is null; they are null in the result."""
    nulls = np.zeros(rows, bool)
    for array in arrays:
        if array.null_count:
            nulls |= array.null_mask()
    some = bool(nulls.any())
    if some:
        valid = np.flatnonzero(~nulls).astype(np.int32)
        arrays = [array.take(valid) for array in arrays]
    name = schema.names[0]
    columns, masks = separate_masks({name: udf.function(*(array.to_numpy() for array in arrays))})
    returned = columns[name]
    expected = rows - int(nulls.sum())
    if returned.ndim != 1 or len(returned) != expected:
        shape = f"of shape {returned.shape}" if returned.ndim != 1 else f"of {len(returned)} values"
        raise _wrong(udf, f"an array {shape}, but got {expected} rows. Return one value per row.")
    values = _converted(udf, lambda: own_arrays(schema, columns, masks))
    return _spread(values, nulls, schema) if some else values


def _spread(values: Array, nulls: Any, schema: Schema) -> Array:
    """Put the values into the rows that are not null."""
    parts = [NativeBatch(schema, [column]) for column in (values, _one_null(schema.fields[0][1]))]
    pool = NativeBatch.concat(parts).column(0)
    indices = np.full(len(nulls), len(values), np.int32)
    indices[~nulls] = np.arange(len(values), dtype=np.int32)
    return pool.take(indices)


def _over_arrow(udf: UdfNode, arrays: list[Array], rows: int, schema: Schema) -> Array:
    pyarrow = require("pyarrow", extra="arrow")
    returned = udf.function(*(pyarrow.array(PublicArray(array)) for array in arrays))
    if isinstance(returned, pyarrow.ChunkedArray):
        returned = returned.combine_chunks()
    if not isinstance(returned, pyarrow.Array):
        raise _wrong(udf, f"{type(returned).__name__}, not a pyarrow Array.")
    if len(returned) != rows:
        raise _wrong(
            udf, f"an array of {len(returned)} values, but got {rows} rows. Return one per row."
        )
    if rows == 0 or pyarrow.types.is_null(returned.type):  # no value: nulls of any type
        return _one_null(schema.fields[0][1]).take(np.zeros(rows, np.int32))
    table = pyarrow.record_batch([returned], names=schema.names)
    return _converted(
        udf, lambda: own_batches(NativeBatch.from_arrow(table), table)[0].cast_to(schema)
    )


def _converted(udf: UdfNode, convert: Callable[[], NativeBatch]) -> Array:
    try:
        return convert().column(0)
    except (SchemaError, NotSupportedError) as error:
        raise _wrong(udf, f"what is no {udf.returns}: {error}") from None


def _one_null(kind: DataType) -> Array:
    row = NativeBatch.from_numpy(Schema([("row", DataType("int64"), False)]), {"row": np.arange(1)})
    return Expression.cast(Expression.literal(None), kind).bind(row.schema).evaluate(row)


def _wrong(udf: UdfNode, what: str) -> _WrongError:
    return _WrongError(f"udf {udf.name} returned {what}{_text_hint(udf)}")
