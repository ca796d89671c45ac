"""How many bytes of a topic are compacted in a second?

A partition of sealed segments, of which about a quarter of the records are the last of their key,
is compacted in the place where a copy of it was just made. The limit beside it reads as many bytes,
writes them to another file and syncs that: what a compaction would cost that had nothing to choose.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import pystream as ps
from bench.side_by_side import Rival, measure

SEGMENT_BYTES = 64 << 20
ROWS = 16_384
BATCHES = 256  # of 64 bytes a row: 256 MiB
KEYS = 1_000_000
PIECE = 1 << 20


def key_columns(kind: str, numbers: np.ndarray) -> dict[str, np.ndarray]:
    keys = np.random.default_rng(int(numbers[0])).integers(0, KEYS, len(numbers))
    key = keys if kind == "int64" else np.array([f"user-{key:08d}" for key in keys.tolist()])
    return {"key": key} | {f"n{number}": numbers for number in range(7)}


@pytest.fixture(scope="module", params=["int64", "string"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def template(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A log whose topic was never compacted."""
    place = tmp_path_factory.mktemp("compaction") / "log"
    with ps.open(place) as log, log.producer() as producer:
        columns = {"key": kind} | {f"n{number}": "int64" for number in range(7)}
        log.create_topic(
            "t", columns, key="key", segment_bytes=SEGMENT_BYTES, cleanup_policy="delete"
        )
        for batch in range(BATCHES):
            numbers = np.arange(batch * ROWS, (batch + 1) * ROWS)
            producer.send_batch("t", key_columns(kind, numbers), partition=0)
    yield place
    shutil.rmtree(place)


def test_compaction(benchmark: object, kind: str, template: Path, tmp_path: Path) -> None:
    place = tmp_path / "log"
    sealed = sorted(template.glob("topics/*/0/*.seg"))[:-1]
    size = sum(path.stat().st_size for path in sealed)

    def copy() -> None:
        if place.exists():
            shutil.rmtree(place)
        shutil.copytree(template, place)
        with ps.open(place) as log:
            log.alter_topic("t", cleanup_policy="compact")

    def compact() -> None:
        with ps.open(place) as log:
            (done,) = log.apply_retention("t")
        assert done.compacted_records > BATCHES * ROWS // 2

    def write_all() -> None:
        out = os.open(tmp_path / "copy", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        try:
            for path in sealed:
                with path.open("rb") as file:
                    while piece := file.read(PIECE):
                        os.write(out, piece)
            os.fsync(out)
        finally:
            os.close(out)

    measure(
        benchmark,
        compact,
        title=f"compaction, a key of {kind}, a million keys",
        amount=size / 1e6,
        unit="MB",
        rival=Rival("reading, writing and syncing the same bytes", write_all, aim=0.2),
        rounds=5,
        setup=copy,
    )
