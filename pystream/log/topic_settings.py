"""Checks of what a topic is created with."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pystream import _native
from pystream import config as settings
from pystream.errors import ConfigError, TopicExistsError
from pystream.log.named import key_named
from pystream.log.schema import KAFKA_SHAPED, to_schema
from pystream.log.topic_description import (
    TopicConfig,
    TopicDescription,
    check_key_of_compacted,
    check_topic_name,
)

__all__ = ["check_same", "described", "key_columns", "more_partitions", "some_topics"]

_NAMED_TOPICS = 10  # in a message


def described(
    names: Iterable[str],
    schema: object,
    key: str | Sequence[str] | None,
    *,
    partitions: int,
    config: TopicConfig,
) -> list[TopicDescription]:
    """Return topics as they are to be entered in the catalog, or raise ConfigError."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        what = "the string " if isinstance(names, str) else ""
        raise ConfigError(f"names is {what}{names!r}. Pass a list of names.")
    names = [check_topic_name(name) for name in names]
    if len(set(names)) < len(names):
        twice = next(name for at, name in enumerate(names) if name in names[:at])
        raise ConfigError(f"names has {twice!r} twice. Name each topic once.")
    native_schema = KAFKA_SHAPED if schema is None else to_schema(schema)
    is_typed = schema is not None
    first = TopicDescription(
        name="",
        partitions=settings.check_positive(
            partitions, name="partitions", maximum=settings.PARTITIONS_MAX
        ),
        schema_blob=native_schema.serialize(),
        is_typed=is_typed,
        key_columns=key_columns(key, native_schema, is_typed=is_typed),
        config=config,
    )
    topics = [replace(first, name=name) for name in names]
    for topic in topics:
        check_key_of_compacted(topic)
    return topics


def key_columns(
    key: str | Sequence[str] | None, schema: _native.Schema, *, is_typed: bool
) -> tuple[str, ...]:
    """Return the key's columns as a tuple, or raise ConfigError."""
    if not is_typed:
        if key is not None:
            raise ConfigError(
                f"key is {key!r}, but a topic without a schema has the key that each record is "
                "sent with. Leave key= out, or pass a schema."
            )
        return ("key",)
    names = key_named(key)
    for name in names:
        if name not in schema.names:
            raise ConfigError(
                f"key names column {name!r}, which the schema does not have. Its columns are "
                f"{', '.join(schema.names)}."
            )
    if len(set(names)) != len(names):
        raise ConfigError(f"key is {key!r}, which names a column twice. Name each once.")
    return names


def check_same(
    wanted: Iterable[TopicDescription], existing: Mapping[str, TopicDescription]
) -> None:
    """Raise TopicExistsError when a topic that exists is not what was asked for."""
    for topic in wanted:
        if topic.name not in existing:
            continue
        if differing := topic.differences(existing[topic.name]):
            what = " and ".join(differing).replace("_blob", "")
            raise TopicExistsError(
                f"topic {topic.name!r} exists already with another {what}. Use another name, or "
                "delete the topic first; alter_topic() adds columns.",
                topic=topic.name,
            )


def more_partitions(topic: TopicDescription, partitions: int) -> int:
    """Return how many partitions a topic is to have, or raise ConfigError when that is fewer."""
    partitions = settings.check_positive(
        partitions, name="partitions", maximum=settings.PARTITIONS_MAX
    )
    if partitions < topic.partitions:
        raise ConfigError(
            f"topic {topic.name!r} has {topic.partitions} partitions and cannot have {partitions}: "
            "the records of the others would be lost. Create a new topic and copy the records."
        )
    return partitions


def some_topics(topics: list[str], wanted: str) -> str:
    """Say for a message which topics there are: all when they are few, else the nearest."""
    if len(topics) <= _NAMED_TOPICS:
        return f"Its topics: {', '.join(topics) or 'none'}"
    near = difflib.get_close_matches(wanted, topics, n=_NAMED_TOPICS)
    return f"It has {len(topics):,} topics" + (f", such as {', '.join(near)}" if near else "")
