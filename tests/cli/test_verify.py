"""The command verify: what it prints, and its exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import pystream as ps
from pystream.cli.commands import app
from tests.log.damage import damage_body, damage_header, segment_files

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
