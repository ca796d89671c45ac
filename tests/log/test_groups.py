"""Consumer groups: who reads what when members come, go, die, are slow, and want other topics."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import pystream as ps
from pystream import TopicPartition, config, errors
from pystream.log.consumer_group import ConsumerGroup

LONG = 30.0


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ps.Log]:
    with ps.open(tmp_path / "log") as opened:
        opened.create_topic("orders", {"n": "int64"}, partitions=4)
        yield opened


def append(log: ps.Log, topic: str, partition: int, *numbers: int) -> None:
    with log.producer() as producer:
        producer.send_batch(topic, {"n": list(numbers)}, partition=partition)


def join(log: ps.Log, *topics: str, **settings: object) -> ps.Consumer:
    settings = {"group_id": "g", "auto_offset_reset": "earliest", **settings}
    return log.consumer(*(topics or ("orders",)), **settings)  # type: ignore[arg-type]


def settle(*consumers: ps.Consumer) -> list[dict[TopicPartition, list[ps.Record]]]:
    """Let all of them ask for records until nobody's assignment changes any more."""
    seen: list[dict[TopicPartition, list[ps.Record]]] = [{} for _ in consumers]
    quiet = 0
    deadline = time.monotonic() + LONG
    while quiet < 3:
        assert time.monotonic() < deadline
        before = [consumer.assignment() for consumer in consumers]
        for place, consumer in enumerate(consumers):
            for name, records in consumer.poll(timeout="1ms").items():
                seen[place].setdefault(name, []).extend(records)
        quiet = quiet + 1 if before == [c.assignment() for c in consumers] else 0
    return seen


def await_shares(expected: list[int], *consumers: ps.Consumer) -> None:
    """Let all of them ask for records until they have so many partitions."""
    deadline = time.monotonic() + LONG
    while [len(consumer.assignment()) for consumer in consumers] != expected:
        assert time.monotonic() < deadline, shares(*consumers)
        for consumer in consumers:
            consumer.poll(timeout="1ms")


def shares(*consumers: ps.Consumer) -> list[int]:
    """Return how many partitions each has; none is anybody else's."""
    owned = Counter(name for consumer in consumers for name in consumer.assignment())
    assert all(count == 1 for count in owned.values())
    return [len(consumer.assignment()) for consumer in consumers]


# -- sharing ---------------------------------------------------------------------------------------


def test_members_share_partitions_and_keep_what_they_have(log: ps.Log) -> None:
    first = join(log)
    assert shares(first) == [4]
    second = join(log)
    assert shares(first, second) == [4, 0]  # nothing is taken from a member that did not let go
    settle(first, second)
    assert shares(first, second) == [2, 2]
    kept = first.assignment()
    third = join(log)
    settle(first, second, third)
    assert sorted(shares(first, second, third)) == [1, 1, 2]
    assert len(first.assignment() & kept) >= 1
    third.close()
    second.close()
    settle(first)
    assert shares(first) == [4]
    first.close()


def test_a_record_goes_to_one_member(log: ps.Log) -> None:
    for partition in range(4):
        append(log, "orders", partition, *range(10))
    first, second = join(log), join(log)
    seen = settle(first, second)
    for partition in range(4):
        name = TopicPartition("orders", partition)
        offsets = [r.offset for of_member in seen for r in of_member.get(name, [])]
        assert offsets == list(range(10))
    first.close()
    second.close()


def test_next_owner_goes_on_behind_what_was_processed(log: ps.Log) -> None:
    append(log, "orders", 0, 1, 2, 3, 4)
    first = join(log)
    assert len(first.poll(max_records=2)[TopicPartition("orders", 0)]) == 2
    second = join(log)
    first.poll(max_records=1)  # record 3: whoever asks again is done with 1 and 2
    first.close()
    seen = settle(second)
    assert [r["n"] for r in seen[0][TopicPartition("orders", 0)]] == [4]
    second.close()


def test_several_topics_and_members_of_different_wishes(log: ps.Log) -> None:
    log.create_topic("payments", {"n": "int64"}, partitions=2)
    both, orders = join(log, "orders", "payments"), join(log)
    settle(both, orders)
    assert shares(both, orders) == [3, 3]
    assert {name.topic for name in orders.assignment()} == {"orders"}
    orders.subscribe("payments")
    settle(both, orders)
    assert {name.topic for name in orders.assignment()} == {"payments"}
    assert shares(both, orders) == [4, 2]
    both.close()
    orders.close()


