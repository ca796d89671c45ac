"""Batches of single records on their way to the log, and what becomes of each record."""

from collections.abc import Callable, Generator
from datetime import timedelta
from typing import Any, final

import numpy as np
import numpy.typing as npt

from pystream._native._core import Acks, TopicAppendResult
from pystream._native._encoder import TopicEncoder
from pystream.errors import StreamError
from pystream.types import RecordMetadata

__all__ = ["Delivery", "ProducerBatch", "append_records", "to_stream_error"]

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

def append_records(
    batch: ProducerBatch, acks: Acks, complete: int, result: TopicAppendResult
) -> None:
    """Append a batch that takes no more records; what was published is in `result`."""

def to_stream_error(error: Exception) -> StreamError:
    """Return an error of an append as one of ours."""
