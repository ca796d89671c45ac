"""A program that uses a log in many ways, and notes before and after what it does.

Usage, under the recorder: python -m tests.torture.workload DIRECTORY SEED STEPS

An error of storage is no reason to stop: what failed is noted as refused (nothing of it may be
there), the log is opened again, and the program goes on. Anything else ends it.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pystream as ps
from pystream.errors import StorageError
from tests.torture import latest, sharing
from tests.torture.keeping import read, topics_of
from tests.torture.latest import LATEST
from tests.torture.ledger import transact
from tests.torture.promises import (
    LOADED,
    LOADER,
    SCHEMA,
    allow_small_segments,
    supported_levels,
    text_of,
)

SMALL_SEGMENT_BYTES = 16 * 1024
LOADED_TOPIC = "ants"
OPEN_ATTEMPTS = 50  # a disk that fails may do so for a while
# Whatever a test does with a log, it does with these weights.
WEIGHTS = {
    "send_batch": 50,
    "send": 12,
    "load": 12,
    "sync": 8,
    "commit": 12,
    "transact": 10,
    "edit": 10,
    "share": 5,
    "create": 6,
    "delete": 3,
    "delete_records": 6,
    "alter": 3,
    "reopen": 4,
}


Note = Callable[[str], object]


def into_trace() -> Note:
    """Return a function that adds a text to the recorder's trace."""
    program = ctypes.CDLL(None)
    return lambda text: program.torture_mark(text.encode(), ctypes.c_size_t(len(text.encode())))


