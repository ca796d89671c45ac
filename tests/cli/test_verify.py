"""The commands verify and dump: what they print, and their exit statuses."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

import pystream as ps
from pystream.cli.commands import app
from pystream.cli.dump import Range, dump, segment_paths
from pystream.errors import ConfigError, CorruptRecordError, LogError
from tests.cli.commands import run_on_terminal
from tests.log.damage import damage_body, damage_header, flip, segment_files

WIDE = {"COLUMNS": "200", "TERM": "dumb"}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Three batches of two records with headers, and a topic of Kafka's shape; closed."""
    with ps.open(tmp_path / "data") as log:
        log.create_topic("orders", {"user": "string", "n": "int64", "blob": "binary"}, key="user")
        log.create_topic("lines")
        with log.producer() as producer:
            for i in range(3):
                for user in ("ann", "bob"):
                    producer.send(
                        "orders",
                        {"user": user, "n": i, "blob": b"\xff\x00" if i else None},
                        timestamp=1_700_000_000_000_000 + i,
                        headers=[("trace", b"t")] if i == 1 else None,
                    )
                producer.flush()
            producer.send("lines", b"value", key=b"key")
    return tmp_path / "data"


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=WIDE)


def damage(directory: Path, batch: int, how: Any = damage_header) -> Path:
    with ps.open(directory) as log:
        how(log, "orders", batch)
        return segment_files(log, "orders")[0]


def test_verify_of_a_clean_log_exits_with_0(directory: Path) -> None:
    ran = run("verify", directory)
    assert ran.exit_code == 0
    assert "clean" in ran.output
    assert "orders" in ran.output


def test_verify_cuts_nothing_in_a_pipe_and_folds_on_a_narrow_terminal(tmp_path: Path) -> None:
    name = "a" + 120 * "x"
    with ps.open(tmp_path / "data") as log:
        log.create_topic(name)
        with log.producer() as producer:
            producer.send(name, b"value")
    narrow = {**WIDE, "COLUMNS": "60"}
    ran = CliRunner().invoke(app, ["verify", str(tmp_path / "data")], env=narrow)
    heading, line, *_ = ran.output.splitlines()
    assert heading.split()[0] == "topic"
    assert line.split()[0] == name
    assert len(line) == len(heading)
    shown = run_on_terminal("verify", tmp_path / "data").stdout
    assert "…" not in shown
    assert shown.count("x") >= 120


def test_verify_shows_what_where_and_what_to_do_and_exits_with_1(directory: Path) -> None:
    path = damage(directory, 1)
    ran = run("verify", directory)
    assert ran.exit_code == 1
    assert "corrupt-records" in ran.output
    assert f"at {path}, byte" in ran.output
    assert "offsets 2 to 3" in ran.output
    assert "--repair" in ran.output
    assert "1 found" in ran.output


def test_verify_prints_json_for_programs(directory: Path) -> None:
    damage(directory, 1)
    ran = run("verify", directory, "--json")
    report = json.loads(ran.output)
    assert ran.exit_code == 1
    assert report["is_clean"] is False
    assert report["directory"] == str(directory)
    (finding,) = report["findings"]
    assert finding["kind"] == "corrupt-records"
    assert (finding["topic"], finding["partition"]) == ("orders", 0)
    assert (finding["offset"], finding["next_offset"]) == (2, 4)
    assert {p["topic"]: p["lost_records"] for p in report["partitions"]} == {
        "orders": 2,
        "lines": 0,
    }


def test_verify_of_something_else_exits_with_2(tmp_path: Path) -> None:
    ran = run("verify", tmp_path)
    assert ran.exit_code == 2
    assert "is not a log" in ran.output
    assert run("verify", tmp_path / "missing").exit_code == 2


def test_repair_leaves_a_clean_log(directory: Path) -> None:
    damage(directory, 1, damage_body)
    ran = run("verify", directory, "--repair")
    assert ran.exit_code == 0
    assert "repaired" in ran.output
    assert "quarantine" in ran.output
    assert run("verify", directory).exit_code == 0
    again = run("verify", directory, "--repair", "--json")
    assert json.loads(again.output)["actions"] == []


def test_repair_of_a_log_in_use_is_refused(directory: Path) -> None:
    damage(directory, 1)
    with ps.open(directory):
        program = "from pystream.cli.main import main; main()"
        command = [sys.executable, "-c", program, "verify", str(directory), "--repair"]
        ran = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, **WIDE},
        )
    assert ran.returncode == 2
    assert "is open in another process" in ran.stderr


def test_dump_shows_records_as_text(directory: Path) -> None:
    ran = run("dump", directory / "orders" / "0")
    assert ran.exit_code == 0
    assert "batch at" in ran.output
    assert "0 2023-11-14T22:13:20+00:00 user='ann' n=0 blob=None" in ran.output
    assert "headers=[('trace', b't')]" in ran.output
    assert "sequence" not in ran.output


