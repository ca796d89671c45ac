"""Jobs that end after each round, and go on in a new executor out of a snapshot.

Nobody may notice: tests run their jobs this way as well. Inputs have to begin anew with each
executor, which tables and topics do, and Arrow streams do not.
"""

from __future__ import annotations

import threading
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from pystream._native import Executor, JobSnapshot, RecordBatch
from pystream.engines.local import job as job_module

COUNTERS = (
    "records_in",
    "records_out",
    "batches_in",
    "late_records",
    "accepted_late_records",
    "alignment_pauses",
    "busy_ns",
    "has_dropped",
)
LEVELS = (
    "name",
    "kind",
    "skipped_records",
    "ahead_records",
    "alignment_drift_ns",
    "watermark",
    "tick_ns",
    "pending_records",
    "threads",
    "state_bytes",
)
WAIT_US = 5_000  # for input, before the job looks around


class RestartedExecutor:
    """An Executor, for a Job, that is another one after each round.

    Parameters
    ----------
    graph : Graph
    parts : int
        Into how many snapshots each is split by key group.
    **settings
        Of the executors.
    """

    def __init__(self, graph: Any, *, parts: int = 1, **settings: Any) -> None:
        self.restarts = 0
        self._make = partial(Executor, graph, **settings)
        self._parts = parts
        self._now = self._make()
        self._lock = threading.Lock()  # of what other threads may look at
        self._is_stopped = False
        self._kept: dict[int, list[RecordBatch]] = {}  # by collect
        self._before = [dict.fromkeys(COUNTERS, 0) for _ in self._now.metrics()]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._now, name)

    def run(self, budget_us: int) -> str:
        """Work for one round, in a new executor."""
        if not self._is_stopped and (snapshot := self._snapshot()) is not None:
            self._restart(snapshot)
        status = self._now.run(0)
        if status == "idle" and budget_us > 0:
            status = self._now.run(min(budget_us, WAIT_US))
        return status

    def _snapshot(self) -> JobSnapshot | None:
        snapshot = self._now.snapshot()
        if snapshot is None:
            for node, kept in self._kept.items():
                kept.extend(self._now.take_collected(node))
            snapshot = self._now.snapshot()
        return snapshot  # none: a stage waits

    def _restart(self, snapshot: JobSnapshot) -> None:
        following = self._make(restored=snapshot.split(self._parts))
        with self._lock:
            for counts, metrics in zip(self._before, self._now.metrics(), strict=True):
                for name in COUNTERS:
                    counts[name] += getattr(metrics, name)
            self._now = following
            if self._is_stopped:
                self._now.request_stop()
        self.restarts += 1

    def take_collected(self, node: int) -> list[RecordBatch]:
        """Return what the collect of all executors so far holds."""
        kept, self._kept[node] = self._kept.get(node, []), []
        return kept + self._now.take_collected(node)

    def request_stop(self) -> None:
        """Stop this one and those that follow."""
        with self._lock:
            self._is_stopped = True
            self._now.request_stop()

    def metrics(self) -> list[Any]:
        """Return the counters of all executors together."""
        with self._lock:
            return [
                SimpleNamespace(
                    **{name: getattr(reading, name) for name in LEVELS},
                    **{name: counts[name] + getattr(reading, name) for name in COUNTERS},
                )
                for reading, counts in zip(self._now.metrics(), self._before, strict=True)
            ]


def restart_jobs(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> list[RestartedExecutor]:
    """Have jobs go on in new executors after each round; return one for each job.

    A round is as small as a batch, unless the settings say otherwise.
    """
    made: list[RestartedExecutor] = []

    def make(graph: Any, **own: Any) -> RestartedExecutor:
        made.append(RestartedExecutor(graph, **{"round_rows": 1, **settings}, **own))
        return made[-1]

    monkeypatch.setattr(job_module, "Executor", make)
    return made
