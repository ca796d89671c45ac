"""Aggregates in Python: examples, how they are called, and every way in which they can fail."""

from __future__ import annotations

import datetime as dt
import gc
import signal
import threading
import weakref
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import pystream as ps
from pystream import col
from pystream.errors import ConfigError, NotSupportedError, OperatorError, SchemaError
from tests.pipeline.user_aggregates import BatchTotal, Both, Longest, Total

TABLE = pa.table(
    {
        "ts": pa.array([0, 1, 2, 12, 13], pa.int64()),
        "key": ["a", "b", "a", "a", "b"],
        "x": pa.array([1, 2, 3, None, 5], pa.int64()),
        "y": pa.array([0.5, 1.5, 2.5, 3.5, None]),
    }
)


def windowed(table: pa.Table = TABLE, window: ps.Window | None = None) -> ps.WindowedStream:
    watermark = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
    stream = ps.Environment().from_arrow(table, watermark=watermark)
    return stream.key_by("key").window(window or ps.tumbling("10ms"))


def results(aggregation: ps.Aggregation, table: pa.Table = TABLE) -> list[Any]:
    """Return the results by window, then key."""
    rows = windowed(table).aggregate(r=aggregation).to_arrow().to_pylist()
    return [row["r"] for row in sorted(rows, key=lambda r: (r["window_start"], r["key"]))]


class Returning(ps.AggregateFunction[Any, int, Any]):
    """Counts, and shows what it is told to."""

    def __init__(self, returns: str, result: Callable[[int], Any]) -> None:
        self.returns = returns
        self.result = result

    def create_accumulator(self) -> int:
        return 0

    def add(self, value: Any, accumulator: int) -> int:
        return accumulator + 1

    def merge(self, a: int, b: int) -> int:
        return a + b

    def get_result(self, accumulator: int) -> Any:
        return self.result(accumulator)


class Broken(BatchTotal):
    """A sum whose methods may be replaced."""

    def __init__(self, **methods: Callable[..., Any]) -> None:
        super().__init__("int64")
        self.__dict__.update(methods)


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


@pytest.mark.parametrize(
    ("returns", "value", "what"),
    [
        ("int64", 1.5, "returned 1.5 of type float, which is no int64"),
        ("int64", True, "returned True of type bool, which is no int64"),
        ("int8", 300, "no int8"),
        ("int64", 2**70, "which is no int64"),
        ("float64", "1", "returned '1' of type str, which is no float64"),
        ("string", 1, "returned 1 of type int, which is no string"),
        ("bool", 1, "returned 1 of type int, which is no bool"),
        ("decimal128(3, 2)", Decimal("12345"), "no decimal128"),
        ("timestamp[ms]", "soon", "no timestamp"),
        ("timestamp[s]", dt.datetime(2024, 1, 1, 0, 0, 0, 5), "no timestamp"),
        ("float32", 1e300, "no float32"),
    ],
)
def test_a_result_of_another_type_is_an_error(returns: str, value: Any, what: str) -> None:
    with pytest.raises(SchemaError, match=what) as caught:
        results(Returning(returns, lambda _: value)(col("x")))
    assert "aggregate 'r' (Returning): get_result()" in str(caught.value)
    assert caught.value.operator == "window-2"


def test_an_exception_names_aggregate_key_and_window_and_is_the_cause() -> None:
    def result(n: int) -> float:
        return 1 / (n - 2)

    with pytest.raises(OperatorError) as caught:
        results(Returning("float64", result)(col("y")))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert caught.value.operator == "window-2"
    assert str(caught.value).endswith(
        "aggregate 'r' (Returning): get_result() raised ZeroDivisionError: division by zero "
        "for key = 'a' in window [0, 10)."
    )
    error = caught.value
    assert (error.key, error.window_start, error.window_end) == ("key = 'a'", 0, 10)


def test_an_exception_of_add_names_the_value() -> None:
    class Refusing(Longest):
        def add(self, value: Any, accumulator: Any) -> Any:
            raise KeyError("no more")

    with pytest.raises(OperatorError, match=r"\(Refusing\): add\('a'\) raised KeyError") as caught:
        results(Refusing()(col("key")))
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("method", ["create_accumulator", "merge"])
def test_an_exception_of_another_method_names_it(method: str) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("broken")

    function = Total("int64")
    setattr(function, method, fail)
    with pytest.raises(OperatorError, match=rf"{method}\(\) raised RuntimeError") as caught:
        windowed(window=ps.hopping("10ms", "1ms")).aggregate(r=function(col("x"))).to_arrow()
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_an_accumulator_that_cannot_be_copied_is_an_error() -> None:
    class Locked(ps.AggregateFunction[Any, Any, int]):
        returns = "int64"

        def create_accumulator(self) -> Any:
            return threading.Lock()

        def add(self, value: Any, accumulator: Any) -> Any:
            return accumulator

        def merge(self, a: Any, b: Any) -> Any:
            return a

        def get_result(self, accumulator: Any) -> int:
            return 1

    assert results(Locked()(col("x"))) == [1, 1, 1, 1]
    table = TABLE.append_column("many", pa.array([1] * 5)).slice(0, 3)
    with pytest.raises(OperatorError, match="copying an accumulator raised TypeError"):
        windowed(table, ps.hopping("3ms", "1ms")).aggregate(r=Locked()(col("many"))).to_arrow()


@pytest.mark.parametrize("method", ["add", "merge"])
def test_forgetting_to_return_the_accumulator_is_an_error(method: str) -> None:
    function = Total("int64")
    setattr(function, method, lambda *_: None)
    with pytest.raises(SchemaError, match=rf"{method}\(\) returned None. Return the accumulator"):
        windowed(window=ps.hopping("10ms", "1ms")).aggregate(r=function(col("x"))).to_arrow()


