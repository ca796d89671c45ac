"""Every damaged row of a catalog: what ``pystream verify`` lists, and its repair puts right."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pystream.log.catalog.format import FIND_TOPICS, FIRST_WITH_TRANSACTIONS
from pystream.log.catalog.groups import MEMBER_COLUMNS, member_of_row
from pystream.log.catalog.rows import TABLES, Cells, DamagedRow, row_name
from pystream.log.catalog.topics import UnknownSettings, schema_damage, topic_damages, topic_of_row

__all__ = ["Damage", "damages_of_rest", "damages_of_topics", "unknown_settings"]

_FIRST_WITH_MEMBERS = 2


class Damage(NamedTuple):
    """A damaged row.

    Attributes
    ----------
    error : DamagedRow
    table : str
    values : mapping of str to object
        Of its columns; none for a row that is missing.
    identity : str
        An SQL condition that only this row meets, whatever its key holds.
    """

    error: DamagedRow
    table: str
    values: Mapping[str, Any]
    identity: str


def damages_of_topics(connection: sqlite3.Connection, version: int) -> Iterator[Damage]:
    """Yield what is wrong with topics, their schemas, and what counts their changes."""
    if version >= _FIRST_WITH_MEMBERS:
        yield from _damage_of_counter(connection)

    def of_schema(row: _Row) -> Damage | None:
        error = schema_damage(row.values["id"], row.values["blob"])
        return None if error is None else Damage(error, *row)

    def of_topic(row: _Row) -> Damage | None:
        found = connection.execute(f"{FIND_TOPICS} WHERE t.id = ?", (row.values["id"],)).fetchone()
        # What is wrong with its schema stands there.
        own = [error for error in topic_damages(found) if error.table == "topics"]
        return Damage(own[0], *row) if own else None

    yield from _damages(connection, version, "schemas", of_schema)
    yield from _damages(connection, version, "topics", of_topic)
    schemas = _Reference("schema_id", "schemas", connection)
    yield from _damages(connection, version, "topic_schemas", schemas.missing)


def unknown_settings(connection: sqlite3.Connection) -> Iterator[UnknownSettings]:
    """Yield the topics that a newer pystream has set up."""
    for row in connection.execute(FIND_TOPICS):
        try:
            topic_of_row(row)
        except UnknownSettings as error:
            yield error
        except DamagedRow:
            continue


def damages_of_rest(connection: sqlite3.Connection, version: int) -> Iterator[Damage]:
    """Yield what is wrong with groups, producers and transactions."""
    groups = _Reference("group_id", "groups", connection)
    producers = _Reference("producer_id", "producers", connection)
    members: dict[int, Any] = {}  # their groups

    def of_member(row: _Row) -> Damage | None:
        found = groups.missing(row) or _damage_of_member(row)
        if found is None:
            members[row.values["number"]] = row.values["group_id"]
        return found

    def of_group_partition(row: _Row) -> Damage | None:
        return groups.missing(row) or _damage_of_owner(row, members)

    yield from _damages(connection, version, "groups")
    yield from _damages(connection, version, "group_members", of_member)
    yield from _damages(connection, version, "group_partitions", of_group_partition)
    yield from _damages(connection, version, "group_offsets", groups.missing)
    yield from _damages(connection, version, "producers")
    yield from _damages(connection, version, "producer_positions", producers.missing)
    yield from _damages(connection, version, "producer_floors")
    if version < FIRST_WITH_TRANSACTIONS:
        return
    transactions = _Reference("transaction_id", "transactions", connection)
    topics = dict(connection.execute("SELECT id, partitions FROM topics"))

    def of_transaction_partition(row: _Row) -> Damage | None:
        count = topics.get(row.values["topic_id"], 0)
        is_there = type(count) is not int or row.values["partition"] < count
        found = None if is_there else _damage(row, "there is no such partition")
        return transactions.missing(row) or found

    yield from _damages(connection, version, "transactions")
    yield from _damages(connection, version, "transaction_partitions", of_transaction_partition)


class _Row(NamedTuple):
    """A row whose cells are of the right kind."""

    table: str
    values: dict[str, Any]
    identity: str


class _Reference:
    """A column that names rows of another table."""

    def __init__(self, column: str, table: str, connection: sqlite3.Connection) -> None:
        self._column, self._table = column, table
        self._keys = {key for (key,) in connection.execute(f"SELECT id FROM {table}")}

    def missing(self, row: _Row) -> Damage | None:
        """Return the damage of a row that names one that there is not."""
        value = row.values[self._column]
        if value in self._keys:
            return None
        what = f"{self._column} is {value}, which table {self._table} does not have"
        return _damage(row, what, self._column)


def _damage_of_counter(connection: sqlite3.Connection) -> Iterator[Damage]:
    condition = "name = 'topics_version'"
    value = connection.execute(f"SELECT value FROM meta WHERE {condition}").fetchone()
    if value is None:
        errors = [DamagedRow("meta", "name='topics_version'", "it is missing")]
    else:
        errors = [*Cells("meta", "value").damages(value, {"name": "topics_version"})]
    for error in errors:
        yield Damage(error, "meta", {}, condition)


def _damage_of_member(row: _Row) -> Damage | None:
    try:
        member_of_row([row.values[name] for name in MEMBER_COLUMNS], row.values["group_id"])
    except DamagedRow as error:
        return Damage(error, *row)
    return None


def _damage_of_owner(row: _Row, members: Mapping[int, Any]) -> Damage | None:
    for column in ("target", "owner"):
        number = row.values[column]
        if number is not None and members.get(number) != row.values["group_id"]:
            return _damage(row, f"{column} is {number}, and the group has no such member", column)
    return None


def _damage(row: _Row, what: str, column: str | None = None) -> Damage:
    value = None if column is None else row.values[column]
    name = row_name(row.values, TABLES[row.table].key)
    return Damage(DamagedRow(row.table, name, what, column=column, value=value), *row)


def _nothing(_row: _Row) -> None:
    """Find nothing wrong besides cells."""


def _damages(
    connection: sqlite3.Connection,
    version: int,
    table: str,
    further: Callable[[_Row], Damage | None] = _nothing,
) -> Iterator[Damage]:
    """Yield the damaged rows of a table; `further` looks at those whose cells are sound."""
    names: Sequence[str] = list(TABLES[table].columns)
    if table == "groups" and version < _FIRST_WITH_MEMBERS:
        names = ("id", "name")
    elif TABLES[table].since > version:
        return
    cells = Cells(table, *names)
    of_key = "SELECT name FROM pragma_table_info(?) WHERE pk > 0"
    keys = [f"typeof({key}) || hex({key})" for (key,) in connection.execute(of_key, (table,))]
    for row in connection.execute(f"SELECT {', '.join([*names, *keys])} FROM {table}").fetchall():
        whole = zip(keys, row[len(names) :], strict=True)
        identity = " AND ".join(f"{expression} = '{value}'" for expression, value in whole)
        cut = row[: len(names)]
        found = _Row(table, dict(zip(names, cut, strict=True)), identity)
        error = next(cells.damages(cut, {}), None)
        damage = Damage(error, *found) if error is not None else further(found)
        if damage is not None:
            yield damage
