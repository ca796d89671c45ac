"""Each command's help ends with an example, which runs; the shell completes names."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

import pystream as ps
from pystream.cli.commands import app
from tests.cli.commands import LONG, PROGRAM, environment, words, write_script

TOTALS = """
import pystream as ps
log = ps.open("data")
env = ps.Environment(log, name="totals")
env.from_topic("payments").sink_to_topic("totals")
"""


def commands(group: object, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], object]:
    found: dict[tuple[str, ...], object] = {}
    for name, command in getattr(group, "commands", {}).items():
        inner = commands(command, (*path, name))
        found.update(inner or {(*path, name): command})
    return found


ALL = commands(typer.main.get_command(app))


def example_of(path: tuple[str, ...]) -> str:
    """Return the example that the help of a command ends with."""
    ran = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "300", "TERM": "dumb"})
    assert ran.exit_code == 0
    _, colon, example = ran.output.rpartition("Example: ")
    assert colon, f"the help of {' '.join(path)} has no example"
    return words(example)


@pytest.fixture
def shell_directory(tmp_path: Path) -> Path:
    """A directory in which the examples make sense, with `pystream` in it."""
    with ps.open(tmp_path / "data") as log:
        log.create_topic("payments", {"user": "string", "amount": "float64"}, key="user")
        log.create_topic("lines")
        with log.producer() as producer:
            users = ["ann", "bob"] * 20
            producer.send_batch("payments", {"user": users, "amount": [9.5, 0.5] * 20})
            producer.send("lines", "one", key="a")
            producer.flush()
        with log.consumer("payments", group_id="billing") as consumer:
            consumer.commit()
    (tmp_path / "totals.py").write_text(TOTALS)
    (tmp_path / "payments.csv").write_text("user,amount\nann,1.5\n")
    write_script(tmp_path / "bin")
    return tmp_path


@contextlib.contextmanager
def open_transaction(directory: Path) -> Iterator[None]:
    """Let a transaction be open as long as the block runs."""
    with (
        ps.open(directory / "data") as log,
        log.producer(transactional_id="billing-1", linger="0s") as producer,
    ):
        producer.begin_transaction()
        producer.send("lines", "two").result()
        yield


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_ends_with_an_example_that_runs(path: tuple[str, ...], shell_directory: Path) -> None:
    example = example_of(path)
    assert f"pystream {' '.join(path)} " in example
    if path == ("demo",):
        return  # test_demo.py runs it once for all of its tests
    if path == ("topics", "create"):
        shutil.rmtree(shell_directory / "data")
    needs_transaction = path[0] == "transactions"
    with open_transaction(shell_directory) if needs_transaction else contextlib.nullcontext():
        ran = subprocess.run(
            ["bash", "-o", "pipefail", "-c", example],
            cwd=shell_directory,
            env=environment(PATH=f"{shell_directory / 'bin'}:/usr/bin:/bin"),
            capture_output=True,
            text=True,
            timeout=LONG,
            check=False,
        )
    assert ran.returncode == 0, f"{example}\n{ran.stdout}{ran.stderr}"
    assert ran.stdout or ran.stderr


def test_help_is_fast() -> None:
    """It imports neither numpy nor the log."""
    program = (
        "import sys; sys.argv = ['pystream', '--help']\n"
        f"try:\n {PROGRAM}\nexcept SystemExit: pass\n"
        "print('late:', sorted({'numpy', 'pyarrow', 'pystream._native'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=LONG,
        check=True,
    )
    assert ran.stdout.splitlines()[-1] == "late: []"


def test_module_runs_as_the_command_and_tells_its_version() -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pystream", "--version"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=LONG,
        check=True,
    )
    assert ran.stdout == f"pystream {ps.__version__}\n"


def completed(directory: Path, words_before: str) -> list[str]:
    """Return what bash would offer."""
    ran = subprocess.run(
        [directory / "bin" / "pystream"],
        cwd=directory,
        env=environment(
            _PYSTREAM_COMPLETE="complete_bash",
            COMP_WORDS=words_before,
            COMP_CWORD=str(len(words_before.split(" ")) - 1),
        ),
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    return re.findall(r"\S+", ran.stdout)


def test_shell_completes_commands_and_topics(shell_directory: Path) -> None:
    place = shell_directory
    assert completed(place, "pystream ver") == ["verify"]
    assert completed(place, "pystream topics describe data ") == ["lines", "payments"]
    assert completed(place, "pystream topics describe data lines pay") == ["payments"]
    assert completed(place, "pystream topics describe nowhere p") == []
    assert not (place / "nowhere").exists()


def test_completion_can_be_installed() -> None:
    ran = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "120", "TERM": "dumb"})
    assert "--install-completion" in ran.output


def test_every_command_is_found() -> None:
    """With another typer the tests above might find none."""
    assert {("topics", "create"), ("verify",), ("run",)} <= set(ALL)
