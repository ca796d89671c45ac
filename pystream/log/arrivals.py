"""Waiting for partitions to grow: in a thread, or in an event loop. Nothing polls."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from pystream.errors import ClientError
from pystream.log import fork

if TYPE_CHECKING:
    from collections.abc import Callable

    from pystream._native import Log as NativeLog
    from pystream._native import Partition, TailWatch

    # Partitions and the offsets above which they have more; asked for when a wait begins. None:
    # there is nothing to wait for any more.
    Pick = Callable[[], tuple[list[Partition], list[int]] | None]

__all__ = ["Arrivals"]


class Arrivals:
    """What a consumer waits with.

    Parameters
    ----------
    log : native Log
        Of all partitions that are waited for.

    Notes
    -----
    One wait at a time. :meth:`interrupt` may be called from any thread meanwhile. Deadlines are
    seconds of ``time.monotonic()``; None waits for ever.
    """

    def __init__(self, log: NativeLog) -> None:
        self._log = log
        self._watch: TailWatch | None = log.tail_watch()
        self._is_waiting = False

    def wait(self, pick: Pick, deadline: float | None) -> bool:
        """Block until a partition has more or :meth:`interrupt`; False after the deadline.

        Signal handlers run at least every 100 ms; what they raise ends the wait.
        """
        left = -1 if deadline is None else int((deadline - time.monotonic()) * 1e6)
        if deadline is not None and left <= 0:
            return False
        watch = self._watch
        # Read first: whatever changes later what is to be waited for, ends the wait.
        interrupts = 0 if watch is None else watch.interrupts
        picked = pick()
        return picked is None or self._log.wait_any(*picked, left, watch, interrupts)

    async def wait_in_loop(self, pick: Pick, deadline: float | None) -> bool:
        """Do what :meth:`wait` does, in the running event loop; cancelling it leaves no trace.

        Raises
        ------
        ClientError
            If another task waits with the same consumer.
        """
        watch = self._watch
        left = None if deadline is None else deadline - time.monotonic()
        if watch is None or (left is not None and left <= 0):
            return False
        if self._is_waiting:
            raise ClientError(
                "another task waits for records of the same consumer. Give each its own consumer."
            )
        loop = asyncio.get_running_loop()
        arrived: asyncio.Future[bool] = loop.create_future()

        def settle(value: bool) -> None:
            if not arrived.done():
                arrived.set_result(value)

        timer = None
        self._is_waiting = True
        try:
            interrupts = watch.interrupts
            picked = pick()
            if picked is None:
                return True
            watch.arm(*picked, interrupts)
            loop.add_reader(watch.fileno(), settle, True)
            if left is not None:
                timer = loop.call_later(left, settle, False)
            return await arrived
        finally:
            self._is_waiting = False
            if timer is not None:
                timer.cancel()
            if not loop.is_closed():
                loop.remove_reader(watch.fileno())
            watch.disarm()

    def interrupt(self) -> None:
        """End the wait that is going on, if any, so that it is decided anew what to wait for."""
        if self._watch is not None:
            self._watch.interrupt()

    def forget_in_child(self) -> None:
        """Abandon the watch: the thread behind it is the parent's."""
        fork.leak(self._watch)
        self._watch = None
