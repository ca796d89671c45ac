"""Functions of strings and times, choices, and casts that give null."""

from __future__ import annotations

import math
from datetime import date, datetime
from typing import get_args

import pyarrow as pa
import pytest

from pystream._native import RecordBatch
from pystream.engines.local.expressions import lower
from pystream.errors import OperatorError, SchemaError
from pystream.pipeline.aggregates import count
from pystream.pipeline.case import coalesce, when
from pystream.pipeline.environment import Environment
from pystream.pipeline.expressions import col, lit
from pystream.pipeline.time_functions import TimePart
from pystream.pipeline.watermarks import WatermarkStrategy
from pystream.pipeline.windows import tumbling
from tests.pipeline.flights import BATCH, run, type_of


def test_strings_count_characters() -> None:
    assert run(col("carrier").length()) == [2, 2, None, 2, 2]
    assert run(lit("aé日𝄞").length())[0] == 4
    assert run(lit("aé日𝄞").substring(1, 2))[0] == "é日"
    assert run(lit("aé日𝄞").substring(-3, 2))[0] == "é日"
    assert run(lit("aé日𝄞").substring(-9, 2))[0] == "aé"
    assert run(lit("aé日𝄞").substring(4))[0] == ""
    assert run(lit("aé日𝄞").substring(-(2**63), 2**63 - 1))[0] == "aé日𝄞"
    assert run(lit("\u3000 a b\n").strip())[0] == "a b"
    assert run(lit(" a ").lstrip() + "|" + lit(" a ").rstrip())[0] == "a | a"


def test_strings_join_and_are_searched() -> None:
    assert run(col("carrier") + "!") == ["UA!", "AA!", None, "B6!", "UA!"]
    assert run("<" + col("carrier").substring(1)) == ["<A", "<A", None, "<6", "<A"]
    assert run(col("carrier") + col("carrier").substring(0, 1))[:3] == ["UAU", "AAA", None]
    assert run(col("carrier") + lit(None)) == [None] * 5
    assert run(col("carrier").contains("A")) == [True, True, None, False, True]
    assert run(col("carrier").starts_with("")) == [True, True, None, True, True]
    assert run(col("carrier").ends_with(col("carrier").substring(1)))[:3] == [True, True, None]
    assert run(lit("UA, AA").contains(col("carrier"))) == [True, True, None, False, True]
    assert run(lit(None).length()) == [None] * 5


def test_strings_of_an_encoded_column_stay_encoded() -> None:
    encoded = col("carrier").cast("dictionary<string>")
    for part in (encoded.substring(0, 1), encoded + "", encoded.strip()):
        array = lower(part.node).bind(BATCH.schema).evaluate(BATCH)
        assert str(array.type) == "string"
        assert array.to_pylist() == run(part)
        assert run(part == "U") == run(part.isin(["U"]))
    assert run(encoded.length()) == [2, 2, None, 2, 2]
    nulls = RecordBatch.from_arrow(
        pa.record_batch({"s": pa.array([None] * 3, pa.string()).dictionary_encode()})
    )[0]
    for none in (col("s").length(), col("s") + "x", col("s").strip(), col("s").contains("")):
        assert run(none, nulls) == [None] * 3


def test_when_takes_the_first_condition_that_is_true() -> None:
    late = when(col("delay") > 60).then("late").when(col("delay") > 0).then("soon")
    assert run(late) == ["soon", None, None, "late", "late"]
    assert run(late.otherwise("on time")) == ["soon", "on time", "on time", "late", "late"]
    assert type_of(late) == "string"
    assert run(when(col("cancelled")).then(0).otherwise(col("delay")))[:4] == [0, None, -3, 120]
    assert run(when(col("distance") > 0).then(1.5).otherwise(1)) == [1.5, 1.0, 1.0, 1.0, 1.0]
    assert repr(when(col("n") > 0).then(1).when(col("n") < 0)) == (
        'when(col("n") > 0).then(1).when(col("n") < 0)'
    )


