"""Running the command line in tests: in a process of its own, as a shell does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pystream as ps

PROGRAM = "from pystream.cli.main import main; main()"
LONG = 120  # seconds that bound what ends much sooner


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-W", "error", "-c", PROGRAM, *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    root = str(Path(ps.__file__).parents[1])
    return {**os.environ, "PYTHONPATH": root, "NO_COLOR": "1", "COLUMNS": "100", **more}


def run(*arguments: object, stdin: bytes | str = b"") -> subprocess.CompletedProcess[str]:
    """Run `pystream` with these arguments, without a terminal."""
    ran = subprocess.run(
        command(*arguments),
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        env=environment(),
        capture_output=True,
        timeout=LONG,
        check=False,
    )
    return subprocess.CompletedProcess(
        ran.args, ran.returncode, ran.stdout.decode(), ran.stderr.decode()
    )


def words(text: str) -> str:
    """Return a text on one line, however it was wrapped."""
    return " ".join(text.split())


def write_script(directory: Path) -> None:
    """Put the command `pystream` into a directory, for the path of a shell."""
    directory.mkdir()
    script = directory / "pystream"
    script.write_text(f"#!{sys.executable}\n{PROGRAM}\n")
    script.chmod(0o755)
