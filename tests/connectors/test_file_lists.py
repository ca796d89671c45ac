"""Columns of lists in files."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pystream as ps
from pystream.errors import NotSupportedError, OperatorError, SchemaError


@pytest.fixture(autouse=True)
def in_own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


ROWS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "int64": (pa.int64(), [[1, None], None, [], [2**63 - 1]]),
    "float64": (pa.float64(), [[0.5], [None, -2.0], None, []]),
    "bool": (pa.bool_(), [[True, None], [], None, [False]]),
    "string": (pa.string(), [["a,b", None], ['say "hi"\n\u00fc'], [], None]),
    "dictionary": (pa.dictionary(pa.int32(), pa.string()), [["a"], [], None, ["a", "b"]]),
    "decimal": (pa.decimal128(10, 2), [[Decimal("1.25"), None], None, []]),
    "timestamp": (pa.timestamp("ms"), [[datetime.datetime(1969, 1, 1)], [None], None]),
    "date": (pa.date32(), [[datetime.date(2020, 2, 29), None], None, []]),
    "duration": (pa.duration("s"), [[datetime.timedelta(seconds=-3), None], None, []]),
}


def written(table: pa.Table, form: str) -> pa.Table:
    """Return what is read of a file that the table was written to."""
    env = ps.Environment()
    stream = env.from_arrow(table)
    getattr(stream, f"sink_to_{form}")(f"out.{form}")
    env.execute()
    options = {} if form == "parquet" else {"schema": stream.schema}
    result: pa.Table = getattr(env, f"from_{form}")(f"out.{form}", **options).to_arrow()
    return result


@pytest.mark.parametrize("form", ["parquet", "json"])
@pytest.mark.parametrize("name", ROWS)
def test_lists_that_are_written_are_read_again(name: str, form: str) -> None:
    element, rows = ROWS[name]
    elements = pa.array([value for row in rows for value in row or ()], element)
    ends = [sum(len(row or ()) for row in rows[:i]) for i in range(len(rows) + 1)]
    nulls = pa.array([row is None for row in rows])
    lists = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), elements, mask=nulls)
    table = pa.table({"l": lists, "n": range(len(rows))})
    again = written(pa.concat_tables([table, table]), form)  # of several chunks
    assert again.to_pylist() == table.to_pylist() * 2
    assert again.schema.field("l").type == table.schema.field("l").type


def test_binary_lists_are_for_parquet() -> None:
    table = pa.table({"l": pa.array([[b"\xff", None]], pa.list_(pa.binary()))})
    assert written(table, "parquet").to_pylist() == table.to_pylist()
    with pytest.raises(NotSupportedError, match="sink_to_json: column 'l' is list<binary>"):
        ps.Environment().from_arrow(table).sink_to_json("x.json")


def test_csv_has_no_lists_when_the_chain_is_built() -> None:
    env = ps.Environment()
    with pytest.raises(NotSupportedError, match="sink_to_csv: column 'l' is list<int64>") as caught:
        env.from_arrow(pa.table({"l": [[1]]})).sink_to_csv("x.csv")
    assert caught.value.column == "l"
    Path("x.csv").write_text("l\n1\n")
    with pytest.raises(NotSupportedError, match="from_csv: column 'l' is list<"):
        env.from_csv("x.csv", schema={"l": "list<int64>"})


def test_lists_of_json_have_the_type_of_their_values() -> None:
    Path("x.json").write_text('{"l": [1, null], "f": [1, 2.5]}\n{"l": []}\n')
    stream = ps.Environment().from_json("x.json")
    assert str(stream.schema) == "l: list<int64>, f: list<float64>"
    assert stream.to_arrow().to_pylist() == [
        {"l": [1, None], "f": [1.0, 2.5]},
        {"l": [], "f": None},
    ]


def test_lists_of_json_are_refused_like_other_values() -> None:
    env = ps.Environment()
    Path("big.json").write_text(f'{{"l": [{2**63}]}}\n')
    with pytest.raises(SchemaError, match=r"'l' has the integer .* which rounds it"):
        env.from_json("big.json")
    Path("empty.json").write_text('{"l": []}\n')
    with pytest.raises((NotSupportedError, SchemaError), match=r"column 'l'.*schema="):
        env.from_json("empty.json")
    Path("deep.json").write_text('{"l": [[1]]}\n')
    with pytest.raises((NotSupportedError, SchemaError), match="column 'l' is a list of lists"):
        env.from_json("deep.json")
    Path("time.json").write_text('{"l": ["2020-01-01 12:00:00"]}\n')
    with pytest.raises(OperatorError, match=r"row 1: column 'l' is a date"):
        env.from_json("time.json", schema={"l": "list<date32>"}).to_arrow()
    Path("text.json").write_text('{"l": [1]}\n{"l": ["a"]}\n')
    with pytest.raises(OperatorError, match="row 2"):
        env.from_json("text.json", schema={"l": "list<int64>"}).to_arrow()


def test_parquet_of_other_libraries_and_large_lists_are_read() -> None:
    lists = pa.array([[1, 2], None, []], pa.large_list(pa.field("element", pa.int64())))
    pq.write_table(pa.table({"l": lists}), "x.parquet")
    stream = ps.Environment().from_parquet("x.parquet")
    assert str(stream.schema) == "l: list<int64>"
    assert stream.to_arrow().to_pylist() == [{"l": [1, 2]}, {"l": None}, {"l": []}]
