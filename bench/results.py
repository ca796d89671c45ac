"""The producing process of `test_result_latency.py`.

Usage: python -m bench.results DIRECTORY RATE SECONDS
"""

from __future__ import annotations

import sys
import time

import numpy as np

import pystream as ps

KEYS = 1_000
SCHEMA = {"ts": "timestamp[us]", "key": "int64", "value": "float64"}


def produce(directory: str, rate: int, seconds: float) -> None:
    """Send every millisecond what is due by then; event time is the time at which it was due."""
    random = np.random.default_rng(7)
    count = int(rate * seconds)
    keys = random.integers(0, KEYS, count, dtype="int64")
    values = random.random(count)
    offsets = (np.arange(count) * (1e6 / rate)).astype("int64")
    with ps.open(directory) as log, log.producer(acks="published") as producer:
        started = time.time_ns() // 1000
        stamps = (offsets + started).astype("datetime64[us]")
        sent = 0
        while sent < count:
            due = int(np.searchsorted(offsets, time.time_ns() // 1000 - started, side="right"))
            if due > sent:
                part = slice(sent, due)
                rows = {"ts": stamps[part], "key": keys[part], "value": values[part]}
                producer.send_batch("events", rows)
                sent = due
            time.sleep(0.001)


if __name__ == "__main__":
    produce(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
