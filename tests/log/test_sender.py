"""The background thread of a producer and what it takes batches from, step by step."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import pystream as ps
from pystream import _native
from pystream.errors import SchemaError
from pystream.log.sender import Sender


class FakeWriter:
    """Stands for a topic's writer; calls back in the middle of an append."""

    def __init__(self, during_append: Callable[[], None], topic: ps.Topic) -> None:
        self.during_append = during_append
        partitions = [topic.native_partition(number) for number in range(topic.partitions)]
        self.writer = _native.TopicWriter(partitions)
        self.sizes: list[int] = []

    def append(self, batch: _native.RecordBatch, **settings: Any) -> object:
        self.sizes.append(len(batch))
        self.during_append()
        return self.writer.append(batch, **settings)


def make_accumulator(
    topic: ps.Topic, writer: FakeWriter, wake: Callable[[], None], batch_size: int = 1 << 20
) -> _native.RecordAccumulator:
    """Return an accumulator for topics of one int64 column."""

    def make_encoder(name: str) -> _native.TopicEncoder:
        target = SimpleNamespace(timestamp_type="create_time")
        blob = topic.schema.serialize()
        names, types = tuple(topic.schema.names), ("int64",)
        return _native.TopicEncoder(
            name, blob, names, types, [], topic.partitions, True, 0, target, writer
        )

    return _native.RecordAccumulator(
        make_encoder,
        wake,
        lambda: None,
        lambda encoder: False,
        batch_size=batch_size,
        buffer_memory=1 << 20,
        max_record_bytes=1 << 20,
    )


def test_batch_that_closes_while_the_last_append_runs_is_not_forgotten(log: ps.Log) -> None:
    topic = log.create_topic("t", {"n": "int64"})

    def during_append() -> None:
        if len(writer.sizes) == 1:
            for n in range(8):
                accumulator.send("t", {"n": n})  # closes a batch by its size
            sender._is_stopping = True

    def wake() -> None:
        sender.wake()

    writer = FakeWriter(during_append, topic)
    accumulator = make_accumulator(topic, writer, wake, batch_size=160)
    sender = Sender(accumulator, "interval", 1000, lambda encoder: None)
    first = accumulator.send("t", {"n": -1})
    sender.start()
    sender.stop()
    assert first.result().offset == 0
    assert writer.sizes == [1, 8]
    assert topic.ends()[0].end == 9
    assert accumulator.buffered_bytes == 0


def test_batch_may_be_taken_while_a_send_wakes_the_thread(log: ps.Log) -> None:
    """Waking runs Python code, so the background thread may run before `send` goes on."""
    topic = log.create_topic("t", {"n": "int64"})
    taken: list[int] = []

    def wake() -> None:
        for batch in accumulator.take_all():
            batch.take()
            taken.append(batch.record_count)
            batch.complete(len(taken))

    accumulator = make_accumulator(topic, FakeWriter(lambda: None, topic), wake, batch_size=1)
    for n in range(100):
        accumulator.is_idle = True
        assert accumulator.send("t", {"n": n}).result().offset == n + 1
    assert taken == [1] * 100


def test_wait_begins_while_the_batch_is_done(log: ps.Log, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = log.create_topic("t", {"n": "int64"})
    accumulator = make_accumulator(topic, FakeWriter(lambda: None, topic), lambda: None)
    delivery = accumulator.send("t", {"n": 1})
    (batch,) = accumulator.take_all()
    batch.take()
    make_event = threading.Event

    def be_done_meanwhile() -> threading.Event:
        batch.complete(7)
        return make_event()

    monkeypatch.setattr(threading, "Event", be_done_meanwhile)
    assert delivery.result(timeout="5s").offset == 7


def test_row_that_cannot_be_added_leaves_no_empty_batch(log: ps.Log) -> None:
    topic = log.create_topic("t", {"n": "int64"}, partitions=2)
    writer = FakeWriter(lambda: None, topic)
    accumulator = make_accumulator(topic, writer, lambda: None)
    for bad in ({"n": "x"}, {"m": 1}, None):
        with pytest.raises(SchemaError):
            accumulator.send("t", bad)
    assert accumulator.take_all() == []
    assert not accumulator.has_work()
