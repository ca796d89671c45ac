"""What is given back whatever Ctrl-C does: a lock behind a block, a file that is dropped."""

from _thread import RLock
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Literal, TypeVar, final

__all__ = ["Descriptor", "Guard"]

_Given = TypeVar("_Given")

@final
class Descriptor:
    """A file that is open until it is closed or this is dropped."""

    def __init__(self, path: str, flags: int, mode: int = 0o666) -> None: ...
    @property
    def number(self) -> int: ...
    def close(self) -> None: ...

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
