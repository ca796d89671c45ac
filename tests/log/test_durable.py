"""``acks="durable"``: what is acknowledged is synced; and when a sync fails or is stuck."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pystream as ps
from pystream import _native
from tests.log.reading import rows_of
from tests.log.slow_disk import SlowDisk, wait_until


def is_durable(log: ps.Log, topic: str) -> bool:
    partitions = log.topic(topic).partitions
    ends = [log.topic(topic).native_partition(number).ends() for number in range(partitions)]
    return all(end.durable_offset == end.log_end_offset for end in ends)


@pytest.mark.parametrize("acks", ["durable", "all", -1])
def test_delivery_is_done_when_its_record_is_durable(log: ps.Log, acks: Any) -> None:
    log.create_topic("t", partitions=3)
    seen: list[bool] = []
    with log.producer(acks=acks, linger="1ms") as producer:
        for round_ in range(5):
            deliveries = [
                producer.send("t", b"x", partition=number, key=f"{round_}") for number in range(3)
            ]
            deliveries[0].add_done_callback(lambda delivery: seen.append(is_durable(log, "t")))
            assert [delivery.result().offset for delivery in deliveries] == [round_] * 3
            assert is_durable(log, "t")
    assert seen == [True] * 5


def test_table_is_durable_when_send_batch_returns(log: ps.Log) -> None:
    log.create_topic("t", {"user": "int64", "n": "int64"}, key="user", partitions=4)
    with log.producer(acks="durable") as producer:
        sent = producer.send_batch("t", {"user": np.arange(1000), "n": np.arange(1000)})
        assert is_durable(log, "t")
    assert sum(part.record_count for part in sent) == 1000
    assert sorted(row["n"] for row in rows_of(log, "t")) == list(range(1000))


SEND_AND_DIE = """
import os, signal, sys
import numpy as np
import pystream as ps

log = ps.open(sys.argv[1])
producer = log.producer()
producer.send_batch("t", {"n": np.arange(1000)})
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_appended_is_synced_by_one_that_never_opened_the_topic(
    log: ps.Log,
) -> None:
    log.create_topic("t", {"n": "int64"}, partitions=3)
    for round_ in range(1, 4):
        killed = subprocess.run(
            [sys.executable, "-c", SEND_AND_DIE, log.directory], check=False, timeout=60
        )
        assert killed.returncode == -signal.SIGKILL
        with ps.open(log.directory, read_only=True) as view:  # which syncs nothing
            assert len(rows_of(view, "t")) == 1000 * round_
            wait_until(lambda: is_durable(view, "t"))


