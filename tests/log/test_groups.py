"""Consumer groups: who reads what when members come, go, and want other topics."""

from __future__ import annotations

import asyncio
import gc
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import pystream as ps
from pystream import TopicPartition, errors
from tests.log.members import (
    Told,
    append,
    await_shares,
    join,
    settle,
    shares,
)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ps.Log]:
    with ps.open(tmp_path / "log") as opened:
        opened.create_topic("orders", {"n": "int64"}, partitions=4)
        yield opened


# -- sharing ---------------------------------------------------------------------------------------


def test_member_knows_what_the_group_calls_it(log: ps.Log) -> None:
    with log.consumer(group_id="g") as outside, log.consumer() as alone:
        assert (outside.member_id, alone.member_id) == (None, None)
        with log.consumer("orders", group_id="g") as member:
            (described,) = log.describe_group("g").members
            assert described.member_id == member.member_id


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


@pytest.mark.parametrize("reading", ["poll", "records", "batches", "async records"])
def test_a_consumer_that_is_dropped_leaves(log: ps.Log, reading: str) -> None:
    """At once, and not when the garbage collector comes by."""
    for partition in range(4):
        append(log, "orders", partition, 1, 2)
    first, second = join(log), join(log)
    gc.collect()
    gc.disable()
    try:
        settle(first, second)
        first.seek_to_beginning()
        if reading == "records":
            assert next(iter(first))["n"] == 1
        elif reading == "batches":
            assert len(next(iter(first.batches()))) == 2
        elif reading == "async records":
            assert asyncio.run(anext(aiter(first)))["n"] == 1
        del first
        await_shares([4], second)
    finally:
        gc.enable()
    second.close()


# -- callbacks -------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("how", ["close", "unsubscribe", "assign"])
def test_a_member_may_leave_in_on_revoke(log: ps.Log, how: str) -> None:
    """What is left is told once, and nothing is handed out by what was closed."""
    for partition in range(4):
        append(log, "orders", partition, 1, 2)
    told: list[list[int]] = []

    def leave(consumer: ps.Consumer, partitions: list[TopicPartition]) -> None:
        told.append([name.partition for name in partitions])
        if how == "assign":
            consumer.assign([("orders", 0)])
        else:
            getattr(consumer, how)()

    first = log.consumer(group_id="g", auto_offset_reset="earliest")
    first.subscribe("orders", on_revoke=leave)
    second = join(log)
    found = None
    while not told:
        try:
            found = first.poll()
        except errors.ClosedError:
            found = None
        second.poll("1ms")
    assert told == [[2, 3], [0, 1]]
    assert first.assignment() == ({TopicPartition("orders", 0)} if how == "assign" else set())
    assert (found is None) == (how == "close")
    assert found is None or found.keys() <= first.assignment()
    if how != "close":
        assert first.subscription() == set()
    await_shares([4], second)
    first.close()
    second.close()
    assert told == [[2, 3], [0, 1]]


def test_a_member_that_was_thrown_out_may_stay_away(log: ps.Log) -> None:
    slow = log.consumer(group_id="g", max_poll_interval="50ms")
    slow.subscribe("orders", on_lost=lambda consumer, _: consumer.unsubscribe())
    slow.poll()
    with join(log) as other:
        await_shares([4], other)
        slow.poll()
        assert slow.subscription() == set()
        settle(slow, other)
        assert shares(slow, other) == [0, 4]
    slow.close()


def test_a_member_may_leave_when_a_topic_is_deleted(log: ps.Log) -> None:
    log.create_topic("payments", {"n": "int64"})
    consumer = log.consumer(group_id="g")
    consumer.subscribe("orders", on_revoke=lambda consumer, _: consumer.unsubscribe())
    consumer.subscribe(pattern=".*", on_revoke=lambda consumer, _: consumer.unsubscribe())
    log.create_topic("refunds", {"n": "int64"})  # comes in the same step
    log.delete_topic("payments")
    consumer.poll("1ms")
    assert consumer.assignment() == set()
    assert log.describe_group("g").state == "empty"
    consumer.close()


def test_a_callback_may_subscribe_to_something_else(log: ps.Log) -> None:
    log.create_topic("payments", {"n": "int64"}, partitions=2)
    with log.consumer(group_id="g") as consumer:
        consumer.subscribe(
            "orders", on_assign=lambda consumer, _: consumer.subscribe(["orders", "payments"])
        )
        assert consumer.subscription() == {"orders", "payments"}
        settle(consumer)
        assert shares(consumer) == [6]


def test_an_error_in_a_callback_of_subscribe_leaves_a_member_subscribed(log: ps.Log) -> None:
    log.create_topic("payments", {"n": "int64"}, partitions=2)

    def fail(_consumer: ps.Consumer, _partitions: list[TopicPartition]) -> None:
        raise ZeroDivisionError

    consumer = log.consumer(group_id="g")
    with pytest.raises(ZeroDivisionError):
        consumer.subscribe("orders", on_assign=fail)  # it did not become one
    assert (consumer.subscription(), consumer.assignment()) == (set(), set())
    consumer.subscribe("orders")
    with pytest.raises(ZeroDivisionError):
        consumer.subscribe("payments", on_assign=fail)
    assert consumer.subscription() == {"payments"}
    settle(consumer)
    assert {name.topic for name in consumer.assignment()} == {"payments"}
    consumer.close()


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


def test_offsets_and_partitions_may_be_integers_of_numpy(log: ps.Log) -> None:
    append(log, "orders", 1, 1, 2, 3)
    name = TopicPartition("orders", 1)
    same = TopicPartition("orders", np.int32(1))  # type: ignore[arg-type]
    with join(log, enable_auto_commit=False) as consumer:
        consumer.commit({same: np.int64(2)})  # type: ignore[dict-item]
        assert consumer.committed(name) == consumer.committed(same) == 2
    with log.consumer(group_id="g") as consumer:
        consumer.assign([same])
        assert consumer.position(name) == 2
    log.reset_offsets("g", offsets={same: np.uint8(1)})  # type: ignore[dict-item]
    assert log.describe_group("g").partitions[name].committed == 1


@pytest.mark.parametrize("offset", [1.0, "1", None, True])
def test_an_offset_that_is_no_whole_number_is_refused(log: ps.Log, offset: object) -> None:
    append(log, "orders", 1, 1, 2, 3)
    name = TopicPartition("orders", 1)
    with join(log, enable_auto_commit=False) as consumer:
        with pytest.raises(errors.ConfigError, match=r"the offset of orders-1 is .*whole number"):
            consumer.commit({name: offset})  # type: ignore[dict-item]
        assert consumer.committed(name) is None


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
    log.alter_topic("orders", partitions=6)
    append(log, "orders", 5, 7)
    (seen,) = settle(consumer)
    assert shares(consumer) == [6]
    assert [record["n"] for record in seen[ps.TopicPartition("orders", 5)]] == [7]
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
        ({"group_id": None, "group_instance_id": "a"}, "Pass group_id too"),
        ({"session_timeout": "-1s"}, "session_timeout"),
        ({"max_poll_interval": "soon"}, "max_poll_interval"),
        ({"auto_commit_interval": 5}, "auto_commit_interval"),
    ],
)
def test_wrong_settings(log: ps.Log, settings: dict[str, object], message: str) -> None:
    with pytest.raises(errors.ConfigError, match=message):
        join(log, **settings)
