"""The background thread of a producer and what it takes batches from, step by step."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import pystream as ps
from pystream import _native
from pystream._native import _delivery
from pystream.errors import ClientError, SchemaError, StreamError, UnknownTopicError
from pystream.log.sender import Sender
from tests.log.reading import rows_of


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
    topic: ps.Topic,
    writer: FakeWriter,
    wake: Callable[[], None],
    batch_size: int = 1 << 20,
    target: object = None,
) -> _native.RecordAccumulator:
    """Return an accumulator for topics of one int64 column."""

    def make_encoder(name: str) -> _native.TopicEncoder:
        asked = target or SimpleNamespace(timestamp_type="create_time")
        blob = topic.schema.serialize()
        names, types = tuple(topic.schema.names), ("int64",)
        return _native.TopicEncoder(
            name, blob, names, types, [], topic.partitions, True, 0, asked, writer
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
    sender = Sender(accumulator, "interval", 1000, lambda encoder, partition: None)
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

    make = threading.Lock

    def be_done_meanwhile() -> Any:
        batch.complete(7)
        return make()

    monkeypatch.setattr(_delivery, "Lock", be_done_meanwhile)
    assert delivery.result(timeout="5s").offset == 7


def test_a_table_takes_no_thread_and_a_record_behind_it_does(log: ps.Log) -> None:
    topic = log.create_topic("t", {"n": "int64"})
    with log.producer(linger="1ms") as producer:
        producer.send_batch("t", {"n": [0, 1]})
        producer.flush()
        assert not producer._sender.is_running
        assert producer.send("t", {"n": 2}).result(timeout="30s").offset == 2
        assert producer._sender.is_running
    assert topic.ends()[0].end == 3


@pytest.mark.parametrize("end", ["flush", "close"])
def test_a_first_record_that_woke_nobody_is_appended_at_the_end(log: ps.Log, end: str) -> None:
    """Ctrl-C may come between a record and the wake."""
    topic = log.create_topic("t", {"n": "int64"})
    with log.producer(linger="1ms") as producer:
        producer._accumulator.is_idle = False  # then it wakes nobody
        producer.send("t", {"n": 0})
        assert not producer._sender.is_running
        getattr(producer, end)()
        assert topic.ends()[0].end == 1


def test_row_that_cannot_be_added_leaves_no_empty_batch(log: ps.Log) -> None:
    topic = log.create_topic("t", {"n": "int64"}, partitions=2)
    writer = FakeWriter(lambda: None, topic)
    accumulator = make_accumulator(topic, writer, lambda: None)
    for bad in ({"n": "x"}, {"m": 1}, None):
        with pytest.raises(SchemaError):
            accumulator.send("t", bad)
    assert accumulator.take_all() == []
    assert not accumulator.has_work()


# -- lone records ------------------------------------------------------------------------------


def wait_until_idle(producer: ps.Producer) -> None:
    while not producer._accumulator.is_idle:
        time.sleep(0.001)
    time.sleep(0.001)  # a record that comes later than that is alone


def test_lone_record_is_appended_when_send_returns(log: ps.Log) -> None:
    topic = log.create_topic("t", {"n": "int64"})
    with log.producer(linger="0s") as producer:
        producer.send("t", {"n": 0})  # starts the thread
        for n in range(1, 20):
            wait_until_idle(producer)
            delivery = producer.send("t", {"n": n})
            assert delivery.done()
            assert delivery.result() == ps.RecordMetadata("t", 0, n, delivery.result().timestamp)
            assert topic.ends()[0].end == n + 1
        assert producer._accumulator.buffered_bytes == 0
        assert not producer._accumulator.has_work()


def test_records_that_follow_each_other_go_in_batches(log: ps.Log) -> None:
    topic = log.create_topic("t", {"n": "int64"})
    with log.producer(linger="0s") as producer:
        for n in range(20_000):
            producer.send("t", {"n": n})
    reader = topic.native_partition(0).reader(0)
    batches = 0
    while reader.next() is not None:
        batches += 1
    assert batches < 5_000


@pytest.mark.parametrize(
    "settings", [{"linger": "1ms"}, {"linger": "0s", "acks": "durable"}, {"producer_name": "p"}]
)
def test_other_producers_leave_it_to_the_thread(log: ps.Log, settings: dict[str, Any]) -> None:
    log.create_topic("t", {"n": "int64"})
    with log.producer(**({"linger": "0s"} | settings)) as producer:
        producer.send("t", {"n": 0})
        wait_until_idle(producer)
        threads = []
        producer.send("t", {"n": 1}).add_done_callback(
            lambda delivery: threads.append(threading.current_thread().name)
        )
        producer.flush()
        while not threads:
            time.sleep(0.001)
        assert threads == ["pystream-producer"]


def test_event_loop_never_waits_for_an_append(log: ps.Log) -> None:
    log.create_topic("t", {"n": "int64"})

    async def send() -> list[str]:
        producer.send("t", {"n": 0})
        wait_until_idle(producer)
        threads: list[str] = []
        delivery = producer.send("t", {"n": 1})
        delivery.add_done_callback(lambda _: threads.append(threading.current_thread().name))
        await delivery
        return threads

    with log.producer(linger="0s") as producer:
        assert asyncio.run(send()) == ["pystream-producer"]


def test_error_of_a_lone_record_is_in_its_delivery_and_in_flush(log: ps.Log) -> None:
    topic = log.create_topic("t", {"n": "int64"})
    with log.producer(linger="0s") as producer:
        producer.send("t", {"n": 0}).result()
        (other,) = [ps.open(log.directory)]
        other.delete_topic("t")
        other.close()
        wait_until_idle(producer)
        delivery = producer.send("t", {"n": 1})
        assert delivery.done()
        with pytest.raises(UnknownTopicError, match="was deleted before"):
            delivery.result()
        with pytest.raises(UnknownTopicError):
            producer.flush()
        assert producer._accumulator.buffered_bytes == 0
    assert topic.name not in log.topics()


@pytest.mark.parametrize("is_before", [True, False], ids=["before", "after"])
def test_ctrl_c_around_the_append_of_a_lone_record(
    log: ps.Log, monkeypatch: pytest.MonkeyPatch, *, is_before: bool
) -> None:
    """Behind the append it is published and known to be; before it, it is told to have failed."""
    topic = log.create_topic("t", {"n": "int64"})
    with log.producer(linger="0s") as producer:
        producer.send("t", {"n": 0}).result()
        wait_until_idle(producer)

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        if is_before:
            monkeypatch.setattr(_delivery, "CoreBatch", SimpleNamespace(_from_capsule=interrupt))
        else:
            producer._accumulator.append_lone_records("published", interrupt, interrupt)
        with pytest.raises(KeyboardInterrupt):
            producer.send("t", {"n": 1})
        monkeypatch.undo()
        assert producer._accumulator.buffered_bytes == 0
        assert topic.ends()[0].end == (1 if is_before else 2)
        producer.flush()


class Nosy:
    """A topic that lets others run while it is asked for its timestamps, as any Python code may."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self.meanwhile = meanwhile

    @property
    def timestamp_type(self) -> str:
        self.meanwhile()
        return "create_time"


