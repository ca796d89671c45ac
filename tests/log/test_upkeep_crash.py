"""Who compacts and deletes is killed again and again; more in ``make torture``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

# More for a night: PYSTREAM_KILL_CYCLES=20000 pytest tests/log/test_upkeep_crash.py
KILLS = int(os.environ.get("PYSTREAM_KILL_CYCLES", "40"))
SEED = int(os.environ.get("PYSTREAM_KILL_SEED", "20261127"))
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None

DEFECTIVE = """
import sys
from pystream.log import retention
from tests.log.kill_upkeep import main
{defect}
sys.exit(main(*sys.argv[1:]))
"""
HURRIES = """
start_by_age = retention._start_by_age
retention._start_by_age = lambda topic, facts, now_us: start_by_age(topic, facts, now_us + 10**7)
"""
FORGETS = "retention._keep_floors = lambda *_: None"
TAKES_TOO_MUCH = """
delete = retention._delete
def delete_more(log, topic, number, partition, offset):
    return delete(log, topic, number, partition, min(offset + 500, partition.ends().log_end_offset))
retention._delete = delete_more
"""


def run_upkeep(*program: str, kills: int) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory(prefix="pystream-kill-", dir=MEMORY) as directory:
        return subprocess.run(
            [sys.executable, *program, os.path.join(directory, "data"), str(kills), str(SEED)],
            capture_output=True,
            text=True,
            check=False,
            timeout=180 + 2 * kills,
        )


def test_keepers_killed_at_random_remove_only_what_they_may() -> None:
    done = run_upkeep("-m", "tests.log.kill_upkeep", kills=KILLS)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    print(result)
    assert result["wrong"] == []
    assert min(result[f"killed_{part}s"] for part in ("keeper", "writer", "payer", "member")) > 0
    assert min(result["removed"], result["compacted"]) > 100
    assert result["audits"] > 0


@pytest.mark.parametrize(
    ("defect", "said"),
    [
        (HURRIES, "us too early"),
        (FORGETS, "moved|do not rise"),
        (TAKES_TOO_MUCH, "us too early|bytes are left"),
    ],
    ids=["hurries", "forgets producers", "takes too much"],
)
def test_a_keeper_that_removes_too_much_is_found_out(defect: str, said: str) -> None:
    done = run_upkeep("-c", DEFECTIVE.format(defect=defect), kills=300)  # ends at what is wrong
    assert done.returncode == 1, done.stdout + done.stderr
    assert any(part in done.stdout + done.stderr for part in said.split("|")), done.stderr
