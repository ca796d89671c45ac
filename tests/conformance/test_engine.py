"""The native engine on every committed case, however its input is cut and read.

The expected files know of neither batches nor threads, so one and the same answer must come out
each time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import pystream as ps
from pystream.testing import Case, check_case, check_result, run_case
from tests.conformance.committed import COMMITTED

IN_MEMORY = [c for c in COMMITTED if c.spec.partitions == 1 and c.spec.end_of_input]
ENDED = [case for case in COMMITTED if case.spec.end_of_input]
STOPPED = [case for case in COMMITTED if not case.spec.end_of_input]
# Thousands of small topics: on a busy disk their syncs would take most of the time.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


def named(case: Case) -> str:
    return case.name


def some_runs(case: Case) -> list[tuple[list[int], int]]:
    """Return cuts and threads: whole, row by row, and in batches of equal and unequal lengths."""
    length = len(case.rows)
    rows = list(range(1, length))
    unequal = [cut for cut in (1, 2, 9, 20) if cut < length]
    cuts = ([], rows, list(range(5, length, 5)), unequal)
    return [(each, threads) for each in cuts for threads in (1, 2)]


@pytest.fixture
def log() -> Iterator[ps.Log]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory, ps.open(directory) as opened:
        yield opened


@pytest.mark.parametrize("case", IN_MEMORY, ids=named)
def test_table_in_memory_with_every_single_cut(case: Case) -> None:
    for cut in range(1, len(case.rows)):
        for threads in (1, 2):
            check_case(case, cuts=[cut], threads=threads)
    for cuts, threads in some_runs(case):
        check_case(case, cuts=cuts, threads=threads)


@pytest.mark.parametrize("case", ENDED, ids=named)
def test_topic_that_is_read_to_its_end(log: ps.Log, case: Case) -> None:
    for cuts, threads in some_runs(case):
        check_case(case, log=log, cuts=cuts, threads=threads)


@pytest.mark.parametrize("case", STOPPED, ids=named)
def test_topic_whose_job_is_stopped(log: ps.Log, case: Case) -> None:
    """The runs go side by side, for each waits in vain for more input before it is stopped."""
    with ThreadPoolExecutor() as pool:
        runs = [
            pool.submit(check_case, case, log=log, cuts=cuts, threads=threads)
            for cuts, threads in some_runs(case)
        ]
    for run in runs:
        run.result()


@pytest.mark.parametrize("case", IN_MEMORY, ids=named)
def test_windows_fire_in_the_order_of_their_ends(case: Case) -> None:
    result = run_case(case)
    check_result(case, result)
    if case.spec.trigger.kind == "on_close" and not case.spec.allowed_lateness_ms:
        ends = [pane.window_end for pane in result.panes if pane.window_end is not None]
        assert ends == sorted(ends)
    assert result.late == case.late
