"""Clients that are dropped without a close: what they sent is there, what they held is free."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pystream as ps
from tests.log.reading import rows_of

CLIENTS = 5
SECONDS = 60.0


def held() -> int:
    """Return how many descriptors and threads this process has."""
    return len(os.listdir("/proc/self/fd")) + len(os.listdir("/proc/self/task"))


def assert_is_freed(use: Callable[[], object]) -> None:
    """Check that a function that drops its clients leaves nothing."""
    use()  # what is made once, and stays
    gc.collect()
    before = held()
    gc.disable()  # what is collected here is collected at once
    try:
        for _ in range(CLIENTS):
            use()
            gc.collect()
    finally:
        gc.enable()
    deadline = time.monotonic() + SECONDS
    while held() > before and time.monotonic() < deadline:
        time.sleep(0.01)  # threads end by themselves
        gc.collect()
    assert held() <= before


def send(log: ps.Log, **settings: Any) -> None:
    producer = log.producer(**settings)
    if "transactional_id" in settings:
        producer.begin_transaction()
    producer.send("t", b"x")
    producer.flush()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"acks": "durable"},
        {"linger": "0s"},
        {"producer_name": "p"},
        {"transactional_id": "p"},
    ],
    ids=str,
)
def test_producer_that_is_dropped_is_freed(tmp_path: Path, settings: dict[str, Any]) -> None:
    with ps.open(tmp_path) as log:
        log.create_topic("t")
        assert_is_freed(lambda: send(log, **settings))


def test_log_that_is_dropped_with_its_producer_is_freed(tmp_path: Path) -> None:
    with ps.open(tmp_path) as log:
        log.create_topic("t")
    assert_is_freed(lambda: send(ps.open(tmp_path)))
    assert_is_freed(lambda: ps.open(tmp_path).producer().send_batch("t", [{"value": b"x"}]))


@pytest.mark.parametrize("settings", [{}, {"group_id": "g"}, {"group_id": "g", "timeout": "1ms"}])
def test_consumer_that_is_dropped_is_freed(tmp_path: Path, settings: dict[str, Any]) -> None:
    with ps.open(tmp_path) as log:
        log.create_topic("t")
        send(log)

        def read() -> None:
            consumer = log.consumer("t", auto_offset_reset="earliest", **settings)
            assert consumer.poll(timeout="10s")

        def drop() -> None:
            read()
            if "group_id" in settings:
                log.delete_group("g")  # the member left

        assert_is_freed(drop)


def test_records_of_a_producer_that_is_dropped_are_appended(log: ps.Log) -> None:
    topic = log.create_topic("t")
    producer = log.producer(linger="20ms")
    deliveries = [producer.send("t", b"%d" % n) for n in range(3)]
    del producer
    gc.collect()
    assert [delivery.result(timeout="60s").offset for delivery in deliveries] == [0, 1, 2]
    assert topic.ends()[0].end == 3


def test_transaction_of_a_producer_that_is_dropped_is_aborted(log: ps.Log) -> None:
    log.create_topic("t")
    send(log, transactional_id="p")
    gc.collect()
    with log.producer() as producer:
        producer.send("t", b"behind it")
    with log.consumer("t", auto_offset_reset="earliest", timeout="60s") as consumer:
        assert next(iter(consumer)).value == b"behind it"
    assert log.transactions() == []


def test_producer_that_is_dropped_takes_its_thread_along(log: ps.Log) -> None:
    log.create_topic("t")
    producer = log.producer(linger="1ms")
    producer.send("t", b"x").result()
    thread = producer._sender._thread
    assert thread is not None
    assert thread.is_alive()
    while not producer._accumulator.is_idle:
        time.sleep(0.001)
    del producer
    gc.collect()
    thread.join(SECONDS)
    assert not thread.is_alive()


def test_a_program_appends_at_its_end_what_it_dropped(tmp_path: Path) -> None:
    program = (
        "import gc, sys, pystream as ps\n"
        "log = ps.open(sys.argv[1])\n"
        "log.create_topic('t')\n"
        "for i in range(3): log.producer(linger='1h').send('t', str(i))\n"
        "gc.collect()\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program, tmp_path], check=True)
    with ps.open(tmp_path) as log:
        assert sorted(row["value"] for row in rows_of(log, "t")) == [b"0", b"1", b"2"]