@pytest.mark.parametrize(
    ("methods", "what"),
    [
        ({"add_batch": lambda state, *_: state}, "add_batch.. returned a dict. Change the arrays"),
        ({"add_batch": lambda state, *_: state.clear()}, "left the accumulators"),
        ({"add_batch": lambda state, *_: state.update(n=np.zeros(9))}, r"shape \(9,\), not"),
        ({"add_batch": lambda state, *_: state.update(n=state["n"] * 0.5)}, "of type float64"),
        (
            {"add_batch": lambda state, *_: state.update(n=np.ma.masked_array(state["n"], True))},
            "and a mask",
        ),
        ({"get_results": lambda _: 1}, r"returned an array of shape \(\) for"),
        ({"get_results": lambda state: state["n"][1:]}, "Return one value for each"),
        ({"get_results": lambda state: state["n"].astype(str)}, "returned what is no int64"),
        ({"get_results": lambda state: state["n"] + 0.5}, "returned what is no int64"),
    ],
)
def test_wrong_batches_are_errors(methods: dict[str, Any], what: str) -> None:
    with pytest.raises(SchemaError, match=what) as caught:
        results(Broken(**methods)(col("x")))
    assert "aggregate 'r' (Broken)" in str(caught.value)


@pytest.mark.parametrize("method", ["add_batch", "merge_batch", "get_results"])
def test_an_exception_of_a_batch_is_the_cause(method: str) -> None:
    def fail(*_: Any) -> Any:
        raise ValueError("broken")

    function = Broken(**{method: fail})
    with pytest.raises(OperatorError, match=rf"{method}\(\).* raised ValueError: brok") as caught:
        windowed(window=ps.hopping("10ms", "1ms")).aggregate(r=function(col("x"))).to_arrow()
    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.operator == "window-2"


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


def test_missing_methods_are_found_when_the_chain_is_built() -> None:
    class Half(ps.AggregateFunction[Any, Any, Any]):
        returns = "int64"

        def create_accumulator(self) -> Any: ...
        def add(self, value: Any, accumulator: Any) -> Any: ...

    class Nothing(ps.BatchAggregateFunction):
        returns = "int64"

    with pytest.raises(ConfigError, match=r"Half lacks merge\(\), get_result\(\)\. A Aggregate"):
        Half()(col("x"))
    with pytest.raises(ConfigError, match=r"lacks add_batch\(\), merge_batch\(\), get_results"):
        Nothing()(col("x"))


def test_bad_declarations_are_found_when_the_chain_is_built() -> None:
    class Silent(Longest):
        returns = None  # type: ignore[assignment]

    with pytest.raises(ConfigError, match="does not say what it returns"):
        Silent()(col("x"))
    with pytest.raises(ConfigError, match="got no argument"):
        Longest()()
    with pytest.raises(TypeError, match="is an aggregation"):
        Longest()(col("x").sum())  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="where="):
        Longest()(col("x"), where="x")  # type: ignore[arg-type]
    with pytest.raises(SchemaError, match="no column"):
        windowed().aggregate(r=Longest()(col("nothing")))
    with pytest.raises(ConfigError, match="int65"):
        windowed().aggregate(r=Total("int65")(col("x")))


def test_lists_are_arguments_and_no_results() -> None:
    class Items(Longest):
        returns = "int64"

        def add(self, value: Any, accumulator: Any) -> Any:
            return [*(accumulator or []), *value]

        def merge(self, a: Any, b: Any) -> Any:
            return a + b

        def get_result(self, accumulator: Any) -> Any:
            return None if accumulator is None else sum(accumulator)

    lists = pa.array([[1, 2], [3], None, [], [4, 5, 6]], pa.list_(pa.int64()))
    assert results(Items()(col("l")), TABLE.append_column("l", lists)) == [3, 3, 0, 15]
    Items.returns = "list<int64>"
    with pytest.raises(NotSupportedError, match="Items returns list<int64>, which functions"):
        windowed().aggregate(r=Items()(col("x")))


@pytest.mark.parametrize(
    ("accumulators", "initial", "error", "what"),
    [
        ({}, {}, ConfigError, "declares no accumulators"),
        (None, {}, ConfigError, "declares no accumulators"),
        ({"a": "float65"}, {}, ConfigError, "float65"),
        ({"a": float}, {}, ConfigError, "of type <class 'float'>"),
        ({"a": "string"}, {}, NotSupportedError, "'a' of type string; columns of accumulators"),
        ({"a": "decimal128(3, 1)"}, {}, NotSupportedError, "Use an AggregateFunction"),
        ({"a": "int64"}, {"b": 1}, ConfigError, "creates the accumulator"),
        ({"a": "int64"}, {"a": 0.5}, ConfigError, "begins accumulator 'a' with 0.5, which is no"),
        ({"a": "int8"}, {"a": 300}, ConfigError, "which is no int8"),
        ({"a": "int64"}, {"a": "1"}, ConfigError, "which is no int64"),
        ({"a": "int64"}, {"a": [1, 2]}, ConfigError, "which is no int64"),
    ],
)
def test_bad_accumulators_are_found_when_the_chain_is_built(
    accumulators: Any, initial: Any, error: type[Exception], what: str
) -> None:
    function = Broken(create_accumulator=lambda: initial)
    function.accumulators = accumulators
    with pytest.raises(error, match=what):
        windowed().aggregate(r=function(col("x")))


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
