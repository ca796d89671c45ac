"""What is known of consumer groups, and what is done to them from outside."""

from __future__ import annotations

import csv
import os
import sqlite3
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from pystream import config
from pystream.errors import (
    ConfigError,
    GroupNotEmptyError,
    OffsetOutOfRangeError,
    StorageError,
    UnknownGroupError,
)
from pystream.log.catalog.format import check_catalog_version
from pystream.log.catalog.groups import (
    all_committed,
    enter_group,
    find_group,
    group_names,
    load_group,
    remove_group,
    write_offsets,
)
from pystream.log.groups.assignors import Partition
from pystream.log.groups.liveness import is_member_alive
from pystream.log.groups.member import monotonic_us
from pystream.log.groups.state import GroupState, Member
from pystream.log.named import by_partition, topics_named
from pystream.log.offsets import check_whole
from pystream.log.times import Time, find_time, ticks_of
from pystream.types import TopicPartition

if TYPE_CHECKING:
    from pystream.log.log import Log
    from pystream.log.topic import Topic

__all__ = [
    "GroupDescription",
    "MemberDescription",
    "PartitionOffsets",
    "delete_group",
    "describe_group",
    "list_groups",
    "reset_offsets",
]

_HEADING = ["topic", "partition", "offset"]  # of a file with offsets

Offsets = Mapping[TopicPartition, int] | Mapping[tuple[str, int], int]


class MemberDescription(NamedTuple):
    """A member of a group.

    Attributes
    ----------
    member_id : str
    group_instance_id : str or None
        Of a static member.
    process_id : int
    is_alive : bool
        False for a static member that is away.
    member_epoch : int
        The group's epoch that it has come to.
    assignment : set of TopicPartition
        What it owns.
    target_assignment : set of TopicPartition
        What it is to own.
    """

    member_id: str
    group_instance_id: str | None
    process_id: int
    is_alive: bool
    member_epoch: int
    assignment: set[TopicPartition]
    target_assignment: set[TopicPartition]


class PartitionOffsets(NamedTuple):
    """How far a group is in a partition.

    Attributes
    ----------
    committed : int or None
        Offset of the next record to read.
    log_end_offset : int
    lag : int
        Records behind the committed offset, or, without one, all.
    member_id : str or None
        Of the owner.
    """

    committed: int | None
    log_end_offset: int
    lag: int
    member_id: str | None


class GroupDescription(NamedTuple):
    """A consumer group at one moment.

    Attributes
    ----------
    group_id : str
    state : {"empty", "reconciling", "stable"}
        Without members; partitions are moving; none are.
    epoch : int
    assignor : str
    members : list of MemberDescription
    partitions : dict of TopicPartition to PartitionOffsets
        All that have a committed offset or an owner.
    """

    group_id: str
    state: str
    epoch: int
    assignor: str
    members: list[MemberDescription]
    partitions: dict[TopicPartition, PartitionOffsets]


def list_groups(log: Log) -> list[str]:
    """Return the names of all groups, sorted."""
    with log.catalog.reading() as connection:
        return group_names(connection)


def describe_group(log: Log, group_id: str) -> GroupDescription:
    """Do what :meth:`Log.describe_group` says."""
    with log.catalog.reading() as connection:
        state = _load(connection, log, group_id)
        committed = all_committed(connection, state.number)
    members = _present(log, state)
    wanted = {
        name
        for name, its in state.partitions.items()
        if its.owner in members or its.target in members
    }
    topics = {
        topic_id: log.topic_of_id(topic_id) for topic_id, _ in sorted(wanted | committed.keys())
    }

    def named(partitions: Iterable[Partition]) -> set[TopicPartition]:
        found = ((topics.get(topic_id), number) for topic_id, number in partitions)
        return {TopicPartition(topic.name, number) for topic, number in found if topic is not None}

    described = [
        MemberDescription(
            member.member_id,
            member.instance_id,
            member.process_id,
            member.away_us is None and is_member_alive(log.directory, member),
            member.epoch,
            named(name for name, its in state.partitions.items() if its.owner == number),
            named(name for name, its in state.partitions.items() if its.target == number),
        )
        for number, member in members.items()
    ]
    offsets = {}
    for topic_id, number in sorted(wanted | committed.keys()):
        topic = topics[topic_id]
        if topic is None or number >= topic.partitions:
            continue
        its = state.partitions.get((topic_id, number))
        owner = None if its is None or its.owner is None else members.get(its.owner)
        at = committed.get((topic_id, number))
        ends = topic.native_partition(number).ends()
        begin = max(ends.log_start_offset if at is None else at, ends.log_start_offset)
        offsets[TopicPartition(topic.name, number)] = PartitionOffsets(
            at,
            ends.log_end_offset,
            max(0, ends.log_end_offset - begin),
            None if owner is None else owner.member_id,
        )
    is_moving = any(its.owner != its.target for its in state.partitions.values()) or any(
        member.epoch != state.epoch for member in members.values()
    )
    name = "empty" if not members else "reconciling" if is_moving else "stable"
    return GroupDescription(
        group_id, name, state.epoch, state.assignor(), described, dict(sorted(offsets.items()))
    )


