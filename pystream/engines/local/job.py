"""Runs a compiled job: the loop around the native executor, its progress and its result."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import traceback
import warnings
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pystream import config
from pystream._native import Executor, RecordBatch
from pystream.config import parse_duration_ns
from pystream.engines.local.clock import ManualClock
from pystream.engines.local.compiler import CompiledJob, PythonStage
from pystream.engines.local.file_outputs import FileOutputs
from pystream.engines.local.metrics import JobMetrics, OperatorMetrics, read_operator
from pystream.errors import OperatorError, RequestTimeoutError, StreamError

if TYPE_CHECKING:
    from datetime import timedelta

__all__ = ["Job", "JobResult", "Progress"]

Result = TypeVar("Result")

_BUDGET_US = 100_000  # how long the core works before Python looks for Ctrl-C
_PACKAGE = str(Path(__file__).parents[2]) + os.sep
_END_SECONDS = 10.0  # how long the end of the program waits for a job that was left running


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
    operators : list of OperatorMetrics
        In plan order.
    is_cancelled : bool
        Whether it was cancelled before its end: what the sinks appended by then stays, windows
        that were open are unfired, and there are no files.
    """

    records_in: int
    late_records: int
    seconds: float
    operators: list[OperatorMetrics] = field(repr=False)
    is_cancelled: bool = False


