"""What `pystream run` asks of the jobs that a program starts, without the program's knowledge.

As Flink's command line replaces the environment that ``getExecutionEnvironment`` returns, so that
one program runs alone, from the command line and on a cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pystream.engines.local import Job

__all__ = ["RunContext", "current_run_context", "run_context"]


@dataclass
class RunContext:
    """Wishes for the jobs that are started in a block, and what became of them.

    Attributes
    ----------
    until : str or None
        As in ``Environment.execute``; what the program says itself goes first.
    watch : callable
        Called with each job; what it returns is entered while the job runs.
    jobs : int
        That were started.
    aside : list of Job
        Those of them that run beside the program.
    """

    until: str | None
    watch: Callable[[Job], AbstractContextManager[None]]
    jobs: int = field(default=0, init=False)
    aside: list[Job] = field(default_factory=list, init=False)


# Of the thread that runs the program; a thread that the program starts has none.
_CONTEXT: ContextVar[RunContext | None] = ContextVar("pystream_run_context", default=None)


def current_run_context() -> RunContext | None:
    """Return the context that this thread is in, or None."""
    return _CONTEXT.get()


@contextmanager
def run_context(context: RunContext) -> Iterator[RunContext]:
    """Apply `context` to all jobs that are started in the block."""
    token = _CONTEXT.set(context)
    try:
        yield context
    finally:
        _CONTEXT.reset(token)
