"""Random interleavings of transactional and ordinary producers, against the plain model.

Per commit in ``test_transactions_model.py``, for ever in ``make torture``.
"""

from __future__ import annotations

import random

import pystream as ps
from tests.oracle.transactions import ABORTED, COMMITTED, TransactionsModel
from tests.torture.harness import scratch_directory

PARTITIONS = 2
STEPS = 40
LEVELS = ("read_committed", "read_uncommitted")
GROUP = "g"


class Pair:
    """A topic and its model, with some producers and followers."""

    def __init__(self, log: ps.Log, name: str, choose: random.Random) -> None:
        self.log = log
        self.name = name
        self.choose = choose
        self.model = TransactionsModel(PARTITIONS)
        self.topic = log.create_topic(name, {"n": "int64"}, partitions=PARTITIONS)
        self.places = [ps.TopicPartition(name, number) for number in range(PARTITIONS)]
        self.plain = log.producer(linger="0s")
        self.producers = [log.producer(transactional_id=f"p{i}", linger="0s") for i in range(3)]
        self.open: dict[int, int] = {}  # transaction of a producer, by its number in the list
        self.pending: dict[int, dict[int, int]] = {}
        self.next_value = self.next_transaction = 0
        self.followers = {
            level: log.consumer(name, auto_offset_reset="earliest", isolation_level=level)
            for level in LEVELS
        }
        self.followed: dict[tuple[str, int], list[int]] = {}
        self.readers = {level: log.consumer(isolation_level=level) for level in LEVELS}
        self.group = log.consumer(group_id=GROUP)

    def step(self) -> None:
        choose = self.choose
        which = choose.randrange(len(self.producers))
        producer = self.producers[which]
        action = choose.choice(
            ["plain", "send", "send", "send", "end", "follow", "take", "offsets"]
        )
        partition = choose.randrange(PARTITIONS)
        values = [self._value() for _ in range(choose.randint(1, 3))]
        if action == "plain":
            self.plain.send_batch(self.name, {"n": values}, partition=partition)
            self.model.append(partition, values)
        elif action == "send":
            self._begin(which)
            if choose.random() < 0.5:
                producer.send_batch(self.name, {"n": values}, partition=partition)
            else:
                for value in values:
                    producer.send(self.name, {"n": value}, partition=partition)
                producer.flush()
            self.model.append(partition, values, self.open[which])
        elif action == "offsets":
            self._begin(which)
            offset = choose.randint(0, len(self.model.partitions[partition]))
            producer.send_offsets_to_transaction({self.places[partition]: offset}, GROUP)
            self.pending[which][partition] = offset
        elif action == "end" and which in self.open:
            if choose.random() < 0.6:
                producer.commit_transaction()
                self.model.end(self.open[which], COMMITTED, self.pending[which])
            else:
                producer.abort_transaction()
                self.model.end(self.open[which], ABORTED)
            del self.open[which]
        elif action == "take":  # a newer producer of the name, in place of this one
            self.producers[which] = self.log.producer(transactional_id=f"p{which}", linger="0s")
            if which in self.open:
                self.model.end(self.open.pop(which), ABORTED)
            producer.close()
        elif action == "follow":
            self.follow()

    def follow(self) -> None:
        for level, consumer in self.followers.items():
            for name, records in consumer.poll().items():
                seen = self.followed.setdefault((level, name.partition), [])
                seen += [record["n"] for record in records]
                assert [record.offset for record in records] == sorted(
                    record.offset for record in records
                )

    def check(self) -> None:
        self.follow()
        for level in LEVELS:
            self._check_level(level)
        for number, place in enumerate(self.places):
            assert self.topic.ends()[number].end == len(self.model.partitions[number])
            assert self.group.committed(place) == self.model.offsets.get(number)

    def _check_level(self, level: str) -> None:
        model, reader, is_committed_only = self.model, self.readers[level], level == LEVELS[0]
        ends, expected = {}, {}
        for number, place in enumerate(self.places):
            whole = model.read(number, 0, is_committed_only=is_committed_only)
            assert self.followed.get((level, number), []) == whole
            ends[place] = (
                model.last_stable_offset(number)
                if is_committed_only
                else len(model.partitions[number])
            )
        reader.assign([])  # or it would keep its positions
        reader.assign(self.places)
        assert reader.end_offsets(self.places) == ends
        for number, place in enumerate(self.places):
            assert reader.position(place) == ends[place]
            offset = self.choose.randint(0, ends[place])
            reader.seek(place, offset)
            expected[place] = model.read(number, offset, is_committed_only=is_committed_only)
        read: dict[ps.TopicPartition, list[int]] = {place: [] for place in self.places}
        while records := reader.poll(max_records=10_000):
            for place, its in records.items():
                read[place] += [record["n"] for record in its]
        assert read == expected
        assert {place: reader.position(place) for place in self.places} == ends

    def finish(self) -> None:
        """Close everything: what is open is aborted."""
        for producer in (self.plain, *self.producers):
            producer.close()
        for transaction in self.open.values():
            self.model.end(transaction, ABORTED)
        self.check()
        for number, entries in enumerate(self.model.partitions):
            assert self.model.last_stable_offset(number) == len(entries)
        for consumer in (*self.followers.values(), *self.readers.values(), self.group):
            consumer.close()

    def _begin(self, which: int) -> None:
        if which not in self.open:
            self.producers[which].begin_transaction()
            self.open[which] = self.next_transaction
            self.model.states[self.next_transaction] = "open"
            self.pending[which] = {}
            self.next_transaction += 1

    def _value(self) -> int:
        self.next_value += 1
        return self.next_value


def go_through(seed: int, sequences: int = 1) -> None:
    """Go through the sequences of a seed; raise AssertionError when log and model differ.

    Each has a topic of its own in one log, and names of producers that the one before had.
    """
    choose = random.Random(seed)
    with scratch_directory() as directory, ps.open(directory) as log:
        for number in range(sequences):
            pair = Pair(log, f"t{number}", choose)
            if number == 0:
                log.consumer(pair.name, group_id=GROUP, enable_auto_commit=False).close()
            for step in range(STEPS):
                pair.step()
                if step % 10 == 9:
                    pair.check()
            pair.finish()