class Job:
    """A job, while it runs and afterwards; made by ``Environment.execute_async``.

    Attributes
    ----------
    name : str
        Of the environment.

    Notes
    -----
    Every method may be called by any thread. As a context manager it is cancelled and waited for
    at the end of the block. A job that still runs when the program ends is cancelled.

    A job that failed and was not asked for its :meth:`result` is logged as an error of the logger
    ``pystream`` when it is forgotten, or when the program ends; as of asyncio's tasks.

    Examples
    --------
    >>> log = ps.open("job-data")
    >>> _ = log.create_topic("numbers", schema={"n": "int64"})
    >>> env = ps.Environment(log, name="copy")
    >>> env.from_topic("numbers").sink_to_topic("copies")
    >>> with env.execute_async(until="latest") as job:
    ...     result = job.result()
    ...     [operator.name for operator in job.metrics().operators]
    ['from_topic-1', 'sink_to_topic-2']
    >>> result.records_in
    0
    >>> log.close()
    """

    def __init__(
        self,
        job: CompiledJob,
        name: str,
        parallelism: int,
        clock: Callable[[], int] = time.time_ns,
        *,
        processing_clock: ManualClock | None = None,
    ) -> None:
        self.name = name
        self._job = job
        self._clock = clock
        self._started = time.monotonic()
        self._seconds: float | None = None  # once it has ended
        native_clock = None if processing_clock is None else processing_clock._native
        self._executor = Executor(job.graph, threads=parallelism, clock=native_clock)
        self._must_stop = threading.Event()  # what the core was asked, for the stages in Python
        self._has_ended = threading.Event()
        self._result: JobResult | None = None
        self._error: BaseException | None = None
        self._unseen = _Unseen()
        weakref.finalize(self, _log_unseen, name, self._unseen)

    def __repr__(self) -> str:
        return f"<Job {self.name!r}, {self._state()}>"

    def __enter__(self) -> Job:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()
        self._has_ended.wait()

    def _state(self) -> str:
        if self.is_running:
            return "running"
        if self._result is None:
            return "failed"
        return "cancelled" if self._result.is_cancelled else "finished"

    @property
    def is_running(self) -> bool:
        """Whether it has neither finished nor failed nor been cancelled."""
        return not self._has_ended.is_set()

    @property
    def has_unseen_error(self) -> bool:
        """Whether it failed, and nobody has asked for its :meth:`result` since."""
        return self._unseen.report is not None

    def metrics(self) -> JobMetrics:
        """Return one reading of the counters of every operator.

        Returns
        -------
        JobMetrics
        """
        seconds = time.monotonic() - self._started if self._seconds is None else self._seconds
        now_ns = self._clock()
        return JobMetrics(
            self.name, seconds, [read_operator(m, now_ns) for m in self._executor.metrics()]
        )

    def cancel(self) -> None:
        """End the job, also within a batch; windows that are open stay unfired.

        Files that it was writing do not appear. A Python function that is at work is waited for,
        for one call of it.
        """
        _stop(self._executor, self._must_stop)

    def result(self, timeout: str | timedelta | None = None) -> JobResult:
        """Wait for the end of the job.

        Parameters
        ----------
        timeout : str or timedelta, optional
            How long to wait at most. Default: as long as it takes.

        Returns
        -------
        JobResult
            Of a job that was cancelled, what it did until then; its ``is_cancelled`` says so.

        Raises
        ------
        OperatorError
            If a step failed, and any other error that ended the job.
        RequestTimeoutError
            If it still runs then; it goes on.
        """
        seconds = None if timeout is None else parse_duration_ns(timeout, name="timeout") / 1e9
        if not self._has_ended.wait(seconds):
            raise RequestTimeoutError(
                f"job {self.name!r} still runs after {timeout}. Wait longer, or cancel() it."
            )
        if self._error is not None:
            self._unseen.report = None
            raise self._error
        assert self._result is not None
        return self._result

    def start(self, watching: AbstractContextManager[None] | None = None) -> None:
        """Run in a thread of its own, which ends at the latest with the program.

        Parameters
        ----------
        watching : context manager, optional
            Entered now, and left by that thread when the job ends.
        """
        block = ExitStack()
        if watching is not None:
            block.enter_context(watching)
        thread = threading.Thread(
            target=self._run_aside, args=(block,), name=f"job {self.name}", daemon=True
        )
        # A daemon, so that a job without end does not keep the program: it is asked to end, and
        # waited for, before the interpreter goes away under it.
        weakref.finalize(thread, _end, self._executor, self._must_stop, self._has_ended)
        thread.start()

    def run(
        self, on_progress: Callable[[Progress], None] | None = None
    ) -> tuple[JobResult, list[RecordBatch]]:
        """Run in this thread; return the result and what the collect holds.

        An exception in a Python stage or Ctrl-C stops the job; what the sinks appended stays.
        """
        try:
            return self._complete(on_progress)
        finally:
            self._has_ended.set()

    def _complete(
        self, on_progress: Callable[[Progress], None] | None = None
    ) -> tuple[JobResult, list[RecordBatch]]:
        try:
            status, collected = self._drive(on_progress)
            self._seconds = time.monotonic() - self._started
            metrics = self.metrics()
            self._result = JobResult(
                metrics.records_in,
                metrics.late_records,
                metrics.seconds,
                metrics.operators,
                is_cancelled=status == "stopped",
            )
            return self._result, collected
        except BaseException as error:
            self._seconds = time.monotonic() - self._started
            self._error = error
            raise

    def _run_aside(self, block: ExitStack) -> None:
        try:
            with block:
                self._complete()
        except BaseException as error:  # result() raises it
            self._error = error
            self._unseen.report = "".join(traceback.format_exception(error)).rstrip()
        finally:
            self._has_ended.set()

    def _drive(
        self, on_progress: Callable[[Progress], None] | None
    ) -> tuple[str, list[RecordBatch]]:
        job, executor = self._job, self._executor
        tell = None if on_progress is None else _Teller(self, on_progress)
        collected: list[RecordBatch] = []
        has_warned = False
        settle_at = 0.0
        with FileOutputs(job.writers) as outputs:
            while True:
                status = self._run_core(lambda: executor.run(_BUDGET_US))
                if time.monotonic() >= settle_at:
                    settle_at = time.monotonic() + config.TRANSACTION_LOOK_SECONDS
                    for settle in job.settlers:
                        settle()
                for stage in executor.pending():
                    self._run_stage(stage, tell)
                if job.collect is not None:
                    collected += executor.take_collected(job.collect)
                outputs.write(executor)
                if not has_warned:
                    has_warned = _warn_of_ahead(executor)
                if tell is not None:
                    tell.now()
                if status == "finished":
                    outputs.commit()
                    _warn_of_dropped(executor)
                if status in ("finished", "stopped"):
                    return status, collected

    def step(self) -> list[RecordBatch]:
        """Work off what is there now, in this thread, and return what the collect holds.

        For tests, which call this over and over instead of :meth:`run`: it waits for nothing.
        """
        collected: list[RecordBatch] = []
        while True:
            status = self._run_core(lambda: self._executor.run(0))
            for stage in self._executor.pending():
                self._run_stage(stage, None)
            if self._job.collect is not None:
                collected += self._executor.take_collected(self._job.collect)
            if status in ("idle", "finished", "stopped"):
                return collected

    def _run_core(self, work: Callable[[], Result]) -> Result:
        """Let the core work; what was raised in Python comes out."""
        try:
            return work()
        except StreamError as failure:
            for reader in self._job.readers:
                if reader.error is not None:
                    raise reader.error from None
            for calls in self._job.calls:
                calls.end(failure)
            raise

    def _run_stage(self, stage: int, tell: _Teller | None) -> None:
        """Answer what waits for a Python stage; once the job is to stop, no further batch.

        The core gets none of the answers before all are there: the order in which stages meet
        must not depend on how long they take.
        """
        executor = self._executor
        if stage in self._job.triggers:
            while not self._must_stop.is_set():
                if not self._run_core(lambda: executor.run_trigger(stage)):
                    return
                if tell is not None:
                    tell.when_due()
            return
        python = self._job.stages[stage]
        while not self._must_stop.is_set() and (batch := executor.take(stage)) is not None:
            executor.give(stage, _call(python, batch))
            if tell is not None:
                tell.when_due()


