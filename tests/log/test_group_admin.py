"""Consumer groups from outside: listed, described, reset, deleted; a live one is left alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

import pystream as ps
from pystream import TopicPartition, config, errors
from tests.log.members import await_shares, join, settle

ZERO, ONE = TopicPartition("orders", 0), TopicPartition("orders", 1)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ps.Log]:
    """A log of 5 and 3 records, 2 and 0 of which group g has committed."""
    with ps.open(tmp_path / "log") as opened:
        opened.create_topic("orders", {"n": "int64"}, partitions=2)
        with opened.producer() as producer:
            producer.send_batch("orders", {"n": list(range(5))}, partition=0)
            producer.send_batch("orders", {"n": list(range(3))}, partition=1)
        with opened.consumer(group_id="g") as consumer:
            consumer.commit({ZERO: 2, ONE: 0})
        yield opened


def committed(log: ps.Log) -> dict[TopicPartition, int | None]:
    found = log.describe_group("g").partitions
    return {name: its.committed for name, its in found.items()}


def test_groups_are_listed(log: ps.Log) -> None:
    with log.consumer("orders", group_id="another"):
        assert log.groups() == ["another", "g"]


def test_description_of_a_group_without_members(log: ps.Log) -> None:
    group = log.describe_group("g")
    assert (group.group_id, group.state, group.members) == ("g", "empty", [])
    assert {name: its[:3] for name, its in group.partitions.items()} == {
        ZERO: (2, 5, 3),
        ONE: (0, 3, 3),
    }


def test_description_says_who_has_what_and_what_moves(log: ps.Log) -> None:
    log.create_topic("payments")
    first = log.consumer("orders", "payments", group_id="g")
    second = log.consumer("orders", group_id="g", group_instance_id="b")
    group = log.describe_group("g")
    assert (group.state, group.epoch) == ("reconciling", 2)
    one, two = group.members
    assert one.assignment == {ZERO, ONE, TopicPartition("payments", 0)}
    assert (two.assignment, len(two.target_assignment)) == (set(), 1)
    settle(first, second)
    group = log.describe_group("g")
    one, two = group.members
    assert (group.state, group.assignor) == ("stable", "sticky")
    assert one.assignment == one.target_assignment == first.assignment()
    assert two.assignment == two.target_assignment == second.assignment()
    assert (one.member_epoch, two.member_epoch) == (2, 2)
    assert (one.group_instance_id, two.group_instance_id) == (None, "b")
    assert (one.process_id, one.is_alive) == (os.getpid(), True)
    assert group.partitions[next(iter(second.assignment()))].member_id == two.member_id
    second.close()
    first.close()
    group = log.describe_group("g")
    assert [member.group_instance_id for member in group.members] == ["b"]
    assert not group.members[0].is_alive


def test_a_member_that_died_is_not_described(log: ps.Log) -> None:
    first = log.consumer("orders", group_id="g")
    assert len(log.describe_group("g").members) == 1
    del first
    group = log.describe_group("g")
    assert (group.state, group.members) == ("empty", [])
    log.reset_offsets("g", to="latest")
    assert committed(log) == {ZERO: 5, ONE: 3}
    with log.consumer("orders", group_id="g") as again:
        await_shares([2], again)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"to": "earliest"}, {ZERO: 0, ONE: 0}),
        ({"to": "latest"}, {ZERO: 5, ONE: 3}),
        ({"shift_by": 1}, {ZERO: 3, ONE: 1}),
        ({"shift_by": -1}, {ZERO: 1, ONE: 0}),
        ({"shift_by": 100}, {ZERO: 5, ONE: 3}),
        ({"offsets": {("orders", 1): 3}}, {ONE: 3}),
        ({"to": "latest", "topics": "orders"}, {ZERO: 5, ONE: 3}),
        ({"to": "latest", "topics": []}, {}),
    ],
)
def test_reset(
    log: ps.Log, settings: dict[str, object], expected: dict[TopicPartition, int]
) -> None:
    assert log.reset_offsets("g", **settings) == expected  # type: ignore[arg-type]
    assert committed(log) == {ZERO: 2, ONE: 0} | expected
    with log.consumer("orders", group_id="g") as consumer:
        assert consumer.position(ONE) == expected.get(ONE, 0)


def test_reset_to_a_time(log: ps.Log) -> None:
    year_3000 = 32_503_680_000_000_000
    with log.producer() as producer:
        for second in (1, 3, 2):
            time = year_3000 + second * 10**6
            producer.send("orders", {"n": second}, partition=0, timestamp=time)
    assert log.reset_offsets("g", to=datetime(3000, 1, 1, 0, 0, 2, tzinfo=UTC)) == {ZERO: 6, ONE: 3}
    assert log.reset_offsets("g", to=year_3000 + 3_000_001) == {ZERO: 8, ONE: 3}
    assert committed(log) == {ZERO: 8, ONE: 3}
    assert log.reset_offsets("g", to=np.datetime64("1970-01-01")) == {ZERO: 0, ONE: 0}


def test_reset_from_a_file(log: ps.Log, tmp_path: Path) -> None:
    path = tmp_path / "offsets.csv"
    path.write_text("orders,0,4\n\norders,1,1\n")
    assert log.reset_offsets("g", offsets=path) == {ZERO: 4, ONE: 1}
    path.write_text("orders,0,1\norders,one,1\n")
    with pytest.raises(errors.ConfigError, match="line 2: 'orders,one,1' is not"):
        log.reset_offsets("g", offsets=str(path))
    path.write_bytes(b"orders,0,1\n\xff,1,1\n")
    with pytest.raises(errors.ConfigError, match=r"offsets.csv is no text in UTF-8"):
        log.reset_offsets("g", offsets=path)
    path.write_text(f"orders,0,1\n{200_000 * 'x'},1,1\n")
    with pytest.raises(errors.ConfigError, match=r"line 2: .*larger than"):
        log.reset_offsets("g", offsets=path)
    path.write_text("orders,0,1\norders,1,1\norders,0,2\n")
    with pytest.raises(errors.ConfigError, match="line 3: orders-0 is in line 1 already"):
        log.reset_offsets("g", offsets=path)
    with pytest.raises(errors.StorageError, match="cannot read offsets"):
        log.reset_offsets("g", offsets=tmp_path / "missing")
    assert committed(log) == {ZERO: 4, ONE: 1}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize(
    "heading", ["", "topic,partition,offset\n", "\ntopic,partition,offset\r\n"]
)
def test_a_file_with_offsets_may_have_a_heading(
    log: ps.Log, tmp_path: Path, heading: str, mark: str
) -> None:
    path = tmp_path / "offsets.csv"
    path.write_text(f"{mark}{heading}orders,0,4\n", encoding="utf-8")
    assert log.reset_offsets("g", offsets=path) == {ZERO: 4}
    path.write_text(f"{mark}{heading}", encoding="utf-8")
    with pytest.raises(errors.ConfigError, match="holds no offsets"):
        log.reset_offsets("g", offsets=path)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({}, errors.ConfigError, "needs one of to, shift_by and offsets"),
        ({"to": "earliest", "shift_by": 1}, errors.ConfigError, "needs one of"),
        ({"to": "2020-01-01"}, errors.ConfigError, "to is '2020-01-01'. Pass \"earliest\""),
        ({"to": 1.5}, errors.ConfigError, "the time is 1.5, of type float"),
        ({"shift_by": "1"}, errors.ConfigError, "whole number"),
        ({"offsets": {ZERO: 1}, "topics": "orders"}, errors.ConfigError, "offsets name theirs"),
        ({"offsets": {ZERO: 1, ONE: 4}}, errors.OffsetOutOfRangeError, "log end offset is 3"),
        ({"offsets": {ZERO: 1.5}}, errors.ConfigError, "offset of orders-0 is 1.5"),
        ({"offsets": {ZERO: "1"}}, errors.ConfigError, "offset of orders-0 is '1'"),
        ({"offsets": {("orders", 2): 0}}, errors.UnknownTopicError, "no partition 2"),
        ({"to": "latest", "topics": "nothing"}, errors.UnknownTopicError, "'nothing'"),
    ],
)
def test_wrong_resets_change_nothing(
    log: ps.Log, settings: dict[str, object], error: type[errors.StreamError], message: str
) -> None:
    with pytest.raises(error, match=message):
        log.reset_offsets("g", **settings)  # type: ignore[arg-type]
    assert committed(log) == {ZERO: 2, ONE: 0}


def test_a_group_with_members_is_neither_reset_nor_deleted(log: ps.Log) -> None:
    for instance_id in (None, "static"):
        consumer = log.consumer("orders", group_id="g", group_instance_id=instance_id)
        for _ in range(2):
            what = f"'g' has 1 members .processes {os.getpid()}."
            with pytest.raises(errors.GroupNotEmptyError, match=what) as caught:
                log.reset_offsets("g", to="earliest")
            assert (caught.value.group_id, caught.value.members) == ("g", 1)
            with pytest.raises(errors.GroupNotEmptyError):
                log.delete_group("g")
            if instance_id is not None:
                consumer.close()  # a static one is only away
        consumer.close()


def test_a_deleted_group_begins_anew(log: ps.Log) -> None:
    log.delete_group("g")
    assert log.groups() == []
    with log.consumer("orders", group_id="g") as consumer:
        assert consumer.committed(ZERO) is None
        assert log.describe_group("g").epoch == 1


def test_an_unknown_group_is_named(log: ps.Log) -> None:
    for act in (log.describe_group, log.delete_group, lambda g: log.reset_offsets(g, to="latest")):
        with pytest.raises(errors.UnknownGroupError, match="'nobody' does not exist") as caught:
            act("nobody")
        assert caught.value.group_id == "nobody"
    assert log.groups() == ["g"]


def test_a_group_that_does_not_exist_begins_where_it_is_told(log: ps.Log, tmp_path: Path) -> None:
    assert log.reset_offsets("new", to="latest", topics="orders") == {ZERO: 5, ONE: 3}
    assert log.reset_offsets("other", offsets={ONE: 1}) == {ONE: 1}
    assert log.groups() == ["g", "new", "other"]
    with log.consumer("orders", group_id="other") as consumer:
        assert consumer.position(ONE) == 1
    for settings in ({"offsets": {ZERO: 99}}, {"offsets": {}}, {"to": "latest", "topics": []}):
        with pytest.raises((errors.OffsetOutOfRangeError, errors.UnknownGroupError)):
            log.reset_offsets("third", **settings)  # type: ignore[arg-type]
    with pytest.raises(errors.ConfigError, match="group_id is ''"):
        log.reset_offsets("", to="latest", topics="orders")
    assert log.groups() == ["g", "new", "other"]


def test_the_latest_is_the_log_end_also_behind_an_open_transaction(log: ps.Log) -> None:
    with log.producer(transactional_id="t") as producer, log.producer() as plain:
        producer.begin_transaction()
        producer.send("orders", {"n": 1}, partition=1).result()
        plain.send("orders", {"n": 2}, partition=1).result()
        assert log.reset_offsets("g", to="latest") == {ZERO: 5, ONE: 5}
        producer.commit_transaction()
        plain.send("orders", {"n": 3}, partition=1).result()
    with log.consumer("orders", group_id="g", timeout="0s") as consumer:
        assert [record["n"] for record in consumer] == [3]


def test_a_read_only_log_describes_and_changes_nothing(log: ps.Log) -> None:
    with log.consumer("orders", group_id="g"), ps.open(log.directory, read_only=True) as view:
        group = view.describe_group("g")
        assert (group.state, len(group.members), view.groups()) == ("stable", 1, ["g"])
        for act in (view.delete_group, lambda g: view.reset_offsets(g, to="latest")):
            with pytest.raises(errors.LogError, match="read-only"):
                act("g")


def test_a_topic_that_was_deleted_is_left_out(log: ps.Log) -> None:
    log.delete_topic("orders")
    assert log.describe_group("g").partitions == {}
    assert log.reset_offsets("g", to="latest") == {}


def test_partitions_that_nobody_has_yet_are_told_to_whom_they_go(
    log: ps.Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "GROUP_LOOK_SECONDS", 0.0)
    for topic in ("first", "second"):
        log.create_topic(topic, {"n": "int64"})
    doomed, heir = join(log, "first"), join(log, "first")
    other = join(log, "second")
    del doomed
    other.poll()  # sees that it has died; the heir did not come yet
    place = TopicPartition("first", 0)
    described = log.describe_group("g")
    targets = {member.member_id: member.target_assignment for member in described.members}
    assert heir.member_id is not None
    assert targets[heir.member_id] == {place}
    assert described.partitions[place].member_id is None
    heir.poll()
    assert log.describe_group("g").partitions[place].member_id == heir.member_id
