"""Windows of processing time against the model, with a clock that moves at random.

Records of several partitions come in batches of any size at the times that the clock shows; one
and two threads; windows of every kind, with triggers, alone and one behind the other.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pystream as ps
from pystream import col
from pystream.testing import ManualClock, StepwiseJob
from tests.oracle.processing import Arrival, Moment, Row, Stage, run_clock
from tests.oracle.triggers import Counted, Fixed, Global, Sessions, Specified

pytestmark = pytest.mark.usefixtures("also_restored")

_EPOCH = datetime.datetime(1970, 1, 1)
SCHEMA = {"key": "string", "value": "int64"}


@st.composite
def moments(draw: st.DrawFn) -> list[Moment]:
    arrival = st.builds(lambda key, value: Arrival((key,), value), st.sampled_from("abc"), _values)
    steps = draw(
        st.lists(
            st.tuples(st.integers(0, 12) | st.integers(0, 90), st.lists(arrival, max_size=6)),
            min_size=1,
            max_size=14,
        )
    )
    time = draw(st.integers(-40, 40))
    found = []
    for step, arrivals in steps:
        time += step
        found.append(Moment(time, arrivals))
    return found


_values = st.integers(-50, 50)


@st.composite
def stages(draw: st.DrawFn, *, is_last: bool = True) -> tuple[Any, dict[str, Any]]:
    """Return the assigner of a window and what it is asked for."""
    kinds = ["tumbling", "hopping", "cumulate", "session", "count", "global"]
    kind = draw(st.sampled_from(kinds if is_last else kinds[:4]))
    size = draw(st.integers(1, 20))
    assigner: Any
    match kind:
        case "tumbling":
            assigner = Fixed(size, size, draw(st.integers(1 - size, size - 1)))
        case "hopping":
            assigner = Fixed(size, draw(st.integers(1, size)))
        case "cumulate":
            assigner = Fixed(size * 3, size, cumulate=True)
        case "session":
            assigner = Sessions(size)
        case "count":
            assigner = Counted(draw(st.integers(1, 4)))
        case _:
            assigner = Global()
    every = draw(st.none() | st.none() | st.integers(1, 4))
    every_ticks = draw(st.none() | st.none() | st.integers(3, 15))
    is_update = every == 1 and every_ticks is None
    asked = {
        "every": every,
        "every_ticks": every_ticks,
        "on_close": not is_update and not isinstance(assigner, Counted),
        "is_update": is_update,
        "discarding": draw(st.booleans()),
    }
    return assigner, asked


def stage_of(assigner: Any, asked: dict[str, Any]) -> Stage:
    trigger = Specified(asked["every"], asked["every_ticks"], on_close=asked["on_close"])
    return Stage(assigner, trigger, asked["discarding"])


def window_of(assigner: Any) -> ps.Window:
    match assigner:
        case Fixed(size, slide, _, cumulate=True):
            return ps.cumulate(f"{size}ms", f"{slide}ms")
        case Fixed(size, slide, offset):
            if size == slide:
                return ps.tumbling(f"{size}ms", offset=f"{offset}ms")
            return ps.hopping(f"{size}ms", f"{slide}ms")
        case Sessions(gap):
            return ps.session(f"{gap}ms")
        case Counted(size):
            return ps.count_window(size)
    return ps.global_window()


def windowed(stream: ps.Stream, assigner: Any, asked: dict[str, Any]) -> ps.WindowedStream:
    windows = stream.key_by("key").window(window_of(assigner))
    if asked["is_update"]:
        windows = windows.emit("on_update")
    elif asked["every"] or asked["every_ticks"]:
        every = None if asked["every_ticks"] is None else f"{asked['every_ticks']}ms"
        windows = windows.early(every, count=asked["every"])
    return windows.discarding() if asked["discarding"] else windows


def result_of(stream: ps.Stream, value: str, assigner: Any, asked: dict[str, Any]) -> ps.Stream:
    return windowed(stream, assigner, asked).aggregate(n=ps.count(), total=col(value).sum())


def shown(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    def ms(time: Any) -> int:
        return round((time - _EPOCH).total_seconds() * 1000)

    return [
        (r["key"], ms(r["window_start"]), ms(r["window_end"]), r["n"], r["total"]) for r in rows
    ]


def wanted(rows: list[Row]) -> list[tuple[Any, ...]]:
    return [(row.key[0], row.start, row.end, row.count, row.total) for row in rows]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ps.Log]:
    with ps.open(tmp_path_factory.mktemp("clock") / "log") as opened:
        yield opened


topics = (f"clock-{number}" for number in itertools.count())


def run_native(
    log: ps.Log, steps: list[Moment], chain: list[tuple[Any, dict[str, Any]]], parallelism: int
) -> list[list[tuple[Any, ...]]]:
    topic = next(topics)
    log.create_topic(topic, SCHEMA, partitions=2)
    clock = ManualClock(steps[0].time)
    env = ps.Environment(log, clock=clock, parallelism=parallelism)
    stream = env.from_topic(topic, watermark=ps.WatermarkStrategy.for_processing_time())
    value = "value"
    for assigner, asked in chain:
        stream = result_of(stream, value, assigner, asked)
        value = "n"
    job = StepwiseJob(stream)
    found = []
    with log.producer() as producer:
        for moment in steps:
            clock.now_ms = moment.time
            partition = 0
            for arrival in moment.arrivals:
                row = {"key": arrival.key[0], "value": arrival.value}
                producer.send(topic, row, partition=partition)
                if arrival.value % 3 == 0:  # cuts batches at random places
                    producer.flush()
                    partition = 1 - partition
            producer.flush()
            found.append(shown(job.rows()))
    return found


@given(moments(), stages())
@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
def test_windows_of_the_clock_agree_with_the_oracle(
    log: ps.Log, steps: list[Moment], drawn: tuple[Any, dict[str, Any]]
) -> None:
    model = [wanted(rows) for rows in run_clock(steps, [stage_of(*drawn)])[:-1]]
    for parallelism in (1, 2):
        found = run_native(log, steps, [drawn], parallelism)
        assert [sorted(rows) for rows in found] == [sorted(rows) for rows in model]


@given(moments(), stages(is_last=False), stages(is_last=False))
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
def test_results_of_windows_have_the_time_of_the_clock_in_the_next_window(
    log: ps.Log,
    steps: list[Moment],
    first: tuple[Any, dict[str, Any]],
    second: tuple[Any, dict[str, Any]],
) -> None:
    # What a trigger that counts sees depends on the order of the results above.
    second[1].update(every=None, is_update=False, on_close=True)
    model = run_clock(steps, [stage_of(*first), stage_of(*second)])[:-1]
    for parallelism in (1, 2):
        found = run_native(log, steps, [first, second], parallelism)
        assert [sorted(rows) for rows in found] == [sorted(wanted(rows)) for rows in model]
