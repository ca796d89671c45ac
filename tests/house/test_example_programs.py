"""Every program under docs/examples runs in an empty directory and says what it found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"
PROGRAMS = sorted(EXAMPLES.glob("*.py"))
# What a program prints, where its numbers matter.
PRINTED = {
    "backfill.py": """\
backfill: 24,000 payments, 0 late
features-cold: 485 payments from 23:30 to 00:30
features: 990 payments from 23:30 to 00:30
""",
    "sessionization.py": """\
15,036 clicks, 7 late
677 visits, 15,029 clicks in them, 157 ended at /pay
most clicks: 108 by user-027, on 5 pages
""",
    "windowed.py": """\
20,000 payments, 19,161 of 5 or more
47 came behind their minute, 27 late
3,046 rows for 2,999 users and minutes
19,134 payments in them, 2057 above 90
""",
}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_example_runs(program: Path, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == PRINTED.get(program.name, ran.stdout)


def test_every_example_is_listed() -> None:
    page = (EXAMPLES / "README.md").read_text()
    assert [path.name for path in PROGRAMS if f"]({path.name})" not in page] == []
