"""The files that a job writes: all appear when it has finished, none when it has not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pystream._native import Executor, RecordBatch

__all__ = ["FileOutputs", "OpenWriter", "Writer"]


class Writer(Protocol):
    """What a connector's sink is while a job runs."""

    def write(self, batches: list[RecordBatch]) -> None:
        """Take rows."""

    def commit(self) -> None:
        """Make them appear."""

    def abort(self) -> None:
        """Leave nothing behind."""


OpenWriter = Callable[[], Writer]


class FileOutputs:
    """Writers by the node of the collect in front of each; a context manager.

    Leaving the block without :meth:`commit` aborts.
    """

    def __init__(self, openers: dict[int, OpenWriter]) -> None:
        self._openers = openers
        self._open: dict[int, Writer] = {}

    def __enter__(self) -> FileOutputs:
        try:
            for node, opener in self._openers.items():
                self._open[node] = opener()
        except BaseException:
            self._abort()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._abort()

    def write(self, executor: Executor) -> None:
        """Move on what the collects hold."""
        for node, writer in self._open.items():
            if batches := executor.take_collected(node):
                writer.write(batches)

    def commit(self) -> None:
        """Make all files appear, one after the other."""
        for node in list(self._open):
            self._open[node].commit()
            del self._open[node]

    def _abort(self) -> None:
        for writer in self._open.values():
            writer.abort()
        self._open.clear()
