"""A test that a mutation makes endless is noticed, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.mutations.__main__ import Report, Workspace
from tests.mutations.limited import Limits
from tests.mutations.mutation import Group

PYTHON = sys.executable
# Tells its own and its child's process id.
WITH_CHILD = "sleep 600 & echo $$ $! > pids; wait"


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that is dead and not yet waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def test_a_command_that_ends_gives_its_code_and_all_output(tmp_path: Path) -> None:
    code = "import os, sys; print(os.getcwd()); print('oh', file=sys.stderr); sys.exit(3)"
    ran = Limits().run("three", [PYTHON, "-c", code], cwd=tmp_path)
    assert ran is not None
    assert ran.returncode == 3
    assert set(ran.stdout.split()) == {os.path.realpath(tmp_path), "oh"}


def test_a_command_without_end_is_ended_with_its_children(tmp_path: Path) -> None:
    limits = Limits(first_seconds=2)
    assert limits.run("endless", ["/bin/sh", "-c", WITH_CHILD], cwd=tmp_path) is None
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    deadline = time.monotonic() + 30  # the child has nobody who waits for it
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        os.sched_yield()


def test_the_first_run_sets_the_limit_of_the_next(tmp_path: Path) -> None:
    limits = Limits(least_seconds=0.2, times_as_long=1)  # the first could take half an hour
    assert limits.run("test", ["true"], cwd=tmp_path) is not None
    assert limits.run("test", ["sleep", "600"], cwd=tmp_path) is None


class Built(Workspace):
    """A workspace whose only test is a script of the shell."""

    def __init__(self, directory: Path, script: str, limits: Limits) -> None:
        self._group = Group((), ("some_test",), ())
        self._limits = limits
        self.sources = self.build = directory
        (directory / "tests").mkdir()
        test = directory / "tests" / "some_test"
        test.write_text(f"#!/bin/sh\n{script}\n")
        test.chmod(0o755)

    def _native_tests(self) -> list[str]:
        return ["some_test"]

    def _make(self, *targets: str) -> None:
        pass


@pytest.mark.parametrize(
    ("script", "noticed"),
    [
        ("exit 0", None),
        ("exit 1", "some_test"),
        ("echo '[  FAILED  ] Rule.Holds'; exit 1", "Rule.Holds"),
    ],
)
def test_a_test_that_fails_is_named(tmp_path: Path, script: str, noticed: str | None) -> None:
    assert Built(tmp_path, script, Limits()).first_failure() == noticed


def test_a_test_that_hangs_is_named(tmp_path: Path) -> None:
    limits = Limits(first_seconds=0.2)
    assert Built(tmp_path, "sleep 600", limits).first_failure() == "some_test (hung)"


def test_a_report_is_a_table_of_what_noticed_what(tmp_path: Path) -> None:
    report = Report(tmp_path / "there" / "windows.md")
    report.add("a rule", "Rule.Holds")
    report.add("another", "tests/test_it.py::test_it[a|b]")
    report.add("a third", None)
    assert (tmp_path / "there" / "windows.md").read_text().splitlines()[2:] == [
        "| a rule | `Rule.Holds` |",
        "| another | `tests/test_it.py::test_it` |",
        "| a third | nothing |",
    ]


def test_an_unknown_name_is_an_error_that_says_so() -> None:
    ran = subprocess.run(
        [PYTHON, "-m", "tests.mutations", "no such rule"],
        cwd=Path(__file__).resolve().parents[2],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "no mutation has any of ['no such rule'] in its name" in ran.stderr
