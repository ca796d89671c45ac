"""Programs for confluent-kafka, each run on librdkafka and on a log: the same comes out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.compat.conftest import Library

SECONDS = 20.0


def polled(consumer: Any, count: int) -> list[Any]:
    """Return so many messages or events."""
    found: list[Any] = []
    deadline = time.monotonic() + SECONDS
    while len(found) < count:
        message = consumer.poll(1.0)
        if message is not None:
            found.append(message)
        assert time.monotonic() < deadline, found
    return found


def sent(library: Library, topic: str, *values: bytes) -> None:
    producer = library.module.Producer(library.settings)
    for value in values:
        producer.produce(topic, value, partition=0)
    assert producer.flush(SECONDS) == 0
    producer.close()


def consumer_of(library: Library, **more: Any) -> Any:
    settings = {
        "group.id": "readers",
        "auto.offset.reset": "earliest",
        "fetch.wait.max.ms": 10,  # the broker answers late when there is nothing
        **more,
    }
    return library.module.Consumer({**library.settings, **settings})


def code_of(library: Library, call: Callable[[], object]) -> int:
    with pytest.raises(library.module.KafkaException) as caught:
        call()
    code: int = caught.value.args[0].code()
    return code


def test_delivery_reports_come_from_flush_and_say_where_each_message_is(
    confluent: Library, topic: str
) -> None:
    producer = confluent.module.Producer(confluent.settings)
    reports: list[Any] = []

    def report(error: Any, message: Any) -> None:
        _, stamp = message.timestamp()
        reports.append(
            (error, message.topic(), message.partition(), message.offset(), message.key())
        )
        reports.append((message.value(), message.headers(), len(message), stamp > 0))

    producer.produce(topic, b"one", key=b"k", partition=2, callback=report, headers=[("h", b"1")])
    producer.produce(topic, "two", key="k", partition=2, on_delivery=report)
    producer.produce(topic, b"silent", partition=2)
    assert len(producer) == 3
    assert reports == []  # nobody has polled
    assert producer.flush(SECONDS) == 0
    assert len(producer) == 0
    assert reports == [
        (None, topic, 2, 0, b"k"),
        (b"one", None, 3, True),
        (None, topic, 2, 1, b"k"),
        (b"two", None, 3, True),
    ]
    assert producer.poll(0) == 0
    producer.close()


def test_callback_of_the_constructor_hears_of_every_message(confluent: Library, topic: str) -> None:
    heard: list[Any] = []
    settings = {**confluent.settings, "on_delivery": lambda _, m: heard.append(m.value())}
    producer = confluent.module.Producer(settings)
    producer.produce(topic, b"a", partition=0)
    producer.produce(topic, b"b", partition=0, callback=lambda _, m: heard.append("own"))
    deadline = time.monotonic() + SECONDS
    while len(heard) < 2:
        assert producer.poll(1.0) >= 0
        assert time.monotonic() < deadline
    assert heard == [b"a", "own"]
    producer.close()


def test_messages_have_what_was_sent(confluent: Library, topic: str) -> None:
    producer = confluent.module.Producer(confluent.settings)
    producer.produce(
        topic,
        b"value",
        key=b"key",
        partition=0,
        timestamp=1_700_000_000_123,
        headers=[("a", b"1"), ("none", None), ("text", "t")],
    )
    producer.produce(topic, None, key="only a key", partition=0, headers={"d": b"2"})
    producer.produce(topic, b"", partition=0)
    producer.flush(SECONDS)
    consumer = consumer_of(confluent)
    consumer.assign([confluent.module.TopicPartition(topic, 0)])
    one, two, three = polled(consumer, 3)
    assert (one.topic(), one.partition(), one.offset()) == (topic, 0, 0)
    assert (one.key(), one.value(), len(one)) == (b"key", b"value", 5)
    assert one.headers() == [("a", b"1"), ("none", None), ("text", b"t")]
    assert one.timestamp() == (confluent.module.TIMESTAMP_CREATE_TIME, 1_700_000_000_123)
    assert (one.error(), one.latency()) == (None, None)
    assert (two.key(), two.value(), two.headers(), len(two)) == (
        b"only a key",
        None,
        [("d", b"2")],
        0,
    )
    assert (three.value(), three.key(), three.headers()) == (b"", None, None)
    one.set_value({"parsed": True})
    assert one.value() == {"parsed": True}
    consumer.close()
    producer.close()


def test_consume_returns_what_came_until_the_timeout(confluent: Library, topic: str) -> None:
    sent(confluent, topic, b"a", b"b", b"c")
    consumer = consumer_of(confluent)
    consumer.assign([confluent.module.TopicPartition(topic, 0)])
    assert [message.value() for message in consumer.consume(2, SECONDS)] == [b"a", b"b"]
    assert [message.value() for message in consumer.consume(5, 0.5)] == [b"c"]
    assert consumer.consume(5, 0.01) == []
    assert consumer.poll(0.01) is None
    consumer.close()


def test_seek_replays_from_offsets_and_from_both_ends(confluent: Library, topic: str) -> None:
    ck = confluent.module
    sent(confluent, topic, b"a", b"b", b"c")
    consumer = consumer_of(confluent)
    consumer.assign([ck.TopicPartition(topic, 0, 1)])
    assert [message.value() for message in polled(consumer, 2)] == [b"b", b"c"]
    consumer.seek(ck.TopicPartition(topic, 0, ck.OFFSET_BEGINNING))
    assert polled(consumer, 1)[0].value() == b"a"
    consumer.seek(ck.TopicPartition(topic, 0, 2))
    assert polled(consumer, 1)[0].value() == b"c"
    assert [p.offset for p in consumer.position([ck.TopicPartition(topic, 0)])] == [3]
    assert consumer.get_watermark_offsets(ck.TopicPartition(topic, 0), timeout=SECONDS) == (0, 3)
    consumer.assign([ck.TopicPartition(topic, 0, ck.OFFSET_END)])
    assert consumer.poll(0.3) is None
    sent(confluent, topic, b"d")
    assert polled(consumer, 1)[0].value() == b"d"
    assert code_of(confluent, lambda: consumer.seek(ck.TopicPartition("other", 7, 0))) < 0
    consumer.close()


def test_end_of_a_partition_is_an_event_each_time_it_is_reached(
    confluent: Library, topic: str
) -> None:
    ck = confluent.module
    sent(confluent, topic, b"a")
    consumer = consumer_of(confluent, **{"enable.partition.eof": True})
    consumer.assign([ck.TopicPartition(topic, 0)])
    message, end = polled(consumer, 2)
    assert (message.value(), message.error()) == (b"a", None)
    assert end.error().code() == ck.KafkaError._PARTITION_EOF
    assert (end.topic(), end.partition(), end.offset()) == (topic, 0, 1)
    sent(confluent, topic, b"b")
    message, end = polled(consumer, 2)
    assert message.value() == b"b"
    assert end.offset() == 2
    consumer.close()


def test_offsets_are_committed_by_message_by_offset_and_by_position(
    confluent: Library, topic: str
) -> None:
    ck = confluent.module
    sent(confluent, topic, b"a", b"b", b"c")
    consumer = consumer_of(confluent, **{"enable.auto.commit": False, "group.id": topic})
    place = ck.TopicPartition(topic, 0)
    consumer.assign([place])
    first, second = polled(consumer, 2)

    def committed() -> int:
        (found,) = consumer.committed([place], timeout=SECONDS)
        offset: int = found.offset
        return offset

    assert committed() == ck.OFFSET_INVALID
    (stored,) = consumer.commit(message=first, asynchronous=False)
    assert (stored.topic, stored.partition, stored.offset, stored.error) == (topic, 0, 1, None)
    assert committed() == 1
    consumer.commit(asynchronous=False)
    assert committed() == second.offset() + 1 == 2
    consumer.commit(offsets=[ck.TopicPartition(topic, 0, 3)], asynchronous=False)
    assert committed() == 3
    consumer.commit(offsets=[ck.TopicPartition(topic, 0, 2)], asynchronous=False)
    for offsets in (None, [], [place], [ck.TopicPartition(topic, 0, -5)]):
        code = code_of(confluent, lambda at=offsets: consumer.commit(None, at, False))
        assert code == ck.KafkaError._NO_OFFSET
    assert committed() == 2
    assert code_of(confluent, lambda: consumer.offsets_for_times([])) == ck.KafkaError._INVALID_ARG
    with pytest.raises(ValueError, match="mutually exclusive"):
        consumer.commit(message=first, offsets=[place])
    consumer.close()

    again = consumer_of(confluent, **{"group.id": topic})
    again.assign([place])
    assert polled(again, 1)[0].value() == b"c"
    again.close()


def test_asynchronous_commits_are_reported_from_poll(confluent: Library, topic: str) -> None:
    ck = confluent.module
    sent(confluent, topic, b"a")
    heard: list[Any] = []
    settings = {
        "enable.auto.commit": False,
        "group.id": topic,
        "on_commit": lambda error, places: heard.append((error, [p.offset for p in places])),
    }
    consumer = consumer_of(confluent, **settings)
    consumer.assign([ck.TopicPartition(topic, 0)])
    assert consumer.commit(message=polled(consumer, 1)[0]) is None
    deadline = time.monotonic() + SECONDS
    while not heard:
        consumer.poll(0.1)
        assert time.monotonic() < deadline
    assert heard == [(None, [1])]
    consumer.close()


def test_stored_offsets_are_what_is_committed(confluent: Library, topic: str) -> None:
    ck = confluent.module
    sent(confluent, topic, b"a", b"b")
    settings = {"enable.auto.offset.store": False, "group.id": topic}
    consumer = consumer_of(confluent, **settings)
    consumer.assign([ck.TopicPartition(topic, 0)])
    first, _ = polled(consumer, 2)
    consumer.store_offsets(message=first)
    consumer.commit(asynchronous=False)
    (committed,) = consumer.committed([ck.TopicPartition(topic, 0)], timeout=SECONDS)
    assert committed.offset == 1
    consumer.close()
    automatic = consumer_of(confluent, **{"group.id": topic})
    automatic.assign([ck.TopicPartition(topic, 0)])
    message = polled(automatic, 1)[0]
    code = code_of(confluent, lambda: automatic.store_offsets(message=message))
    assert code == ck.KafkaError._INVALID_ARG
    automatic.close()


def test_member_is_told_of_its_partitions_and_gives_them_up_at_the_end(
    confluent: Library, topic: str
) -> None:
    ck = confluent.module
    sent(confluent, topic, b"a")
    told: list[Any] = []
    consumer = consumer_of(confluent, **{"group.id": topic})
    consumer.subscribe(
        [topic],
        on_assign=lambda c, p: told.append(("assigned", c is consumer, sorted(p))),
        on_revoke=lambda c, p: told.append(("revoked", c is consumer, sorted(p))),
    )
    assert told == []  # callbacks run in poll
    assert consumer.assignment() == []
    assert polled(consumer, 1)[0].value() == b"a"
    everything = [ck.TopicPartition(topic, number) for number in range(4)]
    assert told == [("assigned", True, everything)]
    assert sorted(consumer.assignment()) == everything
    consumer.close()
    assert told[1:] == [("revoked", True, everything)]
    # Auto-commit is on: the next one goes on behind.
    again = consumer_of(confluent, **{"group.id": topic, "auto.offset.reset": "error"})
    places = again.committed([ck.TopicPartition(topic, 0)], timeout=SECONDS)
    assert places[0].offset == 1
    again.close()


def test_on_assign_says_where_partitions_begin(confluent: Library, topic: str) -> None:
    ck = confluent.module
    sent(confluent, topic, b"a", b"b", b"c")
    consumer = consumer_of(confluent, **{"group.id": topic})

    def begin(member: Any, partitions: list[Any]) -> None:
        for partition in partitions:
            partition.offset = 2 if partition.partition == 0 else ck.OFFSET_END
        member.assign(partitions)

    consumer.subscribe([topic], on_assign=begin)
    assert polled(consumer, 1)[0].value() == b"c"
    consumer.close()


def test_topic_that_does_not_exist_is_an_error_event(confluent: Library, topic: str) -> None:
    ck = confluent.module
    consumer = consumer_of(confluent)
    consumer.subscribe([topic])
    (event,) = polled(consumer, 1)
    assert event.error().code() == ck.KafkaError.UNKNOWN_TOPIC_OR_PART
    assert event.topic() == topic
    consumer.close()


def test_partition_without_an_offset_is_an_error_event_when_no_policy_decides(
    confluent: Library, topic: str
) -> None:
    ck = confluent.module
    sent(confluent, topic, b"a")
    consumer = consumer_of(confluent, **{"group.id": topic, "auto.offset.reset": "error"})
    consumer.assign([ck.TopicPartition(topic, 0)])
    (event,) = polled(consumer, 1)
    assert event.error().code() == ck.KafkaError._AUTO_OFFSET_RESET
    consumer.assign([ck.TopicPartition(topic, 0, 0)])
    assert polled(consumer, 1)[0].value() == b"a"
    consumer.close()


def test_mistakes_are_the_same_exceptions(confluent: Library, topic: str) -> None:
    ck = confluent.module
    errors = ck.KafkaError

    def consumer(**more: Any) -> Callable[[], object]:
        return lambda: ck.Consumer({**confluent.settings, "group.id": "g", **more})

    def producer(**more: Any) -> Callable[[], object]:
        return lambda: ck.Producer({**confluent.settings, **more})

    for call in (
        consumer(**{"foo.bar": 1}),
        consumer(**{"auto.offset.reset": "sometimes"}),
        consumer(**{"enable.auto.commit": "maybe"}),
        producer(**{"linger.ms": "abc"}),
        producer(**{"linger.ms": -1}),
        producer(**{"compression.type": "best"}),
        producer(partitioner="mine"),
        producer(on_delivery=5),
    ):
        assert code_of(confluent, call) == errors._INVALID_ARG
    with pytest.raises(ValueError, match=r"group\.id must be set"):
        ck.Consumer(confluent.settings)
    with pytest.raises(TypeError, match="expected configuration dict"):
        ck.Producer()
    client = ck.Producer(confluent.settings)
    client.produce(topic, b"a", partition=0)
    client.flush(SECONDS)
    too_large = code_of(confluent, lambda: client.produce(topic, b"x" * 2_000_000))
    assert too_large == errors.MSG_SIZE_TOO_LARGE
    unknown = code_of(confluent, lambda: client.produce(topic, b"x", partition=99))
    assert unknown == errors._UNKNOWN_PARTITION
    unset = code_of(confluent, client.begin_transaction)
    assert unset == errors._NOT_CONFIGURED
    with pytest.raises(TypeError, match="bytes-like"):
        client.produce(topic, 5)
    with pytest.raises(TypeError, match="must be str"):
        client.produce(5, b"")
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.produce(topic, b"")
    with pytest.raises(RuntimeError, match="closed"):
        client.poll(0)
    assert len(client) == 0
    reader = consumer_of(confluent)
    with pytest.raises(TypeError, match="expected list"):
        reader.subscribe(topic)
    assert code_of(confluent, lambda: reader.subscribe([])) == errors._INVALID_ARG
    with pytest.raises(ValueError, match="num_messages"):
        reader.consume(2_000_000)
    reader.close()
    reader.close()
    with pytest.raises(RuntimeError, match="closed"):
        reader.poll(0)
    with pytest.raises(RuntimeError, match="closed"):
        reader.assignment()


def test_full_queue_is_a_buffer_error_until_reports_are_taken(
    confluent: Library, topic: str
) -> None:
    settings = {**confluent.settings, "queue.buffering.max.messages": 3}
    producer = confluent.module.Producer(settings)
    heard: list[bytes] = []

    def produce(value: bytes) -> None:
        producer.produce(topic, value, partition=0, callback=lambda _, m: heard.append(m.value()))

    for value in (b"a", b"b", b"c"):
        produce(value)
    with pytest.raises(BufferError, match="Queue full"):
        produce(b"d")
    assert producer.poll(SECONDS) >= 1
    produce(b"d")
    producer.flush(SECONDS)
    assert heard == [b"a", b"b", b"c", b"d"]
    producer.close()


def test_names_of_partitions_and_errors_are_values(confluent: Library) -> None:
    ck = confluent.module
    place = ck.TopicPartition("t", 1, 5)
    assert place == ck.TopicPartition("t", 1)
    assert hash(place) == hash(ck.TopicPartition("t", 1))
    assert place < ck.TopicPartition("t", 2)
    assert str(place) == "TopicPartition{topic=t,partition=1,offset=5,leader_epoch=None,error=None}"
    assert ck.TopicPartition("t").offset == ck.OFFSET_INVALID
    error = ck.KafkaError(ck.KafkaError._QUEUE_FULL, "so full", retriable=True)
    assert (error.code(), error.name(), error.str()) == (-184, "_QUEUE_FULL", "so full")
    assert (error.fatal(), error.retriable(), error.txn_requires_abort()) == (False, True, False)
    assert error == ck.KafkaError._QUEUE_FULL
    assert error != ck.KafkaError._TIMED_OUT
    assert str(error) == 'KafkaError{code=_QUEUE_FULL,val=-184,str="so full"}'
    assert str(ck.KafkaException(error)) == str(error)
    message = ck.Message(topic="t", value=b"abc")
    assert (len(message), message.value(), bool(ck.Message())) == (3, b"abc", False)


def test_transaction_copies_messages_and_their_offsets_together(
    confluent: Library, topic: str
) -> None:
    ck = confluent.module
    sent(confluent, topic, b"a", b"b")
    copies = f"{topic}-copies"
    settings = {"group.id": topic, "enable.auto.commit": False}
    consumer = consumer_of(confluent, **settings)
    place = ck.TopicPartition(topic, 0)
    consumer.assign([place])
    messages = polled(consumer, 2)
    producer = ck.Producer({**confluent.settings, "transactional.id": topic})
    producer.init_transactions(SECONDS)
    producer.begin_transaction()
    producer.produce(copies, b"never seen", partition=0)
    producer.flush(SECONDS)
    producer.abort_transaction(SECONDS)
    heard: list[Any] = []
    producer.begin_transaction()
    for message in messages:
        producer.produce(
            copies,
            message.value().upper(),
            partition=0,
            callback=lambda error, m: heard.append((error, m.value())),
        )
    producer.send_offsets_to_transaction(
        consumer.position([place]), consumer.consumer_group_metadata(), SECONDS
    )
    producer.commit_transaction(SECONDS)
    assert heard == [(None, b"A"), (None, b"B")]
    (committed,) = consumer.committed([place], timeout=SECONDS)
    consumer.close()
    if confluent.is_ours:  # the simulated broker knows neither such offsets nor what was aborted
        assert committed.offset == 2
        reader = consumer_of(confluent, **{"group.id": f"{topic}-2"})
        reader.assign([ck.TopicPartition(copies, 0)])
        assert [message.value() for message in polled(reader, 2)] == [b"A", b"B"]
        reader.close()
        hasty = consumer_of(confluent, **{"isolation.level": "read_uncommitted"})
        hasty.assign([ck.TopicPartition(copies, 0)])
        assert len(polled(hasty, 3)) == 3
        hasty.close()
    producer.close()


def test_transactions_out_of_order_are_erroneous_states(confluent: Library, topic: str) -> None:
    ck = confluent.module
    producer = ck.Producer({**confluent.settings, "transactional.id": topic})
    assert code_of(confluent, producer.begin_transaction) == ck.KafkaError._STATE
    assert code_of(confluent, lambda: producer.produce(topic, b"a")) == ck.KafkaError._STATE
    producer.init_transactions(SECONDS)
    assert code_of(confluent, lambda: producer.produce(topic, b"a")) == ck.KafkaError._STATE
    assert code_of(confluent, lambda: producer.commit_transaction(1.0)) == ck.KafkaError._STATE
    producer.begin_transaction()
    assert code_of(confluent, producer.begin_transaction) == ck.KafkaError._STATE
    producer.close()


def test_offsets_can_be_committed_when_partitions_are_given_up(
    confluent: Library, topic: str
) -> None:
    ck = confluent.module
    sent(confluent, topic, b"a")
    consumer = consumer_of(confluent, **{"group.id": topic, "enable.auto.commit": False})
    stored: list[int] = []

    def save(member: Any, partitions: Any) -> None:
        stored.extend(p.offset for p in member.commit(asynchronous=False) if p.partition == 0)

    consumer.subscribe([topic], on_revoke=save)
    polled(consumer, 1)
    consumer.close()
    assert stored == [1]
    again = consumer_of(confluent, **{"group.id": topic})
    (place,) = again.committed([ck.TopicPartition(topic, 0)], timeout=SECONDS)
    assert place.offset == 1
    again.close()
