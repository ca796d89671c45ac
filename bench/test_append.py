"""How close does an append come to a bare ``pwrite`` of the same bytes?

64k-row batches of (int64, int64, float64) into one partition, ``acks="interval"``, no
compression; the limit writes the same bytes with ``pwrite`` into a file that was extended
beforehand, which is what a segment is.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

import pystream as ps
from bench.side_by_side import Rival, measure

ROWS = 65_536
BATCHES = 160  # 252 MB: one segment


def test_append(benchmark: Any, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    batch = {
        "a": random.integers(0, 2**62, ROWS),
        "b": random.integers(0, 2**62, ROWS),
        "c": random.random(ROWS),
    }
    payload = b"".join(column.tobytes() for column in batch.values())
    file = tmp_path / "plain"

    def plain() -> None:
        descriptor = os.open(file, os.O_CREAT | os.O_RDWR | os.O_TRUNC)
        os.posix_fallocate(descriptor, 0, len(payload) * BATCHES)
        for i in range(BATCHES):
            os.pwrite(descriptor, payload, i * len(payload))
        os.close(descriptor)
        file.unlink()

    log = ps.open(tmp_path / "log")
    schema = {"a": "int64", "b": "int64", "c": "float64"}
    names = iter(range(1000))

    def fresh_topic() -> None:
        nonlocal topic
        if topic in log.topics():
            log.delete_topic(topic)
        topic = f"t{next(names)}"
        log.create_topic(topic, schema=schema)

    topic = ""

    def append() -> None:
        with log.producer(acks="interval") as producer:
            for _ in range(BATCHES):
                producer.send_batch(topic, batch)
            producer.flush()

    measure(
        benchmark,
        append,
        title="append, 64k rows x 24 B",
        amount=len(payload) * BATCHES / 1e9,
        unit="GB",
        rival=Rival("pwrite of the same bytes", plain, aim=0.6),
        setup=fresh_topic,
    )
    log.close()
