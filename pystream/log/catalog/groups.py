"""Rows of consumer groups in the catalog: the statements, in a transaction that is another's."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import astuple
from functools import lru_cache
from typing import Any

from pystream.config import is_name
from pystream.log.catalog.rows import TABLES, Cells, DamagedRow, Illegal, row_name, shown
from pystream.log.groups.assignors import Partition
from pystream.log.groups.state import AWAY, GroupState, Member, PartitionState, Subscription, Topics
from pystream.log.topic_description import is_topic_name

__all__ = [
    "MEMBER_COLUMNS",
    "all_committed",
    "copy_of",
    "enter_group",
    "find_group",
    "group_names",
    "insert_member",
    "load_group",
    "load_topics",
    "member_of_row",
    "remove_group",
    "save_group",
    "slots_in_use",
    "topics_version",
    "versions",
    "write_offsets",
]

MEMBER_COLUMNS = (
    *("number", "member_id", "instance_id", "slot", "epoch", "subscription", "assignor"),
    *("session_timeout_us", "max_poll_us", "away_us", "process_id"),
)
_MEMBERS = Cells("group_members", *MEMBER_COLUMNS)
_MEMBER = _MEMBERS.names
_GROUP = Cells("groups", "name", "epoch", "version", "topics_hash")
_GROUP_NAME = Cells("groups", "name")
_GROUP_ID = Cells("groups", "id")
_VERSION = Cells("groups", "version")
_PARTITIONS = Cells("group_partitions", "topic_id", "partition", "target", "owner", "owner_epoch")
_TOPICS = Cells("topics", "name", "id", "partitions")
_OFFSETS = Cells("group_offsets", "topic_id", "partition", "next_offset")
_META = Cells("meta", "value")
_TABLES_OF_GROUP = ("group_offsets", "group_partitions", "group_members")


def enter_group(connection: sqlite3.Connection, name: str) -> int:
    """Return the number of a group, which it gets when it is first named."""
    entered = connection.execute(
        "INSERT INTO groups (name) VALUES (?) ON CONFLICT DO NOTHING", (name,)
    )
    number = find_group(connection, name)
    assert number is not None
    if entered.rowcount == 1:  # else it would have what was a lost group's
        for table in _TABLES_OF_GROUP:
            found = f"SELECT 1 FROM {table} WHERE group_id = ? LIMIT 1"
            if connection.execute(found, (number,)).fetchone() is not None:
                what = f"it is missing, though table {table} names it"
                raise DamagedRow("groups", f"id={number}", what)
    return number


def find_group(connection: sqlite3.Connection, name: str) -> int | None:
    """Return the number of a group, or None."""
    if not is_name(name):  # the database cannot be asked for it, and has none
        return None
    row = connection.execute("SELECT id FROM groups WHERE name = ?", (name,)).fetchone()
    return None if row is None else int(_GROUP_ID.checked(row)[0])


def group_names(connection: sqlite3.Connection) -> list[str]:
    """Return the names of all groups, sorted."""
    rows = connection.execute("SELECT name FROM groups ORDER BY name")
    return [name for (name,) in _GROUP_NAME.all_checked(rows)]


def load_group(connection: sqlite3.Connection, number: int) -> GroupState | None:
    """Return all of a group; None when it was deleted."""
    row = connection.execute(
        "SELECT name, epoch, version, topics_hash FROM groups WHERE id = ?", (number,)
    ).fetchone()
    if row is None:
        return None
    state = GroupState(number, *_GROUP.checked(row, id=number))
    for found in connection.execute(
        f"SELECT {_MEMBER} FROM group_members WHERE group_id = ? ORDER BY number", (number,)
    ):
        state.members[found[0]] = member_of_row(found, number)
    present = {None, *state.members}
    for row in connection.execute(
        f"SELECT {_PARTITIONS.names} FROM group_partitions WHERE group_id = ?", (number,)
    ):
        topic_id, partition, *its = _PARTITIONS.checked(row, group_id=number)
        state.partitions[topic_id, partition] = PartitionState(*its)
        for column, its_number in (("target", its[0]), ("owner", its[1])):
            if its_number not in present:
                key = {"group_id": number, "topic_id": topic_id, "partition": partition}
                what = f"{column} is {its_number}, and the group has no such member"
                name = row_name(key, TABLES["group_partitions"].key)
                raise DamagedRow("group_partitions", name, what, column=column, value=its_number)
    return state


def member_of_row(row: Sequence[Any], group: int) -> Member:
    """Return a member of a row.

    Raises
    ------
    DamagedRow
        If it is damaged.
    """
    _MEMBERS.checked(row, group_id=group)
    number, _, instance_id, slot, *_, away_us, _ = row
    where = row_name({"group_id": group, "number": number}, TABLES["group_members"].key)
    if (slot == AWAY) != (away_us is not None) or (slot == AWAY and instance_id is None):
        what = (
            f"slot is {slot}, away_us is {away_us} and instance_id is {shown(instance_id)}, and a "
            "member that is away has slot -1, a time and an instance_id"
        )
        raise DamagedRow("group_members", where, what, column="slot", value=slot)
    try:
        wanted = _subscription_of(row[5])
    except Illegal as error:
        column = TABLES["group_members"].columns["subscription"]
        raise column._replace(expected=str(error)).damage("group_members", where, row[5]) from error
    return Member(*(*row[:5], wanted, *row[6:]))


@lru_cache(maxsize=1024)
def _subscription_of(text: str) -> Subscription:
    expected = "a JSON object of topics, a list of names, and pattern, a regular expression or null"
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Illegal(expected) from error
    if not isinstance(found, dict) or set(found) != {"topics", "pattern"}:
        raise Illegal(expected)
    topics, pattern = found["topics"], found["pattern"]
    if not isinstance(topics, list) or not all(is_topic_name(name) for name in topics):
        raise Illegal(expected)
    if pattern is not None:
        try:
            re.compile(pattern)
        except (re.error, TypeError, RecursionError, OverflowError) as error:
            raise Illegal(expected) from error
    return Subscription(tuple(topics), pattern)


def load_topics(connection: sqlite3.Connection, subscriptions: Iterable[Subscription]) -> Topics:
    """Return at least those topics that are subscribed to."""
    subscriptions = list(subscriptions)
    rows: Iterable[Any]
    if any(subscription.pattern is not None for subscription in subscriptions):
        rows = connection.execute(f"SELECT {_TOPICS.names} FROM topics").fetchall()
        rows = [row for row in rows if not _is_others(row, subscriptions)]
    else:
        wanted = {name for subscription in subscriptions for name in subscription.topics}
        rows = connection.execute(
            f"SELECT {_TOPICS.names} FROM topics WHERE name IN (SELECT value FROM json_each(?))",
            (json.dumps(sorted(wanted)),),
        )
    return {name: (topic_id, count) for name, topic_id, count in _TOPICS.all_checked(rows)}


def _is_others(row: Sequence[Any], subscriptions: Sequence[Subscription]) -> bool:
    """Return whether a topic is damaged, and none that is subscribed to."""
    if next(_TOPICS.damages(row, {}), None) is None or not isinstance(row[0], str):
        return False
    return not any(subscription.names_in([row[0]]) for subscription in subscriptions)


def versions(connection: sqlite3.Connection, group: int) -> tuple[int, int] | None:
    """Return what rises with each change of a group, and of topics; None without the group."""
    row = connection.execute("SELECT version FROM groups WHERE id = ?", (group,)).fetchone()
    if row is None:
        return None
    return int(_VERSION.checked(row, id=group)[0]), topics_version(connection)


def topics_version(connection: sqlite3.Connection) -> int:
    """Return what rises when topics are made or deleted, or get partitions."""
    row = connection.execute("SELECT value FROM meta WHERE name = 'topics_version'").fetchone()
    if row is None:
        raise DamagedRow("meta", "name='topics_version'", "it is missing")
    return int(_META.checked(row, name="topics_version")[0])


def slots_in_use(connection: sqlite3.Connection) -> set[int]:
    """Return the slots of the members of all groups."""
    return {slot for (slot,) in connection.execute("SELECT slot FROM group_members")}


def insert_member(connection: sqlite3.Connection, group: int, member: Member) -> int:
    """Enter a member; return its number, which replaces the one that it has."""
    row = connection.execute(
        f"INSERT INTO group_members (group_id, {_MEMBER}) "
        "VALUES (?, NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING number",
        (group, *_row_of(member)[1:]),
    ).fetchone()
    return int(row[0])


def save_group(connection: sqlite3.Connection, before: GroupState, after: GroupState) -> None:
    """Store what is different; new members are entered by :func:`insert_member`."""
    if before == after:
        return
    group = after.number
    after.version += 1
    connection.execute(
        "UPDATE groups SET epoch = ?, version = ?, topics_hash = ? WHERE id = ?",
        (after.epoch, after.version, after.topics_hash, group),
    )
    connection.executemany(
        "DELETE FROM group_members WHERE number = ?",
        [(number,) for number in before.members if number not in after.members],
    )
    connection.executemany(
        f"REPLACE INTO group_members (group_id, {_MEMBER}) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (group, *_row_of(member))
            for number, member in after.members.items()
            if member != before.members.get(number)
        ],
    )
    connection.executemany(
        "DELETE FROM group_partitions WHERE group_id = ? AND topic_id = ? AND partition = ?",
        [(group, *name) for name in before.partitions if name not in after.partitions],
    )
    connection.executemany(
        "REPLACE INTO group_partitions VALUES (?, ?, ?, ?, ?, ?)",
        [
            (group, *name, *astuple(its))
            for name, its in after.partitions.items()
            if its != before.partitions.get(name)
        ],
    )


def copy_of(state: GroupState) -> GroupState:
    """Return a copy to compare with later."""
    return deepcopy(state)


def write_offsets(
    connection: sqlite3.Connection, group: int, offsets: Mapping[Partition, int]
) -> None:
    """Store the next offsets of a group, of each topic in one statement."""
    now = time.time_ns() // 1000
    of_topics: dict[bytes, dict[int, int]] = {}
    for (topic_id, partition), offset in offsets.items():
        of_topics.setdefault(topic_id, {})[partition] = offset
    for topic_id, its in of_topics.items():
        # A column of whole numbers takes the keys of JSON, which are texts, for what they say.
        connection.execute(
            "INSERT OR REPLACE INTO group_offsets SELECT ?, ?, key, value, ? FROM json_each(?)",
            (group, topic_id, now, json.dumps(its)),
        )


def all_committed(connection: sqlite3.Connection, group: int) -> Mapping[Partition, int]:
    """Return all that a group has committed."""
    rows = connection.execute(
        f"SELECT {_OFFSETS.names} FROM group_offsets WHERE group_id = ?", (group,)
    )
    found = _OFFSETS.all_checked(rows, group_id=group)
    return {(topic_id, partition): offset for topic_id, partition, offset in found}


def remove_group(connection: sqlite3.Connection, group: int) -> None:
    """Remove a group and all that goes with it."""
    for table in _TABLES_OF_GROUP:
        connection.execute(f"DELETE FROM {table} WHERE group_id = ?", (group,))
    connection.execute("DELETE FROM groups WHERE id = ?", (group,))


def _row_of(member: Member) -> tuple[object, ...]:
    wanted = json.dumps(member.subscription._asdict())
    return (
        *(member.number, member.member_id, member.instance_id, member.slot, member.epoch, wanted),
        *(member.assignor, member.session_timeout_us, member.max_poll_us, member.away_us),
        member.process_id,
    )
