"""The operations of random sequences, each done on a log and on the model of ``tests/oracle``."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import pystream as ps
from pystream.errors import StreamError
from pystream.log.retention import look_after, retention_lock
from pystream.log.verify import verify_log
from tests.oracle.log import LogModel, Row, outcome_of
from tests.torture.compacting import DELETE_RETENTION_US, compact_model, compact_topic

TOPICS = ("ants", "bees", "cats")
GROUPS = ("billing", "search")
SMALL_SEGMENT_BYTES = 16 * 1024
OPERATIONS_MOST = 24


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
