"""How long does it take to find a record by its time among 1,000 segments?

Each segment holds about a hundred batches of 64 records. The process either asks for the first
time and reads what the index files of the segments say ("first"), or knows it already ("again").
The limit is a walk through the heads of all batches, which is what a log without an index does.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pystream as ps
from bench.side_by_side import Rival, measure
from pystream import config

SEGMENTS = 1_000
RECORDS = 64
SEGMENT_BYTES = 128 * 1024
ASKED = 1_000
PLACE = ps.TopicPartition("t", 0)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("times") / "log"
    patch = pytest.MonkeyPatch()
    patch.setattr(config, "SEGMENT_BYTES_MIN", SEGMENT_BYTES)
    with ps.open(place) as log, log.producer(acks="published") as producer:
        log.create_topic("t", {"n": "int64", "price": "float64"}, segment_bytes=SEGMENT_BYTES)
        number = 0
        while number % (64 * RECORDS) or len(list(place.glob("topics/*/0/*.seg"))) <= SEGMENTS:
            times = np.arange(number, number + RECORDS) * 1_000_000
            rows = {"n": times, "price": np.ones(RECORDS)}
            producer.send_batch("t", rows, timestamp=times)
            number += RECORDS
    yield place
    patch.undo()


def answer(log: ps.Log, times: list[int]) -> list[int]:
    with log.consumer() as consumer:
        found = [consumer.offsets_for_times({PLACE: time})[PLACE] for time in times]
    return [-1 if its is None else its.offset for its in found]


@pytest.mark.parametrize("kind", ["first", "again"])
def test_seek_by_time(benchmark: Any, directory: Path, kind: str) -> None:
    with ps.open(directory, read_only=True) as log:
        end = log.topic("t").ends()[0].end
    choose = random.Random(1)
    times = [choose.randrange(end) for _ in range(ASKED)]
    with ps.open(directory) as log:
        answer(log, times[:1])  # makes the index files
    asked = times[:1] if kind == "first" else times
    with ps.open(directory) as log:
        answer(log, times[:1])

        def again() -> None:
            assert answer(log, [time * 1_000_000 for time in asked]) == asked

        def first() -> None:
            with ps.open(directory) as opened:
                assert answer(opened, [asked[0] * 1_000_000]) == asked

        def walk() -> None:
            with ps.open(directory) as opened:
                reader = opened.topic("t").native_partition(0).reader(0)
                last = -1
                while (batch := reader.next()) is not None:
                    last = max(last, batch.max_timestamp_us)
                assert last == (end - 1) * 1_000_000

        run: Callable[[], None] = first if kind == "first" else again
        measure(
            benchmark,
            run,
            title=f"offsets_for_times over {SEGMENTS:,} segments, {kind}",
            amount=len(asked),
            unit="seeks",
            rival=Rival("a walk over all batch headers", walk, 0.0) if kind == "first" else None,
            aim="" if kind == "first" else ">= 10,000/s",
            rounds=5,
        )
