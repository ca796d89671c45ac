"""How a command ends: its exit statuses, its errors, and the signals that ask it to stop."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
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
]

FAILED = 1
INTERRUPTED = 130  # as shells call a program that SIGINT ended
TERMINATED = 143  # SIGTERM
PIPE_CLOSED = 141  # SIGPIPE: whoever read the output has gone


def fail(error: Exception, status: int = FAILED) -> typer.Exit:
    """Print an error for people; raise what this returns."""
    Console(stderr=True).print(f"[red]pystream: {escape(str(error))}[/red]", soft_wrap=True)
    return typer.Exit(status)


class Stopped(BaseException):
    """SIGINT or SIGTERM, at a place where a command may be stopped.

    Attributes
    ----------
    status : int
        To exit with.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number


class Stop:
    """Whether a signal asked the command to stop: output is cut between records, never inside one.

    Notes
    -----
    The first signal raises only during :meth:`waiting`, or at :meth:`check`; the second, wherever
    the program is.
    """

    def __init__(self) -> None:
        self._number: int | None = None
        self._is_waiting = False

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Take the signals during the block."""
        taken = [(n, signal.signal(n, self._note)) for n in (signal.SIGINT, signal.SIGTERM)]
        try:
            yield
        finally:
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
            raise Stopped(self._number)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        is_second = self._number is not None
        self._number = number
        if self._is_waiting or is_second:
            raise Stopped(number)


@contextlib.contextmanager
def ending() -> Iterator[Stop]:
    """Give the block its `Stop`, and turn what ends it into an exit status."""
    stop = Stop()
    try:
        with stop.watch():
            yield stop
    except Stopped as stopped:
        raise typer.Exit(stopped.status) from None
    except BrokenPipeError:
        leave_standard_output()
        raise typer.Exit(PIPE_CLOSED) from None
    except (StreamError, ImportError) as error:
        raise fail(error) from None
    except OSError as error:
        raise fail(error) from None


def leave_standard_output() -> None:
    """Let nobody try to write what is still buffered for a pipe that is closed."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.__stdout__.fileno() if sys.__stdout__ is not None else 1)
    os.close(nowhere)
