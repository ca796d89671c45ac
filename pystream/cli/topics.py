"""``pystream topics``: what its commands do."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

import pystream as ps
from pystream.cli.forms import Format, format_of
from pystream.cli.printing import print_json, print_table, size_text
from pystream.config import parse_duration_us, parse_size
from pystream.errors import ConfigError
from pystream.log._optional import require

__all__ = [
    "clean_topics",
    "columns_of",
    "confirm_deletion",
    "delete_topic_records",
    "describe_topics",
    "facts_of",
    "limits_of",
    "list_topics",
    "print_changed",
    "print_starts",
]

_OPEN_PARTITIONS = 256  # at once: each takes open files, and thousands of topics are common
_SEGMENT = "*.seg"
_UNLIMITED = "unlimited"


@dataclass(frozen=True)
class Facts:
    """A topic and what its partitions hold."""

    topic: ps.Topic
    ends: list[ps.PartitionEnds]
    sizes: list[tuple[int, int]]
    """Segments and bytes on disk of each partition."""

    @property
    def offsets(self) -> int:
        """How many offsets there are, over all partitions; not each need have a record."""
        return sum(ends.end - ends.start for ends in self.ends)

    @property
    def size(self) -> int:
        """Bytes on disk, over all partitions."""
        return sum(size for _, size in self.sizes)


def facts_of(directory: Path, names: Iterable[str] | None = None) -> Iterator[Facts]:
    """Yield facts about topics, all of them by default; writes nothing.

    Raises
    ------
    UnknownTopicError
        If a topic does not exist.
    """
    with ps.open(directory, read_only=True) as log:
        topics = [log.topic(name) for name in (log.topics() if names is None else names)]
    ahead = list(reversed(topics))
    while ahead:
        opened = 0
        with ps.open(directory, read_only=True) as log:
            while ahead and (opened == 0 or opened + ahead[-1].partitions <= _OPEN_PARTITIONS):
                topic = log.topic(ahead.pop().name)
                opened += topic.partitions
                yield Facts(topic, topic.ends(), _sizes(directory, topic))


def _sizes(directory: Path, topic: ps.Topic) -> list[tuple[int, int]]:
    place = directory / "topics" / topic.description.id.hex()
    sizes = []
    for number in range(topic.partitions):
        segments = [path.stat() for path in (place / str(number)).glob(_SEGMENT)]
        sizes.append((len(segments), sum(segment.st_blocks * 512 for segment in segments)))
    return sizes


def list_topics(directory: Path, console: Console, *, as_json: bool) -> None:
    """Print a line for each topic."""
    found = list(facts_of(directory))
    if as_json:
        print_json([_summary(facts) for facts in found])
        return
    print_table(
        console,
        ["topic", "partitions", "offsets", "size", "key", "columns"],
        [
            (
                facts.topic.name,
                f"{facts.topic.partitions:,}",
                f"{facts.offsets:,}",
                size_text(facts.size),
                ", ".join(facts.topic.key) if facts.topic.is_typed else "key",
                ", ".join(facts.topic.schema.names) if facts.topic.is_typed else "key, value",
            )
            for facts in found
        ],
        numbers=("partitions", "offsets", "size"),
    )


def describe_topics(directory: Path, names: list[str], console: Console, *, as_json: bool) -> None:
    """Print settings, columns and partitions of topics."""
    found = list(facts_of(directory, dict.fromkeys(names)))
    if as_json:
        print_json([_description(facts) for facts in found])
        return
    for place, facts in enumerate(found):
        if place > 0:
            console.print()
        _describe(facts, console)


def print_changed(
    directory: Path, what: str, topics: list[ps.Topic], console: Console, *, as_json: bool
) -> None:
    """Print topics that were created or altered; JSON is that of :func:`describe_topics`."""
    if as_json:
        describe_topics(directory, [topic.name for topic in topics], console, as_json=True)
        return
    for topic in topics:
        console.print(
            f"{what} {escape(topic.name)}: {topic.partitions} partitions, "
            f"{escape(str(topic.schema))}",
            soft_wrap=True,
        )


def _describe(facts: Facts, console: Console) -> None:
    topic = facts.topic
    key = ", ".join(topic.key) if topic.key else "none"
    console.print(
        f"[bold cyan]{escape(topic.name)}[/]: {topic.partitions} partitions, "
        f"{facts.offsets:,} offsets, {size_text(facts.size)}\n"
        f"key {escape(key)}, compression {topic.compression}, segments of "
        f"{size_text(topic.segment_bytes)}, timestamps {topic.timestamp_type}, "
        f"{_kept(topic)}",
        soft_wrap=True,
    )
    console.print()
    fields = [
        (name, str(kind), "yes" if is_nullable else "no")
        for name, kind, is_nullable in topic.schema.fields
    ]
    print_table(console, ["column", "type", "nullable"], fields)
    console.print()
    print_table(
        console,
        ["partition", "start", "end", "offsets", "segments", "size"],
        [
            (
                str(number),
                f"{ends.start:,}",
                f"{ends.end:,}",
                f"{ends.end - ends.start:,}",
                f"{segments:,}",
                size_text(size),
            )
            for number, (ends, (segments, size)) in enumerate(
                zip(facts.ends, facts.sizes, strict=True)
            )
        ],
        numbers=("partition", "start", "end", "offsets", "segments", "size"),
    )


def _kept(topic: ps.Topic) -> str:
    """Say what is kept."""
    limits = []
    if topic.retention is not None:
        limits.append(str(topic.retention).removesuffix(", 0:00:00"))
    if topic.retention_bytes is not None:
        limits.append(f"{size_text(topic.retention_bytes)} per partition")
    if not topic.description.config.is_deleted:
        limits = []
    kept = f"kept {' or '.join(limits)}" if limits else "kept for ever"
    return f"{kept}, compacted" if topic.description.config.is_compacted else kept


def _summary(facts: Facts) -> dict[str, Any]:
    topic = facts.topic
    return {
        "topic": topic.name,
        "partitions": topic.partitions,
        "offsets": facts.offsets,
        "bytes": facts.size,
        "key": list(topic.key),
        "is_typed": topic.is_typed,
        "columns": {
            name: f"{kind}{'' if is_nullable else ' not null'}"
            for name, kind, is_nullable in topic.schema.fields
        },
    }


def _description(facts: Facts) -> dict[str, Any]:
    topic = facts.topic
    partitions = [
        {"partition": number, "start": ends.start, "end": ends.end, "segments": n, "bytes": size}
        for number, (ends, (n, size)) in enumerate(zip(facts.ends, facts.sizes, strict=True))
    ]
    return {
        **_summary(facts),
        "compression": topic.compression,
        "segment_bytes": topic.segment_bytes,
        "timestamp_type": topic.timestamp_type,
        "retention_us": topic.description.config.retention_us,
        "retention_bytes": topic.retention_bytes,
        "cleanup_policy": topic.cleanup_policy,
        "delete_retention_us": topic.description.config.delete_retention_us,
        "min_compaction_lag_us": topic.description.config.min_compaction_lag_us,
        "min_cleanable_ratio": topic.min_cleanable_ratio,
        "partitions": partitions,
    }


def confirm_deletion(directory: Path, names: list[str]) -> None:
    """Ask whether topics are to be deleted, and leave when they are not.

    Raises
    ------
    ConfigError
        If there is nobody to ask.
    """
    require_terminal(f"deleting {', '.join(names)}")
    offsets = sum(facts.offsets for facts in facts_of(directory, names))
    typer.confirm(f"Delete {', '.join(names)} with {offsets:,} offsets?", abort=True, err=True)


def limits_of(retention: str | None, retention_bytes: str | None) -> dict[str, str | None]:
    """Return what options say of retention; nothing of one that was not given.

    Examples
    --------
    >>> limits_of("unlimited", None)
    {'retention': None}

    Raises
    ------
    ConfigError
        If one is neither a limit nor the word for none.
    """
    given: dict[str, str | None] = {}
    if retention is not None:
        given["retention"] = _limit("--retention", retention, parse_duration_us, "7d")
    if retention_bytes is not None:
        given["retention_bytes"] = _limit("--retention-bytes", retention_bytes, parse_size, "10GiB")
    return given


def _limit(option: str, value: str, parse: Callable[[str], object], example: str) -> str | None:
    """Return what an option's value limits something to; None: nothing."""
    if value == _UNLIMITED:
        return None
    try:
        parse(value)
    except ConfigError as error:
        raise ConfigError(
            f'{option} is {value!r}. Write {example}, say, or "{_UNLIMITED}".'
        ) from error
    return value


