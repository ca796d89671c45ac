"""`import pystream` costs little more than `import numpy`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.house.layers import OPTIONAL

ROOT = Path(__file__).resolve().parents[2]
# Standard modules that cost tens of milliseconds and that a first line of a program never needs.
HEAVY = OPTIONAL | {"asyncio", "http", "multiprocessing", "unittest", "xml", "pydoc"}
EXTRA_CPU_SECONDS_MAX = 0.08


def modules_after(statement: str) -> set[str]:
    program = f"import sys\n{statement}\nprint(*sys.modules, sep='\\n')"
    out = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in out.stdout.split()}


def cpu_seconds(statement: str) -> float:
    """Return the least CPU time of several runs; load on the machine adds to it, never takes."""
    best = float("inf")
    for _ in range(7):
        before = os.times()
        subprocess.run([sys.executable, "-c", statement], cwd=ROOT, check=True)
        after = os.times()
        spent = after.children_user + after.children_system
        best = min(best, spent - before.children_user - before.children_system)
    return best


def test_import_loads_no_optional_and_no_heavy_library() -> None:
    assert not (modules_after("import pystream") - modules_after("import numpy")) & HEAVY


def test_import_costs_little_more_than_numpy() -> None:
    assert cpu_seconds("import pystream") - cpu_seconds("import numpy") < EXTRA_CPU_SECONDS_MAX
