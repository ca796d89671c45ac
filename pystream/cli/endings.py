"""How a command ends: its exit statuses, its errors, and the signals that ask it to stop."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType

import typer
from rich.console import Console
from rich.markup import escape

from pystream.errors import StreamError

__all__ = [
    "FAILED",
    "INTERRUPTED",
    "PIPE_CLOSED",
    "TERMINATED",
    "Stop",
    "Stopped",
    "ending",
    "fail",
    "run_to_end",
]

FAILED = 1
INTERRUPTED = 130  # as shells call a program that SIGINT ended
TERMINATED = 143  # SIGTERM
_PATIENCE_SECONDS = 1  # for a place where the output may end
PIPE_CLOSED = 141  # SIGPIPE: whoever read the output has gone


def fail(error: Exception, status: int = FAILED) -> typer.Exit:
    """Print an error for people, behind what was written; raise what this returns."""
    try:
        sys.stdout.flush()
    except OSError:  # else the interpreter would try again, and say so
        _leave_standard_output()
    text = str(error)
    if isinstance(error, OSError) and isinstance(error.filename, str | bytes):
        text = f"{os.fsdecode(error.filename)}: {error.strerror}."
    console = Console(stderr=True, emoji=False)
    console.print(f"[red]pystream: {escape(text)}[/red]", soft_wrap=True)
    return typer.Exit(status)


class Stopped(BaseException):
    """SIGINT or SIGTERM, at a place where a command may be stopped.

    Attributes
    ----------
    status : int
        To exit with.
    is_between : bool
        Whether it came where output may end: not within a write.
    """

    def __init__(self, number: int, *, is_between: bool) -> None:
        super().__init__(number)
        self.status = 128 + number
        self.is_between = is_between


class Stop:
    """Whether a signal asked the command to stop: output is cut between records, never inside one.

    Notes
    -----
    A signal raises during :meth:`waiting` and at :meth:`check`. A second one, or a second that
    passes without either, raises wherever the program is: in a write that nobody reads, say.
    """

    def __init__(self) -> None:
        self._number: int | None = None
        self._is_waiting = False

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Take the signals during the block."""
        taken = [(n, signal.signal(n, self._note)) for n in (signal.SIGINT, signal.SIGTERM)]
        taken.append((signal.SIGALRM, signal.signal(signal.SIGALRM, self._note)))
        try:
            yield
        finally:
            signal.alarm(0)
            for number, before in taken:
                signal.signal(number, before)

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Let a signal raise Stopped during the block, also one that came before it."""
        self._is_waiting = True
        try:
            self.check()
            yield
        finally:
            self._is_waiting = False

    def check(self) -> None:
        """Raise Stopped when a signal has come."""
        if self._number is not None:
            signal.alarm(0)
            raise Stopped(self._number, is_between=True)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        first, self._number = self._number, self._number or number
        if self._is_waiting or first is not None:
            signal.alarm(0)
            raise Stopped(self._number, is_between=self._is_waiting)
        signal.alarm(_PATIENCE_SECONDS)


@contextlib.contextmanager
def ending(failed: int = FAILED) -> Iterator[Stop]:
    """Give the block its `Stop`, and turn what ends it into an exit status: `failed` for errors."""
    stop = Stop()
    try:
        with stop.watch():
            yield stop
            sys.stdout.flush()  # else the interpreter would, with a status of its own
    except Stopped as stopped:
        raise typer.Exit(stopped.status) from None
    except BrokenPipeError:
        _leave_standard_output()
        raise typer.Exit(PIPE_CLOSED) from None
    except (StreamError, ImportError, OSError) as error:
        raise fail(error, failed) from None


def run_to_end(app: Callable[[], object]) -> None:
    """Call the command line, and give its libraries the exit statuses that `ending` has."""
    try:
        app()
    except SystemExit as left:
        if left.code != FAILED or not isinstance(left.__context__, BrokenPipeError):
            raise
        # Rich and typer leave with 1 when whoever reads what they print has gone.
        _leave_standard_output()
        sys.exit(PIPE_CLOSED)
    except OSError as error:  # of --help, say
        sys.exit(fail(error).exit_code)


def _leave_standard_output() -> None:
    """Let nobody try to write what is still buffered for a pipe that is closed."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.__stdout__.fileno() if sys.__stdout__ is not None else 1)
    os.close(nowhere)
