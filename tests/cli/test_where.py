"""Conditions of --where: which rows they keep, and what they say of mistakes."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import numpy as np
import pytest

import pystream as ps
from pystream._native import DataType
from pystream.cli.where import parse_condition, parse_value
from pystream.engines.local.expressions import lower
from pystream.errors import ConfigError
from pystream.log.schema import to_schema

SCHEMA = to_schema(
    {
        "n": "int64",
        "x": "float64",
        "f": "float32",
        "user": "string",
        "ok": "bool",
        "d": "decimal128(10, 2)",
        "at": "timestamp[ms]",
        "zoned": "timestamp[us, UTC]",
        "day": "date32",
        "took": "duration[ms]",
        "b": "binary",
        "odd name": "int8",
    }
)
START = datetime.datetime(2024, 1, 1)
ROWS: list[dict[str, Any]] = [
    {
        "n": n,
        "x": n / 2,
        "f": n / 10,
        "user": ["ann", "bob", "o'neil and co"][n % 3],
        "ok": n % 2 == 0,
        "d": decimal.Decimal(n),
        "at": START + datetime.timedelta(hours=n),
        "zoned": (START + datetime.timedelta(hours=n)).replace(tzinfo=datetime.UTC),
        "day": datetime.date(2024, 1, 1 + n),
        "took": datetime.timedelta(seconds=n),
        "b": b"x%d" % n,
        "odd name": n,
    }
    for n in range(6)
]
ROWS.append(dict.fromkeys(SCHEMA.names))


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with ps.open(tmp_path_factory.mktemp("where") / "data") as log:
        log.create_topic("t", SCHEMA)
        with log.producer() as producer:
            producer.send_batch("t", ROWS)
        with log.consumer("t", auto_offset_reset="earliest") as consumer:
            return next(consumer.batches()).to_native()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("3.4028235e+38", float(np.finfo(np.float32).max)),
        ("-3.4028235e38", -float(np.finfo(np.float32).max)),
        ("3.4028236e38", 3.4028236e38),
        ("16777217", 16777217.0),
        ("16777217.0", 16777216.0),
        ("-1e-50", -1e-50),
        ("-inf", -np.inf),
    ],
)
def test_float32_is_read_as_one_where_there_is_such_a_one(text: str, wanted: float) -> None:
    assert parse_value(text, DataType("float32")) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("n = 2", {2}),
        ("n == 2", {2}),
        ("n != 2", {0, 1, 3, 4, 5}),
        ("n <> 2 and n < 4", {0, 1, 3}),
        ("n>=4", {4, 5}),
        ("n > -1 and not n > 3", {0, 1, 2, 3}),
        ("n = 1 or n = 2 and ok", {1, 2}),
        ("(n = 1 or n = 2) AND ok", {2}),
        ("x <= 0.5", {0, 1}),
        ("f = 0.1", {1}),
        ("f <= 0.2 and f != 0.1", {0, 2}),
        ("f in (0.1, 0.3)", {1, 3}),
        ("f < 1e300", {0, 1, 2, 3, 4, 5}),
        ("f >= -inf", {0, 1, 2, 3, 4, 5}),
        ("f >= 1e-50", {1, 2, 3, 4, 5}),
        ("user = ann", {0, 3}),
        ("user = 'o''neil and co'", {2, 5}),
        ("user in (ann, bob)", {0, 1, 3, 4}),
        ("user not in (ann, bob)", {2, 5}),
        ("user ~ ^[ab]", {0, 1, 3, 4}),
        ("user contains nei", {2, 5}),
        ("ok", {0, 2, 4}),
        ("ok = false", {1, 3, 5}),
        ("not ok", {1, 3, 5}),
        ("n is null", {6}),
        ("n is not null and n < 1", {0}),
        ("d = 3.00", {3}),
        ("d > 4.5", {5}),
        ("at >= 2024-01-01T04:00:00", {4, 5}),
        ("at = '2024-01-01 01:00'", {1}),
        ("at > 2024-01-01T02:59:59.999999999", {3, 4, 5}),
        ("at < '2024-01-01T03:00:00,5'", {0, 1, 2, 3}),
        ("zoned < 2024-01-01T02:00:00+01:00", {0}),
        ("zoned = 2024-01-01T02:00:00Z", {2}),
        ("day = 2024-01-02", {1}),
        ("took > 3500ms", {4, 5}),
        ("b = x3", {3}),
        ('"odd name" = 5', {5}),
        ("`odd name` in (1,2)", {1, 2}),
        (98 * "(" + "not ok" + 98 * ")", {1, 3, 5}),
        (" or ".join(200 * ["(n = 2)"]), {2}),
    ],
)
def test_condition_keeps_the_rows_it_is_true_for(batch: Any, text: str, wanted: set[int]) -> None:
    condition = parse_condition(text, SCHEMA)
    values = lower(condition.expression.node).bind(SCHEMA).evaluate(batch).to_pylist()
    assert {row for row, value in enumerate(values) if value} == wanted


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "at the end: a column is expected"),
        ("m = 1", "at character 1: there is no column 'm'; the columns are n, x,"),
        ("n", "a comparison is expected behind n"),
        ("n =", "at the end: a value is expected"),
        ("n = one", "at character 5: 'one' is no int64"),
        ("n = 1.5", "'1.5' is no int64"),
        ("ok = yes", "'yes' is no bool"),
        ("at = noon", "'noon' is no timestamp[ms]"),
        ("took > 3", "'3' is no duration[ms]"),
        ("n = null", "write is null"),
        ("n is 3", "null is expected behind is"),
        ("n in 3", "( is expected"),
        ("n in (3", "a comma or ) is expected"),
        ("(n = 3", "a parenthesis is not closed"),
        ("n = 3 n = 4", "at character 7: 'n' is not expected"),
        ("n not 3", "in is expected behind not"),
        ("user = 'ann", "at character 8: this cannot be read"),
        ("and = 3", "a column is expected"),
        (100 * "(" + "n = 3" + 100 * ")", "at character 101: more than 100 parentheses and nots"),
        (5000 * "not " + "ok", "more than 100 parentheses and nots are nested"),
    ],
)
def test_mistake_is_named_with_its_place(text: str, part: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_condition(text, SCHEMA)
    assert part in str(raised.value)
    assert "Write conditions such as" in str(raised.value)
