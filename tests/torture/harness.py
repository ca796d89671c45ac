"""What a harness is, for ``make torture`` and for the tests of each commit."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


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


def scratch_directory() -> tempfile.TemporaryDirectory[str]:
    """Return a directory in memory, where there is one: nothing here needs a real disk."""
    memory = Path("/dev/shm")
    usable = memory.is_dir() and os.access(memory, os.W_OK)
    return tempfile.TemporaryDirectory(prefix="torture-", dir=memory if usable else None)
