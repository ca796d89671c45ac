"""What `pystream.testing` offers, pinned like the surface of the package itself."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import pystream.testing

ROOT = Path(__file__).resolve().parents[2]
SURFACE = [
    "Case",
    "InputRow",
    "ManualClock",
    "PaneRow",
    "Result",
    "Spec",
    "StepwiseJob",
    "TriggerSpec",
    "WindowSpec",
    "check_case",
    "check_result",
    "load_case",
    "run_case",
    "save_case",
]


def test_surface_is_what_is_pinned_here() -> None:
    assert sorted(pystream.testing.__all__) == SURFACE


@pytest.mark.parametrize("name", SURFACE)
def test_name_says_what_it_is(name: str) -> None:
    assert "\n\n" in (inspect.getdoc(getattr(pystream.testing, name)) or "")


def test_import_of_pystream_does_not_load_it() -> None:
    program = "import sys, pystream; assert 'pystream.testing' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
