"""What does each kind of window cost beside a tumbling one, and what does a key hold?

20 M events of 1,000 keys from the log in the page cache, one thread, count and sum. The rival is a
tumbling window of ten minutes; hopping windows of the same size overlap 6, 60 and 600 times, and
bring so many more results; a global window gives one for each key, at the end. State is read from a
job that has taken in all events and waits for more: bytes of all keys' open windows, divided by the
keys. Sessions are measured with many keys, whose records are a quarter of a gap apart on average.

Panes that fire on update and windows that count one by one give a result for every record, so that
there are fewer events. With allowed lateness one record in a hundred comes up to half a minute late
and fires its window of ten seconds again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import pystream as ps
from bench.datasets import BATCH_ROWS, EVENTS, events
from bench.side_by_side import Rival, measure
from pystream import col

KEYS = 1_000
TUMBLING = ps.tumbling("10m")
KINDS = {
    "tumbling 10 min": (TUMBLING, 0.9),
    "hopping 10 min / 100 s": (ps.hopping("10m", "100s"), 0.5),
    "hopping 10 min / 10 s": (ps.hopping("10m", "10s"), 0.5),
    "hopping 10 min / 1 s": (ps.hopping("10m", "1s"), 0.5),
    "cumulate 10 min / 1 s": (ps.cumulate("10m", "1s"), 0.5),
}
ENDLESS = {
    "global": (ps.global_window(), EVENTS),
    "count 100": (ps.count_window(100), EVENTS),
    "count 100, slide 10": (ps.count_window(100, slide=10), EVENTS),
    "count 100, slide 1": (ps.count_window(100, slide=1), EVENTS // 20),
}
LATE_PERCENT = 1
LATEST_MS = 30_000
DEADLINE_SECONDS = 120


@pytest.mark.parametrize("kind", list(KINDS))
def test_window_kind(benchmark: Any, log: ps.Log, kind: str) -> None:
    window, aim = KINDS[kind]
    fill(log)
    benchmark.extra_info["state"] = state_bytes(log, window) / KEYS
    measure(
        benchmark,
        lambda: job(log, window).to_arrow(),
        title=f"{kind}, {KEYS:,} keys, count/sum",
        amount=EVENTS / 1e6,
        unit="M events",
        rival=Rival("tumbling 10 min", lambda: job(log, TUMBLING).to_arrow(), aim),
        rounds=3,
    )


@pytest.mark.parametrize(("keys", "gap"), [(10_000, "200ms"), (1_000_000, "20s")])
def test_sessions(benchmark: Any, log: ps.Log, keys: int, gap: str) -> None:
    window = ps.session(gap)
    fill(log, keys)
    benchmark.extra_info["state"] = state_bytes(log, window) / keys
    measure(
        benchmark,
        lambda: job(log, window).to_arrow(),
        title=f"sessions with a gap of {gap}, {keys:,} keys, count/sum",
        amount=EVENTS / 1e6,
        unit="M events",
        aim=">= 5 M/s" if keys == 10_000 else "",
        rounds=3,
    )


def test_on_update(benchmark: Any, log: ps.Log) -> None:
    some = EVENTS // 10
    fill(log, count=some)

    def on_update(windows: Any) -> Any:
        return windows.emit("on_update")

    benchmark.extra_info["state"] = state_bytes(log, TUMBLING, on_update) / KEYS
    measure(
        benchmark,
        lambda: job(log, TUMBLING, on_update).to_arrow(),
        title=f"tumbling 10 min on update, {KEYS:,} keys, count/sum",
        amount=some / 1e6,
        unit="M events",
        rounds=3,
    )


def test_allowed_lateness(benchmark: Any, log: ps.Log) -> None:
    window = ps.tumbling("10s")
    fill(log, late_percent=LATE_PERCENT)

    def late(windows: Any) -> Any:
        return windows.allowed_lateness("1m")

    benchmark.extra_info["state"] = state_bytes(log, window, late) / KEYS
    measure(
        benchmark,
        lambda: job(log, window, late).to_arrow(),
        title=f"tumbling 10 s, {LATE_PERCENT} % late and allowed, {KEYS:,} keys, count/sum",
        amount=EVENTS / 1e6,
        unit="M events",
        rival=Rival("none allowed", lambda: job(log, window).to_arrow(), 0.5),
        rounds=3,
    )


@pytest.mark.parametrize("kind", list(ENDLESS))
def test_endless_windows(benchmark: Any, log: ps.Log, kind: str) -> None:
    window, some = ENDLESS[kind]
    fill(log, count=some)
    benchmark.extra_info["state"] = state_bytes(log, window) / KEYS
    measure(
        benchmark,
        lambda: job(log, window).to_arrow(),
        title=f"{kind}, {KEYS:,} keys, count/sum",
        amount=some / 1e6,
        unit="M events",
        rounds=3,
    )


def fill(log: ps.Log, keys: int = KEYS, *, count: int = EVENTS, late_percent: int = 0) -> None:
    """Append so many events; of a hundred, so many come late."""
    schema = {"ts": "timestamp[ms]", "key": "int64", "value": "float64"}
    log.create_topic("events", schema=schema, key="key")
    columns = events(keys)
    if late_percent:
        draw = np.random.default_rng(3)
        late = draw.integers(0, 100, EVENTS) < late_percent
        back = np.where(late, draw.integers(0, LATEST_MS, EVENTS), 0)
        columns["ts"] = columns["ts"] - back.astype("timedelta64[ms]")
    with log.producer() as producer:
        for begin in range(0, count, BATCH_ROWS):
            end = min(count, begin + BATCH_ROWS)
            part = {name: column[begin:end] for name, column in columns.items()}
            producer.send_batch("events", pa.table(part))


Firing = Callable[[Any], Any]


def on_close(windows: Any) -> Any:
    return windows


def job(log: ps.Log, window: Any, firing: Firing = on_close) -> ps.Stream:
    return windows(ps.Environment(log), window, firing)


def windows(env: ps.Environment, window: Any, firing: Firing) -> ps.Stream:
    strategy = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
    keyed = env.from_topic("events", watermark=strategy).key_by("key")
    return firing(keyed.window(window)).aggregate(n=ps.count(), s=col("value").sum())


def state_bytes(log: ps.Log, window: Any, firing: Firing = on_close) -> int:
    """Return what a job holds that waits for more events."""
    env = ps.Environment(log, name="state")
    windows(env, window, firing).sink_to_topic("results")
    deadline = time.monotonic() + DEADLINE_SECONDS
    with env.execute_async() as running:
        held, before = 0, -1
        while held == 0 or held != before:  # until the last records have been taken in, too
            if time.monotonic() > deadline:
                raise TimeoutError(f"{window} did not take in its events")
            time.sleep(0.1)
            operators = running.metrics().operators
            if any(it.pending_records for it in operators):
                continue
            held, before = sum(it.state_bytes for it in operators), held
    log.delete_topic("results")
    return held
