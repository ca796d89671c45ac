"""The commands `pystream groups ...`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import pystream as ps
from tests.cli.commands import run, words


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Ten records in each of two partitions, of which a group has read three in all."""
    with ps.open(tmp_path / "data") as log:
        log.create_topic("t", {"n": "int64"}, partitions=2)
        with log.producer() as producer:
            for partition in (0, 1):
                producer.send_batch("t", {"n": list(range(10))}, partition=partition)
    assert run("consume", tmp_path / "data", "t", "-g", "billing", "-n", 3).returncode == 0
    return tmp_path / "data"


def succeed(*arguments: object) -> str:
    ran = run("groups", *arguments)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    return ran.stdout


def refusal(*arguments: object) -> str:
    ran = run("groups", *arguments)
    assert (ran.returncode, ran.stdout) == (1, "")
    return words(ran.stderr)


def test_list_tells_members_and_lag(directory: Path) -> None:
    assert [line.split() for line in succeed("list", directory).splitlines()] == [
        ["group", "state", "members", "partitions", "lag"],
        ["billing", "empty", "0", "2", "17"],
    ]
    (group,) = json.loads(succeed("list", directory, "--json"))
    assert group == {"group": "billing", "state": "empty", "members": 0, "partitions": 2, "lag": 17}


def test_reset_goes_to_a_time(directory: Path) -> None:
    assert "t 0 10 t 1 10" in words(
        succeed("reset", directory, "billing", "--to-datetime", "3000-01-31T12:00:00Z")
    )
    assert "t 0 0 t 1 0" in words(succeed("reset", directory, "billing", "--to-datetime", "-1h"))
    assert "--to-datetime is 'noon'. Write a time such as" in refusal(
        "reset", directory, "billing", "--to-datetime", "noon"
    )
    assert "Pass one of --to, --to-datetime" in refusal(
        "reset", directory, "billing", "--to", "latest", "--to-datetime", "-1h"
    )


def test_describe_tells_offsets_and_who_owns_what(directory: Path) -> None:
    assert "t 0 3 10 7" in words(succeed("describe", directory, "billing"))
    with ps.open(directory) as log, log.consumer("t", group_id="billing"):
        text = words(succeed("describe", directory, "billing"))
        assert "stable" in text
        assert "t-0, t-1" in text
        found = json.loads(succeed("describe", directory, "billing", "--json"))
        (member,) = found["members"]
        assert member["assignment"] == [["t", 0], ["t", 1]]
        assert {part["member"] for part in found["partitions"]} == {member["member"]}
        for change in (
            ("reset", directory, "billing", "--to", "earliest"),
            ("delete", directory, "billing"),
        ):
            assert "member" in refusal(*change)


def test_reset_moves_a_group(directory: Path, tmp_path: Path) -> None:
    assert "t 0 0 t 1 0" in words(succeed("reset", directory, "billing", "--to", "earliest"))
    assert run("consume", directory, "t", "-g", "billing").stdout.count("\n") == 20
    succeed("reset", directory, "billing", "--shift-by", "-2")
    assert run("consume", directory, "t", "-g", "billing").stdout.count("\n") == 4
    (tmp_path / "offsets").write_text("t,0,9\nt,1,10\n")
    succeed("reset", directory, "billing", "--from-file", tmp_path / "offsets")
    assert run("consume", directory, "t", "-g", "billing").stdout == '{"n": 9}\n'
    assert "Pass one of --to" in refusal("reset", directory, "billing")


def test_delete_and_unknown_groups(directory: Path) -> None:
    assert succeed("delete", directory, "billing") == "deleted billing\n"
    assert succeed("list", directory).split() == ["group", "state", "members", "partitions", "lag"]
    for command in ("describe", "delete"):
        assert "'billing'" in refusal(command, directory, "billing")
    assert "--to" not in refusal("reset", directory, "billing", "--to", "latest")


def test_what_changes_a_group_tells_programs_in_json(directory: Path) -> None:
    moved = json.loads(succeed("reset", directory, "billing", "--to", "latest", "--json"))
    assert moved == [
        {"topic": "t", "partition": 0, "offset": 10},
        {"topic": "t", "partition": 1, "offset": 10},
    ]
    assert json.loads(succeed("delete", directory, "billing", "--json")) == {"group": "billing"}
    assert json.loads(succeed("list", directory, "--json")) == []
