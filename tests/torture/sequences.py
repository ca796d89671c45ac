"""Random sequences of operations on a log and on its model (``tests/oracle/log.py``).

Usage: python -m tests.torture.sequences SEED [SEQUENCES]

A sequence is lived by several processes, one after another: each opens the log, does some of the
operations and compares every answer, and is killed; the last one, which is this, closes the log.
What the model says does not depend on that. Sequences that follow each other have these processes
in common, and each its own log. One that goes wrong is shortened as long as it still does.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import pystream as ps
from pystream.errors import StreamError
from pystream.log.retention import look_after, retention_lock
from pystream.log.verify import verify_log
from tests.oracle.log import LogModel, Row, outcome_of
from tests.torture import recorder
from tests.torture.compacting import DELETE_RETENTION_US, compact_model, compact_topic
from tests.torture.harness import Harness, Outcome, run_seeds, said_by, scratch_directory
from tests.torture.promises import allow_small_segments

TOPICS = ("ants", "bees", "cats")
GROUPS = ("billing", "search")
SMALL_SEGMENT_BYTES = 16 * 1024
OPERATIONS_MOST = 24
VERIFY_EVERY = 5  # lengths of a sequence
SECONDS_OF_A_PROCESS = 20.0  # making one costs as much as fifty sequences
TOGETHER = 64  # sequences, whose killed lives share processes: a fork costs as much as a sequence
KILLED = -signal.SIGKILL


@dataclass(frozen=True)
class Operation:
    """What to do: a verb, a topic, a partition, and two numbers that each verb reads its way."""

    verb: str
    topic: str = "ants"
    partition: int = 0
    share: float = 0.0
    count: int = 0


WEIGHTS = {
    "append": 40,
    "transact": 12,
    "read": 20,
    "out_of_range": 3,
    "ends": 6,
    "commit": 8,
    "committed": 6,
    "create": 8,
    "delete": 4,
    "names": 2,
    "evolve": 3,
    "delete_records": 6,
    "expire": 2,
    "compact": 4,
    "add_partitions": 2,
    "find_time": 5,
    "reopen": 3,
    "crash": 3,
}


def draw(choose: random.Random) -> list[Operation]:
    """Return a sequence; the first operation makes a topic, so that there is something to do."""
    operations = [Operation("create", count=choose.randint(1, 2))]
    for _ in range(choose.randint(1, OPERATIONS_MOST)):
        (verb,) = choose.choices(list(WEIGHTS), list(WEIGHTS.values()))
        topic = choose.choice(("ants", "ants", *TOPICS))
        count = choose.choice((1, 1, 2, 20, 300)) if verb == "append" else choose.randint(1, 2)
        operations.append(Operation(verb, topic, choose.randint(0, 1), choose.random(), count))
    return operations


class Pair:
    """The model and, in a process that does the operations, the log."""

    def __init__(self, directory: Path) -> None:
        self.model = LogModel()
        self._directory = directory
        self._numbers = 0
        self._compaction_us = 10**15  # what compactions are told of the time
        self._log: ps.Log | None = None

    def open(self) -> None:
        self._log = ps.open(self._directory)
        self._producer = self._log.producer(acks="published")

    def close(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None

    def verify(self) -> None:
        """Ask ``pystream verify``, which must count what the model holds; the log is closed."""
        report = verify_log(self._directory)
        assert report.is_clean, report.problems
        found = {(its.topic, its.partition): its.records for its in report.partitions}
        for name, topic in self.model.topics.items():
            for number in range(len(topic.partitions)):
                count = found.pop((name, number), 0)
                assert count == topic.stored(number), f"verify found {count} in {name}-{number}"
        assert not any(found.values()), f"verify found records in {found}"

    def do(self, operation: Operation) -> None:
        """Do it on the model, and on the log if it is open; AssertionError when they differ."""
        getattr(self, f"_{operation.verb}")(operation)

    def _compare(self, expected: object, action: Any) -> None:
        if self._log is None:
            return
        try:
            found = action(self._log)
        except StreamError as error:
            found = type(error).__name__
        assert found == expected, f"found {_short(found)}, expected {_short(expected)}"

    def _partition_of(self, o: Operation) -> int:
        topic = self.model.topics.get(o.topic)
        return o.partition % len(topic.partitions) if topic else 0

    def _offset_of(self, o: Operation) -> int:
        topic = self.model.topics.get(o.topic)
        if topic is None:
            return 0
        partition = self._partition_of(o)
        start = topic.starts[partition]
        return start + int(o.share * (len(topic.partitions[partition]) - start + 1))

    # -- the operations ------------------------------------------------------------------------

    def _create(self, o: Operation) -> None:
        columns = {"number": "int64", "text": "string"}
        expected = outcome_of(lambda: self.model.create(o.topic, list(columns), o.count))

        def create(log: ps.Log) -> None:
            log.create_topic(
                o.topic,
                columns,
                key="text",
                partitions=o.count,
                segment_bytes=SMALL_SEGMENT_BYTES,
                compression="lz4" if o.share < 0.3 else "none",
            )

        self._compare(expected, create)

    def _delete(self, o: Operation) -> None:
        expected = outcome_of(lambda: self.model.delete(o.topic))
        self._compare(expected, lambda log: log.delete_topic(o.topic))

    def _names(self, _: Operation) -> None:
        self._compare(self.model.names(), lambda log: log.topics())

    def _append(self, o: Operation) -> None:
        numbers = range(self._numbers, self._numbers + o.count)
        self._numbers += o.count
        is_null = [o.count < 300 and n % 6 == 5 for n in numbers]  # deletes its key, if compacted
        texts = [f"{n % 13:06d}" * (n % 5) for n in numbers]
        rows: list[Row] = [
            {"number": None if null else n, "text": text}
            for n, null, text in zip(numbers, is_null, texts, strict=True)
        ]
        partition = self._partition_of(o)
        expected = outcome_of(lambda: self.model.append(o.topic, partition, rows))

        def append(_: ps.Log) -> int:
            table: Any = rows
            if not any(is_null):  # which columns of numpy cannot be
                table = {
                    "number": np.arange(numbers.start, numbers.stop),
                    "text": np.array(texts, dtype=object),
                }
                topic = self.model.topics.get(o.topic)
                for name in topic.columns[2:] if topic else []:
                    table[name] = np.array([None] * o.count, dtype=object)
            (sent,) = self._producer.send_batch(o.topic, table, partition=partition)
            return sent.base_offset

        self._compare(expected, append)

    def _transact(self, o: Operation) -> None:
        topic = self.model.topics.get(o.topic)
        partitions = range(len(topic.partitions)) if topic else range(1)
        rows: dict[int, list[Row]] = {}
        for partition in partitions[: o.count]:
            numbers = range(self._numbers, self._numbers + 1 + int(o.share * 20))
            self._numbers += len(numbers)
            rows[partition] = [{"number": n, "text": f"{n:06d}"} for n in numbers]
        is_committed = o.share < 0.7
        expected = outcome_of(lambda: self.model.transact(o.topic, rows, is_committed=is_committed))

        def transact(log: ps.Log) -> None:
            with log.producer(transactional_id="payer", acks="published") as producer:
                producer.begin_transaction()
                for partition, its in rows.items():
                    producer.send_batch(o.topic, its, partition=partition)
                if is_committed:
                    producer.commit_transaction()
                # else the producer is closed, which aborts it

        self._compare(expected, transact)

    def _read(self, o: Operation) -> None:
        partition, offset = self._partition_of(o), self._offset_of(o)
        expected = outcome_of(lambda: self.model.read(o.topic, partition, offset))

        def read(log: ps.Log) -> list[Row]:
            with log.consumer(auto_offset_reset="earliest") as consumer:
                name = ps.TopicPartition(o.topic, partition)
                consumer.assign([name])
                consumer.seek(name, offset)
                return [row for b in consumer.batches(timeout="0s") for row in b.to_pylist()]

        self._compare(expected, read)

    def _out_of_range(self, o: Operation) -> None:
        partition = self._partition_of(o)
        beyond = outcome_of(lambda: self.model.end(o.topic, partition))
        offset = beyond + o.count if isinstance(beyond, int) else 0
        start = outcome_of(lambda: self.model.start(o.topic, partition))
        if o.share < 0.5 and isinstance(start, int) and start > 0:
            offset = start - 1
        expected = outcome_of(lambda: self.model.read(o.topic, partition, offset))
        self._compare(
            expected, lambda log: log.topic(o.topic).native_partition(partition).reader(offset)
        )

    def _ends(self, o: Operation) -> None:
        partition = self._partition_of(o)
        expected = outcome_of(
            lambda: (self.model.start(o.topic, partition), self.model.end(o.topic, partition))
        )
        self._compare(expected, lambda log: tuple(log.topic(o.topic).ends()[partition]))

    def _commit(self, o: Operation) -> None:
        group, partition, offset = GROUPS[o.partition], self._partition_of(o), self._offset_of(o)
        expected = outcome_of(lambda: self.model.commit(group, o.topic, partition, offset))

        def commit(log: ps.Log) -> None:
            with log.consumer(group_id=group) as consumer:
                name = ps.TopicPartition(o.topic, partition)
                consumer.assign([name])
                consumer.commit({name: offset})

        self._compare(expected, commit)

    def _committed(self, o: Operation) -> None:
        group, partition = GROUPS[o.partition], self._partition_of(o)
        expected = outcome_of(lambda: self.model.committed(group, o.topic, partition))

        def committed(log: ps.Log) -> int | None:
            with log.consumer(group_id=group) as consumer:
                return consumer.committed(ps.TopicPartition(o.topic, partition))

        self._compare(expected, committed)

    def _evolve(self, o: Operation) -> None:
        # Joins in when topics can be altered.
        topic = self.model.topics.get(o.topic)
        if topic is None or not hasattr(ps.Log, "alter_topic"):
            return
        name = f"note{len(topic.columns)}"
        self.model.add_columns(o.topic, [name])
        self._compare(
            None, lambda log: _none(log.alter_topic(o.topic, add_columns={name: "string"}))
        )

    def _delete_records(self, o: Operation) -> None:
        partition, offset = self._partition_of(o), self._offset_of(o)
        if o.share > 0.95:
            offset += 1_000  # beyond the end
        place = ps.TopicPartition(o.topic, partition)
        expected = outcome_of(lambda: self.model.delete_records(o.topic, partition, offset))
        self._compare(expected, lambda log: log.delete_records({place: offset})[place])

    def _expire(self, o: Operation) -> None:
        expected = outcome_of(lambda: self.model.expire(o.topic))

        def expire(log: ps.Log) -> None:
            log.alter_topic(o.topic, retention="1h")
            in_a_day_us = time.time_ns() // 1000 + 86_400 * 10**6
            with retention_lock(log.directory) as lock:
                lock.acquire(10**7)
                look_after(log, [log.topic(o.topic)], now_us=in_a_day_us)
            log.alter_topic(o.topic, retention=None)

        self._compare(expected, expire)

    def _compact(self, o: Operation) -> None:
        row: Row = {"number": self._numbers, "text": "sealed"}
        self._numbers += 1
        self._compaction_us += int(o.share * 2 * DELETE_RETENTION_US)
        now_us = self._compaction_us
        expected = outcome_of(lambda: compact_model(self.model, o.topic, row, now_us))
        self._compare(
            expected, lambda log: compact_topic(log, self._producer, o.topic, row, now_us)
        )

    def _add_partitions(self, o: Operation) -> None:
        expected = outcome_of(lambda: self.model.add_partitions(o.topic, o.count))
        self._compare(expected, lambda log: _none(log.alter_topic(o.topic, partitions=o.count)))

    def _find_time(self, o: Operation) -> None:
        partition = self._partition_of(o)
        sought = int(o.share * (self._numbers + 2))
        expected = outcome_of(
            lambda: self.model.offset_for_time(o.topic, partition, "number", sought)
        )

        def find(log: ps.Log) -> int | None:
            place = ps.TopicPartition(o.topic, partition)
            with log.consumer() as consumer:
                found = consumer.offsets_for_times({place: sought}, column="number")[place]
            return None if found is None else found.offset

        self._compare(expected, find)

    def _reopen(self, _: Operation) -> None:
        if self._log is not None:
            self.close()
            self.open()


def _none(_: object) -> None:
    return None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 300 else f"{text[:140]} ... {text[-140:]}"


def lives_of(operations: list[Operation]) -> Iterator[list[Operation]]:
    """Yield the operations of each process; all but the last one are killed behind theirs."""
    life: list[Operation] = []
    for operation in operations:
        if operation.verb == "crash":
            yield life
            life = []
        else:
            life.append(operation)
    yield life


def go_through(operations: list[Operation]) -> str | None:
    """Let the processes live; return what went wrong."""
    return next(iter(go_through_together([operations]).values()), None)


class _Going:
    """A sequence on its way: its log and model, and which of its lives comes next."""

    def __init__(self, operations: list[Operation], scratch: Path) -> None:
        self.scratch = scratch
        self.pair = Pair(scratch / "log")
        self.said = scratch / "said"
        *self.killed, self.last = lives_of(operations)
        self.is_verified = len(operations) % VERIFY_EVERY == 0
        scratch.mkdir()


def go_through_together(sequences: Sequence[list[Operation]]) -> dict[int, str]:
    """Let each sequence live on a log of its own; return what went wrong, by place.

    Processes that are killed are shared: one has the first of these lives of every sequence, in
    their order, and with all their logs open it dies; the next has the second ones. The first thing
    that goes wrong ends it.
    """
    with scratch_directory() as scratch:
        going = [_Going(its, Path(scratch) / str(at)) for at, its in enumerate(sequences)]
        for number in range(max(len(its.killed) for its in going)):
            wrong = _kill_together(dict(enumerate(going)), number)
            if wrong:
                return wrong
        for at, its in enumerate(going):
            try:
                _live_to_the_end(its.pair, its.last, is_verified=its.is_verified)
            except Exception:
                return {at: traceback.format_exc(limit=-3)}
            shutil.rmtree(its.scratch)
    return {}


def _kill_together(going: dict[int, _Going], number: int) -> dict[int, str]:
    """Let those that have a life of this number to be killed live it, in one process."""
    going = {at: its for at, its in going.items() if number < len(its.killed)}
    child = os.fork()
    if child == 0:
        _live_and_die(list(going.values()), number)
    _, status = os.waitpid(child, 0)
    ended = os.waitstatus_to_exitcode(status)
    if ended != KILLED:
        said = {at: its.said.read_text() for at, its in going.items() if its.said.exists()}
        return said or dict.fromkeys(going, f"life {number} ended with {ended}")
    for its in going.values():
        for operation in its.killed[number]:  # the same on the model alone
            its.pair.do(operation)
    return {}


def _live(pair: Pair, life: list[Operation]) -> None:
    pair.open()
    for operation in life:
        try:
            pair.do(operation)
        except AssertionError as error:
            raise AssertionError(f"{operation}: {error}") from None


def _live_and_die(going: list[_Going], number: int) -> None:
    for its in going:
        try:
            _live(its.pair, its.killed[number])
        except BaseException:
            its.said.write_text(traceback.format_exc(limit=-3))
            os._exit(1)
    os.kill(os.getpid(), signal.SIGKILL)


def _live_to_the_end(pair: Pair, life: list[Operation], *, is_verified: bool) -> None:
    try:
        _live(pair, life)
        for topic, model in pair.model.topics.items():
            for partition in range(len(model.partitions)):
                pair.do(Operation("read", topic, partition))
    finally:
        pair.close()
    if is_verified:
        pair.verify()


def shorten(
    operations: list[Operation],
    go: Callable[[list[Operation]], str | None] = go_through,
) -> list[Operation]:
    """Leave out what the failure does not need."""
    at = 0
    while at < len(operations):
        fewer = operations[:at] + operations[at + 1 :]
        if go(fewer) is not None:
            operations = fewer
        else:
            at += 1
    return operations


def warm_up() -> None:
    """Import here what each forked process would otherwise import for itself."""
    with scratch_directory() as scratch:
        pair = Pair(Path(scratch) / "log")
        pair.open()
        for verb in ("create", "append", "transact", "read", "commit", "delete"):
            pair.do(Operation(verb, count=1))
        pair.close()
        pair.verify()
    gc.collect()
    gc.freeze()


def main(seed: str, sequences: str = "1") -> int:
    allow_small_segments()
    warm_up()
    done, failure = 0, None
    repeat = [0, 0]
    with contextlib.suppress(KeyboardInterrupt):
        for first in range(int(seed), int(seed) + int(sequences), TOGETHER):
            seeds = range(first, min(first + TOGETHER, int(seed) + int(sequences)))
            wrong = go_through_together([draw(random.Random(number)) for number in seeds])
            if wrong:
                failure, repeat = _told(seeds, wrong)
                done += repeat[0] - first + 1
                break
            done += len(seeds)
    print(json.dumps({"cases": done, "failure": failure, "repeat": repeat}), flush=True)
    return 1 if failure else 0


def _told(seeds: range, wrong: dict[int, str]) -> tuple[str, list[int]]:
    """Return what to say of sequences that went wrong together, and what repeats it."""
    for number in seeds:  # also those behind: they were left out
        operations = draw(random.Random(number))
        if (alone := go_through(operations)) is None:
            continue
        short = shorten(operations)
        steps = "\n".join(f"  {operation}" for operation in short)
        return f"seed {number}:\n{steps}\n{go_through(short) or alone}", [number, 1]
    said = "\n".join(f"seed {seeds[at]}: {text}" for at, text in wrong.items())
    return f"only beside other sequences:\n{said}", [seeds[0], len(seeds)]


def run_sequences(seed: int, sequences: int) -> Outcome:
    """Go through sequences in a process of its own."""
    arguments = [seed, sequences]
    said = said_by(
        recorder.run("tests.torture.sequences", arguments, recorder.environment_without())
    )
    if "cases" not in said:
        repeat = f"python -m tests.torture.sequences {seed} {sequences}"
        return Outcome(0, seed + 1, said["failure"], repeat)
    first, count = said["repeat"]
    repeat = f"python -m tests.torture.sequences {first} {count}"
    return Outcome(said["cases"], seed + said["cases"], said["failure"], repeat)


class Runs:
    """Goes through sequences in processes that live for about `SECONDS_OF_A_PROCESS`."""

    def __init__(self) -> None:
        self._sequences = (
            50  # at first, of a process; how fast the machine is, is learnt on the way
        )

    def run(self, seed: int, seconds: float) -> Outcome:
        """Go through sequences from a seed on for about so long."""
        return run_seeds(self._run_process, seed, seconds)

    def _run_process(self, seed: int) -> Outcome:
        began = time.monotonic()
        outcome = run_sequences(seed, self._sequences)
        rate = outcome.cases / max(time.monotonic() - began, 0.001)
        self._sequences = max(10, int(rate * SECONDS_OF_A_PROCESS))
        return outcome


HARNESS = Harness("sequences against the model", "sequences", 1_000_000, Runs().run)

if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
