"""The commands ``pystream consume`` and ``produce`` and their options."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pystream.cli.arguments import Delimiter, Directory, TopicName, TopicNames
from pystream.cli.endings import ending
from pystream.cli.forms import Format

__all__ = ["consume_command", "produce_command"]


class Acks(StrEnum):
    """What an acknowledged record survives."""

    PUBLISHED = "published"
    INTERVAL = "interval"
    DURABLE = "durable"


def _separator(text: str) -> bytes:
    r"""Return what a separator stands for: ``\n``, ``\r``, ``\t`` and ``\0`` are written so."""
    for written, meant in ((r"\n", "\n"), (r"\r", "\r"), (r"\t", "\t"), (r"\0", "\0")):
        text = text.replace(written, meant)
    return text.encode()


def consume_command(  # noqa: PLR0917  each is an option
    directory: Directory,
    topics: TopicNames,
    form: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="Default: by the ending of --output; a table on a terminal; else JSON lines.",
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="PLACE",
            help="earliest (default), latest, an offset, -10 for the last ten of each partition, a "
            "time such as 2024-01-31T12:00:00Z, or -1h for an hour ago.",
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with records that are appended later.")
    ] = False,
    max_records: Annotated[
        int | None, typer.Option("--max-records", "-n", min=1, help="End after so many.")
    ] = None,
    partition: Annotated[
        list[int] | None, typer.Option("--partition", "-p", min=0, help="Only these.")
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            "--group",
            "-g",
            help="Go on where this consumer group committed; commit what is written.",
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where", "-w", metavar="CONDITION", help="Such as \"amount > 100 and user != 'ann'\"."
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option("--columns", "-c", metavar="A,B", help="Only these; no others are read."),
    ] = None,
    meta: Annotated[
        bool,
        typer.Option("--meta", help="Also _topic, _partition, _offset, _timestamp and _headers."),
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A file; default: standard output.")
    ] = None,
    delimiter: Delimiter = r"\n",
    key_separator: Annotated[
        str | None,
        typer.Option("--key-separator", "-K", help="Write KEY, this and the value; raw only."),
    ] = None,
) -> None:
    """Write the records of topics, from a place on to the end that they have now, or for ever.

    Conditions compare a column with a value by = != < <= > >=, ~ (a regular expression) or
    contains; "in (a, b)" and "is null" do as well; and, or, not and parentheses combine them. They
    may name what --meta adds, such as "_offset >= 1000".

    A group's offsets are committed after what was written has been handed on, at the latest a
    second later, so that a record may be written twice after a crash and is never left out.
    """
    from pystream.cli.consume import Request, consume  # noqa: PLC0415  --help stays fast

    with ending() as stop:
        request = Request(
            directory,
            topics,
            form=form,
            start=start,
            follow=follow,
            max_records=max_records,
            partitions=partition or [],
            group=group,
            where=where or [],
            columns=None if columns is None else [name.strip() for name in columns.split(",")],
            with_meta=meta,
            output=output,
            delimiter=_separator(delimiter),
            key_separator=None if key_separator is None else _separator(key_separator),
        )
        consume(request, stop)


def produce_command(  # noqa: PLR0917  each is an option
    directory: Directory,
    topic: TopicName,
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Default, and -: standard input."),
    ] = None,
    form: Annotated[
        Format | None,
        typer.Option("--format", help="Default: by the ending of the file; else JSON lines."),
    ] = None,
    partition: Annotated[
        int | None,
        typer.Option("--partition", "-p", min=0, help="Default: by the key of each record."),
    ] = None,
    acks: Annotated[
        Acks, typer.Option(help="What a record survives before it counts as produced.")
    ] = Acks.INTERVAL,
    meta: Annotated[
        bool,
        typer.Option("--meta", help="Take _partition, _timestamp and _headers from the input."),
    ] = False,
    producer_name: Annotated[
        str | None,
        typer.Option(help="Skip what a producer of this name has sent of the same input before."),
    ] = None,
    delimiter: Delimiter = r"\n",
    key_separator: Annotated[
        str | None,
        typer.Option("--key-separator", "-K", help="Lines are KEY, this and the value; raw only."),
    ] = None,
) -> None:
    """Send records to a topic: JSON lines, CSV with a heading, Parquet, or raw lines.

    Columns go by their names; those that can be null may be missing. Lines are sent as they come.
    A record that does not fit ends it: the message tells its line and column and how many records
    before it are in the topic. With --producer-name the mended input can then be sent again as a
    whole.
    """
    from pystream.cli.produce import Request, produce  # noqa: PLC0415  --help stays fast

    with ending() as stop:
        request = Request(
            directory,
            topic,
            files or [],
            form=form,
            partition=partition,
            acks=acks.value,
            with_meta=meta,
            producer_name=producer_name,
            delimiter=_separator(delimiter),
            key_separator=None if key_separator is None else _separator(key_separator),
        )
        produce(request, stop)
