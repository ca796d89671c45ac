"""The catalog's tables and the version of their format; docs/formats/catalog.md says the same."""

from __future__ import annotations

import contextlib
import functools
import sqlite3

from pystream.log.catalog.rows import TABLES, DamagedRow, shown
from pystream.log.format_version import check_format_version

__all__ = [
    "FIND_TOPICS",
    "FIRST_WITH_TRANSACTIONS",
    "FORMAT_VERSION",
    "TABLES_OF_TOPIC",
    "check_catalog_version",
    "create_tables",
    "restore_version",
    "tables_version",
    "upgrade",
]

FORMAT_VERSION = 3
OLDEST_FORMAT_VERSION = 1
FIRST_WITH_TRANSACTIONS = 3
# A table that is new in each version behind the first.
_FIRST_TABLES = {2: "group_members", 3: "transactions"}
_VERSION_ROW = "name='format_version'"
# Also those whose schema is missing: they are damaged, and not gone.
FIND_TOPICS = (
    "SELECT t.id, t.name, t.partitions, t.schema_id, t.is_typed, t.key_columns, t.configs, "
    "s.blob, EXISTS (SELECT 1 FROM topic_schemas h "
    "WHERE h.topic_id = t.id AND h.schema_id = t.schema_id) "
    "FROM topics t LEFT JOIN schemas s ON s.id = t.schema_id"
)
_TABLES_1 = """
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
# What version 2 added: members of groups.
_TABLES_2 = """
ALTER TABLE groups ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE groups ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE groups ADD COLUMN topics_hash TEXT NOT NULL DEFAULT '';
CREATE TABLE group_members (
    number INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given again: it fences
    group_id INTEGER NOT NULL REFERENCES groups (id),
    member_id TEXT NOT NULL UNIQUE,
    instance_id TEXT,                    -- of a static member
    slot INTEGER NOT NULL,               -- in members.lock; -1: a static member that is away
    epoch INTEGER NOT NULL,
    subscription TEXT NOT NULL,          -- JSON object: list of topics, pattern or null
    assignor TEXT NOT NULL,
    session_timeout_us INTEGER NOT NULL,
    max_poll_us INTEGER,
    away_us INTEGER,                     -- since when, by the monotonic clock
    process_id INTEGER NOT NULL,         -- for messages
    UNIQUE (group_id, instance_id)
);
CREATE TABLE group_partitions (
    group_id INTEGER NOT NULL REFERENCES groups (id),
    topic_id BLOB NOT NULL,
    partition INTEGER NOT NULL,
    target INTEGER,                      -- the member that is to read it
    owner INTEGER,                       -- the member that does
    owner_epoch INTEGER NOT NULL,        -- of the group, when the owner took it
    PRIMARY KEY (group_id, topic_id, partition)
) WITHOUT ROWID;
INSERT INTO meta VALUES ('topics_version', 0);
CREATE TRIGGER topic_created AFTER INSERT ON topics BEGIN
    UPDATE meta SET value = value + 1 WHERE name = 'topics_version';
END;
CREATE TRIGGER topic_deleted AFTER DELETE ON topics BEGIN
    UPDATE meta SET value = value + 1 WHERE name = 'topics_version';
END;
CREATE TRIGGER topic_partitioned AFTER UPDATE OF partitions ON topics BEGIN
    UPDATE meta SET value = value + 1 WHERE name = 'topics_version';
