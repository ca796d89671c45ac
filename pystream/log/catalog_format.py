"""The catalog's tables and the version of their format; docs/formats/catalog.md says the same."""

from __future__ import annotations

import sqlite3

from pystream.log.format_version import check_format_version

__all__ = ["FIND_TOPICS", "FORMAT_VERSION", "TABLES", "TABLES_OF_TOPIC", "check_catalog_version"]

FORMAT_VERSION = 1
OLDEST_FORMAT_VERSION = 1
FIND_TOPICS = (
    "SELECT t.id, t.name, t.partitions, t.schema_id, t.is_typed, t.key_columns, t.configs, s.blob "
    "FROM topics t JOIN schemas s ON s.id = t.schema_id"
)
TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE schemas (id INTEGER PRIMARY KEY, blob BLOB NOT NULL UNIQUE);
CREATE TABLE topics (
    id BLOB PRIMARY KEY,                 -- 16 random bytes: a deleted topic's name can come back
    name TEXT NOT NULL UNIQUE,
    partitions INTEGER NOT NULL,
    schema_id INTEGER NOT NULL REFERENCES schemas (id),
    is_typed INTEGER NOT NULL,
    key_columns TEXT NOT NULL,           -- JSON list of names
    configs TEXT NOT NULL,               -- JSON object
    created_us INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE topic_schemas (             -- every schema that a topic has had
    topic_id BLOB NOT NULL,
    version INTEGER NOT NULL,            -- from 1
    schema_id INTEGER NOT NULL REFERENCES schemas (id),
    since_us INTEGER NOT NULL,
    PRIMARY KEY (topic_id, version)
) WITHOUT ROWID;
CREATE TABLE groups (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE group_offsets (
    group_id INTEGER NOT NULL REFERENCES groups (id),
    topic_id BLOB NOT NULL,
    partition INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    committed_us INTEGER NOT NULL,
    PRIMARY KEY (group_id, topic_id, partition)
) WITHOUT ROWID;
CREATE TABLE producers (
    id INTEGER PRIMARY KEY,              -- random, 62 bits; batches carry it
    name TEXT NOT NULL UNIQUE,
    epoch INTEGER NOT NULL,              -- of the newest producer of that name; others are fenced
    opened_us INTEGER NOT NULL
);
CREATE TABLE producer_positions (        -- where the next producer of that name reads on
    producer_id INTEGER NOT NULL REFERENCES producers (id),
    topic_id BLOB NOT NULL,
    partition INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    last_sequence INTEGER NOT NULL,
    complete_sequence INTEGER NOT NULL,
    PRIMARY KEY (producer_id, topic_id, partition)
) WITHOUT ROWID;
"""
# What goes with a topic, and the column that names it.
TABLES_OF_TOPIC = (
    ("group_offsets", "topic_id"),
    ("producer_positions", "topic_id"),
    ("topic_schemas", "topic_id"),
    ("topics", "id"),
)


def check_catalog_version(connection: sqlite3.Connection, path: str) -> None:
    """Raise unless this program reads the catalog's format.

    Raises
    ------
    LogError
        If it is of another version.
    sqlite3.DatabaseError
        If it does not say.
    """
    row = connection.execute("SELECT value FROM meta WHERE name = 'format_version'").fetchone()
    if row is None or not isinstance(row[0], int):
        error = sqlite3.DatabaseError("it does not say which format it has")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error
    check_format_version(path, row[0], oldest=OLDEST_FORMAT_VERSION, newest=FORMAT_VERSION)
