"""Aggregates in Python: examples, and how they are called."""

from __future__ import annotations

import datetime as dt
import gc
import signal
import threading
import weakref
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import pystream as ps
from pystream import col
from tests.pipeline.user_aggregates import (
    TABLE,
    BatchTotal,
    Both,
    Broken,
    Returning,
    Total,
    results,
    windowed,
)


def test_both_forms_compute_beside_native_aggregates() -> None:
    result = windowed().aggregate(
        n=ps.count(), a=Total("int64")(col("x")), b=BatchTotal("int64")(col("x")), c=col("x").sum()
    )
    assert result.to_arrow().to_pydict() == {
        "key": ["a", "b", "a", "b"],
        "window_start": [0, 0, 10, 10],
        "window_end": [10, 10, 20, 20],
        "n": [2, 1, 1, 1],
        "a": [4, 2, None, 5],
        "b": [4, 2, None, 5],
        "c": [4, 2, None, 5],
    }


def test_rows_with_a_null_argument_are_skipped_in_whichever_it_is() -> None:
    assert results(Both()(col("x"), col("y"))) == [2, 1, 0, 0]
    assert results(Both()(col("x"), col("y"), where=col("y") > 1)) == [1, 1, 0, 0]


def test_arguments_are_computed_only_in_rows_that_count() -> None:
    halves = 6 // (col("x") - 1)
    assert results(Total("int64")(halves, where=col("x") > 1)) == [3, 6, None, 1]
    assert results(Both()(col("x"), (halves * 1.0), where=col("x") > 1)) == [1, 1, 0, 1]


def test_a_udf_may_be_an_argument() -> None:
    @ps.udf(returns="float64")
    def half(x: Any) -> Any:
        return x / 2

    assert results(Both()(col("x"), half(col("x")))) == [2, 1, 0, 1]
    assert results(Total("float64")(half(col("x")))) == [2.0, 1.0, None, 2.5]


@pytest.mark.parametrize(
    ("returns", "value", "shown"),
    [
        ("int8", 7, 7),
        ("uint64", 2**64 - 1, 2**64 - 1),
        ("float32", 1, 1.0),
        ("float64", np.float32(0.5), 0.5),
        ("bool", True, True),
        ("string", "ä", "ä"),
        ("binary", b"\0", b"\0"),
        ("decimal128(5, 2)", Decimal("1.5"), Decimal("1.50")),
        ("timestamp[ms]", dt.datetime(2024, 1, 2), dt.datetime(2024, 1, 2)),
        (
            "timestamp[us, UTC]",
            dt.datetime(2024, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=1))),
            dt.datetime(2024, 1, 1, 23, tzinfo=dt.UTC),
        ),
        ("date32", dt.date(2024, 1, 2), dt.date(2024, 1, 2)),
        ("duration[ms]", dt.timedelta(milliseconds=3), dt.timedelta(milliseconds=3)),
        ("int64", None, None),
        ("string", None, None),
        ("timestamp[s]", None, None),
    ],
)
def test_results_are_of_the_declared_type(returns: str, value: Any, shown: Any) -> None:
    assert results(Returning(returns, lambda n: value if n else None)(col("x"))) == [
        shown,
        shown,
        None,
        shown,
    ]


