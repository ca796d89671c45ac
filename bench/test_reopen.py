"""How long does it take to open a log and all its partitions, and how does that grow?

Every partition holds a record, all were closed in order, and the files are in the page cache; each
round opens the log, asks every partition for its ends, and closes the log.
"""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest

import pystream as ps
from bench.side_by_side import measure


@pytest.mark.parametrize("partitions", [100, 1000, 3000])
def test_reopen(benchmark: Any, tmp_path: Path, partitions: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with ps.open(tmp_path / "log") as log:
        log.create_topic("t", schema={"n": "int64"}, partitions=partitions)
        with log.producer(acks="published") as producer:
            for number in range(partitions):
                producer.send_batch("t", {"n": [number]}, partition=number)

    def reopen() -> None:
        with ps.open(tmp_path / "log") as log:
            assert [each.end for each in log.topic("t").ends()] == [1] * partitions

    measure(
        benchmark,
        reopen,
        title=f"open, ends and close of a log with {partitions:,} partitions",
        amount=partitions / 1e3,
        unit="k partitions",
        aim=">= 5 k/s (200 ms for 1,000)",
        rounds=5,
    )
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
