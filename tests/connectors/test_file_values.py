"""What values become in text files, and what is said of those that do not fit."""

from __future__ import annotations

import gzip
from datetime import date
from decimal import Decimal
from math import inf
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pystream as ps
from pystream.connectors import file_csv
from pystream.errors import ConfigError, NotSupportedError, OperatorError, SchemaError, StorageError


@pytest.fixture(autouse=True)
def in_own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def csv(text: str, schema: Any = None) -> dict[str, list[Any]]:
    Path("values.csv").write_text(text)
    columns: dict[str, list[Any]] = (
        ps.Environment().from_csv("values.csv", schema=schema).to_arrow().to_pydict()
    )
    return columns


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, None, 3], "int64"),
        ([None, None], "int64"),
        ([1, None], "float64"),
        ([None, "", "x", None], "string"),
        ([], "int64"),
    ],
)
def test_nulls_of_a_single_csv_column_are_rows_too(values: list[Any], dtype: str) -> None:
    env = ps.Environment()
    env.from_arrow(pa.table({"a": pa.array(values, dtype)})).sink_to_csv("o.csv")
    env.execute()
    again = env.from_csv("o.csv", schema={"a": dtype}).to_arrow()
    assert again["a"].to_pylist() == values


def test_empty_lines_are_rows_only_where_there_is_one_column() -> None:
    assert csv("\n\na\n1\n\n3\n") == {"a": [1, None, 3]}  # those before the header never
    assert csv("a\r\n1\r\n\r\n3") == {"a": [1, None, 3]}
    assert csv("a,b\n1,2\n\n3,4\n\n") == {"a": [1, 3], "b": [2, 4]}
    assert csv("a,b\n1,2\n\n3,4\n\n", {"b": "int64"}) == {"b": [2, 4]}


def test_only_an_empty_csv_field_is_null() -> None:
    words = ["NA", "NULL", "null", "nan", "n/a", "#N/A", "-"]
    assert csv("a,b\n" + "".join(f"{word},1\n" for word in words))["a"] == words
    schema = {"a": "string", "b": "int64"}
    assert csv("a,b\nNA,1\n,2\n", schema) == {"a": ["NA", None], "b": [1, 2]}
    with pytest.raises(OperatorError, match=r"values.csv: .*#2: .*'NA'"):
        csv("a,b\nx,NA\n", schema)


def test_nan_written_to_csv_is_nan_again() -> None:
    values = pa.array([float("nan"), None, float("inf"), -float("inf"), 0.1])
    env = ps.Environment()
    env.from_arrow(pa.table({"n": range(5), "x": values})).sink_to_csv("o.csv")
    env.execute()
    for schema in (None, {"x": "float64"}):
        again = env.from_csv("o.csv", schema=schema).to_arrow()["x"]
        assert str(again.to_pylist()) == str(values.to_pylist())


def latin(line: bytes, ending: str) -> str:
    name = f"latin.{ending}"
    Path(name).write_bytes(line)
    return name


def test_text_that_is_not_utf8_is_refused_by_file_and_row() -> None:
    name = latin('{"a": "x"}\n\n{"a": "café"}\n'.encode("latin-1"), "json")
    for schema in (None, {"a": "string"}):
        with pytest.raises(OperatorError, match=r"latin.json: row 3: .*UTF-8"):
            ps.Environment().from_json(name, schema=schema).to_arrow()
    name = latin("a,b\nx,1\ncafé,2\n".encode("latin-1"), "csv")
    with pytest.raises(OperatorError, match=r"latin.csv: .*#3: .*invalid UTF8"):
        ps.Environment().from_csv(name, schema={"a": "string"}).to_arrow()
    with pytest.raises(SchemaError, match=r"latin.csv: column 'a' is not UTF-8"):
        ps.Environment().from_csv(name)


def json(text: str, schema: Any = None) -> dict[str, list[Any]]:
    Path("values.json").write_text(text)
    columns: dict[str, list[Any]] = (
        ps.Environment().from_json("values.json", schema=schema).to_arrow().to_pydict()
    )
    return columns


