"""Windows and results that cannot be are refused when the chain is built, with what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pystream as ps
from pystream import col, errors
from tests.pipeline.test_many_keys import Steps


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


MOST = 2**24  # windows of one record


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (ps.hopping, "slide"),
        (ps.cumulate, "step"),
    ],
)
def test_a_record_in_more_than_2_to_the_24th_windows_is_refused(make: Any, name: str) -> None:
    assert make(f"{MOST}ms", "1ms").kind in ("hopping", "cumulate")
    with pytest.raises(errors.ConfigError) as raised:
        make(f"{2 * MOST}ms", "1ms")
    assert str(raised.value) == (
        f"a record would be in 33,554,432 windows of {2 * MOST * 10**6} ns, one every 1000000 ns. "
        f"Use a {name} of at least 2000000 ns, or shorter windows."
    )
    assert make(f"{2 * MOST}ms", "2ms") is not None  # as it says
    with pytest.raises(errors.ConfigError, match="in 16,777,217 windows"):
        make(f"{MOST + 1}ms", "1ms")


def test_a_record_is_in_as_many_windows_as_are_accepted() -> None:
    counts = keyed("us").window(ps.hopping("65536us", "1us")).aggregate(n=ps.count())
    starts = counts.to_arrow()["window_start"].cast("int64").to_numpy()
    assert starts.tolist() == list(range(2 - 65_536, 2))


# Years before it could be 2**63, so that the end of a window and the lateness do not fit together.
LATE = 5 * 10**18


@pytest.mark.parametrize(
    "window", [ps.tumbling("10us"), ps.hopping("10us", "10us"), ps.session("10us")]
)
@pytest.mark.parametrize("trigger", ["on_close", "on_update"])
def test_a_lateness_beyond_all_times_keeps_windows_until_the_input_ends(
    window: ps.Window, trigger: Any
) -> None:
    times = [LATE, LATE + 4 * 10**18, LATE]
    assert LATE + 53_000 * 86_400 * 10**9 > 2**63
    watermark = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
    table = {"ts": np.array(times, "datetime64[ns]")}

    def panes(lateness: str) -> tuple[list[int], int]:
        late = ps.OutputTag("late")
        stream = ps.Environment().from_arrow(table, watermark=watermark)
        windows = stream.window_all(window).allowed_lateness(lateness)
        windows = windows if trigger == "on_close" else windows.emit(trigger)
        counts = windows.side_output_late_data(late).aggregate(n=ps.count())
        found = counts.to_arrow()["n"].to_pylist()
        return found, counts.side_output(late).to_arrow().num_rows

    assert panes("53000d") == ([1, 2, 1] if trigger == "on_close" else [1, 1, 2], 0)
    assert panes("1d") == ([1, 1], 1)


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


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ps.Log]:
    with ps.open(tmp_path / "log") as opened:
        yield opened


@pytest.mark.parametrize("parallelism", [1, 2])
@pytest.mark.parametrize("early", [{}, {"count": 9}])
def test_of_more_keys_those_in_no_open_window_take_no_memory(
    log: ps.Log, parallelism: int, early: dict[str, int]
) -> None:
    job = Steps(log, parallelism, **early)
    assert job.keys(0, range(200_000)) == []
    before = job.state_bytes
    assert job.keys(10, [7]) == list(range(200_000))
    assert job.keys(20, [9, 5, 3]) == [7]
    assert job.state_bytes < 0.6 * before
    assert sorted(job.keys(30, [1]), key=str) == [3, 5, 9]
