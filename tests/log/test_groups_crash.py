"""Members of a group that join, leave and are killed at random; more in ``make torture``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SECONDS = int(os.environ.get("PYSTREAM_GROUP_SECONDS", "6"))
SEED = int(os.environ.get("PYSTREAM_KILL_SEED", "20261126"))
# The limit of one second is `make torture`'s: here, other programs may have all the processors.
OWNERLESS_SECONDS = 20
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


def test_members_killed_at_random_skip_nothing_and_never_share_a_partition() -> None:
    program = [sys.executable, "-m", "tests.log.kill_members"]
    with tempfile.TemporaryDirectory(prefix="pystream-kill-", dir=MEMORY) as directory:
        done = subprocess.run(
            [
                *(*program, os.path.join(directory, "data"), str(SECONDS), str(SEED)),
                *("6", str(OWNERLESS_SECONDS)),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=120 + 2 * SECONDS,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    print(result)
    assert result["wrong"] == []
    assert min(result["killed"], result["rebalances"], result["left"]) > 0
    assert result["records"] > 0
