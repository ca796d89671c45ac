"""Rows of consumer groups in the catalog: the statements, in a transaction that is another's."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import astuple

from pystream.log.group_assignors import Partition
from pystream.log.group_state import GroupState, Member, PartitionState, Subscription, Topics

__all__ = [
    "all_committed",
    "copy_of",
    "enter_group",
    "find_group",
    "group_names",
    "insert_member",
    "load_group",
    "load_topics",
    "remove_group",
    "save_group",
    "slots_in_use",
    "topics_version",
    "versions",
    "write_offsets",
]

_MEMBER = (
    "number, member_id, instance_id, slot, epoch, subscription, assignor, session_timeout_us, "
    "max_poll_us, away_us, process_id"
)


def enter_group(connection: sqlite3.Connection, name: str) -> int:
    """Return the number of a group, which it gets when it is first named."""
    connection.execute("INSERT INTO groups (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))
    number = find_group(connection, name)
    assert number is not None
    return number


def find_group(connection: sqlite3.Connection, name: str) -> int | None:
    """Return the number of a group, or None."""
    row = connection.execute("SELECT id FROM groups WHERE name = ?", (name,)).fetchone()
    return None if row is None else int(row[0])


def group_names(connection: sqlite3.Connection) -> list[str]:
    """Return the names of all groups, sorted."""
    return [name for (name,) in connection.execute("SELECT name FROM groups ORDER BY name")]


def load_group(connection: sqlite3.Connection, number: int) -> GroupState | None:
    """Return all of a group; None when it was deleted."""
    row = connection.execute(
        "SELECT name, epoch, version, topics_hash FROM groups WHERE id = ?", (number,)
    ).fetchone()
    if row is None:
        return None
    state = GroupState(number, *row)
    for found in connection.execute(
        f"SELECT {_MEMBER} FROM group_members WHERE group_id = ? ORDER BY number", (number,)
    ):
        subscription = json.loads(found[5])
        wanted = Subscription(tuple(subscription["topics"]), subscription["pattern"])
        state.members[found[0]] = Member(*(*found[:5], wanted, *found[6:]))
    for topic_id, partition, *its in connection.execute(
        "SELECT topic_id, partition, target, owner, owner_epoch FROM group_partitions "
        "WHERE group_id = ?",
        (number,),
    ):
        state.partitions[topic_id, partition] = PartitionState(*its)
    return state


def load_topics(connection: sqlite3.Connection, subscriptions: Iterable[Subscription]) -> Topics:
    """Return at least those topics that are subscribed to."""
    wanted: set[str] = set()
    for subscription in subscriptions:
        if subscription.pattern is not None:
            rows = connection.execute("SELECT name, id, partitions FROM topics")
            return {name: (topic_id, count) for name, topic_id, count in rows}
        wanted.update(subscription.topics)
    rows = connection.execute(
        "SELECT name, id, partitions FROM topics WHERE name IN (SELECT value FROM json_each(?))",
        (json.dumps(sorted(wanted)),),
    )
    return {name: (topic_id, count) for name, topic_id, count in rows}


def versions(connection: sqlite3.Connection, group: int) -> tuple[int, int] | None:
    """Return what rises with each change of a group, and of topics; None without the group."""
    row = connection.execute("SELECT version FROM groups WHERE id = ?", (group,)).fetchone()
    return None if row is None else (int(row[0]), topics_version(connection))


def topics_version(connection: sqlite3.Connection) -> int:
    """Return what rises when topics are made or deleted, or get partitions."""
    (version,) = connection.execute(
        "SELECT value FROM meta WHERE name = 'topics_version'"
    ).fetchone()
    return int(version)


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
    connection: sqlite3.Connection, group: int, offsets: Sequence[tuple[bytes, int, int]]
) -> None:
    """Store (topic id, partition, next offset) of a group."""
    now = time.time_ns() // 1000
    connection.executemany(
        "INSERT OR REPLACE INTO group_offsets VALUES (?, ?, ?, ?, ?)",
        [(group, *offset, now) for offset in offsets],
    )


def all_committed(connection: sqlite3.Connection, group: int) -> Mapping[Partition, int]:
    """Return all that a group has committed."""
    rows = connection.execute(
        "SELECT topic_id, partition, next_offset FROM group_offsets WHERE group_id = ?", (group,)
    )
    return {(topic_id, partition): offset for topic_id, partition, offset in rows}


def remove_group(connection: sqlite3.Connection, group: int) -> None:
    """Remove a group and all that goes with it."""
    for table in ("group_offsets", "group_partitions", "group_members"):
        connection.execute(f"DELETE FROM {table} WHERE group_id = ?", (group,))
    connection.execute("DELETE FROM groups WHERE id = ?", (group,))


def _row_of(member: Member) -> tuple[object, ...]:
    wanted = json.dumps(member.subscription._asdict())
    return (
        *(member.number, member.member_id, member.instance_id, member.slot, member.epoch, wanted),
        *(member.assignor, member.session_timeout_us, member.max_poll_us, member.away_us),
        member.process_id,
    )
