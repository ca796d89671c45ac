"""Files that were removed and that processes still have mapped: the disk keeps them until then."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator

__all__ = ["pinned_bytes"]

_DELETED = b" (deleted)"
_READ_BYTES = 1 << 16


def pinned_bytes(partition_directories: Iterable[str]) -> list[int]:
    """Return for each partition the bytes of its removed segments that some process has mapped.

    Each file counts once. A process of another user is seen where the system allows it. The maps
    of each process are read once, however many partitions are asked for.
    """
    places = [os.fsencode(os.path.realpath(directory)) for directory in partition_directories]
    sizes: dict[bytes, dict[tuple[bytes, int], int]] = {place: {} for place in places}
    root = os.path.commonpath(places) if places else b""
    for process in _processes() if places else ():
        with contextlib.suppress(OSError, ValueError):
            maps = _maps(process)
            if root not in maps:  # most processes: nothing of them becomes a line
                continue
            for line in maps.split(b"\n"):
                if not line.endswith(b".seg" + _DELETED):
                    continue
                place, _, _, device, inode, path = line.split(maxsplit=5)
                if (found := sizes.get(os.path.dirname(path))) is not None:
                    found[device, int(inode)] = _size(process, place.decode())
    return [sum(sizes[place].values()) for place in places]


def _processes() -> Iterator[str]:
    with contextlib.suppress(OSError):
        yield from (name for name in os.listdir("/proc") if name.isdecimal())


def _maps(process: str) -> bytes:
    descriptor = os.open(f"/proc/{process}/maps", os.O_RDONLY | os.O_CLOEXEC)
    try:
        # Straight from the system: it gives a page at a time, and a file object asks thrice more.
        return b"".join(iter(lambda: os.read(descriptor, _READ_BYTES), b""))
    finally:
        os.close(descriptor)


def _size(process: str, place: str) -> int:
    """Return the bytes of a mapped file; where that may not be known, of the mapping."""
    try:
        return os.stat(f"/proc/{process}/map_files/{place}").st_size
    except OSError:
        begin, _, end = place.partition("-")
        return int(end, 16) - int(begin, 16)
