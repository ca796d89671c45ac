"""Functions of times that need more than an example: time zones, and formats."""

from __future__ import annotations

import struct
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from pystream._native import Array, RecordBatch
from pystream._native import Expression as Native
from pystream.engines.local.expressions import lower
from pystream.engines.local.zones import zone_table
from pystream.errors import ConfigError, OperatorError, SchemaError
from pystream.pipeline.expressions import Expression, col, lit
from tests.oracle import expressions as oracle
from tests.pipeline.expression_strategies import FORMATS, ZONES
from tests.pipeline.flights import BATCH, run, type_of

BERLIN = "Europe/Berlin"


def of(expression: Expression, ticks: list[int | None], unit: str = "s") -> Array:
    column = pa.array(ticks, pa.timestamp(unit))
    batch = RecordBatch.from_arrow(pa.record_batch({"t": column}))[0]
    return lower(expression.node).bind(batch.schema).evaluate(batch)


def ticks(array: Array) -> list[int | None]:
    values: list[int | None] = pa.array(array).cast(pa.int64()).to_pylist()
    return values


def texts(expression: Expression, values: list[str | None]) -> list[Any]:
    batch = RecordBatch.from_arrow(pa.record_batch({"s": pa.array(values, pa.string())}))[0]
    return run(expression, batch)


def stamp(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp())  # type: ignore[misc, arg-type]


# -- time zones -----------------------------------------------------------------------------------


def test_clocks_of_a_zone_are_turned() -> None:
    summer = stamp(2013, 3, 31, 1)
    assert of(col("t").at_zone(BERLIN), [summer - 1, summer, None]).to_pylist() == [
        datetime(2013, 3, 31, 1, 59, 59),
        datetime(2013, 3, 31, 3),
        None,
    ]
    assert ticks(of(col("t").at_zone(BERLIN).extract("hour"), [summer - 1, summer])) == [1, 3]
    assert type_of(col("scheduled").at_zone(BERLIN)) == "timestamp[ms]"
    assert type_of(col("scheduled").from_zone(BERLIN)) == "timestamp[ms, Europe/Berlin]"


def test_a_time_that_clocks_show_twice_or_never() -> None:
    twice, never = stamp(2013, 10, 27, 2, 30), stamp(2013, 3, 31, 2, 30)
    earliest = of(col("t").from_zone(BERLIN), [twice, never])
    assert ticks(earliest) == [stamp(2013, 10, 27, 0, 30), stamp(2013, 3, 31, 1, 30)]
    latest = of(col("t").from_zone(BERLIN, ambiguous="latest"), [twice, never])
    assert ticks(latest) == [stamp(2013, 10, 27, 1, 30), stamp(2013, 3, 31, 1, 30)]
    nulls = col("t").from_zone(BERLIN, ambiguous="null", nonexistent="null")
    assert ticks(of(nulls, [twice, never, 0])) == [None, None, -3600]
    with pytest.raises(OperatorError, match=r"shows the time 1382841000 twice in t\.from_zone"):
        of(col("t").from_zone(BERLIN, ambiguous="error"), [0, twice])
    with pytest.raises(OperatorError, match=r"1364697000 never .* at row 1\. Pass nonexistent="):
        of(col("t").from_zone(BERLIN, nonexistent="error"), [0, never])


def test_days_begin_at_the_midnight_of_the_zone() -> None:
    def days(*times: int, zone: str = BERLIN, every: str = "1d") -> list[int | None]:
        return ticks(of(col("t").truncate(every, zone=zone), list(times)))

    assert days(stamp(2013, 7, 1, 21, 59), stamp(2013, 7, 1, 22)) == [
        stamp(2013, 6, 30, 22),
        stamp(2013, 7, 1, 22),
    ]
    assert days(stamp(2013, 3, 31, 12), every="month") == [stamp(2013, 2, 28, 23)]
    # Both hours between two and three have their own beginning.
    assert days(stamp(2013, 10, 27, 0, 30), stamp(2013, 10, 27, 1, 30), every="1h") == [
        stamp(2013, 10, 27, 0),
        stamp(2013, 10, 27, 1),
    ]
    # In Sao Paulo that day had no midnight: it began at one o'clock.
    assert days(stamp(2013, 10, 20, 12), zone="America/Sao_Paulo") == [stamp(2013, 10, 20, 3)]


