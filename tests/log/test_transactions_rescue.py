"""Transactions that their producers leave behind: who completes them, and when."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time

import pytest

import pystream as ps
from pystream.errors import InvalidTransactionStateError, UnknownTransactionError
from pystream.log.catalog.transactions import all_transactions
from pystream.log.transactions import rescue
from pystream.log.transactions import transactions as transactions_module

SECONDS_MAX = 30


@pytest.fixture
def path(tmp_path):
    with ps.open(tmp_path / "data") as log:
        log.create_topic("a", {"n": "int64"}, partitions=2)
        log.create_topic("b", {"n": "int64"})
    return tmp_path / "data"


def run(path, body):
    """Run a program that has begun a transaction and sent to three partitions, and kill it."""
    program = (
        textwrap.dedent("""
        import os, signal, sys
        import pystream as ps
        log = ps.open(sys.argv[1])
        producer = log.producer(transactional_id="t", linger="0s")
        producer.begin_transaction()
        for n in range(2):
            producer.send("a", {"n": n}, partition=n)
        producer.send("b", {"n": 2})
        producer.flush()
        """)
        + textwrap.dedent(body)
        + "\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], timeout=SECONDS_MAX, check=False)


def values(log, *topics):
    with log.consumer(*topics, auto_offset_reset="earliest", timeout="0s") as consumer:
        return sorted(record["n"] for record in consumer)


DECIDED = """
    from pystream.log.transactions import transactions
    transactions.write_markers = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    producer.commit_transaction()
"""
ONE_MARKER = """
    from pystream.log.transactions import rescue, transactions
    done = []
    partition_of = rescue.partition_of
    def one(*args):
        if done:
            os.kill(os.getpid(), signal.SIGKILL)
        done.append(1)
        return partition_of(*args)
    rescue.partition_of = one
    producer.commit_transaction()
