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


BLIND = """
import sys
from pystream import config
config.GROUP_LOOK_SECONDS = 30.0
from tests.log.kill_members import main
sys.exit(main(*sys.argv[1:]))
"""


def run_members(
    *program: str, seconds: int, ownerless_seconds: int
) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory(prefix="pystream-kill-", dir=MEMORY) as directory:
        return subprocess.run(
            [
                *(sys.executable, *program, os.path.join(directory, "data")),
                *(str(seconds), str(SEED), "6", str(ownerless_seconds)),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=120 + 2 * seconds,
        )


def test_members_killed_at_random_skip_nothing_and_never_share_a_partition() -> None:
    done = run_members(
        "-m", "tests.log.kill_members", seconds=SECONDS, ownerless_seconds=OWNERLESS_SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    print(result)
    assert result["wrong"] == []
    assert min(result["killed"], result["rebalances"], result["left"]) > 0
    assert result["records"] > 0


def test_members_that_do_not_look_whether_others_live_are_found_out() -> None:
    done = run_members("-c", BLIND, seconds=30, ownerless_seconds=1)  # ends at what is wrong
    assert done.returncode == 1, done.stdout + done.stderr
    assert "has no owner since" in json.loads(done.stdout)["wrong"][0]
