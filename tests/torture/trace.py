"""Reads the trace that ``recorder.c`` writes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HEADER = struct.Struct("<c3xIQqQ")

CREATE, MAKE_DIRECTORY, WRITE, STORE = b"c", b"d", b"w", b"m"
ALLOCATE, TRUNCATE, SYNC = b"a", b"t", b"s"
RENAME, UNLINK, REMOVE_DIRECTORY, MARK = b"r", b"u", b"x", b"k"
CALLS = frozenset((CREATE, MAKE_DIRECTORY, WRITE, ALLOCATE, TRUNCATE, SYNC, RENAME, UNLINK))


@dataclass(frozen=True, slots=True)
class Call:
    """One change: a call, a store into a mapping (512 bytes at most), or a mark."""

    kind: bytes
    inode: int
    position: int
    path: str
    data: bytes

    @property
    def paths(self) -> tuple[str, str]:
        """Old and new path of a rename."""
        old, _, new = self.path.partition("\0")
        return old, new


def parse(trace: bytes) -> Iterator[Call]:
    """Yield the records of a trace. A last one that was cut short, by a kill, is left out."""
    at = 0
    while at + HEADER.size <= len(trace):
        kind, path_length, inode, position, data_length = HEADER.unpack_from(trace, at)
        at += HEADER.size
        path = trace[at : at + path_length].decode()
        at += path_length
        data = trace[at : at + data_length]
        at += data_length
        if at > len(trace):
            return
        yield Call(kind, inode, position, path, data)


def read(path: Path) -> list[Call]:
    """Return all records of a trace file."""
    return list(parse(path.read_bytes()))
