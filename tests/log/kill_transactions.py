"""Kill transactional producers at random, while readers complete what they leave.

Run as a program of its own (it forks, so it must have no other threads)::

    python -m tests.log.kill_transactions DIRECTORY KILLS SEED

Three producers write numbered transactions to some of four partitions, some of which they abort,
and commit an offset of a group with each. Two readers follow what is committed. Each is killed at
random moments and followed by another life. Which transactions were begun, and which commits were
acknowledged, stands in memory that survives them. At the end every acknowledged transaction is
there, each one that is there is whole, none that was aborted is, and nothing is left open. Prints
one line of JSON; the exit code is 1 when anything was lost, torn or wrong.
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

import pystream as ps
from tests.log.forked import start, warm_up

WRITERS = 3
READERS = 2
PARTITIONS = 4
TOPIC = "ledger"
GROUP = "followers"
BEGUN_MOST = 20_000  # of one writer
ACKNOWLEDGED, ABORTED = 1, 2


def plan(writer: int, number: int) -> tuple[dict[int, int], bool]:
    """Return the records by partition of a transaction, and whether it is committed."""
    choose = random.Random(writer * 1_000_003 + number)
    partitions = choose.sample(range(PARTITIONS), choose.randint(1, PARTITIONS))
    return {p: choose.randint(1, 3) for p in partitions}, choose.random() < 0.8


class Shared:
    """What every life of the processes knows of those before; survives them."""

    def __init__(self) -> None:
        self.begun = np.frombuffer(mmap.mmap(-1, 8 * WRITERS), dtype=np.int64)
        fates = np.frombuffer(mmap.mmap(-1, WRITERS * BEGUN_MOST), dtype=np.int8)
        self.fates = fates.reshape(WRITERS, BEGUN_MOST)
        self.over = np.frombuffer(mmap.mmap(-1, 8), dtype=np.int64)


def write(directory: str, shared: Shared, writer: int) -> None:
    """Write one transaction after another until killed."""
    with (
        ps.open(directory) as log,
        log.producer(transactional_id=f"w{writer}", linger="0s") as producer,
    ):
        while not shared.over[0]:
            number = int(shared.begun[writer])
            shared.begun[writer] = number + 1  # each number is used once, whatever becomes of it
            counts, is_committed = plan(writer, number)
            producer.begin_transaction()
            for partition, count in counts.items():
                rows = {"writer": [writer] * count, "number": [number] * count}
                producer.send_batch(TOPIC, rows, partition=partition)
            if is_committed:
                producer.send_offsets_to_transaction({(TOPIC, writer): number}, f"{GROUP}-{writer}")
                producer.commit_transaction()
                shared.fates[writer, number] = ACKNOWLEDGED
            else:
                producer.abort_transaction()
                shared.fates[writer, number] = ABORTED


def read(directory: str, shared: Shared) -> None:
    """Follow what is committed, and complete what the dead leave."""
    with ps.open(directory) as log, log.consumer(TOPIC, auto_offset_reset="earliest") as consumer:
        while not shared.over[0]:
            for records in consumer.poll("20ms").values():
                for record in records:
                    writer, number = record["writer"], record["number"]
                    if number < 0:
                        continue
                    assert plan(writer, number)[1], f"transaction {writer}/{number} was aborted"
                    assert shared.fates[writer, number] != ABORTED


def check_log(directory: str, shared: Shared) -> tuple[int, list[str]]:
    """Return how many transactions are there, and what is wrong."""
    wrong = []
    found: dict[tuple[int, int], dict[int, int]] = {}
    with ps.open(directory) as log:
        with log.consumer(TOPIC, auto_offset_reset="earliest") as consumer:
            for batch in consumer.batches(timeout="0s"):
                rows = zip(batch["writer"].to_pylist(), batch["number"].to_pylist(), strict=True)
                for name in rows:
                    if name[1] < 0:
                        continue
                    counts = found.setdefault(name, {})
                    counts[batch.partition] = counts.get(batch.partition, 0) + 1
        for (writer, number), counts in found.items():
            if counts != plan(writer, number)[0]:
                wrong.append(f"transaction {writer}/{number} is torn: {counts}")
            if not plan(writer, number)[1]:
                wrong.append(f"transaction {writer}/{number} was never to be committed")
        for writer in range(WRITERS):
            acknowledged = np.flatnonzero(shared.fates[writer] == ACKNOWLEDGED)
            wrong += [
                f"transaction {writer}/{number} was acknowledged and is lost"
                for number in acknowledged.tolist()
                if (writer, number) not in found
            ]
            last = max((number for its, number in found if its == writer), default=None)
            with log.consumer(group_id=f"{GROUP}-{writer}") as consumer:
                offset = consumer.committed(ps.TopicPartition(TOPIC, writer))
            if offset != last:
                wrong.append(f"writer {writer} committed offset {offset} with transaction {last}")
        for partition in range(PARTITIONS):
            native = log.topic(TOPIC).native_partition(partition)
            if native.open_transactions():
                wrong.append(f"partition {partition} is held up")
        if log.transactions():
            wrong.append(f"{log.transactions()} are left")
    return len(found), wrong


def main(directory: str, kills: int, seed: int) -> int:
    warm_up()
    choose = random.Random(seed)
    shared = Shared()
    with ps.open(directory) as log:
        log.create_topic(TOPIC, {"writer": "int64", "number": "int64"}, partitions=PARTITIONS)
        for writer in range(WRITERS):
            log.catalog.group_id(f"{GROUP}-{writer}")
        with log.producer() as producer:  # so that offsets of groups are within the log
            for partition in range(PARTITIONS):
                rows = {"writer": [0] * BEGUN_MOST, "number": [-1] * BEGUN_MOST}
                producer.send_batch(TOPIC, rows, partition=partition)
    wrong: list[str] = []

    def live(number: int) -> int:
        if number < WRITERS:
            return start(lambda: write(directory, shared, number))
        return start(lambda: read(directory, shared))

    processes = [live(number) for number in range(WRITERS + READERS)]
    for _ in range(kills):
        time.sleep(choose.random() * 0.06)
        victim = choose.randrange(WRITERS + READERS)
        os.kill(processes[victim], signal.SIGKILL)
        _, status = os.waitpid(processes[victim], 0)
        if not os.WIFSIGNALED(status):
            wrong.append(f"process {victim} ended by itself with status {status}")
        processes[victim] = live(victim)
    shared.over[0] = 1
    wrong += [
        f"process {number} ended wrongly"
        for number, process in enumerate(processes)
        if os.waitpid(process, 0)[1] != 0
    ]
    transactions, wrong_log = check_log(directory, shared)
    result = {
        "killed": kills,
        "transactions": transactions,
        "acknowledged": int((shared.fates == ACKNOWLEDGED).sum()),
        "wrong": wrong + wrong_log,
    }
    print(json.dumps(result), flush=True)
    return 1 if result["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
