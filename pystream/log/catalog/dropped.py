"""Connections of catalogs that nobody has closed.

Closing the last connection writes the log back, so it happens under the catalog's write lock. What
was dropped is found by the garbage collector, and that runs anywhere: also in a thread that holds
this very lock through another catalog of the same log. So nobody waits for it there.
"""

from __future__ import annotations

import atexit
import sqlite3
from collections import deque
from typing import NamedTuple

from pystream.errors import StorageError
from pystream.log import fork
from pystream.log.kernel_lock import KernelLock

__all__ = ["DROPPED", "Connected"]


class Connected(NamedTuple):
    """A connection for writing, and what it is closed under."""

    connection: sqlite3.Connection
    lock: KernelLock
    lock_timeout_us: int

    def close(self) -> None:
        """Close both; waits for the lock. Raises RequestTimeoutError."""
        try:
            self.lock.acquire(self.lock_timeout_us)
            self.connection.close()
        finally:
            self.lock.close()

    def try_close(self) -> bool:
        """Close both, unless somebody holds the lock."""
        try:
            if not self.lock.try_acquire():
                return False
            self.connection.close()
        except StorageError:  # the log's directory is gone
            self.connection.close()
        self.lock.close()
        return True


class Dropped:
    """Those that could not be closed when they were dropped."""

    def __init__(self) -> None:
        self._waiting: deque[Connected] = deque()
        self._is_ending = False  # the interpreter is: nobody comes by any more
        fork.on_child(self)
        atexit.register(self._close_all)

    def add(self, connected: Connected) -> None:
        """Close a connection, or leave it to who calls :meth:`try_close`; never waits."""
        if self._is_ending:
            connected.close()
        elif not connected.try_close():
            self._waiting.append(connected)

    def try_close(self) -> None:
        """Close those whose lock is free now. Cheap when there are none."""
        for _ in range(len(self._waiting)):
            try:
                connected = self._waiting.popleft()
            except IndexError:  # another thread did the same
                return
            self.add(connected)

    def __len__(self) -> int:
        return len(self._waiting)

    def forget_in_child(self) -> None:
        """Abandon what a forked child must not touch."""
        for connected in self._waiting:
            fork.leak(connected.connection)
            connected.lock.forget()
        self._waiting.clear()

    def _close_all(self) -> None:
        self._is_ending = True
        while self._waiting:
            self._waiting.popleft().close()


DROPPED = Dropped()
