"""Running the command line in tests: in this process, or in one of its own as a shell does."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

import pystream as ps
from pystream.cli.commands import app

PROGRAM = "from pystream.cli.main import main; main()"
LONG = 120  # seconds that bound what ends much sooner


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-W", "error", "-c", PROGRAM, *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    root = str(Path(ps.__file__).parents[1])
    return {**os.environ, "PYTHONPATH": root, "NO_COLOR": "1", "COLUMNS": "100", **more}


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def run(*arguments: object, stdin: bytes | str = b"") -> Ran:
    """Run `pystream` in this process, without a terminal."""
    wide = {"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"}
    ran = CliRunner().invoke(app, [str(argument) for argument in arguments], stdin, env=wide)
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    return Ran(ran.exit_code, ran.stdout_bytes.decode(), ran.stderr)


def run_on_terminal(*arguments: object, stdin: bytes = b"") -> Ran:
    """Run `pystream` in a process whose output and errors go to a terminal; they are one stream."""
    main, terminal = pty.openpty()
    with open(main, "rb", buffering=0) as screen, tempfile.TemporaryFile() as given:
        given.write(stdin)
        given.seek(0)
        process = subprocess.Popen(
            command(*arguments), stdin=given, stdout=terminal, stderr=terminal, env=environment()
        )
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):  # EIO: everybody has closed it
            while part := screen.read(1 << 16):
                shown += part
        return Ran(process.wait(LONG), shown.decode(), "")


def words(text: str) -> str:
    """Return a text on one line, however it was wrapped."""
    return " ".join(text.split())


def write_script(directory: Path) -> None:
    """Put the command `pystream` into a directory, for the path of a shell."""
    directory.mkdir()
    script = directory / "pystream"
    script.write_text(f"#!{sys.executable}\n{PROGRAM}\n")
    script.chmod(0o755)
