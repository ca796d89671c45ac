"""Entry point of the command ``pystream``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; its libraries are the extra ``pystream[cli]``."""
    try:
        from pystream.cli.commands import app  # noqa: PLC0415  an extra
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich", "click"):
            raise
        sys.exit(
            f"pystream: the command line needs {error.name}, which is not installed. "
            "Run: pip install 'pystream[cli]'"
        )
    app()
