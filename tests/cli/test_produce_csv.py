"""CSV in `pystream produce`, whatever its lines end with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import pystream as ps
from tests.cli.commands import run
from tests.log.reading import rows_of


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    with ps.open(tmp_path / "data") as log:
        log.create_topic("t", {"user": "string", "n": "int64"})
    return tmp_path / "data"


def rows(directory: Path) -> list[tuple[Any, ...]]:
    with ps.open(directory) as log:
        return [tuple(row.values()) for row in rows_of(log, "t")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("heading", ["user,n", '"user","n"', "\ufeffuser,n"])
@pytest.mark.parametrize("last", [True, False])
def test_lines_end_as_on_any_system(directory: Path, end: str, heading: str, last: bool) -> None:
    text = end.join([heading, "x,1", '"y\ry",2']) + (end if last else "")
    ran = run("produce", directory, "t", "--format", "csv", stdin=text)
    assert ran.stdout == "produced 2 records to t\n"
    assert rows(directory) == [("x", 1), ("y\ry", 2)]


def test_a_heading_alone_is_no_record(directory: Path) -> None:
    for end in ("", "\n", "\r", "\r\r"):
        ran = run("produce", directory, "t", "--format", "csv", stdin=f"user,n{end}")
        assert ran.stdout == "produced 0 records to t\n"
