"""What a harness is, for ``make torture`` and for the tests of each commit."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """What a harness did with the seeds that it was given.

    Attributes
    ----------
    cases : int
        How many cases it went through.
    next_seed : int
        The first seed that it did not use.
    failure : str or None
        What went wrong, with what tells the case.
    repeat : str
        The command that repeats the failure.
    """

    cases: int
    next_seed: int
    failure: str | None = None
    repeat: str = ""


@dataclass(frozen=True)
class Harness:
    """One way to break the log.

    Attributes
    ----------
    name : str
    unit : str
        What a case is.
    aim : int
        So many cases are wanted in all.
    run : callable
        Gets the first seed and the seconds that it may take, or a little more.
    """

    name: str
    unit: str
    aim: int
    run: Callable[[int, float], Outcome]


def said_by(ended: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the JSON of a program's last line; only ``failure`` when there is none."""
    try:
        return dict(json.loads(ended.stdout.splitlines()[-1]))
    except (IndexError, ValueError):
        return {"failure": f"it ended with {ended.returncode}:\n{ended.stderr}"}


def run_seeds(run_seed: Callable[[int], Outcome], seed: int, seconds: float) -> Outcome:
    """Go through one seed after another until the time is over or one fails."""
    deadline = time.monotonic() + seconds
    cases = 0
    while True:
        outcome = run_seed(seed)
        cases += outcome.cases
        seed = outcome.next_seed
        if outcome.failure or time.monotonic() >= deadline:
            return Outcome(cases, seed, outcome.failure, outcome.repeat)


def scratch_directory() -> tempfile.TemporaryDirectory[str]:
    """Return a directory in memory, where there is one: nothing here needs a real disk."""
    memory = Path("/dev/shm")
    usable = memory.is_dir() and os.access(memory, os.W_OK)
    return tempfile.TemporaryDirectory(prefix="torture-", dir=memory if usable else None)
