"""A `with` block whose end runs whatever Ctrl-C does."""

from _thread import RLock
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Literal, TypeVar, final

__all__ = ["Guard"]

_Given = TypeVar("_Given")

@final
class Guard(Generic[_Given]):
    """Holds a lock for a block, and begins and ends something under it."""

    def __init__(
        self,
        lock: RLock,
        begin: Callable[[], _Given],
        end: Callable[[BaseException | None], object],
    ) -> None: ...
    def __enter__(self) -> _Given: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> Literal[False]: ...