def test_range_brings_equal_partitions_together(log: ps.Log) -> None:
    log.create_topic("payments", {"n": "int64"}, partitions=4)
    topics = ("orders", "payments")
    members = [join(log, *topics, partition_assignment_strategy="range") for _ in range(3)]
    settle(*members)
    for member in members:
        numbers = [[n for t, n in member.assignment() if t == topic] for topic in topics]
        assert sorted(numbers[0]) == sorted(numbers[1])
    for member in members:
        member.close()


def test_unsubscribe_leaves_the_group(log: ps.Log) -> None:
    first, second = join(log), join(log)
    settle(first, second)
    first.unsubscribe()
    assert (first.assignment(), first.subscription()) == (set(), set())
    settle(second)
    assert shares(second) == [4]
    assert first.poll() == {}
    first.subscribe("orders")
    settle(first, second)
    assert shares(first, second) == [2, 2]
    first.close()
    second.close()


def test_a_consumer_that_is_dropped_leaves(log: ps.Log) -> None:
    first, second = join(log), join(log)
    settle(first, second)
    del first
    await_shares([4], second)
    second.close()


# -- callbacks -------------------------------------------------------------------------------------


class Told:
    """Writes down what a consumer is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[int]]] = []

    def subscribe(self, consumer: ps.Consumer, *topics: str) -> None:
        consumer.subscribe(
            topics or ("orders",),
            on_assign=lambda _, partitions: self.note("assign", partitions),
            on_revoke=lambda _, partitions: self.note("revoke", partitions),
            on_lost=lambda _, partitions: self.note("lost", partitions),
        )

    def note(self, what: str, partitions: list[TopicPartition]) -> None:
        self.calls.append((what, [name.partition for name in partitions]))


def test_callbacks_tell_what_comes_and_goes(log: ps.Log) -> None:
    told, told_second = Told(), Told()
    first = log.consumer(group_id="g")
    told.subscribe(first)
    assert told.calls == [("assign", [0, 1, 2, 3])]
    second = log.consumer(group_id="g")
    told_second.subscribe(second)
    assert told_second.calls == []
    settle(first, second)
    assert told.calls[1:] == [("revoke", [2, 3])]
    assert told_second.calls == [("assign", [2, 3])]
    second.close()
    assert told_second.calls[1:] == [("revoke", [2, 3])]
    settle(first)
    assert told.calls[2:] == [("assign", [2, 3])]
    first.close()
    assert told.calls[3:] == [("revoke", [0, 1, 2, 3])]


def test_a_partition_is_still_owned_in_on_revoke_and_can_be_moved_in_on_assign(
    log: ps.Log,
) -> None:
    append(log, "orders", 3, 1, 2, 3)
    name = TopicPartition("orders", 3)
    first = log.consumer(group_id="g", auto_offset_reset="earliest", enable_auto_commit=False)
    first.subscribe(
        "orders", on_revoke=lambda consumer, names: consumer.commit(dict.fromkeys(names, 0))
    )
    first.poll()
    second = log.consumer(group_id="g", auto_offset_reset="earliest")
    second.subscribe("orders", on_assign=lambda consumer, _: consumer.seek_to_end())
    settle(first, second)
    assert second.committed(name) == 0
    assert second.position(name) == 3
    first.close()
    second.close()


def test_an_error_in_a_callback_comes_to_the_caller_and_partitions_go_on(log: ps.Log) -> None:
    def fail(_consumer: ps.Consumer, _partitions: list[TopicPartition]) -> None:
        raise ZeroDivisionError

    first = log.consumer(group_id="g")
    first.subscribe("orders", on_revoke=fail)
    second = join(log)
    with pytest.raises(ZeroDivisionError):
        settle(first, second)
    settle(first, second)
    assert shares(first, second) == [2, 2]
    with pytest.raises(ZeroDivisionError):
        first.close()
    settle(second)
    assert shares(second) == [4]
    second.close()


# -- offsets ---------------------------------------------------------------------------------------


def test_positions_are_committed_by_close_but_not_after_an_error(log: ps.Log) -> None:
    append(log, "orders", 0, 1, 2, 3)
    name = TopicPartition("orders", 0)
    with join(log) as consumer:
        consumer.poll(max_records=1)
    with join(log) as consumer:
        assert consumer.committed(name) == 1
    failing = join(log, group_id="other")
    with pytest.raises(ZeroDivisionError), failing:
        _ = len(failing.poll()) // 0
    with log.consumer(group_id="other") as consumer:
        assert consumer.committed(name) is None
    with join(log, enable_auto_commit=False) as consumer:
        consumer.poll()
    with log.consumer(group_id="g") as consumer:
        assert consumer.committed(name) == 1


def test_positions_are_committed_in_between(log: ps.Log) -> None:
    append(log, "orders", 0, 1, 2, 3)
    name = TopicPartition("orders", 0)
    with join(log, auto_commit_interval="0s") as consumer:
        records = iter(consumer)
        next(records)
        assert consumer.committed(name) == 0
        consumer.poll(max_records=1)  # whoever asks for more is done with the first
        assert consumer.committed(name) == 1
        consumer.poll()
        assert consumer.committed(name) == 2


def test_a_commit_of_what_is_another_members_is_fenced(log: ps.Log) -> None:
    append(log, "orders", 3, 1, 2)
    first, second = join(log), join(log)
    settle(first, second)
    mine, other = sorted(second.assignment())[-1], sorted(first.assignment())[0]
    with pytest.raises(errors.FencedError, match="orders-0 is not assigned to member") as caught:
        second.commit({mine: 1, other: 0})
    assert (caught.value.topic, caught.value.partition) == ("orders", 0)
    assert (caught.value.group_id, caught.value.member_id is None) == ("g", False)
    assert second.committed(mine) == 0  # by the one that gave it up; nothing was stored
    second.commit({mine: 1})
    assert second.committed(mine) == 1
    first.close()
    second.close()


def test_only_members_commit_while_there_are_any(log: ps.Log) -> None:
    append(log, "orders", 0, 1)
    name = TopicPartition("orders", 0)
    with log.consumer(group_id="g") as stranger:
        with join(log), pytest.raises(errors.GroupNotEmptyError, match="1 members") as caught:
            stranger.commit({name: 1})
        assert (caught.value.group_id, caught.value.members) == ("g", 1)
        stranger.commit({name: 0})
        assert stranger.committed(name) == 0


def test_a_member_that_lost_its_offset_says_so_each_time(log: ps.Log) -> None:
    with pytest.raises(errors.OffsetOutOfRangeError):
        join(log, auto_offset_reset="none")
    with join(log) as other:  # the one that failed is no member
        assert shares(other) == [4]


# -- topics ----------------------------------------------------------------------------------------


def test_a_pattern_follows_topics_that_come_and_go(log: ps.Log) -> None:
    with log.consumer(group_id="g") as first, log.consumer(group_id="g") as second:
        for consumer in (first, second):
            consumer.subscribe(pattern="o.*s|x-.*")
        settle(first, second)
        assert shares(first, second) == [2, 2]
        log.create_topic("x-1", partitions=3)
        log.create_topic("an-orders")  # the whole name counts
        settle(first, second)
        assert sum(shares(first, second)) == 7
        assert first.subscription() == {"orders", "x-1"}
        log.delete_topic("orders")
        settle(first, second)
        assert sum(shares(first, second)) == 3
        assert {name.topic for name in first.assignment()} == {"x-1"}


def test_a_topic_that_is_made_again_is_read_from_its_beginning(log: ps.Log) -> None:
    append(log, "orders", 0, 1, 2, 3)
    told = Told()
    consumer = log.consumer(group_id="g", auto_offset_reset="earliest")
    told.subscribe(consumer)
    consumer.poll()
    log.delete_topic("orders")
    consumer.commit()  # there is nothing to keep
    assert consumer.poll("1ms") == {}
    assert told.calls[-1] == ("revoke", [0, 1, 2, 3])
    log.create_topic("orders", {"n": "int64"}, partitions=1)
    append(log, "orders", 0, 7)
    (records,) = consumer.poll("10s").values()
    assert [record["n"] for record in records] == [7]
    consumer.close()


def test_partitions_that_are_added_are_read(log: ps.Log) -> None:
    consumer = join(log)
    with log.catalog.writing() as connection:  # what adds partitions is not built yet
        connection.execute("UPDATE topics SET partitions = 6 WHERE name = 'orders'")
    settle(consumer)
    assert shares(consumer) == [6]
    consumer.close()


@pytest.mark.parametrize(
    ("pattern", "error", "message"),
    [
        ("nothing-.*", errors.UnknownTopicError, "'nothing-.*' matches no topic"),
        ("order", errors.UnknownTopicError, "must match a whole name"),
        ("(", errors.ConfigError, "is no regular expression"),
        ("", errors.ConfigError, "Pass a regular expression"),
        (7, errors.ConfigError, "Pass a regular expression"),
        (re.compile("ORDERS", re.IGNORECASE), errors.ConfigError, "has flags"),
    ],
)
def test_wrong_patterns(
    log: ps.Log, pattern: str, error: type[errors.StreamError], message: str
) -> None:
    with log.consumer(group_id="g") as consumer:
        with pytest.raises(error, match=message):
            consumer.subscribe(pattern=pattern)
        assert consumer.assignment() == set()
        consumer.subscribe(pattern=re.compile("(?i)ORDERS"))
        assert shares(consumer) == [4]


def test_a_pattern_needs_a_group(log: ps.Log) -> None:
    with log.consumer() as consumer, pytest.raises(errors.NotSupportedError, match="group"):
        consumer.subscribe(pattern="orders")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"partition_assignment_strategy": "cooperative"}, "partition_assignment_strategy"),
        ({"group_instance_id": ""}, "group_instance_id"),
        ({"group_id": None, "group_instance_id": "a"}, "group_id"),
        ({"session_timeout": "-1s"}, "session_timeout"),
        ({"max_poll_interval": "soon"}, "max_poll_interval"),
        ({"auto_commit_interval": 5}, "auto_commit_interval"),
    ],
)
def test_wrong_settings(log: ps.Log, settings: dict[str, object], message: str) -> None:
    with pytest.raises(errors.ConfigError, match=message):
        join(log, **settings)


# -- life and death --------------------------------------------------------------------------------

MEMBER = """
import sys, time, pystream as ps
log = ps.open(sys.argv[1])
settings = eval(sys.argv[2])
consumer = log.consumer("orders", group_id="g", **settings)
while len(consumer.assignment()) != int(sys.argv[3]):
    consumer.poll("10ms")
