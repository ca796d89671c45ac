"""The commands `pystream topics ...`: what they do, print, and refuse."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from typer.testing import CliRunner

import pystream as ps
from pystream.cli import topics
from pystream.cli.commands import app
from tests.cli.commands import LONG, command, environment, words

WIDE = {"COLUMNS": "200", "TERM": "dumb"}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data"


def run(*arguments: object, stdin: str = "") -> Any:
    return CliRunner().invoke(app, ["topics", *map(str, arguments)], env=WIDE, input=stdin)


def succeed(*arguments: object) -> str:
    ran = run(*arguments)
    assert ran.exit_code == 0, ran.output
    return str(ran.stdout)


def refusal(*arguments: object) -> str:
    ran = run(*arguments)
    assert ran.exit_code == 1, ran.output
    assert ran.stderr.startswith("pystream: ")
    return words(ran.stderr)


def test_create_makes_the_log_and_topics_of_one_shape(directory: Path) -> None:
    shape = ("-c", "user:string not null", "-c", "at:timestamp[ms, UTC]", "-k", "user", "-p", 3)
    out = succeed("create", directory, "a", "b", *shape, "--compression", "lz4")
    assert out.splitlines()[1].startswith("created b: 3 partitions, user: string not null, at:")
    with ps.open(directory) as log:
        assert log.topics() == ["a", "b"]
        topic = log.topic("b")
        assert (topic.partitions, topic.key, topic.compression) == (3, ("user",), "lz4")
        assert str(topic.schema) == "user: string not null, at: timestamp[ms, UTC]"


def test_topic_without_columns_has_the_shape_of_kafka(directory: Path) -> None:
    succeed("create", directory, "lines")
    with ps.open(directory) as log:
        assert not log.topic("lines").is_typed


def test_columns_come_from_parquet_and_json_files(directory: Path, tmp_path: Path) -> None:
    table = pa.table({"n": pa.array([1], pa.int32()), "text": ["a"]})
    pa.parquet.write_table(table, tmp_path / "like.PARQUET")
    (tmp_path / "shape.json").write_text('{"a:b": "float64 not null"}')
    succeed("create", directory, "p", "--schema", tmp_path / "like.PARQUET")
    succeed("create", directory, "j", "--schema", tmp_path / "shape.json")
    with ps.open(directory) as log:
        assert str(log.topic("p").schema) == "n: int32, text: string"
        assert str(log.topic("j").schema) == "a:b: float64 not null"


def test_if_not_exists_takes_the_same_topic_and_refuses_another(directory: Path) -> None:
    succeed("create", directory, "t", "-c", "n:int64")
    assert "exists already" in refusal("create", directory, "t", "-c", "n:int64")
    succeed("create", directory, "t", "-c", "n:int64", "--if-not-exists")
    assert "schema" in refusal("create", directory, "t", "-c", "n:int8", "--if-not-exists")


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (("-c", "user"), "--column is 'user'. Write NAME:TYPE"),
        (("-c", ":int64"), "Write NAME:TYPE"),
        (("-c", "a:int64", "-c", "a:int8"), "names 'a' twice"),
        (("-c", "a:integer"), "integer"),
        (("-c", "a:int64", "-k", "b"), "key names column 'b'"),
        (("-p", "0"), "partitions is 0"),
        (("--segment-bytes", "1"), "segment_bytes"),
    ],
)
def test_wrong_settings_are_named_and_nothing_is_created(
    directory: Path, options: tuple[str, ...], part: str
) -> None:
    assert part in refusal("create", directory, "t", *options)
    if directory.exists():
        with ps.open(directory) as log:
            assert log.topics() == []


@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        ("s.json", "[]", "holds no object"),
        ("s.json", "{", "is no JSON"),
        ("s.parquet", "x", "is no Parquet file"),
    ],
)
def test_schema_that_cannot_be_read_is_named(
    directory: Path, tmp_path: Path, name: str, text: str, part: str
) -> None:
    (tmp_path / name).write_text(text)
    assert part in refusal("create", directory, "t", "--schema", tmp_path / name)
    both = refusal("create", directory, "t", "--schema", tmp_path / name, "-c", "n:int8")
    assert "Pass one of them" in both


@pytest.fixture
def filled(directory: Path) -> Path:
    with ps.open(directory) as log:
        log.create_topic("orders", {"user": "string", "n": "int64"}, key="user", partitions=2)
        log.create_topic("lines")
        with log.producer() as producer:
            producer.send_batch("orders", {"user": ["a"] * 1200, "n": range(1200)}, partition=1)
    return directory


def test_list_is_aligned_text_and_json_for_programs(filled: Path) -> None:
    lines = succeed("list", filled).splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["topic", "partitions", "offsets"],
        ["lines", "1", "0"],
        ["orders", "2", "1,200"],
    ]
    assert lines[0].index("columns") == lines[1].index("key, value")
    found = json.loads(succeed("list", filled, "--json"))
    assert [entry["topic"] for entry in found] == ["lines", "orders"]
    assert found[1]["columns"] == {"user": "string", "n": "int64"}
    assert (found[1]["offsets"], found[1]["partitions"], found[1]["key"]) == (1200, 2, ["user"])
    assert found[1]["bytes"] > 0
    assert (found[0]["bytes"], found[0]["is_typed"]) == (0, False)


def test_list_of_more_partitions_than_are_opened_at_once_is_complete(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topics, "_OPEN_PARTITIONS", 4)
    with ps.open(directory) as log:
        for number in range(7):
            log.create_topic(f"t{number}", {"n": "int64"}, partitions=number + 1)
            with log.producer() as producer:
                producer.send_batch(f"t{number}", {"n": np.arange(number)}, partition=number)
    found = json.loads(succeed("list", directory, "--json"))
    assert [entry["offsets"] for entry in found] == list(range(7))


def test_describe_tells_settings_columns_and_partitions(filled: Path) -> None:
    text = words(succeed("describe", filled, "orders", "lines"))
    assert "orders: 2 partitions, 1,200 offsets" in text
    assert "n int64 yes" in text
    assert "1 0 1,200 1,200 1 " in text
    assert "key binary yes" in text
    (found,) = json.loads(succeed("describe", filled, "orders", "--json"))
    assert (found["compression"], found["timestamp_type"]) == ("none", "create_time")
    assert [(part["start"], part["end"]) for part in found["partitions"]] == [(0, 0), (0, 1200)]


def test_counts_are_called_offsets_because_markers_and_removed_records_have_some(
    directory: Path,
) -> None:
    """Kafka's tools show offsets, too; ``pystream verify`` counts records."""
    with ps.open(directory) as log:
        log.create_topic("t", {"k": "string", "n": "int64"}, key="k", cleanup_policy="compact")
        with log.producer(transactional_id="x") as producer:
            for number in range(3):
                with producer.transaction():
                    producer.send("t", {"k": "same", "n": number})
        log.topic("t").native_partition(0).end_segment()
        with log.producer() as plain:
            plain.send("t", {"k": "other", "n": 3})
        log.apply_retention("t")
        with log.consumer("t", auto_offset_reset="earliest", timeout="0s") as consumer:
            assert [record["n"] for record in consumer] == [2, 3]
    (listed,) = json.loads(succeed("list", directory, "--json"))
    assert (listed["offsets"], "records" in listed) == (7, False)
    assert succeed("list", directory).splitlines()[1].split()[:3] == ["t", "1", "7"]
    text = words(succeed("describe", directory, "t"))
    assert "t: 1 partitions, 7 offsets" in text
    assert "partition start end offsets segments size" in text
    assert "records" not in text


