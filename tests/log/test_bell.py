"""What threads wait for: rung before or meanwhile, for a while, and beside a busy machine."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import pystream
from pystream.log.bell import Bell

SECONDS = 60.0
WAITS = 30_000
BUSY = 4


@pytest.fixture
def busy_machine() -> Iterator[None]:
    """More processes than processors, which take them away from this one."""
    program = [
        sys.executable,
        "-c",
        f"import time\nend = time.time() + {SECONDS}\nwhile time.time() < end: pass",
    ]
    with contextlib.ExitStack() as stack:
        for _ in range(BUSY):
            process = stack.enter_context(subprocess.Popen(program))
            stack.callback(process.kill)
        yield


def test_a_bell_that_rang_ends_the_next_wait_and_no_other() -> None:
    bell = Bell()
    assert not bell.wait(0.0)
    bell.ring()
    bell.ring()
    assert bell.wait()
    assert not bell.wait(0.001)
    bell.ring()
    assert bell.wait(1e300)  # as long as the system can wait


def test_a_bell_ends_a_wait() -> None:
    bell, ended = Bell(), threading.Event()
    thread = threading.Thread(target=lambda: (bell.wait(), ended.set()))
    thread.start()
    assert not ended.wait(0.05)
    bell.ring()
    assert ended.wait(SECONDS)
    thread.join()


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 1e-9, 0.01])
def test_a_wait_ends_after_its_time(seconds: float) -> None:
    began = time.monotonic()
    assert not Bell().wait(seconds)
    assert seconds <= time.monotonic() - began < SECONDS


@pytest.mark.usefixtures("busy_machine")
def test_short_waits_end_where_the_processor_is_taken_away() -> None:
    """A wait of `queue.SimpleQueue` did not, once in some thousand times."""
    done = 0

    def wait() -> None:
        nonlocal done
        for _ in range(WAITS):
            Bell().wait(3e-6)
            done += 1

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert not thread.is_alive(), f"it waits for ever, after {done} times"
    assert done == WAITS


def test_nothing_waits_for_a_queue_for_some_time() -> None:
    makes = re.compile(r"\bSimpleQueue\(\)")
    users = {
        path.name
        for path in Path(pystream.__file__).parent.rglob("*.py*")
        if path.suffix in (".py", ".pyx") and makes.search(path.read_text())
    }
    assert users == {"worker.py", "aio.py", "sender.py"}, "who wait as long as it takes"
