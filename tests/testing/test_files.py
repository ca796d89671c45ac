"""Reading and writing cases: what a malformed file is told, and that nothing is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pystream.errors import ConfigError, SchemaError
from pystream.testing import (
    Case,
    InputRow,
    PaneRow,
    Spec,
    TriggerSpec,
    WindowSpec,
    load_case,
    save_case,
)
from pystream.testing.csv_lines import join_line, split_line

SPEC: dict[str, Any] = {"format_version": 1, "window": {"kind": "tumbling", "size_ms": 10}}
INPUT = "ts_ms,key,value\n1,a,5\n12,,\n3,a,7\n"
HEADER = "kind,key,window_start,window_end,pane,count,count_nonnull,sum,min,max,row\n"
EXPECTED = HEADER + "pane,a,0,10,0,1,1,5,5,5,\npane,,10,20,0,1,0,,,,\nlate,,,,,,,,,,2\n"


def write(
    directory: Path, spec: object = SPEC, rows: str = INPUT, expected: str = EXPECTED
) -> Path:
    text = spec if isinstance(spec, str) else json.dumps(spec)
    (directory / "one.spec.json").write_text(text)
    (directory / "one.input.csv").write_text(rows)
    (directory / "one.expected.csv").write_text(expected)
    return directory / "one"


def test_case_is_read_by_its_name_or_by_any_of_its_files(tmp_path: Path) -> None:
    case = load_case(write(tmp_path))
    assert case == Case(
        "one",
        Spec(WindowSpec("tumbling", size_ms=10)),
        (InputRow(1, "a", 5), InputRow(12, None, None), InputRow(3, "a", 7)),
        (
            PaneRow("a", 0, 10, count=1, count_nonnull=1, sum=5, min=5, max=5),
            PaneRow(None, 10, 20, count=1, count_nonnull=0),
        ),
        (2,),
    )
    for ending in ("spec.json", "input.csv", "expected.csv"):
        assert load_case(str(tmp_path / f"one.{ending}")) == case


def test_missing_file_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "one.input.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"one\.input\.csv"):
        load_case(tmp_path / "one")


WINDOWS = [
    WindowSpec("tumbling", size_ms=10, offset_ms=-3),
    WindowSpec("hopping", size_ms=10, slide_ms=4),
    WindowSpec("cumulate", size_ms=12, step_ms=4, offset_ms=3),
    WindowSpec("session", gap_ms=5),
    WindowSpec("count", size=3),
    WindowSpec("count", size=3, slide=1),
    WindowSpec("global"),
]
TRIGGERS = [
    TriggerSpec(),
    TriggerSpec("on_update"),
    TriggerSpec("count", every=2),
    TriggerSpec("time", every_ms=5),
]


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("trigger", TRIGGERS, ids=str)
def test_every_kind_of_window_and_trigger_has_its_place(
    tmp_path: Path, window: WindowSpec, trigger: TriggerSpec
) -> None:
    bounds = (0, 10) if window.has_time else (None, None)
    case = Case(
        "any",
        Spec(
            window,
            watermark_delay_ms=2,
            allowed_lateness_ms=4 if window.has_time else 0,
            trigger=trigger,
            accumulation="discarding",
            partitions=2,
            end_of_input=False,
            description="ä",
        ),
        (InputRow(-1, 'an "odd", key', 2**63 - 1, 1), InputRow(-(2**63), "", None)),
        (PaneRow("", *bounds, pane=1, count=3, count_nonnull=0),),
        (),
    )
    save_case(case, tmp_path)
    assert load_case(tmp_path / "any") == case


@given(st.lists(st.none() | st.text(st.characters(exclude_characters="\r\n")), min_size=1))
def test_line_gives_back_its_fields(values: list[str | None]) -> None:
    assert split_line(join_line(values)) == values


def test_key_with_a_line_break_cannot_be_written(tmp_path: Path) -> None:
    spec = Spec(WindowSpec("tumbling", size_ms=10))
    with pytest.raises(SchemaError, match="holds a line break"):
        save_case(Case("broken", spec, (InputRow(1, "a\nb", 1),), (), ()), tmp_path)


def test_windows_line_ends_are_accepted(tmp_path: Path) -> None:
    case = load_case(write(tmp_path))
    (tmp_path / "one.input.csv").write_bytes(INPUT.replace("\n", "\r\n").encode())
    assert load_case(tmp_path / "one") == case


TUMBLING = {"kind": "tumbling", "size_ms": 10}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{\n  'window'", "line 2: Expecting property name"),
        ("[]", "the spec is .*JSON object"),
        ('{"format_version": 1, "partitions": 1, "partitions": 2}', '"partitions" is given twice'),
        ({"window": TUMBLING}, "format_version is None, but only 1 can be read"),
        ({**SPEC, "format_version": 2}, "format_version is 2"),
        ({"format_version": 1}, "has no window"),
        ({**SPEC, "delay_ms": 1}, "the spec has no delay_ms. Its settings are .*watermark_delay"),
        ({**SPEC, "window": 10}, "window is 10. Write a JSON object"),
        ({**SPEC, "window": {"size_ms": 10}}, "window has no kind"),
        ({**SPEC, "window": {"kind": "sliding"}}, "window.kind is 'sliding'. .*\"hopping\""),
        ({**SPEC, "window": {"kind": "tumbling"}}, 'window of kind "tumbling" has no size_ms'),
        ({**SPEC, "window": {**TUMBLING, "size_ms": None}}, "window.size_ms is null"),
        ({**SPEC, "window": {**TUMBLING, "size_ms": 0}}, "window.size_ms is 0. .* from 1"),
        ({**SPEC, "window": {**TUMBLING, "size_ms": 1.5}}, "window.size_ms is 1.5"),
        ({**SPEC, "window": {**TUMBLING, "size_ms": True}}, "window.size_ms is True"),
        ({**SPEC, "window": {**TUMBLING, "gap_ms": 1}}, "has no gap_ms"),
        ({**SPEC, "window": {**TUMBLING, "gap": 1}}, "window has no gap"),
        ({**SPEC, "window": {**TUMBLING, "offset_ms": -10}}, "windows repeat every 10 ms"),
        (
            {**SPEC, "window": {"kind": "count", "size": 4, "slide": 5}},
            "window.slide is 5, larger than window.size 4",
        ),
        (
            {**SPEC, "window": {"kind": "cumulate", "size_ms": 10, "step_ms": 4}},
            "window.step_ms is 4, which does not divide window.size_ms 10",
        ),
        (
            {**SPEC, "window": {"kind": "global"}, "allowed_lateness_ms": 1},
            'of kind "global" knows no lateness',
        ),
        ({**SPEC, "watermark_delay_ms": -1}, "watermark_delay_ms is -1"),
        ({**SPEC, "partitions": 0}, "partitions is 0"),
        ({**SPEC, "end_of_input": 1}, "end_of_input is 1. Write true or false"),
        ({**SPEC, "description": None}, "description is None"),
        ({**SPEC, "accumulation": "both"}, "accumulation is 'both'.*\"discarding\""),
        ({**SPEC, "trigger": {"kind": "count"}}, 'trigger of kind "count" has no every'),
        ({**SPEC, "trigger": {"kind": "on_close", "every": 2}}, "has no every"),
        ({**SPEC, "trigger": {"kind": "time", "every_ms": 0}}, "trigger.every_ms is 0"),
    ],
)
def test_malformed_spec_is_refused(tmp_path: Path, spec: object, message: str) -> None:
    with pytest.raises(ConfigError, match=f"one.spec.json: .*{message}"):
        load_case(write(tmp_path, spec))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", "line 1: the header is ''. Write 'ts_ms,key,value' or 'ts_ms,key,value,partition'"),
        ("ts,key,value\n", "line 1: the header is 'ts,key,value'"),
        ("ts_ms,key,value\n1,a\n", "line 2: there are 2 fields, but the header has 3"),
        ("ts_ms,key,value\n1,a,1\n\n", "line 3: there are 1 fields"),
        ('ts_ms,key,value\n1,a"b,1\n', "line 2: field 2 of .* quote in the wrong place"),
        ("ts_ms,key,value\n,a,1\n", "line 2: ts_ms is nothing. Write a whole number"),
        ("ts_ms,key,value\n1.5,a,1\n", "line 2: ts_ms is '1.5'"),
        ("ts_ms,key,value\n1,a,x\n", "line 2: value is 'x'"),
        ("ts_ms,key,value\n1,a,9223372036854775808\n", "line 2: value .* fits int64"),
        ("ts_ms,key,value,partition\n1,a,1,1\n", "line 2: partition is '1'. Write one below 1"),
    ],
)
def test_malformed_input_is_refused(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(SchemaError, match=f"one.input.csv: {message}"):
        load_case(write(tmp_path, rows=rows))


def test_several_partitions_need_their_column(tmp_path: Path) -> None:
    spec = {**SPEC, "partitions": 2}
    with pytest.raises(SchemaError, match="Write 'ts_ms,key,value,partition'"):
        load_case(write(tmp_path, spec))
    with pytest.raises(SchemaError, match="line 2: partition is nothing"):
        load_case(write(tmp_path, spec, "ts_ms,key,value,partition\n1,a,1,\n"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("pain,a,0,10,0,1,1,5,5,5,", "kind is 'pain'. Write pane or late"),
        ("pane,a,10,10,0,1,1,5,5,5,", "window_end is '10'. Write a time after window_start"),
        ("pane,a,,,0,1,1,5,5,5,", "window_end is nothing"),
        ("pane,a,0,10,,1,1,5,5,5,", "pane is nothing"),
        ("pane,a,0,10,0,0,0,,,,", "count is '0'. Write a whole number from 1"),
        ("pane,a,0,10,0,1,2,5,5,5,", "count_nonnull is '2'. Write at most the count 1"),
        ("pane,a,0,10,0,1,0,5,,,", "sum is '5'. Write nothing"),
        ("pane,a,0,10,0,1,1,5,,5,", "min is nothing. Write a number"),
        ("pane,a,0,10,0,1,1,5,5,5,1", "row is '1'. Write nothing in a row of kind pane"),
        ("late,a,,,,,,,,,1", "key is 'a'. Write nothing in a row of kind late"),
        ("late,,,,,,,,,,3", "row is '3'. Write another row of the input, of 0 to 2"),
    ],
)
def test_malformed_expected_rows_are_refused(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(SchemaError, match=f"one.expected.csv: line 2: {message}"):
        load_case(write(tmp_path, expected=f"{HEADER}{line}\n"))


def test_late_row_is_named_once(tmp_path: Path) -> None:
    twice = f"{HEADER}late,,,,,,,,,,1\nlate,,,,,,,,,,1\n"
    with pytest.raises(SchemaError, match="line 3: row is '1'"):
        load_case(write(tmp_path, expected=twice))


def test_window_without_time_has_no_bounds(tmp_path: Path) -> None:
    spec = {**SPEC, "window": {"kind": "count", "size": 3}}
    with pytest.raises(SchemaError, match="a count window has no time"):
        load_case(write(tmp_path, spec))


def test_error_carries_its_facts(tmp_path: Path) -> None:
    with pytest.raises(SchemaError) as caught:
        load_case(write(tmp_path, rows="ts_ms,key,value\n1,a,x\n"))
    assert (caught.value.column, caught.value.got) == ("value", "'x'")


def test_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "one.input.csv").write_bytes(b"ts_ms,key,value\n1,\xe4,1\n")
    with pytest.raises(SchemaError, match=r"one\.input\.csv: byte 18 is not UTF-8"):
        load_case(tmp_path / "one")
