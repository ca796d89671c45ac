"""Functions of numbers, decimals and hashes: examples, edges and what is refused."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pystream._native import RecordBatch
from pystream.errors import ConfigError, NotSupportedError, OperatorError, SchemaError
from pystream.pipeline.case import greatest, least
from pystream.pipeline.expressions import Expression, col, lit
from tests.oracle.xxhash64 import xxhash64
from tests.pipeline.flights import run, type_of


def of(expression: Expression, **columns: Any) -> list[Any]:
    return run(expression, RecordBatch.from_arrow(pa.record_batch(columns))[0])


def decimals(*values: str | None, kind: tuple[int, int] = (10, 2)) -> pa.Array:
    return pa.array([v and Decimal(v) for v in values], pa.decimal128(*kind))


# -- functions of numbers -------------------------------------------------------------------------


def test_numbers_are_rounded_as_python_does() -> None:
    x = [2.675, -0.5, 0.5, 1.5, 1e300, math.inf, None, -0.04, 2.5, 1e-320]
    for digits in (0, 1, 2, 15):
        expected = [v if v is None or math.isinf(v) else round(v, digits) for v in x]
        found = of(col("x").round(digits), x=x)
        assert [repr(v) for v in found] == [repr(v) for v in expected]
    assert [repr(v) for v in of(col("x").floor(), x=[-0.5, 0.5, -0.0])] == ["-1.0", "0.0", "-0.0"]
    assert [repr(v) for v in of(col("x").ceil(), x=[-0.5, 0.5, -0.0])] == ["-0.0", "1.0", "-0.0"]
    assert run(col("delay").round().floor().ceil())[:3] == [2, None, -3]


def test_rounding_is_that_of_python_near_every_tie() -> None:
    random = np.random.default_rng(7)
    for digits in (1, 2, 6, 15):
        ties = (random.integers(-(10**6), 10**6, 2000) + 0.5) / 10.0**digits
        values = np.concatenate([ties, np.nextafter(ties, 1), np.nextafter(ties, -1), ties * 1e7])
        expected = [round(float(v), digits) for v in values]
        assert of(col("x").round(digits), x=values) == expected


def test_functions_of_floats_are_those_of_the_c_library() -> None:
    x = [4.0, 0.0, -1.0, math.inf, None]
    assert of(col("x").sqrt(), x=x)[:2] == [2.0, 0.0]
    assert math.isnan(of(col("x").sqrt(), x=x)[2])
    assert of(col("x").ln(), x=x)[:2] == [math.log(4), -math.inf]
    assert of(col("x").log10(), x=[1000.0, None]) == [3.0, None]
    assert of(col("x").exp(), x=[1.0, 1e4, -math.inf]) == [math.e, math.inf, 0.0]
    assert of(col("x").sign(), x=[-2.5, 0.0, math.inf]) == [-1.0, 0.0, 1.0]
    assert of(col("n").sign(), n=[-7, 0, None]) == [-1, 0, None]
    assert of(col("n") ** 2, n=[3, None]) == [9.0, None]
    assert of(2 ** col("n"), n=[-1, 1024]) == [0.5, math.inf]
    assert of(col("x") ** 0.5, x=[2.25, 0.0]) == [1.5, 0.0]
    kinds = {"delay": "float64", "distance": "float64"}
    assert [type_of(col(name).sqrt()) for name in kinds] == list(kinds.values())
    assert type_of(col("distance").cast("float32") ** 2) == "float32"


def test_greatest_and_least_go_by_the_order_of_comparisons() -> None:
    a, b = [1, 5, None, -3], [2, 4, 7, None]
    assert of(greatest(col("a"), col("b"), 3), a=a, b=b) == [3, 5, None, None]
    assert of(least(col("a"), col("b")), a=a, b=b) == [1, 4, None, None]
    assert of(greatest(col("s"), "é", col("s") + "!"), s=["z", None, "ü"]) == ["é", None, "ü!"]
    floats = of(least(col("x"), 1.0), x=[math.nan, 2.0, -math.inf])
    assert [repr(v) for v in floats] == ["nan", "1.0", "-inf"]
    assert math.isnan(of(greatest(1.0, col("x")), x=[math.nan])[0])
    encoded = pa.array(["b", "a", None]).dictionary_encode()
    assert of(greatest(col("s"), "aa"), s=encoded) == ["b", "aa", None]
    assert of(greatest(col("a")), a=a) == a
    assert of(least(col("d"), Decimal("1.5")), d=decimals("1.49", "2")) == [
        Decimal("1.49"),
        Decimal("1.50"),
    ]
    assert run(greatest(col("cancelled"), True))[:3] == [True, True, None]
    for kind in ("float64", "float32"):
        for a, b in ((-0.0, 0.0), (0.0, -0.0), (0, -0.0)):
            zeros = {"x": [a, a, None], "y": [b, -1.0, b]}
            x, y = col("x").cast(kind), col("y").cast(kind)
            assert [repr(v) for v in of(greatest(x, y), **zeros)] == ["0.0", repr(float(a)), "None"]
            assert [repr(v) for v in of(least(x, y), **zeros)] == ["-0.0", "-1.0", "None"]


# -- decimals -------------------------------------------------------------------------------------


def test_decimals_compute_exactly() -> None:
    d, e = decimals("1.50", "-0.01", None), decimals("0.333", "2", "1", kind=(5, 3))
    assert of(col("d") + col("e"), d=d, e=e) == [Decimal("1.833"), Decimal("1.990"), None]
    assert of(col("d") - 1, d=d) == [Decimal("0.50"), Decimal("-1.01"), None]
    assert of(col("d") * col("e"), d=d, e=e) == [Decimal("0.49950"), Decimal("-0.02000"), None]
    assert of(-col("d"), d=d)[:2] == [Decimal("-1.50"), Decimal("0.01")]
    assert of(abs(col("d")), d=d)[1] == Decimal("0.01")
    assert of(Decimal("0.1") + col("d"), d=d)[0] == Decimal("1.60")
    assert run(col("price") * col("delay").cast("int8"), one_row())[0] == Decimal("3.00")


def one_row() -> RecordBatch:
    batch = pa.record_batch({"price": decimals("1.50", kind=(3, 2)), "delay": pa.array([2])})
    return RecordBatch.from_arrow(batch)[0]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (col("price") + col("price"), "decimal128(4, 2)"),
        (col("price") + col("delay"), "decimal128(22, 2)"),
        (col("price") + 10, "decimal128(5, 2)"),
        (col("price") * Decimal("0.125"), "decimal128(6, 5)"),
        (col("price") / 3, "decimal128(7, 6)"),
        (col("price") / col("delay"), "decimal128(23, 22)"),
        (col("price").cast("decimal128(38, 10)") / col("price"), "decimal128(38, 8)"),
        (col("price").cast("decimal128(38, 2)") + 1, "decimal128(38, 2)"),
        (-col("price"), "decimal128(3, 2)"),
    ],
)
def test_types_of_decimals_are_those_of_sql(expression: Expression, expected: str) -> None:
    assert type_of(expression) == expected


def test_quotients_of_decimals_are_rounded_away_from_zero() -> None:
    third = of(col("d") / 3, d=decimals("1.00", "-2.00", "0"))
    assert third == [Decimal("0.333333"), Decimal("-0.666667"), Decimal("0.000000")]
    half = of(col("d") / col("e"), d=decimals("1", kind=(1, 0)), e=decimals("8", kind=(1, 0)))
    assert half == [Decimal("0.125000")]
    with pytest.raises(OperatorError, match=r"division of 1\.50 by zero in price / 0 at row 0"):
        run(col("price") / 0)
    nines = decimals("9" * 38, kind=(38, 0))
    assert of(col("d") / col("d"), d=nines) == [Decimal("1.000000")]
    with pytest.raises(OperatorError, match="decimal overflow"):
        of(col("d") / Decimal("0.1"), d=nines)


def test_a_quotient_that_does_not_fit_is_an_error_also_where_it_has_far_more_digits() -> None:
    over = decimals("0.0001", kind=(10, 4))
    for number in range(1, 100):
        large = decimals(f"{number * 704}{'0' * 27}", kind=(38, 2))
        with pytest.raises(OperatorError, match="decimal overflow"):
            of(col("d") / col("e"), d=large, e=over)
    fits = decimals("-9" + "9" * 25, kind=(38, 2))
    quotient = of(col("d") / col("e"), d=fits, e=decimals("0.0001", kind=(10, 4)))
    assert quotient == [Decimal("-9" + "9" * 25 + "0000.000000")]


def test_a_result_that_does_not_fit_is_an_error() -> None:
    nines = decimals("9" * 38, None, kind=(38, 0))
    for expression in (col("d") + 1, col("d") * 2, -1 - col("d"), col("d") - Decimal("-0.1")):
        with pytest.raises(OperatorError, match=r"decimal overflow: .* does not fit decimal128"):
            of(expression, d=nines)
    assert of(col("d") + 0 - 1, d=nines) == [Decimal("9" * 37 + "8"), None]


def test_casts_to_decimals() -> None:
    cast = col("x").cast("decimal128(5, 2)")
    assert of(cast, x=[2.675, -0.005, 999.99, None]) == [
        Decimal("2.68"),
        Decimal("-0.01"),
        Decimal("999.99"),
        None,
    ]
    assert of(cast, x=["1.005", "-2e1", ".5"]) == [Decimal(v) for v in ("1.01", "-20.00", "0.50")]
    assert of(cast, x=[7, -999]) == [Decimal("7.00"), Decimal("-999.00")]
    assert of(cast, x=decimals("1.2345", "-1.2350", kind=(9, 4))) == [
        Decimal("1.23"),
        Decimal("-1.24"),
    ]
    attempt = col("x").try_cast("decimal128(5, 2)")
    assert of(attempt, x=[1000.0, math.nan, math.inf, 999.995]) == [None] * 4
    assert of(attempt, x=["+1", "1e", "", "1 ", "e5", "1e999999999999"]) == [None] * 6
    assert of(attempt, x=["1e-999999999999"]) in ([None], [Decimal("0.00")])
    with pytest.raises(OperatorError, match=r"1000\.0 does not fit decimal128\(5, 2\) in x.cast"):
        of(cast, x=[1000.0])
    with pytest.raises(OperatorError, match=r"'many' does not fit decimal128\(5, 2\)"):
        of(cast, x=["many"])
    assert run(lit("1.5").cast("decimal128(3, 1)") * 2)[0] == Decimal("3.0")


# -- hashes ---------------------------------------------------------------------------------------


def test_hashes_are_those_of_xxh64() -> None:
    # From the specification's reference implementation.
    assert xxhash64(b"") == 0xEF46DB3751D8E999
    assert xxhash64(b"a") == 0xD24EC4F1A98C6E5B
    assert xxhash64(b"abc") == 0x44BC2CF5AD770999
    texts = ["", "a", "abc", "é" * 20, "x" * 31, "x" * 32, "y" * 1000, None]
    expected = [t if t is None else xxhash64(t.encode()) for t in texts]
    assert of(col("s").hash(), s=texts) == expected
    assert of(col("s").hash(), s=pa.array(texts * 3).dictionary_encode()) == expected * 3
    assert of(col("s").cast("binary").hash(), s=texts) == expected
    assert type_of(col("carrier").hash() % 16) == "uint64"


def test_equal_values_have_equal_hashes() -> None:
    n = pa.array([5, -1], pa.int8())
    for kind in ("int16", "int32", "int64"):
        assert of(col("n").cast(kind).hash(), n=n) == of(col("n").hash(), n=n)
    assert of(col("n").hash(), n=[5])[0] == xxhash64((5).to_bytes(8, "little"))
    zeros = of(col("x").hash(), x=[0.0, -0.0, math.nan, -math.nan])
    assert zeros[0] == zeros[1]
    assert zeros[2] == zeros[3]
    t = pa.array([-5], pa.timestamp("s"))
    for kind in ("timestamp[ms]", "timestamp[ns]", "timestamp[us, UTC]"):
        assert of(col("t").cast(kind).hash(), t=t) == of(col("t").hash(), t=t)
    d = decimals("1.50", "-100.00", "0")
    for kind in ("decimal128(38, 10)", "decimal128(10, 2)"):
        assert of(col("d").cast(kind).hash(), d=d) == of(col("d").hash(), d=d)
    assert len(set(of(col("n").hash(), n=range(1000)))) == 1000


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: col("x").round(16), ConfigError, "round got 16 digits. Pass a number from 0 to"),
        (lambda: col("x").round(1.0), TypeError, r"round got 1\.0 digits. Pass an int"),  # type: ignore[arg-type]
        (
            lambda: type_of(col("carrier").sqrt()),
            SchemaError,
            "sqrt takes integers and floats, but",
        ),
        (
            lambda: type_of(col("price").floor()),
            SchemaError,
            r"is decimal128\(3, 2\). Cast it to f",
        ),
        (lambda: type_of(col("delay") ** col("carrier")), SchemaError, "power takes integers and"),
        (lambda: type_of(col("delay") ** "x"), SchemaError, "'x' is not a float64"),
        (
            lambda: type_of(greatest(col("delay"), col("distance"))),
            SchemaError,
            "its values are of different types: delay is int64 and distance is float64",
        ),
        (lambda: type_of(least(col("delay"), "x")), SchemaError, "'x' is not a int64"),
        (lambda: greatest(col("delay"), None), TypeError, "greatest got None"),  # type: ignore[arg-type]
        (lambda: type_of(col("dellay").hash()), SchemaError, "did you mean 'delay'"),
        (
            lambda: type_of(col("price") + col("distance")),
            SchemaError,
            "takes decimals and integers, but distance is float64. Cast one side",
        ),
        (lambda: type_of(col("price") * 0.5), SchemaError, r"but 0\.5 is literal 0\.5"),
        (lambda: type_of(col("price") + "x"), SchemaError, "takes decimals and integers, but 'x'"),
        (lambda: type_of(col("price") % 2), NotSupportedError, "// and % of decimals are not supp"),
        (
            lambda: type_of(col("price").cast("decimal128(38, 30)") * Decimal("1e-9")),
            SchemaError,
            "has 39 digits behind the point, more than 38. Cast one side to a smaller scale",
        ),
        (lambda: type_of(col("blob").cast("decimal128(3, 1)")), SchemaError, "no cast from binary"),
    ],
)
def test_wrong_operands_are_refused_where_the_chain_is_built(
    make: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make()


def test_how_they_read() -> None:
    text = '(-(col("a").round(2) ** 2)) + greatest(col("b"), 0).hash()'
    assert repr(-(col("a").round(2) ** 2) + greatest(col("b"), 0).hash()) == text
