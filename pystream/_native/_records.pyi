"""Yielding single records of a batch: each field is decoded when it is asked for."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, final

from pystream._native._core import Array

__all__ = [
    "Record",
    "RecordIterator",
    "RecordPlace",
    "RecordRows",
    "decode_headers",
    "encode_headers",
]

@final
class Record:
    """One record of a topic; fields are decoded when they are read."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> Any: ...
    @property
    def value(self) -> Any: ...
    @property
    def headers(self) -> list[tuple[str, bytes | None]]: ...
    def keys(self) -> list[str]: ...
    def __getitem__(self, name: str, /) -> Any: ...
    def __contains__(self, name: object, /) -> bool: ...
    def __repr__(self) -> str: ...

@final
class RecordRows:
    """The rows of one batch, read value by value."""

    def __init__(
        self,
        topic: str,
        partition: int,
        base_offset: int,
        length: int,
        names: tuple[str, ...],
        key: tuple[int, ...],
        is_typed: bool,
        load: Callable[[int], tuple[object, Array] | None],
        offsets: bytes | None = None,
    ) -> None: ...
    def position(self, row: int) -> int:
        """Return the offset behind so many rows."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def base_offset(self) -> int: ...
    @property
    def length(self) -> int: ...
    @property
    def is_typed(self) -> bool: ...
    def records(self, begin: int, end: int) -> list[Record]: ...

@final
class RecordPlace:
    """Where an iteration over records is: a batch, and how many of its rows were handed out."""

    @property
    def rows(self) -> RecordRows | None: ...
    @property
    def row(self) -> int: ...
    def enter(self, rows: RecordRows) -> None: ...
    def drop(self) -> None: ...

@final
class RecordIterator:
    """Iterates over the records of one batch after another."""

    def __init__(self, place: RecordPlace, next_rows: Callable[[], RecordRows | None]) -> None: ...
    def __iter__(self) -> Iterator[Record]: ...
    def __next__(self) -> Record: ...

def encode_headers(headers: Sequence[tuple[str, bytes | str | None]]) -> bytes:
    """Return record headers in Kafka's encoding. Raises ConfigError."""

def decode_headers(encoded: bytes) -> list[tuple[str, bytes | None]]:
    """Return the headers of a record, which `encode_headers` encoded."""
