"""What a forked child does with the objects that it inherits.

The child has copies of descriptors and connections that it must neither use nor close properly:
closing an SQLite connection would write back the parent's log, and threads of the parent do not
exist in it. Each object that owns such things abandons them here, and opens its own on first use
or says that it cannot be used.
"""

from __future__ import annotations

import os
import threading
from _thread import RLock
from typing import Protocol

from pystream.log.living import Living

__all__ = ["Forkable", "importing", "leak", "mutex", "on_child"]


class Forkable(Protocol):
    """Owns something that must not be used in a forked child."""

    def forget_in_child(self) -> None:
        """Abandon it, in the child, before anything else runs there."""


importing = threading.RLock()
"""Held while a module is imported late, and during a fork: a module that another thread was in the
middle of importing would stay locked in the child for ever."""

_living: Living[Forkable] = Living()
_leaked: list[object] = []
_mutexes: Living[RLock] = Living()
_forking = threading.Lock()  # one thread at a time
_held: list[RLock] = []  # by the thread that forks


def on_child(owner: Forkable) -> None:
    """Call ``owner.forget_in_child()`` in every forked child, as long as the owner lives."""
    _living.add(owner)


def mutex() -> RLock:
    """Return a lock that is free in every forked child, and what it guards at rest.

    A fork waits for it. SQLite needs that: its connections to one file share locks within a
    process, and one that another thread is inside of would stay locked in the child for ever.
    """
    made = RLock()
    _mutexes.add(made)
    return made


def leak(thing: object) -> None:
    """Keep `thing` for ever, so that it is not even closed when the interpreter ends."""
    if thing is not None:
        import ctypes  # noqa: PLC0415  only a forked child needs it

        _leaked.append(thing)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _before() -> None:
    _forking.acquire()
    # Until there are no new ones: others may be made while one is waited for.
    while new := [found for found in _mutexes.all() if found not in _held]:
        for found in new:
            found.acquire()
            _held.append(found)
    importing.acquire()  # last: nothing that is guarded by it waits for the others


def _after() -> None:
    importing.release()
    while _held:
        _held.pop().release()
    _forking.release()


def _in_child() -> None:
    _after()
    for owner in _living.all():
        owner.forget_in_child()


os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_in_child)
