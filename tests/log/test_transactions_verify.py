"""What verifying says of transactions: torn ones are damage, unfinished ones a note."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import pystream as ps
from pystream._native import OpenTransaction
from pystream.errors import CorruptRecordError, InvalidTransactionStateError
from pystream.log.catalog.transactions import all_transactions, remove_transactions
from pystream.log.repair import repair_log
from pystream.log.transactions.transactions import Transactions
from pystream.log.verify import verify_log
from tests.log.damage import damage_header


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ps.Log]:
    with ps.open(tmp_path / "data") as log:
        log.create_topic("t", {"n": "int64"}, partitions=2)
        yield log


def begin(log: ps.Log) -> ps.Producer:
    """Return a producer with a transaction that has a record in both partitions."""
    producer = log.producer(transactional_id="p", linger="0s")
    producer.begin_transaction()
    for partition in range(2):
        producer.send_batch("t", {"n": [partition]}, partition=partition)
    return producer


def end_in(log: ps.Log, partition: int, *, is_commit: bool) -> None:
    native = log.topic("t").native_partition(partition)
    (found,) = native.open_transactions()
    native.end_transaction(
        found.transaction_id,
        producer_id=found.producer_id,
        producer_epoch=found.producer_epoch + 1,
        is_commit=is_commit,
    )


def kinds(log: ps.Log) -> list[tuple[str, bool]]:
    return [(found.kind, found.is_note) for found in verify_log(log.directory).findings]


def test_an_open_transaction_of_a_living_producer_is_nothing_to_tell(log: ps.Log) -> None:
    producer = begin(log)
    assert kinds(log) == []
    producer.commit_transaction()
    report = verify_log(log.directory)
    assert report.findings == []
    assert [its.records for its in report.partitions] == [1, 1]  # markers are none
    producer.close()


def test_a_decided_transaction_without_its_marker_is_a_note(log: ps.Log) -> None:
    producer = begin(log)
    with log.catalog.writing() as connection:
        connection.execute("UPDATE transactions SET state = 'committed'")
    end_in(log, 0, is_commit=True)
    assert kinds(log) == [("transaction-unfinished", True)]
    end_in(log, 1, is_commit=True)
    assert kinds(log) == []
    producer.close()


def test_partitions_that_contradict_each_other_are_damage(log: ps.Log) -> None:
    producer = begin(log)
    with log.catalog.writing() as connection:
        remove_transactions(connection, [row.id for row in all_transactions(connection)])
    end_in(log, 0, is_commit=True)
    end_in(log, 1, is_commit=False)
    assert kinds(log) == [("transaction-torn", False)]
    producer.close()


def test_a_marker_that_contradicts_the_catalog_is_damage(log: ps.Log) -> None:
    producer = begin(log)
    with log.catalog.writing() as connection:
        connection.execute("UPDATE transactions SET state = 'committed'")
    end_in(log, 0, is_commit=False)
    end_in(log, 1, is_commit=False)
    assert kinds(log) == [("transaction-torn", False)]
    producer.close()


# -- a marker that is lost to damage ---------------------------------------------------------------


def lose_the_marker(directory: Path) -> OpenTransaction:
    """Make a log with a committed record, its marker, which is damaged, and an ordinary record."""
    with ps.open(directory) as log:
        log.create_topic("t", {"n": "int64"})
        with log.producer(transactional_id="p", linger="0s") as producer, producer.transaction():
            producer.send_batch("t", {"n": [1]}, partition=0)
            (found,) = log.topic("t").native_partition(0).open_transactions()
        with log.producer() as producer:
            producer.send_batch("t", {"n": [2]}, partition=0)
        damage_header(log, "t", 1)
    return found


def read(directory: Path, on_corruption: str = "raise") -> list[int]:
    with (
        ps.open(directory) as log,
        log.consumer(
            "t", auto_offset_reset="earliest", timeout="0s", on_corruption=on_corruption
        ) as consumer,
    ):
        return [record["n"] for record in consumer]


def test_repair_sets_aside_what_nobody_knows_to_be_committed(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    lose_the_marker(damaged)
    with pytest.raises(CorruptRecordError):
        read(damaged)
    assert read(damaged, "skip") == [2]
    done = repair_log(damaged, verify_log(damaged))
    assert any("was committed is lost" in step for step in done)
    assert verify_log(damaged).is_clean
    assert read(damaged) == [2]
    assert len(list((damaged / "quarantine").rglob("*.seg"))) == 1


def test_repair_keeps_records_whose_transaction_the_catalog_knows(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    found = lose_the_marker(damaged)
    with ps.open(damaged) as log, log.catalog.writing() as connection:
        connection.execute(
            "INSERT INTO transactions VALUES (?, 'p', ?, ?, 'committed', 0, 0, 0, 0, 0, 0)",
            (found.transaction_id, found.producer_id, found.producer_epoch),
        )
        connection.execute(
            "INSERT INTO transaction_partitions VALUES (?, ?, 0)",
            (found.transaction_id, log.topic("t").description.id),
        )
    repair_log(damaged, verify_log(damaged))
    assert read(damaged) == [1, 2]


# -- Ctrl-C behind the decision --------------------------------------------------------------------


def interrupt_behind_the_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Transactions._end
    hits = [1]

    def end(self: Transactions, *arguments: object, **settings: object) -> None:
        if hits:
            hits.pop()
            raise KeyboardInterrupt
        original(self, *arguments, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(Transactions, "_end", end)


def test_a_commit_that_did_not_return_may_be_called_again(
    log: ps.Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer = begin(log)
    interrupt_behind_the_decision(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        producer.commit_transaction()
    producer.commit_transaction()
    with producer.transaction():
        producer.send("t", {"n": 2}, partition=0)
    producer.close()
    with log.consumer("t", auto_offset_reset="earliest", timeout="0s") as consumer:
        assert sorted(record["n"] for record in consumer) == [0, 1, 2]


def test_an_abort_behind_a_decided_commit_says_that_it_stands(
    log: ps.Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer = begin(log)
    interrupt_behind_the_decision(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        producer.commit_transaction()
    with pytest.raises(InvalidTransactionStateError, match="was committed"):
        producer.abort_transaction()
    producer.close()
    with log.consumer("t", auto_offset_reset="earliest", timeout="0s") as consumer:
        assert sorted(record["n"] for record in consumer) == [0, 1]
