"""Several processes on one log, a wait that is interrupted, and a disk that is full."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pystream as ps
from pystream import errors
from tests.log.reading import rows_of


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", program, *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


OPENER = """
import sys, pystream as ps
sys.stdin.readline()
with ps.open(sys.argv[1]) as log:
    log.create_topic("t", {"n": "int64"}, partitions=3, exist_ok=True)
    with log.producer() as producer:
        for n in range(100):
            producer.send("t", {"n": int(sys.argv[2]) * 1000 + n})
"""


def test_processes_may_create_the_log_at_the_same_moment(tmp_path: Path) -> None:
    processes = [start(OPENER, tmp_path / "data", number) for number in range(5)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        finish(process)
    with ps.open(tmp_path / "data") as log:
        assert log.topics() == ["t"]
        found = [row["n"] for row in rows_of(log, "t")]
    assert sorted(found) == [p * 1000 + n for p in range(5) for n in range(100)]


WAITER = """
import sys, pystream as ps
with ps.open(sys.argv[1]) as log, log.consumer("t") as consumer:
    try:
        print("waiting", flush=True)
        for record in consumer:
            pass
    except KeyboardInterrupt:
        print("interrupted")
"""


def test_ctrl_c_ends_a_wait(tmp_path: Path) -> None:
    with ps.open(tmp_path) as log:
        log.create_topic("t")
    process = start(WAITER, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    assert finish(process) == "interrupted\n"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a directory on a file system of 4 MiB; only root can have one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_full_disk_is_an_error_and_the_log_stays_usable(small_disk: Path) -> None:
    with ps.open(small_disk) as log:
        log.create_topic("t", segment_bytes="1MiB")
        (small_disk / "ballast").write_bytes(bytes(1 << 20))
        with log.producer(batch_size="64KiB") as producer:
            kept = producer.send("t", b"first")
            producer.flush()
            deliveries = [producer.send("t", os.urandom(10_000)) for _ in range(500)]
            with pytest.raises(errors.StorageError) as caught:
                producer.flush()
            assert caught.value.errno == errno.ENOSPC
            fine = [d for d in deliveries if d.exception() is None]
            failed = [d for d in deliveries if d.exception() is not None]
            assert fine
            assert failed
            for delivery in failed:
                error = delivery.exception()
                assert isinstance(error, OSError)
                assert error.errno == errno.ENOSPC
                with pytest.raises(errors.StorageError, match="No space left"):
                    delivery.result()
            # Every acknowledged record is there, where it was said to be, and nothing else.
            rows = rows_of(log, "t")
            assert len(rows) == 1 + len(fine)
            assert rows[kept.result().offset]["value"] == b"first"
            assert {d.result().offset for d in fine} == set(range(1, len(rows)))
            (small_disk / "ballast").unlink()
            assert producer.send("t", os.urandom(10_000)).result().offset == len(rows)
