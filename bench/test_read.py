"""What do checksums cost when a column is read, the first and the second time?

One float64 column of 20 M rows in the page cache, summed with numpy batch by batch; the limit is
numpy's sum over the same values, cut the same way, in memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import pystream as ps
from bench.datasets import BATCH_ROWS, events
from bench.side_by_side import Rival, measure

ROWS = 20_000_000


def test_first_pass(benchmark: Any, log: ps.Log, tmp_path: Any) -> None:
    values = fill(log)
    fresh: list[ps.Log] = []

    def reopen() -> None:  # what was verified is forgotten with the segment's mapping
        if fresh:
            fresh.pop().close()
        fresh.append(ps.open(tmp_path / "log"))

    measure(
        benchmark,
        lambda: total(fresh[0]),
        title="read one column, first pass (verified)",
        amount=values.nbytes / 1e9,
        unit="GB",
        rival=Rival("numpy over the same bytes", lambda: plain(values), aim=0.2),
        setup=reopen,
    )
    fresh.pop().close()


def test_second_pass(benchmark: Any, log: ps.Log) -> None:
    values = fill(log)
    with log.consumer("events", timeout="0s") as consumer:
        assert add_up(consumer) == plain(values)
        measure(
            benchmark,
            lambda: add_up(consumer),
            title="read one column, second pass",
            amount=values.nbytes / 1e9,
            unit="GB",
            rival=Rival("numpy over the same bytes", lambda: plain(values), aim=0.8),
            rounds=25,  # milliseconds each
        )


def fill(log: ps.Log) -> np.ndarray[Any, np.dtype[np.float64]]:
    columns = events(1000, rows=ROWS)
    log.create_topic("events", schema={"ts": "timestamp[ms]", "key": "int64", "value": "float64"})
    with log.producer() as producer:
        for begin in range(0, ROWS, BATCH_ROWS):
            part = {name: values[begin : begin + BATCH_ROWS] for name, values in columns.items()}
            producer.send_batch("events", part)
    return columns["value"].astype("float64")


def plain(values: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    sums = (values[begin : begin + BATCH_ROWS].sum() for begin in range(0, ROWS, BATCH_ROWS))
    return float(sum(sums))


def total(log: ps.Log) -> float:
    with log.consumer("events", timeout="0s") as consumer:
        return add_up(consumer)


def add_up(consumer: ps.Consumer) -> float:
    consumer.seek_to_beginning()
    batches = consumer.batches()
    return float(sum(batch["value"].to_numpy(zero_copy_only=True).sum() for batch in batches))
