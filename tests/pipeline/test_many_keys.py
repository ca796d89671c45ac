"""As many keys as a job remembers when they are in no open window: 65,536."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

import pystream as ps
from pystream.testing import StepwiseJob

pytestmark = pytest.mark.usefixtures("also_restored")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ps.Log]:
    with ps.open(tmp_path / "log") as opened:
        yield opened


class Steps:
    """A job that follows a topic, in windows of 10 ms."""

    def __init__(self, log: ps.Log, parallelism: int, **early: int) -> None:
        self._log = log
        log.create_topic("keys", {"ts": "timestamp[ms]", "k": "int64"})
        env = ps.Environment(log, parallelism=parallelism)
        times = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
        windows = env.from_topic("keys", watermark=times).key_by("k").window(ps.tumbling("10ms"))
        windows = windows.early(**early) if early else windows
        self._job = StepwiseJob(windows.aggregate(n=ps.count()))

    def keys(self, ts: int, keys: Iterable[int | None]) -> list[int | None]:
        """Append a record of each key, and return those of the windows that it closes."""
        column = pa.array(list(keys), pa.int64())
        table = pa.table({"ts": pa.array([ts] * len(column), pa.timestamp("ms")), "k": column})
        with self._log.producer() as producer:
            producer.send_batch("keys", table)
        return [row["k"] for row in self._job.rows()]

    @property
    def state_bytes(self) -> int:
        (window,) = (o for o in self._job.metrics().operators if o.kind == "window")
        return window.state_bytes


@pytest.mark.parametrize("parallelism", [1, 2])
@pytest.mark.parametrize("others", [[], [None]])
def test_of_65_536_keys_the_order_is_known_for_ever(
    log: ps.Log, parallelism: int, others: list[None]
) -> None:
    every = [*others, *range(65_536 - len(others))]
    job = Steps(log, parallelism)
    assert job.keys(0, every) == []
    assert job.keys(10, [7]) == every
    assert job.keys(20, [9, 5, *others, 3]) == [7]
    assert job.keys(30, [1]) == [*others, 3, 5, 9]