def clean_topics(
    directory: Path, names: list[str] | None, console: Console, *, as_json: bool
) -> None:
    """Apply retention and print what it did."""
    with ps.open(directory) as log:
        done = log.apply_retention(names)
    if as_json:
        print_json([its._asdict() for its in done])
        return
    print_table(
        console,
        ["topic", "partition", "start", "removed", "segments", "size", "compacted", "pinned"],
        [
            (
                its.topic,
                str(its.partition),
                f"{its.log_start_offset:,}",
                f"{its.removed_records:,}",
                f"{its.removed_segments:,}",
                size_text(its.removed_bytes),
                f"{its.compacted_records:,}",
                size_text(its.pinned_bytes),
            )
            for its in done
        ],
        numbers=("partition", "start", "removed", "segments", "size", "compacted", "pinned"),
    )


def delete_topic_records(
    directory: Path,
    name: str,
    partitions: list[int] | None,
    before: int,
    *,
    is_confirmed: bool,
) -> dict[ps.TopicPartition, int]:
    """Delete records before an offset, once that is confirmed; return the log start offsets."""
    with ps.open(directory) as log:
        topic = log.topic(name)
        wanted = range(topic.partitions) if partitions is None else partitions
        offsets = {ps.TopicPartition(name, number): before for number in wanted}
        if not is_confirmed:
            require_terminal(f"deleting records of {name}")
            typer.confirm(
                f"Delete the records of {name} before offset {before}?", abort=True, err=True
            )
        return log.delete_records(offsets)


