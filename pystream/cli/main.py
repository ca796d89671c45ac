"""Entry point of the command ``pystream``."""

from __future__ import annotations

import os
import sys

# What nobody can read is opened for writing, and the other way round: whoever tries is told so.
_STREAMS = (("stdin", os.O_WRONLY, "r"), ("stdout", os.O_RDONLY, "w"), ("stderr", os.O_WRONLY, "w"))


def main() -> None:
    """Run the command line; its libraries are the extra ``pystream[cli]``."""
    _open_standard_streams()
    try:
        from pystream.cli.commands import app  # noqa: PLC0415  an extra
        from pystream.cli.endings import run_to_end  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich", "click"):
            raise
        sys.exit(
            f"pystream: the command line needs {error.name}, which is not installed. "
            "Run: pip install 'pystream[cli]'"
        )
    run_to_end(app)


def _open_standard_streams() -> None:
    """Let no file of a log become standard input or output where those are closed."""
    for name, access, mode in _STREAMS:
        if getattr(sys, name) is None:
            # The lowest number that is free: that of the stream, as they come in its order.
            descriptor = os.open(os.devnull, access)
            setattr(sys, name, os.fdopen(descriptor, mode, encoding="utf-8"))
