"""The command `pystream consume`: what it writes in which format, from where, and how it ends."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

import pystream as ps
from pystream import TopicPartition
from pystream.cli.starts import Start
from pystream.errors import ConfigError
from tests.cli.commands import LONG, command, environment, run, words


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Numbers 0 to 9 in two partitions, five batches each way; and lines of Kafka's shape."""
    with ps.open(tmp_path / "data") as log:
        log.create_topic("numbers", {"n": "int64", "text": "string"}, partitions=2)
        log.create_topic("lines")
        with log.producer() as producer:
            for n in range(0, 10, 2):
                rows = {"n": [n, n + 1], "text": [f"t{n}", None]}
                times = 1_700_000_000_000_000 + 1_000_000 * n
                producer.send_batch("numbers", rows, partition=n // 2 % 2, timestamp=times)
            producer.send("lines", "first", key="k", headers=[("h", b"v"), ("x", b"\xff")])
            producer.flush()
            producer.send("lines", b"\xff\x00")
    return tmp_path / "data"


def succeed(*arguments: object) -> str:
    ran = run("consume", *arguments)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    return ran.stdout


def refusal(*arguments: object) -> str:
    ran = run("consume", *arguments)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("pystream: ")
    return words(ran.stderr)


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def numbers(text: str) -> list[int]:
    return [row["n"] for row in rows(text)]


def committed(directory: Path, group: str) -> list[int | None]:
    with ps.open(directory) as log, log.consumer(group_id=group) as consumer:
        return [consumer.committed(TopicPartition("numbers", p)) for p in range(2)]


# -- formats ---------------------------------------------------------------------------------------


def test_json_lines_come_in_order_of_append(directory: Path) -> None:
    out = succeed(directory, "numbers")
    assert out.splitlines()[:2] == ['{"n": 0, "text": "t0"}', '{"n": 1, "text": null}']
    assert numbers(out) == list(range(10))


def test_json_of_bytes_is_text_or_base64(directory: Path) -> None:
    assert rows(succeed(directory, "lines")) == [
        {"key": "k", "value": "first"},
        {"key": None, "value": {"base64": "/wA="}},
    ]


def test_meta_tells_place_time_and_headers(directory: Path) -> None:
    (first, _) = rows(succeed(directory, "lines", "--meta"))
    assert first["_headers"] == [["h", "v"], ["x", {"base64": "/w=="}]]
    (row,) = rows(succeed(directory, "numbers", "--meta", "-n", 1, "-p", 1))
    assert row == {
        "_topic": "numbers",
        "_partition": 1,
        "_offset": 0,
        "_timestamp": "2023-11-14T22:13:22.000000Z",
        "_headers": None,
        "n": 2,
        "text": "t2",
    }


def test_csv_has_one_heading_and_tells_null_from_empty(directory: Path) -> None:
    lines = succeed(directory, "numbers", "--format", "csv").splitlines()
    assert lines[:3] == ['"n","text"', '0,"t0"', "1,"]
    assert len(lines) == 11
    found = list(csv.reader(io.StringIO(succeed(directory, "numbers", "--format", "csv", "-n1"))))
    assert found == [["n", "text"], ["0", "t0"]]


def test_csv_has_the_years_that_json_has(directory: Path) -> None:
    times_us = [0, 2**62, -(2**62), 253_402_300_800 * 10**6]
    with ps.open(directory) as log, log.producer() as producer:
        log.create_topic("times", {"at": "timestamp[ms]", "day": "date32", "n": "int64"})
        for n, time_us in enumerate(times_us):
            day = 2**31 - 1 if n == 1 else None
            row = {"at": time_us // 1000, "day": day, "n": n}
            producer.send("times", row, timestamp=time_us)
            producer.flush()
    written = succeed(directory, "times", "--format", "csv", "--meta")
    found = list(csv.DictReader(io.StringIO(written)))
    assert [row["_timestamp"] for row in found] == [
        "1970-01-01 00:00:00.000000Z",
        "148108-07-06 14:00:27.387904Z",
        "-144169-06-28 09:59:32.612096Z",
        "10000-01-01 00:00:00.000000Z",
    ]
    assert [row["day"] for row in found] == ["", "5881580-07-11", "", ""]
    in_json = rows(succeed(directory, "times", "--meta"))
    for name in ("_timestamp", "at"):
        assert [row[name] for row in found] == [row[name].replace("T", " ") for row in in_json]
    assert [int(row["n"]) for row in found] == [0, 1, 2, 3]


def test_csv_of_bytes_that_are_no_text_is_refused(directory: Path) -> None:
    ran = run("consume", directory, "lines", "--format", "csv")
    assert ran.returncode == 1
    assert "column 'value' has bytes that are not UTF-8" in words(ran.stderr)


def test_parquet_and_csv_go_by_the_ending_of_the_output(directory: Path, tmp_path: Path) -> None:
    succeed(directory, "numbers", "-o", tmp_path / "n.parquet", "--columns", "n")
    assert pyarrow.parquet.read_table(tmp_path / "n.parquet").to_pydict() == {"n": list(range(10))}
    succeed(directory, "numbers", "-o", tmp_path / "n.csv", "--columns", "text,n", "-n2")
    assert (tmp_path / "n.csv").read_text() == '"text","n"\n"t0",0\n,1\n'
    succeed(directory, "numbers", "-o", tmp_path / "N.CSV", "--columns", "text,n", "-n2")
    assert (tmp_path / "N.CSV").read_text() == (tmp_path / "n.csv").read_text()


def test_raw_writes_values_and_keys(directory: Path) -> None:
    assert succeed(directory, "lines", "--format", "raw", "-n1") == "first\n"
    keyed = succeed(directory, "lines", "--format", "raw", "-n1", "-K", r"\t", "--delimiter", ";")
    assert keyed == "k\tfirst;"
    assert succeed(directory, "numbers", "--format", "raw", "-c", "text", "-n2") == "t0\n\n"
    assert "raw writes value as they are" in refusal(directory, "numbers", "--format", "raw")


def test_table_is_aligned_and_shows_no_control_characters(directory: Path) -> None:
    with ps.open(directory) as log, log.producer() as producer:
        producer.send("numbers", {"n": 123, "text": "\x1b[31mred\n" + "x" * 99}, partition=0)
    text = succeed(directory, "numbers", "--format", "table", "--from", "-3", "-p0")
    assert text.splitlines()[:2] == ["n  text", "8  t8"]
    assert "\\u001b[31mred" in text
    assert text.splitlines()[-1].endswith("…")


def test_terminal_gets_a_table_and_a_pipe_json(directory: Path) -> None:
    main, terminal = pty.openpty()
    try:
        arguments = command("consume", directory, "numbers", "-n1")
        done = subprocess.run(
            arguments, stdout=terminal, env=environment(), timeout=LONG, check=True
        )
        assert done.returncode == 0
        assert os.read(main, 1000).split() == [b"n", b"text", b"0", b"t0"]
        refused = subprocess.run(
            [*arguments, "--format", "parquet"],
            stdout=terminal,
            stderr=subprocess.PIPE,
            env=environment(),
            timeout=LONG,
            check=False,
        )
        assert b"standard output is a terminal" in refused.stderr
    finally:
        os.close(main)
        os.close(terminal)


def test_several_topics_go_in_one_stream_of_json_alone(directory: Path) -> None:
    found = rows(succeed(directory, "numbers", "lines", "--meta"))
    assert [row["_topic"] for row in found] == ["numbers"] * 10 + ["lines"] * 2
    assert "one at a time" in refusal(directory, "numbers", "lines", "--format", "csv")


# -- which records ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("--from", "latest"), []),
        (("--from", "-1"), [7, 9]),
        (("--from=-100", "-p", "1"), [2, 3, 6, 7]),
        (("--from", "3", "-p", "0"), [5, 8, 9]),
        (("--from", "2023-11-14T22:13:24Z"), [4, 5, 6, 7, 8, 9]),
        (("--from", "2023-11-14 22:13:24.000001"), [6, 7, 8, 9]),
        (("--from=-1s",), []),
        (("--from=-40000d",), list(range(10))),
        (("-p", "1", "-p", "1"), [2, 3, 6, 7]),
        (("-n", "3"), [0, 1, 2]),
        (("-w", "n > 3", "-w", "text is not null"), [4, 6, 8]),
        (("-w", "n > 3", "-n", "2"), [4, 5]),
        (("-w", "_partition = 1 and _offset >= 2"), [6, 7]),
        (("-w", "n > 100"), []),
    ],
)
def test_which_records_are_written(
    directory: Path, arguments: tuple[str, ...], wanted: list[int]
) -> None:
    assert numbers(succeed(directory, "numbers", "-c", "n", *arguments)) == wanted


