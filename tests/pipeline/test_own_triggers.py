"""Triggers in Python: what users see, and the model of one record at a time on random streams."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pystream as ps
from pystream import TriggerResult, col, errors
from pystream.plan import nodes
from tests.oracle import chains
from tests.oracle.triggers import Assigner, Fixed, Global, Sessions, Specified, run_operator
from tests.oracle.windows import Record, rows, run
from tests.pipeline import test_sessions_oracle as sessions
from tests.pipeline import test_triggers_oracle as triggers
from tests.pipeline import test_windows_oracle as windows

pytestmark = pytest.mark.usefixtures("also_restored")

TIMES = ps.WatermarkStrategy.for_bounded_out_of_orderness("0s", timestamp="ts")


def stream(rows: list[tuple[str, int, int]], watermark: Any = TIMES) -> ps.Stream:
    users, times, amounts = zip(*rows, strict=True)
    table = pa.table({"user": users, "ts": times, "amount": amounts})
    return ps.Environment().from_arrow(table, watermark=watermark)


def rows_of(windowed: ps.WindowedStream) -> list[tuple[Any, ...]]:
    result = windowed.aggregate(n=ps.count(), total=col("amount").sum())
    return [tuple(row.values()) for row in result.to_arrow().to_pylist()]


class Busy(ps.Trigger):
    """Everything that a trigger can do, decided by numbers that a test draws.

    Counts to `limit`, then acts; has a timer every `interval` within the window, or up to three in
    a global one, which a record with a flag puts off.
    """

    def __init__(self, limit: int, interval: int, result: TriggerResult) -> None:
        self.limit = limit
        self.interval = interval
        self.result = result
        self.cleared = 0

    def on_element(self, row: Any, timestamp: Any, window: Any, ctx: Any) -> TriggerResult:
        state = ctx.state
        state["count"] = state.get("count", 0) + 1
        if "timer" not in state:
            self._register(timestamp + self.interval, ctx)
        elif timestamp % 5 == 0:
            ctx.delete_event_time_timer(state["timer"])
            self._register(
                ctx.current_watermark + 3, ctx
            )  # may have passed, at the least watermark
        if state["count"] >= self.limit:
            state["count"] = 0
            return self.result
        return TriggerResult.CONTINUE

    def _register(self, time: int, ctx: Any) -> None:
        ctx.state["timer"] = time
        ctx.register_event_time_timer(time)

    def on_event_time(self, time: int, window: Any, ctx: Any) -> TriggerResult:
        if time == window.max_timestamp:
            return TriggerResult.FIRE
        if time == ctx.state.get("timer"):
            ctx.state["fired"] = ctx.state.get("fired", 0) + 1
            if ctx.state["fired"] < 3:
                self._register(time + self.interval, ctx)
            return TriggerResult.FIRE if ctx.state["fired"] % 2 else TriggerResult.PURGE
        return self.result  # when it is forgotten; no timer is left that it does not know

    def can_merge(self) -> bool:
        return True

    def on_merge(self, window: Any, ctx: Any) -> None:
        ctx.state["count"] = sum(state.get("count", 0) for state in ctx.merged)
        ctx.state["fired"] = max(state.get("fired", 0) for state in ctx.merged)
        self._register(max(state["timer"] for state in ctx.merged), ctx)

    def clear(self, window: Any, ctx: Any) -> None:
        self.cleared += 1
        # As Flink's do. Of a session that has become part of another, that one's must stay.
        ctx.delete_event_time_timer(ctx.state["timer"])
        ctx.register_event_time_timer(window.max_timestamp)  # of no window any more


@st.composite
def cases(draw: st.DrawFn) -> tuple[sessions.Case, dict[str, Any], Callable[[], Busy]]:
    case = draw(sessions.cases())
    size = draw(st.integers(1, 20))
    slide = draw(st.just(size) | st.integers(1, size + 4))
    assigner: Assigner = draw(
        st.sampled_from(
            [
                Sessions(case.gaps if case.gap is None else case.gap),
                Global(),
                Fixed(size, slide),
                Fixed(size * 3, size, cumulate=True),
            ]
        )
    )
    lateness = 0 if assigner == Global() else draw(st.just(0) | st.integers(1, 60))
    numbers = (
        draw(st.integers(1, 5)),
        draw(st.integers(1, 30)),
        draw(st.sampled_from(TriggerResult)),
    )
    asked = {
        "assigner": assigner,
        "allowed_lateness": lateness,
        "discarding": draw(st.booleans()),
    }
    return case, asked, lambda: Busy(*numbers)


def window_of(case: sessions.Case, assigner: Assigner) -> ps.Window:
    if not isinstance(assigner, Fixed):
        return triggers.window_of(case, assigner)
    make = ps.cumulate if assigner.cumulate else ps.hopping
    return make(f"{assigner.size}ms", f"{assigner.slide}ms")


log = triggers.log


@given(cases())
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
def test_own_triggers_agree_with_the_oracle(
    log: ps.Log, drawn: tuple[sessions.Case, dict[str, Any], Callable[[], Busy]]
) -> None:
    case, asked, make = drawn
    topic = next(triggers.topics)
    sessions.publish(log, topic, case)
    model = make()
    result = run_operator(
        case.records,
        trigger=model,
        out_of_orderness=case.out_of_orderness,
        partitions=range(case.partitions),
        **asked,
    )
    table = rows(result, case.records, [kind for kind, _ in triggers.AGGREGATES.values()])
    wanted = [windows.comparable(row) for row in table], result.late
    for parallelism in (1, 2):
        env = ps.Environment(log, parallelism=parallelism)
        watermark = windows.watermark_of(case)  # type: ignore[arg-type]
        stream = env.from_topic(topic, watermark=watermark, bounded=True)
        late = ps.OutputTag("late")
        window = window_of(case, asked["assigner"])
        windowed = stream.key_by(*case.keys).window(window) if case.keys else None
        windowed = stream.window_all(window) if windowed is None else windowed
        if asked["allowed_lateness"]:
            windowed = windowed.allowed_lateness(f"{asked['allowed_lateness']}ms")
        windowed = windowed.trigger(make())
        windowed = windowed.discarding() if asked["discarding"] else windowed
        assert triggers.results(windowed.side_output_late_data(late), late) == wanted


class Never(ps.Trigger):
    def on_element(self, row: Any, timestamp: Any, window: Any, ctx: Any) -> TriggerResult:
        return TriggerResult.CONTINUE


class Each(ps.Trigger):
    """Calls a function of the arguments, and fires."""

    def __init__(self, look: Callable[..., object]) -> None:
        self.look = look

    def on_element(self, row: Any, timestamp: Any, window: Any, ctx: Any) -> TriggerResult:
        result = self.look(row, timestamp, window, ctx)
        return result if result is not None else TriggerResult.FIRE  # type: ignore[return-value]


SALES = [("ann", 1, 5), ("bob", 2, 7), ("ann", 3, 9), ("ann", 30, 1)]


def test_trigger_takes_the_place_of_the_close_and_of_the_end() -> None:
    for window in (ps.tumbling("10ms"), ps.global_window(), ps.hopping("10ms", "5ms")):
        assert rows_of(stream(SALES).window_all(window).trigger(Never())) == []


def test_trigger_sees_rows_times_windows_and_watermarks() -> None:
    seen: list[Any] = []

    def look(row: Mapping[str, Any], timestamp: int, window: Any, ctx: Any) -> None:
        seen.append((dict(row), timestamp, window.start, window.end, ctx.current_watermark))

    windowed = stream(SALES).with_columns(double=col("amount") * 2).key_by("user")
    fired = rows_of(windowed.window(ps.tumbling("10ms")).trigger(Each(look)))
    assert [row[-1] for row in fired] == [5, 7, 14, 1]
    assert seen[1] == ({"user": "bob", "ts": 2, "amount": 7, "double": 14}, 2, 0, 10, 0)
    assert [watermark for *_, watermark in seen] == [-(2**63), 0, 1, 2]


def test_without_event_time_there_are_no_times_and_no_bounds() -> None:
    seen: list[Any] = []

    def look(row: Any, timestamp: Any, window: Any, ctx: Any) -> None:
        seen.append((row["amount"], timestamp, window.start, window.end))

    assert len(rows_of(stream(SALES, None).window_all(ps.global_window()).trigger(Each(look)))) == 4
    assert seen == [(n, None, None, None) for n in (5, 7, 9, 1)]


def test_timer_at_the_end_of_a_global_window_fires_when_the_input_ends() -> None:
    class AtTheEnd(Never):
        def on_element(self, row: Any, timestamp: Any, window: Any, ctx: Any) -> TriggerResult:
            ctx.register_event_time_timer(window.max_timestamp)
            return TriggerResult.CONTINUE

        def on_event_time(self, time: int, window: Any, ctx: Any) -> TriggerResult:
            return TriggerResult.FIRE

    windowed = stream(SALES).key_by("user").window(ps.global_window()).trigger(AtTheEnd())
    assert rows_of(windowed) == [("ann", 1, 31, 3, 15), ("bob", 2, 3, 1, 7)]


def test_session_that_grows_loses_the_timers_of_its_former_end() -> None:
    class AtEachTimer(Never):
        def on_element(self, row: Any, timestamp: Any, window: Any, ctx: Any) -> TriggerResult:
            ctx.register_event_time_timer(window.max_timestamp)
            return TriggerResult.CONTINUE

        def on_event_time(self, time: int, window: Any, ctx: Any) -> TriggerResult:
            return TriggerResult.FIRE

        def can_merge(self) -> bool:
            return True

    rows = [("ann", 0, 1), ("ann", 6, 2), ("ann", 30, 4)]
    windowed = stream(rows).window_all(ps.session("10ms")).trigger(AtEachTimer())
    assert rows_of(windowed) == [(0, 16, 2, 3), (30, 40, 1, 4)]


def test_session_that_is_cleared_when_it_grows_takes_no_timer_along() -> None:
    """Flink's ContinuousEventTimeTrigger, whose clear() deletes the timer that it knows."""

    class EveryFour(Never):
        def on_element(self, row: Any, timestamp: Any, window: Any, ctx: Any) -> TriggerResult:
            if "next" not in ctx.state:
                self._register(timestamp - timestamp % 4 + 4, ctx)
            return TriggerResult.CONTINUE

        def _register(self, time: int, ctx: Any) -> None:
            ctx.state["next"] = time
            ctx.register_event_time_timer(time)

        def on_event_time(self, time: int, window: Any, ctx: Any) -> TriggerResult:
            if time != ctx.state["next"]:
                return TriggerResult.CONTINUE
            self._register(time + 4, ctx)
            return TriggerResult.FIRE

        def can_merge(self) -> bool:
            return True

        def on_merge(self, window: Any, ctx: Any) -> None:
            self._register(min(state["next"] for state in ctx.merged), ctx)

        def clear(self, window: Any, ctx: Any) -> None:
            ctx.delete_event_time_timer(ctx.state.pop("next"))

    # 2 makes the session of 0 longer: the timer at 4 stays, and 10 reaches it and the one at 8.
    rows = [("ann", 0, 1), ("ann", 2, 2), ("ann", 10, 4)]
    windowed = stream(rows).window_all(ps.session("5ms")).trigger(EveryFour())
    assert rows_of(windowed) == [(0, 7, 2, 3), (10, 15, 1, 4)]


