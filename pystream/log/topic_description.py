"""What the catalog knows of a topic."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from pystream import config
from pystream.errors import ConfigError

__all__ = [
    "TopicConfig",
    "TopicDescription",
    "check_cleanable_ratio",
    "check_cleanup_policy",
    "check_compression",
    "check_key_of_compacted",
    "check_topic_name",
    "is_topic_name",
    "parse_retention_us",
]

COMPRESSIONS = ("none", "lz4")
TIMESTAMP_TYPES = ("create_time", "append_time")
CLEANUP_POLICIES = ("delete", "compact", "compact,delete")
_OF_COMPACTION = frozenset(
    ("cleanup_policy", "delete_retention_us", "min_compaction_lag_us", "min_cleanable_ratio")
)
_NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")


@dataclass(frozen=True)
class TopicConfig:
    """Settings of a topic.

    Parameters
    ----------
    compression : {"none", "lz4"}
        Of each buffer, when it saves something.
    segment_bytes : int
        Where a segment ends and the next begins.
    timestamp_type : {"create_time", "append_time"}
        Whether a record's timestamp is the producer's or that of the append.
    retention_us : int or None
        How long after its append a record is kept; None: for ever.
    retention_bytes : int or None
        How much a partition may hold; None: any number.
    cleanup_policy : {"delete", "compact", "compact,delete"}
        Whether only the last record of each key is kept, and whether the limits above hold.
    delete_retention_us : int
        How long tombstones are kept once the segment that they are in was compacted.
    min_compaction_lag_us : int
        How long after its append a record is surely kept.
    min_cleanable_ratio : float
        The part of a partition's bytes that was never compacted, with less than which it is not.
    """

    compression: str = "none"
    segment_bytes: int = config.SEGMENT_BYTES
    timestamp_type: str = "create_time"
    retention_us: int | None = None
    retention_bytes: int | None = None
    cleanup_policy: str = "delete"
    delete_retention_us: int = config.parse_duration_us(config.DELETE_RETENTION)
    min_compaction_lag_us: int = 0
    min_cleanable_ratio: float = config.MIN_CLEANABLE_RATIO

    def __post_init__(self) -> None:
        check_cleanup_policy(self.cleanup_policy)
        check_cleanable_ratio(self.min_cleanable_ratio)
        check_compression(self.compression)
        config.check_choice(self.timestamp_type, TIMESTAMP_TYPES, name="timestamp_type")
        config.parse_size(
            self.segment_bytes,
            name="segment_bytes",
            minimum=config.SEGMENT_BYTES_MIN,
        )
        if self.retention_bytes is not None and self.retention_bytes < self.segment_bytes:
            raise ConfigError(
                f"retention_bytes is {self.retention_bytes}, but a segment has "
                f"{self.segment_bytes} bytes and is only removed as a whole. Pass at least as "
                "much, or a smaller segment_bytes."
            )

    @property
    def needs_upkeep(self) -> bool:
        """Whether somebody has to look after what is kept."""
        is_limited = self.retention_us is not None or self.retention_bytes is not None
        return self.is_compacted or is_limited

    @property
    def is_compacted(self) -> bool:
        """Whether only the last record of each key is kept."""
        return self.cleanup_policy != "delete"

    @property
    def is_deleted(self) -> bool:
        """Whether old records are removed by age and size."""
        return self.cleanup_policy != "compact"

    def stored(self) -> dict[str, Any]:
        """Return what is stored: settings of compaction only where they differ.

        So programs from before compaction go on reading topics that have none.
        """
        plain = TopicConfig()
        return {
            name: value
            for name, value in asdict(self).items()
            if name not in _OF_COMPACTION or value != getattr(plain, name)
        }

    def altered(self, changes: Mapping[str, object]) -> TopicConfig:
        """Return the settings with some of them changed, as they are written by users.

        Raises
        ------
        ConfigError
            If a setting is wrong, or does not fit the others.
        """
        fields = {
            name: value
            for name, value in changes.items()
            if value is not None or name in ("retention", "retention_bytes")
        }
        if "retention" in fields:
            fields["retention_us"] = parse_retention_us(fields.pop("retention"))
        for name in ("delete_retention", "min_compaction_lag"):
            if name in fields:
                value = fields.pop(name)
                fields[f"{name}_us"] = config.parse_duration_us(value, name=name)  # type: ignore[arg-type]
        for name in ("segment_bytes", "retention_bytes"):
            if fields.get(name) is not None:
                # Not where it is stored: what was let in before can be altered.
                most = config.SEGMENT_BYTES_MAX if name == "segment_bytes" else config.SIZE_MAX
                fields[name] = config.parse_size(fields[name], name=name, maximum=most)  # type: ignore[arg-type]
        return replace(self, **fields)  # type: ignore[arg-type]


@dataclass(frozen=True)
class TopicDescription:
    """A topic as the catalog stores it.

    Attributes
    ----------
    name : str
    partitions : int
    schema_blob : bytes
        The serialized schema.
    is_typed : bool
        Has columns of its own; else it has Kafka's shape: key, value and headers.
    key_columns : tuple of str
        Whose values decide the partition, in order; may be empty.
    config : TopicConfig
    id : bytes
        16 bytes; empty before the catalog gave it.
    schema_id : int
    """

    name: str
    partitions: int
    schema_blob: bytes
    is_typed: bool
    key_columns: tuple[str, ...]
    config: TopicConfig
    id: bytes = b""
    schema_id: int = 0

    def with_ids(self, topic_id: bytes, schema_id: int) -> TopicDescription:
        """Return the same topic with what the catalog gave it."""
        return replace(self, id=topic_id, schema_id=schema_id)

    def with_schema(self, schema_blob: bytes, schema_id: int) -> TopicDescription:
        """Return the same topic with another schema."""
        return replace(self, schema_blob=schema_blob, schema_id=schema_id)

    def with_partitions(self, partitions: int) -> TopicDescription:
        """Return the same topic with another number of partitions."""
        return replace(self, partitions=partitions)

    def differences(self, other: TopicDescription) -> list[str]:
        """Name the properties in which two topics of one name differ."""
        names = ("partitions", "schema_blob", "is_typed", "key_columns", "config")
        return [name for name in names if getattr(self, name) != getattr(other, name)]

    def to_row(self) -> tuple[Any, ...]:
        """Return the values of the catalog's columns, in order, but for the time of creation."""
        return (
            self.id,
            self.name,
            self.partitions,
            self.schema_id,
            self.is_typed,
            json.dumps(self.key_columns),
            json.dumps(self.config.stored()),
        )