class _Teller:
    """Calls on_progress, and knows when it did so last."""

    def __init__(self, job: Job, on_progress: Callable[[Progress], None]) -> None:
        self._job = job
        self._on_progress = on_progress
        self._told = time.monotonic()

    def now(self) -> None:
        metrics = self._job.metrics()
        self._told = time.monotonic()
        self._on_progress(Progress(metrics.records_in, metrics.late_records, metrics.seconds))

    def when_due(self) -> None:
        if time.monotonic() - self._told >= _BUDGET_US / 1e6:
            self.now()


def _call(python: PythonStage, batch: RecordBatch) -> list[RecordBatch]:
    try:
        return python.call(batch)
    except StreamError:
        raise
    except Exception as error:
        raise OperatorError(
            f"operator {python.name!r} failed on a batch of {batch.num_rows} rows: "
            f"{type(error).__name__}: {error}. Mend the function; its exception is the cause.",
            operator=python.name,
        ) from error


def _warn_of_ahead(executor: Executor) -> bool:
    """Warn, once a job, when records did not move the watermark."""
    for source in executor.metrics():
        if source.ahead_records > 0:
            _warn(
                f"{source.name}: {source.ahead_records} records so far have an event time too far "
                "ahead, and did not move the watermark. Correct their producer, or allow it: "
                "watermark.with_max_ahead(limit)."
            )
            return True
    return False


def _warn_of_dropped(executor: Executor) -> None:
    """Warn when the input ended before the clock had closed all windows."""
    for window in executor.metrics():
        if window.has_dropped:
            _warn(
                f"{window.name}: the input ended while windows of processing time were open, which "
                'are not shown then. Pass mode="perfect" to execute(), which shows all windows at '
                "the end of the input, or window by event time."
            )


def _warn(message: str) -> None:
    """Warn at the line of the program that asked for the job."""
    level, frame = 1, sys._getframe()
    while frame is not None and _is_ours(frame.f_code.co_filename):
        frame, level = frame.f_back, level + 1  # type: ignore[assignment]
    warnings.warn(message, RuntimeWarning, stacklevel=level)


def _is_ours(file: str) -> bool:
    return file.startswith(_PACKAGE)


@dataclass
class _Unseen:
    """A failure that nobody was told; text, as the exception's frames would hold the job."""

    report: str | None = None


def _log_unseen(name: str, unseen: _Unseen) -> None:
    if unseen.report is not None:
        logging.getLogger("pystream").error(
            "job %r failed, and its result() was never asked for:\n%s", name, unseen.report
        )


def _stop(executor: Executor, must_stop: threading.Event) -> None:
    executor.request_stop()  # first: who sees the event finds the core asked
    must_stop.set()


def _end(executor: Executor, must_stop: threading.Event, has_ended: threading.Event) -> None:
    _stop(executor, must_stop)
    has_ended.wait(_END_SECONDS)