def delete_group(log: Log, group_id: str) -> None:
    """Do what :meth:`Log.delete_group` says."""
    log.check_writable("delete a consumer group")
    with log.catalog.writing() as connection:
        state = _load(connection, log, group_id)
        _require_empty(log, state, "deleted")
        remove_group(connection, state.number)


def reset_offsets(
    log: Log,
    group_id: str,
    *,
    to: str | Time | None,
    shift_by: int | None,
    offsets: Offsets | str | os.PathLike[str] | None,
    topics: str | Iterable[str] | None,
) -> dict[TopicPartition, int]:
    """Do what :meth:`Log.reset_offsets` says."""
    log.check_writable("reset the offsets of a consumer group")
    if sum(given is not None for given in (to, shift_by, offsets)) != 1:
        raise ConfigError(
            'reset_offsets() needs one of to, shift_by and offsets. Pass to="earliest", say.'
        )
    if offsets is not None and topics is not None:
        raise ConfigError("reset_offsets() got topics, but offsets name theirs. Leave one out.")
    if not config.is_name(group_id):
        raise ConfigError(f"group_id is {group_id!r}. Pass the name of a group.")
    if isinstance(to, str) and to not in ("earliest", "latest"):
        raise ConfigError(
            f'to is {to!r}. Pass "earliest", "latest", or a time: a datetime with a time zone, a '
            "numpy.datetime64, or an integer of microseconds."
        )
    if to is not None and not isinstance(to, str):
        ticks_of(to)
    if shift_by is not None and (not isinstance(shift_by, int) or isinstance(shift_by, bool)):
        raise ConfigError(f"shift_by is {shift_by!r}. Pass a whole number of records.")
    wanted = None
    if offsets is not None:
        given = _read_offsets(offsets) if isinstance(offsets, str | os.PathLike) else offsets
        wanted = by_partition(given, setting="offsets", of="an offset, or the path of a CSV file")
    names = None if topics is None else topics_named(topics)
    found = {name: log.topic(name) for name in names or {name for name, _ in wanted or ()}}
    with log.catalog.writing() as connection:
        if found:  # else there is nothing that a group without offsets could go on with
            enter_group(connection, group_id)
        state = _load(connection, log, group_id)
        _require_empty(log, state, "reset")
        number = state.number
        committed = all_committed(connection, number)
        if wanted is None:
            places = _places(log, found, committed, are_named=names is not None)
            new = {
                name: _moved(
                    topic, name, committed.get((topic.description.id, name[1])), to, shift_by
                )
                for name, topic in places.items()
            }
        else:
            new = {name: _checked(found[name.topic], name, at) for name, at in wanted.items()}
            places = {name: found[name.topic] for name in wanted}
        rows = {(places[name].description.id, name.partition): at for name, at in new.items()}
        write_offsets(connection, number, rows)
    return new


def _places(
    log: Log, named: Mapping[str, Topic], committed: Iterable[Partition], *, are_named: bool
) -> dict[TopicPartition, Topic]:
    """Return what is reset: all of the topics that are named, else what has an offset."""
    if are_named:
        return {
            TopicPartition(name, number): topic
            for name, topic in named.items()
            for number in range(topic.partitions)
        }
    places = {}
    for topic_id, number in committed:
        topic = log.topic_of_id(topic_id)
        if topic is not None and number < topic.partitions:
            places[TopicPartition(topic.name, number)] = topic
    return dict(sorted(places.items()))