@pytest.mark.parametrize("zone", ZONES)
def test_every_transition_of_a_zone_is_as_in_zoneinfo(zone: str) -> None:
    words = struct.unpack(f"<{len(zone_table(zone)) // 8}q", zone_table(zone))
    found = [*words[3::2]]
    times = found[:300:7] + found[-12:] + [t + 146_097 * 86_400 * 3 for t in found[-900::60]]
    near = [t + shift for t in times for shift in (-90_000, -3600, -1, 0, 1799, 3600, 86_400)]
    near += [0, -(10**12), 10**12, -(2**55), 2**55]
    for expression in (
        col("t").at_zone(zone),
        col("t").from_zone(zone, nonexistent="null"),
        col("t").from_zone(zone, ambiguous="latest"),
        col("t").truncate("1h", zone=zone),
        col("t").truncate("1d", zone=zone),
    ):
        expected = [
            oracle.evaluate(expression.node, {"t": "timestamp[s]"}, {"t": time}).value
            for time in near
        ]
        assert ticks(of(expression, near)) == expected


def test_rules_go_on_for_ever() -> None:
    later = 10**6 * 146_097 * 86_400  # four hundred million years
    for winter, summer in ((stamp(2200, 1, 15), stamp(2200, 7, 15)), (later, later + 180 * 86_400)):
        assert ticks(of(col("t").at_zone(BERLIN), [winter, summer])) == [
            winter + 3600,
            summer + 7200,
        ]


def test_ends_of_the_range_are_errors_not_wrong_times() -> None:
    for end in (2**63 - 1, -(2**63)):
        zone = "Asia/Tokyo" if end > 0 else "America/New_York"
        with pytest.raises(OperatorError, match="does not fit timestamp"):
            of(col("t").at_zone(zone), [0, end], "ns")
        back = "America/New_York" if end > 0 else "Asia/Tokyo"
        with pytest.raises(OperatorError, match="does not fit timestamp"):
            of(col("t").from_zone(back), [0, end], "ns")


def test_the_core_refuses_a_table_that_is_none() -> None:
    column = Native.column("scheduled")
    always = struct.pack("<q", -(2**63))
    for table in (
        b"",
        bytes(24),
        bytes(8) + always + struct.pack("<q", 10**6),
        bytes(8) + always + bytes(8) + always + bytes(8),
        zone_table(BERLIN)[:-8],
    ):
        with pytest.raises(SchemaError, match="'Mars' is not a time zone"):
            Native.call("at_zone", [column, Native.zone("Mars", table)]).bind(BATCH.schema)


# -- formats --------------------------------------------------------------------------------------


def test_formats_are_those_of_strftime() -> None:
    moments = [datetime(2013, 1, 1, 0, 5, 9, 250_000), datetime(1969, 12, 31, 12), None]
    batch = RecordBatch.from_arrow(pa.record_batch({"t": pa.array(moments, pa.timestamp("us"))}))[0]
    for format in [*FORMATS, "", "%%", "100%% %d", "日%Y"]:
        expected = [moment and moment.strftime(format) for moment in moments]
        assert run(col("t").format(format), batch) == expected
    assert run(col("t").cast("date32").format("%d.%m.%Y"), batch)[1] == "31.12.1969"
    first = lit(-(2**63)).cast("timestamp[ns]").format("%Y-%m-%d %H:%M:%S.%f")
    assert run(first)[0] == "1677-09-21 00:12:43.145224"
    assert run(lit(-(2**40)).cast("timestamp[s]").format("%Y"))[0] == "-32873"