def test_a_time_is_no_date_in_json() -> None:
    day, schema = date(2024, 1, 1), {"d": "date32"}
    text = '{"d": "2024-01-01"}\n\n{"d": null}\n{"d": "2024-01-01T00:00:00"}\n'
    assert json(text, schema) == {"d": [day, None, day]}
    with pytest.raises(OperatorError, match=r"values.json: row 5: column 'd'.*23:59:59"):
        json(text + '{"d": "2024-01-01T23:59:59"}\n' + text, schema)
    with pytest.raises(OperatorError, match=r"values.csv: .*#2: .*23:59:59"):
        csv("d,n\n2024-01-01T23:59:59,1\n", schema)


ODD = {
    "took": pa.array([1500, None, -1], pa.duration("ms")),
    "kind": pa.array(["a", None, "a"]).dictionary_encode(),
    "price": pa.array([Decimal("1.10"), None, Decimal("-3.00")], pa.decimal128(10, 2)),
    "utc": pa.array([1_700_000_000_123, None, 0], pa.timestamp("ms", "UTC")),
    "big": pa.array([2**64 - 1, None, 0], pa.uint64()),
    "small": pa.array([0.1, None, 3.0], pa.float32()),
}


@pytest.mark.parametrize("form", ["csv", "json"])
@pytest.mark.parametrize("name", sorted(ODD))
def test_columns_of_odd_types_are_read_as_they_were_written(name: str, form: str) -> None:
    env = ps.Environment()
    stream = env.from_arrow(pa.table({"n": range(3), name: ODD[name]}))
    getattr(stream, f"sink_to_{form}")(f"o.{form}")
    env.execute()
    again = getattr(env, f"from_{form}")(f"o.{form}", schema=stream.schema)
    assert again.to_arrow().schema == stream.to_arrow().schema
    assert again.to_arrow()[name].to_pylist() == ODD[name].to_pylist()


def test_columns_without_a_type_say_how_to_give_them_one() -> None:
    hint = r"column 'b' has Arrow type null, .*Pass schema= with the columns and their types"
    with pytest.raises(NotSupportedError, match=rf"^from_csv: values.csv: {hint}"):
        csv("a,b\n1,\n2,\n")
    with pytest.raises(NotSupportedError, match=rf"^from_json: values.json: {hint}"):
        json('{"a": 1, "b": null}\n')
    hint = r"column 'b' has Arrow type time, .*Pass schema="
    with pytest.raises(NotSupportedError, match=rf"^from_csv: values.csv: {hint}"):
        csv("a,b\n1,12:00:00\n")
    assert csv("a,b\n1,\n", {"a": "int64", "b": "string"}) == {"a": [1], "b": [None]}
    pq.write_table(pa.table({"a": [1], "b": [{"c": 1}]}), "values.parquet")
    hint = r"column 'b' has Arrow type struct, .*Pass columns= without it"
    with pytest.raises(
        NotSupportedError, match=rf"^from_parquet: values.parquet: {hint}"
    ) as caught:
        ps.Environment().from_parquet("values.parquet")
    assert caught.value.column == "b"


@pytest.mark.parametrize("form", ["csv", "json"])
@pytest.mark.parametrize("empty", ["", "\n\n"])
def test_empty_files_are_empty_wherever_they_stand(form: str, empty: str) -> None:
    texts = {"csv": "n,m\n1,2\n", "json": '{"n": 1, "m": 2}\n'}
    for name, text in (("1", empty), ("2", texts[form]), ("3", empty)):
        Path(f"{name}.{form}").write_text(text)
    with gzip.open(f"0.{form}.gz", "wt") as file:
        file.write(empty)
    source = getattr(ps.Environment(), f"from_{form}")
    assert source(".").to_arrow().to_pydict() == {"n": [1], "m": [2]}
    assert source(".", schema={"n": "int32"}).to_arrow().to_pydict() == {"n": [1]}
    Path(f"2.{form}").unlink()
    assert source(".", schema={"n": "int32"}).to_arrow().to_pydict() == {"n": []}
    with pytest.raises(SchemaError, match=rf"^from_{form}: .*0.{form}.gz: the file is empty"):
        source(".")


