"""The commands ``pystream groups ...`` and their options."""

from __future__ import annotations

import contextlib
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from pystream.cli.arguments import AsJson, Directory, complete_topics, require_log
from pystream.cli.endings import ending
from pystream.cli.printing import print_json, result_console
from pystream.errors import StreamError

__all__ = ["groups_app"]

groups_app = typer.Typer(
    help="List, describe, reset and delete consumer groups.", no_args_is_help=True
)


def complete_groups(context: typer.Context, incomplete: str) -> list[str]:
    """Return the log's groups that begin so; nothing where there is no log."""
    import pystream  # noqa: PLC0415  --help stays fast

    directory = context.params.get("directory")
    with contextlib.suppress(StreamError, OSError):
        if directory is not None:
            with pystream.open(directory, read_only=True) as log:
                return [name for name in log.groups() if name.startswith(incomplete)]
    return []


GroupName = Annotated[
    str, typer.Argument(help="Of the group.", autocompletion=complete_groups, show_default=False)
]


class Place(StrEnum):
    """Where a group goes on."""

    EARLIEST = "earliest"
    LATEST = "latest"


@groups_app.command("list", epilog="Example: pystream groups list data --json")
def list_(directory: Directory, as_json: AsJson = False) -> None:
    """List groups with their members and lag: records that are not committed yet."""
    from pystream.cli.groups import list_groups  # noqa: PLC0415  --help stays fast

    with ending():
        list_groups(directory, result_console(), as_json=as_json)


@groups_app.command(epilog="Example: pystream groups describe data billing")
def describe(directory: Directory, group: GroupName, as_json: AsJson = False) -> None:
    """Describe a group: its members, and for each partition offset, lag and owner."""
    from pystream.cli.groups import describe_group  # noqa: PLC0415  --help stays fast

    with ending():
        describe_group(directory, group, result_console(), as_json=as_json)


@groups_app.command(epilog="Example: pystream groups reset data billing --to earliest")
def reset(  # noqa: PLR0917  each is an option
    directory: Directory,
    group: GroupName,
    to: Annotated[Place | None, typer.Option(help="The log start or end offset.")] = None,
    to_datetime: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="The first record at or after 2024-01-31T12:00:00Z, say, or -1h for an hour ago.",
        ),
    ] = None,
    shift_by: Annotated[
        int | None, typer.Option(help="So many records on; back when negative.")
    ] = None,
    from_file: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Lines of topic,partition,offset."),
    ] = None,
    topic: Annotated[
        list[str] | None,
        typer.Option(
            "--topic",
            "-t",
            autocompletion=complete_topics,
            help="Default: those it has committed for.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let a group go on elsewhere. It must have no members; all is stored, or nothing."""
    from pystream.cli.groups import reset_group  # noqa: PLC0415  --help stays fast

    with ending():
        require_log(directory)
        reset_group(
            directory,
            group,
            result_console(),
            to=None if to is None else to.value,
            to_datetime=to_datetime,
            shift_by=shift_by,
            file=from_file,
            topics=topic or [],
            as_json=as_json,
        )


@groups_app.command(epilog="Example: pystream groups delete data billing")
def delete(directory: Directory, group: GroupName, as_json: AsJson = False) -> None:
    """Delete a group without members, and what it committed."""
    import pystream  # noqa: PLC0415  --help stays fast

    with ending():
        require_log(directory)
        with pystream.open(directory) as log:
            log.delete_group(group)
        if as_json:
            print_json({"group": group})
        else:
            result_console().print(f"deleted {escape(group)}", soft_wrap=True)