def print_starts(starts: dict[ps.TopicPartition, int], console: Console, *, as_json: bool) -> None:
    """Print log start offsets."""
    if as_json:
        print_json([{**place._asdict(), "start": start} for place, start in sorted(starts.items())])
        return
    print_table(
        console,
        ["topic", "partition", "start"],
        [(place.topic, str(place.partition), f"{at:,}") for place, at in sorted(starts.items())],
        numbers=("partition", "start"),
    )


def require_terminal(act: str) -> None:
    """Raise ConfigError where nobody can be asked whether an act is to be done."""
    if not sys.stdin.isatty():
        raise ConfigError(
            f"{act} must be confirmed, and standard input is no terminal. Pass --yes."
        )


def columns_of(columns: list[str], schema: Path | None) -> object:
    """Return the schema that options name; None without any, which is Kafka's shape.

    Parameters
    ----------
    columns : list of str
        Each ``NAME:TYPE``.
    schema : Path, optional
        A Parquet file, whose columns are taken, or a JSON object of names and types.

    Raises
    ------
    ConfigError
        If a column is written otherwise, or the file is neither.

    Examples
    --------
    >>> columns_of(["user:string", "at:timestamp[ms, UTC] not null"], None)
    {'user': 'string', 'at': 'timestamp[ms, UTC] not null'}
    """
    if schema is not None and columns:
        raise ConfigError("--schema and --column both name columns. Pass one of them.")
    if schema is not None:
        return _schema_in(schema)
    named: dict[str, str] = {}
    for column in columns:
        name, colon, kind = column.partition(":")
        if not colon or not name or not kind.strip():
            raise ConfigError(
                f"--column is {column!r}. Write NAME:TYPE, such as user:string or "
                '"at:timestamp[ms] not null".'
            )
        if name in named:
            raise ConfigError(f"--column names {name!r} twice. Name each column once.")
        named[name] = kind.strip()
    return named or None


def _schema_in(file: Path) -> object:
    if format_of(file) is Format.PARQUET:
        arrow = require("pyarrow", extra="arrow")
        try:
            schema: object = require("pyarrow.parquet", extra="arrow").read_schema(file)
        except arrow.ArrowInvalid as error:
            raise ConfigError(f"--schema: {file} is no Parquet file: {error}.") from None
        return schema
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(
            f"--schema: {file} is no JSON: {error}. Pass a file such as "
            '{"user": "string", "amount": "float64"}, or a .parquet file.'
        ) from None
    if not isinstance(found, dict):
        raise ConfigError(
            f"--schema: {os.fspath(file)} holds no object. Write it as "
            '{"user": "string", "amount": "float64"}.'
        )
    return found