def test_dump_shows_heads_and_tables(directory: Path) -> None:
    ran = run("dump", directory / "orders", "--headers")
    for text in ("incarnation 1", "schema 1: user: string", "sequence 1,", "user: plain, 0 nulls"):
        assert text in ran.output
    assert "n: constant, 0 nulls" in ran.output or "n: plain, 0 nulls" in ran.output
    assert "values at" in ran.output


def test_dump_selects_offsets(directory: Path) -> None:
    ran = run("dump", directory / "orders", "--offsets", "1:3", "--format", "json")
    rows = [json.loads(line) for line in ran.output.splitlines()]
    assert [row["offset"] for row in rows] == [1, 2]
    assert rows[0] == {
        "kind": "record",
        "partition": 0,
        "offset": 1,
        "timestamp": 1_700_000_000_000_000,
        "headers": [],
        "value": {"user": "bob", "n": 0, "blob": None},
    }
    assert rows[1]["headers"] == [["trace", "dA=="]]
    assert rows[1]["value"]["blob"] == "/wA="


def test_dump_gives_json_of_heads(directory: Path) -> None:
    ran = run("dump", directory / "lines", "--format", "json", "--headers")
    segment, batch, record = [json.loads(line) for line in ran.output.splitlines()]
    assert (segment["kind"], segment["base_offset"]) == ("segment", 0)
    assert (batch["kind"], batch["base_offset"], batch["next_offset"]) == ("batch", 0, 1)
    assert record["value"] == {"key": "a2V5", "value": "dmFsdWU="}


def test_dump_gives_an_arrow_stream(directory: Path, tmp_path: Path) -> None:
    target = tmp_path / "orders.arrow"
    ran = run("dump", directory / "orders", "--format", "arrow", "--output", target)
    assert ran.exit_code == 0
    table = pa.ipc.open_stream(target.read_bytes()).read_all()
    assert table.column_names == ["_offset", "_partition", "_timestamp", "user", "n", "blob"]
    assert table.column("_offset").to_pylist() == list(range(6))
    assert table.column("user").to_pylist() == ["ann", "bob"] * 3
    assert table.column("n").to_pylist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("how", [damage_header, damage_body])
def test_dump_shows_damage_in_its_place(directory: Path, how: Any) -> None:
    damage(directory, 1, how)
    ran = run("dump", directory / "orders")
    assert ran.exit_code == 1
    lines = ran.output.splitlines()
    (at,) = [i for i, line in enumerate(lines) if "DAMAGED" in line]
    assert "offsets 2 to 3" in lines[at]
    assert any(line.startswith("  1 ") for line in lines[:at])
    assert any(line.startswith("  4 ") for line in lines[at:])
    ran = run("dump", directory / "orders", "--format", "json")
    kinds = [json.loads(line)["kind"] for line in ran.output.splitlines()]
    expected = "damage" if how is damage_header else "damaged-batch"
    assert kinds == ["record", "record", expected, "record", "record"]
    with pytest.raises(CorruptRecordError):
        dump(
            segment_paths(directory / "orders"),
            io.BytesIO(),
            form="arrow",
            offsets=Range(),
            with_headers=False,
        )


def test_dump_works_on_a_lone_segment_file(directory: Path, tmp_path: Path) -> None:
    with ps.open(directory) as log:
        path = segment_files(log, "orders")[0]
    shutil.copyfile(path, tmp_path / "alone")
    assert run("dump", tmp_path / "alone").output.count("user=") == 6
    flip(tmp_path / "alone", 100)
    ran = run("dump", tmp_path / "alone")
    assert ran.exit_code == 1
    assert f"DAMAGED: the segment {tmp_path / 'alone'} cannot be read" in ran.output


def test_dump_of_a_file_that_is_no_segment_says_so(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "env.sh").write_text("export A=1\n")
    for place in (tmp_path / "env.sh", directory / "order"):
        ran = run("dump", place)
        assert ran.exit_code == 1
        assert f"{place} is no segment file" in ran.output
    (tmp_path / "short.seg").write_bytes(b"")
    assert "short.seg cannot be read: it is too short" in run("dump", tmp_path / "short.seg").output


def test_dump_takes_any_number_as_an_offset(directory: Path) -> None:
    far = "99999999999999999999"
    assert "user=" not in run("dump", directory / "orders", "--offsets", f"{far}:").output
    assert run("dump", directory / "orders", "--offsets", f"4:{far}").output.count("user=") == 2
    assert run("dump", directory / "orders", "--offsets", f"{5000 * '9'}:").exit_code == 1


def test_dump_of_nothing_says_so(directory: Path, tmp_path: Path) -> None:
    for place, message in (
        (tmp_path, "there is no segment"),
        (directory, "is a whole log"),
        (directory / "unknown", "nor a topic of that name"),
    ):
        with pytest.raises(LogError, match=message):
            segment_paths(place)
    ran = run("dump", directory / "orders", "--offsets", "5")
    assert ran.exit_code == 1
    assert "begin:end" in ran.output
    with pytest.raises(ConfigError):
        Range.parse("a:b")
