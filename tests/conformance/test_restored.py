"""Every committed case with operators that are replaced out of their own snapshots between rounds.

What an operator keeps is written to a snapshot, split by key group, put together again and given to
the operator in place of what it had. Nobody may notice.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pystream.engines.local import job as job_module
from pystream.testing import Case, check_case
from tests.conformance.committed import COMMITTED

IN_MEMORY = [c for c in COMMITTED if c.spec.partitions == 1 and c.spec.end_of_input]
TOPICS = [c for c in COMMITTED if c.spec.partitions > 1 and c.spec.end_of_input]
STOPPED = [c for c in COMMITTED if not c.spec.end_of_input]
EXECUTOR = job_module.Executor


def restored(monkeypatch: pytest.MonkeyPatch, parts: int) -> list[int]:
    """Have jobs restore their operators from so many parts; return the threads of each job."""
    made: list[int] = []

    def make(graph: Any, *, threads: int, **settings: Any) -> Any:
        made.append(threads)
        return EXECUTOR(graph, threads=threads, restored_parts=parts, round_rows=2, **settings)

    monkeypatch.setattr(job_module, "Executor", make)
    return made


@pytest.mark.parametrize("case", IN_MEMORY, ids=lambda case: case.name)
def test_case_in_memory(monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    rows = list(range(1, len(case.rows)))
    for parts, threads in ((1, 1), (3, 2)):
        made = restored(monkeypatch, parts)
        check_case(case, cuts=rows, threads=threads)
        assert made


@pytest.mark.parametrize("case", TOPICS, ids=lambda case: case.name)
def test_case_of_several_partitions(monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    made = restored(monkeypatch, 2)
    check_case(case, cuts=list(range(1, len(case.rows), 2)), threads=2)
    assert made


def test_cases_whose_jobs_are_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """They go side by side, for each waits in vain for more input before it is stopped."""
    made = restored(monkeypatch, 2)
    with ThreadPoolExecutor(16) as pool:
        runs = [
            pool.submit(check_case, case, cuts=list(range(1, len(case.rows), 2)), threads=2)
            for case in STOPPED
        ]
    for run in runs:
        run.result()
    assert len(made) >= len(STOPPED)
