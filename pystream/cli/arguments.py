"""Arguments that several commands have, and how a shell completes them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Annotated

import typer

from pystream.errors import ConfigError, LogError, StreamError

__all__ = [
    "AsJson",
    "Delimiter",
    "Directory",
    "TopicName",
    "TopicNames",
    "complete_topics",
    "require_log",
    "require_outside",
]


def complete_topics(context: typer.Context, incomplete: str) -> list[str]:
    """Return the log's topics that begin so; nothing where there is no log."""
    import pystream  # noqa: PLC0415  --help stays fast

    directory = context.params.get("directory")
    given = context.params.get("topics") or ()
    with contextlib.suppress(StreamError, OSError):
        if directory is not None:
            with pystream.open(directory, read_only=True) as log:
                names = [name for name in log.topics() if name not in given]
                return [name for name in names if name.startswith(incomplete)]
    return []


def require_log(directory: Path) -> None:
    """Raise LogError where there is no log: a mistyped directory must not become one."""
    from pystream.log.directory import is_log  # noqa: PLC0415  --help stays fast

    if not is_log(directory):
        raise LogError(
            f"there is no log in {directory}. Check the path; pystream topics create makes one.",
            path=str(directory),
        )


def require_outside(output: Path | None) -> None:
    """Raise ConfigError for an output within a log's directory, whose own files are there."""
    from pystream.log.directory import is_log  # noqa: PLC0415  --help stays fast

    above = () if output is None else Path(os.path.realpath(output)).parents
    for directory in above:
        if is_log(directory) and (directory / "topics").is_dir():
            raise ConfigError(
                f"--output {output} lies in the log {directory} itself. Name a file elsewhere."
            )


Directory = Annotated[Path, typer.Argument(help="Of the log.", show_default=False)]
TopicName = Annotated[
    str, typer.Argument(help="Of the topic.", autocompletion=complete_topics, show_default=False)
]
TopicNames = Annotated[
    list[str],
    typer.Argument(help="Of the topics.", autocompletion=complete_topics, show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Delimiter = Annotated[
    str, typer.Option(help=r"Behind each value, with --format raw; also \t, \0 or \r\n.")
]
