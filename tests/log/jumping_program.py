"""A program that uses a log while the wall clock jumps: see ``test_clock.py``.

Usage, with ``jumping_clock.c`` loaded: python -m tests.log.jumping_program DIRECTORY
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pystream as ps
from pystream.errors import RequestTimeoutError
from pystream.log.kernel_lock import KernelLock
from pystream.log.verify import verify_log
from tests.log.reading import batches_of, rows_of

COUNT = 60
LONG = 20.0  # seconds: far above what anything here takes


@contextlib.contextmanager
def lasting(least: float) -> Iterator[None]:
    """Assert that the body takes that many seconds of the monotonic clock, and not forever."""
    began = time.monotonic()
    yield
    lasted = time.monotonic() - began
    assert least <= lasted < LONG, f"took {lasted} s, at least {least} s were meant"


def await_true(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline, "never happened"
        threading.Event().wait(0.005)


def send_and_sync(log: ps.Log) -> None:
    with log.producer(linger="20ms", acks="interval") as producer, lasting(0):
        for n in range(COUNT):
            deliveries = [producer.send(name, {"n": n}) for name in ("created", "stamped")]
            if n % 10 == 0:
                for delivery in deliveries:
                    delivery.result("10s")
        producer.flush("10s")
        for name in ("created", "stamped"):
            native = log.topic(name).native_partition(0)
            await_true(lambda native=native: native.ends().durable_offset == COUNT)  # type: ignore[misc]


def wait_and_wake(log: ps.Log) -> None:
    with log.consumer("woken", group_id="g", auto_offset_reset="earliest") as consumer:
        with lasting(0.05):
            assert consumer.poll("50ms") == {}

        def send_later() -> None:
            threading.Event().wait(0.05)
            with log.producer(acks="durable") as producer:
                producer.send("woken", {"n": 1}).result("10s")

        sender = threading.Thread(target=send_later)
        sender.start()
        with lasting(0):
            assert len(consumer.poll("15s")["woken", 0]) == 1
        sender.join()
        consumer.commit()


def time_out(directory: str) -> None:
    """Wait for the catalog's lock, which another open file holds."""
    held = KernelLock(os.path.join(directory, "catalog.lock"), what="the test")
    with ps.open(directory, lock_timeout="150ms") as log, held:
        held.acquire(0)
        try:
            with lasting(0.15):
                log.create_topic("never")
        except RequestTimeoutError:
            return
    raise AssertionError("the lock was not waited for")


def stamps_of(log: ps.Log, topic: str) -> list[int]:
    batches = batches_of(log, topic, 0)
    return [stamp for batch in batches for stamp in batch.timestamps.astype("int64").tolist()]


def main(directory: str) -> int:
    looks = [time.time() for _ in range(4)]
    assert looks != sorted(looks), "the clock does not jump"
    with ps.open(directory) as log:
        log.create_topic("created", {"n": "int64"})
        log.create_topic("stamped", {"n": "int64"}, timestamp_type="append_time")
        log.create_topic("woken", {"n": "int64"})
        send_and_sync(log)
        wait_and_wake(log)
    time_out(directory)
    with ps.open(directory) as log:
        for topic in ("created", "stamped"):
            assert [row["n"] for row in rows_of(log, topic)] == list(range(COUNT))
            stamps = stamps_of(log, topic)
            assert stamps != sorted(stamps), f"the timestamps of {topic} did not jump"
        assert log.topics() == ["created", "stamped", "woken"]
    report = verify_log(directory)
    assert report.findings == [], report.findings
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
