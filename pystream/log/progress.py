"""A count that threads wait for, and that Ctrl-C may end the wait for."""

from __future__ import annotations

import time

from pystream.log.bell import Bell

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
        self._bells: list[Bell] = []

    def advance(self) -> None:
        """Count one more, and wake all who wait."""
        self.count += 1
        for bell in tuple(self._bells):
            bell.ring()

    def wait_for(self, count: int, seconds: float | None) -> bool:
        """Wait until there are that many, or so long; return whether there are."""
        deadline = None if seconds is None else time.monotonic() + seconds
        bell = Bell()
        self._bells.append(bell)
        try:
            while self.count < count:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return False
                bell.wait(left)
            return True
        finally:
            self._bells.remove(bell)
