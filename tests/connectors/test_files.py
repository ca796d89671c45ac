"""Files in, files out: order, schemas, rows that do not fit, and never half a file."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pystream as ps
from pystream import col
from pystream.connectors import file_formats
from pystream.errors import ConfigError, NotSupportedError, OperatorError, SchemaError

MILLIS = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")


@pytest.fixture(autouse=True)
def in_own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def numbers(*values: int | None) -> pa.Table:
    return pa.table({"n": pa.array(values, pa.int64())})


def read(stream: ps.Stream) -> list[Any]:
    return stream.to_arrow()["n"].to_pylist()


def files_below(directory: str) -> list[str]:
    return sorted(str(p.relative_to(directory)) for p in Path(directory).rglob("*") if p.is_file())


# -- reading -------------------------------------------------------------------------------------


def write_three(ending: str, write: Callable[[pa.Table, str], None]) -> None:
    """Write b, a/c and a/a, whose sorted order is a/a, a/c, b, and what is not data."""
    os.makedirs("in/a")
    for name, value in (("b", 3), ("a/c", 2), ("a/a", 1), ("_draft", 8), (".hidden", 9)):
        write(numbers(value), f"in/{name}{ending}")
    Path("in/README").write_text("no data")


def write_csv(table: pa.Table, path: str) -> None:
    Path(path).write_text("n\n" + "".join(f"{n}\n" for n in table["n"].to_pylist()))


def write_json(table: pa.Table, path: str) -> None:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))


@pytest.mark.parametrize(
    ("ending", "write", "method"),
    [
        (".parquet", pq.write_table, "from_parquet"),
        (".csv", write_csv, "from_csv"),
        (".json", write_json, "from_json"),
    ],
)
def test_files_are_read_in_the_order_of_their_names(ending: str, write: Any, method: str) -> None:
    write_three(ending, write)
    source = getattr(ps.Environment(), method)
    assert read(source("in")) == [1, 2, 3]
    assert read(source("in/**/[ab]*" + ending)) == [1, 3]
    assert read(source([f"in/b{ending}", Path(f"in/a/a{ending}")])) == [1, 3]
    stream = source("in/b" + ending)
    assert (read(stream), read(stream)) == ([3], [3])  # each run reads again
    assert f"{method}('in/b{ending}')  [python]" in stream.explain()


def test_no_file_is_an_error_where_the_chain_is_built() -> None:
    with pytest.raises(ConfigError, match=r"from_parquet\('nowhere/\*.parquet'\) found no file"):
        ps.Environment().from_parquet("nowhere/*.parquet")
    with pytest.raises(ConfigError, match="got no path"):
        ps.Environment().from_csv([])


def test_batches_are_pulled_while_the_job_runs_and_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = 3 * file_formats.BATCH_ROWS
    pq.write_table(pa.table({"n": np.arange(rows)}), "big.parquet", row_group_size=rows)
    stream = ps.Environment().from_parquet("big.parquet")
    os.rename("big.parquet", "moved.parquet")
    with pytest.raises(OperatorError, match=r"from_parquet-1.*big\.parquet"):
        stream.to_arrow()
    os.rename("moved.parquet", "big.parquet")
    sizes: list[int] = []

    def look(batch: ps.RecordBatch) -> ps.RecordBatch:
        sizes.append(len(batch))
        return batch

    assert read(stream.map_batches(look)) == list(range(rows))
    assert max(sizes) <= file_formats.BATCH_ROWS


def test_windows_over_files_are_those_over_the_same_rows_in_memory() -> None:
    rng = np.random.default_rng(3)
    stamps = np.sort(rng.integers(0, 600_000, 1000)) + rng.integers(0, 9_000, 1000)
    table = pa.table({"k": rng.integers(0, 5, 1000), "ts": pa.array(stamps, pa.timestamp("ms"))})
    for number, begin in enumerate(range(0, 1000, 300)):
        pq.write_table(table.slice(begin, 300), f"part-{number}.parquet", row_group_size=70)
    strategy = ps.WatermarkStrategy.for_bounded_out_of_orderness("4s", timestamp="ts")

    def counts(source: ps.Stream) -> list[Any]:
        windows = source.key_by("k").window(ps.tumbling("10s")).aggregate(n=ps.count())
        return sorted(map(tuple, (row.values() for row in windows.to_arrow().to_pylist())))

    env = ps.Environment()
    from_files = counts(env.from_parquet("part-*.parquet", watermark=strategy))
    assert from_files == counts(env.from_arrow(table, watermark=strategy))


def test_columns_are_chosen_and_ordered() -> None:
    pq.write_table(pa.table({"a": [1], "b": ["x"], "c": [{"d": 1}]}), "wide.parquet")
    env = ps.Environment()
    assert env.from_parquet("wide.parquet", columns=["b", "a"]).to_arrow().to_pylist() == [
        {"b": "x", "a": 1}
    ]
    with pytest.raises(NotSupportedError, match="'c'"):
        env.from_parquet("wide.parquet")
    with pytest.raises(SchemaError, match=r"wide.parquet: there is no column 'd'"):
        env.from_parquet("wide.parquet", columns=["d"])


def test_parquet_files_of_other_columns_are_refused_before_anything_runs() -> None:
    pq.write_table(numbers(1), "1.parquet")
    for table, message in (
        (pa.table({"n": ["x"]}), r"2.parquet: column 'n' is string, but int64"),
        (pa.table({"m": [1]}), r"2.parquet: there is no column 'n'"),
        (pa.table({"n": [1], "m": [1]}), r"2.parquet: there is a column 'm'"),
    ):
        pq.write_table(table, "2.parquet")
        with pytest.raises(SchemaError, match=message):
            ps.Environment().from_parquet("*.parquet")


def test_csv_takes_a_schema_and_tells_null_from_empty() -> None:
    Path("a.csv").write_text('n;s;x\n1;"";7\n;;8\n3;"a;b";9\n')
    schema = {"s": "string", "n": "int32"}
    stream = ps.Environment().from_csv("a.csv", schema=schema, delimiter=";")
    assert str(stream.schema) == str(ps.Environment()._engine.schema(schema))
    assert stream.to_arrow().to_pylist() == [
        {"s": "", "n": 1},
        {"s": None, "n": None},
        {"s": "a;b", "n": 3},
    ]


def test_compressed_text_is_read_too() -> None:
    for name, text in (("a.csv.gz", "n\n1\n2\n"), ("a.json.gz", '{"n": 1}\n{"n": 2}')):
        with gzip.open(name, "wt") as file:
            file.write(text)
    assert read(ps.Environment().from_csv("a.csv.gz")) == [1, 2]
    assert read(ps.Environment().from_json("a.json.gz")) == [1, 2]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("x,2020-01-01", r"bad.csv: .*#3002: .*'x'"),
        ("1,2020-01-01,7", r"bad.csv: .*#3002: Expected 2 columns, got 3"),
        ("1,yesterday", r"bad.csv: .*#3002: .*'yesterday'"),
    ],
)
def test_bad_csv_row_is_named_by_file_and_row(row: str, message: str) -> None:
    Path("bad.csv").write_text("n,ts\n" + "5,2020-01-01\n" * 3000 + f"{row}\n5,2020-01-01\n")
    schema = {"n": "int64", "ts": "timestamp[ms]"}
    stream = ps.Environment().from_csv("bad.csv", schema=schema)
    with pytest.raises(OperatorError, match=message) as caught:
        stream.to_arrow()
    assert caught.value.operator == "from_csv-1"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"n": "x"}', "row 40001: "),
        ('{"n": 1, "m": 2}', "row 40001: .*unexpected field"),
        ('{"n": 1', "row 40001: "),
        ("[1]", "row 40001: "),
    ],
)
def test_bad_json_row_is_named_by_file_and_row(row: str, message: str) -> None:
    text = '{"n": 5, "padding": "............................"}\n'
    Path("bad.json").write_text(text * 40_000 + f"{row}\n" + text)
    stream = ps.Environment().from_json("bad.json")
    with pytest.raises(OperatorError, match=f"bad.json: {message}"):
        stream.to_arrow()


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("csv", "row 3: column 'n' is null"),
        ("json", "row 2: .*required field was null"),
        ("parquet", "row 2: column 'n' is null"),
    ],
)
def test_a_null_in_a_column_that_has_none_is_named_by_file_and_row(form: str, message: str) -> None:
    never_null = pa.schema([pa.field("n", pa.int64(), nullable=False)])
    Path("a.csv").write_text("n,m\n1,1\n,2\n")
    Path("a.json").write_text('{"n": 1}\n{"n": null}\n')
    pq.write_table(numbers(1).cast(never_null), "a.parquet")
    pq.write_table(numbers(1, None), "b.parquet")
    options = {} if form == "parquet" else {"schema": never_null}
    stream = getattr(ps.Environment(), f"from_{form}")(f"*.{form}", **options)
    with pytest.raises(OperatorError, match=rf"[ab].{form}: {message}"):
        stream.to_arrow()


def test_csv_files_of_other_columns_are_refused_before_anything_runs() -> None:
    Path("1.csv").write_text("n\n1\n")
    Path("2.csv").write_text("m\n1\n")
    with pytest.raises(SchemaError, match=r"2.csv: there is no column 'n'"):
        ps.Environment().from_csv("?.csv")
    Path("2.csv").write_text("")  # holds nothing, not even a header
    assert read(ps.Environment().from_csv("?.csv")) == [1]


def test_a_null_event_time_names_its_row() -> None:
    Path("a.csv").write_text("ts,n\n2020-01-01,1\n,2\n")
    schema = {"ts": "timestamp[ms]", "n": "int64"}
    stream = ps.Environment().from_csv("a.csv", schema=schema, watermark=MILLIS)
    counts = stream.window_all(ps.tumbling("1d")).aggregate(n=ps.count())
    with pytest.raises(OperatorError, match=r"event time of row 1 is null.* Filter such rows out"):
        counts.to_arrow()
    assert stream.to_arrow()["n"].to_pylist() == [1, 2]


# -- writing -------------------------------------------------------------------------------------

EVERYTHING = pa.table(
    {
        "n": pa.array([1, None, -3], pa.int64()),
        "x": pa.array([0.5, None, -2.0], pa.float64()),
        "s": pa.array(["a,b", None, 'say "hi"\nü'], pa.string()),
        "yes": pa.array([True, None, False]),
        "ts": pa.array([1_700_000_000_123, None, -1], pa.timestamp("ms")),
        "day": pa.array([19_000, None, -1], pa.date32()),
    }
)


@pytest.mark.parametrize("form", ["parquet", "csv", "json"])
def test_what_is_written_is_read_again(form: str) -> None:
    env = ps.Environment()
    stream = env.from_arrow(EVERYTHING)
    getattr(stream, f"sink_to_{form}")(f"out/deep/all.{form}")
    assert env.execute().records_in == 3
    assert files_below("out") == [f"deep/all.{form}"]
    options = {} if form == "parquet" else {"schema": stream.schema}
    again = getattr(env, f"from_{form}")("out", **options)
    assert again.to_arrow().to_pylist() == EVERYTHING.to_pylist()


def test_a_directory_gets_one_file_that_replaces_the_one_before() -> None:
    env = ps.Environment()
    for value in (1, 2):
        assert env.from_arrow(numbers(value)).to_parquet("features/") == "features/part-0.parquet"
    assert read(env.from_parquet("features")) == [2]
    assert files_below("features") == ["part-0.parquet"]
    mask = os.umask(0)
    os.umask(mask)
    assert os.stat("features/part-0.parquet").st_mode & 0o777 == 0o666 & ~mask


def test_an_empty_result_is_a_file_with_columns() -> None:
    env = ps.Environment()
    env.from_arrow(numbers(1)).filter(col("n") > 1).to_parquet("none.parquet")
    assert env.from_parquet("none.parquet").to_arrow().schema.names == ["n"]


def test_many_small_results_become_few_row_groups() -> None:
    env = ps.Environment()
    stamps = np.arange(0, 5_000_000, 1000).astype("datetime64[ms]")
    source = env.from_arrow({"ts": stamps}, watermark=MILLIS)
    source.window_all(ps.tumbling("1s")).aggregate(n=ps.count()).to_parquet("seconds.parquet")
    assert pq.ParquetFile("seconds.parquet").metadata.num_rows == 5_000
    assert pq.ParquetFile("seconds.parquet").metadata.num_row_groups == 1


@pytest.mark.parametrize("form", ["parquet", "csv", "json"])
def test_a_failing_job_leaves_the_file_from_before_and_nothing_else(form: str) -> None:
    Path("out").mkdir()
    Path(f"out/all.{form}").write_text("before")

    def fail_at_the_end(batch: ps.RecordBatch) -> ps.RecordBatch:
        if batch["n"].to_numpy()[-1] == 99_999:
            raise ValueError("too far")
        return batch

    env = ps.Environment()
    rows = [
        pa.table({"n": np.arange(begin, begin + 10_000)}) for begin in range(0, 100_000, 10_000)
    ]
    stages = env.from_arrow(rows).map_batches(fail_at_the_end)
    getattr(stages, f"sink_to_{form}")(f"out/all.{form}")
    with pytest.raises(OperatorError, match="too far"):
        env.execute()
    assert files_below("out") == [f"all.{form}"]
    assert Path(f"out/all.{form}").read_text() == "before"


def test_what_json_has_no_form_for_ends_the_job() -> None:
    env = ps.Environment()
    env.from_arrow({"x": np.array([1.0, np.nan])}).sink_to_json("x.json")
    with pytest.raises(OperatorError, match=r"sink_to_json-2.*x.json.*not JSON compliant"):
        env.execute()
    assert files_below(".") == []
    table = pa.table({"blob": pa.array([b"x"], pa.binary())})
    for method in ("sink_to_json", "sink_to_csv"):
        with pytest.raises(NotSupportedError, match=rf"{method}: column 'blob' is binary"):
            getattr(ps.Environment().from_arrow(table), method)("x")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ps.Log]:
    with ps.open(tmp_path / "log") as opened:
        opened.create_topic("numbers", {"n": "int64"})
        yield opened


def test_a_file_of_a_job_without_end_is_refused(log: ps.Log) -> None:
    env = ps.Environment(log)
    env.from_topic("numbers").sink_to_csv("n.csv")
    with pytest.raises(NotSupportedError, match="'numbers' is followed"):
        env.execute()
    env.execute(until="latest")
    assert Path("n.csv").read_text() == '"n"\n'


def test_a_cancelled_job_writes_no_file(log: ps.Log) -> None:
    is_inside, may_go_on = threading.Event(), threading.Event()

    def wait(batch: ps.RecordBatch) -> ps.RecordBatch:
        is_inside.set()
        assert may_go_on.wait(60)
        return batch

    env = ps.Environment(log)
    rows = [pa.table({"n": np.arange(1000)})] * 3
    env.from_arrow(rows).map_batches(wait).sink_to_parquet("out/n.parquet")
    with env.execute_async() as job:
        assert is_inside.wait(60)
        job.cancel()
        may_go_on.set()
        job.result("1m")
    assert files_below("out") == []


def test_two_sinks_of_one_file_are_refused() -> None:
    env = ps.Environment()
    env.from_arrow(numbers(1)).sink_to_csv("out/part-0.csv")
    with pytest.raises(ConfigError, match=r"two sinks write .*out/part-0.csv"):
        env.from_arrow(numbers(2)).sink_to_csv("out/")


@settings(max_examples=30)
@given(
    st.lists(st.lists(st.tuples(st.one_of(st.none(), st.integers(-9, 9)), st.text(max_size=3)))),
    st.sampled_from(["parquet", "csv", "json"]),
)
def test_rows_survive_any_text_and_any_cut(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[tuple[Any, str]]], form: str
) -> None:
    # A lone carriage return, and what UTF-8 cannot hold, are not text of a CSV.
    rows = [
        [
            (n, s.encode("utf-8", "ignore").decode().replace("\r", "").replace("\0", ""))
            for n, s in p
        ]
        for p in parts
    ]
    schema = pa.schema({"n": pa.int64(), "s": pa.string()})
    tables = [
        pa.table({"n": [n for n, _ in p], "s": [s for _, s in p]}, schema=schema) for p in rows
    ]
    if not tables:
        tables = [schema.empty_table()]
    path = tmp_path_factory.mktemp("rows") / f"all.{form}"
    env = ps.Environment()
    getattr(env.from_arrow(tables), f"sink_to_{form}")(path)
    env.execute()
    options = {} if form == "parquet" else {"schema": schema}
    again = getattr(env, f"from_{form}")(path, **options).to_arrow()
    assert again.to_pylist() == [{"n": n, "s": s} for p in rows for n, s in p]
