"""What the catalog knows of a topic."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from pystream import config
from pystream.errors import ConfigError, LogError

__all__ = [
    "TopicConfig",
    "TopicDescription",
    "check_compression",
    "check_topic_name",
]

COMPRESSIONS = ("none", "lz4")
TIMESTAMP_TYPES = ("create_time", "append_time")
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
    """

    compression: str = "none"
    segment_bytes: int = config.SEGMENT_BYTES
    timestamp_type: str = "create_time"

    def __post_init__(self) -> None:
        check_compression(self.compression)
        config.check_choice(self.timestamp_type, TIMESTAMP_TYPES, name="timestamp_type")
        config.parse_size(
            self.segment_bytes, name="segment_bytes", minimum=config.SEGMENT_BYTES_MIN
        )


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
            json.dumps(asdict(self.config)),
        )

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> TopicDescription:
        """Return the topic of a catalog row, with the schema's blob as last column.

        Raises
        ------
        LogError
            If a newer pystream gave it settings that this one does not know.
        """
        topic_id, name, partitions, schema_id, is_typed, keys, configs, blob = row
        settings = json.loads(configs)
        if unknown := set(settings) - set(TopicConfig.__dataclass_fields__):
            raise LogError(
                f"topic {name!r} has the settings {', '.join(sorted(unknown))}, which this "
                "pystream does not know. Use the pystream that wrote them, or a newer one.",
                topic=name,
            )
        return cls(
            name=name,
            partitions=partitions,
            schema_blob=blob,
            is_typed=bool(is_typed),
            key_columns=tuple(json.loads(keys)),
            config=TopicConfig(**settings),
            id=topic_id,
            schema_id=schema_id,
        )


def check_compression(name: str) -> Literal["none", "lz4"]:
    """Return the name of a codec, or raise ConfigError."""
    config.check_choice(name, COMPRESSIONS, name="compression")
    return "lz4" if name == "lz4" else "none"


def check_topic_name(name: str) -> str:
    """Return a legal topic name, by Kafka's rules, or raise ConfigError."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in (".", ".."):
        raise ConfigError(
            f"topic name {name!r} is not legal. Use 1 to 249 of the characters a-z, A-Z, 0-9, "
            "'.', '_' and '-', and not '.' or '..'."
        )
    return name
