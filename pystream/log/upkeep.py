"""The thread of a process that looks after retention, one process of a log at a time."""

from __future__ import annotations

import logging
import threading
import weakref
from typing import TYPE_CHECKING

from pystream import config
from pystream.errors import ClosedError, CorruptCatalogError, StreamError

if TYPE_CHECKING:
    from pystream.log.open_log import OpenLog

__all__ = ["Upkeep"]


class Upkeep:
    """Applies retention again and again, from :meth:`start` to :meth:`stop`.

    Parameters
    ----------
    log : Log
        Not kept alive.

    Notes
    -----
    The thread sleeps between two looks, and does nothing while another process of the log has the
    turn, which is a kernel lock. What goes wrong is logged (logger ``pystream``) and tried again
    at the next look. A log that is dropped without being closed is noticed there, too: no code of
    Python may run when it is collected. A forked child has no thread; it starts its own.
    """

    def __init__(self, log: OpenLog) -> None:
        self._log = weakref.ref(log)
        self._begin()

    def _begin(self) -> None:
        self._stopping = threading.Event()
        self._life = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; nothing happens when it runs, or was stopped."""
        with self._life:
            if self._thread is None and not self._stopping.is_set():
                self._thread = threading.Thread(
                    target=_run,
                    args=(self._log, self._stopping),
                    name="pystream-retention",
                    daemon=True,
                )
                self._thread.start()

    def stop(self) -> None:
        """End the thread, and wait for what it does just now."""
        self._stopping.set()
        with self._life:
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def forget_in_child(self) -> None:
        """Abandon the parent's thread."""
        self._begin()


def _run(found: weakref.ref[OpenLog], stopping: threading.Event) -> None:
    seconds = config.parse_duration_us(config.RETENTION_CHECK_INTERVAL) / 1e6
    while not stopping.wait(seconds):
        log = found()
        if log is None:
            return
        try:
            _look(log)
        except ClosedError:
            return
        except StreamError as error:
            logging.getLogger("pystream").warning("retention in %s: %s", log.directory, error)
        del log


def _look(log: OpenLog) -> None:
    # Seldom needed, and above what is looked after.
    from pystream.log.log_topics import LogTopics  # noqa: PLC0415
    from pystream.log.retention import look_after, retention_lock  # noqa: PLC0415

    assert isinstance(log, LogTopics)
    lock = retention_lock(log.directory)
    try:
        if lock.try_acquire():
            found = []
            for name in log.topics():
                try:
                    found.append(log.topic_if_exists(name))
                except CorruptCatalogError as error:  # the others are looked after all the same
                    logging.getLogger("pystream").warning("retention: %s", error)
            look_after(log, [topic for topic in found if topic is not None])
    finally:
        lock.close()
