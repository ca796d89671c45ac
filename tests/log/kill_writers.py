"""Kill producers and consumers at random, and count what is lost, wrong or repeated.

Run as a program of its own (it forks, so it must have no other threads)::

    python -m tests.log.kill_writers DIRECTORY KILLS SEED

Three producers with names count up in four partitions; two consumers follow and commit. Each is
killed at random moments and followed by another life: a producer goes on behind its
last_sequence_id, or sends some records again; a consumer goes on where it had committed. What was
sent, acknowledged, seen and committed stands in memory that survives them. At the end each producer
lives once more to its end, and the log holds every number of each exactly once. Prints one line of
JSON; the exit code is 1 when anything was lost, wrong or repeated.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import sys
import time

import numpy as np
import numpy.typing as npt

import pystream as ps
from tests.log.forked import start, warm_up

WRITERS = 3
READERS = 2
PARTITIONS = 4
TOPIC = "events"
SENT_AGAIN_MAX = 80  # records before the point where a producer need go on


class Shared:
    """What every life of the processes knows of those before; survives them."""

    def __init__(self) -> None:
        reader_words = PARTITIONS * 2 * (1 + WRITERS)
        count = 1 + 3 * WRITERS + READERS * (PARTITIONS * 2 + reader_words)
        words = np.frombuffer(mmap.mmap(-1, 8 * count), dtype=np.int64)
        self._over, rest = words[:1], words[1:]
        self.sent, self.acknowledged, self.repeated, rest = np.split(
            rest, [WRITERS, 2 * WRITERS, 3 * WRITERS]
        )
        self.sent[:] = self.acknowledged[:] = -1
        committed, versions, seen = np.split(rest, [READERS * PARTITIONS, 2 * READERS * PARTITIONS])
        self.committed = committed.reshape(READERS, PARTITIONS)
        # Two slots per reader and partition, because a reader may be killed while it writes one.
        self._versions = versions.reshape(READERS, PARTITIONS)
        self._seen = seen.reshape(READERS, PARTITIONS, 2, 1 + WRITERS)
        self._seen[..., 1:] = -1

    def seen(self, reader: int, partition: int) -> npt.NDArray[np.int64]:
        """Return the next offset, and the last number of each writer."""
        return self._seen[reader, partition, self._versions[reader, partition] % 2].copy()

    def see(self, reader: int, partition: int, row: npt.NDArray[np.int64]) -> None:
        version = self._versions[reader, partition] + 1
        self._seen[reader, partition, version % 2] = row
        self._versions[reader, partition] = version

    @property
    def is_over(self) -> bool:
        return bool(self._over[0])

    def end(self) -> None:
        self._over[0] = 1


# -- producers -------------------------------------------------------------------------------------


def write(directory: str, shared: Shared, writer: int, seed: int, *, is_last: bool) -> None:
    """Count up until killed; the last life ends with all that was ever sent."""
    choose = random.Random(seed)
    with (
        ps.open(directory) as log,
        log.producer(
            producer_name=f"writer-{writer}",
            acks=choose.choice(["published", "interval"]),
            batch_size=choose.choice([500, 1 << 20]),
            linger="1ms",
        ) as producer,
    ):
        stored = producer.last_sequence_id(TOPIC)
        sent = int(shared.sent[writer])
        assert stored <= sent, f"{stored} is said to be stored, {sent} was sent last"
        number = stored + 1
        if choose.random() < 0.5:
            number = max(0, number - choose.randrange(SENT_AGAIN_MAX))
        while not is_last or number <= sent:
            count = choose.randint(1, 60)
            if is_last:
                count = min(count, sent + 1 - number)
            shared.sent[writer] = max(number + count - 1, int(shared.sent[writer]))
            send(producer, shared, writer, number, count, as_table=choose.random() < 0.4)
            number += count
            time.sleep(choose.random() * 0.004)  # a pace that the readers keep up with
            if choose.random() < 0.7 or is_last:
                producer.flush()
                assert producer.last_sequence_id(TOPIC) == max(number - 1, stored)
                shared.acknowledged[writer] = max(number - 1, int(shared.acknowledged[writer]))


def send(
    producer: ps.Producer, shared: Shared, writer: int, first: int, count: int, *, as_table: bool
) -> None:
    if as_table:
        table = {"writer": np.full(count, writer), "number": np.arange(first, first + count)}
        parts = producer.send_batch(TOPIC, table, sequence_id=first)
        shared.repeated[writer] += sum(part.record_count for part in parts if part.is_duplicate)
        return
    for number in range(first, first + count):
        producer.send(TOPIC, {"writer": writer, "number": number}, sequence_id=number)


# -- consumers -------------------------------------------------------------------------------------


def read(directory: str, shared: Shared, reader: int, seed: int) -> None:
    """Follow the log, and hold every record against what was seen before, until all is over."""
    choose = random.Random(seed)
    with ps.open(directory) as log:
        consumer = log.consumer(TOPIC, group_id=f"reader-{reader}", auto_offset_reset="earliest")
        for partition in range(PARTITIONS):
            where = ps.TopicPartition(TOPIC, partition)
            committed = consumer.committed(where) or 0
            at_least, seen = shared.committed[reader, partition], shared.seen(reader, partition)[0]
            assert at_least <= committed <= seen, f"{at_least=} {committed=} {seen=}"
        while True:
            is_over = shared.is_over
            for batch in consumer.batches(timeout="0s" if is_over else "20ms"):
                check(shared, reader, batch)
                if choose.random() < 0.05:
                    commit(consumer, shared, reader)
            if is_over:
                commit(consumer, shared, reader)
                return


def check(shared: Shared, reader: int, batch: ps.RecordBatch) -> None:
    partition = int(batch.partition or 0)
    seen = shared.seen(reader, partition)
    assert batch.base_offset <= seen[0], f"offset {batch.base_offset} came, {seen[0]} was next"
    fresh = batch.offsets >= seen[0]  # the others were seen before the reader's last death
    writers, numbers = batch["writer"].to_numpy()[fresh], batch["number"].to_numpy()[fresh]
    for writer in range(WRITERS):
        own = numbers[writers == writer]
        if len(own):
            rising = np.diff(own, prepend=seen[1 + writer]) > 0
            assert rising.all(), f"writer {writer}: {own} behind {seen[1 + writer]}"
            seen[1 + writer] = own[-1]
    seen[0] = max(seen[0], batch.next_offset)
    shared.see(reader, partition, seen)


def commit(consumer: ps.Consumer, shared: Shared, reader: int) -> None:
    consumer.commit()
    for partition in range(PARTITIONS):
        committed = consumer.committed(ps.TopicPartition(TOPIC, partition))
        shared.committed[reader, partition] = committed or 0


# -- the killer ------------------------------------------------------------------------------------


def check_log(directory: str, shared: Shared) -> tuple[int, list[str]]:
    """Return how many records the log holds, and what is wrong with them."""
    found: list[list[npt.NDArray[np.int64]]] = [[] for _ in range(WRITERS)]
    with (
        ps.open(directory) as log,
        log.consumer(TOPIC, auto_offset_reset="earliest") as consumer,
    ):
        for batch in consumer.batches(timeout="0s"):
            writers, numbers = batch["writer"].to_numpy(), batch["number"].to_numpy()
            for writer in range(WRITERS):
                found[writer].append(numbers[writers == writer].copy())
    wrong = []
    total = 0
    for writer, parts in enumerate(found):
        numbers = np.sort(np.concatenate([*parts, np.empty(0, np.int64)]))
        total += len(numbers)
        counts = np.bincount(numbers, minlength=int(shared.sent[writer]) + 1)
        if (counts > 1).any():
            wrong.append(f"writer {writer}: {np.flatnonzero(counts > 1)[:9]} are there twice")
        if (counts == 0).any():
            wrong.append(f"writer {writer}: {np.flatnonzero(counts == 0)[:9]} are lost")
        if len(numbers) and numbers[-1] > shared.sent[writer]:
            wrong.append(f"writer {writer}: {numbers[-1]} was never sent")
    return total, wrong


def main(directory: str, kills: int, seed: int) -> int:
    warm_up()
    choose = random.Random(seed)
    shared = Shared()
    wrong: list[str] = []
    with ps.open(directory) as log:
        log.create_topic(
            TOPIC,
            {"writer": "int64", "number": "int64"},
            key="number",
            partitions=PARTITIONS,
            segment_bytes="1MiB",
        )

    def live(number: int, life: int, *, is_last: bool = False) -> int:
        if number < WRITERS:
            return start(lambda: write(directory, shared, number, seed + life, is_last=is_last))
        return start(lambda: read(directory, shared, number - WRITERS, seed + life))

    processes = [live(number, number) for number in range(WRITERS + READERS)]

    def kill(number: int) -> None:
        os.kill(processes[number], signal.SIGKILL)
        _, status = os.waitpid(processes[number], 0)
        if not os.WIFSIGNALED(status):
            wrong.append(f"process {number} ended by itself with status {status}")

    for cycle in range(kills):
        time.sleep(choose.random() * 0.06)
        victim = choose.randrange(WRITERS + READERS)
        kill(victim)
        processes[victim] = live(victim, 100 + cycle)
    acknowledged = 0
    for number in range(WRITERS):
        kill(number)
        acknowledged += int(shared.acknowledged[number]) + 1
        if os.waitpid(live(number, number, is_last=True), 0)[1] != 0:
            wrong.append(f"writer {number} did not come to its end")
    shared.end()
    wrong += [
        f"reader {number} saw something wrong"
        for number in range(READERS)
        if os.waitpid(processes[WRITERS + number], 0)[1] != 0
    ]
    records, wrong_records = check_log(directory, shared)
    wrong += wrong_records
    for reader in range(READERS):
        seen = sum(int(shared.seen(reader, partition)[0]) for partition in range(PARTITIONS))
        if seen != records:
            wrong.append(f"reader {reader} saw {seen} of {records} records")
    result = {
        "killed": kills + WRITERS,
        "records": records,
        "acknowledged": acknowledged,
        "repeated_in_tables": int(shared.repeated.sum()),
        "wrong": wrong,
    }
    print(json.dumps(result), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