@pytest.mark.parametrize("what", ["send", "seal"])
def test_lone_record_is_appended_once_whatever_others_do_meanwhile(log: ps.Log, what: str) -> None:
    topic = log.create_topic("t", {"n": "int64"})
    writer = FakeWriter(lambda: None, topic)
    others: list[_native.Delivery] = []

    def meanwhile() -> None:
        accumulator.is_idle = False
        if what == "send" and not others:
            others.append(accumulator.send("t", {"n": 2}))
        accumulator.seal_older_than(0)

    accumulator = make_accumulator(topic, writer, lambda: None, target=Nosy(meanwhile))
    accumulator.append_lone_records("published", lambda encoder: None, lambda error: None)
    accumulator.is_idle = True
    assert accumulator.send("t", {"n": 1}).result(timeout="5s").offset == 0
    for batch in accumulator.take_all():
        _native.append_records(batch, "published", -1, _native.TopicAppendResult())
        batch.complete(1)
    expected = [1] if what == "seal" else [1, 2]
    assert [row["n"] for row in rows_of(log, "t")] == expected
    assert not accumulator.has_work()


def test_error_of_the_append_of_a_lone_record_is_told_like_any_other(log: ps.Log) -> None:
    topic = log.create_topic("t", {"n": "int64"})

    def fail() -> None:
        raise OSError("no disk")

    errors: list[StreamError] = []
    accumulator = make_accumulator(topic, FakeWriter(fail, topic), lambda: None)
    accumulator.append_lone_records("published", lambda encoder: None, errors.append)
    accumulator.is_idle = True
    delivery = accumulator.send("t", {"n": 1})
    with pytest.raises(StreamError, match="no disk"):
        delivery.result()
    assert errors == [delivery.exception()]
    assert accumulator.buffered_bytes == 0
    assert topic.ends()[0].end == 0


@pytest.mark.parametrize("ask", ["result", "exception"])
def test_a_callback_that_waits_for_its_own_producer_is_told_so(log: ps.Log, ask: str) -> None:
    log.create_topic("t", {"n": "int64"})
    failures: list[Exception] = []
    with log.producer() as producer, log.producer() as other:

        def wait_for(sent: _native.Delivery) -> None:
            try:
                getattr(sent, ask)()
            except ClientError as error:
                failures.append(error)

        first = producer.send("t", {"n": 1})
        first.add_done_callback(lambda _: wait_for(producer.send("t", {"n": 2})))
        producer.flush("5s")
        assert "its own producer" in str(failures.pop())
        second = producer.send("t", {"n": 3})
        second.add_done_callback(wait_for)  # it is there already
        second.add_done_callback(lambda _: wait_for(other.send("t", {"n": 4})))
        producer.flush("5s")
        assert failures == []
    assert sorted(row["n"] for row in rows_of(log, "t")) == [1, 2, 3, 4]


def test_a_lone_record_does_not_overtake_what_is_closed_and_not_taken(log: ps.Log) -> None:
    topic = log.create_topic("t", {"n": "int64"})
    accumulator = make_accumulator(topic, FakeWriter(lambda: None, topic), lambda: None)
    accumulator.append_lone_records("published", lambda encoder: None, lambda error: None)
    accumulator.is_idle = False
    first = accumulator.send("t", {"n": 1})
    accumulator.seal_older_than(0)
    accumulator.is_idle = True  # the thread was woken, and has not looked yet
    time.sleep(0.001)
    second = accumulator.send("t", {"n": 2})
    assert not first.done()
    assert not second.done()


def test_a_thread_whose_start_was_cut_short_takes_no_call_away(log: ps.Log) -> None:
    topic = log.create_topic("t", {"n": "int64"})
    accumulator = make_accumulator(topic, FakeWriter(lambda: None, topic), lambda: None)
    sender = Sender(accumulator, "published", 0, lambda encoder, partition: None)
    sender._thread = threading.Thread()  # its successor, which the call is for
    assert not sender.work()
    assert sender._calls.get_nowait() is sender
