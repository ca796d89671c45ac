"""Standard input, output and error that are closed, full, or read by nobody any more."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import pystream as ps
from pystream.log.verify import verify_log
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


COMMANDS = (
    "--help",
    "topics --help",
    "topics list DIR",
    "topics describe DIR numbers",
    "groups list DIR",
    "groups describe DIR readers",
    "consume DIR numbers",
    "verify DIR",
    "verify DIR --json",
    "dump DIR/numbers",
    "dump DIR/numbers --format json",
    "dump DIR/numbers --format arrow",
    "backup DIR COPY",
)


def run_into(output: int, line: str, directory: Path) -> tuple[int, bytes]:
    """Run `pystream` with a standard output; return its exit status and what it says."""
    with ps.open(directory) as log, log.consumer("numbers", group_id="readers") as consumer:
        consumer.commit({ps.TopicPartition("numbers", 0): 1})
    copy = directory.with_name("copy")
    arguments = line.replace("DIR", str(directory)).replace("COPY", str(copy)).split()
    ran = subprocess.run(
        command(*arguments),
        stdout=output,
        stderr=subprocess.PIPE,
        check=False,
        env=environment(),
        timeout=LONG,
    )
    return ran.returncode, ran.stderr


@pytest.fixture
def unread() -> Iterator[int]:
    """A pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.parametrize("line", COMMANDS)
def test_an_output_that_nobody_reads_is_141(line: str, directory: Path, unread: int) -> None:
    assert run_into(unread, line, directory) == (141, b"")


def test_a_program_that_sees_to_a_closed_pipe_has_its_own_status(
    directory: Path, unread: int
) -> None:
    program = directory.with_name("program.py")
    program.write_text(
        "import os, sys\n"
        "try:\n    print(1, flush=True)\n"
        "except BrokenPipeError:\n"
        "    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)\n"
        "    sys.exit(1)\n"
    )
    assert run_into(unread, f"run {program}", directory) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
@pytest.mark.parametrize("line", COMMANDS)
def test_an_output_that_is_full_is_an_error_once(line: str, directory: Path) -> None:
    with open("/dev/full", "wb") as full:
        status, error = run_into(full.fileno(), line, directory)
    assert status == (2 if line.startswith("verify") else 1)  # 1 would be: something was found
    assert error.count(b"\n") == 1
    assert b"No space left on device" in error


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_all_topics_are_deleted_though_nobody_reads(
    more: tuple[str, ...], directory: Path, unread: int
) -> None:
    with ps.open(directory) as log:
        log.create_topics(["a", "b", "c"])
    line = " ".join(("topics delete DIR a b c --yes", *more))
    assert run_into(unread, line, directory) == (141, b"")
    with ps.open(directory) as log:
        assert log.topics() == ["numbers"]


def test_a_log_is_repaired_though_nobody_reads(directory: Path, unread: int) -> None:
    (topic_file,) = directory.glob("topics/*/topic")
    topic_file.write_bytes(b"x")
    assert run_into(unread, "verify DIR --repair", directory) == (141, b"")
    assert verify_log(directory).problems == []
