"""Expressions as users write them, against the rules and against the oracle."""

from __future__ import annotations

import math
import struct
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, reject, settings

from pystream._native import Array, select_true
from pystream._native import Expression as Native
from pystream.engines.local.expressions import infer, lower
from pystream.errors import ConfigError, NotSupportedError, OperatorError, SchemaError
from pystream.pipeline.aggregates import count
from pystream.pipeline.case import coalesce, when
from pystream.pipeline.expressions import Expression, col, lit
from tests.oracle import expressions as oracle
from tests.pipeline.expression_strategies import TYPES, Case, cases
from tests.pipeline.flights import BATCH, run, type_of

# -- examples -------------------------------------------------------------------------------------


def test_a_condition_selects_rows() -> None:
    condition = (col("delay") > 0) & ~col("cancelled") | (col("carrier") == "UA")
    assert run(condition) == [True, None, None, True, True]
    bound = lower(condition.node).bind(BATCH.schema)
    rows = select_true(bound.evaluate(BATCH))
    assert rows.dtype == np.int32
    assert rows.tolist() == [0, 3, 4]


def test_arithmetic_gives_int64_or_float64() -> None:
    assert run(col("delay") * 2 - 1)[:4] == [3, None, -7, 239]
    assert run(col("delay") // 7)[:4] == [0, None, -1, 17]
    assert run(col("delay") % 7)[:4] == [2, None, 4, 1]
    assert run(7 - col("delay"))[:4] == [5, None, 10, -113]
    assert run(col("delay") / 4)[:4] == [0.5, None, -0.75, 30.0]
    assert run(abs(-col("delay")))[:4] == [2, None, 3, 120]
    assert [type_of(col("delay") + 1), type_of(col("delay") + 0.5)] == ["int64", "float64"]


def test_nulls_are_unknown_and_nan_is_a_value() -> None:
    assert run(col("distance") > 0) == [True, False, None, False, False]
    assert run(col("distance") != col("distance")) == [False, False, None, True, False]
    assert run(col("distance").is_nan()) == [False, False, None, True, False]
    assert run(col("distance").is_null()) == [False, False, True, False, False]
    assert run(col("delay").fill_null(0))[:3] == [2, 0, -3]
    assert run(col("carrier").isin(["UA", None])) == [True, None, None, None, True]
    assert run(col("carrier").isin([])) == [False] * 5


def test_truncate_floors_also_before_1970() -> None:
    hours = run(col("scheduled").truncate("1h"))
    assert hours[:3] == [datetime(1970, 1, 1), datetime(1970, 1, 1), datetime(1969, 12, 31, 23)]
    assert run(col("scheduled").truncate(timedelta(hours=1))) == hours
    assert run(col("scheduled").truncate(3_600_000)) == hours


def test_times_meet_values_of_python_and_numpy() -> None:
    noon = datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    for same in (
        datetime(1970, 1, 1),
        noon,
        np.datetime64(0, "ns"),
        np.datetime64("1970-01-01T00:00", "m"),
        "1970-01-01",
        "1970-01-01T01:00:00+01:00",
        date(1970, 1, 1),
        0,
    ):
        assert run(col("scheduled") <= same) == [True, False, True, None, False]
    later = run(col("scheduled") + timedelta(minutes=1))
    assert later[0] == datetime(1970, 1, 1, 0, 1)
    assert run(col("scheduled") + np.timedelta64(1, "m")) == later
    assert run(col("scheduled") + "1m") == later
    assert run(col("scheduled") - datetime(1970, 1, 1))[4] == timedelta(hours=2)
    assert type_of(col("scheduled") + timedelta(microseconds=1)) == "timestamp[us]"


def test_decimals_compare_exactly() -> None:
    assert run(col("price") == Decimal("1.5")) == [True, None, False, False, False]
    assert run(col("price") > -1) == [True, None, False, True, True]
    assert run(col("price").isin([Decimal("9.990"), 0])) == [False, None, False, True, True]
    assert run(col("price") < Decimal("1.5001")) == [True, None, True, True, False]
    assert run(col("price").cast("float64")) == [1.5, None, -1.5, 0.0, 9.99]


def test_casts() -> None:
    assert run(col("distance").cast("string")) == ["100.0", "0.0", None, "nan", "-0.5"]
    assert run(col("scheduled").cast("date32"))[:3] == [
        date(1970, 1, 1),
        date(1970, 1, 1),
        date(1969, 12, 31),
    ]
    assert run(col("scheduled").cast("timestamp[s]").cast("int64"))[:3] == [0, 3599, -1]
    assert run(lit("2013-01-01T05:00:00Z").cast("timestamp[ms]"))[0] == datetime(2013, 1, 1, 5)
    for zone in ("+01", "-01", "+00", "+0100", "-01:00"):
        instant = datetime(2013, 1, 1, 5) - timedelta(hours=int(zone[:3]))
        text = f"2013-01-01 05:00:00.0{zone}"
        assert run(lit(text).cast("timestamp[ms]"))[0] == instant
    for zone in ("+1", "+01:", "+24", "+", "+010", "Z+01", "+01Z"):
        assert run(lit(f"2013-01-01T05:00:00{zone}").try_cast("timestamp[ms]"))[0] is None
    assert run(col("carrier").cast("dictionary<string>")) == run(col("carrier"))
    assert run(col("carrier").cast("binary").cast("string")) == run(col("carrier"))
    assert run(lit("-12").cast("int32"))[0] == -12
    assert run(lit("1e3").cast("float32"))[0] == 1000.0
    assert run(lit("true").cast("bool"))[0] is True


# -- how they read --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        'col("amount")',
        "lit(1)",
        '(col("amount") * 2) > 100',
        '1 / col("n")',
        'col("a") - (col("b") - col("c"))',
        '~(col("a") == "x")',
        '-(col("a") % 3)',
        'abs(col("a") // -2)',
        'col("a").fill_null(0).cast("float64").is_nan()',
        'col("ts").truncate("90m") < "2013-01-01T05:00:00"',
        'col("user").isin(["ann", "b\\"ob", None])',
        '(col("a") + 1).alias("b")',
        'lit(None).cast("int64")',
        "col(\"k\") == b'\\x00'",
        'col("price") > Decimal("1.50")',
        'col("a").is_null() | (~col("b").is_not_null())',
        'col("s").substring(1, 2).strip().length() + 1',
        'lit("a,b").contains(col("s") + ",")',
        'when(col("n") > 0).then("more").when(col("n") < 0).then(None).otherwise(col("s"))',
        '(when(col("n") > 0).then(1) + 1).alias("n")',
        'coalesce(col("a"), 0).null_if(-1)',
        'col("a").try_cast("int8") + 1',
        'col("ts").extract("hour")',
        'col("amount").sum()',
        '(col("amount") * 2).max()',
        "count()",
    ],
)
def test_repr_is_what_the_user_wrote(text: str) -> None:
    assert repr(eval(text)) == text


