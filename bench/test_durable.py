"""What does ``acks="durable"`` cost beside the disk alone, and what do many senders share?

One commit of a 64 KiB table against ``pwrite`` and ``fdatasync`` of as many bytes: into a file that
was reserved beforehand, and into one that was filled with zeros and synced, which is what the log
does ahead of the end, and as fast as this disk can be. Each round is one of either, so that the
rates are medians of single commits. Then commits of 1 KiB by 8 threads in 4 processes on one
partition, against as many by one thread alone; enough of them that making the producers does not
count. Once on the disk as it is, and once where each sync takes a millisecond longer, as on most
disks: there the cores are not what limits.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pystream as ps
from bench.side_by_side import Rival, measure
from bench.slow_sync import environment

COMMITS = 1600
PROCESSES = 4
THREADS = 2

WORKER = """
import sys, threading
import numpy as np, pystream as ps

log = ps.open(sys.argv[1])
threads, commits = int(sys.argv[2]), int(sys.argv[3])
batch = {"n": np.arange(128)}

def commit_all():
    with log.producer(acks="durable") as producer:
        for _ in range(commits):
            producer.send_batch("t", batch)

commit_all()  # warm
print("ready", flush=True)
for line in sys.stdin:
    running = [threading.Thread(target=commit_all) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    print("done", flush=True)
log.close()
"""


@pytest.mark.parametrize("is_written", [False, True], ids=["reserved", "written"])
def test_commit(benchmark: Any, log: ps.Log, tmp_path: Path, is_written: bool) -> None:
    rows = 64 * 1024 // 16
    batch = {"a": np.arange(rows), "b": np.random.default_rng(1).random(rows)}
    payload = b"".join(column.tobytes() for column in batch.values())
    log.create_topic("t", schema={"a": "int64", "b": "float64"})
    rounds = 300
    descriptor = os.open(tmp_path / "plain", os.O_CREAT | os.O_RDWR)
    os.posix_fallocate(descriptor, 0, len(payload) * (rounds + 10))
    if is_written:
        for position in range(0, len(payload) * (rounds + 10), len(payload)):
            os.pwrite(descriptor, bytes(len(payload)), position)
    os.fsync(descriptor)
    positions = iter(range(0, len(payload) * (rounds + 10), len(payload)))

    def plain() -> None:
        os.pwrite(descriptor, payload, next(positions))
        os.fdatasync(descriptor)

    with log.producer(acks="durable") as producer:
        for _ in range(20):
            producer.send_batch("t", batch)
        measure(
            benchmark,
            lambda: producer.send_batch("t", batch),
            title="durable commit of 64 KiB, p50"
            + (", beside a file of zeros" if is_written else ""),
            amount=1,
            unit="commits",
            rival=Rival("pwrite + fdatasync of the same bytes", plain, aim=1 / 1.3),
            rounds=rounds,
        )
    os.close(descriptor)


@contextmanager
def workers(
    directory: str, processes: int, threads: int, commits: int, env: dict[str, str]
) -> Iterator[Any]:
    """Give a function that lets all processes commit once and waits for them."""
    command = [sys.executable, "-c", WORKER, directory, str(threads), str(commits)]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        for _ in range(processes)
    ]

    def expect(answer: str) -> None:
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == f"{answer}\n"

    def commit() -> None:
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        expect("done")

    expect("ready")
    try:
        yield commit
    finally:
        for process in running:
            process.communicate(timeout=60)


@pytest.mark.parametrize(
    ("pause_us", "commits"), [(0, COMMITS), (1000, COMMITS // 4)], ids=["as-is", "1ms-longer"]
)
def test_group_commit(
    benchmark: Any, log: ps.Log, tmp_path: Path, pause_us: int, commits: int
) -> None:
    log.create_topic("t", schema={"n": "int64"})
    env = environment(tmp_path, pause_us)
    each = commits // (PROCESSES * THREADS)
    with (
        workers(log.directory, PROCESSES, THREADS, each, env) as together,
        workers(log.directory, 1, 1, commits, env) as alone,
    ):
        measure(
            benchmark,
            together,
            title=f"durable commits of 1 KiB, {PROCESSES * THREADS} threads in "
            f"{PROCESSES} processes" + (", syncs 1 ms longer" if pause_us else ""),
            amount=commits,
            unit="commits",
            rival=Rival("one thread", alone, aim=4),
            rounds=7,
        )
