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


class Pair:
    """A log and its model, with some producers and followers."""

    def __init__(self, log: ps.Log, choose: random.Random) -> None:
        self.log = log
        self.choose = choose
        self.model = TransactionsModel(PARTITIONS)
        self.topic = log.create_topic("t", {"n": "int64"}, partitions=PARTITIONS)
        self.plain = log.producer(linger="0s")
        self.producers = [log.producer(transactional_id=f"p{i}", linger="0s") for i in range(3)]
        self.open: dict[int, int] = {}  # transaction of a producer, by its number in the list
        self.pending: dict[int, dict[int, int]] = {}
        self.next_value = self.next_transaction = 0
        self.followers = {
            level: log.consumer("t", auto_offset_reset="earliest", isolation_level=level)
            for level in ("read_committed", "read_uncommitted")
        }
        self.followed: dict[tuple[str, int], list[int]] = {}
        log.consumer("t", group_id="g", enable_auto_commit=False).close()

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
            self.plain.send_batch("t", {"n": values}, partition=partition)
            self.model.append(partition, values)
        elif action == "send":
            self._begin(which)
            if choose.random() < 0.5:
                producer.send_batch("t", {"n": values}, partition=partition)
            else:
                for value in values:
                    producer.send("t", {"n": value}, partition=partition)
                producer.flush()
            self.model.append(partition, values, self.open[which])
        elif action == "offsets":
            self._begin(which)
            offset = choose.randint(0, len(self.model.partitions[partition]))
            producer.send_offsets_to_transaction({("t", partition): offset}, "g")
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
        for number in range(PARTITIONS):
            name = ps.TopicPartition("t", number)
            stable = self.model.last_stable_offset(number)
            entries = self.model.partitions[number]
            for level, end in (("read_committed", stable), ("read_uncommitted", len(entries))):
                is_committed_only = level == "read_committed"
                expected = self.model.read(number, 0, is_committed_only=is_committed_only)
                assert self.followed.get((level, number), []) == expected
                offset = self.choose.randint(0, end)
                with self.log.consumer(isolation_level=level) as consumer:
                    consumer.assign([name])
                    assert consumer.end_offsets([name]) == {name: end}
                    assert consumer.position(name) == end
                    consumer.seek(name, offset)
                    read = [r["n"] for r in consumer.poll(max_records=10_000).get(name, [])]
                    assert read == self.model.read(
                        number, offset, is_committed_only=is_committed_only
                    )
                    consumer.poll()
                    assert consumer.position(name) == end
            assert self.topic.ends()[number].end == len(entries)
            with self.log.consumer(group_id="g") as consumer:
                assert consumer.committed(name) == self.model.offsets.get(number)

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


def go_through(seed: int) -> None:
    """Go through one sequence; raise AssertionError when the log and the model differ."""
    with scratch_directory() as directory, ps.open(directory) as log:
        pair = Pair(log, random.Random(seed))
        for step in range(STEPS):
            pair.step()
            if step % 10 == 9:
                pair.check()
        for number in list(pair.open):
            pair.producers[number].close()
            pair.model.end(pair.open[number], ABORTED)
        pair.check()
        for number, entries in enumerate(pair.model.partitions):
            assert pair.model.last_stable_offset(number) == len(entries)