def test_context_of_a_window_that_is_forgotten_touches_no_other() -> None:
    kept: list[Any] = []
    fired: list[int] = []

    class Keeps(Never):
        def on_element(self, row: Any, timestamp: Any, window: Any, ctx: Any) -> TriggerResult:
            kept.append(ctx)
            ctx.register_event_time_timer(timestamp + 2)
            kept[0].delete_event_time_timer(timestamp + 2)  # of the first window
            return TriggerResult.CONTINUE

        def on_event_time(self, time: int, window: Any, ctx: Any) -> TriggerResult:
            fired.append(time)
            return TriggerResult.CONTINUE

    rows = [("ann", 0, 1), ("ann", 30, 2), ("ann", 50, 4)]
    assert rows_of(stream(rows).window_all(ps.tumbling("10ms")).trigger(Keeps())) == []
    assert fired == [9, 32, 39, 52, 59]


def test_a_timer_may_be_any_kind_of_whole_number() -> None:
    class AtOnce(Never):
        def on_element(self, row: Any, timestamp: Any, window: Any, ctx: Any) -> TriggerResult:
            ctx.register_event_time_timer(np.int32(window.start + 1))
            return TriggerResult.CONTINUE

        def on_event_time(self, time: int, window: Any, ctx: Any) -> TriggerResult:
            return TriggerResult.FIRE_AND_PURGE

    assert rows_of(stream(SALES).window_all(ps.tumbling("10ms")).trigger(AtOnce()))


