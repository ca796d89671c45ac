"""Consumer groups: who is alive, and what becomes of partitions when members are slow or die."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pystream as ps
from pystream import TopicPartition, config, errors
from pystream.log.groups.consumer_group import ConsumerGroup
from tests.log.members import (
    LONG,
    Told,
    append,
    await_joined,
    await_shares,
    join,
    kill,
    settle,
    shares,
    start,
)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ps.Log]:
    with ps.open(tmp_path / "log") as opened:
        opened.create_topic("orders", {"n": "int64"}, partitions=4)
        yield opened


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


def test_a_static_member_whose_place_another_has_commits_nothing(log: ps.Log) -> None:
    def static(**settings: Any) -> ps.Consumer:
        return log.consumer(
            "orders",
            group_id="g",
            group_instance_id="i",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            **settings,
        )

    with log.producer() as producer:
        for number in range(4):
            producer.send("orders", {"n": number}, partition=0)
    place = ps.TopicPartition("orders", 0)
    stuck = static(max_poll_interval="50ms", session_timeout="50ms")
    stuck.poll("1s")
    time.sleep(0.2)
    other = static()
    other.commit({place: 4})
    with pytest.raises(ps.errors.FencedError, match="is no member of group 'g' any more"):
        stuck.commit({place: 1})
    assert other.committed(place) == 4
    with pytest.raises(ps.errors.UnreleasedInstanceIdError):
        stuck.poll()
    assert stuck.assignment() == set()
    stuck.close()
    other.commit({place: 3})  # it is where it was
    other.close()