def into_file(path: Path) -> Note:
    """Return a function that appends a line to a file, where it survives this process."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    return lambda text: os.write(fd, f"{text}\n".encode())


class Workload:
    """One life of a program."""

    def __init__(self, directory: Path, seed: int, note: Note) -> None:
        self._directory = directory
        self._choose = random.Random(seed)
        self._note = note
        self._next = 1 + 1_000_000 * seed  # other lives send other numbers
        self._open()
        self._look_around(is_new_life=True)

    def run(self, steps: int) -> None:
        actions = list(WEIGHTS)
        for _ in range(steps):
            (action,) = self._choose.choices(actions, list(WEIGHTS.values()))
            try:
                getattr(self, f"_{action}")()
            except StorageError as error:
                self._note_error(error)
                self._reopen()
                self._look_around(is_new_life=False)
        self.close()

    def close(self) -> bool:
        """Close the log; return whether that went well."""
        try:
            self._log.close()
        except StorageError as error:
            self._note_error(error)
            return False
        return True

    def _open(self) -> None:
        for attempt in range(OPEN_ATTEMPTS):
            try:
                self._log = ps.open(self._directory, lock_timeout="5s")
                break
            except StorageError:
                if attempt == OPEN_ATTEMPTS - 1:
                    raise
        self._levels = supported_levels(self._log)

    def _note_error(self, error: StorageError) -> None:
        # From then on, what was not durable may count as unwritten.
        if "sync" in str(error):
            self._say("sync_failed")

    def _look_around(self, *, is_new_life: bool) -> None:
        """Note what is there: what an earlier life left, or an error."""
        for topic in self._topics():
            partitions = self._log.topic(topic).partitions
            for partition in range(partitions):
                records = list(read(self._log, topic, partition).items())
                ends = self._log.topic(topic).native_partition(partition).ends()
                where = {"topic": topic, "partition": partition, "partitions": partitions}
                facts = {"durable": ends.durable_offset, "is_new_life": is_new_life}
                facts["start"] = ends.log_start_offset
                self._say("found", **where, **facts, records=records)
        if LATEST in self._log.topics():
            for partition in range(latest.PARTITIONS):
                rows = list(latest.read_latest(self._log, partition).items())
                ends = self._log.topic(LATEST).native_partition(partition).ends()
                facts = {"durable": ends.durable_offset, "is_new_life": is_new_life}
                self._say("found_latest", partition=partition, rows=rows, **facts)
        self._say("found_topics", topics=self._topics(), is_new_life=is_new_life)

    def _topics(self) -> list[str]:
        """Return all topics but those that have their own rules."""
        return topics_of(self._log)

    def _say(self, do: str, **facts: Any) -> None:
        self._note(json.dumps({"do": do, **facts}))

    def _reopen(self) -> None:
        has_closed = self.close()
        self._open()
        if not has_closed:
            # What was not durable may be gone, and what becomes durable now does not bring it back.
            self._look_around(is_new_life=False)

    def _create(self) -> None:
        names = [name for name in ("ants", "bees", "cats") if name not in self._topics()]
        if not names:
            return
        name = names[0]
        partitions = self._choose.randint(1, 2)
        self._say("try_create", topic=name, partitions=partitions)
        self._log.create_topic(
            name,
            SCHEMA,
            partitions=partitions,
            compression=self._choose.choice(["none", "lz4"]),
            segment_bytes=SMALL_SEGMENT_BYTES,
        )
        self._say("created", topic=name, partitions=partitions)

    def _delete(self) -> None:
        names = self._topics()
        if len(names) < 2:
            return
        name = self._choose.choice(names)
        self._say("try_delete", topic=name)
        self._log.delete_topic(name)
        self._say("deleted", topic=name)

    def _pick(self) -> tuple[str, int]:
        if not self._topics():
            self._create()
        name = self._choose.choice(self._topics())
        return name, self._choose.randrange(self._log.topic(name).partitions)

    def _rows(self, most: int) -> list[dict[str, Any]]:
        count = self._choose.randint(1, most)
        numbers = range(self._next, self._next + count)
        self._next += count
        return [{"number": number, "text": text_of(number)} for number in numbers]

    def _send_batch(self) -> None:
        topic, partition = self._pick()
        level = self._choose.choice(self._levels)
        rows = self._rows(self._choose.choice([3, 40, 120]))
        facts = {"topic": topic, "partition": partition, "first": rows[0]["number"]}
        facts["count"] = len(rows)
        with self._log.producer(acks=level) as producer:
            self._say("try_send", **facts)
            try:
                (sent,) = producer.send_batch(topic, rows, partition=partition)
            except StorageError:
                self._say("refused", **facts)
                raise
            self._say("sent", **facts, offset=sent.base_offset, level=level)

    def _send(self) -> None:
        topic, partition = self._pick()
        level = self._choose.choice(self._levels)
        rows = self._rows(20)
        where = {"topic": topic, "partition": partition}
        self._say("try_send", **where, first=rows[0]["number"], count=len(rows))
        deliveries: list[ps.Delivery] = []
        failure = None
        try:
            with self._log.producer(acks=level, linger="1s") as producer:
                for row in rows:
                    deliveries.append(producer.send(topic, row, partition=partition))
                producer.flush()
        except StorageError as error:
            failure = error
        # Each record has an outcome of its own, or was never taken.
        for row, delivery in itertools.zip_longest(rows, deliveries):
            facts = {**where, "first": row["number"], "count": 1}
            if delivery is None or delivery.exception() is not None:
                assert failure is not None, "a record failed in silence"
                self._say("refused", **facts)
            else:
                self._say("sent", **facts, offset=delivery.result().offset, level=level)
        if failure is not None:
            raise failure

    def _load(self) -> None:
        """Go on as a producer with a name does, from a little before where the one before stopped.

        Each record goes to the partition of its sequence id, so that it does so again. Only to one
        topic, of which nothing is deleted: its records are counted.
        """
        topic = LOADED_TOPIC
        if topic not in self._log.topics():
            return
        partitions = self._log.topic(topic).partitions
        level = self._choose.choice(self._levels)
        count, overlap = self._choose.randint(1, 30), self._choose.choice([0, 0, 3, 30])
        deliveries: list[tuple[int, ps.Delivery]] = []
        ids = range(0)
        failure = None
        try:
            with self._log.producer(producer_name=LOADER, acks=level, linger="1s") as producer:
                resumed = producer.last_sequence_id(topic) + 1
                ids = range(max(0, resumed - overlap), resumed + count)
                for sequence in ids:
                    number, partition = LOADED + sequence, sequence % partitions
                    self._say("try_send", topic=topic, partition=partition, first=number, count=1)
                    row = {"number": number, "text": text_of(number)}
                    sent = producer.send(topic, row, sequence_id=sequence, partition=partition)
                    deliveries.append((sequence, sent))
                producer.flush()
        except StorageError as error:
            failure = error
        outcomes = dict(deliveries)
        for sequence in ids:
            delivery = outcomes.get(sequence)
            facts = {"topic": topic, "partition": sequence % partitions}
            facts |= {"first": LOADED + sequence, "count": 1}
            if delivery is None or delivery.exception() is not None:
                assert failure is not None, "a record failed in silence"
                self._say("refused", **facts)
                continue
            where = delivery.result()
            if sequence < resumed:
                assert where.is_duplicate, f"sequence id {sequence} was stored twice"
            if where.offset >= 0:
                self._say("sent", **facts, offset=where.offset, level=level)
        if failure is not None:
            raise failure

    def _transact(self) -> None:
        number = self._next
        self._next += 1
        transact(self._log, self._choose, number, self._say)

    def _edit(self) -> None:
        number = self._next
        self._next += latest.ROWS_MOST
        latest.edit(self._log, self._choose, number, self._say)

    def _share(self) -> None:
        number = self._next
        self._next += 1
        sharing.share(self._log, self._choose, number, self._say)

    def _sync(self) -> None:
        topic, partition = self._pick()
        native = self._log.topic(topic).native_partition(partition)
        native.sync()
        ends = native.ends()
        assert ends.durable_offset == ends.log_end_offset, "synced, but not durable"
        self._say("durable", topic=topic, partition=partition, offset=ends.durable_offset)

    def _delete_records(self) -> None:
        topic, partition = self._pick()
        if topic == LOADED_TOPIC:
            return
        native = self._log.topic(topic).native_partition(partition)
        ends = native.ends()
        if self._choose.random() < 0.2:
            native.end_segment()
        offset = self._choose.randint(ends.log_start_offset, ends.log_end_offset)
        facts = {"topic": topic, "partition": partition, "offset": offset}
        self._say("try_delete_records", **facts)
        self._log.delete_records({ps.TopicPartition(topic, partition): offset})
        self._say("deleted_records", **facts)

    def _alter(self) -> None:
        topic, _ = self._pick()
        partitions = self._log.topic(topic).partitions
        if topic == LOADED_TOPIC or partitions > 2:
            self._log.alter_topic(topic, compression=self._choose.choice(["none", "lz4"]))
            return
        self._say("try_add_partitions", topic=topic, partitions=partitions + 1)
        self._log.alter_topic(topic, partitions=partitions + 1, retention="7d")

    def _commit(self) -> None:
        topic, partition = self._pick()
        end = self._log.topic(topic).ends()[partition].end
        facts = {"group": "billing", "topic": topic, "partition": partition}
        facts["offset"] = self._choose.randint(0, end)
        with self._log.consumer(group_id="billing") as consumer:
            name = ps.TopicPartition(topic, partition)
            consumer.assign([name])
            self._say("try_commit", **facts)
            consumer.commit({name: facts["offset"]})
            self._say("committed", **facts)


def main(directory: str, seed: str, steps: str) -> int:
    allow_small_segments()
    Workload(Path(directory), int(seed), into_trace()).run(int(steps))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
