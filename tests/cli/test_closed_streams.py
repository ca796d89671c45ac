"""Standard input, output and error that are closed, as of a program that something else starts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import pystream as ps
from tests.cli.commands import LONG, command, environment
from tests.log.reading import rows_of


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    with ps.open(tmp_path / "data") as log:
        log.create_topic("numbers", {"n": "int64"})
        with log.producer() as producer:
            producer.send_batch("numbers", {"n": [1, 2]})
    return tmp_path / "data"


def run_without(number: int, *arguments: object, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    """Run `pystream` with a standard stream closed."""
    shell = ["sh", "-c", f'exec "$@" {number}{"<" if number == 0 else ">"}&-', "sh"]
    ran = subprocess.run(
        [*shell, *command(*arguments)],
        input=stdin,
        capture_output=True,
        check=False,
        env=environment(),
        timeout=LONG,
    )
    return ran.returncode, ran.stdout, ran.stderr


def test_records_without_an_output_are_an_error(directory: Path) -> None:
    status, _, error = run_without(1, "consume", directory, "numbers", "-g", "g")
    assert status == 1
    assert b"Bad file descriptor" in error
    assert b"Traceback" not in error
    with ps.open(directory) as log:
        its = log.describe_group("g").partitions.get(ps.TopicPartition("numbers", 0))
        assert its is None or not its.committed


def test_producing_without_an_input_is_an_error(directory: Path) -> None:
    status, _, error = run_without(0, "produce", directory, "numbers")
    assert status == 1
    assert b"Bad file descriptor" in error
    assert b"Traceback" not in error


def test_no_file_of_the_log_becomes_standard_error(directory: Path) -> None:
    status, out, _ = run_without(2, "produce", directory, "numbers", stdin=b'{"n": 3}\n{"n": "x"}')
    assert (status, out) == (1, b"")
    with ps.open(directory) as log:
        assert [row["n"] for row in rows_of(log, "numbers")] == [1, 2, 3]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
def test_an_output_that_is_full_is_an_error_once(directory: Path) -> None:
    with open("/dev/full", "wb") as full:
        ran = subprocess.run(
            command("consume", directory, "numbers"),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            env=environment(),
            timeout=LONG,
        )
    assert ran.returncode == 1
    assert ran.stderr.count(b"\n") == 1
    assert b"No space left on device" in ran.stderr
