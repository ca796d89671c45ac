"""The table of upper and lower case is what its generator writes."""

from __future__ import annotations

import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

ROOM = Path(__file__).resolve().parents[2] / "native" / "expressions"
VERSION = (ROOM / "case_table.cpp").read_text().split()[2].rstrip(":")


@pytest.mark.skipif(
    unicodedata.unidata_version != VERSION, reason=f"this Python does not know Unicode {VERSION}"
)
def test_the_case_table_is_what_its_generator_writes() -> None:
    generator = ROOM / "generate_case_table.py"
    subprocess.run([sys.executable, generator, "--check"], check=True)