def test_where_and_columns_see_columns_that_a_topic_gets_later(directory: Path) -> None:
    with ps.open(directory) as log:
        log.alter_topic("numbers", add_columns={"more": "int8"})
        with log.producer() as producer:
            producer.send("numbers", {"n": 10, "more": 1})
    assert rows(succeed(directory, "numbers", "-c", "n,more", "-w", "n >= 9")) == [
        {"n": 9, "more": None},
        {"n": 10, "more": 1},
    ]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("numbesr",), "'numbesr' does not exist"),
        (("numbers", "-p", "2"), "no partition 2"),
        (("numbers", "-c", "n,m"), "no column 'm'"),
        (("numbers", "-w", "m = 1"), "no column 'm'"),
        (("numbers", "--from", "sometime"), "--from is 'sometime'"),
        (("numbers", "--from", "3"), "Pick one with --partition"),
        (("numbers", "--from", "99", "-p", "0"), "out of range"),
        (("numbers", "--group", "g", "-p", "0"), "Pass one of them"),
        (("numbers", "--group", "g", "--from", "-3"), "goes on where it committed"),
    ],
)
def test_mistakes_are_named_before_anything_is_written(
    directory: Path, arguments: tuple[str, ...], part: str
) -> None:
    assert part in refusal(directory, *arguments)


