"""Producers with names: made again after a crash, they lose nothing and repeat nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pystream as ps
from pystream import config
from pystream.errors import (
    ClientError,
    ConfigError,
    FencedError,
    RequestTimeoutError,
    UnknownTopicError,
)
from pystream.log.kernel_lock import KernelLock
from tests.log.number_topic import NUMBERS, numbers, numbers_of
from tests.log.reading import batches_of, rows_of

# -- resuming --------------------------------------------------------------------------------------

LOADER = """
import os, sys
import pystream as ps

directory, crash_at = sys.argv[1], int(sys.argv[2])
log = ps.open(directory)
producer = log.producer(producer_name="loader", linger="1ms")
resumed = producer.last_sequence_id("lines") + 1
for number in range(max(0, resumed - 3), 100):  # a few more than needed: repeated ones are dropped
    producer.send("lines", f"line {number}", key=f"{number % 7}", sequence_id=number)
    if number % 10 == 9:
        producer.flush()
    if number == crash_at:
        print(resumed, flush=True)
        os._exit(9)  # as a crash: nothing is closed, what is buffered is gone
log.close()
print(resumed)
"""


def test_program_that_crashes_goes_on_where_it_was(tmp_path: Path) -> None:
    """Story: a loader of 100 lines crashes after 25 and after 62 lines, and is started again."""
    with ps.open(tmp_path) as log:
        log.create_topic("lines", partitions=3)
    resumed = []
    for crash_at in (25, 62, -1):
        done = subprocess.run(
            [sys.executable, "-c", LOADER, str(tmp_path), str(crash_at)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == (9 if crash_at > 0 else 0), done.stderr
        resumed.append(int(done.stdout))
    # Up to 19 and 59 was flushed; what came after may have been appended too.
    assert resumed[0] == 0
    assert 20 <= resumed[1] <= 26
    assert 60 <= resumed[2] <= 63
    with ps.open(tmp_path) as log:
        lines = [row["value"].decode() for row in rows_of(log, "lines")]
        assert sorted(lines) == sorted(f"line {number}" for number in range(100))
        assert log.producer(producer_name="loader").last_sequence_id("lines") == 99


def test_without_sequence_ids_a_new_producer_counts_on(log: ps.Log) -> None:
    log.create_topic("numbers", NUMBERS)
    for first in (0, 3):
        with log.producer(producer_name="loader") as producer:
            assert producer.last_sequence_id("numbers") == first - 1
            for n in range(first, first + 3):
                producer.send("numbers", {"n": n})
    assert [b.base_sequence for b in native_batches(log)] == [0, 3]
    assert numbers_of(log) == [0, 1, 2, 3, 4, 5]


def native_batches(log: ps.Log, partition: int = 0) -> list[Any]:
    reader = log.topic("numbers").native_partition(partition).reader(0)
    batches = []
    while (batch := reader.next()) is not None:
        batches.append(batch)
    return batches


@pytest.mark.parametrize("acks", ["interval", "durable"])
def test_last_sequence_id_is_exact_after_flush(log: ps.Log, acks: str) -> None:
    log.create_topic("numbers", NUMBERS, key="n", partitions=4)
    producer = log.producer(producer_name="loader", acks=acks)
    with ps.open(log.directory) as elsewhere:
        for last in range(100, 1000, 100):
            for n in range(last - 100, last):
                producer.send("numbers", {"n": n}, sequence_id=10 * n)
            producer.flush()
            assert producer.last_sequence_id("numbers") == 10 * (last - 1)
        # What another process would find if this one were killed now.
        reader = elsewhere.producer(producer_name="loader")
        assert reader.last_sequence_id("numbers") == 10 * 899
    with pytest.raises(FencedError):
        producer.send_batch("numbers", numbers(0, 0))


def test_names_and_topics_have_sequences_of_their_own(log: ps.Log) -> None:
    log.create_topic("numbers", NUMBERS)
    log.create_topic("others", NUMBERS)
    with log.producer(producer_name="a") as a, log.producer(producer_name="b") as b:
        assert not a.send("numbers", {"n": 1}, sequence_id=5).result().is_duplicate
        assert not a.send("others", {"n": 2}, sequence_id=5).result().is_duplicate
        assert not b.send("numbers", {"n": 3}, sequence_id=5).result().is_duplicate
        assert a.last_sequence_id("others") == b.last_sequence_id("numbers") == 5
    assert numbers_of(log) == [1, 3]


def test_topic_that_is_made_again_begins_anew(log: ps.Log) -> None:
    log.create_topic("numbers", NUMBERS)
    with log.producer(producer_name="loader") as producer:
        producer.send("numbers", {"n": 1}, sequence_id=7).result()
        log.delete_topic("numbers")
        log.create_topic("numbers", NUMBERS)
        with pytest.raises(UnknownTopicError):
            producer.send("numbers", {"n": 2}).result()
        assert producer.last_sequence_id("numbers") == -1
        assert not producer.send("numbers", {"n": 3}, sequence_id=7).result().is_duplicate
        with pytest.raises(UnknownTopicError):
            producer.flush()
    assert numbers_of(log) == [3]


def test_closing_saves_where_the_next_producer_reads_on(log: ps.Log) -> None:
    topic = log.create_topic("numbers", NUMBERS, partitions=2)
    with log.producer(producer_name="loader") as producer:
        producer.send_batch("numbers", numbers(0, 4095))  # a run of sequences for each partition
        producer.send_batch("numbers", numbers(4096, 4100))
        producer_id = producer._topics.producer_id
    saved = log.catalog.producer_positions(producer_id, topic.description.id)
    assert saved == {0: (4096, 1, 4095, 4100), 1: (5, 1, 4100, 4100)}


def test_long_running_producer_notes_its_position_now_and_then(
    log: ps.Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "POSITION_BATCHES", 3)
    topic = log.create_topic("numbers", NUMBERS)
    producer = log.producer(producer_name="loader")
    found = []
    for n in range(9):
        producer.send("numbers", {"n": n}).result()
        saved = log.catalog.producer_positions(producer._topics.producer_id, topic.description.id)
        found.append(saved[0][2])
    assert found == [-1, -1, -1, 2, 2, 2, 2, 6, 6]


# -- fencing ---------------------------------------------------------------------------------------


def test_newer_producer_fences_the_older_one(log: ps.Log) -> None:
    log.create_topic("numbers", NUMBERS)
    older = log.producer(producer_name="loader")
    older.send("numbers", {"n": 0}).result()
    newer = log.producer(producer_name="loader")
    with pytest.raises(
        FencedError, match="'loader' of epoch 0 is fenced: one of epoch 1"
    ) as caught:
        older.send("numbers", {"n": 1}).result()
    error = caught.value
    assert (error.producer_name, error.epoch, error.current_epoch) == ("loader", 0, 1)
    assert not error.retriable
    with pytest.raises(FencedError):
        older.send_batch("numbers", numbers(1, 1))
    newer.send("numbers", {"n": 1}).result()
    with pytest.raises(FencedError):
        older.close()
    newer.close()
    assert numbers_of(log) == [0, 1]


def test_producer_of_another_process_fences_too(log: ps.Log, tmp_path: Path) -> None:
    log.create_topic("numbers", NUMBERS)
    older = log.producer(producer_name="loader")
    older.send("numbers", {"n": 0}).result()
    program = (
        "import sys, pystream as ps\n"
        "with ps.open(sys.argv[1]) as log, log.producer(producer_name='loader') as producer:\n"
        "    print(producer.last_sequence_id('numbers'))\n"
        "    producer.send('numbers', {'n': 1})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, log.directory], capture_output=True, check=True, timeout=60
    )
    assert done.stdout == b"0\n"
    with pytest.raises(FencedError):
        older.send("numbers", {"n": 1}).result()
    with pytest.raises(FencedError):
        older.close()
    assert numbers_of(log) == [0, 1]


def test_fenced_producer_that_has_not_noticed_is_refused_under_the_lock(log: ps.Log) -> None:
    log.create_topic("numbers", NUMBERS)
    older = log.producer(producer_name="loader")
    older.send("numbers", {"n": 0}).result()
    older._name.check_current = lambda *, is_changed: None  # type: ignore[union-attr, method-assign]
    newer = log.producer(producer_name="loader")
    newer.send("numbers", {"n": 1}).result()
    with pytest.raises(FencedError, match="one of epoch 1 has written to numbers-0"):
        older.send("numbers", {"n": 2}).result()
    with pytest.raises(FencedError):
        older.close()


def test_fenced_producer_cannot_begin_with_a_topic(log: ps.Log) -> None:
    log.create_topic("numbers", NUMBERS)
    older = log.producer(producer_name="loader")
    log.producer(producer_name="loader")
    with pytest.raises(FencedError):
        older.send("numbers", {"n": 0})
    with pytest.raises(FencedError):
        older.last_sequence_id("numbers")
    older.close()


def test_fenced_producer_does_not_turn_the_position_back(log: ps.Log) -> None:
    topic = log.create_topic("numbers", NUMBERS)
    older = log.producer(producer_name="loader")
    older.send("numbers", {"n": 0}).result()
    with log.producer(producer_name="loader") as newer:
        newer.send("numbers", {"n": 1})
    older.close()
    saved = log.catalog.producer_positions(older._topics.producer_id, topic.description.id)
    assert saved == {0: (2, 1, 1, 1)}


# -- failures --------------------------------------------------------------------------------------


def test_nothing_overtakes_a_record_that_cannot_be_appended(tmp_path: Path) -> None:
    with ps.open(tmp_path, lock_timeout="20ms") as log:
        topic = log.create_topic("numbers", NUMBERS, partitions=2)
        producer = log.producer(producer_name="loader")
        producer.send("numbers", {"n": 0}, partition=0).result()
        lock_file = tmp_path / "topics" / topic.description.id.hex() / "0" / "lock"
        lock = KernelLock(str(lock_file), what="a partition")
        with lock:
            assert lock.try_acquire()
            failed = producer.send("numbers", {"n": 1}, partition=0)
            behind = producer.send("numbers", {"n": 2}, partition=1)
            with pytest.raises(RequestTimeoutError):
                failed.result()
            with pytest.raises(RequestTimeoutError):
                producer.flush()
        assert producer.last_sequence_id("numbers") == 0
        if behind.exception() is None:  # it was appended before the other one failed
            assert numbers_of(log, partition=1) == [2]
        with pytest.raises(ClientError, match="none may overtake it") as caught:
            producer.send("numbers", {"n": 3}, partition=0).result()
        assert not caught.value.retriable
        with pytest.raises(ClientError):
            producer.send_batch("numbers", numbers(4, 4))
        with pytest.raises(ClientError):
            producer.close()
        with log.producer(producer_name="loader") as producer:
            assert producer.last_sequence_id("numbers") == 0
            for n, partition in ((1, 0), (2, 1), (3, 0)):
                producer.send("numbers", {"n": n}, partition=partition, sequence_id=n)
        assert numbers_of(log) == [0, 1, 3, 2]


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "x" * 250, 7, b"loader"])
def test_names_that_are_none_are_refused(log: ps.Log, name: Any) -> None:
    with pytest.raises(ConfigError, match=r"producer_name is .* 1 to 249"):
        log.producer(producer_name=name)


def test_longest_name_is_one(log: ps.Log) -> None:
    assert log.producer(producer_name="ü" * 249).producer_name == "ü" * 249


def test_producers_without_a_name_are_told_apart_in_the_log(log: ps.Log) -> None:
    log.create_topic("numbers", NUMBERS)
    for _ in range(2):
        with log.producer() as producer:
            for n in range(2):
                producer.send("numbers", {"n": n}).result()
    ids = [batch.producer_id for batch in native_batches(log)]
    assert ids[0] == ids[1] != ids[2] == ids[3]
    assert [batch.base_sequence for batch in native_batches(log)] == [0, 1, 0, 1]


def test_forked_child_leaves_the_name_to_its_parent(log: ps.Log) -> None:
    log.create_topic("numbers", NUMBERS)
    producer = log.producer(producer_name="loader")
    producer.send("numbers", {"n": 0}).result()
    child = os.fork()
    if child == 0:
        producer.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert producer.send("numbers", {"n": 1}).result().offset == 1
    producer.close()
    assert len(batches_of(log, "numbers", 0)) == 2
