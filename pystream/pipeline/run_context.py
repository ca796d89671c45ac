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
    from pystream._native import RecordBatch
    from pystream.engines.local import Job, JobResult, Progress

__all__ = ["RunContext", "current_run_context", "run_context", "run_job", "start_job"]


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
    has_executed : bool
        Whether the program executed an environment; ``to_arrow`` and its like are jobs, but run
        no sinks.
    aside : list of Job
        Those of them that run beside the program.
    """

    until: str | None
    watch: Callable[[Job], AbstractContextManager[None]]
    jobs: int = field(default=0, init=False)
    has_executed: bool = field(default=False, init=False)
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


def run_job(
    job: Job, on_progress: Callable[[Progress], None] | None = None
) -> tuple[JobResult, list[RecordBatch]]:
    """Run a job to its end, watched when this thread is in a context."""
    context = current_run_context()
    if context is None:
        return job.run(on_progress)
    context.jobs += 1
    with context.watch(job):
        return job.run(on_progress)


def start_job(job: Job) -> None:
    """Start a job beside the program, watched when this thread is in a context."""
    context = current_run_context()
    if context is None:
        job.start()
        return
    context.jobs += 1
    context.aside.append(job)
    job.start(context.watch(job))
