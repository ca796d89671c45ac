"""How fast is a topic compacted, and do four readers follow it meanwhile?

Usage: python -m bench.compaction [--size 10GiB] [--keys 1000000] [--segment 64MiB] [--readers 4]

One process appends records of keys that come again and again until it has written the given size;
another compacts again and again; readers in processes of their own follow from the beginning. Every
record holds its own offset, and each reader checks every one that it gets: that it is the record of
that offset and of that key, that offsets only rise, and that in the end it has the last record of
every key. Prints what each of them did, and how fast: of the compactor the bytes of the segments
that it read, and the time that it spent on them. Exit status 1 when anything was wrong.

The topic has the columns key and seven others of int64; `acks="interval"`; keys come at random.
Informational.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from multiprocessing.synchronize import Event
from typing import Any

import numpy as np

import pystream as ps
from bench.roles import run_roles, speed
from pystream import config

TOPIC = "table"
ROWS = 16_384
COLUMNS = 7  # int64, all of them the record's offset
ROW_BYTES = 8 * (COLUMNS + 1)


def keys_of(first: int, keys: int) -> Any:
    """Return the keys of a batch, by the offset of its first record."""
    return np.random.default_rng(first).integers(0, keys, ROWS)


def append(directory: str, size: int, keys: int, is_over: Event) -> dict[str, Any]:
    """Write the records; return how much, and how fast."""
    begin = time.monotonic()
    written = 0
    with ps.open(directory) as log, log.producer() as producer:
        while written < size:
            first = written // ROW_BYTES
            numbers = np.arange(first, first + ROWS)
            columns = {f"n{i}": numbers for i in range(COLUMNS)}
            producer.send_batch(TOPIC, {"key": keys_of(first, keys)} | columns)
            written += ROWS * ROW_BYTES
    is_over.set()
    return speed("writer", written, begin)


def compact(directory: str, is_over: Event) -> dict[str, Any]:
    """Compact until the writer is done, and once more; return what was read and removed."""
    read = segments = removed = 0
    spent = 0.0
    with ps.open(directory) as log:
        topic = log.topic(TOPIC)
        partition = topic.native_partition(0)
        is_last = False
        while not is_last:
            is_last = is_over.wait(0.005)
            begin = time.monotonic()
            done = partition.compact(
                [topic.schema.index_of("key")],
                now_us=time.time_ns() // 1000,
                delete_retention_us=config.parse_duration_us(config.DELETE_RETENTION),
                min_cleanable_ratio=0.0 if is_last else 0.5,
            )
            if done.segments:
                spent += time.monotonic() - begin
            read += done.bytes_before
            segments += done.segments
            removed += done.removed_records
    found = speed("compactor", read, time.monotonic() - spent)
    return found | {"segments": segments, "removed_records": removed}


def follow(directory: str, number: int, keys: int, size: int, is_over: Event) -> dict[str, Any]:
    """Read and check all records that are there; check the last of each key in the end."""
    begin = time.monotonic()
    next_offset = read = 0
    last = np.full(keys, -1)
    with (
        ps.open(directory) as log,
        log.consumer(TOPIC, auto_offset_reset="earliest") as consumer,
    ):
        is_last = False
        while not is_last:
            is_last = is_over.is_set()  # before the look: what follows it is read
            for batch in consumer.batches(timeout="10ms"):
                offsets = batch.offsets
                if offsets[0] < next_offset or (np.diff(offsets) <= 0).any():
                    raise AssertionError(f"offsets of the batch at {offsets[0]} do not rise")
                for name in batch.column_names[1 + number :: 4]:
                    if not np.array_equal(batch[name].to_numpy(), offsets):
                        raise AssertionError(f"{name} at offset {offsets[0]} is wrong")
                last[batch["key"].to_numpy()] = offsets
                next_offset = batch.next_offset
                read += len(batch) * ROW_BYTES
    expected = np.full(keys, -1)
    for first in range(0, -(-size // (ROWS * ROW_BYTES)) * ROWS, ROWS):
        expected[keys_of(first, keys)] = np.arange(first, first + ROWS)
    if not np.array_equal(last, expected):
        raise AssertionError("the last records of some keys were not seen")
    return speed(f"reader {number}", read, begin)


def run(directory: str, size: int, keys: int, segment: int, readers: int) -> list[dict[str, Any]]:
    """Let all of them work on one log; return what each says."""
    with ps.open(directory) as log:
        log.create_topic(
            TOPIC,
            {"key": "int64"} | {f"n{i}": "int64" for i in range(COLUMNS)},
            "key",
            segment_bytes=segment,
            cleanup_policy="compact",
            min_cleanable_ratio=1.0,  # what is compacted, the compactor does
        )
    return run_roles(
        [
            *((follow, (directory, number, keys, size)) for number in range(readers)),
            (compact, (directory,)),
            (append, (directory, size, keys)),
        ]
    )


def main(arguments: list[str]) -> int:
    """Run it; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", default="10GiB")
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--segment", default="64MiB")
    parser.add_argument("--readers", type=int, default=4)
    parser.add_argument("--directory", help="of the log; default: a temporary one")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=asked.directory) as directory:
        said = run(
            directory,
            config.parse_size(asked.size),
            asked.keys,
            config.parse_size(asked.segment),
            asked.readers,
        )
    for its in said:
        print(json.dumps(its))
    return 1 if any("error" in its for its in said) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
