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
    return set(out.stdout.split())


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
    added = modules_after("import pystream") - modules_after("import numpy")
    assert not {name.split(".")[0] for name in added} & HEAVY


def test_import_costs_little_more_than_numpy() -> None:
    assert cpu_seconds("import pystream") - cpu_seconds("import numpy") < EXTRA_CPU_SECONDS_MAX


def test_sending_and_reading_import_nothing_more() -> None:
    """What is imported later makes the first record of a program late."""
    prepare = """
import tempfile, numpy as np, pystream as ps
directory = tempfile.TemporaryDirectory()
log = ps.open(directory.name)
log.create_topic("t", {"n": "int64", "s": "string"})
producer = log.producer(linger="0s")
consumer = log.consumer("t", auto_offset_reset="earliest")
"""
    use = """
producer.send("t", {"n": 1, "s": "a"})
producer.send_batch("t", {"n": np.arange(3), "s": ["b", None, "c"]})
producer.flush()
(records,) = consumer.poll("10s", max_records=1).values()
assert [record.value["n"] for record in records] == [1]
assert sum(len(batch["n"].to_numpy()) for batch in consumer.batches("0s")) == 3
"""
    late = modules_after(prepare + use) - modules_after(prepare)
    assert not late, f"imported by the first use: {sorted(late)}"
