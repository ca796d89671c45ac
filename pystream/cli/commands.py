"""The commands and their options; each calls one function that does the work."""

from __future__ import annotations

import contextlib
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from pystream.cli.arguments import require_log, require_outside
from pystream.cli.endings import ending, fail
from pystream.cli.group_commands import groups_app
from pystream.cli.printing import result_console
from pystream.cli.stream_commands import consume_command, produce_command
from pystream.cli.topic_commands import topics_app
from pystream.cli.transaction_commands import transactions_app
from pystream.errors import StreamError

__all__ = ["app"]

app = typer.Typer(
    help="Topics and event-time pipelines inside one Python process.",
    no_args_is_help=True,
)
app.add_typer(topics_app, name="topics")
app.add_typer(transactions_app, name="transactions")
app.add_typer(groups_app, name="groups")
app.command("produce", epilog="Example: pystream produce data payments payments.csv")(
    produce_command
)
app.command(
    "consume",
    epilog="Example: pystream consume data payments --from earliest --where 'amount > 5' -n 10",
)(consume_command)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        import pystream  # noqa: PLC0415  --help stays fast

        typer.echo(f"pystream {pystream.__version__}")
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Topics and event-time pipelines inside one Python process."""


@app.command(epilog="Example: pystream demo --directory flights")
def demo(
    directory: Annotated[
        Path, typer.Option("--directory", "-d", help="Where the demo's log is kept.")
    ] = Path("pystream-demo"),
    threads: Annotated[int, typer.Option(min=1, help="Threads of the pipeline.")] = 1,
) -> None:
    """Publish the flights of 2013 and compute delays per hour and per day.

    The 336,776 departures from New York in 2013 go into a topic in the order in which they
    really left; a pipeline groups them by their timetable into event-time windows; the results
    go into topics and are shown. Run it twice: what is there is not done again.
    """
    from pystream.cli.demo import run_demo  # noqa: PLC0415  --help stays fast

    console = Console(emoji=False)
    try:
        run_demo(directory, threads, console)
    except StreamError as error:
        raise fail(error) from None


@app.command(epilog="Example: pystream backup data monday")
def backup(
    directory: Annotated[Path, typer.Argument(help="Of the log; it may be in use.")],
    target: Annotated[Path, typer.Argument(help="New or empty; open it to restore.")],
) -> None:
    """Copy a log as it is at this moment, while others write and read it.

    Segments that are complete become hard links where the file system allows, so that a backup on
    the same disk takes little space.
    """
    import pystream  # noqa: PLC0415  --help stays fast

    with ending():
        require_log(directory)
        with pystream.open(directory) as log:
            done = log.backup(target)
        result_console().print(
            f"{escape(done.directory)}: {done.topics} topics, {done.partitions} partitions, "
            f"{done.copied_bytes:,} bytes copied, {done.linked_bytes:,} linked",
            soft_wrap=True,
        )


@app.command(epilog="Example: pystream verify data --json")
def verify(
    directory: Annotated[Path, typer.Argument(help="Of the log.")],
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Move what is damaged to DIRECTORY/quarantine and rebuild what can be. No other "
            "process may have the log open.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Check every checksum of a log, its offsets, and its catalog against its files.

    Opens nothing for writing and works while others append. Exit status: 0 the log is clean,
    1 something was found, 2 the directory is not a log, or there was another error.
    """
    from pystream.cli.verify import NOT_A_LOG, run_verify  # noqa: PLC0415  --help stays fast

    with ending(NOT_A_LOG) as stop:
        status = run_verify(
            directory, repair=repair, as_json=as_json, console=result_console(), stop=stop
        )
    raise typer.Exit(status)


class Until(StrEnum):
    """Where topics end that have no end."""

    LATEST = "latest"


@app.command(epilog="Example: pystream run totals.py --live --until latest")
def run(
    program: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="A Python file.")
    ],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(help="The program's own; after -- where they begin with -."),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Show on standard error what each operator does.")
    ] = False,
    until: Annotated[
        Until | None,
        typer.Option(help="Stop at the ends that topics have now; where the program says nothing."),
    ] = None,
    prometheus: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            metavar="PORT",
            help="Serve metrics at http://127.0.0.1:PORT/metrics; 0 finds a free port.",
        ),
    ] = None,
) -> None:
    """Run a program as Python does, and watch the jobs that it starts.

    A program that executes none has its Environment named env executed. Exit status: 0 all jobs
    finished, 1 one failed, 2 there is no job, 130 Ctrl-C, 143 terminated; what the program passes
    to sys.exit() otherwise.
    """
    from pystream.cli.live import LiveView  # noqa: PLC0415  --help stays fast
    from pystream.cli.run import run_program  # noqa: PLC0415
    from pystream.cli.watching import watch_with  # noqa: PLC0415

    console = Console(stderr=True, emoji=False)
    try:
        with watch_with(LiveView(console) if live else None, prometheus, console) as watch:
            status = run_program(
                program,
                arguments or [],
                until=None if until is None else until.value,
                watch=watch,
                console=console,
            )
    except (ImportError, OSError, StreamError) as error:
        raise fail(error) from None
    except SystemExit as left:  # the program's own, also within its handler of a closed pipe
        raise SystemExit(left.code) from None
    raise typer.Exit(status)


class Form(StrEnum):
    """How dump writes."""

    TEXT = "text"
    JSON = "json"
    ARROW = "arrow"


@app.command(epilog="Example: pystream dump data/payments/0 --offsets 0:10 --format json")
def dump(
    place: Annotated[Path, typer.Argument(help="A segment file, a partition or a topic.")],
    form: Annotated[Form, typer.Option("--format", help="How to write it.")] = Form.TEXT,
    offsets: Annotated[
        str | None, typer.Option(help='Only these, as "begin:end"; the end is left out.')
    ] = None,
    headers: Annotated[
        bool, typer.Option("--headers", help="Also heads and tables of segments and batches.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A file; default: standard output.")
    ] = None,
) -> None:
    """Show what segment files hold: their records, and with --headers how they are stored.

    Works on a single file, on directories of a log that is in use, and on what verify --repair set
    aside. Damage is shown in its place; the exit status is 1 then. Bytes are base64 in JSON.
    """
    from pystream.cli.dump import Range, segment_paths  # noqa: PLC0415  --help stays fast
    from pystream.cli.dump import dump as write  # noqa: PLC0415

    with ending(), contextlib.ExitStack() as stack:
        wanted = Range.parse(offsets)
        paths = segment_paths(place)
        require_outside(output)
        out = sys.stdout.buffer if output is None else stack.enter_context(output.open("wb"))
        is_whole = write(paths, out, form=form.value, offsets=wanted, with_headers=headers)
    raise typer.Exit(0 if is_whole else 1)
