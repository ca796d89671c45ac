"""The ways in which users write a schema."""

from __future__ import annotations

from collections.abc import Mapping

from pystream._native import DataType, Schema
from pystream.config import is_name
from pystream.errors import ConfigError

__all__ = ["KAFKA_SHAPED", "to_schema"]

_NOT_NULL = " not null"

KAFKA_SHAPED = Schema([("key", DataType("binary"), True), ("value", DataType("binary"), True)])
"""Columns of a topic that was created without a schema; headers are stored beside them."""


def to_schema(spelling: object) -> Schema:
    """Return the native schema of what a user wrote.

    Parameters
    ----------
    spelling : mapping, Schema, or object with ``__arrow_c_schema__``
        A mapping gives each column's name its type, as a string such as ``"int64"``,
        ``"timestamp[ms, UTC]"`` or ``"string not null"``. pyarrow schemas are taken as they are.

    Raises
    ------
    ConfigError
        If it is none of these, has no columns, or names a type that does not exist.
    NotSupportedError
        If a topic cannot hold a column's type; names the column.

    Examples
    --------
    >>> to_schema({"user": "string not null", "amount": "float64"}).names
    ['user', 'amount']
    """
    if isinstance(spelling, Schema):
        schema = spelling
    elif isinstance(spelling, Mapping):
        schema = Schema([_field(name, written) for name, written in spelling.items()])
    elif hasattr(spelling, "__arrow_c_schema__"):
        schema = Schema.from_arrow(spelling)
    else:
        raise ConfigError(
            f"schema is {spelling!r}. Pass a dict of column names to types, such as "
            '{"user": "string", "amount": "float64"}, or a pyarrow.Schema.'
        )
    if len(schema) == 0:
        raise ConfigError('schema has no columns. Name at least one, such as {"value": "int64"}.')
    return schema


def _field(name: object, written: object) -> tuple[str, DataType, bool]:
    if not isinstance(name, str) or not (name == "" or is_name(name)):
        raise ConfigError(f"schema names a column {name!r}. Column names are strings of Unicode.")
    if isinstance(written, DataType):
        return name, written, True
    if not is_name(written):
        raise ConfigError(
            f"schema gives column {name!r} the type {written!r}. Write it as a string such as "
            '"int64", "float64", "string" or "timestamp[ms]".'
        )
    is_nullable = not written.endswith(_NOT_NULL)
    return name, DataType(written.removesuffix(_NOT_NULL)), is_nullable
