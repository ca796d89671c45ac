"""Converting records to the cells of a row: the loop over Python values that `send` is."""

from typing import Any, Self, final

from pystream._native._core import TopicWriter
from pystream.errors import StreamError

__all__ = ["TopicEncoder", "TopicSequences"]

@final
class TopicSequences:
    """Of a producer with a name and a topic: which sequences are stored."""

    stopped_by: StreamError | None
    def __new__(cls, complete: int) -> Self: ...
    def complete(self) -> int: ...
    def complete_with(self, first: int) -> int: ...
    def stored(self, first: int) -> None: ...
    def acknowledged(self, first: int) -> None: ...

@final
class TopicEncoder:
    """What a producer knows of a topic, and its open batches."""

    is_gone: bool
    def __new__(
        cls,
        topic: str,
        schema_blob: bytes,
        names: tuple[str, ...],
        types: tuple[str, ...],
        key_columns: list[int],
        partitions: int,
        is_typed: bool,
        sticky: int,
        target: Any,
        writer: TopicWriter,
        sequences: TopicSequences | None = None,
        needs_key: bool = False,
    ) -> Self: ...
    @property
    def needs_key(self) -> bool:
        """Whether its topic is compacted, so that records without a key are refused."""

    @property
    def topic(self) -> str: ...
    @property
    def partitions(self) -> int: ...
    @property
    def is_typed(self) -> bool: ...
    @property
    def target(self) -> Any: ...
    @property
    def writer(self) -> TopicWriter: ...
    @property
    def sequences(self) -> TopicSequences | None: ...
