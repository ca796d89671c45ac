"""The order of keys within one window is that of their first records, whatever the reader does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import pystream as ps

pytestmark = pytest.mark.usefixtures("also_restored")

KEYS = 20_000
ROWS = 60_000
BATCH = 5_000
WATERMARK = ps.WatermarkStrategy.for_bounded_out_of_orderness("50ms", timestamp="ts")


def events() -> tuple[np.ndarray, np.ndarray]:
    """Return times and keys: a first window that sees most keys, then many that see few of them."""
    draw = np.random.default_rng(5)
    times = np.concatenate([np.full(ROWS // 2, 5), 100 + np.sort(draw.integers(0, 900, ROWS // 2))])
    return times, draw.integers(0, KEYS, ROWS)


def in_order(times: np.ndarray, keys: np.ndarray) -> list[tuple[int, str]]:
    """Return end and key of each result row: windows by their ends, keys by their first rows."""
    _, first = np.unique(keys, return_index=True)
    arrival = dict(zip(keys[first].tolist(), first.tolist(), strict=True))
    wanted = set(zip((times // 10 * 10 + 10).tolist(), keys.tolist(), strict=True))
    ordered = sorted(wanted, key=lambda row: (row[0], arrival[row[1]]))
    return [(end, f"k{key}") for end, key in ordered]


@pytest.mark.parametrize("is_encoded", [False, True])
@pytest.mark.parametrize("partitions", [1, 3])
def test_keys_come_in_the_order_of_their_first_records(
    tmp_path: Path, partitions: int, is_encoded: bool
) -> None:
    times, keys = events()
    texts = pa.array([f"k{key}" for key in range(KEYS)])
    with ps.open(tmp_path / "log") as log:
        log.create_topic("events", {"ts": "timestamp[ms]", "k": "string"}, partitions=partitions)
        with log.producer(acks="published") as producer:
            for number, begin in enumerate(range(0, ROWS, BATCH)):
                codes = pa.array(keys[begin : begin + BATCH].astype("int32"))
                column = pa.DictionaryArray.from_arrays(codes, texts)
                ts = pa.array(times[begin : begin + BATCH]).cast(pa.timestamp("ms"))
                table = pa.table(
                    {"ts": ts, "k": column if is_encoded else column.cast(pa.string())}
                )
                producer.send_batch("events", table, partition=number % partitions)
        for parallelism in (1, 2, 3):
            env = ps.Environment(log, parallelism=parallelism)
            stream = env.from_topic("events", watermark=WATERMARK, bounded=True)
            counts = stream.key_by("k").window(ps.tumbling("10ms")).aggregate(n=ps.count())
            rows = counts.to_arrow()
            ends = rows["window_end"].cast(pa.int64()).to_pylist()
            assert list(zip(ends, rows["k"].to_pylist(), strict=True)) == in_order(times, keys)


def test_null_comes_before_other_keys() -> None:
    table = pa.table({"ts": pa.array([1, 2, 3], pa.int64()), "k": ["b", None, "a"]})
    stream = ps.Environment().from_arrow(table, watermark=WATERMARK)
    counts = stream.key_by("k").window(ps.tumbling("10ms")).aggregate(n=ps.count())
    assert counts.to_arrow()["k"].to_pylist() == [None, "b", "a"]


def test_keys_of_two_columns_keep_their_order_and_nulls_their_place() -> None:
    keys = [("b", "x"), ("a", None), (None, None), (None, "x"), ("a", "x")]
    rows = [{"ts": 10 * turn, "k": k, "j": j} for turn in range(4) for k, j in keys[: 2 + turn]]
    schema = pa.schema({"ts": pa.int64(), "k": pa.string(), "j": pa.string()})
    tables = [pa.Table.from_pylist([row], schema) for row in rows]
    stream = ps.Environment().from_arrow(tables, watermark=WATERMARK)
    counts = stream.key_by("k", "j").window(ps.tumbling("10ms")).aggregate(n=ps.count())
    found = [(row["k"], row["j"]) for row in counts.to_arrow().to_pylist()]
    assert found == [key for turn in range(4) for key in keys[: 2 + turn]]
