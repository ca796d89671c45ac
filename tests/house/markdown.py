"""The Python examples of a Markdown page, as the program that they are together."""

from __future__ import annotations

import re
from pathlib import Path

FENCE = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def python_blocks(path: Path) -> list[tuple[int, str]]:
    """Return the Python examples of a page with the line that each starts on."""
    text = path.read_text()
    return [
        (text[: match.start(2)].count("\n") + 1, match.group(2))
        for match in FENCE.finditer(text)
        if match.group(1) == "python"
    ]


def write_program(page: Path, directory: Path) -> Path | None:
    """Write the blocks of a page as one program; None for a page without any."""
    lines: list[str] = []
    for line, block in python_blocks(page):
        lines += [""] * (line - 1 - len(lines))  # tracebacks name the line on the page
        lines += block.splitlines()
    if not lines:
        return None
    program = directory / page.name
    program.write_text("\n".join(lines) + "\n")
    return program


def shown_output(page: Path) -> str | None:
    """Return what a page says that its program prints: the blocks marked ``text output``."""
    shown = re.findall(r"^```text output\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    return "".join(shown) if shown else None