def test_looking_writes_nothing(filled: Path) -> None:
    def files() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in filled.rglob("*") if path.is_file()}

    before = files()
    succeed("list", filled)
    succeed("describe", filled, "lines")
    assert files() == before


def test_alter_adds_columns(filled: Path) -> None:
    succeed("alter", filled, "orders", "-c", "country:string", "-c", "vat:float64")
    with ps.open(filled) as log:
        assert log.topic("orders").schema.names == ["user", "n", "country", "vat"]
    assert "'n'" in refusal("alter", filled, "orders", "-c", "n:int64")


def test_alter_changes_settings_and_adds_partitions(filled: Path) -> None:
    out = succeed("alter", filled, "lines", "-p", 3, "--retention", "36h", "--compression", "lz4")
    assert out == "altered lines: 3 partitions, key: binary, value: binary\n"
    text = words(succeed("describe", filled, "lines"))
    assert "compression lz4" in text
    assert "kept 1 day, 12:00:00" in text
    found = json.loads(succeed("describe", filled, "lines", "--json"))[0]
    assert (found["partitions"][2]["end"], found["retention_us"]) == (0, 36 * 3_600 * 10**6)
    succeed("alter", filled, "lines", "--retention", "unlimited", "--retention-bytes", "1GiB")
    assert "kept 1.0 GiB per partition" in words(succeed("describe", filled, "lines"))
    assert "has 3 partitions and cannot have 2" in refusal("alter", filled, "lines", "-p", 2)
    assert "only removed as a whole" in refusal("alter", filled, "lines", "--retention-bytes", 9)
    for option, example in (("--retention", "7d"), ("--retention-bytes", "10GiB")):
        succeed("create", filled, f"kept-{option[2:]}", option, "unlimited")
        text = refusal("alter", filled, "lines", option, "none")
        assert f"{option} is 'none'. Write {example}, say, or \"unlimited\"." in text
    assert "or another setting" in refusal("alter", filled, "lines")
    made = succeed("create", filled, "new", "--retention", "7d", "--retention-bytes", "1GiB")
    assert made.startswith("created new")
    with ps.open(filled) as log:
        assert log.topic("new").retention_bytes == 1 << 30


