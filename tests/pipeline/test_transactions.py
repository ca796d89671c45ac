"""Pipelines read what is committed, in the order of appends, and wait for what is not decided."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import pystream as ps
from pystream.errors import ConfigError

SECONDS_MAX = 30


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ps.Log]:
    with ps.open(tmp_path / "data") as log:
        log.create_topic("t", {"n": "int64"}, partitions=2)
        yield log


def numbers(log: ps.Log, **settings: object) -> list[int]:
    """Return what a bounded run reads."""
    env = ps.Environment(log, name="read")
    table = env.from_topic("t", bounded=True, **settings).to_arrow()  # type: ignore[arg-type]
    return list(table["n"].to_pylist())


def test_a_bounded_run_reads_what_is_committed_up_to_the_last_stable_offset(log: ps.Log) -> None:
    with log.producer(transactional_id="p", linger="0s") as producer, log.producer() as plain:
        with producer.transaction():
            producer.send("t", {"n": 1}, partition=0)
        producer.begin_transaction()
        producer.send("t", {"n": 2}, partition=0).result()
        producer.abort_transaction()
        plain.send("t", {"n": 3}, partition=0).result()
        producer.begin_transaction()
        producer.send("t", {"n": 4}, partition=0).result()
        plain.send("t", {"n": 5}, partition=0).result()
        plain.send("t", {"n": 6}, partition=1).result()
        assert numbers(log) == [1, 3, 6]
        assert numbers(log, isolation_level="read_uncommitted") == [1, 2, 3, 4, 5, 6]
        with pytest.raises(ConfigError, match="isolation_level"):
            numbers(log, isolation_level="dirty")
        producer.commit_transaction()
    assert numbers(log) == [1, 3, 4, 5, 6]


def test_live_order_is_that_of_appends_and_so_the_replay(log: ps.Log) -> None:
    """What was appended behind an open transaction waits for it, also in other partitions."""
    with log.producer(transactional_id="p", linger="0s") as producer, log.producer() as plain:
        env = ps.Environment(log, name="copy")
        seen: list[int] = []
        has_seen = threading.Event()

        def see(batch: ps.RecordBatch) -> ps.RecordBatch:
            seen.extend(batch["n"].to_numpy().tolist())
            if len(seen) >= 1:
                has_seen.set()
            return batch

        env.from_topic("t").map_batches(see).sink_to_topic("out")
        with env.execute_async() as job:
            plain.send("t", {"n": 1}, partition=1).result()
            assert has_seen.wait(SECONDS_MAX)
            producer.begin_transaction()
            producer.send("t", {"n": 2}, partition=0).result()
            plain.send("t", {"n": 3}, partition=1).result()
            producer.send("t", {"n": 4}, partition=1).result()
            plain.send("t", {"n": 5}, partition=0).result()
            producer.commit_transaction()
            deadline = time.monotonic() + SECONDS_MAX
            while len(seen) < 5 and time.monotonic() < deadline:
                job.metrics()
        assert seen == [1, 2, 3, 4, 5]
    assert numbers(log) == [1, 2, 3, 4, 5]


def test_a_job_is_not_held_up_by_a_dead_producer(log: ps.Log) -> None:
    producer = log.producer(transactional_id="p", linger="0s")
    producer.begin_transaction()
    producer.send("t", {"n": 1}, partition=0).result()
    producer._transactions._liveness.close()  # as when its process dies
    with log.producer() as plain:
        plain.send("t", {"n": 2}, partition=0)
    assert numbers(log) == [2]