def check_cleanup_policy(policy: str) -> None:
    """Raise ConfigError for what is no cleanup policy.

    Raises
    ------
    ConfigError
        Unless it is ``"delete"``, ``"compact"`` or ``"compact,delete"``.
    """
    config.check_choice(policy, CLEANUP_POLICIES, name="cleanup_policy")


def check_cleanable_ratio(ratio: float) -> None:
    """Raise ConfigError unless it is a number from 0 to 1."""
    is_number = isinstance(ratio, int | float) and not isinstance(ratio, bool)
    if not is_number or not 0 <= ratio <= 1:
        raise ConfigError(f"min_cleanable_ratio is {ratio!r}. Pass a number from 0 to 1.")


def check_key_of_compacted(topic: TopicDescription) -> None:
    """Raise ConfigError for a topic that is to be compacted and has no key."""
    if topic.config.is_compacted and not topic.key_columns:
        raise ConfigError(
            f"cleanup_policy is {topic.config.cleanup_policy!r}, but topic {topic.name!r} has no "
            'key. Compaction keeps the last record of each key: pass key="column".'
        )


def parse_retention_us(value: object) -> int | None:
    """Return how long records are kept, in microseconds; None for ever.

    Raises
    ------
    ConfigError
        If it is no duration, or zero.
    """
    if value is None:
        return None
    found = config.parse_duration_us(value, name="retention")  # type: ignore[arg-type]
    if found == 0:
        raise ConfigError('retention is zero. Pass a duration such as "7d", or None for ever.')
    return found


def check_compression(name: str) -> Literal["none", "lz4"]:
    """Return the name of a codec, or raise ConfigError."""
    config.check_choice(name, COMPRESSIONS, name="compression")
    return "lz4" if name == "lz4" else "none"


def is_topic_name(name: object) -> bool:
    """Return whether something is a legal topic name, by Kafka's rules."""
    return isinstance(name, str) and bool(_NAME.fullmatch(name)) and name not in (".", "..")


def check_topic_name(name: str) -> str:
    """Return a legal topic name, by Kafka's rules, or raise ConfigError."""
    if not is_topic_name(name):
        raise ConfigError(
            f"topic name {name!r} is not legal. Use 1 to 249 of the characters a-z, A-Z, 0-9, "
            "'.', '_' and '-', and not '.' or '..'."
        )
    return name
