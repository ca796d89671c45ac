"""emit(), early() and discarding() add up, in any order, and say so where they cannot."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import pystream as ps
from pystream import errors


def windowed() -> ps.WindowedStream:
    watermark = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
    table = {"ts": np.array([1, 2, 3, 30], "datetime64[ms]")}
    stream = ps.Environment().from_arrow(table, watermark=watermark)
    return stream.window_all(ps.tumbling("10ms"))


def counts(windows: ps.WindowedStream) -> list[int]:
    found: list[int] = windows.aggregate(n=ps.count()).to_arrow()["n"].to_pylist()
    return found


def test_a_time_and_a_count_may_come_one_after_the_other() -> None:
    both = counts(windowed().early("5ms", count=1))
    # Behind the pane of the 30, its watermark passes 5, then the end; the end of input, 35 and 40.
    assert both == [1, 2, 3, 1, 3, 3, 1, 1]
    assert counts(windowed().early("5ms").early(count=1)) == both
    assert counts(windowed().early(count=1).early("5ms")) == both


def test_on_close_takes_nothing_from_early_panes() -> None:
    early = counts(windowed().early(count=1))
    # The 30 shows its own pane before its watermark closes the window before.
    assert early == [1, 2, 3, 1, 3, 1]
    assert counts(windowed().early(count=1).emit("on_close")) == early
    assert counts(windowed().emit("on_close").early(count=1)) == early
    assert counts(windowed().emit("on_update").emit("on_close").early(count=1)) == early


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda w: w.early(count=1).early(count=2), "count=2 after count=1"),
        (lambda w: w.early("5ms").early("2ms"), "got 2ms after a time"),
        (lambda w: w.early(count=1).emit("on_update"), "Leave one of them out"),
    ],
)
def test_what_would_take_the_place_of_another_is_refused(
    call: Callable[[ps.WindowedStream], object], message: str
) -> None:
    with pytest.raises(errors.ConfigError, match=message):
        call(windowed())
