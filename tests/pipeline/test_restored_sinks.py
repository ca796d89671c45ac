"""Sinks that are replaced out of their own snapshots between rounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import pystream as ps

pytestmark = pytest.mark.usefixtures("also_restored")


def test_rows_without_key_go_to_the_partition_whose_turn_it_is(tmp_path: Path) -> None:
    rows, block = 6000, 1024
    tables = [pa.table({"n": np.arange(first, first + 400)}) for first in range(0, rows, 400)]
    with ps.open(tmp_path / "log") as log:
        log.create_topic("out", schema={"n": "int64"}, partitions=3)
        env = ps.Environment(log)
        env.from_arrow(tables).sink_to_topic("out")
        env.execute()
        for partition in range(3):
            consumer = log.consumer()
            consumer.assign([ps.TopicPartition("out", partition)])
            consumer.seek_to_beginning()
            found = [n for batch in consumer.batches(timeout="0s") for n in batch["n"].to_pylist()]
            assert found == [n for n in range(rows) if n // block % 3 == partition]
