"""The background thread of a producer, step by step."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pystream as ps
from pystream import _native
from pystream.log.sender import Sender


class FakeWriter:
    """Stands for a topic's writer; calls back in the middle of an append."""

    def __init__(self, during_append: Callable[[], None], writer: _native.TopicWriter) -> None:
        self.during_append = during_append
        self.writer = writer
        self.sizes: list[int] = []

    def append(self, batch: _native.RecordBatch, **settings: Any) -> object:
        self.sizes.append(len(batch))
        self.during_append()
        return self.writer.append(batch, **settings)


def test_batch_that_closes_while_the_last_append_runs_is_not_forgotten(log: ps.Log) -> None:
    topic = log.create_topic("t", {"n": "int64"})

    def during_append() -> None:
        if len(writer.sizes) == 1:
            for n in range(8):
                accumulator.send("t", {"n": n})  # closes a batch by its size
            sender._is_stopping = True

    def make_encoder(name: str) -> _native.TopicEncoder:
        target = SimpleNamespace(timestamp_type="create_time")
        blob = topic.schema.serialize()
        return _native.TopicEncoder(
            name,
            blob,
            ("n",),
            ("int64",),
            [],
            1,
            True,
            0,
            target,
            writer,  # type: ignore[arg-type]
        )

    def wake() -> None:
        sender.wake()

    native = _native.TopicWriter([topic.native_partition(0)])
    writer = FakeWriter(during_append, native)
    accumulator = _native.RecordAccumulator(
        make_encoder,
        wake,
        lambda: None,
        batch_size=160,
        buffer_memory=1 << 20,
        max_record_bytes=1 << 20,
    )
    sender = Sender(accumulator, "interval", 1000, lambda encoder: None)
    first = accumulator.send("t", {"n": -1})
    sender.start()
    sender.stop()
    assert first.result().offset == 0
    assert writer.sizes == [1, 8]
    assert topic.ends()[0].end == 9
    assert accumulator.buffered_bytes == 0