def test_times_read_as_text() -> None:
    assert repr(col("t") > datetime(2013, 1, 1, tzinfo=UTC)) == (
        'col("t") > "2013-01-01T00:00:00.000000Z"'
    )
    assert repr(col("t") + timedelta(minutes=90)) == 'col("t") + "90m"'
    assert repr(col("d") == date(2013, 1, 1)) == 'col("d") == "2013-01-01"'
    assert repr(col("t") - np.timedelta64(0, "s")) == 'col("t") - "0s"'
    assert repr(col("u") == 2**64 - 1) == f'col("u") == {2**64 - 1}'


def test_names_come_from_the_column_or_alias() -> None:
    assert col("a").name == "a"
    assert (col("a") + 1).name is None
    assert (col("a") + 1).alias("b").name == "b"
    assert col("a").alias("b").name == "b"
    assert repr(col("a").alias("b")) == 'col("a").alias("b")'
    assert col("a").cast("int8").name == "a"


def test_numpy_scalars_stand_on_either_side() -> None:
    assert repr(np.float64(2.0) * col("a")) == '2.0 * col("a")'
    assert repr(col("a") > np.int64(3)) == 'col("a") > 3'
    assert repr(col("a") == np.str_("x")) == 'col("a") == "x"'
    assert repr(col("a") | np.True_) == 'col("a") | True'


