"""Types of Parquet files: as they were written, or those that were asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pystream as ps
from pystream.errors import ConfigError, OperatorError, SchemaError


@pytest.fixture(autouse=True)
def in_own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(table: pa.Table, path: str = "some.parquet", **options: Any) -> str:
    pq.write_table(table, path, **options)
    return path


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_seconds_come_back_as_seconds(zone: str | None) -> None:
    """Parquet has none; they are written as milliseconds."""
    seconds = pa.timestamp("s", zone)
    table = pa.table({"ts": pa.array([0, None, -5], seconds), "ms": pa.array([1] * 3, pa.int64())})
    env = ps.Environment()
    env.from_arrow(table).sink_to_parquet("part.parquet")
    env.execute()
    assert env.from_parquet("part.parquet").to_arrow() == table
    other = write(table, store_schema=False)  # not by Arrow
    assert env.from_parquet(other).to_arrow()["ts"].type == pa.timestamp("ms", zone and "UTC")


def test_columns_are_converted_to_the_schema_that_is_given() -> None:
    path = write(
        pa.table(
            {
                "n": pa.array([1, 2], pa.int64()),
                "ts": pa.array([1000, 2000], pa.timestamp("ms")),
                "text": ["a", "b"],
            }
        )
    )
    schema = {"ts": "timestamp[s]", "n": "int32", "text": "dictionary<string>"}
    found = ps.Environment().from_parquet(path, schema=schema)
    assert found.schema.names == ["ts", "n", "text"]
    table = found.to_arrow()
    assert table.schema.field("ts").type == pa.timestamp("s")
    assert table["n"].to_pylist() == [1, 2]
    assert table["n"].type == pa.int32()
    assert table["text"].to_pylist() == ["a", "b"]
    one = ps.Environment().from_parquet(path, schema={"n": "float64"}).to_arrow()
    assert one.to_pydict() == {"n": [1.0, 2.0]}


def test_values_that_do_not_fit_end_the_job() -> None:
    path = write(pa.table({"ts": pa.array([1000, 1500], pa.timestamp("ms"))}))
    stream = ps.Environment().from_parquet(path, schema={"ts": "timestamp[s]"})
    with pytest.raises(OperatorError, match=r"some\.parquet.*would lose data"):
        stream.to_arrow()
    nulls = write(pa.table({"n": pa.array([1, None], pa.int64())}))
    with pytest.raises(OperatorError, match=r"row 2: column 'n' is null, but declared not null"):
        ps.Environment().from_parquet(nulls, schema={"n": "int64 not null"}).to_arrow()


def test_schemas_that_do_not_fit_are_told_when_the_chain_is_built() -> None:
    path = write(pa.table({"n": pa.array([1], pa.int64())}))
    env = ps.Environment()
    with pytest.raises(SchemaError, match=r"some\.parquet: there is no column 'm'; the columns"):
        env.from_parquet(path, schema={"m": "int64"})
    with pytest.raises(SchemaError, match=r"column 'n' is int64 in the file, which does not conv"):
        env.from_parquet(path, schema={"n": "list<int64>"})
    with pytest.raises(ConfigError, match=r"columns= and schema=\. Pass the one or the other"):
        env.from_parquet(path, schema={"n": "int64"}, columns=["n"])


def test_files_of_several_units_are_read_as_one() -> None:
    for unit in ("ms", "us"):
        Path("mixed").mkdir(exist_ok=True)
        table = pa.table({"ts": pa.array([1], pa.timestamp("ms")).cast(pa.timestamp(unit))})
        write(table, f"mixed/{unit}.parquet")
    env = ps.Environment()
    with pytest.raises(SchemaError, match="or pass schema="):
        env.from_parquet("mixed")
    found = env.from_parquet("mixed", schema={"ts": "timestamp[us]"}).to_arrow()
    assert found["ts"].cast(pa.int64()).to_pylist() == [1000, 1000]


@pytest.mark.parametrize("store_schema", [True, False])
def test_history_of_a_topic_of_seconds(store_schema: bool) -> None:
    past = pa.table({"n": [1, 2], "ts": pa.array([10, 20], pa.timestamp("s"))})
    path = write(past, store_schema=store_schema)
    log = ps.open("log")
    log.create_topic("counts", {"n": "int64", "ts": "timestamp[s]"})
    with log.producer() as producer:
        producer.send("counts", {"n": 3, "ts": 70})
    env = ps.Environment(log)
    schema = None if store_schema else {"n": "int64", "ts": "timestamp[s]"}
    source = ps.HybridSource(env.from_parquet(path, schema=schema), env.from_topic("counts"))
    watermark = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
    assert env.from_source(source, watermark=watermark).to_arrow()["n"].to_pylist() == [1, 2, 3]
    log.close()
