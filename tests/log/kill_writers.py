"""Kill producers at random while consumers follow, and count what is lost, wrong or repeated.

Run as a program of its own (it forks, so it must have no other threads)::

    python -m tests.log.kill_writers DIRECTORY CYCLES SEED

Two writers send records that name the life which wrote them and count up; each is killed at a
random moment and followed by another life. Two readers check every record as it comes. What a life
has sent and what was acknowledged stands in memory that survives it. Prints one line of JSON; the
exit code is 1 when anything was lost, wrong, or repeated.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import sys
import time
from collections.abc import Callable

import numpy as np

import pystream as ps

WRITERS = 2
READERS = 2
PARTITIONS = 2
MAX_LIVES = 4096
TOPIC = "events"


class Progress:
    """Per life and partition: how many values were sent, and how many acknowledged."""

    def __init__(self) -> None:
        self._words = memoryview(mmap.mmap(-1, (MAX_LIVES * PARTITIONS * 2 + 1) * 8)).cast("q")

    def _at(self, life: int, partition: int) -> int:
        return 1 + 2 * (life * PARTITIONS + partition)

    def begin(self, life: int, partition: int, count: int) -> int:
        """Say that `count` more values are under way; return the first."""
        at = self._at(life, partition)
        first = self._words[at + 1]
        self._words[at] = first + count
        return first

    def acknowledge(self, life: int, partition: int) -> None:
        at = self._at(life, partition)
        self._words[at + 1] = self._words[at]

    def sent(self, life: int, partition: int) -> int:
        return self._words[self._at(life, partition)]

    def acknowledged(self, life: int, partition: int) -> int:
        return self._words[self._at(life, partition) + 1]

    @property
    def is_over(self) -> bool:
        return self._words[0] != 0

    def end(self) -> None:
        self._words[0] = 1


def write(directory: str, progress: Progress, life: int, seed: int) -> None:
    """Send records and tables until killed."""
    choose = random.Random(seed)
    with (
        ps.open(directory) as log,
        log.producer(acks=choose.choice(["published", "interval"])) as p,
    ):
        while True:
            partition = choose.randrange(PARTITIONS)
            count = choose.randint(1, 60)
            first = progress.begin(life, partition, count)
            if choose.random() < 0.5:
                numbers = np.arange(first, first + count)
                p.send_batch(
                    TOPIC,
                    {"life": np.full(count, life), "number": numbers},
                    partition=partition,
                )
            else:
                for number in range(first, first + count):
                    p.send(TOPIC, {"life": life, "number": number}, partition=partition)
                p.flush()
            progress.acknowledge(life, partition)


class Checker:
    """Follows the log and holds every record against the one that must come next."""

    def __init__(self, log: ps.Log) -> None:
        self._consumer = log.consumer(TOPIC, auto_offset_reset="earliest")
        self.next = np.zeros((MAX_LIVES, PARTITIONS), dtype=np.int64)
        self.records = 0

    def advance(self, timeout: str) -> None:
        """Read what is there. Raises AssertionError for a record that must not be there."""
        for batch in self._consumer.batches(timeout=timeout):
            lives = batch["life"].to_numpy()
            numbers = batch["number"].to_numpy()
            life = int(lives[0])
            first = self.next[life, batch.partition]
            assert (lives == life).all(), f"a batch of several lives: {lives}"
            assert (numbers == np.arange(first, first + len(numbers))).all(), (
                f"life {life}, partition {batch.partition}: {numbers[0]} came, {first} was next"
            )
            self.next[life, batch.partition] += len(numbers)
            self.records += len(numbers)


def read(directory: str, progress: Progress) -> None:
    """Follow the log until all is over."""
    with ps.open(directory) as log:
        checker = Checker(log)
        while not progress.is_over:
            checker.advance("20ms")
        checker.advance("0s")


def start(role: Callable[[], None]) -> int:
    """Run `role` in a forked process."""
    child = os.fork()
    if child:
        return child
    try:
        role()
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def main(directory: str, cycles: int, seed: int) -> int:
    choose = random.Random(seed)
    progress = Progress()
    with ps.open(directory) as log:
        log.create_topic(TOPIC, {"life": "int64", "number": "int64"}, partitions=PARTITIONS)

    lives = 0

    def start_writer() -> int:
        nonlocal lives
        life, lives = lives, lives + 1
        return start(lambda: write(directory, progress, life, seed + life))

    readers = [start(lambda: read(directory, progress)) for _ in range(READERS)]
    writers = [start_writer() for _ in range(WRITERS)]
    wrong = []
    for cycle in range(cycles + WRITERS):
        time.sleep(choose.random() * 0.05)
        victim = cycle - cycles if cycle >= cycles else choose.randrange(WRITERS)
        os.kill(writers[victim], signal.SIGKILL)
        _, status = os.waitpid(writers[victim], 0)
        if not os.WIFSIGNALED(status):
            wrong.append(f"a writer ended by itself with status {status}")
        if cycle < cycles:
            writers[victim] = start_writer()
    progress.end()
    wrong += ["a reader saw something wrong" for r in readers if os.waitpid(r, 0)[1] != 0]

    unacknowledged = 0
    with ps.open(directory) as log:
        checker = Checker(log)
        checker.advance("0s")
        for life in range(lives):
            for partition in range(PARTITIONS):
                found = int(checker.next[life, partition])
                acknowledged = progress.acknowledged(life, partition)
                if not acknowledged <= found <= progress.sent(life, partition):
                    wrong.append(f"life {life}: {acknowledged} acknowledged, {found} found")
                unacknowledged += found > acknowledged
        log.producer().close()
    result = {
        "killed": lives,
        "records": checker.records,
        "published_unacknowledged": unacknowledged,
        "wrong": wrong,
    }
    print(json.dumps(result), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
