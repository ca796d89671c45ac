"""Results for people and for programs: tables, aligned text, JSON."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

__all__ = ["counting", "print_json", "print_table", "result_console", "size_text"]

_NEVER_CUT = 1 << 20  # columns: where nobody looks, nothing is wrapped or cut
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def result_console() -> Console:
    """Return a console on standard output that is as wide as what is printed, but on a terminal."""
    console = Console(highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _NEVER_CUT
    return console


def print_table(
    console: Console,
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Iterable[str] = (),
) -> None:
    """Print a table: coloured on a terminal, elsewhere aligned text without a frame.

    Parameters
    ----------
    console : Console
    headings : sequence of str
    rows : iterable of sequences of str
    numbers : iterable of str
        Headings of the columns that are aligned at the right.
    """
    right = set(numbers)
    if not console.is_terminal:
        _print_plain(headings, list(rows), right)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, heading in enumerate(headings):
        justify: Literal["left", "right"] = "right" if heading in right else "left"
        style = "cyan" if place == 0 else None
        table.add_column(heading, justify=justify, style=style, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)


def _print_plain(headings: Sequence[str], rows: list[Sequence[str]], right: set[str]) -> None:
    lines = [headings, *rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(headings))]
    for line in lines:
        cells = [
            text.rjust(width) if heading in right else text.ljust(width)
            for text, width, heading in zip(line, widths, headings, strict=True)
        ]
        print("  ".join(cells).rstrip())


def print_json(content: object) -> None:
    """Print JSON for programs."""
    json.dump(content, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def size_text(size: int) -> str:
    """Return a number of bytes for people.

    Examples
    --------
    >>> size_text(0), size_text(1536), size_text(300 << 30)
    ('0 B', '1.5 KiB', '300.0 GiB')
    """
    value, unit = float(size), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{size} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


@contextlib.contextmanager
def counting(what: str, total: int | None, *, is_shown: bool) -> Iterator[Callable[[int], Any]]:
    """Show on standard error, when that is a terminal, how much is done.

    Parameters
    ----------
    what : str
        For example ``"Consuming"``.
    total : int or None
        When it is known.
    is_shown : bool
        False where the work itself writes to the terminal.

    Yields
    ------
    callable
        To be told how many are done.
    """
    console = Console(stderr=True)
    if not is_shown or not console.is_terminal:
        yield lambda done: None
        return
    columns = (
        TextColumn(what),
        BarColumn(),
        TextColumn("{task.completed:,.0f} records"),
        _SpeedColumn() if total is None else TextColumn("of {task.total:,.0f}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=done)


class _SpeedColumn(ProgressColumn):
    """Records per second, once two looks have told."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")
