"""Arguments whose bytes are no UTF-8 end with a message, as every wrong name does."""

from __future__ import annotations

from pathlib import Path

import pytest

import pystream as ps
from tests.cli.commands import run

NAME = "caf\udce9"  # what Python makes of an argument in Latin-1


@pytest.mark.parametrize(
    "command",
    [
        ("topics", "create", "LOG", NAME),
        ("topics", "describe", "LOG", NAME),
        ("topics", "alter", "LOG", NAME, "--retention", "1d"),
        ("topics", "delete", "LOG", NAME, "--yes"),
        ("topics", "tail", "LOG", NAME),
        ("groups", "describe", "LOG", NAME),
        ("groups", "delete", "LOG", NAME),
        ("groups", "reset", "LOG", NAME, "--to", "earliest", "--topic", "lines"),
        ("transactions", "describe", "LOG", NAME),
        ("transactions", "abort", "LOG", NAME),
        ("produce", "LOG", NAME),
        ("consume", "LOG", NAME),
        ("consume", "LOG", "lines", "--group", NAME),
        ("topics", "list", NAME),
    ],
    ids=lambda command: " ".join(part for part in command if part != NAME),
)
def test_a_name_that_is_no_utf8_is_told(tmp_path: Path, command: tuple[str, ...]) -> None:
    with ps.open(tmp_path / "log") as log:
        log.create_topic("lines")
    ran = run(*(str(tmp_path / "log") if part == "LOG" else part for part in command), stdin="x\n")
    assert ran.returncode != 0
    assert r"caf\udce9" in ran.stderr
    assert "Traceback" not in ran.stderr
    with ps.open(tmp_path / "log") as log:
        assert log.topics() == ["lines"]
        assert log.groups() == []
