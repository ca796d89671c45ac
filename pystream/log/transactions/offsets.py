"""Offsets of consumer groups that are committed with a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from pystream.errors import ConfigError, FencedError, GroupNotEmptyError, UnknownGroupError
from pystream.log.catalog.groups import find_group, load_group
from pystream.log.groups.liveness import is_member_alive

if TYPE_CHECKING:
    from pystream.log.log import Log

__all__ = ["GroupMetadata", "PendingOffset", "check_may_commit", "group_metadata"]


class GroupMetadata(NamedTuple):
    """Who commits offsets of a group; from :meth:`Consumer.consumer_group_metadata`.

    Attributes
    ----------
    group_id : str
    number : int
        Of the group, in the catalog.
    member : int or None
        The member's number; None: nobody's member.
    member_id : str or None
    """

    group_id: str
    number: int
    member: int | None = None
    member_id: str | None = None


class PendingOffset(NamedTuple):
    """An offset that is committed with the transaction.

    Attributes
    ----------
    next_offset : int
    owner_epoch : int or None
        Of the group: since when the member owned the partition; None: it comes from no member.
    """

    next_offset: int
    owner_epoch: int | None


def group_metadata(log: Log, group: str | GroupMetadata) -> GroupMetadata:
    """Return who a program means.

    Raises
    ------
    UnknownGroupError
        If no group of that name exists.
    """
    if isinstance(group, GroupMetadata):
        return group
    if isinstance(group, Awaitable):
        raise ConfigError(
            f"group is {group!r}, which nobody has awaited. Pass what `await "
            "consumer.consumer_group_metadata()` returns."
        )
    if not isinstance(group, str):
        raise ConfigError(
            f"group is {group!r}. Pass a group_id, or what consumer.consumer_group_metadata() "
            "returns."
        )
    with log.catalog.reading() as connection:
        number = find_group(connection, group)
    if number is None:
        raise UnknownGroupError(
            f"group {group!r} does not exist, so its offsets cannot be committed. Make a consumer "
            "with that group_id first."
        )
    return GroupMetadata(group, number)


def check_may_commit(
    connection: sqlite3.Connection,
    directory: str,
    group: GroupMetadata,
    partitions: Mapping[tuple[bytes, int], PendingOffset | None],
) -> Mapping[tuple[bytes, int], int]:
    """Raise unless a member owns these partitions, or, without one, the group has none.

    Parameters
    ----------
    connection : sqlite3.Connection
    directory : str
        Of the log.
    group : GroupMetadata
    partitions : mapping of (bytes, int) to PendingOffset or None
        What the transaction has got for each already. Who gave a partition up since then, and has
        it again, does not own what it owned: another may have gone on in between.

    Returns
    -------
    mapping of (bytes, int) to int
        Since which epoch of the group the member owns what it owns.

    Raises
    ------
    UnknownGroupError
        If the group was deleted.
    FencedError
        If a partition is not the member's any more.
    GroupNotEmptyError
        If the group has members, and the offsets come from none.
    """
    state = load_group(connection, group.number)
    if state is None or state.name != group.group_id:  # another group may have its number now
        raise UnknownGroupError(
            f"consumer group {group.group_id!r} was deleted after the transaction had got offsets "
            "from it, so they cannot be committed, nor what was sent with them. Abort the "
            "transaction; a consumer with that group_id makes the group anew.",
            group_id=group.group_id,
        )
    if group.member is None:
        living = [
            member
            for member in state.members.values()
            if member.away_us is not None or is_member_alive(directory, member)
        ]
        if living:
            raise GroupNotEmptyError(
                f"group {group.group_id!r} has {len(living)} members, and only they commit its "
                "offsets. Pass consumer.consumer_group_metadata() of the member.",
                group_id=group.group_id,
                members=len(living),
            )
        return {}
    member = state.members.get(group.member)
    # A static member that comes back has the number of the one before.
    is_there = member is not None and member.member_id == group.member_id
    owned = state.owned(group.member) if is_there else {}
    for partition, pending in partitions.items():
        name = f"partition {partition[1]}"
        if partition not in owned:
            what = f"does not own {name} any more"
        elif pending is not None and pending.owner_epoch != owned[partition]:
            what = f"gave {name} up, and took it again, after the transaction had got its offset"
        else:
            continue
        raise FencedError(
            f"member {group.member_id} of group {group.group_id!r} {what}, so that offset is not "
            "committed. Abort the transaction; who owns it goes on from the last commit.",
            group_id=group.group_id,
            member_id=group.member_id,
            partition=partition[1],
        )
    return owned
