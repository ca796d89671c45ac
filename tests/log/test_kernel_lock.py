"""Locks that the kernel drops when their holder dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pystream.errors import RequestTimeoutError, StorageError
from pystream.log.kernel_lock import KernelLock

HOLDER = """
import sys
from pystream.log.kernel_lock import KernelLock
lock = KernelLock(sys.argv[1], slot=3, what="the lock")
assert lock.try_acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "lock")


def test_second_open_file_is_refused_until_release(path: str) -> None:
    first, second = (KernelLock(path, what="the lock") for _ in range(2))
    assert first.try_acquire()
    assert not second.try_acquire()
    first.release()
    assert second.try_acquire()
    second.close()
    first.close()


def test_slots_are_independent(path: str) -> None:
    locks = [KernelLock(path, slot=slot, what="the lock") for slot in range(3)]
    assert all(lock.try_acquire() for lock in locks)
    for lock in locks:
        lock.close()


def test_timeout_names_the_holder(path: str) -> None:
    first, second = (KernelLock(path, slot=2, what="the catalog of /data") for _ in range(2))
    assert first.try_acquire()
    with pytest.raises(
        RequestTimeoutError, match="the catalog of /data was held by process"
    ) as caught:
        second.acquire(timeout_us=1000)
    assert caught.value.pid == os.getpid()
    assert caught.value.retriable
    first.close()
    second.close()


def test_kernel_frees_the_lock_of_a_killed_process(path: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        lock = KernelLock(path, slot=3, what="the lock")
        assert not lock.try_acquire()
        assert lock.holder() == holder.pid
        holder.send_signal(signal.SIGKILL)
        lock.acquire(timeout_us=10_000_000)
        lock.close()


def test_child_of_a_fork_that_forgets_does_not_free_the_lock(path: str) -> None:
    lock, other = (KernelLock(path, what="the lock") for _ in range(2))
    assert lock.try_acquire()
    child = os.fork()
    if child == 0:
        lock.forget()
        os._exit(0)
    os.waitpid(child, 0)
    assert not other.try_acquire()
    lock.close()
    other.close()


def test_lock_that_is_dropped_is_free_and_runs_no_python(path: str) -> None:
    """Ctrl-C that came just then would be lost in a ``__del__``."""
    lock = KernelLock(path, what="the lock")
    assert lock.try_acquire()
    events = []
    sys.setprofile(lambda frame, event, _: events.append((event, frame.f_code.co_name)))
    del lock
    sys.setprofile(None)
    assert [event for event in events if event[0] == "call"] == []
    with KernelLock(path, what="the lock") as other:
        assert other.try_acquire()
        other.close()


def test_file_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    lock = KernelLock(str(tmp_path / "missing" / "lock"), what="the catalog")
    with pytest.raises(StorageError, match="cannot lock the catalog") as caught:
        lock.try_acquire()
    assert caught.value.errno == 2
    assert caught.value.path == str(tmp_path / "missing" / "lock")
