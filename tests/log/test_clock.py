"""A wall clock that jumps, in the core too: timestamps follow it, and nothing else does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_wall_clock_that_jumps_at_every_look_changes_only_timestamps(tmp_path: Path) -> None:
    """Linger, timeouts, wake-ups and background syncs go by the monotonic clock."""
    library = tmp_path / "jumping_clock.so"
    compiler = (os.environ.get("CC") or shutil.which("cc") or "gcc").split()
    source = Path(__file__).with_name("jumping_clock.c")
    flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden"]
    subprocess.run([*compiler, *flags, "-o", str(library), str(source)], check=True)
    ran = subprocess.run(
        [sys.executable, "-m", "tests.log.jumping_program", str(tmp_path / "log")],
        cwd=ROOT,
        env={**os.environ, "LD_PRELOAD": str(library)},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
