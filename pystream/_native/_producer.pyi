"""Collecting single records in batches: what a producer's `send` is."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, final

import numpy as np

from pystream._native._core import Acks
from pystream._native._delivery import Delivery
from pystream._native._encoder import TopicEncoder
from pystream.errors import StreamError

__all__ = ["RecordAccumulator", "encode_rows"]

@final
class RecordAccumulator:
    """Collects records in batches per partition, for a `Producer` that appends them."""

    is_idle: bool
    unusable: str | None
    refusal: Callable[[], StreamError] | None  # gives what `send` raises for now
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
    def note_worker(self) -> None:
        """Say that this thread appends what is sent here, so that it cannot wait for it."""

    def encoders(self) -> list[TopicEncoder]: ...
    def drop_encoder(self, encoder: TopicEncoder) -> None: ...
    def retire_encoder(self, encoder: TopicEncoder) -> None: ...
    def seal_older_than(self, age_us: int) -> None: ...
    def take_sealed(self) -> list[Any]: ...
    def take_all(self) -> list[Any]: ...
    def oldest_age_us(self) -> int | None: ...
    def has_work(self) -> bool: ...
    def release(self, byte_count: int) -> None: ...

def encode_rows(encoder: TopicEncoder, rows: Iterable[object]) -> object:
    """Return records as a capsule of a batch with the topic's columns. Raises SchemaError."""
