"""What does a transaction cost: beside the same records without one, and readers without any?

A transaction of one record, and of a hundred, at each level of durability, beside the same producer
without transactions. A commit is durable at every level: it syncs the partition once and the
catalog twice. Reading a topic with `isolation_level="read_committed"` stands beside reading it with
"read_uncommitted": without transactions in it, and with one of a hundred records each.
"""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np
import pytest

import pystream as ps
from bench.side_by_side import Rival, measure

RECORDS = 2_000_000
BATCH = 2_000


@pytest.mark.parametrize("acks", ["published", "interval", "durable"])
@pytest.mark.parametrize("records", [1, 100])
def test_transactions(benchmark: Any, log: ps.Log, acks: str, records: int) -> None:
    log.create_topic("t", {"n": "int64"})
    numbers = count()
    with (
        log.producer(transactional_id="bench", acks=acks, linger="0s") as producer,
        log.producer(acks=acks, linger="0s") as plain,
    ):

        def send(by: ps.Producer) -> None:
            for _ in range(records):
                by.send("t", {"n": next(numbers)})
            by.flush()

        def transact() -> None:
            with producer.transaction():
                send(producer)

        measure(
            benchmark,
            transact,
            title=f"transactions of {records} record{'s' * (records > 1)}, {acks}",
            amount=1,
            unit="transactions",
            rival=Rival("the same without transactions", lambda: send(plain), aim=0.01),
            rounds=100,
        )


@pytest.mark.parametrize("is_transactional", [False, True], ids=["ordinary", "transactional"])
def test_read(benchmark: Any, log: ps.Log, is_transactional: bool) -> None:
    log.create_topic("t", {"n": "int64"})
    with log.producer(transactional_id="bench") as producer, log.producer() as plain:
        for begin in range(0, RECORDS, BATCH):
            rows = {"n": np.arange(begin, begin + BATCH)}
            if is_transactional and begin % (100 * BATCH) == 0:
                if begin > 0:
                    producer.commit_transaction()
                producer.begin_transaction()
            (producer if is_transactional else plain).send_batch("t", rows)
        if is_transactional:
            producer.commit_transaction()

    def read(isolation_level: str) -> None:
        with log.consumer(
            "t", auto_offset_reset="earliest", isolation_level=isolation_level
        ) as consumer:
            total = sum(len(batch) for batch in consumer.batches(timeout="0s"))
        assert total == RECORDS

    kind = "transactional" if is_transactional else "ordinary"
    measure(
        benchmark,
        lambda: read("read_committed"),
        title=f"batches of committed records, {kind} topic",
        amount=RECORDS // BATCH,
        unit="batches",
        rival=Rival("read_uncommitted", lambda: read("read_uncommitted"), aim=0.9),
        rounds=50,
    )
