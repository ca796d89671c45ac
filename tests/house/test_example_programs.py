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
    "aggregate_functions.py": """\
00:00 AAA: 2195 trades at 102.71, large ones at 102.66, swing 6.2 %
00:00 BBB: 2226 trades at 102.67, large ones at 102.64, swing 5.9 %
00:00 CCC: 2221 trades at 102.70, large ones at 102.72, swing 6.0 %
00:05 AAA: 2154 trades at 96.87, large ones at 96.91, swing 6.1 %
00:05 BBB: 2235 trades at 96.92, large ones at 96.94, swing 6.1 %
00:05 CCC: 2291 trades at 96.86, large ones at 96.82, swing 6.0 %
00:10 AAA: 2259 trades at 95.81, large ones at 95.86, swing 7.3 %
00:10 BBB: 2175 trades at 95.70, large ones at 95.62, swing 7.2 %
00:10 CCC: 2244 trades at 95.64, large ones at 95.69, swing 7.2 %
""",
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
