"""Kill those who compact and delete, and those who write and read meanwhile, at random.

Run as a program of its own (it forks, so it must have no other threads)::

    python -m tests.log.kill_upkeep DIRECTORY KILLS SEED

Two producers with names and one with transactions send each number to three topics: one that is
compacted, one that keeps records for a time, and one that keeps some bytes. Two keepers compact,
apply retention and delete records, two members of a group follow all topics and commit, and an
auditor reads all there is again and again (``upkeep_checks.py``). Each is killed at random moments,
the keepers most often, and followed by another life. Prints one line of JSON; the exit code is 1
when anything was lost, back, torn, moved, skipped or deleted too early.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable

import pystream as ps
from pystream import config
from pystream.log.retention import apply_retention
from pystream.log.verify import verify_log
from tests.log.forked import start, warm_up
from tests.log.upkeep_checks import (
    ACKNOWLEDGED,
    AGED,
    KEEPERS,
    PARTITIONS,
    PAYER,
    RETENTION_BYTES,
    SIZED,
    STATE,
    TOPICS,
    TRANSACTION,
    WRITERS,
    Shared,
    audit,
    is_aborted,
    is_tombstone,
    keys_of,
    records_of,
    unseen,
)

GROUP = "followers"
MEMBERS = 2
SENT_AGAIN_MAX = 40  # numbers before the one where a producer need go on
SEGMENT_BYTES = 16 * 1024
RETENTION_US = 3_600 * 10**6  # keepers are told that it is an hour later
REST_NS = 10**9
DRAIN_SECONDS = 60.0
# Everybody's part, how many have it, and how often one of them is the next to be killed.
PARTS = (
    ("writer", WRITERS, 2),
    ("payer", 1, 2),
    ("keeper", KEEPERS, 5),
    ("member", MEMBERS, 2),
    ("auditor", 1, 1),
)


def make_topics(log: ps.Log) -> None:
    common = {"partitions": PARTITIONS, "segment_bytes": SEGMENT_BYTES}
    log.create_topic(
        STATE,
        {"key": "int64", "number": "int64"},
        key="key",
        cleanup_policy="compact",
        delete_retention="300ms",
        **common,  # type: ignore[arg-type]
    )
    schema = {"sender": "int64", "number": "int64"}
    log.create_topic(AGED, schema, retention="1h", **common)  # type: ignore[arg-type]
    log.create_topic(SIZED, schema, retention_bytes=RETENTION_BYTES, **common)  # type: ignore[arg-type]


def send(producer: ps.Producer, topic: str, sender: int, number: int, *, has_id: bool) -> None:
    where = {"partition": number % PARTITIONS, "sequence_id": number if has_id else None}
    if topic == STATE:
        value = None if is_tombstone(number) else number
        row = {"key": int(keys_of(sender, number)), "number": value}
        producer.send(topic, row, timestamp=number, **where)  # type: ignore[arg-type]
    else:
        producer.send(topic, {"sender": sender, "number": number}, **where)  # type: ignore[arg-type]


# -- the processes ---------------------------------------------------------------------------------


def write(directory: str, shared: Shared, sender: int, seed: int, *, is_last: bool) -> None:
    """Count up in all topics until killed; the last life ends with all that was ever begun."""
    choose = random.Random(seed)
    acks = choose.choice(["published", "interval"])
    with (
        ps.open(directory) as log,
        log.producer(producer_name=f"writer-{sender}", acks=acks, linger="1ms") as producer,
    ):
        following = {}
        for topic in TOPICS:
            stored = producer.last_sequence_id(topic)
            sent = int(shared.begun[sender]) - 1
            assert stored <= sent, f"{topic}: {stored} is said to be stored, {sent} was sent last"
            following[topic] = max(0, stored + 1 - choose.choice([0, SENT_AGAIN_MAX]))
        while not is_last or min(following.values()) < shared.begun[sender]:
            end = min(following.values()) + choose.randint(1, 40)
            if is_last:
                end = min(end, int(shared.begun[sender]))
            shared.begin(sender, end)
            for topic in TOPICS:
                for number in range(following[topic], end):
                    send(producer, topic, sender, number, has_id=True)
                following[topic] = max(following[topic], end)
            time.sleep(choose.random() * 0.01)  # a pace that the others keep up with
            if choose.random() < 0.7 or is_last:
                producer.flush()
                shared.fates[sender, :end] = ACKNOWLEDGED
                if choose.random() < 0.03 and not is_last:
                    # All that it sent may be removed before it dies, or goes on.
                    shared.rests_until_ns[sender] = time.monotonic_ns() + REST_NS
                    time.sleep(2 * REST_NS / 1e9)


def pay(directory: str, shared: Shared, seed: int) -> None:
    """Send one transaction after another; some are left open for a while, some aborted."""
    choose = random.Random(seed)
    with ps.open(directory) as log, log.producer(transactional_id="payer", linger="0s") as producer:
        while not shared.is_over:
            first = int(shared.begun[PAYER])  # each number is used once
            shared.begin(PAYER, first + TRANSACTION)
            producer.begin_transaction()
            for topic in choose.sample(TOPICS, len(TOPICS)):
                for number in range(first, first + TRANSACTION):
                    send(producer, topic, PAYER, number, has_id=False)
                producer.flush()
                time.sleep(choose.random() * 0.01)
            if is_aborted(PAYER, first):
                producer.abort_transaction()
            else:
                producer.commit_transaction()
                shared.fates[PAYER, first : first + TRANSACTION] = ACKNOWLEDGED


def keep(directory: str, shared: Shared, keeper: int, seed: int) -> None:
    """Compact, apply retention and delete records, and say before what may be gone."""
    choose = random.Random(seed)
    with ps.open(directory) as log:
        while not shared.is_over:
            if choose.random() < 0.3:
                trim(log, shared, keeper, choose)
                continue
            if choose.random() < 0.3:
                log.topic(STATE).native_partition(choose.randrange(PARTITIONS)).end_segment()
            expiry_us = time.time_ns() // 1000 - choose.randint(500_000, 2_000_000)
            shared.expiry_us[keeper] = max(expiry_us, int(shared.expiry_us[keeper]))
            wanted = choose.choice([[STATE], [AGED], [SIZED], list(TOPICS)])
            for done in apply_retention(log, wanted, now_us=expiry_us + RETENTION_US):
                shared.removed[keeper] += done.removed_records
                shared.compacted[keeper] += done.compacted_records
            time.sleep(choose.random() * 0.01)


def trim(log: ps.Log, shared: Shared, keeper: int, choose: random.Random) -> None:
    name, partition = choose.choice([AGED, SIZED]), choose.randrange(PARTITIONS)
    start, end = log.topic(name).ends()[partition]
    offset = start + int((end - start) * choose.random() * 0.2)
    topic = TOPICS.index(name)
    before = int(shared.trimmed[keeper, topic, partition])
    shared.trimmed[keeper, topic, partition] = max(offset, before)
    log.delete_records({ps.TopicPartition(name, partition): offset})


def follow(directory: str, shared: Shared, seed: int) -> None:
    """Be a member of the group until everything was seen."""
    choose = random.Random(seed)
    with ps.open(directory) as log:
        consumer = log.consumer(
            group_id=GROUP, auto_offset_reset="earliest", auto_commit_interval="50ms"
        )
        consumer.subscribe(list(TOPICS))
        while not shared.is_drained:
            for batch in consumer.batches(timeout="20ms"):
                topic = TOPICS.index(str(batch.topic))
                found = records_of(topic, batch)
                shared.note(topic, found)
                shared.seen[topic, found.senders, found.numbers] = True
                if choose.random() < 0.05:
                    consumer.commit()
        consumer.close()


def look(directory: str, shared: Shared) -> None:
    with ps.open(directory) as log:
        while not shared.is_over:
            audit(log, shared)


# -- the killer ------------------------------------------------------------------------------------


class Killer:
    """Starts everybody, kills some, and starts them again."""

    def __init__(self, directory: str, seed: int) -> None:
        self._directory = directory
        self._seed = seed
        self._lives = 0
        self._choose = random.Random(seed)
        self.shared = Shared()
        self._roles = [(part, at) for part, count, _ in PARTS for at in range(count)]
        self._weights = [weight for _, count, weight in PARTS for _ in range(count)]
        self._processes: dict[tuple[str, int], int] = {}
        self.killed = dict.fromkeys((part for part, _, _ in PARTS), 0)
        self.wrong: list[str] = []

    def run(self, kills: int) -> None:
        for role in self._roles:
            self._start(role)
        try:
            while sum(self.killed.values()) < kills:
                time.sleep(self._choose.random() * 0.1)
                (role,) = self._choose.choices(self._roles, self._weights)
                if role[0] == "writer" and self._is_resting(role[1]):
                    continue
                self._kill(role)
                if self._watch():
                    return
                self._start(role)
            self._end()
        finally:
            for process in self._processes.values():
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)

    def _start(self, role: tuple[str, int], *, is_last: bool = False) -> None:
        part, at = role
        self._lives += 1
        seed, directory, shared = 1000 * self._seed + self._lives, self._directory, self.shared
        parts: dict[str, Callable[[], None]] = {
            "writer": lambda: write(directory, shared, at, seed, is_last=is_last),
            "payer": lambda: pay(directory, shared, seed),
            "keeper": lambda: keep(directory, shared, at, seed),
            "member": lambda: follow(directory, shared, seed),
            "auditor": lambda: look(directory, shared),
        }
        self._processes[role] = start(parts[part])

    def _kill(self, role: tuple[str, int]) -> None:
        process = self._processes.pop(role)
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        if not os.WIFSIGNALED(status):
            self.wrong.append(f"{role} ended by itself with status {status}")
        self.killed[role[0]] += 1

    def _is_resting(self, writer: int) -> bool:
        return bool(time.monotonic_ns() < self.shared.rests_until_ns[writer])

    def _watch(self) -> bool:
        """Return whether something is wrong."""
        for role, process in list(self._processes.items()):
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                del self._processes[role]
                if status != 0 or not self.shared.is_over:
                    self.wrong.append(f"{role} ended by itself with status {status}")
        return bool(self.wrong)

    def _await(self, part: str) -> None:
        for role in [role for role in self._processes if role[0] == part]:
            if os.waitpid(self._processes.pop(role), 0)[1] != 0:
                self.wrong.append(f"{role} did not come to its end")

    def _end(self) -> None:
        """Let everybody come to an end, the members when they have seen all that there is."""
        for at in range(WRITERS):
            self._kill(("writer", at))
            self._start(("writer", at), is_last=True)
        self._await("writer")
        self.shared.end()
        for part in ("payer", "keeper", "auditor"):
            self._await(part)
        deadline = time.monotonic() + DRAIN_SECONDS
        with ps.open(self._directory) as log:
            while (left := unseen(log, self.shared)) and not self._watch():
                if time.monotonic() > deadline:
                    self.wrong += left[:5]
                    break
                time.sleep(0.1)
        self.shared.end(is_drained=True)
        self._await("member")


def check_log(directory: str, shared: Shared) -> list[str]:
    """Return what is wrong when all have come to their ends, before and after a compaction."""
    wrong: list[str] = []
    with ps.open(directory) as log:
        try:
            audit(log, shared, is_quiet=True)
            log.apply_retention(STATE)
            audit(log, shared, is_quiet=True)
        except AssertionError as error:
            wrong.append(str(error))
        if log.transactions():
            wrong.append(f"{log.transactions()} are left")
        for name, its in log.describe_group(GROUP).partitions.items():
            end = log.topic(name.topic).ends()[name.partition].end
            if its.committed is None or its.committed > end:
                wrong.append(f"{name}: {its.committed} is committed, the log ends at {end}")
    report = verify_log(directory)
    return wrong + [f"verify found {finding}" for finding in report.problems]


def main(directory: str, kills: str, seed: str) -> int:
    config.SEGMENT_BYTES_MIN = 4096  # type: ignore[misc]
    warm_up()
    with ps.open(directory) as log:
        make_topics(log)
    killer = Killer(directory, int(seed))
    killer.run(int(kills))
    shared, wrong = killer.shared, killer.wrong
    if not wrong:
        wrong += check_log(directory, shared)
    result = {
        "killed": sum(killer.killed.values()),
        **{f"killed_{part}s": count for part, count in killer.killed.items()},
        "numbers": int(shared.begun.sum()),
        "removed": int(shared.removed.sum()),
        "compacted": int(shared.compacted.sum()),
        "audits": int(shared.audits[0]),
        "wrong": wrong[:20],
    }
    print(json.dumps(result), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
