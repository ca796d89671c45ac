"""Eight processes use one log, and are killed and started again at random.

Usage: python -m tests.torture.soak SEED [SECONDS]

Three write to four partitions, three follow them in groups of their own and commit, one makes and
deletes topics, one opens and closes the log and reads somewhere. Each record names the life of the
process that wrote it and counts up, so that a reader sees at once what is lost, wrong or repeated.
At the end everything that was acknowledged must be there, once.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np

import pystream as ps
from tests.torture import recorder
from tests.torture.harness import Harness, Outcome, said_by, scratch_directory
from tests.torture.promises import allow_small_segments

WRITERS, READERS, PARTITIONS = 3, 3, 4
LIVES_MOST = 20_000
SCHEMA = {"life": "int64", "number": "int64"}


class Counts:
    """Per life and partition, what was acknowledged and what was tried; survives any process."""

    def __init__(self) -> None:
        words = mmap.mmap(-1, LIVES_MOST * PARTITIONS * 2 * 8)
        self.words = np.frombuffer(words, dtype=np.int64).reshape(LIVES_MOST, PARTITIONS, 2)

    def acknowledged(self, life: int, partition: int) -> int:
        return int(self.words[life, partition, 0])

    def tried(self, life: int, partition: int) -> int:
        return int(self.words[life, partition, 1])


class Follower:
    """Holds every record against the one that must follow; a life may begin anywhere."""

    def __init__(self) -> None:
        self.next: dict[tuple[int, int], int] = {}
        self.records = 0

    def take(self, batch: ps.RecordBatch) -> None:
        lives, numbers = batch["life"].to_numpy(), batch["number"].to_numpy()
        changes = np.flatnonzero(np.diff(lives)) + 1
        for part in np.split(np.arange(len(lives)), changes):
            key = int(lives[part[0]]), batch.partition
            first = int(numbers[part[0]])
            expected = self.next.get(key, first)
            assert first == expected, f"{key}: {first} came, {expected} was next"
            assert (np.diff(numbers[part]) == 1).all(), f"{key}: {numbers[part]}"
            self.next[key] = int(numbers[part[-1]]) + 1
        self.records += len(lives)


def write(directory: Path, life: int, counts: Counts, choose: random.Random) -> None:
    with ps.open(directory) as log, log.producer(acks=choose.choice([0, 1])) as producer:
        while True:
            partition, count = choose.randrange(PARTITIONS), choose.randint(1, 100)
            first = counts.acknowledged(life, partition)
            counts.words[life, partition, 1] = first + count
            numbers = np.arange(first, first + count)
            table = {"life": np.full(count, life), "number": numbers}
            producer.send_batch("events", table, partition=partition)
            counts.words[life, partition, 0] = first + count
            time.sleep(choose.random() * 0.01)  # one core is not to be all theirs


def follow(directory: Path, group: str, choose: random.Random) -> None:
    follower = Follower()
    with ps.open(directory) as log:
        consumer = log.consumer("events", group_id=group, auto_offset_reset="earliest")
        for batch in consumer.batches():
            follower.take(batch)
            if choose.random() < 0.05:
                consumer.commit()


def churn(directory: Path, life: int, choose: random.Random) -> None:
    with ps.open(directory) as log:
        for number in range(10**9):
            name = f"churn-{life}-{number}"
            log.create_topic(name, SCHEMA, partitions=2)
            with log.producer() as producer:
                producer.send_batch(name, {"life": [life], "number": [number]}, partition=1)
            with log.consumer(name, auto_offset_reset="earliest", timeout="0s") as consumer:
                assert [record["number"] for record in consumer] == [number]
            log.delete_topic(name)
            time.sleep(choose.random() * 0.01)


def look(directory: Path, choose: random.Random) -> None:
    while True:
        with ps.open(directory) as log, log.consumer(timeout="0s") as consumer:
            place = ps.TopicPartition("events", choose.randrange(PARTITIONS))
            consumer.assign([place])
            start, end = log.topic("events").ends()[place.partition]
            consumer.seek(place, choose.randint(start, end))
            follower = Follower()
            for batch in consumer.batches(timeout="0s"):
                follower.take(batch)
        time.sleep(choose.random() * 0.01)


class Soak:
    """Starts, kills and starts again."""

    def __init__(self, seed: int, directory: Path) -> None:
        self._choose = random.Random(seed)
        self._directory = directory
        self._counts = Counts()
        self._lives = 0
        self._kills = 0

    def run(self, seconds: float) -> dict[str, int]:
        with ps.open(self._directory) as log:
            log.create_topic("events", SCHEMA, partitions=PARTITIONS, segment_bytes="64KiB")
        roles: list[Callable[[int, random.Random], None]] = [
            *(
                lambda life, c: write(self._directory, life, self._counts, c)
                for _ in range(WRITERS)
            ),
            *(
                lambda life, c, group=f"group-{number}": follow(self._directory, group, c)
                for number in range(READERS)
            ),
            lambda life, c: churn(self._directory, life, c),
            lambda life, c: look(self._directory, c),
        ]
        processes = [self._start(role) for role in roles]
        deadline = time.monotonic() + seconds
        try:
            while time.monotonic() < deadline:
                time.sleep(self._choose.random() * 0.5)
                victim = self._choose.randrange(len(roles))
                self._kill(processes[victim])
                processes[victim] = self._start(roles[victim])
        finally:
            for process in processes:
                self._kill(process)
        return {"kills": self._kills, "records": self._check()}

    def _start(self, role: Callable[[int, random.Random], None]) -> int:
        life, self._lives = self._lives, self._lives + 1
        assert life < LIVES_MOST, "more lives than there is memory for"
        child = os.fork()
        if child:
            return child
        try:
            role(life, random.Random(self._choose.random() + life))
        except BaseException:
            traceback.print_exc(limit=-3)
        os._exit(1)

    def _kill(self, process: int) -> None:
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        assert os.WIFSIGNALED(status), f"a process ended by itself with status {status}"
        self._kills += 1

    def _check(self) -> int:
        follower = Follower()
        with ps.open(self._directory) as log:
            with log.consumer("events", auto_offset_reset="earliest") as consumer:
                for batch in consumer.batches(timeout="0s"):
                    for life in set(batch["life"].to_numpy().tolist()):
                        follower.next.setdefault((life, batch.partition), 0)
                    follower.take(batch)
            ends = log.topic("events").ends()
            for number in range(READERS):
                with log.consumer(group_id=f"group-{number}") as consumer:
                    for partition, end in enumerate(ends):
                        name = ps.TopicPartition("events", partition)
                        committed = consumer.committed(name)
                        assert committed is None or committed <= end.end, (name, committed, end)
        found: dict[tuple[int, int], int] = defaultdict(int, follower.next)
        for life in range(self._lives):
            for partition in range(PARTITIONS):
                its = found[life, partition]
                acknowledged = self._counts.acknowledged(life, partition)
                tried = self._counts.tried(life, partition)
                assert acknowledged <= its <= tried, (
                    f"life {life}, partition {partition}: {acknowledged} acknowledged, "
                    f"{its} found, {tried} tried"
                )
        return follower.records


def main(seed: str, seconds: str = "20") -> int:
    allow_small_segments()
    failure, done = None, {}
    with scratch_directory() as scratch:
        try:
            done = Soak(int(seed), Path(scratch) / "log").run(float(seconds))
        except AssertionError as error:
            failure = f"seed {seed}: {error}"
    print(json.dumps({**done, "failure": failure}), flush=True)
    return 1 if failure else 0


def run(seed: int, seconds: float) -> Outcome:
    whole = max(2, round(seconds))
    ended = recorder.run("tests.torture.soak", [seed, whole], recorder.environment_without())
    if failure := said_by(ended)["failure"]:
        repeat = f"python -m tests.torture.soak {seed} {whole}"
        return Outcome(0, seed + 1, f"{failure}\n{ended.stderr}", repeat)
    return Outcome(whole, seed + 1)


HARNESS = Harness("soak of 8 processes", "seconds", 3600, run)

if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