def test_count_counts_rows_and_count_of_a_column_its_values() -> None:
    assert count().operand is None
    assert count().function == "count_all"
    assert col("a").count().function == "count"
    assert [getattr(col("a"), name)().function for name in ("sum", "mean", "min", "max")] == [
        "sum",
        "mean",
        "min",
        "max",
    ]


# -- what is refused while the chain is built -----------------------------------------------------


def test_truth_value_hints_at_the_operators() -> None:
    with pytest.raises(
        TypeError, match=r"neither true nor false .* & \| ~ instead of and, or, not"
    ):
        bool(col("a") > 1)
    with pytest.raises(TypeError, match="neither true nor false"):
        1 < col("a") < 3  # noqa: B015
    with pytest.raises(TypeError, match="unhashable"):
        {col("a")}


def test_none_hints_at_the_null_tests() -> None:
    with pytest.raises(TypeError, match=r"equal got None\. Test for nulls with is_null\(\)"):
        col("a") == None  # noqa: E711, B015
    with pytest.raises(TypeError, match="fill_null got None"):
        col("a").fill_null(None)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (col("dellay") > 0, r"column 'dellay' does not exist; did you mean 'delay'\? The columns"),
        (col("carrier") + 1, r"carrier \+ 1: \+ does not take string and literal 1"),
        (col("carrier") > col("delay"), r"cannot compare carrier \(string\) with delay \(int64\)"),
        (col("delay") == "late", r"delay == 'late': 'late' is not a int64"),
        (col("delay") & col("cancelled"), "& takes bool, but delay is int64"),
        (~col("delay"), "~ takes bool, but delay is int64"),
        (col("delay").is_nan(), "is_nan takes floats, but delay is int64"),
        (col("delay").fill_null("x"), "'x' is not a int64"),
        (col("delay").fill_null(0.5), "0.5 does not fit int64"),
        (col("delay").isin(["x"]), "'x' is not a int64"),
        (col("carrier").truncate("1h"), "truncate takes times, but carrier is string"),
        (col("scheduled").truncate("1us"), r"'1us' does not fit duration\[ms\]"),
        (col("scheduled") + col("scheduled"), r"does not take timestamp\[ms\] and timestamp\[ms\]"),
        (col("scheduled") > "yesterday", "'yesterday' is not a time"),
        (col("cancelled").cast("timestamp[s]"), r"no cast from bool \(cancelled\) to timestamp"),
        (col("cancelled").try_cast("timestamp[s]"), r"no cast from bool \(cancelled\)"),
        (col("delay").extract("hour"), "takes timestamps and dates, but delay is int64. Cast it"),
        (
            (col("scheduled") - "1970-01-01").extract("hour"),
            r"is duration\[ms\]. Divide it by a duration",
        ),
        (lit(300).cast("int8"), "300 does not fit int8"),
        (col("blob").length(), "length takes string, but blob is binary. Cast it to string"),
        (col("blob").contains("x"), "contains takes string, but blob is binary"),
        (col("carrier").starts_with(col("blob")), "starts_with takes string, but blob is binary"),
        (col("carrier").ends_with(1), "1 is not a string"),
        (col("delay").substring(1), "substring takes string, but delay is int64"),
        (col("carrier") + col("blob"), r"\+ does not take string and binary"),
        (col("delay") + "x", r"\+ does not take int64 and literal 'x'"),
        (when(col("delay")).then(1), "when takes bool, but delay is int64. Compare first"),
        (
            when(col("cancelled")).then(col("delay")).otherwise(col("distance")),
            r"its values are of different types: delay is int64 and distance is float64\. Cast one",
        ),
        (when(col("cancelled")).then("late").otherwise(col("delay")), "'late' is not a int64"),
        (when(col("cancelled")).then(1).otherwise(0.5), "0.5 does not fit int64"),
        (when(col("cancelled")).then(None), "a null literal has no type of its own"),
        (
            when(col("cancelled")).then(1).otherwise(col("dellay")),
            "column 'dellay' does not exist",
        ),
        (coalesce(col("delay"), col("carrier")), "delay is int64 and carrier is string"),
        (col("carrier").null_if(col("delay")), r"compare carrier \(string\) with delay \(int64\)"),
        (lit(None), "a null literal has no type of its own"),
    ],
)
def test_schema_errors_name_what_does_not_fit(expression: Expression, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        infer(expression.node, BATCH.schema)


def test_unknown_column_is_an_attribute_too() -> None:
    with pytest.raises(SchemaError) as caught:
        infer(col("dellay").node, BATCH.schema)
    assert caught.value.column == "dellay"


def test_comparing_decimals_with_floats_is_not_supported() -> None:
    with pytest.raises(NotSupportedError, match=r"comparing decimal128\(3, 2\) with float64"):
        infer((col("price") > col("distance")).node, BATCH.schema)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: lit(object()), TypeError, "of type object cannot be a literal"),
        (lambda: lit(2**64), ConfigError, "fits no column"),
        (lambda: lit(Decimal("inf")), ConfigError, "fits no column"),
        (lambda: lit(Decimal(1) / 3 * Decimal("1e-20")), ConfigError, "more than 38 digits"),
        (lambda: lit(np.datetime64(1, "ps")), ConfigError, "has no unit of a column"),
        (lambda: col("a").isin("abc"), TypeError, "not a list of values"),
        (lambda: col("a").truncate("soon"), ConfigError, "not a duration"),
        (
            lambda: col("a").truncate("fortnight"),
            ConfigError,
            '\'fortnight\'.*ns, us, ms, s, m, h and d.*"week", "month", "quarter" and "year"',
        ),
        (lambda: col("a").truncate("0s"), ConfigError, "above zero"),
        (lambda: col("a").substring("x"), TypeError, "the start 'x'. Pass an int"),  # type: ignore[arg-type]
        (lambda: col("a").substring(0, True), TypeError, "the length True. Pass an int"),
        (lambda: col("a").substring(0, -1), ConfigError, "the length -1. Pass zero or more"),
        (lambda: col("a").substring(2**63), ConfigError, "Pass one of 64 bits"),
        (lambda: col("a").extract("hours"), ConfigError, "Use one of year, quarter"),  # type: ignore[arg-type]
        (lambda: coalesce(col("a"), None), TypeError, "coalesce got None"),
        (lambda: when(None), TypeError, "when got None"),  # type: ignore[arg-type]
        (lambda: when(col("a") > 0).then(count()), TypeError, "then got count.*is an aggregation"),  # type: ignore[arg-type]
        (lambda: col("a").contains(None), TypeError, "contains got None"),  # type: ignore[arg-type]
        (lambda: col(1), TypeError, "not a name"),  # type: ignore[arg-type]
        (lambda: col("a") + count(), TypeError, "is an aggregation"),
        (lambda: lower(col("a").cast("int7").node), ConfigError, "not a column type"),
    ],
)
def test_wrong_python_values(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_nesting_has_a_limit() -> None:
    native = Native.column("delay")
    for _ in range(1000):
        native = Native.call("negate", [native])
    with pytest.raises(SchemaError, match="nested more than 1000 calls deep"):
        native.bind(BATCH.schema)
    expression = col("delay")
    for _ in range(100_000):
        expression = -expression
    with pytest.raises(SchemaError, match="nested too deeply"):
        lower(expression.node)


def test_a_batch_of_another_schema_is_refused() -> None:
    bound = lower((col("delay") + 1).node).bind(BATCH.schema)
    with pytest.raises(SchemaError, match=r"bound to carrier: string, delay: int64"):
        bound.evaluate(BATCH.select([1]))


def test_dictionary_columns_stay_what_they_are() -> None:
    kind = "dictionary<string>"
    encoded = col("carrier").cast(kind)
    assert type_of(encoded.fill_null("?")) == kind
    for filled in (encoded.fill_null("?"), encoded.fill_null(lit("?").cast(kind))):
        array = lower(filled.node).bind(BATCH.schema).evaluate(BATCH)
        assert pa.array(array).to_pylist() == ["UA", "AA", "?", "B6", "UA"]
    array = lower(lit("x").cast(kind).node).bind(BATCH.schema).evaluate(BATCH)
    assert pa.array(array).type == pa.dictionary(pa.int32(), pa.string())
    plain = lower(encoded.fill_null(col("carrier")).node).bind(BATCH.schema).evaluate(BATCH)
    assert pa.array(plain).to_pylist() == ["UA", "AA", None, "B6", "UA"]


def test_the_core_refuses_calls_that_no_one_writes() -> None:
    with pytest.raises(NotSupportedError, match="function 'sin' does not exist"):
        Native.call("sin", [Native.column("a")])
    century = Native.call("extract", [Native.column("scheduled"), Native.literal("century")])
    with pytest.raises(SchemaError, match=r"'century' is not a part of a time\. Use one of year"):
        century.bind(BATCH.schema)
    with pytest.raises(SchemaError, match="function 'add' got 1 arguments"):
        Native.call("add", [Native.column("a")])
    with pytest.raises(SchemaError, match="select_true got a column of int64"):
        select_true(BATCH.column(1))


# -- what only the data can show ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "row", "message"),
    [
        (
            col("delay") * 4,
            4,
            r"2305843009213693952 \* 4 does not fit int64 in delay \* 4 at row 4",
        ),
        (1 // (col("delay") - 2), 0, r"division of 1 by zero in 1 // \(delay - 2\) at row 0"),
        (col("delay") / 0, 0, "division of 2 by zero"),
        (col("delay").cast("int8"), 4, r"does not fit int8 in delay.cast\('int8'\) at row 4"),
        (col("distance").cast("int64"), 3, "nan does not fit int64"),
        (col("carrier").cast("int64"), 0, "'UA' is not a int64"),
    ],
)
def test_operator_errors_name_expression_and_row(
    expression: Expression, row: int, message: str
) -> None:
    with pytest.raises(OperatorError, match=message) as caught:
        run(expression)
    assert caught.value.row == row


# -- against the oracle ---------------------------------------------------------------------------


def outcome_of_oracle(expression: Expression, rows: list[dict[str, Any]]) -> Any:
    try:
        return [oracle.evaluate(expression.node, TYPES, row) for row in rows]
    except oracle.Failure as failure:
        return failure


def plain(array: Array) -> list[Any]:
    """Values as the oracle has them: times as ticks."""
    arrow = pa.array(array)
    if pa.types.is_timestamp(arrow.type) or pa.types.is_duration(arrow.type):
        arrow = arrow.cast(pa.int64())
    if pa.types.is_date32(arrow.type):
        arrow = arrow.cast(pa.int32())
    if pa.types.is_decimal(arrow.type):
        return [None if value is None else Fraction(value) for value in arrow.to_pylist()]
    return arrow.to_pylist()


def key(value: Any) -> Any:
    """Tell -0.0 from 0.0, and take all NaN for one."""
    if not isinstance(value, float):
        return value
    return "nan" if math.isnan(value) else struct.pack("<d", value)


@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=cases())
def test_native_equals_oracle(case: Case) -> None:
    try:
        bound = lower(case.expression.node).bind(case.batch.schema)
    except SchemaError:
        # Only a constant that cannot be cast, which fails without any row.
        with pytest.raises(oracle.Failure):
            oracle.evaluate(case.expression.node, TYPES, dict.fromkeys(TYPES))
        return
    expected = outcome_of_oracle(case.expression, case.rows)
    if isinstance(expected, oracle.Failure):
        with pytest.raises(OperatorError):
            bound.evaluate(case.batch)
        return
    array = bound.evaluate(case.batch)
    assert len(array) == len(case.rows)
    assert str(array.type) == str(bound.type)
    settled = [oracle.settle(value) for value in expected]
    assert [key(v) for v in plain(array)] == [key(v.value) for v in settled]
    assert {v.type for v in settled} <= {str(bound.type)}
    assert bound.nullable or array.null_count == 0


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=cases(max_rows=200))
def test_cutting_a_batch_changes_nothing(case: Case) -> None:
    try:
        bound = lower(case.expression.node).bind(case.batch.schema)
    except SchemaError:
        reject()
    half = len(case.rows) // 2
    parts = [case.batch.slice(0, half), case.batch.slice(half, len(case.rows) - half)]
    try:
        whole = plain(bound.evaluate(case.batch))
    except OperatorError:
        with pytest.raises(OperatorError):
            [bound.evaluate(part) for part in parts]
        return
    joined = [v for part in parts for v in plain(bound.evaluate(part))]
    assert [key(v) for v in joined] == [key(v) for v in whole]
