"""Where a consumer without a usable committed offset begins, and which offsets it may commit."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pystream.errors import ConfigError, OffsetOutOfRangeError
from pystream.log.named import by_partition
from pystream.types import TopicPartition

if TYPE_CHECKING:
    from pystream.log.topic import Topic

__all__ = [
    "AUTO_OFFSET_RESETS",
    "check_committable",
    "check_whole",
    "committable_rows",
    "reset_offset",
    "within_range",
]

AUTO_OFFSET_RESETS = ("earliest", "latest", "none")


def reset_offset(
    policy: str,
    name: TopicPartition,
    committed: int | None,
    ends: tuple[int, int],
    group: str | None,
) -> int:
    """Return the offset that a policy says; OffsetOutOfRangeError for ``"none"``."""
    start, end = ends
    if policy == "none":
        what = "has no committed offset" if committed is None else f"has offset {committed}"
        raise OffsetOutOfRangeError(
            f"{name.topic}-{name.partition} {what} for group {group!r}: log start offset is "
            f"{start}, log end offset is {end}. Pass "
            'auto_offset_reset="earliest" or "latest", or commit an offset first.',
            topic=name.topic,
            partition=name.partition,
            offset=committed,
        )
    return start if policy == "earliest" else end


def committable_rows(
    find_topic: Callable[[str], Topic],
    offsets: Mapping[TopicPartition, int] | Mapping[tuple[str, int], int],
) -> dict[tuple[bytes, int], int]:
    """Return offsets by topic id and partition, or raise what speaks against committing one.

    Each topic is looked up once, however many of its partitions there are.
    """
    wanted: dict[str, list[tuple[int, int]]] = {}
    given = by_partition(offsets, setting="offsets", of="the offset of the next record to read")
    for (name, number), offset in given.items():
        wanted.setdefault(name, []).append((number, offset))
    rows = {}
    for name, its in wanted.items():
        topic = find_topic(name)
        topic_id = topic.description.id
        partitions = topic.native_partitions([number for number, _ in its])
        for partition, (number, offset) in zip(partitions, its, strict=True):
            end = partition.ends().log_end_offset
            rows[topic_id, number] = (
                offset
                if type(offset) is int and 0 <= offset <= end
                else check_committable(TopicPartition(name, number), offset, end)
            )
    return rows


def check_committable(name: TopicPartition, offset: int, end: int) -> int:
    """Return an offset that a reader can be at, or raise OffsetOutOfRangeError."""
    offset = check_whole(name, offset)
    if not 0 <= offset <= end:
        raise OffsetOutOfRangeError(
            f"offset {offset} cannot be committed for {name.topic}-{name.partition}: log end "
            f"offset is {end}. Commit the offset of the next record to read.",
            topic=name.topic,
            partition=name.partition,
            offset=offset,
        )
    return offset


def check_whole(name: TopicPartition, offset: object) -> int:
    """Return an offset as an int, which the catalog stores: integers of numpy are none.

    Raises
    ------
    ConfigError
        If it is no whole number.
    """
    try:
        if not isinstance(offset, bool):
            return operator.index(offset)  # type: ignore[arg-type]
    except TypeError:
        pass
    raise ConfigError(
        f"the offset of {name.topic}-{name.partition} is {offset!r}. Pass a whole number."
    )


def within_range(offset: int) -> int:
    """Return the offset of 64 bits that is nearest: the core tells what is out of range."""
    return max(-(2**63), min(offset, 2**63 - 1))
