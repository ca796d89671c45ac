"""Python functions as expressions, anywhere an expression fits."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pystream.errors import ConfigError, OperatorError, SchemaError
from pystream.pipeline.aggregates import count
from pystream.pipeline.case import when
from pystream.pipeline.environment import Environment
from pystream.pipeline.expressions import col
from pystream.pipeline.stream import OutputTag, Stream
from pystream.pipeline.udf import udf
from pystream.pipeline.watermarks import WatermarkStrategy
from pystream.pipeline.windows import tumbling

TABLE = pa.table(
    {
        "ts": pa.array([0, 1, 2, 3, 4], pa.timestamp("s")),
        "n": pa.array([1, None, 3, 4, 5], pa.int64()),
        "x": pa.array([0.5, 1.5, None, 3.5, 4.5]),
        "s": pa.array(["a", "b", None, "d", "e"]),
    }
)


@udf(returns="float64")
def scaled(n: Any, x: Any) -> Any:
    """Multiply."""
    assert isinstance(n, np.ndarray)
    return n * x


@udf(returns="string", kind="arrow")
def shout(s: Any) -> Any:
    return pc.fill_null(pc.utf8_upper(s), "NOTHING")


@udf(returns="int64")
def twice(n: Any) -> Any:
    return n * 2


def stream(table: pa.Table = TABLE, *, watermark: bool = True) -> Stream:
    if not watermark:
        return Environment().from_arrow(table)
    mark = WatermarkStrategy.for_bounded_out_of_orderness("0s", timestamp="ts")
    return Environment().from_arrow(table, watermark=mark)


def test_a_function_computes_a_column_from_the_rows_without_nulls() -> None:
    result = stream().with_columns(y=scaled(col("n"), col("x") + 1) / 2).to_arrow()
    assert result.column_names == ["ts", "n", "x", "s", "y"]
    assert result["y"].to_pylist() == [0.75, None, None, 9.0, 13.75]
    assert result.drop_columns(["y"]).equals(TABLE)


def test_an_arrow_function_gets_the_nulls() -> None:
    result = stream().select("n", loud=shout(col("s") + "!")).to_arrow()
    assert result.to_pydict() == {
        "n": [1, None, 3, 4, 5],
        "loud": ["A!", "B!", "NOTHING", "D!", "E!"],
    }


def test_a_function_filters_and_is_called_within_others() -> None:
    kept = stream().filter(twice(twice(col("n"))) > 10).to_arrow()
    assert kept.equals(TABLE.slice(2))
    chosen = stream().select(v=when(col("n") > 3).then(twice(col("n") + 1)).otherwise(-1))
    assert chosen.to_arrow()["v"].to_pylist() == [-1, -1, -1, 10, 12]
    assert (
        stream().select(v=twice(col("n")).cast("string") + "x").to_arrow()["v"][0].as_py() == "2x"
    )


def test_a_function_is_aggregated_and_late_rows_do_not_show_it() -> None:
    late = OutputTag("late")
    table = pa.concat_tables([TABLE, TABLE.slice(0, 1)])
    windows = stream(table).window_all(tumbling("2s")).side_output_late_data(late)
    result = windows.aggregate(
        total=twice(col("n")).sum(), n=count(where=twice(col("n")) > 2), most=twice(col("n")).max()
    )
    rows = result.to_arrow().select(["total", "n", "most"]).to_pylist()
    assert rows == [
        {"total": 2, "n": 0, "most": 2},
        {"total": 14, "n": 2, "most": 8},
        {"total": 10, "n": 1, "most": 10},
    ]
    assert result.side_output(late).to_arrow().equals(TABLE.slice(0, 1))


def test_a_numpy_function_may_return_nulls() -> None:
    @udf(returns="int64")
    def small(n: Any) -> Any:
        return np.ma.masked_greater(n, 3)  # type: ignore[no-untyped-call]

    @udf(returns="string")
    def odd(n: Any) -> Any:
        return np.array([str(v) if v % 2 else None for v in n], object)

    result = stream().select(a=small(col("n")), b=odd(col("n"))).to_arrow().to_pydict()
    assert result == {"a": [1, None, 3, None, None], "b": ["1", None, "3", None, "5"]}


@pytest.mark.parametrize("returns", ["string", "int64", "timestamp[us]", "dictionary<string>"])
def test_a_function_may_return_nulls_alone(returns: str) -> None:
    nothing = udf(returns=returns, kind="arrow")(lambda n: pa.array([None] * len(n)))
    result = stream().select(a=nothing(col("n"))).to_arrow()
    assert result.to_pydict() == {"a": [None] * 5}


@pytest.mark.parametrize("unit", ["M", "Y"])
def test_months_are_no_durations(unit: str) -> None:
    months = udf(returns="duration[us]")(lambda n: n.astype(f"timedelta64[{unit}]"))
    with pytest.raises(
        SchemaError, match=rf"udf <lambda> returned what is .*timedelta64\[{unit}\]"
    ):
        stream().select(y=months(col("n"))).to_arrow()
    weeks = udf(returns="duration[us]")(lambda n: n.astype("timedelta64[W]"))
    found = stream().select(y=weeks(col("n"))).to_arrow()["y"].to_pylist()
    assert found[:2] == [timedelta(weeks=1), None]


def test_what_is_called_twice_runs_once() -> None:
    calls: list[int] = []

    @udf(returns="int64")
    def counted(n: Any) -> Any:
        calls.append(len(n))
        return n

    chosen = stream().select(a=counted(col("n")) + 1, b=counted(col("n")) * 2)
    assert chosen.to_arrow().to_pydict() == {"a": [2, None, 4, 5, 6], "b": [2, None, 6, 8, 10]}
    assert calls == [4]


class Scaler:
    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __repr__(self) -> str:
        return "Scaler()"

    def __call__(self, n: Any) -> Any:
        return n * self.factor

    def predict(self, n: Any) -> Any:
        return n * self.factor


def test_functions_that_look_alike_are_not_the_same() -> None:
    make = udf(returns="int64")
    two, ten = Scaler(2), Scaler(10)
    chosen = stream().select(
        a=make(two.predict)(col("n")),
        b=make(ten.predict)(col("n")),
        c=make(two)(col("n")),
        d=make(ten)(col("n")),
        e=make(two.predict)(col("n")),
        f=udf(returns="float64")(ten.predict)(col("n")),
    )
    rows = chosen.to_arrow().to_pylist()[0]
    assert rows == {"a": 2, "b": 10, "c": 2, "d": 10, "e": 2, "f": 10.0}
    assert chosen.explain().count("[python]") == 5  # the method of one object is one function


def test_nested_calls_cost_what_they_are() -> None:
    value, other = col("n"), col("n")
    for _ in range(40):
        value, other = twice(value), twice(other + 1)
    chosen = stream().select(a=value % 7, b=other % 7)
    assert len(chosen.explain()) < 200_000
    assert chosen.to_arrow()["a"].to_pylist()[0] == 2**40 % 7


def test_errors_show_the_expression_and_no_column_of_a_stage() -> None:
    half = udf(returns="float64")(lambda x: x / 2)
    with pytest.raises(SchemaError, match=r'^filter\(<lambda>\(col\("x"\)\)\) is of type float64'):
        stream().filter(half(col("x")))
    with pytest.raises(SchemaError, match=r"<lambda>\(col\(.x.\)\) \+ 'a': \+ does not take"):
        stream().select(y=half(col("x")) + "a")
    with pytest.raises(
        OperatorError, match=r'division of 1 by zero in 1 // twice\(col\("n"\) - 1\)'
    ):
        stream().select(y=1 // twice(col("n") - 1)).to_arrow()
    with pytest.raises(SchemaError, match=r"column '_udf_1' does not exist.* are ts, n, x, s\.$"):
        stream().select(y=half(col("x")), z=col("_udf_1"))
    windows = stream().window_all(tumbling("9s"))
    with pytest.raises(SchemaError, match=r"column '_udf_1' does not exist.* are ts, n, x, s\.$"):
        windows.aggregate(y=half(col("x")).sum(), z=col("_udf_1").sum())

    def wrong(n: Any) -> Any:
        return n + 0.5

    with pytest.raises(SchemaError) as caught:
        stream().select(y=udf(returns="int64")(wrong)(col("n") + 1)).to_arrow()
    assert "_udf_" not in str(caught.value)

    big = twice(col("n") * 0 + 2**61)
    with pytest.raises(OperatorError, match=r"the sum of 'twice\(.*\)' does not fit int64"):
        windows.aggregate(y=big.sum()).to_arrow()
    with pytest.raises(SchemaError, match=r"sum does not take column 'shout\(.*\)' of type string"):
        windows.aggregate(y=shout(col("s")).sum())


def test_columns_may_have_the_names_of_stages() -> None:
    table = pa.table({"_udf_1": [1, 2], "_udf_3": [3, 4]})
    chosen = stream(table, watermark=False).with_columns(
        _udf_2=twice(col("_udf_1") + col("_udf_3")), y=twice(twice(col("_udf_3")) + 1)
    )
    assert chosen.to_arrow().to_pydict() == {
        "_udf_1": [1, 2],
        "_udf_3": [3, 4],
        "_udf_2": [8, 12],
        "y": [14, 18],
    }


def test_explain_shows_the_python_stage_and_the_native_ones_around_it() -> None:
    text = stream().filter(scaled(col("n"), col("x") + 1) > 2).explain()
    kinds = [(line.split(": ", 1)[1].split("(")[0], line[-8:]) for line in text.splitlines()]
    assert kinds == [
        ("select", "[native]"),
        ("filter", "[native]"),
        ("map_batches", "[python]"),
        ("select", "[native]"),
        ("from_arrow", "[native]"),
    ]
    assert "map_batches(udf scaled)  [python]" in text
    assert repr(scaled(col("n"), 2)) == 'scaled(col("n"), 2)'
    assert repr(scaled) == "<udf scaled returns float64>"
    assert scaled.__doc__ == "Multiply."


def test_the_type_is_known_when_the_chain_is_built() -> None:
    added = stream().with_columns(y=twice(col("n")), z=shout(col("s")))
    assert [str(field[1]) for field in added.schema.fields[4:]] == ["int64", "string"]
    with pytest.raises(SchemaError, match=r"twice\(col.*is of type int64, but a condition must be"):
        stream().filter(twice(col("n")))
    with pytest.raises(SchemaError, match="column 'm' does not exist"):
        stream().select(y=twice(col("m")))
    with pytest.raises(SchemaError, match=r"\+ does not take string and literal 1"):
        stream().select(y=twice(col("s") + 1))
    with pytest.raises(SchemaError, match=r"\+ does not take int64 and literal 'x'"):
        stream().select(y=twice(col("n")) + "x")


@pytest.mark.parametrize(
    ("returned", "kind", "message"),
    [
        (lambda n: n[:-1], "numpy", "udf f returned an array of 3 values, but got 4 rows"),
        (lambda n: np.ones((len(n), 2)), "numpy", r"udf f returned an array of shape \(4, 2\)"),
        (lambda n: n.sum(), "numpy", r"udf f returned an array of shape \(\), but got 4 rows"),
        (lambda n: n.astype(str), "numpy", "udf f returned what is no int64: "),
        (lambda n: n + 0.5, "numpy", "udf f returned what is no int64: "),
        (lambda n: n.to_pylist(), "arrow", "udf f returned list, not a pyarrow Array"),
        (lambda n: n[1:], "arrow", "udf f returned an array of 4 values, but got 5 rows"),
        (lambda n: pc.cast(n, pa.string()), "arrow", "udf f returned what is no int64: "),
        (lambda n: pa.array([[1]] * len(n)), "arrow", "udf f returned what is no int64: .*list"),
    ],
)
def test_wrong_results_name_the_function(returned: Any, kind: Any, message: str) -> None:
    def f(n: Any) -> Any:
        return returned(n)

    function = udf(returns="int64", kind=kind)(f)
    with pytest.raises(SchemaError, match=message) as caught:
        stream().select(y=function(col("n"))).to_arrow()
    assert type(caught.value) is SchemaError
    assert "text" not in str(caught.value)


def test_a_text_that_may_have_been_meant_as_a_column_is_named() -> None:
    hint = r'It got the text "n": write col\("n"\) where a column is meant\.$'
    with pytest.raises(SchemaError, match=f"no int64: .*{hint}"):
        stream().select(y=twice("n")).to_arrow()

    @udf(returns="float64")
    def half(n: Any) -> Any:
        return n * 0.5

    with pytest.raises(OperatorError, match=f"operator 'udf half' failed .* TypeError: .*{hint}"):
        stream().filter(half("n") > 1).to_arrow()
    mark = WatermarkStrategy.for_punctuated(twice("n"), timestamp="n")
    gaps = Environment().from_arrow(TABLE.drop_null(), watermark=mark).window_all(tumbling("1s"))
    with pytest.raises(SchemaError, match=f"'from_arrow-1' failed: udf twice .*{hint}"):
        gaps.aggregate(n=count()).to_arrow()
    # A text that is meant is a constant like any other.
    joined = udf(returns="string")(lambda s, end: s + end)
    found = stream().select(y=joined(col("s"), "!")).to_arrow()["y"].to_pylist()
    assert found == ["a!", "b!", None, "d!", "e!"]


def test_an_exception_of_the_function_is_the_cause() -> None:
    @udf(returns="int64")
    def broken(n: Any) -> Any:
        raise ValueError("no")

    with pytest.raises(
        OperatorError, match=r"operator 'udf broken' failed .* ValueError: no"
    ) as caught:
        stream().select(y=broken(col("n"))).to_arrow()
    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.operator == "udf broken"


def test_what_pystream_says_in_a_function_and_an_interrupt_go_through_as_they_are() -> None:
    for raised in (ConfigError("mine"), KeyboardInterrupt()):

        @udf(returns="int64")
        def broken(n: Any, raised: BaseException = raised) -> Any:
            raise raised

        with pytest.raises(type(raised)) as caught:
            stream().select(y=broken(col("n"))).to_arrow()
        assert caught.value is raised


def test_wrong_definitions_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"kind='pandas'\. Use"):
        udf(returns="int64", kind="pandas")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="returns=5"):
        udf(returns=5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="cannot be called"):
        udf(returns="int64")(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="udf twice got no argument"):
        twice()
    with pytest.raises(TypeError, match="twice got None"):
        twice(None)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="not a column type"):
        stream().select(y=udf(returns="int7")(abs)(col("n")))


@settings(max_examples=40, deadline=None)
@given(
    times=st.lists(st.integers(0, 60), max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=4),
    threads=st.sampled_from([1, 2]),
)
def test_rows_keep_their_watermark_on_the_way_through_a_function(
    times: list[int], cuts: list[int], threads: int
) -> None:
    numbers = pa.array(range(len(times)), pa.int64())
    table = pa.table({"ts": pa.array(times, pa.timestamp("s")), "n": numbers})
    edges = [0, *sorted(min(cut, len(times)) for cut in cuts), len(times)]
    parts = [table.slice(a, b - a) for a, b in itertools.pairwise(edges)]
    mark = WatermarkStrategy.for_bounded_out_of_orderness("3s", timestamp="ts")
    source = Environment(parallelism=threads).from_arrow(parts, watermark=mark)
    late = OutputTag("late")

    def rows(operand: Any) -> tuple[Any, Any]:
        windows = source.window_all(tumbling("5s")).side_output_late_data(late)
        result = windows.aggregate(total=operand.sum(), last=operand.last())
        return result.to_arrow().to_pylist(), result.side_output(late).to_arrow().to_pylist()

    assert rows(twice(col("n"))) == rows(col("n") * 2)


@settings(max_examples=25, deadline=None)
@given(
    values=st.lists(st.none() | st.integers(-(2**40), 2**40), max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=4),
    threads=st.sampled_from([1, 2]),
    kind=st.sampled_from(["numpy", "arrow"]),
)
def test_cuts_and_threads_change_nothing(
    values: list[int | None], cuts: list[int], threads: int, kind: Any
) -> None:
    seen: set[int] = set()

    def plus(n: Any) -> Any:
        seen.add(threading.get_ident())
        return pc.add(n, 1) if kind == "arrow" else n + 1

    table = pa.table({"n": pa.array(values, pa.int64())})
    edges = [0, *sorted(min(cut, len(values)) for cut in cuts), len(values)]
    parts = [table.slice(a, b - a) for a, b in itertools.pairwise(edges)]
    source = Environment(parallelism=threads).from_arrow(parts)
    function = udf(returns="int64", kind=kind)(plus)
    result = source.select(y=function(col("n")) * 2).filter(function(col("y")) > 0).to_arrow()
    expected = [None if v is None else (v + 1) * 2 for v in values]
    assert result["y"].to_pylist() == [v for v in expected if v is not None and v + 1 > 0]
    assert seen <= {threading.get_ident()}


def kept(kind: str) -> tuple[Any, list[Any]]:
    """Return a udf that uses one array for all of its results, and the buffers that it returned."""
    room = np.zeros(4)

    @udf(returns="float64", kind=kind)  # type: ignore[arg-type]
    def doubled(values: Any) -> Any:
        np.multiply(values, 2, out=room)
        return room if kind == "numpy" else pa.array(room)

    return doubled, [room]


@pytest.mark.parametrize("kind", ["numpy", "arrow"])
def test_a_function_may_use_its_array_again(kind: str) -> None:
    doubled, (room,) = kept(kind)
    tables = [pa.table({"v": np.arange(4.0) + start}) for start in (0, 10, 20)]
    rows = Environment().from_arrow(tables).select(d=doubled(col("v")))
    found = rows.to_arrow()["d"].to_pylist()
    room[:] = -1
    assert found == [2 * (value + start) for start in (0, 10, 20) for value in range(4)]


def as_frame(table: dict[str, Any]) -> Any:
    return pytest.importorskip("pandas").DataFrame(table, copy=False)


def as_records(table: dict[str, Any]) -> Any:
    return pa.RecordBatch.from_pydict({name: pa.array(array) for name, array in table.items()})


def as_list(table: dict[str, Any]) -> Any:
    return pa.table({name: pa.chunked_array([pa.array(a)]) for name, a in table.items()})


@pytest.mark.parametrize("make", [dict, as_frame, as_records, as_list])
def test_a_function_over_batches_may_use_its_arrays_again(make: Callable[..., Any]) -> None:
    room = np.zeros(4)

    def doubled(batch: Any) -> Any:
        np.multiply(batch["v"], 2, out=room)
        return make({"v": room})

    tables = [pa.table({"v": np.arange(4.0) + start}) for start in (0, 10, 20)]
    found = Environment().from_arrow(tables).map_batches(doubled).to_arrow()["v"].to_pylist()
    room[:] = -1
    assert found == [2 * (value + start) for start in (0, 10, 20) for value in range(4)]


def test_what_was_lent_to_a_function_and_comes_back_is_not_copied() -> None:
    table = pa.table({"v": np.arange(4.0)})
    address = table["v"].chunk(0).buffers()[1].address

    def same(batch: Any) -> Any:
        return {"v": batch["v"]}

    for function in (lambda batch: batch, same):
        result = Environment().from_arrow(table).map_batches(function).to_arrow()
        assert result["v"].chunk(0).buffers()[1].address == address


def test_what_views_an_array_of_the_function_is_copied_as_well() -> None:
    room = np.zeros(4)

    @udf(returns="float64")
    def frozen_view(values: Any) -> Any:
        np.multiply(values, 2, out=room)
        view = room[:]
        view.flags.writeable = False
        return view

    tables = [pa.table({"v": np.arange(4.0) + start}) for start in (0, 10)]
    rows = Environment().from_arrow(tables).select(d=frozen_view(col("v")))
    assert rows.to_arrow()["d"].to_pylist() == [0, 2, 4, 6, 20, 22, 24, 26]


def test_rows_that_are_null_are_put_back_from_a_copy() -> None:
    room = np.zeros(2)

    @udf(returns="float64")
    def doubled(values: Any) -> Any:
        np.multiply(values, 2, out=room)
        return room

    tables = [pa.table({"v": [start, None, start + 1]}) for start in (0.0, 10.0)]
    rows = Environment().from_arrow(tables).select(d=doubled(col("v")))
    assert rows.to_arrow()["d"].to_pylist() == [0, None, 2, 20, None, 22]
