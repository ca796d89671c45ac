"""What docs/cli.md shows: its shell sessions run and print what stands there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.cli.commands import LONG, environment, write_script

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
SESSION = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


def steps() -> list[tuple[str, str]]:
    """Return the commands behind ``$`` with what they print."""
    text = "".join(SESSION.findall(PAGE.read_text()))
    found = re.findall(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE)
    return [(command, output) for command, output in found]


def test_sessions_of_the_page_run_and_print_what_they_show(tmp_path: Path) -> None:
    """In one directory from top to bottom; ``…`` stands for anything on a line."""
    write_script(tmp_path / "bin")
    assert len(steps()) > 5
    for command, output in steps():
        ran = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment(PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LONG,
            check=False,
        )
        wanted = ".*".join(map(re.escape, output.split("…")))
        assert re.fullmatch(wanted, ran.stdout), f"$ {command}\n{ran.stdout}"


def test_page_has_every_command() -> None:
    from tests.cli.test_help import ALL  # noqa: PLC0415  collected once there

    text = PAGE.read_text()
    assert [path for path in ALL if f"pystream {' '.join(path)}" not in text] == []
