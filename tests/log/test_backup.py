"""Backups of a log in use, and the logs that they become when they are opened."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pystream as ps
from pystream import TopicPartition, errors
from pystream.log import backup as backup_module
from pystream.log.findings import Finding
from pystream.log.verify import verify_log
from tests.log.reading import batches_of, rows_of


def append(log: ps.Log, topic: str, *numbers: int, partition: int = 0) -> None:
    with log.producer() as producer:
        producer.send_batch(topic, {"n": list(numbers)}, partition=partition)


def numbers(log: ps.Log, topic: str, partition: int | None = None) -> list[int]:
    return [row["n"] for row in rows_of(log, topic, partition)]


def values_of(log: ps.Log, partition: int) -> range:
    """Return the numbers of a partition, which must rise by one from 0."""
    columns = [batch["n"].to_numpy() for batch in batches_of(log, "t", partition)]
    values = np.concatenate(columns) if columns else np.array([], dtype="int64")
    assert np.array_equal(values, np.arange(len(values)))
    return range(len(values))


def damage_of(directory: str) -> list[Finding]:
    """Return what is wrong with a log; notes aside, such as that of a missing order file."""
    return [found for found in verify_log(directory).findings if not found.is_note]


def test_backup_is_a_log_of_its_own(log: ps.Log, tmp_path: Path) -> None:
    log.create_topic("t", {"n": "int64"}, partitions=2, key="n", compression="lz4")
    append(log, "t", 1, 2)
    append(log, "t", 3, partition=1)
    log.alter_topic("t", add_columns={"note": "string"})
    done = log.backup(tmp_path / "copy")
    assert (done.directory, done.topics, done.partitions) == (str(tmp_path / "copy"), 1, 2)
    append(log, "t", 4)
    assert damage_of(done.directory) == []
    with ps.open(done.directory) as copy:
        assert copy.topics() == ["t"]
        assert copy.topic("t").schema == log.topic("t").schema
        assert (copy.topic("t").key, copy.topic("t").compression) == (("n",), "lz4")
        assert rows_of(copy, "t") == [{"n": n, "note": None} for n in (1, 2, 3)]
        # Both go on, each for itself.
        append(copy, "t", 50)
        append(log, "t", 5)
        assert numbers(copy, "t", 0) == [1, 2, 50]
        assert numbers(log, "t", 0) == [1, 2, 4, 5]
        assert [ends.end for ends in copy.topic("t").ends()] == [3, 1]
        assert copy.native.frontier([])[0] > log.native.frontier([])[0]
    with ps.open(done.directory) as again:
        assert numbers(again, "t", 0) == [1, 2, 50]
    assert damage_of(done.directory) == []


def test_complete_segments_are_shared_and_the_last_one_is_not(log: ps.Log, tmp_path: Path) -> None:
    log.create_topic("t", {"data": "binary"}, segment_bytes="1MiB")
    with log.producer() as producer:
        for _ in range(5):
            producer.send_batch("t", {"data": [os.urandom(400_000)]})
    done = log.backup(tmp_path / "copy")
    assert done.linked_bytes > 0
    segments = sorted((tmp_path / "copy").rglob("*.seg"))
    assert len(segments) > 1
    assert [path.stat().st_nlink for path in segments] == [*[2] * (len(segments) - 1), 1]
    kept = rows_of(log, "t")
    log.delete_topic("t")
    with ps.open(done.directory) as copy:
        assert rows_of(copy, "t") == kept


def test_without_links_everything_is_copied(log: ps.Log, tmp_path: Path) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system to write to")
    log.create_topic("t", {"data": "binary"}, segment_bytes="1MiB")
    with log.producer() as producer:
        for _ in range(5):
            producer.send_batch("t", {"data": [os.urandom(400_000)]})
    target = other / f"pystream-backup-{os.getpid()}"
    try:
        done = log.backup(target)
        assert (done.linked_bytes, done.copied_bytes > 2_000_000) == (0, True)
        with ps.open(target) as copy:
            assert rows_of(copy, "t") == rows_of(log, "t")
    finally:
        backup_module._remove(str(target), is_made=True)


def test_backups_while_writers_and_a_committing_reader_run(log: ps.Log, tmp_path: Path) -> None:
    """Each is a prefix of every partition, and no committed offset is beyond it."""
    log.create_topic("t", {"n": "int64"}, partitions=2, segment_bytes="1MiB")
    total = 1_000_000

    def write(partition: int) -> None:
        with log.producer() as producer:
            for begin in range(0, total, 5000):
                values = np.arange(begin, begin + 5000)
                producer.send_batch("t", {"n": values}, partition=partition)

    def read() -> None:
        left = 2 * total
        with log.consumer("t", group_id="g", auto_offset_reset="earliest") as consumer:
            for batch in consumer.batches(timeout="60s"):
                consumer.commit()
                left -= len(batch)
                if left == 0:
                    return

    threads = [threading.Thread(target=write, args=(p,)) for p in range(2)]
    threads.append(threading.Thread(target=read))
    for thread in threads:
        thread.start()
    try:
        for number in range(3):
            done = log.backup(tmp_path / f"copy-{number}")
            with ps.open(done.directory) as copy:
                for partition, ends in enumerate(copy.topic("t").ends()):
                    assert values_of(copy, partition) == range(ends.end)
                    place = TopicPartition("t", partition)
                    with copy.consumer(group_id="g") as consumer:
                        assert (consumer.committed(place) or 0) <= ends.end
                    with copy.producer() as producer:
                        values = {"n": np.array([ends.end])}
                        (appended,) = producer.send_batch("t", values, partition=partition)
                    assert appended.base_offset == ends.end
                    assert values_of(copy, partition) == range(ends.end + 1)
    finally:
        for thread in threads:
            thread.join()
    assert [values_of(log, partition) for partition in range(2)] == [range(total)] * 2


def test_target_that_is_not_empty_is_refused(log: ps.Log, tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").write_text("mine")
    with pytest.raises(errors.ConfigError, match="not empty"):
        log.backup(tmp_path / "used")
    assert (tmp_path / "used" / "file").read_text() == "mine"
    for inside in (log.directory, Path(log.directory) / "backup"):
        with pytest.raises(errors.ConfigError, match="in the log"):
            log.backup(inside)
    with pytest.raises(errors.StorageError, match="file"):
        log.backup(tmp_path / "used" / "file" / "below")
    log.backup(tmp_path / "new")
    with pytest.raises(errors.ConfigError, match="not empty"):
        log.backup(tmp_path / "new")


def test_unfinished_backup_is_no_log(
    log: ps.Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.create_topic("t", {"n": "int64"})
    append(log, "t", 1)
    copy = tmp_path / "copy"

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    # A process that is killed cleans nothing up; one that fails leaves nothing.
    with monkeypatch.context() as patch:
        patch.setattr(backup_module, "sync_path", die)
        patch.setattr(backup_module, "_remove", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            log.backup(copy)
    assert copy.is_dir()
    with pytest.raises(errors.LogError, match=r"backup\.unfinished"):
        ps.open(copy)
    with monkeypatch.context() as patch:
        patch.setattr(backup_module, "sync_path", die)
        with pytest.raises(KeyboardInterrupt):
            log.backup(tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_topic_that_is_deleted_meanwhile_is_left_out(
    log: ps.Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        log.create_topic(name, {"n": "int64"})
        append(log, name, 1)
    real = backup_module._is_whole

    def look_and_delete(*arguments: Any) -> bool:  # behind the cut
        is_whole = real(*arguments)
        log.delete_topic("b")
        return is_whole

    monkeypatch.setattr(backup_module, "_is_whole", look_and_delete)
    done = log.backup(tmp_path / "copy")
    assert done.topics == 2
    with ps.open(done.directory) as copy:
        assert copy.topics() == ["a", "c"]
        assert numbers(copy, "a") == [1]
    assert len(list((tmp_path / "copy" / "topics").iterdir())) == 2


def test_a_topic_and_a_partition_that_come_before_the_copy_are_in_it(
    log: ps.Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.create_topic("a", {"n": "int64"})
    real = backup_module._partitions
    changes = [1]

    def open_and_change(*arguments: Any) -> Any:
        found = real(*arguments)
        if changes:
            changes.pop()
            log.alter_topic("a", partitions=2)
            log.create_topic("b", {"n": "int64"})
            with log.producer() as producer:
                producer.send_batch("a", {"n": [7]}, partition=1)
                producer.send_batch("b", {"n": [8]})
        return found

    monkeypatch.setattr(backup_module, "_partitions", open_and_change)
    with ps.open(log.backup(tmp_path / "copy").directory) as copy:
        assert (numbers(copy, "a"), numbers(copy, "b")) == ([7], [8])


def test_empty_log_and_empty_topics(log: ps.Log, tmp_path: Path) -> None:
    with ps.open(log.backup(tmp_path / "one").directory) as copy:
        assert copy.topics() == []
    log.create_topic("t", {"n": "int64"}, partitions=3)
    with ps.open(log.backup(tmp_path / "two").directory) as copy:
        assert [ends.end for ends in copy.topic("t").ends()] == [0, 0, 0]
        append(copy, "t", 1)
        assert numbers(copy, "t") == [1]


def test_backup_of_a_backup(log: ps.Log, tmp_path: Path) -> None:
    log.create_topic("t", {"n": "int64"})
    append(log, "t", 1)
    with ps.open(log.backup(tmp_path / "one").directory) as first:
        append(first, "t", 2)
        with ps.open(first.backup(tmp_path / "two").directory) as second:
            assert numbers(second, "t") == [1, 2]


def test_log_that_is_open_for_reading_only_can_be_backed_up(tmp_path: Path) -> None:
    with ps.open(tmp_path / "log") as log:
        log.create_topic("t", {"n": "int64"})
        log.create_topic("never-written", {"n": "int64"}, partitions=2)
        append(log, "t", 1, 2)
    with ps.open(tmp_path / "log", read_only=True) as log:
        done = log.backup(tmp_path / "copy")
        assert done.linked_bytes == 0
    with ps.open(done.directory) as copy:
        append(copy, "t", 3)
        assert numbers(copy, "t") == [1, 2, 3]
        assert numbers(copy, "never-written") == []
        append(copy, "never-written", 4)
        assert numbers(copy, "never-written") == [4]


def test_closed_log_has_no_backup(tmp_path: Path) -> None:
    log = ps.open(tmp_path / "log")
    log.close()
    with pytest.raises(errors.ClosedError):
        log.backup(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
