"""Processes that work on one log at the same time, each with a role, for the programs here."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from typing import Any

__all__ = ["run_roles", "speed"]

# What a process does, and with what but for the event; it returns what it has to say.
Role = tuple[Callable[..., dict[str, Any]], tuple[Any, ...]]


def speed(who: str, count: int, begin: float) -> dict[str, Any]:
    """Return bytes and their rate since a moment."""
    seconds = time.monotonic() - begin
    rate = round(count / seconds / 1e6, 1)
    return {"who": who, "bytes": count, "seconds": round(seconds, 2), "mb_per_s": rate}


def run_roles(roles: list[Role]) -> list[dict[str, Any]]:
    """Let all of them run; return what each says, by its name.

    The last argument of each is an event: the writer sets it when it is done, and so does a role
    that fails, so that the others end.
    """
    context = multiprocessing.get_context("spawn")
    is_over = context.Event()
    results = context.Queue()
    processes = [context.Process(target=_play, args=(*role, is_over, results)) for role in roles]
    for process in processes:
        process.start()
    said = [results.get(timeout=3_600) for _ in processes]
    for process in processes:
        process.join()
    return sorted(said, key=lambda its: str(its["who"]))


def _play(
    role: Callable[..., dict[str, Any]], arguments: tuple[Any, ...], is_over: Event, results: Any
) -> None:
    try:
        results.put(role(*arguments, is_over))
    except BaseException as error:
        results.put({"who": role.__name__, "error": f"{type(error).__name__}: {error}"})
        is_over.set()
