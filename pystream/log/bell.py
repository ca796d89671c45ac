"""What one thread waits for and others ring."""

from __future__ import annotations

import threading

__all__ = ["Bell"]


class Bell:
    """Ends the wait of one thread: that of now, or else the next.

    Notes
    -----
    A lock of the interpreter and next to no Python: the latency of a record has both sides of it.
    Not `queue.SimpleQueue`, whose ``get(timeout=...)`` waits for ever in Python 3.11 and 3.12 when
    the system takes the processor away at the wrong moment for as long as the timeout: the rest of
    it is negative then, and taken for none.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def ring(self) -> None:
        """End the wait, or the next one; ringing twice is ringing once."""
        try:  # cheaper than a context: a record waits for it
            self._lock.release()
        except RuntimeError:
            return  # it rang already

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it rings, or that long; return whether it rang. Ctrl-C ends it."""
        if seconds is None:
            return self._lock.acquire()
        return self._lock.acquire(timeout=min(max(seconds, 0.0), threading.TIMEOUT_MAX))
