"""What a producer does when records come faster than they are appended, and how waits end."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import pystream as ps
from pystream import TopicPartition, errors
from tests.log.reading import rows_of

LONG = 60.0


class Held:
    """Keeps the background thread of a producer in a callback until it is let go."""

    def __init__(self, producer: ps.Producer) -> None:
        self._reached = threading.Event()
        self._go_on = threading.Event()
        producer.send("t", b"held").add_done_callback(self._hold)
        with pytest.raises(errors.RequestTimeoutError):
            producer.flush("1ms")
        assert self._reached.wait(LONG)

    def _hold(self, delivery: ps.Delivery) -> None:
        self._reached.set()
        assert self._go_on.wait(LONG)

    def let_go(self) -> None:
        self._go_on.set()


@pytest.fixture
def topic(log: ps.Log) -> ps.Topic:
    return log.create_topic("t", partitions=2)


@pytest.fixture
def helpers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def test_full_buffer_blocks_and_then_raises(log: ps.Log, topic: ps.Topic) -> None:
    with log.producer(buffer_memory="1KiB", max_block="5ms", linger="1h") as producer:
        held = Held(producer)
        producer.send("t", b"x" * 2000)
        began = time.monotonic()
        with pytest.raises(errors.BufferFullError, match="buffer_memory is 1024") as caught:
            producer.send("t", b"y")
        assert 0.005 <= time.monotonic() - began < 5
        assert caught.value.retriable
        assert caught.value.limit == 1024
        held.let_go()
        producer.flush()
        producer.send("t", b"z")
    assert sorted(row["value"][:1] for row in rows_of(log, "t")) == [b"h", b"x", b"z"]


def test_open_batches_that_fill_the_buffer_are_appended(log: ps.Log, topic: ps.Topic) -> None:
    """However long they might linger: waiting for them to age would fail the next record."""
    with log.producer(buffer_memory="1KiB", batch_size="1MiB", linger="1h") as producer:
        for n in range(50):
            producer.send("t", b"%d" % n * 200, partition=n % 2)
    assert len(rows_of(log, "t")) == 50


def test_threads_that_wait_for_space_all_get_it(
    log: ps.Log, topic: ps.Topic, helpers: ThreadPoolExecutor
) -> None:
    """The buffer grows by no more than one record of each thread beyond its limit."""
    limit, size, count = 8_192, 1_000, 16
    with log.producer(buffer_memory=limit, batch_size="2KiB", max_block="60s") as producer:
        largest = 0

        def send(who: int) -> list[ps.Delivery]:
            nonlocal largest
            deliveries = []
            for n in range(40):
                deliveries.append(producer.send("t", bytes([who, n]) * (size // 2)))
                largest = max(largest, producer._accumulator.buffered_bytes)
            return deliveries

        sent = [d for part in helpers.map(send, range(count)) for d in part]
        producer.flush()
        assert largest <= limit + (count + 1) * (size + 64)
        assert producer._accumulator.buffered_bytes == 0
        places = {(d.result().partition, d.result().offset) for d in sent}
        assert len(places) == count * 40
    assert len(rows_of(log, "t")) == count * 40


def test_threads_may_flush_at_the_same_time(
    log: ps.Log, topic: ps.Topic, helpers: ThreadPoolExecutor
) -> None:
    with log.producer(linger="1h") as producer:

        def send_and_flush(who: int) -> bool:
            for _ in range(20):
                delivery = producer.send("t", b"%d" % who)
                producer.flush()
                assert delivery.done()
            return True

        assert all(helpers.map(send_and_flush, range(8)))
    assert len(rows_of(log, "t")) == 160


def test_flush_gives_up_after_its_timeout_and_loses_nothing(log: ps.Log, topic: ps.Topic) -> None:
    with log.producer(linger="1h") as producer:
        held = Held(producer)
        delivery = producer.send("t", b"x")
        began = time.monotonic()
        with pytest.raises(errors.RequestTimeoutError, match="Call it again"):
            producer.flush("10ms")
        assert 0.01 <= time.monotonic() - began < 5
        assert not delivery.done()
        held.let_go()
        producer.flush("60s")
        assert delivery.done()


def test_closing_with_a_full_buffer_appends_everything(
    log: ps.Log, topic: ps.Topic, helpers: ThreadPoolExecutor
) -> None:
    producer = log.producer(buffer_memory="4KiB", linger="1h", max_block="60s")
    held = Held(producer)
    deliveries = []
    while producer._accumulator.buffered_bytes < 4096:
        deliveries.append(producer.send("t", b"x" * 1000))
    # Two more wait for space, and learn that there will be none.
    waiting = [helpers.submit(producer.send, "t", b"y" * 1000) for _ in range(2)]
    closing = helpers.submit(producer.close)
    for future in waiting:
        assert isinstance(future.exception(LONG), errors.ClosedError)
    held.let_go()
    closing.result(LONG)
    assert [d.exception() for d in deliveries] == [None] * len(deliveries)
    assert len(rows_of(log, "t")) == 1 + len(deliveries)


def test_closing_says_what_could_not_be_appended(log: ps.Log) -> None:
    """Each delivery has an outcome, and close raises the first error."""
    for name in ("kept", "gone", "lost"):
        log.create_topic(name)
    producer = log.producer(linger="1h")
    kept = [producer.send("kept", b"x") for _ in range(10)]
    gone = [producer.send("gone", b"x") for _ in range(10)]
    lost = [producer.send("lost", b"x") for _ in range(10)]
    log.delete_topic("gone")
    log.delete_topic("lost")
    with pytest.raises(errors.UnknownTopicError, match="'gone'") as caught:
        producer.close()
    assert all(d.result().offset == n for n, d in enumerate(kept))
    assert {d.exception() for d in gone} == {caught.value}
    assert all(isinstance(d.exception(), errors.UnknownTopicError) for d in lost)
    producer.close()


def test_records_sent_while_another_thread_closes_have_an_outcome(
    log: ps.Log, topic: ps.Topic, helpers: ThreadPoolExecutor
) -> None:
    """A send is refused, or its record is appended: nothing is left behind without a word."""
    for _ in range(10):
        producer = log.producer(linger="1h")
        start = threading.Barrier(5)

        def send(
            producer: ps.Producer = producer, start: threading.Barrier = start
        ) -> list[object]:
            deliveries: list[object] = []
            start.wait(LONG)
            try:
                for _ in range(500):
                    # Headers are encoded in Python, where other threads may run.
                    deliveries.append(producer.send("t", b"x", headers=[("a", b"b")] * 3))
            except errors.ClosedError:
                pass
            return deliveries

        threads = [helpers.submit(send) for _ in range(4)]
        start.wait(LONG)
        producer.close()
        for thread in threads:
            for delivery in thread.result(LONG):
                assert isinstance(delivery, ps.Delivery)
                assert delivery.done()
                assert delivery.exception("0s") is None


def test_close_that_was_interrupted_can_be_called_again(
    log: ps.Log, topic: ps.Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer = log.producer(linger="1h")
    held = Held(producer)
    delivery = producer.send("t", b"x")
    thread = producer._sender._thread
    assert thread is not None

    def interrupt(timeout: float | None = None) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(thread, "join", interrupt)
        with pytest.raises(KeyboardInterrupt):
            producer.close()
    held.let_go()
    producer.close()
    assert delivery.done()
    assert not thread.is_alive()
    assert len(rows_of(log, "t")) == 2


# -- consumers -------------------------------------------------------------------------------------

PRODUCER = """
import sys, time, pystream as ps
with ps.open(sys.argv[1]) as log, log.producer(linger="0s") as producer:
    for line in sys.stdin:
        producer.send("t", str(time.monotonic_ns()), partition=1)
