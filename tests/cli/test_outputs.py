"""Files that `consume` and `dump` write, and those that they must not."""

from __future__ import annotations

from pathlib import Path

import pytest

import pystream as ps
from tests.cli.commands import run

BEFORE = "what was there"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    with ps.open(tmp_path / "data") as log:
        log.create_topic("t", {"user": "string", "n": "int64"})
        with log.producer() as producer:
            producer.send("t", {"user": "ann", "n": 1})
    return tmp_path / "data"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--format", "raw"),
        ("--columns", "user,user"),
        ("--format", "csv", "--columns", "user,user"),
        ("--format", "parquet", "--columns", "user,user"),
        ("--from", "500"),
        ("--where", "n = x"),
        ("--group", "g", "--partition", "0"),
    ],
    ids=" ".join,
)
def test_a_wrong_request_leaves_the_file_as_it_was(
    directory: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    output = tmp_path / "out"
    output.write_text(BEFORE)
    assert run("consume", directory, "t", *arguments, "-o", output).returncode == 1
    assert output.read_text() == BEFORE
    assert run("consume", directory, "t", *arguments, "-o", tmp_path / "new").returncode == 1
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["order", "catalog.db", "topics/out", "linked/out"])
def test_a_file_of_the_log_is_no_output(directory: Path, name: str) -> None:
    (directory / "linked").symlink_to(directory / "topics")
    output = directory / name
    before = output.read_bytes() if output.exists() else None
    for command in (("consume", directory, "t"), ("dump", directory / "t")):
        ran = run(*command, "-o", output)
        assert ran.returncode == 1
        assert f"--output {output} lies in the log {directory} itself" in ran.stderr
        assert (output.read_bytes() if output.exists() else None) == before


@pytest.mark.parametrize("command", ["consume", "dump"])
def test_a_file_that_cannot_be_written_is_an_error(
    directory: Path, tmp_path: Path, command: str
) -> None:
    place = (directory, "t") if command == "consume" else (directory / "t",)
    for output, why in ((tmp_path, "Is a directory"), (tmp_path / "no" / "x", "No such file")):
        ran = run(command, *place, "-o", output)
        assert ran.returncode == 1
        assert ran.stderr.startswith("pystream: ")
        assert why in ran.stderr
