"""How many single records per second go in by ``send`` and out by iteration, in one process?"""

from __future__ import annotations

from typing import Any

import numpy as np

import pystream as ps
from bench.side_by_side import measure

ROWS = 1_000_000
SCHEMA = {"user": "string", "amount": "float64", "ts": "timestamp[ms]"}


def test_send(benchmark: Any, log: ps.Log) -> None:
    log.create_topic("payments", schema=SCHEMA, key="user", partitions=4)
    users = [f"user-{i:04d}" for i in range(1000)]
    values = [
        {"user": users[i % 1000], "amount": float(i), "ts": 1_700_000_000_000 + i}
        for i in range(ROWS)
    ]

    def send() -> None:
        with log.producer() as producer:
            for value in values:
                producer.send("payments", value)
            producer.flush()

    measure(
        benchmark,
        send,
        title="send of a three-field keyed dict, to the end of flush()",
        amount=ROWS / 1e6,
        unit="M records",
        aim=">= 1.5 M/s",
    )


def test_iterate(benchmark: Any, log: ps.Log) -> None:
    log.create_topic("payments", schema=SCHEMA, key="user", partitions=4)
    with log.producer() as producer:
        producer.send_batch(
            "payments",
            {
                "user": np.array([f"user-{i % 1000:04d}" for i in range(ROWS)], dtype=object),
                "amount": np.arange(ROWS, dtype="float64"),
                "ts": np.arange(ROWS, dtype="int64").astype("datetime64[ms]"),
            },
        )

    def iterate() -> None:
        total = 0.0
        with log.consumer("payments", auto_offset_reset="earliest", timeout="0s") as consumer:
            for record in consumer:
                total += record["amount"]
        assert total == ROWS * (ROWS - 1) / 2

    measure(
        benchmark,
        iterate,
        title="iterate over records, reading one field",
        amount=ROWS / 1e6,
        unit="M records",
        aim=">= 5 M/s",
    )
