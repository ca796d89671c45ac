"""Producers that are killed lose nothing that was acknowledged and repeat nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

# More for a night: PYSTREAM_KILL_CYCLES=4000 pytest tests/log/test_crash.py
CYCLES = int(os.environ.get("PYSTREAM_KILL_CYCLES", "200"))
SEED = 20240611


def test_producers_killed_again_and_again_lose_and_repeat_nothing(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "tests.log.kill_writers"]
    done = subprocess.run(
        [*program, str(tmp_path / "data"), str(CYCLES), str(SEED)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["killed"] == CYCLES + 2
    assert result["records"] > CYCLES
