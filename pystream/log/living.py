"""Remembering objects for as long as somebody else needs them."""

from __future__ import annotations

import contextlib
import weakref
from typing import Generic, TypeVar

__all__ = ["Living"]

_Object = TypeVar("_Object")


class Living(Generic[_Object]):
    """A set that keeps nothing alive. Any thread.

    Notes
    -----
    Not a `weakref.WeakSet`, which calls Python code when an object dies: a Ctrl-C that comes just
    then is an exception in that code, which the interpreter prints and drops.
    """

    def __init__(self) -> None:
        self._references: list[weakref.ref[_Object]] = []
        self._tidy_at = 16  # references, when the dead ones are taken out

    def add(self, thing: _Object) -> None:
        """Remember an object."""
        self._references.append(weakref.ref(thing))
        if len(self._references) >= self._tidy_at:
            for reference in tuple(self._references):
                if reference() is None:
                    with contextlib.suppress(ValueError):  # another thread did the same
                        self._references.remove(reference)
            self._tidy_at = max(16, 2 * len(self._references))

    def all(self) -> list[_Object]:
        """Return those that live."""
        found = [reference() for reference in tuple(self._references)]
        return [thing for thing in found if thing is not None]