def test_clean_removes_what_need_not_be_kept(filled: Path) -> None:
    assert succeed("clean", filled).split() == [
        *("topic", "partition", "start", "removed", "segments", "size", "compacted", "pinned")
    ]
    succeed("alter", filled, "orders", "--retention", "1us")
    end = ends_of(filled, "orders")[1].end
    rows = succeed("clean", filled, "orders").splitlines()
    assert rows[2].split()[:5] == ["orders", "1", f"{end:,}", f"{end:,}", "0"]
    found = json.loads(succeed("clean", filled, "--json"))[1]
    assert (found["log_start_offset"], found["removed_records"]) == (end, 0)
    assert "'nothing'" in refusal("clean", filled, "nothing")


def test_delete_records_deletes_before_an_offset(filled: Path) -> None:
    end = ends_of(filled, "orders")[1].end
    assert "--yes" in refusal("delete-records", filled, "orders", "--before", 1)
    out = succeed("delete-records", filled, "orders", "-p", 1, "--before", 1, "-y")
    assert out.split() == ["topic", "partition", "start", "orders", "1", "1"]
    assert ends_of(filled, "orders")[1] == (1, end)
    too_far = ("delete-records", filled, "orders", "-p", 1, "--before", end + 99, "-y")
    assert f"log end offset is {end}" in refusal(*too_far)
    assert json.loads(
        succeed("delete-records", filled, "orders", "-p", 1, "--before", -1, "--yes", "--json")
    ) == [{"topic": "orders", "partition": 1, "start": end}]
    assert ends_of(filled, "orders")[1] == (end, end)


def test_tail_writes_the_last_of_each_partition(directory: Path) -> None:
    with ps.open(directory) as log, log.producer() as producer:
        log.create_topic("numbers", {"n": "int64"}, partitions=2)
        for partition in range(2):
            numbers = range(100 * partition, 100 * partition + 20)
            producer.send_batch("numbers", {"n": numbers}, partition=partition)

    def tail(*options: object) -> list[int]:
        lines = succeed("tail", directory, "numbers", *options).splitlines()
        return sorted(json.loads(line)["n"] for line in lines)

    assert tail() == [*range(10, 20), *range(110, 120)]
    assert tail("-n", 1, "--json") == [19, 119]
    assert tail("-n", 3, "-p", 1) == [117, 118, 119]
    assert tail("-n", 0) == []
    assert "'number'" in refusal("tail", directory, "number")