def test_place_is_checked_by_the_parser() -> None:
    with pytest.raises(ConfigError, match="Write earliest, latest"):
        Start.parse("-x")


def test_reading_writes_nothing_and_makes_no_log(directory: Path, tmp_path: Path) -> None:
    def files() -> dict[str, int]:
        return {
            str(path): path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()
        }

    before = files()
    succeed(directory, "numbers", "lines")
    assert files() == before
    assert str(tmp_path / "no") in refusal(tmp_path / "no", "t")
    assert str(tmp_path / "no") in refusal(tmp_path / "no", "t", "--follow")
    assert not (tmp_path / "no").exists()


# -- groups ----------------------------------------------------------------------------------------


def test_group_goes_on_behind_the_last_record_written(directory: Path) -> None:
    assert numbers(succeed(directory, "numbers", "-g", "g", "-n", 3)) == [0, 1, 2]
    assert committed(directory, "g") == [2, 1]
    assert numbers(succeed(directory, "numbers", "-g", "g", "-w", "n != 4", "-n", 2)) == [3, 5]
    assert committed(directory, "g") == [4, 2]
    assert numbers(succeed(directory, "numbers", "-g", "g")) == [6, 7, 8, 9]
    assert committed(directory, "g") == [6, 4]
    assert succeed(directory, "numbers", "-g", "g") == ""
    assert succeed(directory, "numbers", "-g", "other", "--from", "latest") == ""


def test_members_of_a_group_share_partitions(directory: Path) -> None:
    """The command commits what it wrote before another member gets its partitions."""
    following = follow(directory, "-g", "g")
    assert len(lines_of(following, 10)) == 10
    with (
        ps.open(directory) as log,
        log.producer(linger="0s") as producer,
        log.consumer("numbers", group_id="g", auto_offset_reset="none") as other,
    ):
        deadline = time.monotonic() + LONG
        while len(other.assignment()) != 1 and time.monotonic() < deadline:
            assert other.poll("20ms") == {}
        (mine,) = other.assignment()
        for partition in (0, 1):
            producer.send("numbers", {"n": 10 + partition}, partition=partition).result()
        (record,) = other.poll(f"{LONG}s")[mine]
        assert record["n"] == 10 + mine.partition
        assert lines_of(following, 1)[0]["n"] == 11 - mine.partition
    following.send_signal(signal.SIGTERM)
    following.communicate(timeout=LONG)
    assert following.returncode == 143


