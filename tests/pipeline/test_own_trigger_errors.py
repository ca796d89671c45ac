"""Triggers in Python that fail, and what is refused of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import pystream as ps
from pystream import TriggerResult, errors
from tests.pipeline.test_own_triggers import SALES, Each, Never, rows_of, stream

pytestmark = pytest.mark.usefixtures("also_restored")


def fail(row: Any, timestamp: Any, window: Any, ctx: Any) -> None:
    if row["amount"] == 9:
        raise ValueError("nine")


def test_exception_names_trigger_key_and_window() -> None:
    windowed = stream(SALES).key_by("user").window(ps.tumbling("10ms")).trigger(Each(fail))
    message = (
        r"trigger Each.on_element for user = 'ann' in window \[0, 10\) failed: ValueError: nine\. "
    )
    with pytest.raises(errors.OperatorError, match=message) as caught:
        rows_of(windowed)
    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.operator == "window-2"
    with pytest.raises(errors.OperatorError, match=r"for the window of user = 'ann' failed"):
        rows_of(stream(SALES).key_by("user").window(ps.global_window()).trigger(Each(fail)))


def test_result_that_is_none_is_an_error() -> None:
    windowed = stream(SALES).window_all(ps.tumbling("10ms")).trigger(Each(lambda *_: 1))
    with pytest.raises(errors.OperatorError, match=r"returned 1\. Return a TriggerResult"):
        rows_of(windowed)


def test_timers_of_processing_time_are_refused_by_name() -> None:
    look: Any = lambda row, time, window, ctx: ctx.register_processing_time_timer(5)  # noqa: E731
    windowed = stream(SALES).window_all(ps.tumbling("10ms")).trigger(Each(look))
    with pytest.raises(errors.OperatorError, match="register_processing_time_timer") as caught:
        rows_of(windowed)
    assert isinstance(caught.value.__cause__, errors.NotSupportedError)


@pytest.mark.parametrize("time", [1.5, "5", None, True, 2**63])
@pytest.mark.parametrize("method", ["register_event_time_timer", "delete_event_time_timer"])
def test_a_timer_that_is_no_whole_number_is_told_by_its_value(method: str, time: Any) -> None:
    call: Any = lambda row, stamp, window, ctx: getattr(ctx, method)(time)  # noqa: E731
    windowed = stream(SALES).window_all(ps.tumbling("10ms")).trigger(Each(call))
    with pytest.raises(errors.OperatorError, match=r"Each\.on_element") as caught:
        rows_of(windowed)
    assert isinstance(caught.value.__cause__, errors.ConfigError)
    assert str(caught.value.__cause__) == (
        f"a timer at {time!r} ({type(time).__name__}): timers are set to whole ticks of 64 bits. "
        "Round it with int(), or use window.max_timestamp."
    )


def test_timer_that_would_fire_for_ever_is_an_error() -> None:
    class Again(Never):
        def on_event_time(self, time: int, window: Any, ctx: Any) -> TriggerResult:
            ctx.register_event_time_timer(time)
            return TriggerResult.CONTINUE

    windowed = stream(SALES).window_all(ps.tumbling("10ms")).trigger(Again())
    with pytest.raises(errors.OperatorError, match="it would fire at once, and again and again"):
        rows_of(windowed)


def test_context_is_of_no_use_after_the_job() -> None:
    kept: list[Any] = []
    windowed = stream(SALES).window_all(ps.tumbling("10ms"))
    rows_of(windowed.trigger(Each(lambda row, time, window, ctx: kept.append(ctx))))
    with pytest.raises(errors.ConfigError, match="used after the call"):
        kept[0].register_event_time_timer(5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.window_all(ps.tumbling("1ms")).trigger(None), "trigger got None"),
        (lambda s: s.window_all(ps.tumbling("1ms")).trigger(Never), "trigger got <class"),
        (lambda s: s.window_all(ps.count_window(2)).trigger(Never()), r"Use global_window\(\)"),
        (lambda s: s.window_all(ps.session("1ms")).trigger(Never()), "Never cannot"),
        (lambda s: s.window_all(ps.tumbling("1ms")).emit("on_update").trigger(Never()), "Leave"),
        (lambda s: s.window_all(ps.tumbling("1ms")).early(count=2).trigger(Never()), "Leave"),
        (lambda s: s.window_all(ps.tumbling("1ms")).trigger(Never()).early(count=2), "Leave"),
        (lambda s: s.window_all(ps.tumbling("1ms")).trigger(Never()).trigger(Never()), "Leave"),
    ],
)
def test_what_does_not_go_together_is_refused(
    call: Callable[[ps.Stream], object], message: str
) -> None:
    with pytest.raises(errors.ConfigError, match=message):
        call(stream(SALES))
