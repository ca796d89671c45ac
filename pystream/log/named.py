"""Partitions, topics and columns as users name them."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from typing import Any

from pystream.config import is_name
from pystream.errors import ConfigError, SchemaError
from pystream.types import TopicPartition

__all__ = [
    "by_partition",
    "check_column_names",
    "key_named",
    "partition_named",
    "partitions_named",
    "topics_named",
]


def partition_named(value: Any) -> TopicPartition:
    """Return the partition that a value names.

    Raises
    ------
    ConfigError
        Unless it is a pair of a topic's name and a whole number.
    """
    if isinstance(value, tuple | list) and len(value) == 2 and isinstance(value[0], str):
        topic, number = value
        if type(number) is int:
            return value if type(value) is TopicPartition else TopicPartition(topic, number)
        try:
            if not isinstance(number, bool):
                return TopicPartition(topic, operator.index(number))
        except TypeError:
            pass
    one_by_one = isinstance(value, list | set | frozenset | dict)
    hint = " Pass several one by one, as in pause(*partitions)." if one_by_one else ""
    raise ConfigError(
        f"{value!r} names no partition. Pass a TopicPartition, or a tuple of a topic's name and a "
        f"number.{hint}"
    )


def partitions_named(values: Any) -> list[TopicPartition]:
    """Return the partitions that the values of a list, or of any iterable, name.

    Raises
    ------
    ConfigError
        If it is none, or one of its values names no partition.
    """
    listed = None if isinstance(values, str | bytes | TopicPartition) else _listed(values)
    if listed is None:
        raise ConfigError(f"partitions is {values!r}. Pass a list of TopicPartition.")
    return [partition_named(value) for value in listed]


def _listed(values: Any) -> list[Any] | None:
    """Return what can be gone through as a list; None for what cannot, as an array of no axes."""
    try:
        iterator = iter(values)
    except TypeError:
        return None
    return list(iterator)


def by_partition(values: Any, *, setting: str, of: str) -> dict[TopicPartition, Any]:
    """Return what a mapping gives each partition.

    Raises
    ------
    ConfigError
        If it is no mapping, or one of its keys names no partition.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{setting} is {values!r}. Pass a mapping of TopicPartition to {of}.")
    return {partition_named(name): value for name, value in values.items()}


def topics_named(values: Any) -> list[str]:
    """Return the names of topics: one, or several, of which none counts twice.

    Raises
    ------
    ConfigError
        If it is neither a name nor an iterable.
    """
    if isinstance(values, str):
        return [values]
    listed = _listed(values)
    names = [values] if listed is None else listed
    for name in names:
        if not isinstance(name, str):
            raise ConfigError(
                f"topics is {values!r}, and {name!r} is no name. Pass a topic's name, or a list of "
                "names."
            )
    return list(dict.fromkeys(names))


def key_named(key: Any) -> tuple[str, ...]:
    """Return the columns of a key: none, one, or several in order.

    Raises
    ------
    ConfigError
        If it is something else than names.
    """
    if key is None:
        return ()
    names = (key,) if isinstance(key, str) or not isinstance(key, Iterable) else tuple(key)
    for name in names:
        if not isinstance(name, str):
            raise ConfigError(f"key is {key!r}. Pass the name of a column, or a list of names.")
    return names


def check_column_names(names: Iterable[Any]) -> None:
    """Raise SchemaError for what no column can be called."""
    for name in names:
        if not is_name(name) and name != "":
            raise SchemaError(
                f"the table has a column {name!r}. Names of columns are strings of Unicode.",
                expected="a column's name",
                got=type(name).__name__,
            )
