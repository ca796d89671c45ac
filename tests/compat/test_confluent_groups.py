"""Members of groups, and what they commit."""

from __future__ import annotations

import gc
import threading
import time
from typing import Any

import pytest

import pystream as ps
from pystream.compat import confluent_kafka as ck
from pystream.compat.confluent_kafka.admin import AdminClient
from tests.compat.confluent_clients import SECONDS, reader


def test_two_members_share_the_partitions(place: dict[str, Any]) -> None:
    with ck.Producer({**place, "num.partitions": 4}) as producer:
        for number in range(8):
            producer.produce("orders", str(number), partition=number % 4)
    told: list[tuple[str, int]] = []
    callbacks = {
        "on_assign": lambda _, p: told.append(("assigned", len(p))),
        "on_revoke": lambda _, p: told.append(("revoked", len(p))),
    }
    first, second = reader(place), reader(place)
    first.subscribe(["orders"], **callbacks)
    seen = {message.value() for message in first.consume(8, SECONDS)}
    assert told == [("assigned", 4)]
    second.subscribe(["orders"])
    for _ in range(200):
        first.poll(0.01)
        second.poll(0.01)
        if len(second.assignment()) == 2:
            break
    assert (len(first.assignment()), len(second.assignment())) == (2, 2)
    assert told == [("assigned", 4), ("revoked", 2)]
    assert len(seen) == 8
    assert first.memberid() != second.memberid()
    group = AdminClient(place).describe_consumer_groups(["g"])["g"].result()
    assert len(group.members) == 2
    first.close()
    second.close()


def test_stored_offsets_are_committed_by_themselves(place: dict[str, Any]) -> None:
    with ck.Producer(place) as producer:
        producer.produce("t", b"a")
        producer.produce("t", b"b")
    settings = {"enable.auto.offset.store": False, "auto.commit.interval.ms": 0}
    with reader(place, "t", **settings) as consumer:
        first, _ = consumer.consume(2, SECONDS)
        consumer.poll(0)
        (nothing,) = consumer.committed([ck.TopicPartition("t", 0)])
        assert nothing.offset == ck.OFFSET_INVALID
        consumer.store_offsets(message=first)
        consumer.poll(0)
        (stored,) = consumer.committed([ck.TopicPartition("t", 0)])
        assert stored.offset == 1
        consumer.store_offsets(offsets=[ck.TopicPartition("t", 0, 2)])
    with reader(place) as consumer:  # closing commits what was stored
        assert consumer.committed([ck.TopicPartition("t", 0)])[0].offset == 2


def test_asynchronous_commits_are_stored_together(
    place: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pystream.compat.reader.COMMIT_SECONDS", 3600.0)
    heard: list[Any] = []
    with ck.Producer(place) as producer:
        for number in range(50):
            producer.produce("t", str(number))
    settings = {"enable.auto.commit": False, "on_commit": lambda e, p: heard.append((e, p))}
    consumer = reader(place, "t", **settings)
    commits: list[Any] = []
    native = consumer._reader.consumer
    commit = native.commit
    monkeypatch.setattr(native, "commit", lambda rows: (commits.append(rows), commit(rows)))
    for _ in range(50):
        message = consumer.poll(SECONDS)
        assert message is not None
        consumer.commit(message=message)
    assert commits == []
    consumer.close()
    assert len(commits) == 1
    assert list(commits[0].values()) == [50]
    assert [places[0].offset for _, places in heard] == list(range(1, 51))


@pytest.mark.parametrize(
    ("way", "late_seconds"), [("store_offsets", 0.0), ("store_offsets", 0.1), ("commit", 0.0)]
)
def test_poll_commits_and_tells_of_it_while_it_waits(
    place: dict[str, Any], way: str, late_seconds: float
) -> None:
    heard = threading.Event()
    settings: dict[str, Any] = {"on_commit": lambda error, places: heard.set()}
    if way == "store_offsets":
        settings |= {"enable.auto.offset.store": False, "auto.commit.interval.ms": 20}
    else:
        settings["enable.auto.commit"] = False
    with ck.Producer(place) as producer, reader(place, "t", **settings) as consumer:
        producer.produce("t", b"a")
        getattr(consumer, way)(message=consumer.poll(SECONDS))
        time.sleep(late_seconds)  # it may be due before poll() is called
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(consumer.poll()), daemon=True)
        thread.start()
        assert heard.wait(SECONDS)
        producer.produce("t", b"b")
        thread.join(SECONDS)
        assert [message.value() for message in found] == [b"b"]


def test_a_late_commit_of_no_valid_offset_is_told_to_on_commit(place: dict[str, Any]) -> None:
    heard: list[Any] = []
    settings = {"enable.auto.commit": False, "on_commit": lambda e, p: heard.append((e.code(), p))}
    with reader(place, "t", **settings) as consumer:
        for offsets in ([], [ck.TopicPartition("t", 0)]):
            assert consumer.commit(offsets=offsets) is None
        consumer.poll(0)
        assert heard == [(ck.KafkaError._NO_OFFSET, [])] * 2


def test_leaving_a_block_by_an_exception_commits_nothing(place: dict[str, Any]) -> None:
    with ck.Producer(place) as producer:
        producer.produce("t", b"a")
    with pytest.raises(ZeroDivisionError), reader(place, "t") as consumer:
        consumer.poll(SECONDS)
        raise ZeroDivisionError
    with reader(place, "t") as consumer:
        again = consumer.poll(SECONDS)
        assert again is not None
        assert again.value() == b"a"


def test_commit_from_a_partition_of_another_is_fenced(place: dict[str, Any]) -> None:
    with ck.Producer({**place, "num.partitions": 2}) as producer:
        producer.produce("t", b"a", partition=0)
        producer.produce("t", b"b", partition=1)
    first, second = reader(place, "t"), reader(place, "t")
    for _ in range(200):
        first.poll(0.01)
        second.poll(0.01)
        if len(first.assignment()) == len(second.assignment()) == 1:
            break
    (theirs,) = second.assignment()
    theirs.offset = 1
    with pytest.raises(ck.KafkaException) as caught:
        first.commit(offsets=[theirs], asynchronous=False)
    assert caught.value.args[0] == ck.KafkaError.ILLEGAL_GENERATION
    assert isinstance(caught.value, ps.errors.FencedError)
    first.close()
    second.close()


def test_partitions_that_on_assign_leaves_out_are_not_read(place: dict[str, Any]) -> None:
    with ck.Producer({**place, "num.partitions": 2}) as producer:
        producer.produce("t", b"skipped", partition=0)
        producer.produce("t", b"read", partition=1)
    consumer = reader(place)

    def some(member: ck.Consumer, partitions: list[ck.TopicPartition]) -> None:
        member.incremental_assign([p for p in partitions if p.partition == 1])

    consumer.subscribe(["t"], on_assign=some)
    assert [message.value() for message in consumer.consume(2, 0.2)] == [b"read"]
    assert len(consumer.assignment()) == 2  # its own all the same
    consumer.close()


def test_consumer_that_is_dropped_leaves_its_group_at_once(place: dict[str, Any]) -> None:
    with ck.Producer({**place, "num.partitions": 2}) as producer:
        producer.produce("t", b"v")
    told: list[int] = []
    dropped = reader(place)
    dropped.subscribe(["t"], on_assign=lambda _, p: told.append(len(p)))
    dropped.poll(0)
    assert told == [2]
    gc.disable()  # no cycle may keep it
    try:
        del dropped
        admin = AdminClient(place)
        group = admin.describe_consumer_groups(["g"])["g"].result()
        assert group.members == []
        admin.close()
    finally:
        gc.enable()
