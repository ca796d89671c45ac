"""How long from producing a record to having it in another process, at a given load?

One process produces on a schedule, this one consumes. A record carries the time at which it was
*due*, and its latency counts from there: a producer that falls behind does not make the figure
better (no coordinated omission). Records that are due are sent together, and one before all others,
which is not counted: it makes files and tables. 64-byte values, one partition, nothing is synced by
any system (``acks="published"``): it is the wake-up that is compared. pystream wakes through a
futex, Redis through a socket; LMDB and SQLite have no wake-up and are polled every 100 µs.

Informational: a busy machine moves p99 more than anything else.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.latency import FIRST, SYSTEMS, Unavailable

SECONDS = 2.0
RATES = (1_000, 50_000)


def collect(arrivals: Iterator[list[int]], count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the latencies in microseconds of that many records."""
    latencies: list[int] = []
    for due in arrivals:
        now = time.monotonic_ns()
        latencies += [now - moment for moment in due if moment != FIRST]
        if len(latencies) >= count:
            break
    return np.array(latencies) / 1e3


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("name", list(SYSTEMS))
def test_latency(benchmark: Any, tmp_path: Path, name: str, rate: int) -> None:
    count = int(rate * SECONDS)
    info = benchmark.extra_info
    info["latency"] = {"system": name, "offered": rate}

    def run() -> None:
        try:
            with SYSTEMS[name](tmp_path) as system:
                command = [sys.executable, "-m", "bench.latency", name, str(tmp_path)]
                producer = subprocess.Popen([*command, str(rate), str(count)])
                try:
                    found = collect(system.arrivals(), count)
                finally:
                    producer.wait(60)
        except Unavailable as why:
            info["latency"]["why_not"] = str(why)
            return
        p50, p99, p999 = np.percentile(found, [50, 99, 99.9])
        info["latency"] |= {"p50": p50, "p99": p99, "p999": p999, "records": len(found)}

    info["load"] = os.getloadavg()[0]
    benchmark.pedantic(run, rounds=1)
