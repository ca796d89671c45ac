"""Handing out what was read ahead: batch by batch, column by column."""

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, final

from typing_extensions import disjoint_base

from pystream._native._core import Array, FetchedBatches, LogBatch, Schema

__all__ = ["ArrayHandle", "BatchIterator", "BatchQueue", "BatchRows", "PartitionPosition"]

_Rows = TypeVar("_Rows", bound="BatchRows")
_Position = TypeVar("_Position", bound="PartitionPosition")

@disjoint_base
class ArrayHandle:
    """A column as the core has it; a base class."""

    @property
    def _handle(self) -> Array: ...
    def __init__(self, handle: Array) -> None: ...

@disjoint_base
class PartitionPosition:
    """How far the records of a partition were handed out; a base class."""

    position: int
    def __init__(self, position: int) -> None: ...

@disjoint_base
class BatchRows:
    """Rows as columns, which are read from a stored batch when they are asked for; a base class."""

    @property
    def _schema(self) -> Schema: ...
    @property
    def _num_rows(self) -> int: ...
    @property
    def _columns(self) -> dict[int, Array]: ...
    @property
    def _stored(self) -> LogBatch | None: ...
    @property
    def _begin(self) -> int: ...
    def __init__(
        self,
        schema: Schema,
        num_rows: int,
        columns: dict[int, Array],
        stored: LogBatch | None = None,
        begin: int = 0,
    ) -> None: ...
    def _column(self, index: int) -> Array:
        """Return a column as the core has it; a corrupt one raises CorruptRecordError."""

    def _find(self, name: str) -> Array | None:
        """Return the column of a name, None when there is none."""

@final
class BatchQueue(Generic[_Position, _Rows]):
    """Batches that were read ahead and not handed out yet."""

    @property
    def records_taken(self) -> int: ...
    is_held: bool
    def __init__(self, batch_type: type[_Rows]) -> None: ...
    @property
    def epoch(self) -> int:
        """Rises when what is there, or on its way, is to be forgotten."""

    def clear(self) -> None:
        """Forget what is there, and what is put under an earlier epoch."""

    def move(self, partition: _Position, position: int) -> None:
        """Set the position of a partition, and forget what was read before."""

    def put(self, epoch: int, partitions: list[_Position], fetched: FetchedBatches) -> None:
        """Replace what is there by what ``Fetcher.fetch`` gave, unless the epoch is over."""

    def step_over(self, epoch: int, partitions: list[_Position], positions: list[int]) -> None:
        """Move partitions forward to where nothing more is, unless the epoch is over."""

    def take(self, max_records: int | None) -> tuple[_Position, _Rows] | None:
        """Return the partition and rows of the next batch, from the partition's position on."""

@final
class BatchIterator(Generic[_Rows]):
    """Iterates over the batches of a queue."""

    def __init__(
        self,
        queue: BatchQueue[Any, _Rows],
        max_records: int | None,
        wait: Callable[[], _Rows | None],
    ) -> None: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> _Rows: ...