END;
"""
# What version 3 added: transactions.
_TABLES_3 = """
CREATE TABLE transactions (
    id INTEGER PRIMARY KEY,              -- random, 62 bits; batches carry it
    transactional_id TEXT NOT NULL,
    producer_id INTEGER NOT NULL,
    producer_epoch INTEGER NOT NULL,     -- that its batches carry; its markers carry the next one
    state TEXT NOT NULL,                 -- 'open', and then once and for all 'committed', 'aborted'
    slot INTEGER NOT NULL,               -- of its producer in transactions.lock
    process_id INTEGER NOT NULL,         -- for messages
    timeout_us INTEGER NOT NULL,
    begun_us INTEGER NOT NULL,           -- for people
    begun_monotonic_us INTEGER NOT NULL,
    decided_us INTEGER                   -- for people
);
CREATE INDEX transactions_of_producer ON transactions (producer_id);
CREATE TABLE transaction_partitions (    -- where it may have written
    transaction_id INTEGER NOT NULL REFERENCES transactions (id),
    topic_id BLOB NOT NULL,
    partition INTEGER NOT NULL,
    PRIMARY KEY (transaction_id, topic_id, partition)
) WITHOUT ROWID;
CREATE TABLE producer_floors (           -- what is known of records that were deleted
    producer_id INTEGER NOT NULL REFERENCES producers (id),
    topic_id BLOB NOT NULL,
    partition INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,        -- all below was on the disk
    incarnation INTEGER NOT NULL,
    last_sequence INTEGER NOT NULL,
    complete_sequence INTEGER NOT NULL,
    PRIMARY KEY (producer_id, topic_id, partition)
) WITHOUT ROWID;
"""
# What goes with a topic, and the column that names it.
TABLES_OF_TOPIC = (
    ("group_offsets", "topic_id"),
    ("group_partitions", "topic_id"),
    ("producer_floors", "topic_id"),
    ("producer_positions", "topic_id"),
    ("topic_schemas", "topic_id"),
    ("transaction_partitions", "topic_id"),
    ("topics", "id"),
)


def create_tables(connection: sqlite3.Connection) -> None:
    """Make an empty database a catalog, all or nothing."""
    with contextlib.closing(sqlite3.connect(":memory:")) as empty:
        empty.deserialize(_empty_catalog())
        empty.backup(connection)  # in one transaction


@functools.cache
def _empty_catalog() -> bytes:
    """Return the bytes of a catalog without rows: SQLite takes long to read so many statements."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        made.executescript(
            f"BEGIN; {_TABLES_1} {_TABLES_2} {_TABLES_3} "
            f"INSERT INTO meta VALUES ('format_version', {FORMAT_VERSION}); COMMIT;"
        )
        return made.serialize()


def upgrade(connection: sqlite3.Connection, version: int) -> None:
    """Bring a catalog of an older version that is read to the present one, all or nothing."""
    if version < FORMAT_VERSION:
        tables = "".join((_TABLES_2, _TABLES_3)[version - 1 :])
        connection.executescript(
            f"BEGIN; {tables} "
            f"UPDATE meta SET value = {FORMAT_VERSION} WHERE name = 'format_version'; COMMIT;"
        )


def check_catalog_version(connection: sqlite3.Connection, path: str) -> int:
    """Return the version of the catalog's format; raise unless this program reads it.

    Raises
    ------
    LogError
        If it is of another version.
    DamagedRow
        If it does not say so, or says another than that of its tables.
    sqlite3.DatabaseError
        If its tables are of no version.
    """
    row = connection.execute("SELECT value FROM meta WHERE name = 'format_version'").fetchone()
    if row is not None and type(row[0]) is int:
        check_format_version(path, row[0], oldest=OLDEST_FORMAT_VERSION, newest=FORMAT_VERSION)
    found, is_whole = _version_of_tables(connection)
    if row is not None and type(row[0]) is int and row[0] == found:
        return found
    if not is_whole:
        if row is None:
            raise _damaged("it does not say which format it has, and has the tables of none")
        raise _damaged(f"it says that it has version {shown(row[0])}, and has not all its tables")
    if row is None:
        raise DamagedRow("meta", _VERSION_ROW, "it is missing")
    expected = f"{found}, of which version the tables are"
    raise (
        TABLES["meta"]
        .columns["value"]
        ._replace(expected=expected)
        .damage("meta", _VERSION_ROW, row[0])
    )


def restore_version(connection: sqlite3.Connection) -> int:
    """Let a catalog say the version of its tables, and return that; they are of one."""
    found, _ = _version_of_tables(connection)
    connection.execute("REPLACE INTO meta VALUES ('format_version', ?)", (found,))
    return found


def tables_version(connection: sqlite3.Connection) -> int:
    """Return the version that a catalog's tables are of."""
    return _version_of_tables(connection)[0]


def _version_of_tables(connection: sqlite3.Connection) -> tuple[int, bool]:
    """Return a version, and whether exactly its tables are there."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    later = [version for version, table in _FIRST_TABLES.items() if table in tables]
    found = max(later, default=OLDEST_FORMAT_VERSION)
    since = {name: 1 if name == "groups" else table.since for name, table in TABLES.items()}
    return found, all((name in tables) == (version <= found) for name, version in since.items())


def _damaged(what: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(what)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error