"""


def test_poll_wakes_as_soon_as_another_process_appends(log: ps.Log, topic: ps.Topic) -> None:
    """Sleeps last 100 ms at most for dead writers' sake; nobody waits for their end."""
    child = subprocess.Popen(
        [sys.executable, "-c", PRODUCER, log.directory], stdin=subprocess.PIPE, text=True
    )
    delays = []
    try:
        with log.consumer("t") as consumer:
            for _ in range(40):
                assert child.stdin is not None
                child.stdin.write("go\n")
                child.stdin.flush()
                ((record,),) = consumer.poll("60s").values()
                delays.append((time.monotonic_ns() - int(record.value)) / 1e6)
    finally:
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(LONG) == 0
    assert sorted(delays)[20] < 20


def test_poll_ends_after_its_timeout(log: ps.Log, topic: ps.Topic) -> None:
    with log.consumer("t") as consumer:
        for timeout, least in (("0s", 0.0), ("10ms", 0.01), ("150ms", 0.15)):
            began = time.monotonic()
            assert consumer.poll(timeout) == {}
            assert least <= time.monotonic() - began < least + 5
        consumer.pause(*consumer.assignment())
        began = time.monotonic()
        assert consumer.poll("10ms") == {}
        assert time.monotonic() - began >= 0.01


def test_paused_partitions_do_not_wake(log: ps.Log, topic: ps.Topic) -> None:
    first, second = TopicPartition("t", 0), TopicPartition("t", 1)
    with log.consumer("t") as consumer, log.producer(linger="0s") as producer:
        consumer.pause(first)
        producer.send("t", b"unseen", partition=0).result()
        assert consumer.poll("10ms") == {}
        producer.send("t", b"seen", partition=1).result()
        assert [r.value for r in consumer.poll("60s")[second]] == [b"seen"]
        consumer.resume(first)
        assert [r.value for r in consumer.poll("60s")[first]] == [b"unseen"]


def test_consumer_of_more_partitions_than_the_kernel_waits_for(tmp_path: Path) -> None:
    with ps.open(tmp_path) as log:
        log.create_topic("t", partitions=200)
        with log.consumer("t") as consumer, log.producer(linger="0s") as producer:
            for partition in (0, 127, 199):
                found: list[object] = []
                thread = threading.Thread(
                    target=lambda found=found: found.extend(consumer.poll("60s"))
                )
                thread.start()
                producer.send("t", b"x", partition=partition).result()
                thread.join(LONG)
                assert found == [TopicPartition("t", partition)]
