"""The commands ``pystream topics ...`` and their options."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from pystream.cli.arguments import (
    AsJson,
    Directory,
    TopicName,
    TopicNames,
    complete_topics,
    require_log,
)
from pystream.cli.endings import ending
from pystream.cli.printing import print_json, result_console

__all__ = ["topics_app"]

topics_app = typer.Typer(
    help="Create, list, describe, alter, tail, clean and delete topics.", no_args_is_help=True
)


class Compression(StrEnum):
    """Of a topic's buffers."""

    NONE = "none"
    LZ4 = "lz4"


class CleanupPolicy(StrEnum):
    """What of a topic goes."""

    DELETE = "delete"
    COMPACT = "compact"
    BOTH = "compact,delete"


class TimestampType(StrEnum):
    """Whose time a record has."""

    CREATE_TIME = "create_time"
    APPEND_TIME = "append_time"


@topics_app.command(
    epilog="Example: pystream topics create data payments -c user:string -c amount:float64 -k user"
)
def create(  # noqa: PLR0917  each is an option
    directory: Annotated[Path, typer.Argument(help="Of the log; made when it is missing.")],
    topics: Annotated[list[str], typer.Argument(help="Their names.", show_default=False)],
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column", "-c", metavar="NAME:TYPE", help="Once per column. None: key and value."
        ),
    ] = None,
    schema: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Columns of a .parquet file, or a JSON object of them.",
        ),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option("--key", "-k", metavar="COLUMN", help="Whose values decide the partition."),
    ] = None,
    partitions: Annotated[int, typer.Option("--partitions", "-p", help="Of each topic.")] = 1,
    compression: Annotated[Compression, typer.Option(help="Of values.")] = Compression.NONE,
    segment_bytes: Annotated[
        str, typer.Option(metavar="SIZE", help="Where a segment file ends.")
    ] = "256MiB",
    timestamp_type: Annotated[
        TimestampType, typer.Option(help="The producer's time or the append's.")
    ] = TimestampType.CREATE_TIME,
    retention: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help='How long records are kept, such as 7d. Default: "unlimited".'
        ),
    ] = None,
    retention_bytes: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help='How much a partition keeps. Default: "unlimited".'),
    ] = None,
    cleanup_policy: Annotated[
        CleanupPolicy, typer.Option(help="Compact: the last record of each key stays.")
    ] = CleanupPolicy.DELETE,
    delete_retention: Annotated[
        str, typer.Option(metavar="TIME", help="How long a deleted key is told of.")
    ] = "24h",
    min_compaction_lag: Annotated[
        str, typer.Option(metavar="TIME", help="How long a record surely stays.")
    ] = "0s",
    min_cleanable_ratio: Annotated[
        float, typer.Option(help="How much must be new for a partition to be compacted.")
    ] = 0.5,
    if_not_exists: Annotated[
        bool, typer.Option("--if-not-exists", help="Leave a topic that is the same as it is.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    r"""Create topics that differ in nothing but their names: all of them, or none.

    Types are bool, int8 to int64, uint8 to uint64, float32, float64, decimal128(10, 2), string,
    binary, date32, timestamp\[ms], timestamp\[us, UTC], duration\[ms] and so on, each also with
    "not null" behind it. Without columns a topic has the shape of Kafka's: key, value and headers.
    """
    import pystream  # noqa: PLC0415  --help stays fast
    from pystream.cli.topics import columns_of, limits_of, print_changed  # noqa: PLC0415

    with ending():
        wanted = columns_of(column or [], schema)
        limits = limits_of(retention, retention_bytes)
        with pystream.open(directory) as log:
            created = log.create_topics(
                topics,
                wanted,
                key or None,
                partitions=partitions,
                exist_ok=if_not_exists,
                compression=compression.value,
                segment_bytes=segment_bytes,
                timestamp_type=timestamp_type.value,
                cleanup_policy=cleanup_policy.value,
                delete_retention=delete_retention,
                min_compaction_lag=min_compaction_lag,
                min_cleanable_ratio=min_cleanable_ratio,
                retention=limits.get("retention"),
                retention_bytes=limits.get("retention_bytes"),
            )
        print_changed(directory, "created", created, result_console(), as_json=as_json)


@topics_app.command("list", epilog="Example: pystream topics list data --json")
def list_(directory: Directory, as_json: AsJson = False) -> None:
    """List topics with their partitions, records and sizes on disk."""
    from pystream.cli.topics import list_topics  # noqa: PLC0415  --help stays fast

    with ending():
        list_topics(directory, result_console(), as_json=as_json)


@topics_app.command(epilog="Example: pystream topics describe data payments")
def describe(directory: Directory, topics: TopicNames, as_json: AsJson = False) -> None:
    """Describe topics: settings, columns, and the offsets and size of each partition."""
    from pystream.cli.topics import describe_topics  # noqa: PLC0415  --help stays fast

    with ending():
        describe_topics(directory, topics, result_console(), as_json=as_json)


@topics_app.command(
    epilog="Example: pystream topics alter data payments --add-column country:string --retention 7d"
)
def alter(  # noqa: PLR0917  each is an option
    directory: Directory,
    topic: TopicName,
    add_column: Annotated[
        list[str] | None,
        typer.Option("--add-column", "-c", metavar="NAME:TYPE", help="Once per new column."),
    ] = None,
    partitions: Annotated[
        int | None, typer.Option("--partitions", "-p", help="How many it is to have: more.")
    ] = None,
    retention: Annotated[
        str | None,
        typer.Option(metavar="TIME", help='How long records are kept, such as 7d; or "unlimited".'),
    ] = None,
    retention_bytes: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help='How much a partition keeps; or "unlimited".'),
    ] = None,
    cleanup_policy: Annotated[
        CleanupPolicy | None, typer.Option(help="Compact: the last record of each key stays.")
    ] = None,
    delete_retention: Annotated[
        str | None, typer.Option(metavar="TIME", help="How long a deleted key is told of.")
    ] = None,
    min_compaction_lag: Annotated[
        str | None, typer.Option(metavar="TIME", help="How long a record surely stays.")
    ] = None,
    min_cleanable_ratio: Annotated[
        float | None, typer.Option(help="How much must be new for a partition to be compacted.")
    ] = None,
    compression: Annotated[Compression | None, typer.Option(help="Of values.")] = None,
    segment_bytes: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Where a segment file ends.")
    ] = None,
    timestamp_type: Annotated[
        TimestampType | None, typer.Option(help="The producer's time or the append's.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Give a topic more columns or partitions, or other settings.

    New columns are null in the records that are stored. With more partitions, keys go to other
    partitions from then on. Producers and consumers go on and notice it. What is stored is not
    rewritten.
    """
    import pystream  # noqa: PLC0415  --help stays fast
    from pystream.cli.topics import columns_of, limits_of, print_changed  # noqa: PLC0415

    with ending():
        columns = columns_of(add_column or [], None)
        assert columns is None or isinstance(columns, dict)
        require_log(directory)
        with pystream.open(directory) as log:
            log.topic(topic)  # names the nearest when there is none
            altered = log.alter_topic(
                topic,
                add_columns=columns,
                partitions=partitions,
                compression=None if compression is None else compression.value,
                segment_bytes=segment_bytes,
                timestamp_type=None if timestamp_type is None else timestamp_type.value,
                cleanup_policy=None if cleanup_policy is None else cleanup_policy.value,
                delete_retention=delete_retention,
                min_compaction_lag=min_compaction_lag,
                min_cleanable_ratio=min_cleanable_ratio,
                **limits_of(retention, retention_bytes),
            )
        print_changed(directory, "altered", [altered], result_console(), as_json=as_json)


@topics_app.command(epilog="Example: pystream topics clean data payments")
def clean(
    directory: Directory,
    topics: Annotated[
        list[str] | None,
        typer.Argument(help="Default: all.", autocompletion=complete_topics, show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Remove now what topics need not keep, by age, by size and by key.

    Processes that use the topics do so every minute. Segments are removed as a whole, or replaced
    by ones with the last record of each key. What batches
    and readers of any process still hold is told as pinned: the disk has it until they are gone.
    """
    from pystream.cli.topics import clean_topics  # noqa: PLC0415  --help stays fast

    with ending():
        require_log(directory)
        clean_topics(directory, topics or None, result_console(), as_json=as_json)


@topics_app.command(epilog="Example: pystream topics tail data payments -n 5")
def tail(  # noqa: PLR0917  each is an option
    directory: Directory,
    topic: TopicName,
    records: Annotated[
        int, typer.Option("--records", "-n", min=0, help="So many of each partition.")
    ] = 10,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with records that are appended later.")
    ] = False,
    partition: Annotated[
        list[int] | None, typer.Option("--partition", "-p", min=0, help="Only these.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="JSON lines, on a terminal, too.")
    ] = False,
) -> None:
    """Write the last records of a topic, as consume --from -10 does.

    Offsets count, also those of markers and of records that compaction removed. Consume has more
    to choose from: formats, columns, conditions and files.
    """
    from pystream.cli.consume import Request, consume  # noqa: PLC0415  --help stays fast
    from pystream.cli.forms import Format  # noqa: PLC0415

    with ending() as stop:
        request = Request(
            directory,
            [topic],
            form=Format.JSON if as_json else None,
            start=f"-{records}",
            follow=follow,
            partitions=partition or [],
        )
        consume(request, stop)


@topics_app.command(
    "delete-records",
    epilog="Example: pystream topics delete-records data payments -p 0 --before 10 -y",
)
def delete_records(  # noqa: PLR0917  each is an option
    directory: Directory,
    topic: TopicName,
    before: Annotated[
        int, typer.Option(help="The first offset that is kept; -1: nothing is.", show_default=False)
    ],
    partition: Annotated[
        list[int] | None, typer.Option("--partition", "-p", min=0, help="Default: all.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete the records of a topic before an offset, for ever."""
    from pystream.cli.topics import delete_topic_records, print_starts  # noqa: PLC0415

    with ending():
        require_log(directory)
        starts = delete_topic_records(directory, topic, partition or None, before, is_confirmed=yes)
        print_starts(starts, result_console(), as_json=as_json)


@topics_app.command(epilog="Example: pystream topics delete data payments --yes")
def delete(
    directory: Directory,
    topics: TopicNames,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete topics with their records and what groups committed for them.

    Asks before it does, and without a terminal needs --yes. Unknown names stop it before anything
    is deleted.
    """
    import pystream  # noqa: PLC0415  --help stays fast
    from pystream.cli.topics import confirm_deletion  # noqa: PLC0415

    with ending():
        require_log(directory)
        names = list(dict.fromkeys(topics))
        with pystream.open(directory) as log:
            for name in names:
                log.topic(name)
            if not yes:
                confirm_deletion(directory, names)
            deleted: list[str] = []
            try:
                for name in names:
                    log.delete_topic(name)
                    deleted.append(name)
            finally:  # not in between, where a reader that is gone would end it
                if as_json:
                    print_json([{"topic": name} for name in deleted])
                for name in () if as_json else deleted:
                    result_console().print(f"deleted {escape(name)}", soft_wrap=True)
