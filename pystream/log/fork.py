"""What a forked child does with the objects that it inherits.

The child has copies of descriptors and connections that it must neither use nor close properly:
closing an SQLite connection would write back the parent's log, and threads of the parent do not
exist in it. Each object that owns such things abandons them here, and opens its own on first use
or says that it cannot be used.
"""

from __future__ import annotations

import os
import threading
from typing import Protocol

from pystream.log.living import Living

__all__ = ["Forkable", "importing", "leak", "on_child"]


class Forkable(Protocol):
    """Owns something that must not be used in a forked child."""

    def forget_in_child(self) -> None:
        """Abandon it, in the child, before anything else runs there."""


importing = threading.RLock()
"""Held while a module is imported late, and during a fork: a module that another thread was in the
middle of importing would stay locked in the child for ever."""

_living: Living[Forkable] = Living()
_leaked: list[object] = []


def on_child(owner: Forkable) -> None:
    """Call ``owner.forget_in_child()`` in every forked child, as long as the owner lives."""
    _living.add(owner)


def leak(thing: object) -> None:
    """Keep `thing` for ever, so that it is not even closed when the interpreter ends."""
    if thing is not None:
        import ctypes  # noqa: PLC0415  only a forked child needs it

        _leaked.append(thing)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _in_child() -> None:
    importing.release()
    for owner in _living.all():
        owner.forget_in_child()


os.register_at_fork(
    before=importing.acquire, after_in_parent=importing.release, after_in_child=_in_child
)
