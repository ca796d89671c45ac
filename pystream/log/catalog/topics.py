"""Rows of topics in the catalog: the statements, on a connection whose transaction is another's."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from types import NoneType
from typing import Any

from pystream import _native
from pystream.config import is_name
from pystream.errors import ConfigError, NotSupportedError, StreamError
from pystream.log.catalog.format import FIND_TOPICS, TABLES_OF_TOPIC
from pystream.log.catalog.rows import TABLES, Cells, DamagedRow, Illegal, row_name
from pystream.log.schema import KAFKA_SHAPED
from pystream.log.topic_description import TopicConfig, TopicDescription

__all__ = [
    "UnknownSettings",
    "created_us",
    "enter_schema",
    "find_topic",
    "find_topics",
    "insert_topic",
    "remove_topic",
    "schema_damage",
    "topic_damages",
    "topic_names",
    "topic_of_id",
    "topic_of_row",
    "topics_in",
    "update_topic",
]

_TOPIC = Cells(
    "topics", "id", "name", "partitions", "schema_id", "is_typed", "key_columns", "configs"
)
_NAME = Cells("topics", "name")
_CREATED = Cells("topics", "created_us")
_SCHEMA_ID = Cells("schemas", "id")
# By the annotation of a setting, what JSON may give for it.
_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str | None": (str, NoneType),
    "int | None": (int, NoneType),
    "float | None": (int, float, NoneType),
}
_INTEGER_END = 2**63


class UnknownSettings(sqlite3.DatabaseError):
    """A topic has settings that a newer pystream wrote."""

    def __init__(self, topic: str, names: Iterable[str]) -> None:
        super().__init__(
            f"topic {topic!r} has the settings {', '.join(sorted(names))}, which this pystream "
            "does not know. Use the pystream that wrote them, or a newer one."
        )
        self.topic = topic


@lru_cache(maxsize=1024)
def topic_of_row(row: tuple[Any, ...]) -> TopicDescription:
    """Return the topic of a row as FIND_TOPICS gives it.

    Looked up before each batch after a change: mostly as it was.

    Raises
    ------
    DamagedRow
        If it is damaged, or its schema is.
    UnknownSettings
        If a newer pystream gave it settings that this one does not know.
    """
    topic_id, name, partitions, schema_id, is_typed, keys, configs = _TOPIC.checked(row[:-2])
    for damage in _deeper_damages(row):
        raise damage
    return TopicDescription(
        name=name,
        partitions=partitions,
        schema_blob=row[-2],
        is_typed=bool(is_typed),
        key_columns=tuple(_list_of_names(keys)),
        config=_settings_of(name, configs),
        id=topic_id,
        schema_id=schema_id,
    )


def topic_damages(row: Sequence[Any]) -> list[DamagedRow]:
    """Return all that is wrong with a row as FIND_TOPICS gives it."""
    return [*_TOPIC.damages(row[:-2], {})] or [*_deeper_damages(row)]


def _deeper_damages(row: Sequence[Any]) -> Iterator[DamagedRow]:
    """Yield what is wrong with a row whose cells are of the right kind."""
    topic_id, name, _, schema_id, is_typed, keys, configs, blob, is_own = row
    where = row_name({"id": topic_id, "name": name}, TABLES["topics"].key)

    def damage(column: str, value: object, expected: str) -> DamagedRow:
        return (
            TABLES["topics"]
            .columns[column]
            ._replace(expected=expected)
            .damage("topics", where, value)
        )

    if blob is None:
        yield damage("schema_id", schema_id, "the id of a row of table schemas")
        return
    if not is_own:
        expected = "one of the schemas that table topic_schemas has for this topic"
        yield damage("schema_id", schema_id, expected)
        return
    if found := schema_damage(schema_id, blob):
        yield found
        return
    columns = _columns_of(blob)
    try:
        names = _list_of_names(keys)
    except Illegal as error:
        yield damage("key_columns", keys, str(error))
    else:
        if set(names) - set(columns) or len(set(names)) < len(names):
            expected = f"a list of columns of the topic, which has {', '.join(columns)}"
            yield damage("key_columns", keys, expected)
        elif not is_typed and (names != ["key"] or blob != KAFKA_SHAPED.serialize()):
            yield damage("is_typed", is_typed, "1 for a topic with such columns")
    try:
        settings = _settings_of(name, configs)
    except Illegal as error:
        yield damage("configs", configs, str(error))
    except UnknownSettings:
        return  # which is told in other words
    else:
        if settings.is_compacted and keys == "[]":
            yield damage("configs", configs, "without compaction for a topic that has no key")


def schema_damage(schema_id: int, blob: bytes) -> DamagedRow | None:
    """Return what is wrong with a schema."""
    try:
        _columns_of(blob)
    except Illegal as error:
        column = TABLES["schemas"].columns["blob"]
        return column._replace(expected=str(error)).damage("schemas", f"id={schema_id}", blob)
    return None


@lru_cache(maxsize=1024)
def _columns_of(blob: bytes) -> tuple[str, ...]:
    if not isinstance(blob, bytes):
        raise Illegal("a schema")
    try:
        return tuple(_native.Schema.deserialize(blob).names)
    except StreamError as error:
        raise Illegal(f"a schema, but {str(error).split('. ')[0]}") from error


def _list_of_names(text: str) -> list[str]:
    names = _parsed(text, "a JSON list of names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Illegal("a JSON list of names")
    return names


@lru_cache(maxsize=1024)
def _settings_of(topic: str, text: str) -> TopicConfig:
    settings = _parsed(text, "a JSON object of settings")
    if not isinstance(settings, dict):
        raise Illegal("a JSON object of settings")
    fields = TopicConfig.__dataclass_fields__
    if unknown := set(settings) - set(fields):
        raise UnknownSettings(topic, unknown)
    for name, value in settings.items():
        kinds = _TYPES[str(fields[name].type)]
        if type(value) not in kinds or (type(value) is int and not 0 <= value < _INTEGER_END):
            raise Illegal(f"settings of which {name} is {fields[name].type}")
    if settings.get("retention_us") == 0:
        raise Illegal("settings of which retention_us is not 0")
    try:
        return TopicConfig(**settings)
    except (ConfigError, NotSupportedError) as error:
        raise Illegal(f"legal settings, but {str(error).split('. ')[0]}") from error


def _parsed(text: str, expected: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Illegal(expected) from error


def find_topic(connection: sqlite3.Connection, name: str) -> TopicDescription | None:
    """Return a topic, or None."""
    if not is_name(name):  # the database cannot be asked for it, and has none
        return None
    row = connection.execute(f"{FIND_TOPICS} WHERE t.name = ?", (name,)).fetchone()
    return None if row is None else topic_of_row(row)


def topic_of_id(connection: sqlite3.Connection, topic_id: bytes) -> TopicDescription | None:
    """Return the topic of an id, or None."""
    row = connection.execute(f"{FIND_TOPICS} WHERE t.id = ?", (topic_id,)).fetchone()
    return None if row is None else topic_of_row(row)


def find_topics(
    connection: sqlite3.Connection, names: Iterable[str]
) -> dict[str, TopicDescription]:
    """Return those of the topics that there are, by name."""
    found = (find_topic(connection, name) for name in names)
    return {topic.name: topic for topic in found if topic is not None}


def topics_in(connection: sqlite3.Connection) -> list[TopicDescription]:
    """Return all topics, by name."""
    rows = connection.execute(f"{FIND_TOPICS} ORDER BY t.name").fetchall()
    return [topic_of_row(row) for row in rows]


def topic_names(connection: sqlite3.Connection) -> list[str]:
    """Return the names of all topics, sorted."""
    rows = connection.execute("SELECT name FROM topics ORDER BY name")
    return [name for (name,) in _NAME.all_checked(rows)]


def created_us(connection: sqlite3.Connection, topic_id: bytes) -> int:
    """Return when a topic was created; 0 when it is gone."""
    row = connection.execute("SELECT created_us FROM topics WHERE id = ?", (topic_id,)).fetchone()
    return 0 if row is None else int(_CREATED.checked(row, id=topic_id)[0])


def enter_schema(connection: sqlite3.Connection, blob: bytes) -> int:
    """Return the id of a schema, which it gets when it is first entered."""
    entered = connection.execute(
        "INSERT INTO schemas (blob) VALUES (?) ON CONFLICT DO NOTHING", (blob,)
    )
    row = connection.execute("SELECT id FROM schemas WHERE blob = ?", (blob,)).fetchone()
    (number,) = _SCHEMA_ID.checked(row)
    if entered.rowcount == 1:  # else whose row was lost would now have this one
        for table in ("topics", "topic_schemas"):
            found = f"SELECT 1 FROM {table} WHERE schema_id = ? LIMIT 1"
            if connection.execute(found, (number,)).fetchone() is not None:
                what = f"it is missing, though table {table} names it"
                raise DamagedRow("schemas", f"id={number}", what)
    return int(number)


def insert_topic(connection: sqlite3.Connection, topic: TopicDescription, created_us: int) -> None:
    """Enter a topic, with its ids, under a schema that is there."""
    connection.execute(
        "INSERT INTO topics VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*topic.to_row(), created_us)
    )
    # A topic whose row was lost may have kept its schemas.
    connection.execute(
        "INSERT INTO topic_schemas SELECT :topic, coalesce(max(version), 0) + 1, :schema, :now "
        "FROM topic_schemas WHERE topic_id = :topic HAVING NOT EXISTS "
        "(SELECT 1 FROM topic_schemas WHERE topic_id = :topic AND schema_id = :schema)",
        {"topic": topic.id, "schema": topic.schema_id, "now": created_us},
    )


def update_topic(
    connection: sqlite3.Connection, topic: TopicDescription, wanted: TopicDescription, now_us: int
) -> None:
    """Let a topic's row say what it is from now on; its schema, with its id, is there."""
    _, _, partitions, schema_id, _, _, configs = wanted.to_row()
    connection.execute("UPDATE topics SET configs = ? WHERE id = ?", (configs, topic.id))
    if schema_id != topic.schema_id:
        connection.execute("UPDATE topics SET schema_id = ? WHERE id = ?", (schema_id, topic.id))
        connection.execute(
            "INSERT INTO topic_schemas SELECT topic_id, max(version) + 1, ?, ? "
            "FROM topic_schemas WHERE topic_id = ?",
            (schema_id, now_us, topic.id),
        )
    if partitions != topic.partitions:  # a trigger tells groups
        connection.execute("UPDATE topics SET partitions = ? WHERE id = ?", (partitions, topic.id))


def remove_topic(connection: sqlite3.Connection, topic: TopicDescription) -> None:
    """Remove a topic and all that goes with it."""
    for table, column in TABLES_OF_TOPIC:
        connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (topic.id,))
