"""Roles in processes that fork from one of their own, for tests that kill them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

__all__ = ["start"]


def start(role: Callable[[], None]) -> int:
    """Run `role` in a forked process."""
    child = os.fork()
    if child:
        return child
    try:
        role()
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)
