"""Runs a compiled job: the loop around the native executor, its progress and its result."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pystream._native import Executor, RecordBatch
from pystream.engines.local.compiler import CompiledJob
from pystream.errors import OperatorError, StreamError

__all__ = ["JobResult", "OperatorStatus", "Progress", "run_job"]

_BUDGET_US = 100_000  # how long the core works before Python looks for Ctrl-C


@dataclass(frozen=True)
class OperatorStatus:
    """Counters of one operator.

    Attributes
    ----------
    name, kind : str
    records_in, records_out, late_records, skipped_records : int
        Rows; late rows entered no window, skipped ones are damaged.
    watermark : int or None
        In ticks of the event-time column; None before the first and after the last.
    state_bytes : int
        Held by keys and accumulators.
    """

    name: str
    kind: str
    records_in: int
    records_out: int
    late_records: int
    skipped_records: int
    watermark: int | None
    state_bytes: int


@dataclass(frozen=True)
class Progress:
    """How far a running job is.

    Attributes
    ----------
    records_in : int
        Rows that the sources read so far.
    late_records : int
        Rows that entered no window so far.
    seconds : float
        Since the job started.
    """

    records_in: int
    late_records: int
    seconds: float


@dataclass(frozen=True)
class JobResult:
    """What a job did.

    Attributes
    ----------
    records_in : int
        Rows that the sources read.
    late_records : int
        Rows that entered no window.
    seconds : float
        From start to end.
    operators : list of OperatorStatus
        In plan order.
    """

    records_in: int
    late_records: int
    seconds: float
    operators: list[OperatorStatus] = field(repr=False)


def run_job(
    job: CompiledJob,
    parallelism: int,
    on_progress: Callable[[Progress], None] | None = None,
) -> tuple[JobResult, list[RecordBatch]]:
    """Run a job to its end and return its result and what its collect holds.

    An exception in a Python stage or Ctrl-C stops the job; what the sinks appended stays.
    """
    started = time.monotonic()
    executor = Executor(job.graph, threads=parallelism)
    collected: list[RecordBatch] = []
    while True:
        status = executor.run(_BUDGET_US)
        for stage in executor.pending():
            _run_stage(executor, stage, job)
        if job.collect is not None:
            collected += executor.take_collected(job.collect)
        if on_progress is not None:
            on_progress(_progress(executor, started))
        if status in ("finished", "stopped"):
            return _result(executor, started), collected


def _run_stage(executor: Executor, stage: int, job: CompiledJob) -> None:
    python = job.stages[stage]
    while (batch := executor.take(stage)) is not None:
        try:
            outputs = python.call(batch)
        except StreamError:
            raise
        except Exception as error:
            raise OperatorError(
                f"operator {python.name!r} failed on a batch of {batch.num_rows} rows: "
                f"{type(error).__name__}: {error}. Mend the function; its exception is the cause.",
                operator=python.name,
            ) from error
        executor.give(stage, outputs)


def _operators(executor: Executor) -> list[OperatorStatus]:
    return [
        OperatorStatus(
            name=m.name,
            kind=m.kind,
            records_in=m.records_in,
            records_out=m.records_out,
            late_records=m.late_records,
            skipped_records=m.skipped_records,
            watermark=m.watermark,
            state_bytes=m.state_bytes,
        )
        for m in executor.metrics()
    ]


def _totals(operators: list[OperatorStatus]) -> tuple[int, int]:
    read = sum(o.records_out for o in operators if o.kind.endswith("source"))
    return read, sum(o.late_records for o in operators)


def _progress(executor: Executor, started: float) -> Progress:
    read, late = _totals(_operators(executor))
    return Progress(read, late, time.monotonic() - started)


def _result(executor: Executor, started: float) -> JobResult:
    operators = _operators(executor)
    read, late = _totals(operators)
    return JobResult(read, late, time.monotonic() - started, operators)
