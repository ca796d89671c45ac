"""Rows of topics in the catalog: the statements, on a connection whose transaction is another's."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Iterable
from typing import Any

from pystream.log.catalog_format import FIND_TOPICS, TABLES_OF_TOPIC
from pystream.log.topic_description import TopicDescription

__all__ = [
    "created_us",
    "enter_schema",
    "find_topic",
    "find_topics",
    "insert_topic",
    "remove_topic",
    "topic_of_id",
    "topics_in",
    "update_topic",
]


_KNOWN_ROWS = 256


@functools.lru_cache(_KNOWN_ROWS)
def _described(row: tuple[Any, ...]) -> TopicDescription:
    """Return the topic of a row. Looked up before each batch after a change: mostly as it was."""
    return TopicDescription.from_row(row)


def find_topic(connection: sqlite3.Connection, name: str) -> TopicDescription | None:
    """Return a topic, or None."""
    row = connection.execute(f"{FIND_TOPICS} WHERE t.name = ?", (name,)).fetchone()
    return None if row is None else _described(row)


def topic_of_id(connection: sqlite3.Connection, topic_id: bytes) -> TopicDescription | None:
    """Return the topic of an id, or None."""
    row = connection.execute(f"{FIND_TOPICS} WHERE t.id = ?", (topic_id,)).fetchone()
    return None if row is None else _described(row)


def find_topics(
    connection: sqlite3.Connection, names: Iterable[str]
) -> dict[str, TopicDescription]:
    """Return those of the topics that there are, by name."""
    found = (find_topic(connection, name) for name in names)
    return {topic.name: topic for topic in found if topic is not None}


def topics_in(connection: sqlite3.Connection) -> list[TopicDescription]:
    """Return all topics, by name."""
    rows = connection.execute(f"{FIND_TOPICS} ORDER BY t.name").fetchall()
    return [_described(row) for row in rows]


def created_us(connection: sqlite3.Connection, topic_id: bytes) -> int:
    """Return when a topic was created; 0 when it is gone."""
    row = connection.execute("SELECT created_us FROM topics WHERE id = ?", (topic_id,)).fetchone()
    return 0 if row is None else int(row[0])


def enter_schema(connection: sqlite3.Connection, blob: bytes) -> int:
    """Return the id of a schema, which it gets when it is first entered."""
    connection.execute("INSERT INTO schemas (blob) VALUES (?) ON CONFLICT DO NOTHING", (blob,))
    row = connection.execute("SELECT id FROM schemas WHERE blob = ?", (blob,)).fetchone()
    return int(row[0])


def insert_topic(connection: sqlite3.Connection, topic: TopicDescription, created_us: int) -> None:
    """Enter a topic, with its ids, under a schema that is there."""
    connection.execute(
        "INSERT INTO topics VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*topic.to_row(), created_us)
    )
    # A topic whose row was lost may have kept its schemas.
    connection.execute(
        "INSERT OR IGNORE INTO topic_schemas VALUES (?, 1, ?, ?)",
        (topic.id, topic.schema_id, created_us),
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
