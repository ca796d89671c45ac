"""The commands `pystream transactions ...`, and what other commands show of transactions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import pystream as ps
from pystream.errors import InvalidTransactionStateError
from tests.cli.commands import run, words


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ps.Log]:
    with ps.open(tmp_path / "data") as log:
        log.create_topic("t", {"n": "int64"}, partitions=2)
        yield log


@pytest.fixture
def producer(log: ps.Log) -> Iterator[ps.Producer]:
    """Has a transaction open, with one record."""
    with log.producer(transactional_id="nightly", linger="0s") as producer:
        producer.begin_transaction()
        producer.send("t", {"n": 1}, partition=1).result()
        yield producer


def succeed(*arguments: object) -> str:
    ran = run("transactions", *arguments)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    return ran.stdout


def test_list_tells_state_owner_and_partitions(log: ps.Log, producer: ps.Producer) -> None:
    heading, line = succeed("list", log.directory).splitlines()
    assert heading.split("  ")[0] == "transactional id"
    assert line.split()[0] == "nightly"
    assert {"open", "yes", "t-1"} <= set(line.split())
    (found,) = json.loads(succeed("list", log.directory, "--json"))
    assert (found["state"], found["is_alive"], found["partitions"]) == ("open", True, [["t", 1]])
    assert succeed("list", log.directory).startswith("transactional id")


def test_describe_tells_how_far_readers_come(log: ps.Log, producer: ps.Producer) -> None:
    said = words(succeed("describe", log.directory, "nightly"))
    assert "nightly: transaction" in said
    assert "open, process" in said
    assert "t 1 0 0 1" in said
    (found,) = log.transactions()
    facts = json.loads(succeed("describe", log.directory, str(found.transaction_id), "--json"))
    assert facts["partitions"] == [
        {
            "topic": "t",
            "partition": 1,
            "first_offset": 0,
            "last_stable_offset": 0,
            "log_end_offset": 1,
        }
    ]


def test_abort_ends_it_and_its_producer_learns_of_it(log: ps.Log, producer: ps.Producer) -> None:
    assert succeed("abort", log.directory, "nightly") == "aborted nightly\n"
    with pytest.raises(InvalidTransactionStateError, match="aborted by another process"):
        producer.commit_transaction()
    producer.abort_transaction()
    assert log.topic("t").ends()[1].end == 2


def test_unknown_transactions_are_errors(log: ps.Log) -> None:
    for command in ("describe", "abort"):
        ran = run("transactions", command, log.directory, "nobody")
        assert (ran.returncode, ran.stdout) == (1, "")
        assert "there is no transaction 'nobody'" in words(ran.stderr)


def test_dump_and_verify_show_markers(log: ps.Log, producer: ps.Producer) -> None:
    producer.commit_transaction()
    producer.begin_transaction()
    producer.send("t", {"n": 2}, partition=1).result()
    producer.abort_transaction()
    log.topic("t").native_partition(1).sync()
    shown = run("dump", f"{log.directory}/t/1").stdout
    assert "transactional, transaction" in shown
    assert shown.count("was committed") == shown.count("was aborted") == 1
    dumped = run("dump", f"{log.directory}/t/1", "--format", "json").stdout
    lines = [json.loads(line) for line in dumped.splitlines()]
    assert [(line["kind"], line["offset"]) for line in lines] == [
        ("record", 0),
        ("marker", 1),
        ("record", 2),
        ("marker", 3),
    ]
    assert [line.get("is_commit") for line in lines] == [None, True, None, False]
    assert run("verify", log.directory).returncode == 0
