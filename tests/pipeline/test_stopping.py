"""Jobs that are cancelled, or interrupted by Ctrl-C, in the middle of what takes long.

The work of each would take far longer than the test waits for its end; how long a machine takes
for it does not matter. Nothing waits for a time: threads watch what the job counts.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import pystream as ps
from pystream import TriggerResult
from pystream.plan import nodes

TIMES = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
AT_MOST = 5.0  # seconds, on a machine that is busy; a fraction of one on others


@pytest.fixture(autouse=True)
def what_a_handler_raises_comes_out() -> Iterator[None]:
    """Set callbacks of the garbage collector aside: Python drops what is raised inside one.

    Hypothesis measures collections with one, and a signal may come in the middle of it.
    """
    kept = gc.callbacks[:]
    gc.callbacks.clear()
    yield
    gc.callbacks[:] = kept


def many_panes(early: int) -> ps.Stream:
    """Return hopping windows in which every record has twenty thousand panes."""
    table = {"ts": np.arange(16_000, dtype="int64")}
    windows = (
        ps.Environment().from_arrow(table, watermark=TIMES).window_all(ps.hopping("20000ms", "1ms"))
    )
    return windows.early(count=early).aggregate(n=ps.count())


class Slow(ps.Trigger):
    """Takes a hundredth of a second for each record."""

    def on_element(self, row: Any, timestamp: Any, window: Any, ctx: Any) -> TriggerResult:
        end = time.monotonic() + 0.01
        while time.monotonic() < end:
            pass
        return TriggerResult.CONTINUE


def slow_trigger() -> ps.Stream:
    table = {"ts": np.arange(16_000, dtype="int64")}
    stream = ps.Environment().from_arrow(table, watermark=TIMES)
    return stream.window_all(ps.global_window()).trigger(Slow()).aggregate(n=ps.count())


WORK: dict[str, Callable[[], ps.Stream]] = {
    "panes that fire": lambda: many_panes(1),
    "panes that do not fire": lambda: many_panes(10**9),
    "a slow trigger": slow_trigger,
}


def job_of(stream: ps.Stream) -> Any:
    return stream._env._engine.prepare((nodes.Collect(stream._node),), bounded=True)


def wait_until_at_work(job: Any) -> None:
    """Return when the batch is at the window."""
    deadline = time.monotonic() + 60
    while not any(m.num_batches_in for m in job.metrics().operators[1:]):
        assert time.monotonic() < deadline, "the job does not begin"
        threading.Event().wait(0.002)


@pytest.mark.parametrize("work", WORK)
def test_cancel_ends_a_job_within_its_batch(work: str) -> None:
    job = job_of(WORK[work]())
    job.start()
    wait_until_at_work(job)
    began = time.monotonic()
    job.cancel()
    assert job.result(timeout="60s").is_cancelled
    assert time.monotonic() - began < AT_MOST


@pytest.mark.parametrize("work", WORK)
def test_ctrl_c_ends_a_job_within_its_batch(work: str) -> None:
    job = job_of(WORK[work]())
    began = []

    def interrupt() -> None:
        wait_until_at_work(job)
        began.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        job.run()
    seconds = time.monotonic() - began[0]
    thread.join()
    assert seconds < AT_MOST
    assert not job.is_running


def test_what_a_handler_of_a_signal_raises_comes_out() -> None:
    class Enough(Exception):
        pass

    def handler(*_: object) -> None:
        raise Enough

    job = job_of(many_panes(10**9))

    def interrupt() -> None:
        wait_until_at_work(job)
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, handler)
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(Enough):
            job.run()
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)
