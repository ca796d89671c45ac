"""The command `pystream backup`."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

import pystream as ps
from pystream.cli.commands import app
from tests.cli.commands import run
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
    assert "there is no log in" in words_of(ran.output)
    assert not (tmp_path / "no").exists()
    ps.open(tmp_path / "data").close()
    ran = CliRunner().invoke(app, ["backup", str(tmp_path / "data"), str(tmp_path)])
    assert ran.exit_code == 1
    assert "not empty" in words_of(ran.output)


@pytest.mark.parametrize("name", ["bk[red]a", "q[/b]", "a:cat:" + 100 * "x"])
def test_the_name_of_a_backup_is_printed_as_it_is(tmp_path: Path, name: str) -> None:
    ps.open(tmp_path / "data").close()
    target = tmp_path / name
    ran = run("backup", tmp_path / "data", target)
    assert ran.stdout.startswith(f"{target}: 0 topics, ")
    assert ran.stdout.count("\n") == 1


@pytest.mark.parametrize(
    "line",
    [
        "produce COPY t",
        "consume COPY t --group g",
        "groups reset COPY g --to earliest --topic t",
        "topics alter COPY t --partitions 2",
        "topics clean COPY",
        "backup COPY MORE",
    ],
)
def test_every_command_takes_a_backup_as_a_log(tmp_path: Path, line: str) -> None:
    with ps.open(tmp_path / "data") as log:
        log.create_topic("t", {"n": "int64"})
        log.backup(tmp_path / "copy")
    places = {"COPY": str(tmp_path / "copy"), "MORE": str(tmp_path / "more")}
    ran = run(*(places.get(word, word) for word in line.split()), stdin=b'{"n": 1}\n')
    assert (ran.returncode, ran.stderr) == (0, "")
    assert run("verify", tmp_path / "copy").returncode == 0
