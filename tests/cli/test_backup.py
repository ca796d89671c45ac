"""The command `pystream backup`."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

import pystream as ps
from pystream.cli.commands import app
from tests.log.reading import rows_of


def words_of(output: str) -> str:
    """Return what was printed on one line, however wide the terminal is."""
    return " ".join(output.split())


def test_backup_of_a_log_in_use(tmp_path: Path) -> None:
    with ps.open(tmp_path / "data") as log:
        log.create_topic("t", {"n": "int64"})
        with log.producer() as producer:
            producer.send_batch("t", {"n": [1, 2]})
        ran = CliRunner().invoke(app, ["backup", str(tmp_path / "data"), str(tmp_path / "copy")])
        assert ran.exit_code == 0, ran.output
        assert "1 topics, 1 partitions" in words_of(ran.output)
    with ps.open(tmp_path / "copy") as copy:
        assert rows_of(copy, "t") == [{"n": 1}, {"n": 2}]


def test_refusals_are_one_line_and_exit_status_1(tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["backup", str(tmp_path / "no"), str(tmp_path / "copy")])
    assert ran.exit_code == 1
    assert "is no log" in words_of(ran.output)
    assert not (tmp_path / "no").exists()
    ps.open(tmp_path / "data").close()
    ran = CliRunner().invoke(app, ["backup", str(tmp_path / "data"), str(tmp_path)])
    assert ran.exit_code == 1
    assert "not empty" in words_of(ran.output)
