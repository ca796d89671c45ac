"""What does a consumer group cost: a commit of offsets, and sharing partitions between members?

Commits stand beside a transaction of SQLite that stores as many rows, durable as they are. Groups
of 1, 4 and 16 members sum a column of the same 64 partitions, each member in a process of its own,
from the moment at which all have their share; they stand beside one consumer that has all
partitions assigned and no group.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pystream as ps
from bench.side_by_side import Rival, measure

PARTITIONS = 64
RECORDS = 20_000_000
BATCH = 20_000

MEMBER = """
import sys, pystream as ps

log = ps.open(sys.argv[1])
members, partitions = int(sys.argv[2]), int(sys.argv[3])
if members:
    consumer = log.consumer("t", group_id="g", auto_offset_reset="earliest")

    def is_settled():
        group = log.describe_group("g")
        return group.state == "stable" and len(group.members) == members

    while not is_settled():
        consumer.poll("20ms", max_records=1)
else:
    consumer = log.consumer(auto_offset_reset="earliest")
    consumer.assign([("t", number) for number in range(partitions)])
print("ready", flush=True)
for line in sys.stdin:
    consumer.seek_to_beginning()
    total = 0
    for batch in consumer.batches(timeout="0s"):
        total += int(batch["n"].to_numpy().sum())
    print(total, flush=True)
consumer.close()
log.close()
"""


@pytest.mark.parametrize("partitions", [1, PARTITIONS])
def test_commit(benchmark: Any, log: ps.Log, tmp_path: Path, partitions: int) -> None:
    log.create_topic("t", {"n": "int64"}, partitions=partitions)
    with log.producer() as producer:
        for partition in range(partitions):
            producer.send_batch("t", {"n": np.arange(1000)}, partition=partition)
    plain = sqlite3.connect(tmp_path / "plain.db", isolation_level=None)
    plain.execute("PRAGMA journal_mode=WAL")
    plain.execute("PRAGMA synchronous=FULL")
    plain.execute("CREATE TABLE offsets (partition INTEGER PRIMARY KEY, at INTEGER)")
    offsets, others = count(1), count(1)

    def store() -> None:
        at = next(others)
        plain.execute("BEGIN IMMEDIATE")
        plain.executemany(
            "INSERT OR REPLACE INTO offsets VALUES (?, ?)",
            [(partition, at) for partition in range(partitions)],
        )
        plain.execute("COMMIT")

    with log.consumer("t", group_id="g", enable_auto_commit=False) as consumer:
        names = sorted(consumer.assignment())

        def commit() -> None:
            at = next(offsets)
            consumer.commit(dict.fromkeys(names, at))

        measure(
            benchmark,
            commit,
            title=f"commit of the offsets of {partitions} partition{'s' * (partitions > 1)}, p50",
            amount=1,
            unit="commits",
            rival=Rival("a transaction of SQLite", store, aim=0.5),
            rounds=300,
        )
    plain.close()


@contextmanager
def readers(directory: str, members: int) -> Iterator[Any]:
    """Give a function that lets all read once and waits for them; 0 members: one, and no group."""
    command = [sys.executable, "-c", MEMBER, directory, str(members), str(PARTITIONS)]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(max(1, members))
    ]

    def read() -> None:
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        assert sum(int(_line(process)) for process in running) == RECORDS * (RECORDS - 1) // 2

    for process in running:
        assert _line(process) == "ready"
    try:
        yield read
    finally:
        for process in running:
            process.communicate(timeout=60)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("members", [1, 4, 16])
def test_read(benchmark: Any, log: ps.Log, members: int) -> None:
    log.create_topic("t", {"n": "int64"}, partitions=PARTITIONS)
    with log.producer() as producer:
        for at in range(0, RECORDS, BATCH):
            producer.send_batch(
                "t", {"n": np.arange(at, at + BATCH)}, partition=at // BATCH % PARTITIONS
            )
    with readers(log.directory, members) as together, readers(log.directory, 0) as alone:
        measure(
            benchmark,
            together,
            title=f"summing {PARTITIONS} partitions, a group of {members}",
            amount=RECORDS / 1e6,
            unit="M records",
            rival=Rival("one consumer without a group", alone, aim=0.7),
            rounds=7,
        )
