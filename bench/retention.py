"""Do four readers follow a topic of which old segments are removed all the time, and how fast?

Usage: python -m bench.retention [--size 10GiB] [--keep 1GiB] [--segment 64MiB] [--readers 4]

One process appends records until it has written the given size; another applies retention again
and again, so that no more than is to be kept stays; readers in processes of their own follow from
the beginning. Every record holds its own offset, and each reader checks every one that it gets:
that it is the record of that offset, and that none was left out but what had been deleted before it
came to it. Prints what each of them did, and how fast; exit status 1 when anything was wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np

import pystream as ps
from bench.roles import run_roles, speed
from pystream import config

TOPIC = "events"
PLACE = ps.TopicPartition(TOPIC, 0)
ROWS = 16_384
COLUMNS = 8  # int64, all of them the record's offset
ROW_BYTES = 8 * COLUMNS


def append(directory: str, size: int, is_over: Event) -> dict[str, Any]:
    """Write the records; return how much, and how fast."""
    begin = time.monotonic()
    written = 0
    with ps.open(directory) as log, log.producer() as producer:
        while written < size:
            offset = written // ROW_BYTES
            numbers = np.arange(offset, offset + ROWS)
            producer.send_batch(TOPIC, {f"n{i}": numbers for i in range(COLUMNS)})
            written += ROWS * ROW_BYTES
    is_over.set()
    return speed("writer", written, begin)


def clean(directory: str, is_over: Event) -> dict[str, Any]:
    """Apply retention until the writer is done; return what was removed."""
    begin = time.monotonic()
    removed = segments = 0
    pinned = 0
    with ps.open(directory) as log:
        is_last = False
        while not is_last:
            is_last = is_over.wait(0.005)
            for done in log.apply_retention(TOPIC):
                removed += done.removed_bytes
                segments += done.removed_segments
                pinned = max(pinned, done.pinned_bytes)
    return speed("retention", removed, begin) | {"segments": segments, "pinned_most": pinned}


def follow(directory: str, number: int, is_over: Event) -> dict[str, Any]:
    """Read and check all records that are there; return how many were deleted before."""
    begin = time.monotonic()
    next_offset = read = jumped = 0
    with (
        ps.open(directory) as log,
        log.consumer(TOPIC, auto_offset_reset="earliest") as consumer,
    ):
        is_last = False
        while not is_last:
            is_last = is_over.is_set()  # before the look: what follows it is read
            for batch in consumer.batches(timeout="10ms"):
                for name in batch.column_names[:: number + 1]:
                    numbers = batch[name].to_numpy()
                    expected = np.arange(batch.base_offset, batch.next_offset)
                    if not np.array_equal(numbers, expected):
                        raise AssertionError(f"{name} at offset {batch.base_offset} is wrong")
                if batch.base_offset < next_offset:
                    raise AssertionError(f"offset {batch.base_offset} came again")
                if batch.base_offset > next_offset:
                    start = consumer.beginning_offsets([PLACE])[PLACE]
                    if batch.base_offset > start:
                        raise AssertionError(f"offsets from {next_offset} on were left out")
                    jumped += batch.base_offset - next_offset
                next_offset = batch.next_offset
                read += len(batch) * ROW_BYTES
        end = log.topic(TOPIC).ends()[0].end
        if next_offset != end:
            raise AssertionError(f"reading ended at {next_offset}, the log at {end}")
    return speed(f"reader {number}", read, begin) | {"deleted_before": jumped}


def run(directory: str, size: int, keep: int, segment: int, readers: int) -> list[dict[str, Any]]:
    """Let all of them work on one log; return what each says."""
    with ps.open(directory) as log:
        log.create_topic(
            TOPIC,
            {f"n{i}": "int64" for i in range(COLUMNS)},
            segment_bytes=segment,
            retention_bytes=keep,
        )
    return run_roles(
        [
            *((follow, (directory, number)) for number in range(readers)),
            (clean, (directory,)),
            (append, (directory, size)),
        ]
    )


def main(arguments: list[str]) -> int:
    """Run it in a temporary directory and print a line of JSON for each process."""
    parser = argparse.ArgumentParser(prog="python -m bench.retention")
    parser.add_argument("--size", default="1GiB", help="what is written")
    parser.add_argument("--keep", default="256MiB", help="retention_bytes")
    parser.add_argument("--segment", default="32MiB", help="segment_bytes")
    parser.add_argument("--readers", type=int, default=4)
    parser.add_argument("--directory", default=None, help="where a temporary log is made")
    given = parser.parse_args(arguments)
    size, keep, segment = (
        config.parse_size(getattr(given, name), name=name) for name in ("size", "keep", "segment")
    )
    with tempfile.TemporaryDirectory(dir=given.directory) as scratch:
        said = run(os.path.join(scratch, "log"), size, keep, segment, given.readers)
        left = sum(path.stat().st_size for path in Path(scratch).rglob("*.seg"))
    for its in said:
        print(json.dumps(its))
    print(json.dumps({"who": "log", "bytes_left": left, "kept_at_least": keep}))
    return 1 if any("error" in its for its in said) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
