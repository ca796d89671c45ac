"""Files that were removed and that processes still have mapped: the disk keeps them until then."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

__all__ = ["pinned_bytes"]

_DELETED = " (deleted)"


def pinned_bytes(partition_directory: str) -> int:
    """Return the bytes of removed segments of a partition that some process has mapped.

    Each file counts once. A process of another user is seen where the system allows it.
    """
    prefix = os.path.realpath(partition_directory) + os.sep
    sizes: dict[tuple[str, int], int] = {}
    for process in _processes():
        with contextlib.suppress(OSError, ValueError):
            for line in _maps(process):
                place, _, _, device, inode, path = line.split(maxsplit=5)
                if path.startswith(prefix) and path.endswith(".seg" + _DELETED):
                    sizes[device, int(inode)] = _size(process, place)
    return sum(sizes.values())


def _processes() -> Iterator[str]:
    with contextlib.suppress(OSError):
        yield from (name for name in os.listdir("/proc") if name.isdecimal())


def _maps(process: str) -> list[str]:
    with open(f"/proc/{process}/maps", encoding="utf-8", errors="replace") as lines:
        return [line.rstrip("\n") for line in lines if line.endswith(_DELETED + "\n")]


def _size(process: str, place: str) -> int:
    """Return the bytes of a mapped file; where that may not be known, of the mapping."""
    try:
        return os.stat(f"/proc/{process}/map_files/{place}").st_size
    except OSError:
        begin, _, end = place.partition("-")
        return int(end, 16) - int(begin, 16)
