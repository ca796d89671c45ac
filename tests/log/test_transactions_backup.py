"""A backup holds transactions whole or not at all, whatever goes on meanwhile."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

import pystream as ps
from pystream.log import backup as backup_module

PARTITIONS = 3


def numbers(log: ps.Log) -> dict[int, int]:
    found: dict[int, int] = {}
    with log.consumer("t", auto_offset_reset="earliest", timeout="0s") as consumer:
        for record in consumer:
            found[record["n"]] = found.get(record["n"], 0) + 1
    return found


def test_a_backup_made_between_transactions_tears_none(tmp_path: Path) -> None:
    with ps.open(tmp_path / "data") as log:
        log.create_topic("t", {"n": "int64"}, partitions=PARTITIONS)
        log.consumer("t", group_id="g", enable_auto_commit=False).close()
        is_over = threading.Event()

        def write() -> None:
            with log.producer(transactional_id="w", linger="0s") as producer:
                number = 0
                while not is_over.is_set():
                    number += 1
                    with producer.transaction():
                        for partition in range(PARTITIONS):
                            producer.send("t", {"n": number}, partition=partition)
                        producer.flush()
                        end = log.topic("t").ends()[0].end
                        producer.send_offsets_to_transaction({("t", 0): end}, "g")

        thread = threading.Thread(target=write)
        thread.start()
        for number in range(5):
            log.backup(tmp_path / f"copy-{number}")
        is_over.set()
        thread.join()
    for number in range(5):
        with ps.open(tmp_path / f"copy-{number}") as copy:
            found = numbers(copy)
            assert set(found.values()) <= {PARTITIONS}
            assert sorted(found) == list(range(1, len(found) + 1))
            assert copy.transactions() == []
            native = copy.topic("t").native_partition(0)
            assert native.open_transactions() == []
            committed = copy.describe_group("g").partitions.get(("t", 0))
            if found:
                assert committed is not None
                # Behind the last transaction's record in this partition, before its marker.
                stored = [r.offset for r in records_of(copy)]
                assert committed.committed == stored[-1] + 1


def records_of(log: ps.Log) -> list[ps.Record]:
    with log.consumer(timeout="0s") as consumer:
        consumer.assign([("t", 0)])
        consumer.seek_to_beginning()
        return list(consumer)


def test_a_read_only_log_waits_for_a_moment_without_a_decision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ps.open(tmp_path / "data") as log:
        log.create_topic("t", {"n": "int64"})
        producer = log.producer(transactional_id="w", linger="0s")
        producer.begin_transaction()
        producer.send("t", {"n": 1}).result()
        with ps.open(tmp_path / "data", read_only=True) as view:
            original, commits = backup_module._is_whole, [producer.commit_transaction]

            def decided_meanwhile(*arguments: object) -> bool:
                if commits:
                    commits.pop()()
                return original(*arguments)  # type: ignore[arg-type]

            monkeypatch.setattr(backup_module, "_is_whole", decided_meanwhile)
            view.backup(tmp_path / "copy")
        producer.close()
    with ps.open(tmp_path / "copy") as copy:
        assert numbers(copy) == {1: 1}
