"""Members of a group that send on what they read, in transactions over several polls.

Per commit in ``test_exactly_once.py``, for ever in ``make torture``. The records that count are, of
each partition, those below the offset that the group has committed, each once. While a transaction
is open some of them cannot be seen yet, those behind its own.
"""

from __future__ import annotations

import contextlib
import gc
import random
import time
from dataclasses import dataclass

import pystream as ps
from pystream import TopicPartition
from pystream.errors import FencedError, InvalidTransactionStateError
from tests.torture.harness import scratch_directory

PARTITIONS = 4
WORKERS = 3
STEPS = 60
END_SECONDS = 10.0
SOURCE, TARGET, GROUP = "in", "out", "g"
PLACES = [TopicPartition(SOURCE, number) for number in range(PARTITIONS)]


@dataclass
class Worker:
    """A member, and the transaction in which it sends on what it reads."""

    name: str
    consumer: ps.Consumer
    producer: ps.Producer
    is_open: bool = False

    def work(self, max_records: int) -> None:
        if not self.is_open:
            self.producer.begin_transaction()
            self.is_open = True
        metadata = self.consumer.consumer_group_metadata()
        try:
            for place, records in self.consumer.poll(max_records=max_records).items():
                for record in records:
                    row = {"partition": place.partition, "n": record["n"]}
                    self.producer.send(TARGET, row)
                offsets = {place: self.consumer.position(place)}
                self.producer.send_offsets_to_transaction(offsets, metadata)
        except FencedError:
            self.abort()

    def commit(self) -> None:
        if self.is_open:
            try:
                self.producer.commit_transaction()
                self.is_open = False
            except (FencedError, InvalidTransactionStateError):
                self.abort()

    def abort(self) -> None:
        """Go back to what was committed, as every such program must."""
        if self.is_open:
            self.producer.abort_transaction()
            self.is_open = False
        for place in self.consumer.assignment():
            self.consumer.seek(place, self.consumer.committed(place) or 0)

    def leave(self) -> None:
        self.consumer.close()
        if self.is_open:  # what it sent is not its own any more
            with contextlib.suppress(FencedError):
                self.producer.commit_transaction()
        self.producer.close()


class Flow:
    """A topic, those who send it on, and what came of it."""

    def __init__(self, log: ps.Log, choose: random.Random) -> None:
        self.log = log
        self.choose = choose
        log.create_topic(SOURCE, {"n": "int64"}, partitions=PARTITIONS)
        log.create_topic(TARGET, {"partition": "int64", "n": "int64"}, partitions=2)
        self.source = log.producer(linger="0s")
        self.workers: list[Worker] = []
        self.counts = [0] * PARTITIONS  # records of each partition: 0, 1, 2 and so on
        self.seen: list[list[int]] = [[] for _ in range(PARTITIONS)]
        self.results = log.consumer(TARGET, auto_offset_reset="earliest")
        self.join()

    def join(self) -> None:
        consumer = self.log.consumer(
            SOURCE, group_id=GROUP, auto_offset_reset="earliest", enable_auto_commit=False
        )
        taken = {worker.name for worker in self.workers}
        name = next(name for name in map("w{}".format, range(WORKERS)) if name not in taken)
        self.workers.append(Worker(name, consumer, self.log.producer(transactional_id=name)))

    def put(self) -> None:
        number = self.choose.randrange(PARTITIONS)
        count = self.choose.randint(1, 4)
        rows = range(self.counts[number], self.counts[number] + count)
        self.source.send_batch(SOURCE, {"n": list(rows)}, partition=number)
        self.counts[number] += count

    def step(self) -> None:
        worker = self.choose.choice(self.workers)
        action = self.choose.choice(["put", "put", "work", "work", "work", "commit", "group"])
        if action == "put":
            self.put()
        elif action == "work":
            worker.work(self.choose.randint(1, 6))
        elif action == "commit" and self.choose.random() < 0.7:
            worker.commit()
        elif action == "commit":
            worker.abort()
        elif len(self.workers) < WORKERS and self.choose.random() < 0.6:
            self.join()
        elif len(self.workers) > 1:
            self.workers.remove(worker)
            if self.choose.random() < 0.5:
                worker.leave()
            # Else it is gone without a word.

    def check(self) -> None:
        """What counts is what was committed, partition by partition."""
        self.look()
        with self.log.consumer(group_id=GROUP) as consumer:
            committed = [range(consumer.committed(place) or 0) for place in PLACES]
        if not any(worker.is_open for worker in self.workers):
            # Those of the dead are ended by whoever waits for them.
            deadline = time.monotonic() + END_SECONDS
            while sum(map(len, self.seen)) < sum(map(len, committed)):
                assert time.monotonic() < deadline, f"lost: {self.seen} of {committed}"
                gc.collect()  # their threads may have held them before
                self.look("10ms")
        for seen, there in zip(self.seen, committed, strict=True):
            assert len(set(seen)) == len(seen), f"twice: {self.seen}"
            assert set(seen) <= set(there), f"not committed: {self.seen}, but {committed}"

    def look(self, timeout: str = "0s") -> None:
        while found := self.results.poll(timeout, max_records=10_000):
            for records in found.values():
                for record in records:
                    self.seen[record["partition"]].append(record["n"])

    def finish(self) -> None:
        """Send on all that is left."""
        for worker in self.workers:
            worker.commit()
        while sum(map(len, self.seen)) < sum(self.counts):
            gc.collect()  # the dead have partitions as long as they are there
            for worker in self.workers:
                worker.work(100)
                worker.commit()
            self.check()


def go_through(seed: int) -> None:
    """Go through one sequence; raise AssertionError when a record counts never, or twice."""
    with scratch_directory() as directory, ps.open(directory) as log:
        flow = Flow(log, random.Random(seed))
        for _ in range(STEPS):
            flow.step()
            flow.check()
        flow.finish()