@pytest.mark.parametrize("before", [0, 30_000])
def test_a_long_csv_row_is_read_once_and_in_its_place(before: int) -> None:
    short, long = "x" * 98, "y" * 3_000_000
    text = "a,n\n" + f"{short},1\n" * before + f"{long},2\n" + "z,3\n" * 1000
    for schema in (None, {"a": "string", "n": "int64"}):
        columns = csv(text, schema)
        assert columns["n"] == [1] * before + [2] + [3] * 1000
        assert columns["a"] == [short] * before + [long] + ["z"] * 1000
    with pytest.raises(OperatorError, match=rf"#{before + 1003}: .*'straddling'"):
        csv(text + "x,straddling\n", {"n": "int64"})


@pytest.mark.parametrize("before", [0, 100])
def test_a_csv_row_that_is_too_long_is_named_with_the_limit(
    before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_csv, "CSV_BLOCKS", (128, 256))
    text = "a,n\n" + "x,1\n" * before + '"y,2\n' + "z,3\n" * 500
    with pytest.raises(
        OperatorError, match=r"values.csv: row \d+ .*longer than 256 bytes.*quote.*closes"
    ):
        csv(text, {"a": "string", "n": "int64"})


@pytest.mark.parametrize("big", [2**63, -(2**63) - 1, 10**30])
def test_integers_that_would_be_rounded_are_refused(big: int) -> None:
    csv_text, json_text = f"id,n\n1,1\n{big},2\n", f'{{"id": 1}}\n{{"id": {big}}}\n'
    message = rf"column 'id' has the integer {big}, .*Pass schema="
    with pytest.raises(SchemaError, match=rf"^from_csv: values.csv: {message}") as caught:
        csv(csv_text)
    assert caught.value.column == "id"
    with pytest.raises(SchemaError, match=rf"^from_csv: values.csv: {message}"):
        csv(f"id\n\n {big}\n")
    with pytest.raises(SchemaError, match=rf"^from_json: values.json: {message}"):
        json(json_text)
    exact = {"id": "decimal128(31, 0)"}
    assert csv(csv_text, exact) == {"id": [Decimal(1), Decimal(big)]}
    assert csv(csv_text, {"id": "string"}) == {"id": ["1", str(big)]}


def test_numbers_with_fractions_are_float64_however_large() -> None:
    assert csv(f"x,n\n1.5,1\n{2**63},2\ninf,3\n") == {"x": [1.5, 2.0**63, inf], "n": [1, 2, 3]}
    assert csv("x,n\nnan,1\n7,2\n")["x"][1] == 7
    assert csv("x,n\n1e30,1\n,2\n")["x"] == [1e30, None]
    assert json(f'{{"x": 0.5}}\n{{"x": {2**63}}}\n{{"x": null}}\n') == {"x": [0.5, 2.0**63, None]}
    with pytest.raises(SchemaError, match=str(2**53 + 1)):
        csv(f"x,n\nnan,1\n{2**53 + 1},2\n")


def test_a_header_that_is_not_utf8_is_refused_by_file() -> None:
    for encoding in ("utf-16", "latin-1"):
        Path("other.csv").write_bytes("é,b\n1,2\n".encode(encoding))
        for schema in (None, {"b": "int64"}):
            with pytest.raises(OperatorError, match=r"other.csv: the header is not UTF-8"):
                ps.Environment().from_csv("other.csv", schema=schema)
        Path("other.json").write_bytes('{"é": 1}\n'.encode(encoding))
        with pytest.raises(OperatorError, match=r"other.json: row 1: the text is not UTF-8"):
            ps.Environment().from_json("other.json")
    Path("other.csv").write_bytes("é,b\n1,2\n".encode("utf-8-sig"))
    assert ps.Environment().from_csv("other.csv").to_arrow().to_pydict() == {"é": [1], "b": [2]}


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_a_file_that_is_gone_when_the_job_runs_is_named_with_the_operator(form: str) -> None:
    env = ps.Environment()
    getattr(env.from_arrow(pa.table({"n": [1, 2]})), f"sink_to_{form}")(f"x.{form}")
    env.execute()
    again = getattr(ps.Environment(), f"from_{form}")(f"x.{form}")
    Path(f"x.{form}").unlink()
    with pytest.raises(OperatorError, match=rf"operator 'from_{form}-1': x.{form}: .*No such file"):
        again.to_arrow()


