"""Sessions, counted and global windows that fire early, against the model, on random streams.

As in test_sessions_oracle.py, whose columns and batches these are: several partitions, cuts at
random, one and two threads, results in the order of the model.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pystream as ps
from pystream import col
from tests.oracle.triggers import Assigner, Counted, Global, Sessions, Specified, run_operator
from tests.oracle.windows import ON_UPDATE, Trigger, rows
from tests.pipeline import test_sessions_oracle as sessions
from tests.pipeline import test_windows_oracle as windows
from tests.pipeline.test_aggregates_oracle import PICKED

pytestmark = pytest.mark.usefixtures("also_restored")

AGGREGATES: windows.Aggregates = {**windows.AGGREGATES, **PICKED}


@st.composite
def cases(draw: st.DrawFn) -> tuple[sessions.Case, windows.Trigger, dict[str, Any]]:
    case = draw(sessions.cases())
    kind = draw(st.sampled_from(["session", "session", "count", "global"]))
    gap = case.gaps if case.gap is None else case.gap
    of_kind: dict[str, Assigner] = {
        "session": Sessions(gap),
        "count": Counted(draw(st.integers(1, 8))),
        "global": Global(),
    }
    lateness = draw(st.just(0) | st.integers(1, 60) | st.just(2**61)) if kind == "session" else 0
    early = st.builds(Trigger, st.none() | st.integers(1, 5), st.integers(3, 50))
    trigger = draw(st.just(Trigger()) | st.sampled_from(windows.TRIGGERS) | early)
    asked = {"allowed_lateness": lateness, "discarding": draw(st.booleans())}
    return case, trigger, {"assigner": of_kind[kind], **asked}


def expected(
    case: sessions.Case, trigger: Trigger, asked: dict[str, Any], partitions: range
) -> tuple[list[Any], list[int]]:
    # A window of counted records is complete with its last one, and not when the input ends.
    on_close = trigger.fires_on_close and not isinstance(asked["assigner"], Counted)
    result = run_operator(
        case.records,
        trigger=Specified(trigger.every, trigger.every_ticks, on_close=on_close),
        out_of_orderness=case.out_of_orderness,
        partitions=partitions,
        **asked,
    )
    table = rows(result, case.records, [kind for kind, _ in AGGREGATES.values()])
    return [windows.comparable(row) for row in table], result.late


def window_of(case: sessions.Case, assigner: Assigner) -> ps.Window:
    match assigner:
        case Counted(size):
            return ps.count_window(size)
        case Global():
            return ps.global_window()
    return ps.session(col("gap") * 1 if case.gap is None else f"{case.gap}ms")


def native(
    stream: ps.Stream, case: sessions.Case, trigger: Trigger, asked: dict[str, Any]
) -> tuple[list[Any], list[int]]:
    """Return the result rows in their order, and the ids of late records."""
    late = ps.OutputTag("late")
    window = window_of(case, asked["assigner"])
    windowed = stream.key_by(*case.keys).window(window) if case.keys else stream.window_all(window)
    if asked["allowed_lateness"]:
        windowed = windowed.allowed_lateness(f"{asked['allowed_lateness']}ms")
    if trigger == ON_UPDATE:
        windowed = windowed.emit("on_update")
    elif trigger != Trigger():
        every = None if trigger.every_ticks is None else f"{trigger.every_ticks}ms"
        windowed = windowed.early(every, count=trigger.every)
    if asked["discarding"]:
        windowed = windowed.discarding()
    return results(windowed.side_output_late_data(late), late)


def results(
    windowed: ps.WindowedStream, late: ps.OutputTag, aggregates: windows.Aggregates = AGGREGATES
) -> tuple[list[Any], list[int]]:
    result = windowed.aggregate(**{name: value for name, (_, value) in aggregates.items()})
    columns = [
        column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        for column in result.to_arrow().columns
    ]
    found = zip(*(column.to_pylist() for column in columns), strict=True)
    late_ids = result.side_output(late).to_arrow()["id"].to_pylist()
    return [windows.comparable(row) for row in found], late_ids


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ps.Log]:
    with ps.open(tmp_path_factory.mktemp("triggers") / "log") as opened:
        yield opened


topics = (f"triggers-{number}" for number in itertools.count())


@given(cases())
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
def test_panes_over_a_topic_agree_with_the_oracle(
    log: ps.Log, drawn: tuple[sessions.Case, Trigger, dict[str, Any]]
) -> None:
    case, trigger, asked = drawn
    topic = next(topics)
    sessions.publish(log, topic, case)
    wanted = expected(case, trigger, asked, range(case.partitions))
    watermark = windows.watermark_of(case)  # type: ignore[arg-type]
    for parallelism in (1, 2):
        env = ps.Environment(log, parallelism=parallelism)
        stream = env.from_topic(topic, watermark=watermark, bounded=True)
        assert native(stream, case, trigger, asked) == wanted
