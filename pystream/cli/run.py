"""``pystream run``: a program's jobs, run from outside, watched, with an exit status."""

from __future__ import annotations

import contextlib
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType, ModuleType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from pystream.errors import OperatorError, StreamError
from pystream.pipeline.environment import Environment
from pystream.pipeline.run_context import RunContext, run_context

if TYPE_CHECKING:
    from pystream.engines.local import Job

__all__ = ["FAILED", "INTERRUPTED", "NO_JOB", "TERMINATED", "run_program"]

FAILED = 1
NO_JOB = 2  # as for wrong use of the command
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM

_END_WAIT = "10s"  # for jobs that the program left running

Watch = Callable[["Job"], AbstractContextManager[None]]


class _Terminated(BaseException):
    """SIGTERM, as an exception that lets files and terminal be put in order."""


def run_program(
    program: Path, arguments: list[str], *, until: str | None, watch: Watch, console: Console
) -> int:
    """Run a program as ``python program arguments`` does, and the jobs that it starts.

    A program that executes none but leaves an Environment named ``env`` has it executed.

    Parameters
    ----------
    program : Path
    arguments : list of str
        The program's own.
    until : {"latest"}, optional
        For jobs whose program does not say.
    watch : callable
        Called with each job; entered while it runs.
    console : Console
        For errors.

    Returns
    -------
    int
        The exit status; a program's own ``sys.exit`` passes through.
    """
    context = RunContext(until, watch)

    def start() -> int:
        return _run_jobs(program, module, context, console)

    def end(status: int) -> int:
        return _guarded(lambda: _end_jobs(program, context, console, status), program, console)

    with _termination_raises(), run_context(context), _as_main(program, arguments) as module:
        try:
            status = _guarded(start, program, console)
        except SystemExit as leaving:
            # A program that leaves well says nothing of the jobs beside it.
            if (ended := end(1 if leaving.code else 0)) and not leaving.code:
                return ended
            raise
        ended = end(status)
        return status or ended


def _guarded(body: Callable[[], int], program: Path, console: Console) -> int:
    """Return the status that `body` does, or that of the exception that ended it."""
    try:
        return body()
    except KeyboardInterrupt:
        console.print("pystream: interrupted; what the sinks appended stays.", soft_wrap=True)
        return INTERRUPTED
    except _Terminated:
        console.print("pystream: terminated; what the sinks appended stays.", soft_wrap=True)
        return TERMINATED
    except Exception as error:
        _print_error(program, error, console)
        return FAILED


def _run_jobs(program: Path, module: ModuleType, context: RunContext, console: Console) -> int:
    _execute(program, module)
    env = vars(module).get("env")
    if not context.has_executed and isinstance(env, Environment) and env._has_sink:
        env.execute()
    if context.jobs > 0:
        return 0
    console.print(
        f"[red]pystream: {escape(str(program))} started no job and has no Environment named "
        "env with a sink. End a stream with sink_to_topic(), and name the environment env, or call "
        "its execute().[/red]",
        soft_wrap=True,
    )
    return NO_JOB


def _end_jobs(program: Path, context: RunContext, console: Console, status: int) -> int:
    """Cancel the jobs that were left running, and tell of errors that the program did not see."""
    has_failed = False
    for job in context.aside:
        was_running = job.is_running
        if not was_running and not job.has_unseen_error:
            continue
        job.cancel()
        try:
            result = job.result(_END_WAIT)
        except Exception as error:
            _print_error(program, error, console)
            has_failed = True
        else:
            if status == 0 and result.is_cancelled:
                console.print(
                    f"pystream: job {escape(repr(job.name))} was left running by the program, and "
                    "cancelled at its end. Wait for it there: call result().",
                    soft_wrap=True,
                )
    return FAILED if has_failed else 0


def _execute(program: Path, module: ModuleType) -> None:
    code = compile(program.read_bytes(), str(program), "exec", dont_inherit=True)
    exec(code, vars(module))


@contextlib.contextmanager
def _as_main(program: Path, arguments: list[str]) -> Iterator[ModuleType]:
    """Be the program's interpreter: its name, arguments and import path."""
    module = ModuleType("__main__")
    module.__file__ = str(program)
    before = sys.modules["__main__"], sys.argv, sys.path[:]
    sys.modules["__main__"] = module
    sys.argv = [str(program), *arguments]
    sys.path.insert(0, str(program.resolve().parent))
    try:
        yield module
    finally:
        sys.modules["__main__"], sys.argv, sys.path[:] = before


@contextlib.contextmanager
def _termination_raises() -> Iterator[None]:
    def terminate(_signal: int, _frame: FrameType | None) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _print_error(program: Path, error: Exception, console: Console) -> None:
    """Print what happened and where in the program; of pystream's own frames nothing."""
    if isinstance(error, StreamError):
        cause = error.__cause__ if isinstance(error, OperatorError) else None
        if isinstance(cause, Exception):
            _print_frames(program, cause, console)
        console.print(f"[red]pystream: {escape(str(error))}[/red]", soft_wrap=True)
    else:
        _print_frames(program, error, console)


def _print_frames(program: Path, error: Exception, console: Console) -> None:
    shown = traceback.TracebackException.from_exception(error)
    inside = [place for place, frame in enumerate(shown.stack) if frame.filename == str(program)]
    lines = shown.format()
    if inside:
        del shown.stack[: inside[0]]
    elif shown.stack and shown.stack[-1].filename == __file__:
        lines = shown.format_exception_only()  # it did not compile: no line of it has run
    console.print("".join(lines).rstrip(), highlight=False, markup=False, soft_wrap=True)
