"""Members of consumer groups, for tests: they join, settle, are told things, and die."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter

import pystream as ps
from pystream import TopicPartition

LONG = 30.0


def append(log: ps.Log, topic: str, partition: int, *numbers: int) -> None:
    with log.producer() as producer:
        producer.send_batch(topic, {"n": list(numbers)}, partition=partition)


def join(log: ps.Log, *topics: str, **settings: object) -> ps.Consumer:
    settings = {"group_id": "g", "auto_offset_reset": "earliest", **settings}
    return log.consumer(*(topics or ("orders",)), **settings)  # type: ignore[arg-type]


def settle(*consumers: ps.Consumer) -> list[dict[TopicPartition, list[ps.Record]]]:
    """Let all of them ask for records until nobody's assignment changes any more."""
    seen: list[dict[TopicPartition, list[ps.Record]]] = [{} for _ in consumers]
    quiet = 0
    deadline = time.monotonic() + LONG
    while quiet < 3:
        assert time.monotonic() < deadline
        before = [consumer.assignment() for consumer in consumers]
        for place, consumer in enumerate(consumers):
            for name, records in consumer.poll(timeout="1ms").items():
                seen[place].setdefault(name, []).extend(records)
        quiet = quiet + 1 if before == [c.assignment() for c in consumers] else 0
    return seen


def await_shares(expected: list[int], *consumers: ps.Consumer) -> None:
    """Let all of them ask for records until they have so many partitions."""
    deadline = time.monotonic() + LONG
    while [len(consumer.assignment()) for consumer in consumers] != expected:
        assert time.monotonic() < deadline, shares(*consumers)
        for consumer in consumers:
            consumer.poll(timeout="1ms")


def shares(*consumers: ps.Consumer) -> list[int]:
    """Return how many partitions each has; none is anybody else's."""
    owned = Counter(name for consumer in consumers for name in consumer.assignment())
    assert all(count == 1 for count in owned.values())
    return [len(consumer.assignment()) for consumer in consumers]


class Told:
    """Writes down what a consumer is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[int]]] = []

    def subscribe(self, consumer: ps.Consumer, *topics: str) -> None:
        consumer.subscribe(
            topics or ("orders",),
            on_assign=lambda _, partitions: self.note("assign", partitions),
            on_revoke=lambda _, partitions: self.note("revoke", partitions),
            on_lost=lambda _, partitions: self.note("lost", partitions),
        )

    def note(self, what: str, partitions: list[TopicPartition]) -> None:
        self.calls.append((what, [name.partition for name in partitions]))


MEMBER = """
import sys, time, pystream as ps
log = ps.open(sys.argv[1])
settings = eval(sys.argv[2])
consumer = log.consumer("orders", group_id="g", **settings)
while len(consumer.assignment()) != int(sys.argv[3]):
    consumer.poll("10ms")
print("joined", flush=True)
sys.stdin.readline()
consumer.close()
"""


def start(log: ps.Log, share: int, **settings: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MEMBER, log.directory, repr(settings), str(share)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def await_joined(process: subprocess.Popen[str], *consumers: ps.Consumer) -> None:
    """Wait until a process has its share, while others let go of it."""
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    deadline = time.monotonic() + LONG
    while not process.stdout.readline():
        assert time.monotonic() < deadline
        for consumer in consumers:
            consumer.poll("10ms")
        if not consumers:
            time.sleep(0.01)


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()
