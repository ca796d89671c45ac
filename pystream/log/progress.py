"""A count that threads wait for, and that Ctrl-C may end the wait for."""

from __future__ import annotations

import contextlib
import time
from queue import Empty, SimpleQueue

__all__ = ["Progress"]


class Progress:
    """Counts what is done.

    Attributes
    ----------
    count : int
        Raised by one thread.

    Notes
    -----
    Not a `threading.Condition`: a signal that comes between two lines of its `wait` leaves a lock
    released that is released again.
    """

    def __init__(self) -> None:
        self.count = 0
        self._bells: list[SimpleQueue[None]] = []

    def advance(self) -> None:
        """Count one more, and wake all who wait."""
        self.count += 1
        for bell in tuple(self._bells):
            if bell.empty():
                bell.put(None)

    def wait_for(self, count: int, seconds: float | None) -> bool:
        """Wait until there are that many, or so long; return whether there are."""
        deadline = None if seconds is None else time.monotonic() + seconds
        bell: SimpleQueue[None] = SimpleQueue()
        self._bells.append(bell)
        try:
            while self.count < count:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return False
                with contextlib.suppress(Empty):
                    bell.get(timeout=left)
            return True
        finally:
            self._bells.remove(bell)
