"""The part of KafkaAdminClient that is about consumer groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pystream import errors
from pystream.compat.kafka.admin.requests import GroupState, GroupType, OffsetSpec, OffsetTimestamp
from pystream.compat.kafka.admin.topics import offset_of
from pystream.compat.kafka.errors import KafkaError, class_of, raised
from pystream.compat.kafka.structs import OffsetAndMetadata
from pystream.compat.kafka.translated import translated
from pystream.log import Log
from pystream.types import TopicPartition

__all__ = ["GroupAdmin"]

_STATES = {
    "empty": GroupState.EMPTY,
    "stable": GroupState.STABLE,
    "reconciling": GroupState.RECONCILING,
}


class GroupAdmin:
    """Lists, describes, resets and deletes groups."""

    _log: Log

    @translated
    def list_groups(
        self,
        broker_ids: Iterable[int] | None = None,
        states_filter: Iterable[str] | None = None,
        types_filter: Iterable[str] | None = None,
    ) -> list[dict[str, Any]]:
        """Return all groups, or those of some states."""
        states = {_word(state) for state in states_filter or []}
        kinds = {_word(kind) for kind in types_filter or []}
        found = []
        for name in self._log.groups():
            state = _STATES[self._log.describe_group(name).state]
            if states and _word(state) not in states:
                continue
            if kinds and "consumer" not in kinds:
                continue
            found.append(
                {
                    "group_id": name,
                    "protocol_type": "consumer",
                    "group_state": state.value,
                    "group_type": GroupType.CONSUMER.value,
                }
            )
        return found

    @translated
    def describe_groups(
        self,
        group_ids: Iterable[str],
        group_coordinator_id: int | None = None,
        include_authorized_operations: bool = False,
    ) -> dict[str, dict[str, Any]]:
        """Return what each group is; one that does not exist is "Dead"."""
        return {name: self._described_group(name) for name in group_ids}

    def _described_group(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = {
            "error": None,
            "group_id": name,
            "group_state": GroupState.DEAD.value,
            "protocol_type": "consumer",
            "protocol_data": "",
            "members": [],
            "authorized_operations": [],
        }
        try:
            group = self._log.describe_group(name)
        except errors.UnknownGroupError:
            return found
        found["group_state"] = _STATES[group.state].value
        found["protocol_data"] = group.assignor
        for member in group.members:
            found["members"].append(
                {
                    "member_id": member.member_id,
                    "group_instance_id": member.group_instance_id,
                    "client_id": str(member.process_id),
                    "client_host": self._log.directory,
                    "member_metadata": None,
                    "member_assignment": {"assigned_partitions": _by_topic(member.assignment)},
                }
            )
        return found

    @translated
    def list_group_offsets(
        self, group_specs: Mapping[str, Iterable[TopicPartition] | None] | list[str] | str
    ) -> dict[str, dict[TopicPartition, OffsetAndMetadata]]:
        """Return the committed offsets of groups; -1 where one was asked for and is not there."""
        if isinstance(group_specs, str):
            group_specs = [group_specs]
        if not isinstance(group_specs, Mapping):
            group_specs = dict.fromkeys(group_specs)
        if not group_specs:
            raise ValueError("Empty group_specs!")
        return {name: self._offsets(name, asked) for name, asked in group_specs.items()}

    def _offsets(
        self, group_id: str, asked: Iterable[TopicPartition] | None
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        try:
            partitions = self._log.describe_group(group_id).partitions
        except errors.UnknownGroupError:
            partitions = {}
        known = {
            name: OffsetAndMetadata(found.committed)
            for name, found in partitions.items()
            if found.committed is not None
        }
        if asked is None:
            return known
        return {name: known.get(name, OffsetAndMetadata(-1)) for name in asked}

    @translated
    def alter_group_offsets(
        self,
        group_id: str,
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
        group_coordinator_id: int | None = None,
    ) -> dict[TopicPartition, type[KafkaError]]:
        """Set the offsets of a group without members, or of a new one: all, or none."""
        if not offsets:
            return {}
        rows: dict[tuple[str, int], int] = {name: _offset(at) for name, at in offsets.items()}
        outcome = class_of("NoError")
        try:
            self._log.reset_offsets(group_id, offsets=rows)
        except errors.GroupNotEmptyError:
            outcome = class_of("UnknownMemberIdError")
        except errors.UnknownTopicError:
            outcome = class_of("UnknownTopicOrPartitionError")
        return dict.fromkeys(offsets, outcome)

    @translated
    def reset_group_offsets(
        self,
        group_id: str,
        offset_specs: Mapping[TopicPartition, OffsetSpec | OffsetTimestamp | int],
        group_coordinator_id: int | None = None,
    ) -> dict[TopicPartition, dict[str, Any]]:
        """Set the offsets of a group to an end, or to an offset within the partition."""
        rows = {}
        with self._log.consumer(isolation_level="read_uncommitted") as consumer:
            for name, spec in offset_specs.items():
                first = consumer.beginning_offsets([name])[name]
                end = consumer.end_offsets([name])[name]
                at = int(spec)
                if isinstance(spec, OffsetSpec | OffsetTimestamp):
                    at = offset_of(consumer, name, at).offset
                rows[name] = end if at < 0 else min(max(at, first), end)
        outcomes = self.alter_group_offsets(
            group_id, {name: OffsetAndMetadata(offset) for name, offset in rows.items()}
        )
        return {name: {"error": outcomes[name], "offset": rows[name]} for name in rows}

    @translated
    def delete_groups(
        self, group_ids: Iterable[str], group_coordinator_id: int | None = None
    ) -> dict[str, str]:
        """Delete groups; return "OK" or the name of an error for each."""
        outcomes = {}
        for name in group_ids:
            outcomes[name] = "OK"
            try:
                self._log.delete_group(name)
            except errors.StreamError as error:
                outcomes[name] = type(raised(error)).__name__
        return outcomes


def _offset(place: OffsetAndMetadata | int) -> int:
    offset = place if isinstance(place, int) else place.offset
    assert offset is not None
    return offset


def _word(name: object) -> str:
    return str(getattr(name, "value", name)).lower().replace("-", "").replace("_", "")


def _by_topic(partitions: Iterable[TopicPartition]) -> list[dict[str, Any]]:
    found: dict[str, list[int]] = {}
    for topic, number in sorted(partitions):
        found.setdefault(topic, []).append(number)
    return [{"topic": topic, "partitions": numbers} for topic, numbers in found.items()]
