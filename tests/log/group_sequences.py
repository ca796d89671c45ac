"""A group of consumers against the model of KIP-848, over random sequences of what can happen.

Per commit in ``test_groups_model.py``, for ever in ``make torture``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import pystream as ps
from pystream import TopicPartition, config, errors
from tests.oracle import assignments
from tests.oracle.groups import FencedMember, GroupModel
from tests.torture.harness import scratch_directory

TOPICS = ["a", "b"]
NAMES = ["ann", "bob", "eve", "joe"]
names = st.sampled_from(NAMES)
subscriptions = st.sets(st.sampled_from(TOPICS), min_size=1).map(sorted)


class GroupMachine(RuleBasedStateMachine):
    """Consumers on one log, and the model beside them."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = scratch_directory()
        self.log = ps.open(self._directory.name)
        self.group = GroupModel()
        self.consumers: dict[str, ps.Consumer] = {}
        self.wishes: dict[str, list[str]] = {}
        self.is_sticky = True

    @initialize(strategy=st.sampled_from(["sticky", "uniform"]))
    def begin(self, strategy: str) -> None:
        self.strategy = strategy
        for topic in TOPICS:
            self.create(topic, 3)

    def teardown(self) -> None:
        self.log.close()
        self._directory.cleanup()

    # -- what can happen -----------------------------------------------------------------------

    @rule(name=names, topics=subscriptions)
    def join(self, name: str, topics: list[str]) -> None:
        topics = [topic for topic in topics if topic in self.log.topics()]
        if name in self.consumers or not topics:
            return
        consumer = self.log.consumer(
            group_id="g",
            auto_offset_reset="earliest",
            auto_commit_interval="1h",
            partition_assignment_strategy=self.strategy,
        )
        self.consumers[name], self.wishes[name] = consumer, topics
        consumer.subscribe(topics)
        self.group.join(name)
        self.learn_targets()
        self.group.come(name)

    @rule(name=names, topics=subscriptions)
    def subscribe(self, name: str, topics: list[str]) -> None:
        topics = [topic for topic in topics if topic in self.log.topics()]
        if name not in self.consumers or not topics:
            return
        is_new = self.wishes[name] != topics
        self.wishes[name] = topics
        self.consumers[name].subscribe(topics)
        if is_new:
            self.learn_targets()
        self.group.come(name)

    @rule(name=names)
    def leave(self, name: str) -> None:
        if name in self.consumers:
            self.consumers.pop(name).close()
            del self.wishes[name]
            self.group.leave(name, commits=True)
            self.learn_targets()

    @rule(name=names)
    def die(self, name: str) -> None:
        """Its lock is free, as after a kill; the others find that when they come next."""
        if name in self.consumers:
            del self.consumers[name]
            del self.wishes[name]
            self.group.leave(name, commits=False)
            if self.consumers:
                self.poll(sorted(self.consumers)[0])
            else:
                self.group.retarget({})

    @rule(name=names)
    def poll(self, name: str) -> None:
        if name not in self.consumers:
            return
        polled = self.consumers[name].poll(max_records=100_000)
        self.learn_targets()
        self.group.come(name)
        owned = self.group.owned(name)
        expected = {place: self.group.read(name, place) for place in owned}
        got = {
            tuple(place): [record.offset for record in records] for place, records in polled.items()
        }
        assert got == {place: list(offsets) for place, offsets in expected.items() if offsets}
        self.check_assignment(name)

    @rule(
        name=names,
        topic=st.sampled_from(TOPICS),
        partition=st.integers(0, 2),
        back=st.integers(0, 3),
    )
    def commit(self, name: str, topic: str, partition: int, back: int) -> None:
        place = topic, partition
        if name not in self.consumers or place not in self.group.ends:
            return
        offset = max(0, self.group.ends[place] - back)
        expected = outcome(lambda: self.group.commit(name, place, offset))
        got = outcome(lambda: self.consumers[name].commit({TopicPartition(*place): offset}))
        assert got == expected

    @rule(topic=st.sampled_from(TOPICS), partition=st.integers(0, 2), count=st.integers(1, 3))
    def append(self, topic: str, partition: int, count: int) -> None:
        if (topic, partition) in self.group.ends:
            with self.log.producer() as producer:
                producer.send_batch(topic, {"n": [0] * count}, partition=partition)
            self.group.ends[topic, partition] += count

    @precondition(lambda self: len(self.log.topics()) == len(TOPICS))
    @rule(topic=st.sampled_from(TOPICS))
    def delete_topic(self, topic: str) -> None:
        self.log.delete_topic(topic)
        self.group.delete_topic(topic)

    @rule(topic=st.sampled_from(TOPICS), partitions=st.integers(1, 3))
    def create(self, topic: str, partitions: int) -> None:
        if topic not in self.log.topics():
            self.log.create_topic(topic, {"n": "int64"}, partitions=partitions)
            self.group.ends |= {(topic, number): 0 for number in range(partitions)}

    @precondition(lambda self: self.consumers)
    @rule()
    def settle(self) -> None:
        """After two rounds everybody has what is meant for it."""
        for _ in range(2):
            for name in self.consumers:
                self.poll(name)
        for name, member in self.group.members.items():
            assert member.epoch == self.group.epoch
            assert {p for p, target in self.group.targets.items() if target == name} == set(
                member.positions
            )
        assert self.log.describe_group("g").state == "stable"

    # -- what must hold ------------------------------------------------------------------------

    @invariant()
    def no_partition_has_two_readers(self) -> None:
        living = set(self.group.ends)
        owned = [
            place
            for consumer in self.consumers.values()
            for place in consumer.assignment() & living
        ]
        assert len(owned) == len(set(owned))

    @invariant()
    def committed_offsets_are_those_of_the_model(self) -> None:
        if "g" in self.log.groups():
            found = self.log.describe_group("g").partitions
            offsets = {
                tuple(p): its.committed for p, its in found.items() if its.committed is not None
            }
            assert offsets == self.group.committed

    def check_assignment(self, name: str) -> None:
        assert self.consumers[name].assignment() == self.group.owned(name)
        described = self.log.describe_group("g")
        assert self.group.members[name].epoch == described.epoch == self.group.epoch

    def learn_targets(self) -> None:
        """Tell the model the new targets, if there are any, and see that they are good ones."""
        described = self.log.describe_group("g")
        ids = {name: id_of(consumer) for name, consumer in self.consumers.items()}
        by_id = {member.member_id: member for member in described.members}
        targets = {
            name: [tuple(place) for place in by_id[member_id].target_assignment]
            for name, member_id in ids.items()
        }
        now = {place: name for name, places in targets.items() for place in places}
        if described.epoch == self.group.epoch and now == self.group.targets:
            return
        assert described.epoch > self.group.epoch
        self.check_targets(now)
        self.group.epoch = described.epoch - 1
        self.group.retarget(targets)  # type: ignore[arg-type]

    def check_targets(self, targets: dict[Any, str]) -> None:
        numbers = {name: number for number, name in enumerate(self.consumers)}
        members = {numbers[n]: {t.encode() for t in topics} for n, topics in self.wishes.items()}
        counts: dict[bytes, int] = {}
        for topic, _ in self.group.ends:
            counts[topic.encode()] = counts.get(topic.encode(), 0) + 1
        assignment = {(topic.encode(), n): numbers[name] for (topic, n), name in targets.items()}
        assert all(topic in members[number] for (topic, _), number in assignment.items())
        wanted = assignments.partitions_of(counts, members)
        assert assignment.keys() == wanted
        assert assignments.loads(assignment, members) == assignments.fairest(members, wanted)


def id_of(consumer: ps.Consumer) -> str:
    assert consumer._group is not None
    assert consumer._group.member_id is not None
    return consumer._group.member_id


def outcome(action: Callable[[], None]) -> str:
    try:
        action()
    except (FencedMember, errors.FencedError):
        return "fenced"
    return "done"


class LastingTopicsMachine(GroupMachine):
    """The same with topics that stay, for any seed.

    The model lets go of the partitions of a topic that is deleted at once, a member when it comes
    next: where another topic has the name by then, two seem to have one partition.
    """

    def delete_topic(self, topic: str) -> None:
        raise NotImplementedError


def go_through(number: int, examples: int) -> None:
    """Go through so many sequences of a seed; raises, with the steps, where the model differs.

    The members look whether others live each time that they are asked for records: `config` says
    how often, and is the caller's.
    """
    assert config.GROUP_LOOK_SECONDS == 0.0
    run_state_machine_as_test(
        seed(number)(type("Machine", (LastingTopicsMachine,), {})),
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            database=None,
            print_blob=False,
            phases=[Phase.generate],  # looking for a shorter one takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
