"""Transactional producers that are killed leave whole transactions, and hold up nobody."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

# More for a night: PYSTREAM_KILL_CYCLES=20000 pytest tests/log/test_transactions_crash.py
KILLS = int(os.environ.get("PYSTREAM_KILL_CYCLES", "60"))
SEED = int(os.environ.get("PYSTREAM_KILL_SEED", "20240611"))
# What a process that dies leaves is the same on any medium, and this one does not wait for a disk.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


def test_transactional_producers_killed_again_and_again_tear_nothing() -> None:
    with tempfile.TemporaryDirectory(prefix="pystream-kill-", dir=MEMORY) as directory:
        place = os.path.join(directory, "data")
        done = subprocess.run(
            [sys.executable, "-m", "tests.log.kill_transactions", place, str(KILLS), str(SEED)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120 + 2 * KILLS,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["killed"] == KILLS
    assert result["transactions"] >= result["acknowledged"] > KILLS // 2
