"""Exclusive locks that the kernel drops when their holder dies.

Open-file-description locks: they belong to the open file and not to the process, so they work
between containers, and closing another descriptor of the same file does not drop them (as it does
with POSIX locks).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import time
from types import TracebackType

from pystream._native import Descriptor
from pystream.errors import RequestTimeoutError, StorageError
from pystream.log.os_errors import advice_on

__all__ = ["KernelLock", "is_locked"]

_SLOT_BYTES = 16
_FLOCK = struct.Struct("hhqqi0q")  # struct flock of 64-bit Linux: type, whence, start, length, pid
_POLL_SECONDS_MAX = 0.01


class KernelLock:
    """A lock on one slot of a file; the holder's process id stands in the slot, for messages.

    Parameters
    ----------
    path : str
        Created when missing. Slots of 16 bytes; the file's content means nothing else.
    slot : int
        Which one.
    what : str
        Names the lock in messages.

    Notes
    -----
    Not for two threads at once: threads share the open file, so the kernel cannot tell them
    apart. A child of a fork calls :meth:`forget`, which closes its copy and does not unlock.
    """

    def __init__(self, path: str, *, slot: int = 0, what: str) -> None:
        self._path = path
        self._start = slot * _SLOT_BYTES
        self._what = what
        # Dropped without close(), as when Ctrl-C comes between taking and noting it, it is free.
        self._file: Descriptor | None = None

    def try_acquire(self) -> bool:
        """Take the lock if nobody holds it.

        Raises
        ------
        StorageError
            If the file cannot be opened.
        """
        try:
            if self._file is None:
                self._file = Descriptor(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
            fcntl.fcntl(self._file.number, fcntl.F_OFD_SETLK, self._flock(fcntl.F_WRLCK))
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES) and self._file is not None:
                return False
            raise StorageError(
                f"cannot lock {self._what}: {self._path}: {error.strerror}. "
                f"{advice_on(error.errno)}",
                errno=error.errno,
                path=self._path,
            ) from error
        with contextlib.suppress(OSError):  # a full disk takes the name of the holder, no more
            os.pwrite(self._file.number, str(os.getpid()).encode().ljust(_SLOT_BYTES), self._start)
        return True

    def acquire(self, timeout_us: int) -> None:
        """Take the lock, waiting for it; Ctrl-C ends the wait.

        Raises
        ------
        RequestTimeoutError
            If another process holds it for longer; names its process id.
        StorageError
            If the file cannot be opened.
        """
        deadline = time.monotonic() + timeout_us / 1e6
        pause = 0.0002
        while not self.try_acquire():
            if time.monotonic() >= deadline:
                pid = self.holder()
                raise RequestTimeoutError(
                    f"{self._what} was held by process {pid} for {timeout_us / 1e6:g} s. See "
                    "whether that process is stopped; when it ends, the lock is free.",
                    pid=pid,
                )
            time.sleep(pause)
            pause = min(2 * pause, _POLL_SECONDS_MAX)

    def holder(self) -> int | None:
        """Return the process id that the last holder wrote, if it can be read."""
        with contextlib.suppress(OSError, ValueError):
            return int(os.pread(self._number, _SLOT_BYTES, self._start))
        return None

    def release(self) -> None:
        """Give the lock back; nothing happens when it is not held."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                fcntl.fcntl(self._file.number, fcntl.F_OFD_SETLK, self._flock(fcntl.F_UNLCK))

    def close(self) -> None:
        """Give the lock back and close the file."""
        self.release()
        self.forget()

    def forget(self) -> None:
        """Close this process's copy of the file: while a parent has one, its lock stays."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def is_held_by_other(self, slot: int) -> bool:
        """Return whether somebody else holds a slot of the same file. About a microsecond."""
        return _is_locked(self._number, slot)

    def _flock(self, kind: int) -> bytes:
        return _FLOCK.pack(kind, os.SEEK_SET, self._start, _SLOT_BYTES, 0)

    @property
    def _number(self) -> int:
        return -1 if self._file is None else self._file.number

    def __enter__(self) -> KernelLock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def is_locked(path: str, slot: int) -> bool:
    """Return whether anybody, this process included, holds a slot; without writing anything."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return _is_locked(descriptor, slot)
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int, slot: int) -> bool:
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, slot * _SLOT_BYTES, _SLOT_BYTES, 0)
    found = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, asked)
    return bool(_FLOCK.unpack(found)[0] != fcntl.F_UNLCK)
