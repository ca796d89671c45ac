"""Compaction beside others: backups, several processes, damage elsewhere, and a log that closes."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import pystream as ps
from pystream import config, errors
from pystream.log import backup as backup_module
from pystream.log import retention as retention_module
from pystream.log.retention import retention_lock
from pystream.log.verify import verify_log
from tests.log.forked import start
from tests.oracle.compaction import table

COLUMNS = {"user": "string", "n": "int64"}


def make(log: ps.Log, *topics: str) -> None:
    for topic in topics:
        log.create_topic(topic, COLUMNS, key="user", cleanup_policy="compact")


def send(log: ps.Log, topic: str, *rows: tuple[str, int | None]) -> None:
    """Send rows that begin a segment."""
    log.topic(topic).native_partition(0).end_segment()
    with log.producer(acks="published") as producer:
        producer.send_batch(topic, [{"user": user, "n": n} for user, n in rows])


def read(log: ps.Log, topic: str) -> list[tuple[int, str, int | None]]:
    with log.consumer(topic, auto_offset_reset="earliest", timeout="0s") as consumer:
        return [(record.offset, record["user"], record["n"]) for record in consumer]


def state(log: ps.Log, topic: str) -> dict[str, int]:
    return table((user, n) for _, user, n in read(log, topic))


def test_a_backup_that_a_compaction_overtakes_is_made_again(
    log: ps.Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(log, "users")
    send(log, "users", ("ann", 1), ("bob", 2))
    cuts: list[int] = []
    take_cut = backup_module._take_cut

    def overtaken(*arguments: Any) -> Any:
        taken = take_cut(*arguments)
        if not cuts:  # behind the first cut, all that it has of ann is replaced
            send(log, "users", ("ann", 3))
            send(log, "users", ("x", 0))
            log.apply_retention("users")
        cuts.append(taken[0])
        return taken

    monkeypatch.setattr(backup_module, "_take_cut", overtaken)
    with ps.open(log.directory, read_only=True) as reader:
        done = reader.backup(tmp_path / "copy")
    assert len(cuts) == 2
    assert not [found for found in verify_log(done.directory).findings if not found.is_note]
    with ps.open(done.directory) as copy:
        assert read(copy, "users") == read(log, "users")
        assert state(copy, "users") == {"ann": 3, "bob": 2, "x": 0}


def test_a_backup_that_is_overtaken_again_and_again_says_so_and_leaves_nothing(
    log: ps.Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(log, "users")
    send(log, "users", ("ann", 0))
    take_cut = backup_module._take_cut

    def overtaken(*arguments: Any) -> Any:
        taken = take_cut(*arguments)
        send(log, "users", ("ann", 3))
        send(log, "users", ("x", 0))
        log.apply_retention("users")
        return taken

    monkeypatch.setattr(backup_module, "_take_cut", overtaken)
    target = tmp_path / "copy"
    with (
        ps.open(log.directory, read_only=True) as reader,
        pytest.raises(errors.LogError, match="overtaken by compactions, 10 times"),
    ):
        reader.backup(target)
    assert not target.exists()


def test_a_backup_holds_compactions_up(log: ps.Log, tmp_path: Path) -> None:
    make(log, "users")
    copy_topics = backup_module._copy_topics
    held: list[bool] = []

    def look(*arguments: Any) -> Any:
        lock = retention_lock(log.directory)
        held.append(not lock.try_acquire())
        lock.close()
        return copy_topics(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backup_module, "_copy_topics", look)
        log.backup(tmp_path / "copy")
    assert held == [True]
    lock = retention_lock(log.directory)
    assert lock.try_acquire()
    lock.close()


def test_a_transaction_whose_producer_is_dead_does_not_hold_compactions_up(log: ps.Log) -> None:
    make(log, "users")
    directory = log.directory

    def die() -> None:
        with ps.open(directory) as mine:
            producer = mine.producer(transactional_id="t")
            producer.begin_transaction()
            producer.send_batch("users", [{"user": "ann", "n": 0}])
            os.kill(os.getpid(), signal.SIGKILL)

    os.waitpid(start(die), 0)
    for n in (1, 2):
        send(log, "users", ("ann", n))
    (done,) = log.apply_retention()
    assert done.compacted_records == 1  # the aborted one
    assert log.transactions() == []
    assert state(log, "users") == {"ann": 2}


def test_damage_in_one_topic_costs_no_other(log: ps.Log) -> None:
    make(log, "first", "second")
    for topic in ("first", "second"):
        send(log, topic, ("ann", 1), ("ann", 2))
        send(log, topic, ("x", 0))
    place = Path(log.directory) / "topics" / log.topic("first").description.id.hex() / "0"
    path = min(place.glob("*.seg"))
    log.close()
    data = bytearray(path.read_bytes())
    data[8192 + 40] ^= 1
    path.write_bytes(data)
    with ps.open(log.directory) as again:
        with pytest.raises(errors.CorruptRecordError, match="first-0 cannot be compacted"):
            again.apply_retention()
        assert read(again, "second") == [(1, "ann", 2), (2, "x", 0)]


def test_a_topic_that_is_deleted_while_it_is_compacted_is_left_out(
    log: ps.Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(log, "first", "second")
    for topic in ("first", "second"):
        send(log, topic, ("ann", 1), ("ann", 2))
        send(log, topic, ("x", 0))
    compact = retention_module._compact

    def deleted(topic: ps.Topic, *arguments: Any, **settings: Any) -> Any:
        if topic.name == "first":
            log.delete_topic("first")
        return compact(topic, *arguments, **settings)

    monkeypatch.setattr(retention_module, "_compact", deleted)
    done = log.apply_retention()
    assert [(its.topic, its.compacted_records) for its in done][-1:] == [("second", 1)]
    assert log.topics() == ["second"]


def test_processes_that_compact_at_once_take_turns(log: ps.Log, tmp_path: Path) -> None:
    make(log, "users")
    rows = [(f"user {n % 7}", None if n % 5 == 0 else n) for n in range(200)]
    for begin in range(0, len(rows), 10):
        send(log, "users", *rows[begin : begin + 10])
    directory = log.directory
    log.close()

    def compact() -> None:
        with ps.open(directory) as mine:
            for _ in range(5):
                mine.apply_retention("users")
                send(mine, "users", ("x", 0))

    children = [start(compact) for _ in range(3)]
    for child in children:
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
    with ps.open(directory) as again:
        again.apply_retention("users")
        assert state(again, "users") == {**table(rows), "x": 0}
        offsets = [offset for offset, _, _ in read(again, "users")]
        assert offsets == sorted(set(offsets))
    assert verify_log(directory).is_clean


def test_the_background_compacts(log: ps.Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "RETENTION_CHECK_INTERVAL", "1ms")
    make(log, "users")
    send(log, "users", ("ann", 1), ("ann", 2))
    send(log, "users", ("x", 0))
    deadline = time.monotonic() + 60
    while read(log, "users") != [(1, "ann", 2), (2, "x", 0)]:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_closing_ends_a_compaction_of_the_background_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "RETENTION_CHECK_INTERVAL", "1ms")
    has_begun = threading.Event()
    compact = retention_module._compact
    log = ps.open(tmp_path / "log")

    def waits(*arguments: Any, **settings: Any) -> Any:
        has_begun.set()
        assert log._upkeep._stopping.wait(60)
        return compact(*arguments, **settings)

    monkeypatch.setattr(retention_module, "_compact", waits)
    make(log, "users")
    send(log, "users", ("ann", 1), ("ann", 2))
    send(log, "users", ("x", 0))
    assert has_begun.wait(60)
    log.close()
    monkeypatch.undo()
    with ps.open(tmp_path / "log") as log:
        assert len(read(log, "users")) == 3  # nothing was done
        log.apply_retention()
        assert len(read(log, "users")) == 2