"""


@pytest.mark.parametrize(
    ("body", "expected"), [("", []), (DECIDED, [0, 1, 2]), (ONE_MARKER, [0, 1, 2])]
)
def test_who_opens_the_log_completes_what_a_dead_producer_left(path, body, expected):
    run(path, body)
    with ps.open(path) as log:
        assert values(log, "a", "b") == expected
        assert log.transactions() == []
        for name in ("a", "b"):
            for number in range(log.topic(name).partitions):
                assert log.topic(name).native_partition(number).open_transactions() == []


def test_a_reader_that_follows_is_not_held_up_by_a_dead_producer(path):
    with ps.open(path) as log, log.consumer("a", "b", auto_offset_reset="earliest") as consumer:
        run(path, "")
        with log.producer() as plain:
            plain.send("a", {"n": 7}, partition=0)
        deadline = time.monotonic() + SECONDS_MAX
        seen: list[int] = []
        while seen != [7] and time.monotonic() < deadline:
            seen += [r["n"] for records in consumer.poll("1s").values() for r in records]
        assert seen == [7]
        assert log.transactions() == []


def test_a_reader_that_follows_wakes_when_the_transaction_is_committed(path):
    with ps.open(path) as log:
        producer = log.producer(transactional_id="t")
        producer.begin_transaction()
        producer.send("b", {"n": 1}).result()
        with log.consumer("b", auto_offset_reset="earliest") as consumer:
            seen = []
            thread = threading.Thread(target=lambda: seen.append(next(iter(consumer))["n"]))
            thread.start()
            producer.commit_transaction()
            thread.join(SECONDS_MAX)
            assert seen == [1]
        producer.close()


def test_a_producer_that_lives_and_is_stuck_is_aborted_after_its_timeout(path):
    with ps.open(path) as log:
        producer = log.producer(transactional_id="t", transaction_timeout="1h")
        producer.begin_transaction()
        producer.send("b", {"n": 1}).result()
        assert values(log, "b") == []
        assert [found.state for found in log.transactions()] == ["open"]
        with log.catalog.writing() as connection:
            connection.execute("UPDATE transactions SET timeout_us = 0")
        with log.producer() as plain:
            plain.send("b", {"n": 2})
        assert values(log, "b") == [2]
        with pytest.raises(InvalidTransactionStateError, match="was aborted by another process"):
            producer.commit_transaction()
        producer.abort_transaction()
        with producer.transaction():
            producer.send("b", {"n": 3})
        assert values(log, "b") == [2, 3]
        producer.close()


def test_the_timeout_of_a_stuck_producer_elapses_while_a_reader_waits(path):
    with ps.open(path) as log, log.consumer("b", auto_offset_reset="earliest") as consumer:
        begun = time.monotonic()
        producer = log.producer(transactional_id="t", transaction_timeout="300ms")
        producer.begin_transaction()
        producer.send("b", {"n": 1}).result()
        with log.producer() as plain:
            plain.send("b", {"n": 2})
        seen: list[int] = []
        while not seen and time.monotonic() < begun + SECONDS_MAX:
            seen += [r["n"] for records in consumer.poll("10s").values() for r in records]
        assert seen == [2]
        assert time.monotonic() - begun >= 0.3
        with pytest.raises(InvalidTransactionStateError, match=r"transaction_timeout \(0\.3 s\)"):
            producer.commit_transaction()
        producer.close()


def test_an_operator_can_look_at_a_transaction_and_abort_it(path):
    with ps.open(path) as log:
        producer = log.producer(transactional_id="t")
        producer.begin_transaction()
        producer.send("a", {"n": 1}, partition=1).result()
        (listed,) = log.transactions()
        assert (listed.transactional_id, listed.state, listed.is_alive) == ("t", "open", True)
        assert listed.partitions == [("a", 1)]
        described = log.describe_transaction("t")
        assert described == log.describe_transaction(listed.transaction_id)._replace(
            listing=described.listing
        )
        assert described.partitions["a", 1] == (0, 0, 1)
        log.abort_transaction("t")
        assert log.topic("a").ends()[1].end == 2
        with pytest.raises(InvalidTransactionStateError, match="was aborted by another"):
            producer.send("a", {"n": 2}, partition=1).result()
        producer.abort_transaction()
        producer.close()
        with pytest.raises(UnknownTransactionError, match="no transaction 'u'"):
            log.abort_transaction("u")
        with pytest.raises(UnknownTransactionError, match="no transaction 5"):
            log.describe_transaction(5)
        assert log.transactions() == []


def test_a_committed_transaction_cannot_be_aborted_by_hand(path):
    run(path, DECIDED)
    with ps.open(path, read_only=True) as view:
        (found,) = view.transactions()
        assert (found.state, found.is_alive) == ("committed", False)
    with ps.open(path) as log:
        producer = log.producer(transactional_id="t")
        with producer.transaction():
            producer.send("b", {"n": 3})
        with pytest.raises(InvalidTransactionStateError, match="was committed"):
            log.abort_transaction("t")
        producer.close()


def test_too_many_open_transactions_are_refused_by_number(path, monkeypatch):
    monkeypatch.setattr(transactions_module.config, "TRANSACTIONS_MAX", 1)
    with ps.open(path) as log:
        with log.producer(transactional_id="t") as first, first.transaction():
            first.send("b", {"n": 1}).result()
            with log.producer(transactional_id="u") as second:
                second.begin_transaction()
                with pytest.raises(ps.errors.ClientError, match="1 transactions are open"):
                    second.send("b", {"n": 2}).result()
                with pytest.raises(InvalidTransactionStateError, match="only be aborted"):
                    second.commit_transaction()
                second.abort_transaction()
        assert values(log, "b") == [1]


def test_a_name_whose_epochs_run_out_gets_another_producer_id(path, monkeypatch):
    with ps.open(path) as log:
        with log.producer(transactional_id="t") as producer, producer.transaction():
            producer.send("b", {"n": 1})
        with log.catalog.writing() as connection:
            connection.execute("UPDATE producers SET epoch = 2147483630")
            before = connection.execute("SELECT id FROM producers").fetchone()
        with log.producer(transactional_id="t") as producer, producer.transaction():
            producer.send("b", {"n": 2})
        with log.catalog.reading() as connection:
            assert connection.execute("SELECT id FROM producers").fetchone() != before
        assert values(log, "b") == [1, 2]


def test_a_record_that_cannot_be_appended_leaves_only_an_abort(path, monkeypatch):
    with ps.open(path) as log:
        producer = log.producer(transactional_id="t", linger="0s")
        producer.begin_transaction()
        producer.send("b", {"n": 1}).result()
        topics = producer._topics
        monkeypatch.setattr(
            topics, "check", lambda *_: (_ for _ in ()).throw(ps.errors.StorageError("full"))
        )
        sender = producer._sender
        monkeypatch.setattr(sender, "_check_topic", topics.check)
        with pytest.raises(ps.errors.StorageError):
            producer.send("b", {"n": 2}).result()
        monkeypatch.undo()
        for call in (producer.commit_transaction, lambda: producer.send("b", {"n": 3})):
            with pytest.raises(InvalidTransactionStateError, match="can only be aborted"):
                call()
        producer.abort_transaction()
        with producer.transaction():
            producer.send("b", {"n": 4})
        producer.close()
        assert values(log, "b") == [4]


def test_a_transaction_in_the_way_behind_another_is_settled_at_once_too(path):
    """Also by a consumer that does not wait, and was held up a moment ago."""
    with ps.open(path) as log:
        expected = []
        with log.consumer("b", auto_offset_reset="earliest", timeout="0s") as consumer:
            for number in range(20):
                dead = log.producer(transactional_id=f"t{number}", linger="0s")
                dead.begin_transaction()
                dead.send("b", {"n": -1}).result()
                dead._transactions._liveness.close()  # as when its process dies
                with log.producer() as plain:
                    plain.send("b", {"n": number})
                expected.append(number)
            assert [record["n"] for record in consumer] == expected


def test_a_transaction_without_a_row_was_never_decided(path):
    """Its row was lost with the catalog, say, or its writer woke up behind the abort."""
    with ps.open(path) as log:
        producer = log.producer(transactional_id="t", linger="0s")
        producer.begin_transaction()
        producer.send("b", {"n": 1}).result()
        with log.catalog.writing() as connection:
            connection.execute("DELETE FROM transactions")
            connection.execute("DELETE FROM transaction_partitions")
        with log.producer() as plain:
            plain.send("b", {"n": 2})
        assert values(log, "b") == [2]
        with pytest.raises(ps.errors.ClientError):
            producer.commit_transaction()
        producer.abort_transaction()
        producer.close()


def test_a_decision_is_never_taken_back(path):
    """Somebody who saw the transaction open, and aborts it only after it was committed."""
    with ps.open(path) as log:
        producer = log.producer(transactional_id="t", linger="0s")
        producer.begin_transaction()
        producer.send("b", {"n": 1}).result()
        with log.catalog.reading() as connection:
            (seen,) = all_transactions(connection)
        producer.commit_transaction()
        assert rescue.abort_orphan(log, seen) == "committed"
        with log.catalog.reading() as connection:
            (row,) = all_transactions(connection)
        assert row.state == "committed"
        producer.close()
        assert values(log, "b") == [1]
