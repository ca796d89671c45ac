"""Members of one group join, leave and are killed at random, and every record is counted.

Run as a program of its own (it forks, so it must have no other threads)::

    python -m tests.log.kill_members DIRECTORY SECONDS SEED [MEMBERS [OWNERLESS_SECONDS]]

Who owns what since when, and how far each partition was processed, stands in memory that survives
every process. A member that is told of a partition claims it there: nobody else who lives may have
it. What it is given must follow what was processed, by whomever. Prints one line of JSON; the exit
code is 1 when two members owned a partition, one was without an owner for too long while a member
lived, a record was skipped, or an offset was committed that was not processed.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import sys
import time

import numpy as np

import pystream as ps
from pystream import TopicPartition
from tests.log.forked import start

TOPIC, GROUP = "events", "workers"
PARTITIONS = 64
LIVES_MOST = 100_000
DRAIN_SECONDS = 60.0
# After every fourth kill nobody joins, leaves or dies for a while: then only looking at the locks
# of the others finds out that somebody is dead, and no change of the group does.
KILLS_UNTIL_QUIET, QUIET_SECONDS = 4, 1.5


class Shared:
    """What every life knows of the others; survives them."""

    def __init__(self, partitions: int) -> None:
        count = 8 * partitions + 4 * LIVES_MOST + 8
        words = np.frombuffer(mmap.mmap(-1, 8 * count), dtype=np.int64)
        rows, rest = words[: 8 * partitions].reshape(8, partitions), words[8 * partitions :]
        self.owner, self.claimed_ns, self.freed_ns, self.processed, self.ends = rows[:5]
        self.repeated = rows[5]
        lives, rest = rest[: 4 * LIVES_MOST].reshape(4, LIVES_MOST), rest[4 * LIVES_MOST :]
        self.doomed, self.leaving, self.asking_since_ns, self.wrong = lives
        self._over = rest[:1]

    @property
    def is_over(self) -> bool:
        return bool(self._over[0])

    def end(self) -> None:
        self._over[0] = 1


# -- the processes ---------------------------------------------------------------------------------


def produce(directory: str, shared: Shared, seed: int) -> None:
    """Append at a pace that the members keep up with, until all is over."""
    choose = random.Random(seed)
    with ps.open(directory) as log, log.producer(acks=0) as producer:
        while not shared.is_over:
            partition, count = choose.randrange(len(shared.ends)), choose.randint(1, 20)
            producer.send_batch(TOPIC, {"n": np.arange(count)}, partition=partition)
            shared.ends[partition] += count
            time.sleep(choose.random() * 0.004)


class Life:
    """One member, from joining to leaving; each is a number from 1."""

    def __init__(self, directory: str, shared: Shared, life: int, seed: int) -> None:
        self._directory = directory
        self._shared = shared
        self._life = life
        self._choose = random.Random(seed * LIVES_MOST + life)

    def live(self) -> None:
        choose, shared = self._choose, self._shared
        with ps.open(self._directory) as log:
            consumer = log.consumer(
                group_id=GROUP, auto_offset_reset="earliest", auto_commit_interval="50ms"
            )
            consumer.subscribe(
                TOPIC, on_assign=self.claim, on_revoke=self.give_up, on_lost=self.lose
            )
            shared.asking_since_ns[self._life] = time.monotonic_ns()
            while not shared.leaving[self._life]:
                for name, records in consumer.poll("20ms").items():
                    self.process(name.partition, records)
                if choose.random() < 0.02:
                    consumer.commit()
            consumer.close()

    def claim(self, _consumer: ps.Consumer, partitions: list[TopicPartition]) -> None:
        shared = self._shared
        for name in partitions:
            before = int(shared.owner[name.partition])
            assert before == 0 or shared.doomed[before], (
                f"{name} is given to {self._life} while {before} lives and owns it"
            )
            shared.owner[name.partition] = self._life
            shared.claimed_ns[name.partition] = time.monotonic_ns()

    def give_up(self, _consumer: ps.Consumer, partitions: list[TopicPartition]) -> None:
        shared = self._shared
        for name in partitions:
            owner = int(shared.owner[name.partition])
            assert owner == self._life, f"{name} of {self._life} is owned by {owner}"
            shared.freed_ns[name.partition] = time.monotonic_ns()
            shared.owner[name.partition] = 0

    def lose(self, _consumer: ps.Consumer, partitions: list[TopicPartition]) -> None:
        raise AssertionError(f"{self._life} lost {partitions} although it lives")

    def process(self, partition: int, records: list[ps.Record]) -> None:
        shared = self._shared
        owner = int(shared.owner[partition])
        assert owner == self._life, f"{self._life} reads {partition}, which is {owner}'s"
        for record in records:
            following = int(shared.processed[partition])
            assert record.offset <= following, (
                f"{partition}: {record.offset} came, {following} was next"
            )
            if record.offset == following:
                shared.processed[partition] = following + 1
            else:
                shared.repeated[partition] += 1


# -- the killer ------------------------------------------------------------------------------------


class Killer:
    """Starts members, ends them, and watches how long partitions are without an owner."""

    def __init__(self, directory: str, seed: int, members: int, ownerless_ns: int) -> None:
        self._directory = directory
        self._seed = seed
        self._choose = random.Random(seed)
        self._most = members
        self._ownerless_ns = ownerless_ns
        self.shared = Shared(PARTITIONS)
        self._lives = 0
        self._processes: dict[int, int] = {}  # of members that live, by life
        self._ending: dict[int, int] = {}  # that were asked to leave
        self._unclaimed: list[tuple[int, set[int]]] = []  # since when, what a victim had
        self.rebalances_ns: list[int] = []
        self.longest_ownerless_ns = 0
        self.counts = {"joined": 0, "left": 0, "killed": 0}
        self.wrong: list[str] = []

    def run(self, seconds: float) -> None:
        producer = start(lambda: produce(self._directory, self.shared, self._seed))
        deadline = time.monotonic() + seconds
        act_at = 0.0
        try:
            while time.monotonic() < deadline and not self.wrong:
                if time.monotonic() >= act_at:
                    act_at = time.monotonic() + self._act()
                self._watch()
                time.sleep(0.002)
            self.shared.end()
            if os.waitpid(producer, 0)[1] != 0:
                self.wrong.append("the producer failed")
            producer = 0
            self._drain()
        finally:
            for process in [*self._processes.values(), *self._ending.values()]:
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
            if producer:
                os.kill(producer, signal.SIGKILL)
                os.waitpid(producer, 0)

    def _act(self) -> float:
        """Let a member join, leave or die; return for how many seconds nobody else does."""
        pause = self._choose.random() * 0.25
        chance = self._choose.random()
        if len(self._processes) < 2 or (len(self._processes) < self._most and chance < 0.5):
            self._lives += 1
            life = Life(self._directory, self.shared, self._lives, self._seed)
            self._processes[self._lives] = start(life.live)
            self.counts["joined"] += 1
            return pause
        victim = self._choose.choice(list(self._processes))
        process = self._processes.pop(victim)
        if chance < 0.6:
            self.shared.leaving[victim] = 1
            self._ending[victim] = process
            self.counts["left"] += 1
            return pause
        self.shared.doomed[victim] = 1  # from here on another may have what it has
        os.kill(process, signal.SIGKILL)
        killed_ns = time.monotonic_ns()
        _, status = os.waitpid(process, 0)
        if not os.WIFSIGNALED(status):
            self.wrong.append(f"member {victim} ended by itself with status {status}")
        had = {int(place) for place in np.flatnonzero(self.shared.owner == victim)}
        if had:
            self._unclaimed.append((killed_ns, had))
        for place in had:
            self.shared.freed_ns[place] = killed_ns
        self.counts["killed"] += 1
        return pause if self.counts["killed"] % KILLS_UNTIL_QUIET else QUIET_SECONDS

    def _watch(self) -> None:
        shared, now_ns = self.shared, time.monotonic_ns()
        for victim, process in list(self._ending.items()):
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                del self._ending[victim]
                if status != 0:
                    self.wrong.append(f"member {victim} failed when it left")
        for life, process in list(self._processes.items()):
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                del self._processes[life]
                self.wrong.append(f"member {life} ended by itself with status {status}")
        for entry in list(self._unclaimed):
            since_ns, places = entry
            if all(shared.claimed_ns[place] > since_ns for place in places):
                last_ns = max(int(shared.claimed_ns[place]) for place in places)
                self.rebalances_ns.append(last_ns - since_ns)
                self._unclaimed.remove(entry)
        # Somebody who is there and asks for records could have it.
        since = [int(shared.asking_since_ns[life]) for life in self._processes]
        if not any(since):
            return
        doomed = shared.doomed[shared.owner].astype(bool)
        ownerless = np.flatnonzero((shared.owner == 0) | doomed)
        first_ns = min(ns for ns in since if ns)  # of the one that is there longest
        for place in ownerless:
            since_ns = max(int(shared.freed_ns[place]), min(first_ns, now_ns))
            if not shared.freed_ns[place]:
                continue  # nobody had it yet
            self.longest_ownerless_ns = max(self.longest_ownerless_ns, now_ns - since_ns)
            if now_ns - since_ns > self._ownerless_ns:
                self.wrong.append(
                    f"partition {place} has no owner since {(now_ns - since_ns) / 1e6:.0f} ms"
                )

    def _drain(self) -> None:
        """Let those that live process all that there is, and leave."""
        shared = self.shared
        deadline = time.monotonic() + DRAIN_SECONDS
        while not self.wrong and (shared.processed < shared.ends).any():
            self._watch()
            if not self._processes:
                self._act()
            if time.monotonic() > deadline:
                behind = np.flatnonzero(shared.processed < shared.ends).tolist()
                self.wrong.append(f"partitions {behind} were not read to their ends")
            time.sleep(0.005)
        for life, process in list(self._processes.items()):
            shared.leaving[life] = 1
            self._ending[life] = self._processes.pop(life)
            assert process
        while self._ending and not self.wrong:
            self._watch()
            if time.monotonic() > deadline:
                self.wrong.append(f"members {list(self._ending)} did not leave")
            time.sleep(0.002)


def check_commits(directory: str, shared: Shared) -> list[str]:
    wrong = []
    with ps.open(directory) as log:
        group = log.describe_group(GROUP)
        for partition in range(len(shared.ends)):
            its = group.partitions.get(TopicPartition(TOPIC, partition))
            committed = None if its is None else its.committed
            processed, end = int(shared.processed[partition]), int(shared.ends[partition])
            if (committed or 0) > processed or processed > end:
                wrong.append(f"{partition}: {committed=} {processed=} {end=}")
            elif (committed or 0) != end:
                wrong.append(f"{partition}: {committed} was committed by close, not {end}")
    return wrong


def milliseconds(times_ns: list[int], share: float) -> float:
    return float(np.quantile(times_ns, share) / 1e6) if times_ns else 0.0


def main(
    directory: str,
    seconds: str,
    seed: str,
    members: str = "16",
    ownerless_seconds: str = "1",
) -> int:
    with ps.open(directory) as log:
        log.create_topic(TOPIC, {"n": "int64"}, partitions=PARTITIONS, segment_bytes="1MiB")
    limit_ns = int(float(ownerless_seconds) * 1e9)
    killer = Killer(directory, int(seed), int(members), limit_ns)
    killer.run(float(seconds))
    shared, wrong = killer.shared, killer.wrong
    if not wrong:
        wrong += check_commits(directory, shared)
    result = {
        **killer.counts,
        "records": int(shared.processed.sum()),
        "repeated": int(shared.repeated.sum()),
        "rebalances": len(killer.rebalances_ns),
        "rebalance_ms_p50": round(milliseconds(killer.rebalances_ns, 0.5), 1),
        "rebalance_ms_p99": round(milliseconds(killer.rebalances_ns, 0.99), 1),
        "ownerless_ms_max": round(killer.longest_ownerless_ns / 1e6, 1),
        "wrong": wrong[:20],
    }
    print(json.dumps(result), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
