"""Encoding single records: the loop over Python values that a producer's `send` is."""

from collections.abc import Callable, Generator, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt

from pystream._native._core import Acks, TopicAppendResult, TopicWriter
from pystream.errors import StreamError
from pystream.types import RecordMetadata

__all__ = [
    "Delivery",
    "ProducerBatch",
    "RecordAccumulator",
    "TopicEncoder",
    "TopicSequences",
    "append_records",
    "encode_rows",
    "to_stream_error",
]

@final
class Delivery:
    """The future of one sent record; `Producer.send` returns it."""

    def done(self) -> bool: ...
    def result(self, timeout: str | timedelta | None = None) -> RecordMetadata: ...
    def exception(self, timeout: str | timedelta | None = None) -> StreamError | None: ...
    def add_done_callback(self, callback: Callable[[Delivery], object]) -> None: ...
    def __await__(self) -> Generator[Any, None, RecordMetadata]: ...
    def __repr__(self) -> str: ...

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
    ) -> Self: ...
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

@final
class ProducerBatch:
    """The records of one partition that are appended together, and what became of them."""

    @property
    def encoder(self) -> TopicEncoder: ...
    @property
    def partition(self) -> int: ...
    @property
    def record_count(self) -> int: ...
    @property
    def byte_count(self) -> int: ...
    @property
    def first_sequence(self) -> int: ...
    def take(self) -> tuple[object, object]: ...
    def complete(
        self,
        base_offset: int,
        append_time_us: int | None = None,
        offsets: npt.NDArray[np.int64] | None = None,
        duplicate_count: int = 0,
    ) -> None: ...
    def fail(
        self,
        error: StreamError,
        offsets: npt.NDArray[np.int64] | None = None,
        duplicate_count: int = 0,
    ) -> None: ...
    def abandon(self, error: StreamError) -> None: ...

@final
class RecordAccumulator:
    """Collects records in batches per partition, for a `Producer` that appends them."""

    is_idle: bool
    unusable: str | None
    def __init__(
        self,
        make_encoder: Callable[[str], TopicEncoder],
        wake: Callable[[], None],
        wait_for_memory: Callable[[], None],
        is_outdated: Callable[[TopicEncoder], bool],
        *,
        batch_size: int,
        buffer_memory: int,
        max_record_bytes: int,
    ) -> None: ...
    def append_lone_records(
        self,
        acks: Acks,
        check_topic: Callable[[TopicEncoder], None],
        note_error: Callable[[StreamError], None],
    ) -> None:
        """Let `send` append a record that comes alone, while the background thread is idle."""

    @property
    def buffered_bytes(self) -> int: ...
    @property
    def sealed_count(self) -> int: ...
    def send(
        self,
        topic: str,
        value: object = None,
        *,
        key: bytes | str | None = None,
        partition: int | None = None,
        timestamp: datetime | np.datetime64 | int | None = None,
        headers: Sequence[tuple[str, bytes | str | None]] | None = None,
        sequence_id: int | None = None,
    ) -> Delivery: ...
    def add_table(
        self,
        encoder: TopicEncoder,
        table: Any,
        rows: int,
        first: int | None = None,
        last: int | None = None,
    ) -> None: ...
    def encoder(self, topic: str) -> TopicEncoder: ...
    def encoders(self) -> list[TopicEncoder]: ...
    def drop_encoder(self, encoder: TopicEncoder) -> None: ...
    def retire_encoder(self, encoder: TopicEncoder) -> None: ...
    def seal_older_than(self, age_us: int) -> None: ...
    def take_sealed(self) -> list[Any]: ...
    def take_all(self) -> list[Any]: ...
    def oldest_age_us(self) -> int | None: ...
    def has_work(self) -> bool: ...
    def release(self, byte_count: int) -> None: ...

def append_records(
    batch: ProducerBatch, acks: Acks, complete: int, result: TopicAppendResult
) -> None:
    """Append a batch that takes no more records; what was published is in `result`."""

def to_stream_error(error: Exception) -> StreamError:
    """Return an error of an append as one of ours."""

def encode_rows(encoder: TopicEncoder, rows: Iterable[object]) -> object:
    """Return records as a capsule of a batch with the topic's columns. Raises SchemaError."""
