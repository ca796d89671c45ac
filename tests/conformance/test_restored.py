"""Every committed case in jobs that go on in a new executor after each round.

What the job and its operators keep is written to a snapshot, which is split by key group, and put
together again in an executor that has read nothing. Nobody may notice.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from pystream.testing import Case, check_case
from tests.conformance.committed import COMMITTED
from tests.pipeline.restarts import restart_jobs

IN_MEMORY = [c for c in COMMITTED if c.spec.partitions == 1 and c.spec.end_of_input]
TOPICS = [c for c in COMMITTED if c.spec.partitions > 1 and c.spec.end_of_input]
STOPPED = [c for c in COMMITTED if not c.spec.end_of_input]


@pytest.mark.parametrize("case", IN_MEMORY, ids=lambda case: case.name)
def test_case_in_memory(monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    rows = list(range(1, len(case.rows)))
    for parts, threads in ((1, 1), (3, 2)):
        made = restart_jobs(monkeypatch, parts=parts, round_rows=2)
        check_case(case, cuts=rows, threads=threads)
        assert sum(executor.restarts for executor in made) > 0


@pytest.mark.parametrize("case", TOPICS, ids=lambda case: case.name)
def test_case_of_several_partitions(monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    made = restart_jobs(monkeypatch, parts=2, round_rows=2)
    check_case(case, cuts=list(range(1, len(case.rows), 2)), threads=2)
    assert sum(executor.restarts for executor in made) > 0


def test_cases_whose_jobs_are_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """They go side by side, for each waits in vain for more input before it is stopped."""
    made = restart_jobs(monkeypatch, parts=2, round_rows=2)
    with ThreadPoolExecutor(16) as pool:
        runs = [
            pool.submit(check_case, case, cuts=list(range(1, len(case.rows), 2)), threads=2)
            for case in STOPPED
        ]
    for run in runs:
        run.result()
    assert len(made) >= len(STOPPED)
