"""What is kept: by age, by size, up to an offset; who is told, and what lives on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import pystream as ps
from pystream import TopicPartition, config, errors
from pystream.log import pinned, retention
from pystream.log.retention import apply_retention, retention_lock
from pystream.log.transactions import rescue
from pystream.log.verify import verify_log
from tests.log.forked import start

PLACE = TopicPartition("events", 0)
HOUR_US = 3_600 * 10**6


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ps.Log]:
    """A log of 40 batches of 100 records in three or more segments."""
    monkeypatch.setattr(config, "SEGMENT_BYTES_MIN", 4096)
    with ps.open(tmp_path / "log") as opened:
        opened.create_topic("events", {"n": "int64"}, segment_bytes=16 * 1024)
        fill(opened, 40)
        yield opened


def fill(log: ps.Log, batches: int) -> None:
    with log.producer(acks="published") as producer:
        for _ in range(batches):
            end = log.topic("events").ends()[0].end
            producer.send_batch("events", {"n": np.arange(end, end + 100)})


def segments(log: ps.Log) -> list[Path]:
    return sorted(Path(log.directory).glob("topics/*/0/*.seg"))


def numbers(log: ps.Log, **settings: str) -> list[int]:
    with log.consumer("events", timeout="0s", **settings) as consumer:  # type: ignore[arg-type]
        return [n for batch in consumer.batches() for n in batch["n"].to_pylist()]


def test_records_before_an_offset_are_deleted(log: ps.Log) -> None:
    files = len(segments(log))
    assert log.delete_records({PLACE: 2_345}) == {PLACE: 2_345}
    assert log.topic("events").ends() == [ps.PartitionEnds(2_345, 4_000)]
    assert 1 < len(segments(log)) < files
    assert numbers(log, auto_offset_reset="earliest") == list(range(2_345, 4_000))
    assert log.delete_records({("events", 0): 100}) == {PLACE: 2_345}
    assert log.delete_records({PLACE: -1}) == {PLACE: 4_000}
    assert numbers(log, auto_offset_reset="earliest") == []
    fill(log, 1)
    assert numbers(log, auto_offset_reset="earliest") == list(range(4_000, 4_100))
    log.close()
    report = verify_log(log.directory)
    assert (report.is_clean, report.partitions[0].log_start_offset) == (True, 4_000)


def test_nothing_is_deleted_by_mistakes(log: ps.Log) -> None:
    for offsets, error, message in [
        ({PLACE: 4_001}, errors.OffsetOutOfRangeError, "log end offset is 4000"),
        ({PLACE: -2}, errors.OffsetOutOfRangeError, "log start offset is 0"),
        ({PLACE: "10"}, errors.ConfigError, "whole number"),
        ({PLACE: 10, ("events", 1): 1}, errors.UnknownTopicError, "no partition 1"),
        ({("nothing", 0): 1}, errors.UnknownTopicError, "'nothing'"),
        ([PLACE], errors.ConfigError, "Pass a mapping"),
    ]:
        with pytest.raises(error, match=message):
            log.delete_records(offsets)  # type: ignore[arg-type]
        assert log.topic("events").ends()[0].start == 0
    with (
        ps.open(log.directory, read_only=True) as view,
        pytest.raises(errors.LogError, match="read-only"),
    ):
        view.delete_records({PLACE: 1})


def test_old_records_go_by_the_time_of_their_append(log: ps.Log) -> None:
    assert log.apply_retention() == []
    log.alter_topic("events", retention="1h")
    (done,) = log.apply_retention()
    assert (done.removed_records, done.removed_segments, done.log_start_offset) == (0, 0, 0)
    now_us = time.time_ns() // 1000
    (done,) = apply_retention(log, "events", now_us=now_us + 2 * HOUR_US)
    # All is old. The last segment goes once another was begun.
    assert (done.log_start_offset, done.removed_records) == (4_000, 4_000)
    assert done.removed_segments >= 2
    assert done.removed_bytes > 2 * 8 * 1024
    assert len(segments(log)) == 1
    fill(log, 1)
    (done,) = log.apply_retention()
    assert (done.removed_records, done.removed_segments) == (0, 1)
    assert numbers(log, auto_offset_reset="earliest") == list(range(4_000, 4_100))


def test_a_segment_stays_as_long_as_one_of_its_records_is_young(log: ps.Log) -> None:
    log.alter_topic("events", retention="1h")
    partition = log.topic("events").native_partition(0)
    facts = partition.segment_facts()
    edge = facts[1].last_append_us + HOUR_US
    assert apply_retention(log, now_us=edge)[0].log_start_offset <= facts[0].end_offset
    assert apply_retention(log, now_us=edge + 1)[0].log_start_offset >= facts[1].end_offset


def test_as_much_as_is_asked_for_is_kept(log: ps.Log) -> None:
    sizes = [path.stat().st_size for path in segments(log)]
    log.alter_topic("events", retention_bytes=sum(sizes[1:]))
    (done,) = log.apply_retention()
    assert done.removed_segments == 1
    log.alter_topic("events", retention_bytes=sum(sizes[1:]) + 1)
    assert log.apply_retention()[0].removed_segments == 0
    log.alter_topic("events", retention_bytes=None)
    fill(log, 40)
    assert log.apply_retention() == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"retention_bytes": 8 * 1024}, "a segment has 16384 bytes and is only removed as a whole"),
        ({"segment_bytes": "1GiB", "retention_bytes": "1MiB"}, "only removed as a whole"),
        ({"retention": "0s"}, "retention is zero"),
        ({"retention": "a week"}, "'a week', which is not a duration"),
        ({"retention_bytes": -1}, "at least 1 bytes"),
        ({"retention_ms": 1000}, "no setting 'retention_ms'. Did you mean retention"),
        ({"cleanup": "x"}, "no setting 'cleanup'"),
        ({}, "or another setting"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    log: ps.Log, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(errors.ConfigError, match=message):
        log.alter_topic("events", **settings)  # type: ignore[arg-type]
    assert log.topic("events").retention_bytes is None
    wanted = {"segment_bytes": 16 * 1024} | settings
    if settings:
        with pytest.raises(errors.ConfigError, match=message):
            log.create_topic("other", **wanted)  # type: ignore[arg-type]


def test_retention_stops_at_an_open_transaction(log: ps.Log) -> None:
    log.alter_topic("events", retention="1h")
    tomorrow_us = time.time_ns() // 1000 + 24 * HOUR_US
    with log.producer(transactional_id="loader") as producer:
        with producer.transaction():
            producer.send("events", {"n": -1}).result()
            log.topic("events").native_partition(0).end_segment()
            fill(log, 40)
            (done,) = apply_retention(log, now_us=tomorrow_us)
            assert done.log_start_offset <= 4_000
        (done,) = apply_retention(log, now_us=tomorrow_us)
    assert done.log_start_offset == log.topic("events").ends()[0].end
    assert verify_log(log.directory).is_clean


def leave_open(log: ps.Log) -> None:
    """Let a process die in a transaction that holds up all that is appended from then on."""
    directory = log.directory

    def die() -> None:
        with ps.open(directory) as mine:
            producer = mine.producer(transactional_id="loader")
            producer.begin_transaction()
            producer.send_batch("events", [{"n": -1}])
            os.kill(os.getpid(), signal.SIGKILL)

    os.waitpid(start(die), 0)


def test_retention_ends_a_transaction_whose_producer_is_dead(log: ps.Log) -> None:
    log.alter_topic("events", retention="1h")
    leave_open(log)
    log.topic("events").native_partition(0).end_segment()
    fill(log, 40)
    held, end = len(segments(log)), log.topic("events").ends()[0].end
    tomorrow_us = time.time_ns() // 1000 + 24 * HOUR_US
    (done,) = apply_retention(log, now_us=tomorrow_us)
    assert (done.log_start_offset, done.removed_records) == (end, end)
    assert done.removed_segments >= held - 1
    assert done.removed_bytes > (held - 1) * 8192
    assert log.transactions() == []
    assert numbers(log, auto_offset_reset="earliest") == []
    fill(log, 1)
    assert len(numbers(log, auto_offset_reset="earliest")) == 100
    assert verify_log(log.directory).is_clean


def test_retention_leaves_a_transaction_alone_that_holds_up_nothing(log: ps.Log) -> None:
    log.alter_topic("events", retention="1h")
    leave_open(log)
    (done,) = apply_retention(log)
    assert (done.log_start_offset, done.removed_records) == (0, 0)
    assert [found.state for found in log.transactions()] == ["open"]


def test_retention_ends_a_transaction_that_is_stuck_past_its_timeout(
    log: ps.Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.alter_topic("events", retention="1h")
    tomorrow_us = time.time_ns() // 1000 + 24 * HOUR_US
    with log.producer(transactional_id="loader", transaction_timeout="1m") as producer:
        producer.begin_transaction()
        producer.send("events", {"n": -1}).result()
        fill(log, 1)
        (done,) = apply_retention(log, now_us=tomorrow_us)
        assert done.log_start_offset == 4_000
        begun_ns = time.monotonic_ns()
        monkeypatch.setattr(rescue.time, "monotonic_ns", lambda: begun_ns + 61 * 10**9)
        (done,) = apply_retention(log, now_us=tomorrow_us)
        monkeypatch.undo()
        assert (done.log_start_offset, done.removed_records) == (4_101, 101)
        with pytest.raises(errors.InvalidTransactionStateError, match="transaction_timeout"):
            producer.commit_transaction()


def test_what_is_stable_goes_before_markers_take_space(
    log: ps.Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.alter_topic("events", retention="1h")
    leave_open(log)
    log.topic("events").native_partition(0).end_segment()
    fill(log, 1)
    starts: list[int] = []

    def refuse(*_: object) -> bool:
        starts.append(log.topic("events").ends()[0].start)
        raise errors.StorageError("no space")

    monkeypatch.setattr(retention, "settle", refuse)
    with pytest.raises(errors.StorageError, match="no space"):
        apply_retention(log, now_us=time.time_ns() // 1000 + 24 * HOUR_US)
    assert starts == [4_000]


def test_the_background_ends_a_transaction_that_holds_it_up(
    log: ps.Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_open(log)
    monkeypatch.setattr(config, "RETENTION_CHECK_INTERVAL", "1ms")
    log.alter_topic("events", retention_bytes=16 * 1024)
    fill(log, 40)  # its thread begins
    deadline = time.monotonic() + 60
    while log.topic("events").ends()[0].start <= 4_000:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert log.transactions() == []


def test_records_of_a_transaction_can_be_deleted(log: ps.Log) -> None:
    with log.producer(transactional_id="loader") as producer:
        with producer.transaction():
            for number in range(10):
                producer.send("events", {"n": number}).result()
        log.delete_records({PLACE: 4_005})
        assert numbers(log, auto_offset_reset="earliest") == [5, 6, 7, 8, 9]
        with producer.transaction():
            producer.send("events", {"n": 10}).result()
            log.delete_records({PLACE: -1})
            producer.send("events", {"n": 11}).result()
        assert numbers(log, auto_offset_reset="earliest") == [11]
    log.close()
    assert verify_log(log.directory).is_clean


def test_a_reader_that_is_left_behind_goes_on_as_its_reset_says(log: ps.Log) -> None:
    consumers = {
        reset: log.consumer("events", auto_offset_reset=reset, timeout="0s")
        for reset in ("earliest", "latest")
    }
    for consumer in consumers.values():
        consumer.seek(PLACE, 50)
    with log.consumer("events", group_id="g", auto_offset_reset="earliest") as member:
        member.poll(max_records=10)
    log.delete_records({PLACE: 3_900})
    assert len([r.offset for r in consumers["earliest"]]) == 100
    assert [r.offset for r in consumers["latest"]] == []
    assert consumers["latest"].position(PLACE) == 4_000
    with log.consumer("events", group_id="g", auto_offset_reset="earliest", timeout="0s") as member:
        assert next(iter(member)).offset == 3_900


def test_without_a_reset_a_reader_is_told_both_ends(log: ps.Log) -> None:
    with log.consumer("events", auto_offset_reset="earliest", timeout="0s") as consumer:
        consumer._reset = "none"  # as a group's consumer that has committed has it
        log.delete_records({PLACE: 3_900})
        for _ in range(2):
            with pytest.raises(errors.OffsetOutOfRangeError, match="log start offset is 3900") as e:
                consumer.poll()
            assert (e.value.topic, e.value.partition, e.value.offset) == ("events", 0, 0)
        consumer.seek_to_beginning()
        assert len(consumer.poll()[PLACE]) == 100


def test_views_outlive_their_segment_and_are_reported(log: ps.Log) -> None:
    log.alter_topic("events", retention="1h")
    with log.consumer("events", auto_offset_reset="earliest") as consumer:
        batch = next(iter(consumer.batches()))
        array = batch["n"].to_numpy()
        done = apply_retention(log, now_us=time.time_ns() // 1000 + 2 * HOUR_US)[0]
        assert done.removed_segments >= 2
    assert 0 < done.pinned_bytes <= done.removed_bytes
    assert array[:3].tolist() == [0, 1, 2]
    assert batch.timestamps.shape == (100,)
    del batch, array, consumer
    fill(log, 1)
    assert apply_retention(log)[0].pinned_bytes == 0


def test_what_is_pinned_is_told_of_each_partition_by_one_look_at_the_processes(
    log: ps.Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    maps = pinned._maps
    monkeypatch.setattr(pinned, "_maps", lambda its: (looked.append(its), maps(its))[1])
    log.create_topic("held", {"n": "int64"}, partitions=3, segment_bytes=16 * 1024, retention="1h")
    with log.producer() as producer:
        for partition in [0, 1, 2] * 40:
            producer.send_batch("held", {"n": range(100)}, partition=partition)
    with log.consumer(auto_offset_reset="earliest") as consumer:
        consumer.assign([TopicPartition("held", 0), TopicPartition("held", 2)])
        batches = list(consumer.batches(timeout="0s"))
    done = apply_retention(log, now_us=time.time_ns() // 1000 + 2 * HOUR_US)
    assert len(batches) == 80
    assert {its[:2]: its.pinned_bytes > 0 for its in done if its.removed_bytes} == {
        ("held", 0): True,
        ("held", 1): False,
        ("held", 2): True,
    }
    assert all(its.pinned_bytes <= its.removed_bytes for its in done)
    assert sorted(looked) == sorted(set(looked)), "each process once"
    assert str(os.getpid()) in looked


def test_another_process_is_seen_to_hold_what_was_removed(log: ps.Log) -> None:
    program = (
        "import sys, pystream as ps\n"
        "from tests.torture.promises import allow_small_segments; allow_small_segments()\n"
        "log = ps.open(sys.argv[1])\n"
        "consumer = log.consumer('events', auto_offset_reset='earliest')\n"
        "batch = next(iter(consumer.batches())); array = batch['n'].to_numpy()\n"
        "print('ready', flush=True); sys.stdin.readline(); print(array[99])\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, log.directory],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stdout.readline() == "ready\n"
        log.alter_topic("events", retention="1h")
        done = apply_retention(log, now_us=time.time_ns() // 1000 + 2 * HOUR_US)[0]
        assert done.pinned_bytes > 0
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.stdout.readline() == "99\n"
    assert child.returncode == 0


def test_readers_go_on_while_records_are_deleted(log: ps.Log) -> None:
    """Four readers from the beginning, always behind, while all is deleted bit by bit."""
    is_over = threading.Event()
    wrong: list[object] = []

    def read() -> None:
        try:
            while not is_over.is_set():
                with log.consumer("events", auto_offset_reset="earliest") as consumer:
                    last = -1
                    for batch in consumer.batches(timeout="0s"):
                        found = batch["n"].to_numpy()
                        assert (found == batch.offsets).all()
                        assert found[0] > last
                        last = int(found[-1])
        except Exception as error:
            wrong.append(error)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for offset in range(100, 6_000, 59):
        if offset % 2 == 0:
            fill(log, 1)
        log.delete_records({PLACE: min(offset, log.topic("events").ends()[0].end)})
    is_over.set()
    for reader in readers:
        reader.join()
    assert wrong == []


def test_a_named_producer_goes_on_after_its_records_are_gone(log: ps.Log) -> None:
    def send(first: int, last: int) -> list[bool]:
        producer = log.producer(producer_name="loader")
        sent = [
            producer.send("events", {"n": n}, sequence_id=n, partition=0)
            for n in range(first, last)
        ]
        producer.flush()  # without close(), as if it had crashed
        return [delivery.result().is_duplicate for delivery in sent]

    send(0, 50)
    fill(log, 40)
    log.delete_records({PLACE: -1})
    fill(log, 1)
    log.delete_records({PLACE: -1})
    with log.producer(producer_name="loader") as producer:
        assert producer.last_sequence_id("events") == 49
    assert send(40, 60) == [True] * 10 + [False] * 10


def test_what_a_producer_sent_is_known_after_its_records_and_the_tail_are_gone(
    log: ps.Log, tmp_path: Path
) -> None:
    """The position that was saved last counts on records that a power loss took."""
    with log.producer(producer_name="loader", acks="durable") as producer:
        for number in range(50):
            producer.send("events", {"n": number}, sequence_id=number)
    log.delete_records({PLACE: -1})
    with log.producer(producer_name="loader", acks="published") as producer:
        for number in range(50, 60):
            producer.send("events", {"n": number}, sequence_id=number)
    last = None
    reader = log.topic("events").native_partition(0).reader(4_050)
    while (stored := reader.next()) is not None:
        last = last or stored
    assert last is not None
    copy = tmp_path / "copy"
    shutil.copytree(log.directory, copy)  # which is recovered, as after a power loss
    path = copy / Path(last.path).relative_to(log.directory)
    with path.open("r+b") as file:
        file.seek(last.file_position)
        file.write(bytes(128))
    with ps.open(copy) as again, again.producer(producer_name="loader") as producer:
        assert again.topic("events").ends()[0] == (4_050, 4_050)
        assert producer.last_sequence_id("events") == 49
        sent = [
            producer.send("events", {"n": n}, sequence_id=n, partition=0) for n in range(45, 60)
        ]
        producer.flush()
        assert [its.result().is_duplicate for its in sent] == [True] * 5 + [False] * 10


def test_a_thread_does_it_in_one_process_at_a_time(
    log: ps.Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "RETENTION_CHECK_INTERVAL", "1ms")
    other = retention_lock(log.directory)
    assert other.try_acquire()
    log.alter_topic("events", retention_bytes=16 * 1024)
    fill(log, 10)  # its thread begins
    assert [t.name for t in threading.enumerate()].count("pystream-retention") == 1
    time.sleep(0.05)  # no wait for anything: a thread that ignores the lock would act meanwhile
    assert log.topic("events").ends()[0].start == 0
    other.close()
    deadline = time.monotonic() + 30
    while log.topic("events").ends()[0].start == 0:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    log.close()
    assert "pystream-retention" not in [t.name for t in threading.enumerate()]


def test_another_process_that_has_the_turn_is_waited_for(
    log: ps.Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "LOCK_TIMEOUT", "10ms")
    other = retention_lock(log.directory)
    assert other.try_acquire()
    with pytest.raises(errors.RequestTimeoutError, match="retention in"):
        log.apply_retention()
    other.close()
    assert log.apply_retention() == []
