"""Aggregates in Python: every way in which they can fail, while they run and before."""

from __future__ import annotations

import datetime as dt
import threading
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import pystream as ps
from pystream import col
from pystream.errors import ConfigError, NotSupportedError, OperatorError, SchemaError
from tests.pipeline.user_aggregates import (
    TABLE,
    Broken,
    Longest,
    Returning,
    Total,
    results,
    windowed,
)


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


def test_an_exception_of_a_pane_comes_before_the_next_record_and_names_key_and_window() -> None:
    seen = []

    def result(n: int) -> float:
        seen.append(n)
        return 1 / (n - 2)

    updates = windowed().emit("on_update").aggregate(r=Returning("float64", result)(col("y")))
    with pytest.raises(OperatorError) as caught:
        updates.to_arrow()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert str(caught.value).endswith("division by zero for key = 'a' in window [0, 10).")
    assert seen[-1] == 2
    assert seen.count(2) == 1


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
