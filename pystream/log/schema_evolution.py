"""What a topic's schema may become: more nullable columns at its end, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pystream._native import Schema
from pystream.errors import ConfigError, NotSupportedError, SchemaError
from pystream.log.named import key_named
from pystream.log.schema import to_schema
from pystream.log.topic_description import TopicDescription

__all__ = ["added_columns", "evolved"]

_POSSIBLE = "A topic can only get more nullable columns, at the end: add_columns={...}."
_INSTEAD = " For another schema, create a new topic and copy the records with a pipeline."


def evolved(
    topic: TopicDescription,
    schema: object,
    key: str | Sequence[str] | None,
    add_columns: Mapping[str, object] | None,
) -> Schema:
    """Return the schema that a topic gets by `Log.alter_topic`.

    Raises
    ------
    ConfigError
        If the arguments say nothing, or two things.
    SchemaError
        If a column changes its type, cannot be null, or is there already.
    NotSupportedError
        If a column or the key would be dropped, renamed or moved.
    """
    if (schema is None) == (add_columns is None):
        raise ConfigError(
            "alter_topic() takes the columns to add, or the whole new schema, or settings. Pass "
            "one of add_columns= and schema=, or another setting."
        )
    if not topic.is_typed:
        raise SchemaError(
            f"topic {topic.name!r} was created without a schema, so its records have a key and a "
            "value of bytes and no columns. Create a new topic with a schema.",
            topic=topic.name,
        )
    names = key_named(key)
    if key is not None and names != topic.key_columns:
        raise NotSupportedError(
            f"the key of topic {topic.name!r} is {topic.key_columns!r} and cannot become "
            f"{names!r}: the key decides in which partition a record is. Create a new topic "
            "with that key.",
            topic=topic.name,
            column=names[0] if names else None,
        )
    present = Schema.deserialize(topic.schema_blob)
    if schema is not None:
        wanted = to_schema(schema)
        _check_kept(topic.name, present, wanted)
        added = wanted.fields[len(present) :]
    else:
        added = to_schema(add_columns).fields
    _check_added(topic.name, present, added)
    return Schema([*present.fields, *added])


def added_columns(wider: Schema, narrower: Schema) -> list[str] | None:
    """Return the nullable columns that `wider` has at its end; None when it is no extension."""
    count = len(narrower)
    if wider.fields[:count] != narrower.fields:
        return None
    added = wider.fields[count:]
    return [name for name, _, _ in added] if all(field[2] for field in added) else None


def _check_kept(topic: str, present: Schema, wanted: Schema) -> None:
    """Refuse a schema that does not begin with the present columns as they are."""
    for position, (name, dtype, is_nullable) in enumerate(present.fields):
        index = wanted.index_of(name)
        if index < 0:
            raise NotSupportedError(
                f"topic {topic!r} has the column {name!r}, which the new schema lacks: columns "
                f"cannot be dropped or renamed. {_POSSIBLE}{_INSTEAD}",
                topic=topic,
                column=name,
            )
        _, new_dtype, is_new_nullable = wanted.fields[index]
        if new_dtype != dtype or is_new_nullable != is_nullable:
            before = _spelled(dtype, is_nullable)
            after = _spelled(new_dtype, is_new_nullable)
            raise SchemaError(
                f"column {name!r} of topic {topic!r} is {before} and cannot become {after}: "
                f"records with the old type are stored. {_POSSIBLE}{_INSTEAD}",
                topic=topic,
                column=name,
                expected=before,
                got=after,
            )
        if index != position:
            raise NotSupportedError(
                f"column {name!r} of topic {topic!r} is at position {position} and cannot move to "
                f"{index}. {_POSSIBLE}",
                topic=topic,
                column=name,
            )


def _check_added(topic: str, present: Schema, added: Sequence[tuple[str, object, bool]]) -> None:
    for name, dtype, is_nullable in added:
        if present.index_of(name) >= 0:
            raise SchemaError(
                f"topic {topic!r} has a column {name!r} already. Add columns of other names.",
                topic=topic,
                column=name,
                got=_spelled(dtype, is_nullable),
            )
        if not is_nullable:
            raise SchemaError(
                f"column {name!r} cannot be added to topic {topic!r} as {dtype} not null: the "
                f'records that are stored have no value for it. Add it as "{dtype}".',
                topic=topic,
                column=name,
                expected=str(dtype),
                got=f"{dtype} not null",
            )


def _spelled(dtype: object, is_nullable: bool) -> str:
    return f"{dtype}{'' if is_nullable else ' not null'}"