def test_arrays_that_are_kept_are_no_memory_of_the_state() -> None:
    kept: list[Any] = []

    class Keeping(BatchTotal):
        def add_batch(self, state: Any, groups: Any, *columns: Any) -> None:
            for array in kept:
                if array.flags.writeable:
                    array[:] = 1_000_000  # of earlier calls
            super().add_batch(state, groups, *columns)
            kept.extend([*state.values(), groups, *columns])

        def get_results(self, state: Any) -> Any:
            for array in kept:
                if array.flags.writeable:
                    array[:] = -1
            kept.extend(state.values())
            return super().get_results(state)

    n = 5000
    table = pa.table({"ts": np.arange(n), "key": ["a", "b"] * (n // 2), "x": np.arange(n)})
    found = windowed(table, ps.hopping("70ms", "10ms")).aggregate(
        a=Keeping("int64")(col("x")), b=col("x").sum()
    )
    rows = found.to_arrow()
    assert rows["a"] == rows["b"]
    assert kept
    assert all(isinstance(int(array.sum()), int) for array in kept)  # all of it can be read


def test_what_a_function_leaves_behind_is_forgotten() -> None:
    """An accumulator that two windows have in common is not changed through one of them."""
    late = pa.table({"ts": [1, 5, 25, 6, 7], "key": ["a"] * 5, "x": [1, 2, 3, 4, 5]})
    windows = windowed(late, ps.hopping("20ms", "10ms")).allowed_lateness("1s")
    rows = windows.aggregate(a=Total("int64")(col("x")), b=col("x").sum()).to_arrow().to_pylist()
    assert len(rows) > 4
    assert [row["a"] for row in rows] == [row["b"] for row in rows]


def test_a_function_is_called_once_for_the_rows_of_a_slice_and_round() -> None:
    calls: list[int] = []

    class Watching(BatchTotal):
        def add_batch(self, state: Any, groups: Any, *columns: Any) -> None:
            calls.append(len(groups))
            super().add_batch(state, groups, *columns)

    n = 100_000
    table = pa.table({"ts": np.arange(n), "key": np.arange(n) % 5, "x": np.arange(n)})
    windowed(table, ps.tumbling("50s")).aggregate(r=Watching("int64")(col("x"))).to_arrow()
    assert calls == [n // 2, n // 2]


def test_methods_run_in_the_thread_of_the_job(tmp_path: Any) -> None:
    threads = set()

    class Watching(BatchTotal):
        def add_batch(self, state: Any, groups: Any, *columns: Any) -> None:
            threads.add(threading.get_ident())
            super().add_batch(state, groups, *columns)

    with ps.open(tmp_path / "log") as log:
        log.create_topic("events", schema={"ts": "int64", "key": "int64"}, key="key", partitions=4)
        n = 20_000
        with log.producer() as producer:
            for begin in range(0, n, 500):
                stamps = np.arange(begin, begin + 500)
                producer.send_batch("events", {"ts": stamps, "key": stamps % 97})
        env = ps.Environment(log, parallelism=2)
        watermark = ps.WatermarkStrategy.for_bounded_out_of_orderness("1s", timestamp="ts")
        stream = env.from_topic("events", watermark=watermark, bounded=True)
        found = (
            stream.key_by("key")
            .window(ps.hopping("4s", "1s"))
            .aggregate(a=Watching("int64")(col("ts")), b=col("ts").sum())
        ).to_arrow()
    assert found["a"] == found["b"]
    assert threads == {threading.get_ident()}


def test_ctrl_c_in_a_function_is_keyboard_interrupt() -> None:
    def interrupted(*_: Any) -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as caught:
        results(Broken(add_batch=interrupted)(col("x")))
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("bool", True),
        ("int16", -3),
        ("uint64", 2**64 - 1),
        ("float32", 0.5),
        ("float64", float("nan")),
        ("timestamp[ms]", np.datetime64(5, "ms")),
        ("duration[s]", np.timedelta64(5, "s")),
    ],
)
def test_columns_of_accumulators_keep_their_type_and_initial_value(kind: str, value: Any) -> None:
    class First(ps.BatchAggregateFunction):
        returns = kind
        accumulators = {"seen": kind}  # noqa: RUF012

        def create_accumulator(self) -> dict[str, object]:
            return {"seen": value}

        def add_batch(self, state: Any, groups: Any, *columns: Any) -> None:
            assert state["seen"].flags.writeable
            assert state["seen"].dtype == np.asarray(value).astype(state["seen"].dtype).dtype

        def merge_batch(self, state: Any, other: Any) -> None:
            pass

        def get_results(self, state: Any) -> Any:
            return state["seen"]

    found = windowed(window=ps.hopping("4ms", "1ms")).aggregate(r=First()(col("x"))).to_arrow()
    assert str(np.asarray(value).astype(found["r"].to_numpy().dtype)) == str(
        found["r"].to_numpy()[0]
    )
    assert len(set(map(str, found["r"].to_pylist()))) == 1


def test_explain_shows_the_call_and_that_it_runs_in_python() -> None:
    stream = windowed().aggregate(r=Both()(col("x"), col("y") + 1))
    assert 'r=Both(col("x"), col("y") + 1)  [python]' in stream.explain()
    assert "[python]" not in windowed().aggregate(r=ps.count()).explain()


def test_aggregates_without_keys() -> None:
    watermark = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
    stream = ps.Environment().from_arrow(TABLE, watermark=watermark)
    found = stream.window_all(ps.tumbling("10ms")).aggregate(
        a=Total("int64")(col("x")), b=BatchTotal("int64")(col("x"))
    )
    assert found.to_arrow().select(["a", "b"]).to_pydict() == {"a": [6, 5], "b": [6, 5]}


def test_panes_see_the_state_as_it_was() -> None:
    updates = (
        windowed()
        .emit("on_update")
        .aggregate(a=Total("int64")(col("x")), b=BatchTotal("int64")(col("x")))
    )
    assert updates.to_arrow()["a"].to_pylist() == [1, 2, 4, None, 5]
    assert updates.to_arrow()["b"].to_pylist() == [1, 2, 4, None, 5]


TEN = ps.tumbling("10ms")


def on_update(windows: Any) -> Any:
    return windows.emit("on_update")


def every_two(windows: Any) -> Any:
    return windows.early(count=2)


class NeverCopied(list[int]):
    def __deepcopy__(self, memo: Any) -> NeverCopied:
        raise AssertionError("an accumulator was copied to be shown")


class Gathered(ps.AggregateFunction[int, NeverCopied, str]):
    """All values, in an accumulator that grows."""

    returns = "string"

    def create_accumulator(self) -> NeverCopied:
        return NeverCopied()

    def add(self, value: int, accumulator: NeverCopied) -> NeverCopied:
        accumulator.append(value)
        return accumulator

    def merge(self, a: NeverCopied, b: NeverCopied) -> NeverCopied:
        raise AssertionError("there is nothing to merge")

    def get_result(self, accumulator: NeverCopied) -> str:
        return " ".join(map(str, accumulator))


@pytest.mark.parametrize(
    ("window", "trigger", "delay", "shown"),
    [
        (TEN, on_update, "1m", ["1", "1 2", "4", "1 2 3", "4 5"]),
        (TEN, every_two, "1m", ["1 2", "4 5", "1 2 3", "4 5"]),
        (TEN, lambda w: w.allowed_lateness("1d"), "0ms", ["1 2", "1 2 3", "4 5"]),
        (ps.session("9ms"), on_update, "1m", ["1", "1 2", "4", "1 2 3", "4 5"]),
        (ps.count_window(3), on_update, "1m", ["1", "1 2", "1 2 4", "3", "3 5"]),
        (ps.global_window(), every_two, "1m", ["1 2", "1 2 4 3", "1 2 4 3 5"]),
    ],
)
def test_panes_show_the_accumulator_at_work_and_no_copy(
    window: ps.Window, trigger: Any, delay: str, shown: list[str]
) -> None:
    """Copying one that grows for each of its panes would take time by the square."""
    table = pa.table({"ts": [0, 1, 30, 2, 31], "x": [1, 2, 4, 3, 5]})
    watermark = ps.WatermarkStrategy.for_bounded_out_of_orderness(delay, timestamp="ts")
    stream = ps.Environment().from_arrow(table, watermark=watermark)
    totals = trigger(stream.window_all(window)).aggregate(a=Gathered()(col("x")))
    assert totals.to_arrow()["a"].to_pylist() == shown


def test_accumulators_are_let_go_with_the_job() -> None:
    class Cell:
        pass

    alive: weakref.WeakSet[Cell] = weakref.WeakSet()

    class Making(ps.AggregateFunction[Any, Cell, int]):
        returns = "int64"

        def create_accumulator(self) -> Cell:
            cell = Cell()
            alive.add(cell)
            return cell

        def add(self, value: Any, accumulator: Cell) -> Cell:
            return accumulator

        def merge(self, a: Cell, b: Cell) -> Cell:
            return a

        def get_result(self, accumulator: Cell) -> int:
            return len(alive)

    for window in (ps.tumbling("10ms"), ps.hopping("10ms", "1ms"), ps.session("5ms")):
        found = windowed(window=window).aggregate(r=Making()(col("x"))).to_arrow()
        assert max(found["r"].to_pylist()) > 0
    gc.collect()
    assert len(alive) == 0


def test_state_of_many_keys_that_come_and_go_is_given_back() -> None:
    n = 400_000
    table = pa.table({"ts": np.arange(n), "key": np.arange(n) // 2, "x": np.ones(n, "int64")})
    found = windowed(table, ps.hopping("20s", "10s")).aggregate(
        a=BatchTotal("int64")(col("x")), b=col("x").sum()
    )
    rows = found.to_arrow()
    assert rows["a"] == rows["b"]
