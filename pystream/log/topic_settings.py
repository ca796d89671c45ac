"""Checks of what a topic is created with."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from pystream import _native
from pystream.errors import ConfigError, TopicExistsError
from pystream.log.topic_description import TopicDescription

__all__ = ["check_same", "key_columns", "some_topics"]

_NAMED_TOPICS = 10  # in a message


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
    names = (key,) if isinstance(key, str) else tuple(key or ())
    for name in names:
        if name not in schema.names:
            raise ConfigError(
                f"key names column {name!r}, which the schema does not have. Its columns are "
                f"{', '.join(schema.names)}."
            )
    if len(set(names)) != len(names):
        raise ConfigError(f"key is {key!r}, which names a column twice. Name each once.")
    return names


def check_same(wanted: TopicDescription, existing: TopicDescription) -> None:
    """Raise TopicExistsError when a topic is not what was asked for."""
    if differing := wanted.differences(existing):
        what = " and ".join(differing).replace("_blob", "")
        raise TopicExistsError(
            f"topic {wanted.name!r} exists already with another {what}. Use another name, or "
            "delete the topic first; alter_topic() adds columns.",
            topic=wanted.name,
        )


def some_topics(topics: list[str], wanted: str) -> str:
    """Say for a message which topics there are: all when they are few, else the nearest."""
    if len(topics) <= _NAMED_TOPICS:
        return f"Its topics: {', '.join(topics) or 'none'}"
    near = difflib.get_close_matches(wanted, topics, n=_NAMED_TOPICS)
    return f"It has {len(topics):,} topics" + (f", such as {', '.join(near)}" if near else "")
