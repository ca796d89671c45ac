"""Windows and results that cannot be are refused when the chain is built, with what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pystream as ps
from pystream import col, errors


def keyed(unit: str = "ms") -> Any:
    watermark = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
    table = {"ts": np.array([1], f"datetime64[{unit}]"), "k": [1], "n": [5]}
    return ps.Environment().from_arrow(table, watermark=watermark).key_by("k")


@pytest.mark.parametrize(
    "window",
    [
        lambda: ps.tumbling("400000d"),
        lambda: ps.hopping("400000d", "1d"),
        lambda: ps.cumulate("400000d", "1d"),
        lambda: ps.session("400000d"),
    ],
)
def test_a_window_longer_than_the_ticks_can_count_is_refused(window: Any) -> None:
    ticks = 400_000 * 86_400 * 10**9
    assert keyed("ms").window(window()) is not None  # where ticks are longer it is none
    with pytest.raises(errors.ConfigError, match=rf"{ticks} ticks is too large.* 2\*\*62"):
        keyed("ns").window(window()).aggregate(n=ps.count())


@pytest.mark.parametrize("name", ["k", "window_start", "window_end"])
def test_two_results_with_one_name_are_refused(name: str) -> None:
    with pytest.raises(errors.SchemaError, match=f"'{name}' to two result columns"):
        keyed().window(ps.tumbling("1m")).aggregate(**{name: ps.count()})


def test_what_aggregates_is_an_aggregation() -> None:
    windows = keyed().window(ps.tumbling("1m"))
    with pytest.raises(errors.ConfigError, match="not an aggregation"):
        windows.aggregate(n=col("n"))
    with pytest.raises(errors.ConfigError, match="nothing to compute"):
        windows.aggregate()