def test_texts_are_parsed_as_strptime_does() -> None:
    parse = col("s").parse("%d/%m/%Y %I:%M %p")
    assert texts(parse, ["31/12/2013  11:05 pm", "1/2/2013 12:00 AM", None]) == [
        datetime(2013, 12, 31, 23, 5),
        datetime(2013, 2, 1),
        None,
    ]
    assert texts(col("s").parse("%a %d %b %Y", "date32"), ["Tue 1 JAN 2013"]) == [date(2013, 1, 1)]
    zoned = col("s").parse("%Y-%m-%dT%H:%M:%S.%f%z", "timestamp[ns]")
    assert texts(zoned.cast("int64"), ["2013-01-01T05:00:00.123456789+0130"]) == [
        stamp(2013, 1, 1, 3, 30) * 10**9 + 123_456_789
    ]
    assert texts(col("s").parse("%y%j"), ["68366", "69001"])[0] == datetime(2068, 12, 31)
    assert texts(col("s").parse("%H"), ["7"]) == [datetime(1900, 1, 1, 7)]
    assert run(lit("1.2.2013").parse("%d.%m.%Y", "timestamp[s]"))[0] == datetime(2013, 2, 1)


@pytest.mark.parametrize(
    ("text", "format"),
    [
        ("2013-02-29", "%Y-%m-%d"),
        ("2013-13-01", "%Y-%m-%d"),
        ("2013-01-01x", "%Y-%m-%d"),
        ("2013-01-0", "%Y-%m-%d"),
        ("213-01-01", "%Y-%m-%d"),
        ("24:00", "%H:%M"),
        ("10:60", "%H:%M"),
        ("13 PM", "%I %p"),
        ("366 2013", "%j %Y"),
        ("Mo", "%A"),
        ("2013", "%Y "),
        ("2013 01:5", "%Y%z"),
        ("", "%d"),
    ],
)
def test_text_that_is_no_such_time(text: str, format: str) -> None:
    assert texts(col("s").try_parse(format), [text, None]) == [None, None]
    with pytest.raises(OperatorError, match=r"is not a timestamp\[us\] in s.parse.* at row 0"):
        texts(col("s").parse(format), [text])
    with pytest.raises(SchemaError, match="is not a timestamp"):
        run(lit(text).parse(format))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: col("t").at_zone("Mars"), ConfigError, "at_zone got the zone 'Mars', which"),
        (lambda: col("t").at_zone("../etc/passwd"), ConfigError, "zoneinfo does not know"),
        (lambda: col("t").truncate("1d", zone=1), ConfigError, "truncate got the zone 1"),  # type: ignore[arg-type]
        (lambda: col("t").from_zone(BERLIN, ambiguous="x"), ConfigError, "ambiguous='x'. Use one"),  # type: ignore[arg-type]
        (lambda: col("t").format(1), TypeError, "format got the format 1. Pass a str"),  # type: ignore[arg-type]
        (lambda: type_of(col("delay").at_zone(BERLIN)), SchemaError, "takes timestamps, but delay"),
        (
            lambda: type_of(col("scheduled").cast("date32").truncate("1d", zone=BERLIN)),
            SchemaError,
            r"is date32\. Cast it to a timestamp if its midnight is meant",
        ),
        (
            lambda: type_of(col("scheduled").from_zone(BERLIN).from_zone(BERLIN)),
            SchemaError,
            "which is an instant. Use it as it is",
        ),
        (lambda: type_of(col("scheduled").format("%Q")), ConfigError, "%Q is no directive here"),
        (lambda: type_of(col("scheduled").format("50%")), ConfigError, "a lone % is no directive"),
        (lambda: type_of(col("carrier").parse("%d %d")), ConfigError, "%d is there twice"),
        (lambda: type_of(col("carrier").parse("%G")), ConfigError, "%G is no directive here"),
        (lambda: type_of(col("carrier").parse("%d", "int64")), SchemaError, "not int64"),
        (lambda: type_of(col("carrier").parse("%d", "tomorrow")), ConfigError, "not a column type"),
        (lambda: type_of(col("delay").parse("%d")), SchemaError, "parse takes string, but delay"),
        (lambda: type_of(col("delay").format("%d")), SchemaError, "takes timestamps and dates"),
    ],
)
def test_wrong_zones_and_formats_are_refused_where_the_chain_is_built(
    make: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make()


def test_how_zones_and_formats_read() -> None:
    text = 'col("ts").truncate("1d", "Europe/Berlin").at_zone("UTC").format("%H")'
    expression = col("ts").truncate(timedelta(days=1), zone=BERLIN).at_zone("UTC").format("%H")
    assert repr(expression) == text
