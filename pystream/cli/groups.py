"""``pystream groups``: what its commands do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

import pystream as ps
from pystream.cli.printing import print_json, print_table
from pystream.cli.starts import parse_time
from pystream.errors import ConfigError

if TYPE_CHECKING:
    from pystream.log.groups.admin import GroupDescription

__all__ = ["describe_group", "list_groups", "reset_group"]


def list_groups(directory: Path, console: Console, *, as_json: bool) -> None:
    """Print a line for each group."""
    with ps.open(directory, read_only=True) as log:
        found = [log.describe_group(name) for name in log.groups()]
    if as_json:
        print_json([_summary(group) for group in found])
        return
    print_table(
        console,
        ["group", "state", "members", "partitions", "lag"],
        [
            (
                group.group_id,
                group.state,
                f"{len(group.members):,}",
                f"{len(group.partitions):,}",
                f"{_lag(group):,}",
            )
            for group in found
        ],
        numbers=("members", "partitions", "lag"),
    )


def describe_group(directory: Path, name: str, console: Console, *, as_json: bool) -> None:
    """Print a group's members, and offsets and lag of each partition."""
    with ps.open(directory, read_only=True) as log:
        group = log.describe_group(name)
    if as_json:
        print_json(_description(group))
        return
    console.print(
        f"[bold cyan]{escape(group.group_id)}[/]: {group.state}, epoch {group.epoch}, assignor "
        f"{group.assignor}, lag {_lag(group):,}",
        soft_wrap=True,
    )
    if group.members:
        console.print()
        print_table(
            console,
            ["member", "instance", "process", "alive", "epoch", "partitions"],
            [
                (
                    member.member_id,
                    member.group_instance_id or "",
                    str(member.process_id),
                    "yes" if member.is_alive else "no",
                    str(member.member_epoch),
                    ", ".join(f"{t}-{p}" for t, p in sorted(member.assignment)),
                )
                for member in group.members
            ],
            numbers=("process", "epoch"),
        )
    console.print()
    print_table(
        console,
        ["topic", "partition", "committed", "end", "lag", "member"],
        [
            (
                place.topic,
                str(place.partition),
                "" if offsets.committed is None else f"{offsets.committed:,}",
                f"{offsets.log_end_offset:,}",
                f"{offsets.lag:,}",
                offsets.member_id or "",
            )
            for place, offsets in sorted(group.partitions.items())
        ],
        numbers=("partition", "committed", "end", "lag"),
    )


def reset_group(
    directory: Path,
    name: str,
    console: Console,
    *,
    to: str | None,
    to_datetime: str | None,
    shift_by: int | None,
    file: Path | None,
    topics: list[str],
    as_json: bool,
) -> None:
    """Reset a group's offsets and print them."""
    if sum(way is not None for way in (to, to_datetime, shift_by, file)) != 1:
        raise ConfigError("Pass one of --to, --to-datetime, --shift-by and --from-file.")
    place: str | int | None = to
    if to_datetime is not None:
        how = "Write a time such as 2024-01-31T12:00:00Z, or -1h for an hour ago."
        place = parse_time(to_datetime, option="--to-datetime", how=how)
    with ps.open(directory) as log:
        moved = log.reset_offsets(
            name, to=place, shift_by=shift_by, offsets=file, topics=topics or None
        )
    if as_json:
        print_json([{**place._asdict(), "offset": at} for place, at in sorted(moved.items())])
        return
    print_table(
        console,
        ["topic", "partition", "offset"],
        [(place.topic, str(place.partition), f"{at:,}") for place, at in sorted(moved.items())],
        numbers=("partition", "offset"),
    )


def _lag(group: GroupDescription) -> int:
    return sum(offsets.lag for offsets in group.partitions.values())


def _summary(group: GroupDescription) -> dict[str, Any]:
    return {
        "group": group.group_id,
        "state": group.state,
        "members": len(group.members),
        "partitions": len(group.partitions),
        "lag": _lag(group),
    }


def _description(group: GroupDescription) -> dict[str, Any]:
    members = [
        {
            "member": member.member_id,
            "instance": member.group_instance_id,
            "process": member.process_id,
            "is_alive": member.is_alive,
            "epoch": member.member_epoch,
            "assignment": [list(place) for place in sorted(member.assignment)],
        }
        for member in group.members
    ]
    partitions = [
        {
            "topic": place.topic,
            "partition": place.partition,
            "committed": offsets.committed,
            "end": offsets.log_end_offset,
            "lag": offsets.lag,
            "member": offsets.member_id,
        }
        for place, offsets in sorted(group.partitions.items())
    ]
    facts = {**_summary(group), "epoch": group.epoch, "assignor": group.assignor}
    return {**facts, "members": members, "partitions": partitions}