def test_state_bytes_count_what_triggers_keep() -> None:
    class Keeps(Never):
        def on_element(self, row: Any, timestamp: Any, window: Any, ctx: Any) -> TriggerResult:
            ctx.state.setdefault("seen", []).append("x" * self.length + row["user"])
            return TriggerResult.CONTINUE

        def __init__(self, length: int) -> None:
            self.length = length

    def held(length: int, window: ps.Window) -> list[int]:
        env = ps.Environment()
        table = pa.table({"user": ["ann", "bob", "bob"], "ts": [0, 1, 2], "amount": [1, 1, 1]})
        windows = env.from_arrow(table, watermark=TIMES).key_by("user").window(window)
        result = windows.trigger(Keeps(length)).aggregate(n=ps.count())
        job = env._engine.prepare((nodes.Collect(result._node),), bounded=True)
        readings = []
        while job.step() or not readings:
            readings.append(job.metrics().operators[1].state_bytes)
        return [*readings, job.metrics().operators[1].state_bytes]

    small, large = held(0, ps.global_window())[-1], held(1000, ps.global_window())[-1]
    assert 3_000 <= large - small < 3_100
    # What is forgotten with its window is not counted any more.
    assert held(100_000, ps.tumbling("10ms"))[-1] < 100_000


def test_state_is_of_one_run() -> None:
    def look(row: Any, timestamp: Any, window: Any, ctx: Any) -> TriggerResult:
        ctx.state["n"] = ctx.state.get("n", 0) + 1
        return TriggerResult.FIRE if ctx.state["n"] == 2 else TriggerResult.CONTINUE

    windowed = stream(SALES).window_all(ps.tumbling("10ms")).trigger(Each(look))
    assert rows_of(windowed) == rows_of(windowed) == [(0, 10, 2, 12)]


