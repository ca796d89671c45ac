"""What ``pystream produce`` reads: files or standard input, as far as it has come."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import cast

from pystream.cli.endings import Stop

__all__ = ["BadInputError", "Input", "line_blocks", "open_input"]

_BLOCK = 4 << 20
LINE_MAX = 64 << 20  # bytes of one line, or of one row of CSV


class BadInputError(Exception):
    """What was read cannot be produced; the message says where and why."""


class Input:
    """A file that is read in pieces, each as soon as it is there; a signal may end the wait."""

    def __init__(self, name: str, file: BufferedReader, stop: Stop) -> None:
        self.name = name
        self.file = file
        self._stop = stop

    def read(self, size: int = _BLOCK) -> bytes:
        """Return what is there, at most `size` bytes; nothing at the end."""
        with self._stop.waiting():
            return self.file.read1(size)


@contextmanager
def open_input(path: Path | None, stop: Stop) -> Iterator[Input]:
    """Open a file, or standard input without a path or with ``-``."""
    if path is None or str(path) == "-":
        yield Input("standard input", cast(BufferedReader, sys.stdin.buffer), stop)
        return
    with path.open("rb") as file:
        yield Input(os.fspath(path), file, stop)


def line_blocks(source: Input, delimiter: bytes, *, has_quotes: bool = False) -> Iterator[bytes]:
    """Yield whole lines, many at a time when many are there.

    Parameters
    ----------
    source : Input
    delimiter : bytes
        Behind each line; it may be missing behind the last.
    has_quotes : bool
        Lines in which a quote is open go on, as in CSV.

    Raises
    ------
    BadInputError
        If a line is longer than `LINE_MAX`.
    """
    pieces: list[bytes] = []
    waiting = quotes = 0
    while piece := source.read():
        end = piece.rfind(delimiter) + len(delimiter)
        if len(delimiter) > 1 and pieces:
            # The delimiter may have come in two pieces.
            piece = b"".join([*pieces, piece])
            pieces, waiting, quotes = [], 0, 0
            end = piece.rfind(delimiter) + len(delimiter)
        found = end > len(delimiter) - 1
        if has_quotes:
            found = found and (quotes + piece.count(b'"', 0, end)) % 2 == 0
        if found:
            yield b"".join([*pieces, piece[:end]])
            pieces, waiting, quotes = [], 0, 0
            piece = piece[end:]
        pieces.append(piece)
        waiting += len(piece)
        quotes += piece.count(b'"') if has_quotes else 0
        if waiting > LINE_MAX:
            raise BadInputError(f"a line is longer than {LINE_MAX:,} bytes")
    if rest := b"".join(pieces):
        yield rest