def test_tail_follows(directory: Path) -> None:
    with ps.open(directory) as log, log.producer() as producer:
        log.create_topic("numbers", {"n": "int64"})
        producer.send_batch("numbers", {"n": range(20)})
        following = subprocess.Popen(
            command("topics", "tail", directory, "numbers", "-n", 2, "--follow"),
            stdout=subprocess.PIPE,
            env=environment(),
        )
        assert following.stdout is not None
        assert [json.loads(following.stdout.readline())["n"] for _ in range(2)] == [18, 19]
        producer.send_batch("numbers", {"n": [20]})
        assert json.loads(following.stdout.readline()) == {"n": 20}
    following.send_signal(signal.SIGINT)
    following.communicate(timeout=LONG)
    assert following.returncode == 130


def ends_of(directory: Path, topic: str) -> list[ps.PartitionEnds]:
    with ps.open(directory, read_only=True) as log:
        return log.topic(topic).ends()


def test_delete_deletes_all_or_none(filled: Path) -> None:
    assert "'ordres'" in refusal("delete", filled, "lines", "ordres", "--yes")
    with ps.open(filled) as log:
        assert log.topics() == ["lines", "orders"]
    assert succeed("delete", filled, "lines", "orders", "-y").split() == [
        *("deleted", "lines", "deleted", "orders")
    ]
    with ps.open(filled) as log:
        assert log.topics() == []


def test_delete_without_a_terminal_needs_yes(filled: Path) -> None:
    assert "Pass --yes" in refusal("delete", filled, "lines")
    with ps.open(filled) as log:
        assert "lines" in log.topics()


@pytest.mark.parametrize(("answer", "left"), [(b"n\n", True), (b"y\n", False)])
def test_delete_on_a_terminal_asks(filled: Path, answer: bytes, left: bool) -> None:
    main, terminal = pty.openpty()
    try:
        os.write(main, answer)
        subprocess.run(
            command("topics", "delete", filled, "orders"),
            stdin=terminal,
            capture_output=True,
            env=environment(),
            timeout=LONG,
            check=False,
        )
    finally:
        os.close(main)
        os.close(terminal)
    with ps.open(filled) as log:
        assert ("orders" in log.topics()) == left


def test_what_changes_topics_tells_programs_in_json(directory: Path) -> None:
    created = json.loads(succeed("create", directory, "a", "b", "-c", "n:int64", "--json"))
    assert created == json.loads(succeed("describe", directory, "a", "b", "--json"))
    assert [topic["columns"] for topic in created] == [{"n": "int64"}] * 2
    altered = json.loads(succeed("alter", directory, "b", "-p", 3, "--json"))
    assert altered == json.loads(succeed("describe", directory, "b", "--json"))
    assert [len(topic["partitions"]) for topic in altered] == [3]
    deleted = json.loads(succeed("delete", directory, "b", "a", "--yes", "--json"))
    assert deleted == [{"topic": "b"}, {"topic": "a"}]


def test_a_question_is_no_result(filled: Path) -> None:
    main, terminal = pty.openpty()
    with open(main, "wb", buffering=0) as keys, open(terminal, "rb", buffering=0) as stdin:
        keys.write(b"y\n")
        done = subprocess.run(
            command("topics", "delete", filled, "orders", "--json"),
            stdin=stdin,
            capture_output=True,
            env=environment(),
            timeout=LONG,
            check=True,
        )
    assert json.loads(done.stdout) == [{"topic": "orders"}]
    assert b"Delete orders with" in done.stderr


def test_unknown_topic_names_the_nearest(filled: Path) -> None:
    with ps.open(filled) as log:
        log.create_topics((f"sensor-{number}" for number in range(20)), {"n": "int8"})
    for arguments in (("describe", filled, "ordrs"), ("alter", filled, "ordrs", "-c", "a:int8")):
        message = refusal(*arguments)
        assert "'ordrs' does not exist" in message
        assert "such as orders" in message


def test_directory_without_a_log_is_an_error_and_stays_so(tmp_path: Path) -> None:
    missing = tmp_path / "no"
    for arguments in (
        ("list", missing),
        ("describe", missing, "t"),
        ("alter", missing, "t", "-c", "a:int8"),
        ("delete", missing, "t", "-y"),
    ):
        assert str(missing) in refusal(*arguments)
    assert not missing.exists()
