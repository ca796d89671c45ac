"""A program that uses a log in many ways, and notes before and after what it does.

Usage: python -m tests.torture.workload DIRECTORY SEED STEPS NOTES

Under the recorder the notes are part of its trace; else they are appended to the file NOTES, line
by line, so that they survive the program. Errors of storage are noted as refusals: nothing of what
was sent may be there. Ends with exit status 1 when a promise is broken at once.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import sys
from pathlib import Path
from typing import Any

import pystream as ps
from pystream.errors import StorageError
from tests.torture.promises import SCHEMA, allow_small_segments, read, supported_levels, text_of

SMALL_SEGMENT_BYTES = 16 * 1024
# Whatever a test does with a log, it does with these weights.
WEIGHTS = {
    "send_batch": 50,
    "send": 12,
    "sync": 8,
    "commit": 12,
    "create": 6,
    "delete": 3,
    "reopen": 4,
}


def make_noter(path: Path) -> Any:
    """Return a function that notes a text where it survives this process."""
    program = ctypes.CDLL(None)
    if hasattr(program, "torture_mark"):
        return lambda text: program.torture_mark(text.encode(), ctypes.c_size_t(len(text.encode())))
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    return lambda text: os.write(fd, f"{text}\n".encode())


class Workload:
    """One life of a program."""

    def __init__(self, directory: Path, seed: int, note: Any) -> None:
        self._directory = directory
        self._choose = random.Random(seed)
        self._note = note
        self._next = 1 + 1_000_000 * seed  # other lives send other numbers
        self._open()
        self._look_around()

    def run(self, steps: int) -> None:
        actions = list(WEIGHTS)
        for _ in range(steps):
            (action,) = self._choose.choices(actions, list(WEIGHTS.values()))
            try:
                getattr(self, f"_{action}")()
            except StorageError:
                self._reopen()
        self.close()

    def close(self) -> None:
        try:
            self._log.close()
        except StorageError:
            return

    def _open(self) -> None:
        for attempt in range(3):
            try:
                self._log = ps.open(self._directory, lock_timeout="5s")
                break
            except StorageError:
                if attempt == 2:
                    raise
        self._levels = supported_levels(self._log)

    def _look_around(self) -> None:
        """Note what an earlier life left."""
        for topic in self._log.topics():
            partitions = self._log.topic(topic).partitions
            for partition in range(partitions):
                records = list(read(self._log, topic, partition).items())
                where = {"topic": topic, "partition": partition, "partitions": partitions}
                self._say("found", **where, records=records)
        self._say("found_topics", topics=self._log.topics())

    def _say(self, do: str, **facts: Any) -> None:
        self._note(json.dumps({"do": do, **facts}))

    def _reopen(self) -> None:
        self.close()
        self._open()

    def _create(self) -> None:
        names = [name for name in ("ants", "bees", "cats") if name not in self._log.topics()]
        if not names:
            return
        name = names[0]
        partitions = self._choose.randint(1, 2)
        self._say("try_create", topic=name)
        self._log.create_topic(
            name,
            SCHEMA,
            partitions=partitions,
            compression=self._choose.choice(["none", "lz4"]),
            segment_bytes=SMALL_SEGMENT_BYTES,
        )
        self._say("created", topic=name, partitions=partitions)

    def _delete(self) -> None:
        names = self._log.topics()
        if len(names) < 2:
            return
        name = self._choose.choice(names)
        self._say("try_delete", topic=name)
        self._log.delete_topic(name)
        self._say("deleted", topic=name)

    def _pick(self) -> tuple[str, int]:
        if not self._log.topics():
            self._create()
        name = self._choose.choice(self._log.topics())
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
        facts = {"topic": topic, "partition": partition, "first": rows[0]["number"]}
        facts["count"] = len(rows)
        try:
            with self._log.producer(acks=level) as producer:
                self._say("try_send", **facts)
                deliveries = [producer.send(topic, row, partition=partition) for row in rows]
                producer.flush()
        except StorageError:
            if any(delivery.exception() is None for delivery in deliveries):
                raise AssertionError("a batch was appended in part") from None
            self._say("refused", **facts)
            raise
        offsets = [delivery.result().offset for delivery in deliveries]
        assert offsets == list(range(offsets[0], offsets[0] + len(rows))), "one batch, one run"
        self._say("sent", **facts, offset=offsets[0], level=level)

    def _sync(self) -> None:
        topic, partition = self._pick()
        native = self._log.topic(topic).native_partition(partition)
        native.sync()
        ends = native.ends()
        assert ends.durable_offset == ends.log_end_offset, "synced, but not durable"
        self._say("durable", topic=topic, partition=partition, offset=ends.durable_offset)

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


def main(directory: str, seed: str, steps: str, notes: str) -> int:
    allow_small_segments()
    Workload(Path(directory), int(seed), make_noter(Path(notes))).run(int(steps))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