print("joined", flush=True)
sys.stdin.readline()
consumer.close()
"""


def start(log: ps.Log, share: int, **settings: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MEMBER, log.directory, repr(settings), str(share)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def await_joined(process: subprocess.Popen[str], *consumers: ps.Consumer) -> None:
    """Wait until a process has its share, while others let go of it."""
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    deadline = time.monotonic() + LONG
    while not process.stdout.readline():
        assert time.monotonic() < deadline
        for consumer in consumers:
            consumer.poll("10ms")
        if not consumers:
            time.sleep(0.01)


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_a_killed_member_is_noticed_within_200_ms_by_one_that_waits(log: ps.Log) -> None:
    took = []
    with join(log) as consumer:
        for _ in range(3):
            process = start(log, 2)
            await_joined(process, consumer)
            settle(consumer)
            assert shares(consumer) == [2]
            killed = time.monotonic()
            kill(process)
            while len(consumer.assignment()) < 4:
                consumer.poll("5ms")
                assert time.monotonic() - killed < LONG
            took.append(time.monotonic() - killed)
    assert min(took) < 0.2, took  # all of them, on a machine that does nothing else


def test_a_wait_goes_on_when_partitions_come(log: ps.Log) -> None:
    """The records of a member that died come to one that waits without a timeout."""
    with join(log) as consumer:
        process = start(log, 2)
        await_joined(process, consumer)
        settle(consumer)
        for partition in range(4):
            if TopicPartition("orders", partition) not in consumer.assignment():
                append(log, "orders", partition, 1)
        kill(process)
        assert next(iter(consumer))["n"] == 1


def test_a_stopped_member_keeps_its_partitions(log: ps.Log) -> None:
    with join(log) as consumer:
        process = start(log, 2)
        await_joined(process, consumer)
        process.send_signal(signal.SIGSTOP)
        settle(consumer)
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            consumer.poll("50ms")
        assert shares(consumer) == [2]
        process.send_signal(signal.SIGCONT)
        kill(process)


def test_a_member_that_exceeds_max_poll_interval_loses_its_partitions(log: ps.Log) -> None:
    append(log, "orders", 0, 1)
    told = Told()
    slow = log.consumer(group_id="g", auto_offset_reset="earliest", max_poll_interval="50ms")
    told.subscribe(slow)
    slow.poll()
    with join(log) as other:
        await_shares([4], other)
        with pytest.raises(errors.FencedError, match="is no member of group 'g' any more"):
            slow.commit()
        slow.poll()
        assert told.calls[1] == ("lost", [0, 1, 2, 3])
        settle(slow, other)
        assert shares(slow, other) == [2, 2]
        slow.close()


def test_a_member_that_was_thrown_out_begins_where_the_others_ended(log: ps.Log) -> None:
    """Although it gets the very partitions that it had."""
    append(log, "orders", 0, 1, 2)
    told = Told()
    slow = log.consumer(group_id="g", auto_offset_reset="earliest", max_poll_interval="50ms")
    told.subscribe(slow)
    assert len(slow.poll()[TopicPartition("orders", 0)]) == 2
    with join(log) as other:
        await_shares([4], other)
        append(log, "orders", 0, 3)
        other.poll()
    assert slow.poll() == {}
    assert told.calls[1:] == [("lost", [0, 1, 2, 3]), ("assign", [0, 1, 2, 3])]
    assert slow.position(TopicPartition("orders", 0)) == 3
    slow.close()


def test_a_static_member_gets_its_partitions_back_and_nobody_notices(log: ps.Log) -> None:
    told = Told()
    other = log.consumer(group_id="g")
    told.subscribe(other)
    first = join(log, group_instance_id="a")
    settle(first, other)
    calls = list(told.calls)
    owned = first.assignment()
    for _ in range(3):
        first.close()
        settle(other)
        assert shares(other) == [2]
        first = join(log, group_instance_id="a")
        assert first.assignment() == owned  # at once
    settle(first, other)
    assert told.calls == calls
    first.close()
    other.close()


def test_a_killed_static_member_is_followed_by_the_next_of_its_id(log: ps.Log) -> None:
    with join(log) as other:
        process = start(log, 2, group_instance_id="a")
        await_joined(process, other)
        settle(other)
        kill(process)
        settle(other)
        assert shares(other) == [2]
        with join(log, group_instance_id="a") as again:
            assert shares(other, again) == [2, 2]


def test_a_static_member_that_is_away_too_long_is_none(log: ps.Log) -> None:
    with join(log) as other:
        first = join(log, group_instance_id="a", session_timeout="100ms")
        settle(first, other)
        first.close()
        settle(other)
        await_shares([4], other)


def test_an_instance_id_of_a_live_member_is_refused(log: ps.Log) -> None:
    with join(log, group_instance_id="a") as first:
        with pytest.raises(errors.UnreleasedInstanceIdError, match="'a' of group 'g'") as caught:
            join(log, group_instance_id="a")
        assert caught.value.pid == os.getpid()
        assert caught.value.group_instance_id == "a"
        settle(first)
        assert shares(first) == [4]


def test_ctrl_c_between_two_steps_leaves_nothing_behind(
    log: ps.Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Partitions that were taken, and not noted, are found at the next look."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    first, second = join(log), join(log)
    first.poll()
    with monkeypatch.context() as patched:
        patched.setattr(ConsumerGroup, "begin", interrupt)
        with pytest.raises(KeyboardInterrupt):
            settle(second)
    settle(first, second)
    assert shares(first, second) == [2, 2]
    first.close()
    second.close()


def test_a_large_group_is_looked_at_in_turns(log: ps.Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "GROUP_LOOK_MEMBERS", 1)
    members = [join(log) for _ in range(4)]
    settle(*members)
    assert shares(*members) == [1, 1, 1, 1]
    while len(members) > 1:
        del members[0]  # its lock is free, its row is there
        await_shares([[4], [2, 2], [2, 1, 1]][len(members) - 1], *members)
    members[0].close()
