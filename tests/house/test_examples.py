"""Every example in the documentation runs: docstrings as doctests, Markdown blocks as programs."""

from __future__ import annotations

import doctest
import importlib
import io
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import pystream
from tests.house.markdown import FENCE, shown_output, write_program

ROOT = Path(__file__).resolve().parents[2]
MARKDOWN = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def module_names() -> list[str]:
    found = pkgutil.walk_packages(pystream.__path__, "pystream.")
    return ["pystream", *sorted(module.name for module in found)]


@pytest.fixture
def in_empty_directory(tmp_path: Path) -> Iterator[Path]:
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


def doctests_of(module: ModuleType) -> list[doctest.DocTest]:
    known = {"ps": pystream, "np": np}
    found = doctest.DocTestFinder(exclude_empty=True).find(module, extraglobs=known)
    return [test for test in found if test.examples]


@pytest.mark.parametrize("name", module_names())
@pytest.mark.usefixtures("in_empty_directory")
def test_docstring_examples_run(name: str) -> None:
    report = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for test in doctests_of(importlib.import_module(name)):
        runner.run(test, out=report.write)
    assert runner.summarize(verbose=False).failed == 0, report.getvalue()


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_markdown_examples_run(path: Path, tmp_path: Path) -> None:
    """The blocks of one page are one program, read from top to bottom."""
    program = write_program(path, tmp_path)
    if program is None:
        return
    ran = subprocess.run(
        [sys.executable, "-W", "error", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    shown = shown_output(path)
    assert shown is None or ran.stdout == shown


def links_of(path: Path) -> list[Path]:
    """Return where the relative links of a page lead."""
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", FENCE.sub("", path.read_text()))
    return [(path.parent / link).resolve() for link in links if "://" not in link]


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_markdown_links_lead_somewhere(path: Path) -> None:
    assert [str(target) for target in links_of(path) if not target.exists()] == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    """A link to a directory reaches every page in it."""
    reached: set[Path] = set()
    ahead = [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page not in reached:
            reached.add(page)
            for target in links_of(page):
                ahead += sorted(target.glob("*.md")) if target.is_dir() else [target]
            ahead = [page for page in ahead if page.suffix == ".md" and page.exists()]
    assert [str(page) for page in MARKDOWN if page not in reached] == []