def test_group_commits_nothing_that_a_closed_pipe_did_not_take(directory: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    ran = subprocess.run(
        command("consume", directory, "numbers", "-g", "g"),
        stdout=write,
        stderr=subprocess.PIPE,
        env=environment(),
        timeout=LONG,
        check=False,
    )
    os.close(write)
    assert (ran.returncode, ran.stderr) == (141, b"")
    assert committed(directory, "g") == [None, None]


# -- following and ending --------------------------------------------------------------------------


def follow(directory: Path, *arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command("consume", directory, "numbers", "--follow", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )


def lines_of(following: subprocess.Popen[bytes], count: int) -> list[dict[str, Any]]:
    assert following.stdout is not None
    return [json.loads(following.stdout.readline()) for _ in range(count)]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_follow_writes_at_once_and_ends_well_at_a_signal(
    directory: Path, number: int, status: int
) -> None:
    following = follow(directory, "-g", "g")
    assert [row["n"] for row in lines_of(following, 10)] == list(range(10))
    with ps.open(directory) as log, log.producer(linger="0s") as producer:
        producer.send("numbers", {"n": 10}, partition=0)
    assert [row["n"] for row in lines_of(following, 1)] == [10]
    following.send_signal(number)
    out, error = following.communicate(timeout=LONG)
    assert (following.returncode, out, error) == (status, b"", b"")
    assert committed(directory, "g") == [7, 4]


def test_follow_ends_when_its_topic_is_deleted_and_a_group_goes_on(directory: Path) -> None:
    following, member = follow(directory), follow(directory, "-g", "g")
    for process in (following, member):
        assert len(lines_of(process, 10)) == 10
    with ps.open(directory) as log:
        log.delete_topic("numbers")
        out, error = following.communicate(timeout=LONG)
        assert (following.returncode, out) == (1, b"")
        assert b"topic 'numbers' was deleted" in error
        log.create_topic("numbers", {"n": "int64"})
        with log.producer(linger="0s") as producer:
            producer.send("numbers", {"n": 10})
    assert [row["n"] for row in lines_of(member, 1)] == [10]
    member.send_signal(signal.SIGTERM)
    assert member.communicate(timeout=LONG) == (b"", b"")


def test_follow_sees_partitions_that_were_never_used(tmp_path: Path) -> None:
    with ps.open(tmp_path / "data") as log:
        log.create_topic("numbers", {"n": "int64"}, partitions=3)
        following = follow(tmp_path / "data", "-n", 2)
        with log.producer() as producer:
            producer.send("numbers", {"n": 1}, partition=2)
            producer.send("numbers", {"n": 2}, partition=1)
        assert {row["n"] for row in lines_of(following, 2)} == {1, 2}
        assert following.wait(LONG) == 0
        following.communicate()


def test_follow_ends_when_the_reader_of_the_pipe_is_gone(directory: Path) -> None:
    following = follow(directory)
    lines_of(following, 10)
    assert following.stdout is not None
    following.stdout.close()
    deadline = time.monotonic() + LONG
    with ps.open(directory) as log, log.producer(linger="0s") as producer:
        while following.poll() is None and time.monotonic() < deadline:
            producer.send("numbers", {"n": 1}).result()
    assert following.returncode == 141
    assert following.stderr is not None
    assert following.stderr.read() == b""
    following.stderr.close()


def test_interrupted_parquet_file_is_complete(directory: Path, tmp_path: Path) -> None:
    target = tmp_path / "n.parquet"
    following = follow(directory, "-o", target, "-g", "g")
    deadline = time.monotonic() + LONG
    while not target.exists() and time.monotonic() < deadline:
        assert following.poll() is None
    assert committed(directory, "g") == [None, None]
    # The signal may come before the first batch: then the file is complete and has fewer rows.
    following.send_signal(signal.SIGINT)
    following.communicate(timeout=LONG)
    assert following.returncode == 130
    found = pyarrow.parquet.read_table(target)
    assert found["n"].to_pylist() == list(range(len(found)))
    assert sum(offset or 0 for offset in committed(directory, "g")) == len(found)


def test_terminated_while_nobody_reads_the_pipe(directory: Path) -> None:
    """A write that blocks is left after a second; the pipe then has what it took, no more."""
    with ps.open(directory) as log, log.producer() as producer:
        producer.send_batch("numbers", {"n": list(range(100_000))})
    stuck = subprocess.Popen(
        command("consume", directory, "numbers"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(),
    )
    assert stuck.stdout is not None
    assert stuck.stdout.read(1) == b"{"
    stuck.send_signal(signal.SIGTERM)
    assert stuck.wait(LONG) == 143
    stuck.stdout.close()