def test_batches_that_wait_together_share_one_sync(
    log: ps.Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.create_topic("t")
    calls: list[list[int]] = []
    sync = _native.sync_partitions

    is_sent = threading.Event()

    def slow_sync(partitions: list[_native.Partition], ends: list[int]) -> list[Exception | None]:
        calls.append(ends)
        assert is_sent.wait(60)
        return sync(partitions, ends)

    monkeypatch.setattr(_native, "sync_partitions", slow_sync)
    with log.producer(acks="durable", batch_size=100, linger="60s") as producer:
        # Every record closes a batch. The first ones are being synced while the others are sent.
        deliveries = [producer.send("t", bytes(100)) for _ in range(500)]
        is_sent.set()
        producer.flush()
        assert [delivery.result().offset for delivery in deliveries] == list(range(500))
    assert len(calls) <= 3
    assert calls[-1] == [500]


def test_pipeline_may_sink_durably(log: ps.Log) -> None:
    log.create_topic("in", {"n": "int64"})
    with log.producer() as producer:
        producer.send_batch("in", {"n": np.arange(100)})
    env = ps.Environment(log)
    env.from_topic("in").sink_to_topic("out", acks="durable")
    env.execute(until="latest")
    assert [row["n"] for row in rows_of(log, "out")] == list(range(100))
    assert is_durable(log, "out")


# -- with a disk that is slow or broken ----------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SlowDisk]:
    control = tmp_path / "disk"
    control.mkdir()
    disk = SlowDisk(control)
    yield disk
    disk.hold(syncs=False)
    disk.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    with ps.open(tmp_path / "log") as log:
        log.create_topic("t")
    return tmp_path / "log"


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    return out


FAILING = """
import os, sys, pystream as ps
from pystream import config, errors
config.PREWRITE_BYTES = 0  # or its sync may be the one that fails
fail = os.path.join(os.environ["SLOW_DISK"], "fail")
log = ps.open(sys.argv[1])
producer = log.producer(acks="durable")
assert producer.send("t", b"kept").result().offset == 0
open(fail, "w").close()
lost = [producer.send("t", b"lost") for _ in range(3)]
for delivery in lost:
    error = delivery.exception()
    assert isinstance(error, errors.StorageError) and error.errno == 5, error
    assert ".seg" in error.path, error.path
try:
    producer.send_batch("t", [{"value": b"lost"}])
except errors.StorageError as error:
    assert error.errno == 5 and "open it again" in str(error), error
    assert error.published_records == 0
os.unlink(fail)
for close in (producer.close, log.close):
    try:
        close()
    except errors.StorageError:
        pass
with ps.open(sys.argv[1]) as log, log.producer(acks="durable") as producer:
    offset = producer.send("t", b"sent again").result().offset
    assert offset > 3, offset
    with log.consumer("t", auto_offset_reset="earliest", timeout="0s") as consumer:
        print([record.value for record in consumer])
"""


def test_failed_sync_fails_deliveries_and_the_log_goes_on_when_opened_again(
    disk: SlowDisk, directory: Path
) -> None:
    assert finish(disk.start(FAILING, directory)) == "[b'kept', b'sent again']\n"


WRITER = """
import sys, pystream as ps
with ps.open(sys.argv[1], lock_timeout=sys.argv[2]) as log:
    producer = log.producer(acks="durable")
    try:
        print(producer.send_batch("t", [{"value": b"x"}])[0].base_offset, flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    except ps.errors.RequestTimeoutError as error:
        print("timeout", error.pid, error.published_records, flush=True)
"""


def test_ctrl_c_ends_the_wait_for_another_process_that_syncs(
    disk: SlowDisk, directory: Path
) -> None:
    disk.hold(syncs=True)
    first = disk.start(WRITER, directory, "30s")
    wait_until(lambda: disk.syncs == 1)
    second = disk.start(WRITER, directory, "30s")
    with ps.open(directory) as log:
        wait_until(lambda: log.topic("t").ends()[0].end == 2)
        second.send_signal(signal.SIGINT)
        assert second.stdout is not None
        assert second.stdout.readline() == "interrupted\n"
        assert disk.syncs == 1
        # Its record is published, and its close syncs it in the end.
        disk.hold(syncs=False)
        finish(second)
        assert finish(first) == "0\n"
        assert len(rows_of(log, "t")) == 2
        assert is_durable(log, "t")


def test_stuck_sync_is_a_timeout_that_names_the_process(disk: SlowDisk, directory: Path) -> None:
    disk.hold(syncs=True)
    first = disk.start(WRITER, directory, "30s")
    wait_until(lambda: disk.syncs == 1)
    second = disk.start(WRITER, directory, "50ms")
    assert second.stdout is not None
    assert second.stdout.readline() == f"timeout {first.pid} 0\n"
    disk.hold(syncs=False)
    finish(second)
    assert finish(first) == "0\n"


UNCLOSED = """
import sys, pystream as ps
log = ps.open(sys.argv[1])
producer = log.producer(acks="durable", linger="60s")
for n in range(100):
    producer.send("t", b"x")
"""


def test_program_that_ends_without_close_has_synced(disk: SlowDisk, directory: Path) -> None:
    finish(disk.start(UNCLOSED, directory))
    assert disk.syncs >= 1
    with ps.open(directory) as log:
        assert len(rows_of(log, "t")) == 100
        assert is_durable(log, "t")