@pytest.mark.parametrize("delimiter", ["", ";;", "\n", "\r", '"', "é", "\0", 5])
def test_a_delimiter_is_one_ascii_character(delimiter: Any) -> None:
    Path("a.csv").write_text("n\n1\n")
    with pytest.raises(ConfigError, match=r"from_csv: delimiter=.* one ASCII character"):
        ps.Environment().from_csv("a.csv", delimiter=delimiter)


@pytest.mark.parametrize("method", ["from_csv", "from_json", "from_parquet"])
@pytest.mark.parametrize("paths", [5, None, [5], b"x"])
def test_what_is_no_path_is_refused(method: str, paths: Any) -> None:
    with pytest.raises(ConfigError, match=rf"{method}\(.*\).* no path. Pass a file, a directory"):
        getattr(ps.Environment(), method)(paths)


def test_columns_of_one_name_are_refused() -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(table, "twice.parquet")
    for columns in (None, ["a"]):
        with pytest.raises(SchemaError, match=r"from_parquet: twice.parquet: .*'a' twice"):
            ps.Environment().from_parquet("twice.parquet", columns=columns)
    pq.write_table(pa.table({"a": [1]}), "once.parquet")
    with pytest.raises(SchemaError, match=r"columns=.*'a' twice"):
        ps.Environment().from_parquet("once.parquet", columns=["a", "a"])
    for schema in (None, {"a": "int64"}):
        with pytest.raises(SchemaError, match=r"from_csv: values.csv: .*'a' twice"):
            csv("a,a\n1,2\n", schema)


@pytest.mark.parametrize("schema", [None, {"a": "float64"}])
@pytest.mark.parametrize("bad", ["[1]", "7", "null", " null", '{"a": 2}null', '{"a": "x"}'])
@pytest.mark.parametrize("before", [1, 3])
def test_json_that_is_no_object_or_no_number_is_refused_by_row(
    before: int, bad: str, schema: Any
) -> None:
    text = '{"a": 1.5, "s": "} null"}\n' * before
    assert json(text, {"a": "float64"}) == {"a": [1.5] * before}
    with pytest.raises(OperatorError, match=rf"values.json: row {before + 2}: "):
        json(f'{text}\n{bad}\n{{"a": 3}}\n', schema)
    if "a" not in bad:
        with pytest.raises(OperatorError, match=r"values.json: row 1: "):
            json(f'{bad}\n{{"a": 3}}\n', schema)


@pytest.mark.parametrize("schema", [None, {"a": "int64"}])
@pytest.mark.parametrize("bad", ['{"a": 2} {"a": 3}', '{"a": 2}{"a": 3}'])
def test_json_with_several_objects_on_a_line_is_refused_by_row(bad: str, schema: Any) -> None:
    with pytest.raises(OperatorError, match=r"values.json: row 3: there is several objects on a"):
        json(f'{{"a": 1}}\n{{"a": 1}}\n{bad}\n{{"a": 4}}\n', schema)


def test_json_object_of_several_lines_is_refused() -> None:
    with pytest.raises(OperatorError, match=r"values.json: row "):
        json('{"a":\n 1}\n{"a": 4}\n', {"a": "int64"})


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_file_that_cannot_be_read_when_the_chain_is_built_is_named(ending: str) -> None:
    Path(f"values.{ending}.gz").write_bytes(b"this was never compressed")
    with pytest.raises(
        StorageError, match=rf"from_{ending}: values.{ending}.gz: .*whole file"
    ) as caught:
        getattr(ps.Environment(), f"from_{ending}")(f"values.{ending}.gz")
    assert caught.value.path == f"values.{ending}.gz"