def _moved(
    topic: Topic,
    name: TopicPartition,
    committed: int | None,
    to: str | Time | None,
    shift_by: int | None,
) -> int:
    ends = topic.native_partition(name.partition).ends()
    start, end = ends.log_start_offset, ends.log_end_offset
    if to is not None and not isinstance(to, str):
        found = find_time(topic, name.partition, to)
        return end if found is None else found.offset
    if to is not None:
        return start if to == "earliest" else end
    at = start if committed is None else committed
    return min(max(at + (shift_by or 0), start), end)


def _checked(topic: Topic, name: TopicPartition, offset: int) -> int:
    offset = check_whole(name, offset)
    ends = topic.native_partition(name.partition).ends()
    if not ends.log_start_offset <= offset <= ends.log_end_offset:
        raise OffsetOutOfRangeError(
            f"offset {offset} is out of range for {name.topic}-{name.partition}: log start offset "
            f"is {ends.log_start_offset}, log end offset is {ends.log_end_offset}. Nothing was "
            "reset; pass an offset between them.",
            topic=name.topic,
            partition=name.partition,
            offset=offset,
            log_start_offset=ends.log_start_offset,
            log_end_offset=ends.log_end_offset,
        )
    return offset


def _read_offsets(path: str | os.PathLike[str]) -> dict[TopicPartition, int]:
    """Read lines of topic, partition, offset; behind a heading, when there is one."""
    found: dict[TopicPartition, int] = {}
    lines_of: dict[TopicPartition, int] = {}
    number = 0
    if config.path_text(path) is None:
        raise ConfigError(f"offsets is {path!r}, which no file can be called. Pass its path.")
    try:
        with open(path, encoding="utf-8-sig", newline="") as lines:
            for number, row in enumerate(csv.reader(lines), start=1):
                if not row or (row == _HEADING and not found):
                    continue
                try:
                    topic, partition, offset = row
                    name, at = TopicPartition(topic, int(partition)), int(offset)
                except ValueError as error:
                    raise ConfigError(
                        f"{os.fspath(path)}, line {number}: {','.join(row)!r} is not "
                        '"topic,partition,offset". Write one partition per line.'
                    ) from error
                if name in found:
                    raise ConfigError(
                        f"{os.fspath(path)}, line {number}: {topic}-{partition} is in line "
                        f"{lines_of[name]} already. Leave one of them out."
                    )
                found[name], lines_of[name] = at, number
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{os.fspath(path)} is no text in UTF-8. Write lines of topic,partition,offset."
        ) from error
    except csv.Error as error:
        raise ConfigError(
            f"{os.fspath(path)}, line {number + 1}: {error}. Write lines of topic,partition,offset."
        ) from error
    except OSError as error:
        raise StorageError(
            f"cannot read offsets from {os.fspath(path)}: {error.strerror}.",
            errno=error.errno,
            path=os.fspath(path),
        ) from error
    if not found:
        raise ConfigError(
            f"{os.fspath(path)} holds no offsets. Write lines of topic,partition,offset."
        )
    return found


def _load(connection: sqlite3.Connection, log: Log, group_id: str) -> GroupState:
    number = find_group(connection, group_id)
    if number is not None:
        if check_catalog_version(connection, log.directory) == 1:  # of a read-only log
            return GroupState(number, group_id)
        state = load_group(connection, number)
        assert state is not None
        return state
    some = ", ".join(repr(name) for name in group_names(connection)[:5]) or "none"
    raise UnknownGroupError(
        f"consumer group {group_id!r} does not exist in {log.directory}. There are: {some}.",
        group_id=group_id,
    )


def _present(log: Log, state: GroupState) -> dict[int, Member]:
    """Return the members, without those that are dead and that nobody has taken out yet."""
    now_us = monotonic_us()
    return {
        number: member
        for number, member in state.members.items()
        if (member.instance_id is not None and not state.is_expired(member, now_us))
        or is_member_alive(log.directory, member)
    }


def _require_empty(log: Log, state: GroupState, what: str) -> None:
    members = _present(log, state)
    if members:
        ids = ", ".join(sorted(str(member.process_id) for member in members.values()))
        raise GroupNotEmptyError(
            f"consumer group {state.name!r} has {len(members)} members (processes {ids}), so it "
            f"cannot be {what}. Close them first; a static member counts until its "
            "session_timeout has passed.",
            group_id=state.name,
            members=len(members),
        )
