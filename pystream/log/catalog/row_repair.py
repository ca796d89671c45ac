"""Sets damaged rows of the catalog aside, so that what is sound can be used again.

Nobody else has the log open. A copy of the catalog, as it was, is in the quarantine; what is lost
with each kind of row stands in docs/formats/catalog.md.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping

from pystream.log.catalog.damage import Damage, damages_of_rest, damages_of_topics
from pystream.log.catalog.format import FORMAT_VERSION
from pystream.log.catalog.rows import TABLES

__all__ = ["restore_partitions", "set_aside_rest", "set_aside_topics"]

# Each round may leave rows that name one which is gone.
_ROUNDS_MAX = 10
# Cells that are for people, or that nothing depends on while nobody has the log open.
_UNIMPORTANT = {
    ("topics", "created_us"): "0",
    ("topic_schemas", "since_us"): "0",
    ("group_offsets", "committed_us"): "0",
    ("producers", "opened_us"): "0",
    ("transactions", "transactional_id"): "'unknown'",
    ("transactions", "slot"): "0",
    ("transactions", "process_id"): "0",
    ("transactions", "timeout_us"): "0",
    ("transactions", "begun_us"): "0",
    ("transactions", "begun_monotonic_us"): "0",
    ("transactions", "decided_us"): "NULL",
}


def set_aside_topics(connection: sqlite3.Connection, done: list[str]) -> list[Damage]:
    """Remove damaged rows of topics, which their own files can make again; return them."""
    return _until_sound(connection, damages_of_topics, done)


def set_aside_rest(connection: sqlite3.Connection, done: list[str]) -> None:
    """Mend or remove damaged rows of groups, producers and transactions."""
    _until_sound(connection, damages_of_rest, done)


def restore_partitions(
    connection: sqlite3.Connection, partitions: Mapping[bytes, int]
) -> list[str]:
    """Let topics (by id) have so many partitions again; return what was done."""
    done = []
    for topic_id, number in partitions.items():
        connection.execute("UPDATE topics SET partitions = ? WHERE id = ?", (number, topic_id))
        done.append(f"gave topic {topic_id.hex()} its {number} partitions again, as its file says")
    return done


def _until_sound(
    connection: sqlite3.Connection,
    find: Callable[[sqlite3.Connection, int], Iterator[Damage]],
    done: list[str],
) -> list[Damage]:
    all_found: list[Damage] = []
    for _ in range(_ROUNDS_MAX):
        found = list(find(connection, FORMAT_VERSION))
        if not found:
            break
        for damage in found:
            act = _put_right(connection, damage)
            done.append(f"{act}, because of {damage.error}")
        all_found += found
    return all_found


def _put_right(connection: sqlite3.Connection, damage: Damage) -> str:
    table, column = damage.table, damage.error.column
    key = (table, column or "")
    if key in _UNIMPORTANT:
        value = _UNIMPORTANT[key]
        connection.execute(f"UPDATE {table} SET {column} = {value} WHERE {damage.identity}")
        return f"set {column} of row {damage.error.row} of table {table} to {value}"
    special = _SPECIAL.get(table)
    act = special(connection, damage) if special is not None else None
    if act is not None:
        return act
    connection.execute(f"DELETE FROM {table} WHERE {damage.identity}")
    return f"removed row {damage.error.row} of table {table}"


def _count_topics_anew(connection: sqlite3.Connection, _damage: Damage) -> str:
    connection.execute("REPLACE INTO meta VALUES ('topics_version', 0)")
    return "began to count changes of topics anew"


def _empty_group(connection: sqlite3.Connection, damage: Damage) -> str | None:
    """Take all members out of a group: those that are there died with their processes."""
    columns = TABLES["groups"].columns
    column = "id" if damage.table == "groups" else "group_id"
    group = damage.values[column]
    if not columns["id"].is_legal(group):
        return None
    if damage.table == "groups" and not columns["name"].is_legal(damage.values["name"]):
        return None
    if connection.execute("SELECT 1 FROM groups WHERE id = ?", (group,)).fetchone() is None:
        return None
    for table in ("group_members", "group_partitions"):
        connection.execute(f"DELETE FROM {table} WHERE group_id = ?", (group,))
        # Nor may the row stay whose group cannot be told.
        if table == damage.table:
            connection.execute(f"DELETE FROM {table} WHERE {damage.identity}")
    connection.execute(
        "UPDATE groups SET epoch = 0, version = 0, topics_hash = '' WHERE id = ?", (group,)
    )
    return f"took the members out of group {group}, which keeps its offsets"


def _forget_producer(connection: sqlite3.Connection, damage: Damage) -> str:
    number = damage.values["id"]
    for table in ("producer_positions", "producer_floors"):
        connection.execute(f"DELETE FROM {table} WHERE producer_id = ?", (number,))
    connection.execute(f"DELETE FROM producers WHERE {damage.identity}")
    return f"removed producer {damage.error.row}, and what was known of its records"


def _read_from_the_beginning(connection: sqlite3.Connection, damage: Damage) -> str | None:
    """Let the next producer of the name find in the partition what the position said."""
    columns = TABLES["producer_positions"].columns
    key = TABLES["producer_positions"].key
    if not all(columns[name].is_legal(damage.values[name]) for name in key):
        return None
    if damage.error.column in key:
        return None
    connection.execute(
        "UPDATE producer_positions SET next_offset = 0, incarnation = 0, last_sequence = -1, "
        f"complete_sequence = -1 WHERE {damage.identity}"
    )
    return f"set the producer's position of row {damage.error.row} to the partition's beginning"


def _forget_transaction(connection: sqlite3.Connection, damage: Damage) -> str:
    connection.execute(
        "DELETE FROM transaction_partitions WHERE transaction_id = ?", (damage.values["id"],)
    )
    connection.execute(f"DELETE FROM transactions WHERE {damage.identity}")
    return f"removed transaction {damage.error.row}, which counts as aborted without a marker"


def _look_everywhere(connection: sqlite3.Connection, damage: Damage) -> str:
    """Let transactions have markers in all partitions: where there is nothing, none is written."""
    connection.execute(f"DELETE FROM transaction_partitions WHERE {damage.identity}")
    topics = connection.execute("SELECT id, partitions FROM topics").fetchall()
    number = damage.values["transaction_id"]
    rows = connection.execute("SELECT id FROM transactions WHERE id = ?", (number,)).fetchall()
    if not rows:  # whose row it was cannot be told
        rows = connection.execute("SELECT id FROM transactions").fetchall()
    connection.executemany(
        "INSERT OR IGNORE INTO transaction_partitions VALUES (?, ?, ?)",
        [
            (transaction, topic, partition)
            for (transaction,) in rows
            for topic, partitions in topics
            for partition in range(partitions)
        ],
    )
    return f"replaced row {damage.error.row} of table transaction_partitions by all partitions"


_SPECIAL: dict[str, Callable[[sqlite3.Connection, Damage], str | None]] = {
    "meta": _count_topics_anew,
    "groups": _empty_group,
    "group_members": _empty_group,
    "group_partitions": _empty_group,
    "producers": _forget_producer,
    "producer_positions": _read_from_the_beginning,
    "transactions": _forget_transaction,
    "transaction_partitions": _look_everywhere,
}
