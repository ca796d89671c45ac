"""Random damage to the rows of a catalog, and to the bytes of its files."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.torture.cell_values import another

# What concerns one of these alone is told by these columns.
_OF_TOPIC = {"topics": "id", "topic_schemas": "topic_id"}
_OF_GROUP = {
    "groups": "id",
    "group_members": "group_id",
    "group_partitions": "group_id",
    "group_offsets": "group_id",
}
_OF_PRODUCER = ("producers", "producer_positions", "producer_floors")
_OF_TRANSACTION = ("transactions", "transaction_partitions")
TABLES = (
    *("schemas", *_OF_TOPIC, *_OF_GROUP, *_OF_PRODUCER, *_OF_TRANSACTION),
    *("topics", "transactions", "transaction_partitions"),  # twice, as most depends on them
    "meta",
)
# In these a value of the right kind is as good as the one that was there: nothing can notice.
_UNNOTICEABLE = {
    ("transactions", "state"),
    ("transaction_partitions", "topic_id"),
    ("transaction_partitions", "partition"),
}

LIMITS = (2**62, 2**31 - 1)  # of what counts changes, and of epochs of producers
RISES = 1000  # more than a case has
COUNTERS = ("value", "version", "epoch")


@dataclass
class Damaged:
    """What a case did.

    Attributes
    ----------
    acts : list of str
        For people.
    topics, groups : set of str
        That may be concerned.
    is_everything : bool
        Nothing is told: bytes were damaged, or what counts for all.
    has_transactions : bool
    """

    acts: list[str] = field(default_factory=list)
    topics: set[str] = field(default_factory=set)
    groups: set[str] = field(default_factory=set)
    is_everything: bool = False
    has_transactions: bool = False


def damage(directory: Path, choose: random.Random) -> Damaged:
    """Damage the catalog of a log that nobody has open."""
    done = Damaged()
    path = directory / "catalog.db"
    if choose.random() < 0.12:
        _damage_bytes(path, choose, done)
        return done
    with contextlib.closing(_without_constraints(path)) as connection:
        for _ in range(choose.choice((1, 1, 1, 2, 3))):
            _damage_row(connection, choose, done)
    _restore_constraints(path)
    if choose.random() < 0.03:
        _damage_bytes(path, choose, done)
    return done


def _damage_bytes(path: Path, choose: random.Random, done: Damaged) -> None:
    done.is_everything = True
    files = [path, *(p for p in (path.with_name("catalog.db-wal"),) if p.exists())]
    target = choose.choice(files)
    data = bytearray(target.read_bytes())
    if not data:
        return
    kind = choose.choice(("flip", "flip", "flip", "noise", "cut", "zeros"))
    at = choose.randrange(len(data))
    if kind == "cut":
        del data[at:]
    elif kind == "flip":
        for _ in range(choose.choice((1, 1, 4))):
            at = choose.randrange(len(data))
            data[at] ^= 1 << choose.randrange(8)
    else:
        length = min(choose.choice((1, 16, 512, 4096)), len(data) - at)
        noise = bytes(length) if kind == "zeros" else choose.randbytes(length)
        data[at : at + length] = noise
    target.write_bytes(data)
    done.acts.append(f"{kind} at byte {at} of {target.name}")


def _without_constraints(path: Path) -> sqlite3.Connection:
    """Open the database so that any cell may become NULL; rotten bytes respect nothing."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("CREATE TABLE kept AS SELECT name, sql FROM sqlite_master")
        connection.execute(
            "UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE type = 'table'"
        )
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
        connection.execute(f"DROP TRIGGER {name}")
    return connection


def _restore_constraints(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        triggers = connection.execute(
            "SELECT sql FROM kept WHERE sql LIKE 'CREATE TRIGGER%'"
        ).fetchall()
        for (statement,) in triggers:
            connection.execute(statement)
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET sql = (SELECT k.sql FROM kept k WHERE k.name = "
            "sqlite_master.name) WHERE type = 'table' AND name IN (SELECT name FROM kept) "
            "AND name != 'sqlite_sequence'"
        )
        connection.execute("PRAGMA writable_schema = RESET")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DROP TABLE kept")


def _damage_row(connection: sqlite3.Connection, choose: random.Random, done: Damaged) -> None:
    table = choose.choice(TABLES)
    found = connection.execute(f"SELECT * FROM {table}")
    columns = [column[0] for column in found.description]
    rows = found.fetchall()
    if not rows:
        return
    row = choose.choice(rows)
    condition = " AND ".join(f"{column} IS ?" for column in columns)
    values = dict(zip(columns, row, strict=True))
    _note(connection, table, values, done)
    if choose.random() < 0.08:
        connection.execute(f"DELETE FROM {table} WHERE {condition}", row)
        done.acts.append(f"removed {values} of {table}")
        done.has_transactions |= table in _OF_TRANSACTION
        return
    column = choose.choice(columns)
    value = _value(connection, table, column, values[column], choose)
    with contextlib.suppress(sqlite3.IntegrityError):  # it is another row's
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {condition}", (value, *row))
        done.acts.append(f"set {column} of {values} of {table} to {value!r:.200}")
        _note(connection, table, values | {column: value}, done)


def _value(
    connection: sqlite3.Connection, table: str, column: str, value: Any, choose: random.Random
) -> Any:
    if (table, column) in _UNNOTICEABLE:
        return choose.choice((None, "x", -1, 0.5, b"\xff" * 16, 2**40))
    others = [it for (it,) in connection.execute(f"SELECT {column} FROM {table}")]
    damaged = another(value, others, choose)
    # A counter that stands at its limit is sound until it rises, which it does later in the case.
    if type(damaged) is int and column in COUNTERS:
        for limit in LIMITS:
            if limit - RISES < damaged <= limit:
                return limit - RISES
    return damaged


def _note(
    connection: sqlite3.Connection, table: str, values: dict[str, Any], done: Damaged
) -> None:
    """Note whom the damage concerns."""
    topics = "SELECT name FROM topics WHERE "
    concerned: list[Any] = []
    if table in _OF_TOPIC:
        topic_id = values[_OF_TOPIC[table]]
        concerned = connection.execute(f"{topics} id IS ?", (topic_id,)).fetchall()
    elif table == "schemas":
        concerned = connection.execute(f"{topics} schema_id IS ?", (values["id"],)).fetchall()
    elif table in _OF_GROUP:
        group = values[_OF_GROUP[table]]
        names = connection.execute("SELECT name FROM groups WHERE id IS ?", (group,))
        done.groups |= {name for (name,) in names}
    elif table in _OF_TRANSACTION:
        concerned = [("ledger",)]
        done.has_transactions = True
    elif table == "meta":
        done.is_everything = True
    done.topics |= {name for (name,) in concerned}
    if concerned and table not in _OF_TRANSACTION:
        done.groups |= {"present"}  # which is subscribed by a pattern
