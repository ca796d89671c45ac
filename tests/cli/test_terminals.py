"""Every command on a terminal: what shows progress there has nothing else to fail with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import pystream as ps
from tests.cli.commands import run_on_terminal

LINES = b'{"n": 1}\n{"n": 2}\n'
HIDDEN_CURSOR = "\x1b[?25l"  # of whatever is drawn again and again


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    with ps.open(tmp_path / "data") as log:
        log.create_topic("numbers", {"n": "int64"}, partitions=2, retention="7d")
        with log.producer(transactional_id="writer") as producer, producer.transaction():
            producer.send_batch("numbers", {"n": range(10)})
        with log.consumer("numbers", group_id="readers", auto_offset_reset="earliest") as consumer:
            consumer.poll()
    (tmp_path / "lines.json").write_bytes(LINES)
    return tmp_path / "data"


@pytest.mark.parametrize("files", [(), ("lines.json",), ("-",), ("lines.json", "lines.json")])
def test_produce_shows_how_far_it_is(directory: Path, files: tuple[str, ...]) -> None:
    paths = [name if name == "-" else directory.parent / name for name in files]
    ran = run_on_terminal("produce", directory, "numbers", *paths, stdin=LINES)
    assert ran.returncode == 0, ran.stdout
    assert HIDDEN_CURSOR in ran.stdout
    assert "Producing" in ran.stdout
    assert f"produced {2 * max(len(files), 1)} records to numbers" in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (("consume", "DIR", "numbers", "-o", "OUT"), "Consuming"),
        (("consume", "DIR", "numbers", "-o", "OUT", "--group", "new"), "Consuming"),
        (("run", "JOB", "--live", "--until", "latest"), "10 records"),
        (("verify", "DIR"), "Verifying"),
        (("verify", "DIR", "--repair"), "Verifying"),
    ],
)
def test_what_takes_long_shows_how_far_it_is(
    directory: Path, tmp_path: Path, arguments: tuple[str, ...], shown: str
) -> None:
    job = tmp_path / "job.py"
    job.write_text(
        "import pystream as ps\n"
        f"env = ps.Environment(ps.open({str(directory)!r}))\n"
        "env.from_topic('numbers').sink_to_topic('copy')\n"
    )
    places = {"DIR": str(directory), "OUT": str(tmp_path / "out.json"), "JOB": str(job)}
    ran = run_on_terminal(*(places.get(argument, argument) for argument in arguments))
    assert ran.returncode == 0, ran.stdout
    assert HIDDEN_CURSOR in ran.stdout
    assert shown in ran.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("backup", "DIR", "OUT"),
        ("consume", "DIR", "numbers"),
        ("dump", "TOPIC"),
        ("groups", "list", "DIR"),
        ("groups", "describe", "DIR", "readers"),
        ("groups", "reset", "DIR", "readers", "--to", "earliest"),
        ("groups", "delete", "DIR", "readers"),
        ("topics", "list", "DIR"),
        ("topics", "describe", "DIR", "numbers"),
        ("topics", "create", "DIR", "more"),
        ("topics", "alter", "DIR", "numbers", "--partitions", "3"),
        ("topics", "clean", "DIR"),
        ("topics", "tail", "DIR", "numbers", "-n", "2"),
        ("topics", "tail", "DIR", "numbers", "--json"),
        ("topics", "delete-records", "DIR", "numbers", "--before", "-1", "-y"),
        ("topics", "delete", "DIR", "numbers", "--yes"),
        ("transactions", "list", "DIR"),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_the_others_work_on_a_terminal(
    directory: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    places = {
        "DIR": str(directory),
        "OUT": str(tmp_path / "copy"),
        "TOPIC": str(directory / "numbers"),
    }
    ran = run_on_terminal(*(places.get(argument, argument) for argument in arguments))
    assert ran.returncode == 0, ran.stdout


def test_tail_is_a_table_on_a_terminal_and_json_when_asked(directory: Path) -> None:
    table = run_on_terminal("topics", "tail", directory, "numbers", "-n", "3").stdout.split()
    assert table[0] == "n"
    assert set(table[1:]) < {str(number) for number in range(10)}
    lines = run_on_terminal("topics", "tail", directory, "numbers", "-n", "3", "--json").stdout
    rows = [json.loads(line) for line in lines.splitlines()]
    assert sorted(row["n"] for row in rows) == sorted(int(text) for text in table[1:])
