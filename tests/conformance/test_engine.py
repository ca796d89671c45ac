"""The native engine on every committed case, however its input is cut and read.

The expected files know of neither batches nor threads, so one and the same answer must come out
each time. A table in memory is cut at every row. A topic takes several times as long, so each case
has some of its single cuts, other ones than the cases beside it, and some cuts at random;
``PYSTREAM_CONFORMANCE=complete`` takes every single cut, by one thread and by two, and ten times as
many at random, in half an hour.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import pystream as ps
from pystream.testing import Case, check_case, check_result, run_case
from tests.conformance.committed import COMMITTED

IN_MEMORY = [c for c in COMMITTED if c.spec.partitions == 1 and c.spec.end_of_input]
ENDED = [case for case in COMMITTED if case.spec.end_of_input]
STOPPED = [case for case in COMMITTED if not case.spec.end_of_input]
# Thousands of small topics: on a busy disk their syncs would take most of the time.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


IS_COMPLETE = os.environ.get("PYSTREAM_CONFORMANCE") == "complete"
Runs = list[tuple[list[int], int]]  # cuts and threads


def named(case: Case) -> str:
    return case.name


def numbered(cases: list[Case]) -> list[Any]:
    return [pytest.param(number, case, id=case.name) for number, case in enumerate(cases)]


def some_runs(case: Case) -> Runs:
    """Return cuts and threads: whole, row by row, and in batches of equal and unequal lengths."""
    length = len(case.rows)
    rows = list(range(1, length))
    unequal = [cut for cut in (1, 2, 9, 20) if cut < length]
    cuts = ([], rows, list(range(5, length, 5)), unequal)
    return [(each, threads) for each in cuts for threads in (1, 2)]


def single_cuts(case: Case, number: int, amount: int) -> Runs:
    """Return about so many cuts in one place, far apart; the next number has those beside them."""
    length = len(case.rows)
    if IS_COMPLETE:
        return [([cut], threads) for cut in range(1, length) for threads in (1, 2)]
    stride = max(1, (length - 1) // amount)
    cuts = range(1 + number % stride, length, stride)
    return [([cut], 1 + (number // stride + index) % 2) for index, cut in enumerate(cuts)]


def random_cuts(case: Case, amount: int) -> Runs:
    """Return cuts that are the same each time: few or many, by one and by two threads."""
    runs: Runs = []
    for seed in range(amount * (10 if IS_COMPLETE else 1)):
        draw = random.Random(f"{case.name} {seed}")
        density = draw.random()
        cuts = [cut for cut in range(1, len(case.rows)) if draw.random() < density]
        runs.append((cuts, draw.choice((1, 2))))
    return runs


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


@pytest.mark.parametrize(("number", "case"), numbered(ENDED))
def test_topic_that_is_read_to_its_end(log: ps.Log, number: int, case: Case) -> None:
    runs = some_runs(case) + single_cuts(case, number, 4) + random_cuts(case, 2)
    for cuts, threads in runs:
        check_case(case, log=log, cuts=cuts, threads=threads)


def test_over_all_topics_every_place_is_cut_and_read_by_one_thread_and_by_two() -> None:
    for cases, amount in ((ENDED, 4), (STOPPED, 2)):
        cut = {
            (cuts[0], threads)
            for number, case in enumerate(cases)
            for cuts, threads in single_cuts(case, number, amount)
        }
        longest = max(len(case.rows) for case in cases)
        assert cut >= {(place, threads) for place in range(1, longest) for threads in (1, 2)}


@pytest.mark.parametrize(("number", "case"), numbered(STOPPED))
def test_topic_whose_job_is_stopped(log: ps.Log, number: int, case: Case) -> None:
    """The runs go side by side, for each waits in vain for more input before it is stopped."""
    runs = some_runs(case) + single_cuts(case, number, 2) + random_cuts(case, 1)
    with ThreadPoolExecutor(min(len(runs), 16)) as pool:
        jobs = [
            pool.submit(check_case, case, log=log, cuts=cuts, threads=threads)
            for cuts, threads in runs
        ]
    for job in jobs:
        job.result()


@pytest.mark.parametrize("case", IN_MEMORY, ids=named)
def test_windows_fire_in_the_order_of_their_ends(case: Case) -> None:
    result = run_case(case)
    check_result(case, result)
    if case.spec.trigger.kind == "on_close" and not case.spec.allowed_lateness_ms:
        ends = [pane.window_end for pane in result.panes if pane.window_end is not None]
        assert ends == sorted(ends)
    assert result.late == case.late