def test_a_part_cannot_fail_in_rows_that_do_not_come_to_it() -> None:
    zero = BATCH.select([1]).slice(0, 3)
    minus = col("delay") + 3
    assert run(when(minus != 0).then(10 // minus).otherwise(-1), zero) == [2, -1, -1]
    assert run(when(minus == 0).then(0).when(10 // minus > 1).then(1), zero) == [1, None, 0]
    # Neither may a part without nulls, nor one of literals alone.
    filled = minus.fill_null(0)
    assert run(when(filled != 0).then(10 // filled), zero) == [2, None, None]
    assert run(when(lit(False)).then(lit(1) // lit(0)).otherwise(2), zero) == [2, 2, 2]
    assert run(coalesce(col("delay"), lit(1) // (col("delay").fill_null(1))), zero) == [2, 1, -3]


def test_a_part_that_fails_names_the_row_of_the_batch() -> None:
    inner = when(col("distance").is_null()).then(1 // (col("delay") + 3)).otherwise(0)
    with pytest.raises(OperatorError, match=r"in 1 // \(delay \+ 3\) at row 2") as caught:
        run(when(col("delay") < 1000).then(inner).otherwise(0))
    assert caught.value.row == 2


def test_coalesce_and_null_if() -> None:
    assert run(coalesce(col("delay"), 7))[:3] == [2, 7, -3]
    assert run(coalesce(col("distance").null_if(0.0), col("delay").cast("float64"), 9)) == [
        100.0,
        9.0,
        -3.0,
        pytest.approx(math.nan, nan_ok=True),
        -0.5,
    ]
    assert run(col("carrier").null_if("UA")) == [None, "AA", None, "B6", None]
    assert run(col("delay").null_if(2.0))[:3] == [None, None, -3]
    assert run(col("carrier").null_if(col("carrier"))) == [None] * 5
    assert run(col("delay").null_if(lit(None)))[:3] == [2, None, -3]
    assert run(coalesce(lit(None), lit(None), 1)) == [1] * 5


def test_choices_keep_a_declared_dictionary() -> None:
    encoded = col("carrier").cast("dictionary<string>")
    chosen = when(col("cancelled")).then(encoded).otherwise(col("carrier") + "!")
    assert type_of(chosen) == "dictionary<string>"
    assert run(chosen) == ["UA", "AA!", None, "B6!", "UA"]
    array = lower(coalesce(encoded, "?").node).bind(BATCH.schema).evaluate(BATCH)
    assert pa.array(array).to_pylist() == ["UA", "AA", "?", "B6", "UA"]


def test_try_cast_gives_null_where_cast_fails() -> None:
    assert run(col("distance").try_cast("int8")) == [100, 0, None, None, 0]
    assert run(col("delay").try_cast("uint8")) == [2, None, None, 120, None]
    assert run(col("carrier").substring(1).try_cast("int32")) == [None, None, None, 6, None]
    assert run((col("delay").cast("string") + "").try_cast("date32")) == [None] * 5
    assert run(col("blob").try_cast("string")) == ["UA", None, None, "", "\x00"]
    assert run(col("price").cast("string").try_cast("bool")) == [None] * 5
    assert run(col("price").try_cast("uint8")) == [1, None, None, 0, 9]
    assert run(lit("1 ").try_cast("int8")) == [None] * 5
    assert run(lit(300).try_cast("int8")) == [None] * 5
    assert run(lit("2013-02-30").try_cast("date32")) == [None] * 5
    assert col("a").try_cast("int8").name == "a"


def test_parts_of_times_before_1970_and_far_away() -> None:
    before = lit("1969-12-29T23:59:58.001002003Z").cast("timestamp[ns]")
    expected = {
        "year": 1969,
        "quarter": 4,
        "month": 12,
        "day": 29,
        "day_of_week": 1,
        "day_of_year": 363,
        "week": 1,
        "iso_year": 1970,
        "hour": 23,
        "minute": 59,
        "second": 58,
        "millisecond": 1,
        "microsecond": 1002,
        "nanosecond": 1002003,
        "epoch": -172802,
    }
    assert set(expected) == set(get_args(TimePart))
    assert {part: run(before.extract(part))[0] for part in expected} == expected  # type: ignore[arg-type]
    assert run(col("scheduled").extract("second")) == [0, 59, 59, None, 0]
    assert run(col("scheduled").cast("date32").extract("hour")) == [0, 0, 0, None, 0]
    first, last = lit(-(2**63)).cast("timestamp[s]"), lit(2**31 - 1).cast("int32").cast("date32")
    assert run(first.extract("year"))[0] == -292277022657
    assert run(first.extract("nanosecond"))[0] == 0
    assert run(lit(-(2**63)).cast("timestamp[ns]").extract("nanosecond"))[0] == 145224192
    assert run(last.extract("year"))[0] == 5881580
    assert run(last.extract("epoch"))[0] == (2**31 - 1) * 86400


def test_truncate_to_a_unit_of_the_calendar() -> None:
    before = lit("1969-12-31T23:00:00.5").cast("timestamp[ms]")
    firsts = {"week": (1969, 12, 29), "month": (1969, 12, 1), "quarter": (1969, 10, 1)}
    for unit, first in {**firsts, "year": (1969, 1, 1)}.items():
        assert run(before.truncate(unit))[0] == datetime(*first)
        assert run(before.cast("date32").truncate(unit))[0] == date(*first)
    with pytest.raises(OperatorError, match="the multiple below -9223372036854775808 does not fit"):
        run((col("delay") * 0 + (-(2**63))).cast("timestamp[ns]").truncate("week"))
    with pytest.raises(SchemaError, match="'month' is not a duration"):
        run((col("scheduled") - "1970-01-01").truncate("month"))


def test_equal_entries_of_a_dictionary_are_one_key() -> None:
    flights = pa.table(
        {
            "flight": pa.array(["UA1", "UA2", "AA1", None, "UA1"]).dictionary_encode(),
            "ts": pa.array(range(5), pa.timestamp("ms")),
        }
    )
    watermark = WatermarkStrategy.for_bounded_out_of_orderness("0s", timestamp="ts")
    stream = Environment().from_arrow(flights, watermark=watermark)
    kind = when(col("flight") == "AA1").then("x").when(col("flight") == "UA2").then("y")
    keyed = stream.with_columns(carrier=col("flight").substring(0, 2), kind=kind.otherwise("x"))
    for key, expected in (
        ("carrier", [("AA", 1), ("UA", 3), (None, 1)]),
        ("kind", [("x", 4), ("y", 1)]),
    ):
        counted = keyed.key_by(key).window(tumbling("1s")).aggregate(n=count()).to_arrow()
        rows = [(row[key], row["n"]) for row in counted.to_pylist()]
        assert sorted(rows, key=str) == sorted(expected, key=str)
