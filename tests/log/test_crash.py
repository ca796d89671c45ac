"""Producers and consumers that are killed lose nothing, and repeat nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

# More for a night: PYSTREAM_KILL_CYCLES=20000 pytest tests/log/test_crash.py
KILLS = int(os.environ.get("PYSTREAM_KILL_CYCLES", "300"))
SEED = int(os.environ.get("PYSTREAM_KILL_SEED", "20240611"))
# What a process that dies leaves is the same on any medium, and this one does not wait for a disk.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


def test_producers_and_consumers_killed_again_and_again_lose_and_repeat_nothing() -> None:
    program = [sys.executable, "-m", "tests.log.kill_writers"]
    with tempfile.TemporaryDirectory(prefix="pystream-kill-", dir=MEMORY) as directory:
        done = subprocess.run(
            [*program, os.path.join(directory, "data"), str(KILLS), str(SEED)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120 + 2 * KILLS,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["killed"] == KILLS + 3
    assert result["records"] >= result["acknowledged"] > KILLS
    assert result["repeated_in_tables"] > 0