def test_explain_says_that_it_is_in_python() -> None:
    windowed = stream(SALES).window_all(ps.tumbling("10ms")).trigger(Never()).discarding()
    text = windowed.aggregate(n=ps.count()).explain()
    assert "n=count(), trigger Never, discarding  [python]" in text


@given(cases(), st.booleans(), st.integers(1, 30))
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_windows_below_see_panes_at_the_watermark_of_what_fired_them(
    log: ps.Log,
    drawn: tuple[sessions.Case, dict[str, Any], Callable[[], Busy]],
    is_own: bool,
    size: int,
) -> None:
    """Below a trigger of one's own, and below the native ones where the engine is the same."""
    case, asked, make = drawn
    is_own |= isinstance(asked["assigner"], Fixed)
    topic = next(triggers.topics)
    sessions.publish(log, topic, case)
    result = run_operator(
        case.records,
        trigger=make() if is_own else Specified(2, 7),
        out_of_orderness=case.out_of_orderness,
        partitions=range(case.partitions),
        **asked,
    )
    items = chains.below(result, [len(pane.members) for pane in result.panes])
    items = [Record(item.timestamp, (), *_rest(item)) for item in items]
    second = run(items, size=size, source_watermark=chains.watermark_below())
    wanted = [
        (pane.start, pane.end, sum(items[i].values[0] for i in pane.members))  # type: ignore[misc]
        for pane in second.panes
    ]
    wanted_late = [items[index].timestamp for index in second.late]
    for parallelism in (1, 2):
        env = ps.Environment(log, parallelism=parallelism)
        watermark = windows.watermark_of(case)  # type: ignore[arg-type]
        stream = env.from_topic(topic, watermark=watermark, bounded=True)
        window = window_of(case, asked["assigner"])
        windowed = stream.key_by(*case.keys).window(window) if case.keys else None
        windowed = stream.window_all(window) if windowed is None else windowed
        if asked["allowed_lateness"]:
            windowed = windowed.allowed_lateness(f"{asked['allowed_lateness']}ms")
        windowed = windowed.trigger(make()) if is_own else windowed.early("7ms", count=2)
        windowed = windowed.discarding() if asked["discarding"] else windowed
        late = ps.OutputTag("late")
        below = windowed.aggregate(n=ps.count()).window_all(ps.tumbling(f"{size}ms"))
        totals = below.side_output_late_data(late).aggregate(n=col("n").sum())
        columns = [column.cast(pa.int64()).to_pylist() for column in totals.to_arrow().columns]
        assert list(zip(*columns, strict=True)) == wanted
        ends = totals.side_output(late).to_arrow()["window_end"].cast(pa.int64()).to_pylist()
        assert [end - 1 for end in ends] == wanted_late


def _rest(item: Record) -> tuple[Any, ...]:
    return item.values, item.partition, item.is_filtered, item.appended, item.mark


def test_own_trigger_and_own_aggregate_go_together() -> None:
    class Joined(ps.AggregateFunction[int, list[int], str]):
        returns = "string"

        def create_accumulator(self) -> list[int]:
            return []

        def add(self, value: int, accumulator: list[int]) -> list[int]:
            if value == 666:
                raise ValueError("the number")
            return [*accumulator, value]

        def get_result(self, accumulator: list[int]) -> str:
            return ",".join(map(str, accumulator))

        def merge(self, a: list[int], b: list[int]) -> list[int]:
            return a + b

    def joined(rows: list[tuple[str, int, int]]) -> list[str]:
        windowed = stream(rows).window_all(ps.global_window()).trigger(Each(lambda *_: None))
        amounts = windowed.aggregate(amounts=Joined()(col("amount")))
        found: list[str] = amounts.to_arrow()["amounts"].to_pylist()
        return found

    assert joined(SALES) == ["5", "5,7", "5,7,9", "5,7,9,1"]
    with pytest.raises(errors.OperatorError, match="ValueError: the number") as caught:
        joined([("ann", 1, 666)])
    assert caught.value.__cause__ is not None
