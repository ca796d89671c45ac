"""Programs for kafka-python, each run on the library and on a log: the same comes out."""

from __future__ import annotations

import json
import time
import warnings
from typing import Any

import pytest

from tests.compat.conftest import Library

SECONDS = 20.0

# kafka-python leaves sockets of its connections to the collector of garbage.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def producer_of(library: Library, **more: Any) -> Any:
    settings = {**library.settings, "acks": 1, "enable_idempotence": False, **more}
    return library.module.KafkaProducer(**settings)


def sent(library: Library, topic: str, *values: bytes) -> None:
    with producer_of(library) as producer:
        for value in values:
            producer.send(topic, value, partition=0)


def consumer_of(library: Library, *topics: str, **more: Any) -> Any:
    settings = {
        **library.settings,
        "auto_offset_reset": "earliest",
        "fetch_max_wait_ms": 50,
        **more,
    }
    return library.module.KafkaConsumer(*topics, **settings)


def idle_ms(library: Library) -> int:
    """Return after what time nothing more comes: a fetch over the network may wait for 50 ms."""
    return 50 if library.is_ours else 1000


def polled(consumer: Any, count: int) -> list[Any]:
    found: list[Any] = []
    deadline = time.monotonic() + SECONDS
    while len(found) < count:
        for records in consumer.poll(timeout_ms=500).values():
            found += records
        assert time.monotonic() < deadline, found
    return found


def test_future_says_where_a_record_is(python: Library, topic: str) -> None:
    heard: list[Any] = []
    with producer_of(python) as producer:
        future = producer.send(
            topic, b"value", key=b"key", partition=1, headers=[("a", b"12")], timestamp_ms=1_000
        )
        future.add_callback(lambda word, metadata: heard.append((word, metadata.offset)), "ok")
        future.add_errback(heard.append)
        metadata = future.get(timeout=SECONDS)
        assert (metadata.topic, metadata.partition, metadata.offset) == (topic, 1, 0)
        assert metadata.topic_partition == python.module.TopicPartition(topic, 1)
        sizes = metadata.serialized_key_size, metadata.serialized_value_size
        assert sizes == (3, 5)
        assert metadata.serialized_header_size == 3
        assert (future.succeeded(), future.failed(), future.is_done) == (True, False, True)
        assert future.exception is None
        late: list[int] = []
        future.add_callback(lambda m: late.append(m.offset))
        assert late == [0]
        producer.flush(timeout=SECONDS)
        assert producer.partitions_for(topic) == {0, 1, 2, 3}
    assert heard == [("ok", 0)]


def test_records_have_what_was_sent_in_milliseconds(python: Library, topic: str) -> None:
    with producer_of(python) as producer:
        stamp = 1_700_000_000_123
        producer.send(topic, b"v", key=b"k", partition=0, headers=[("a", b"1")], timestamp_ms=stamp)
        producer.send(topic, None, key=b"tombstone", partition=0)
    consumer = consumer_of(python, consumer_timeout_ms=1000)
    consumer.assign([python.module.TopicPartition(topic, 0)])
    one, two = polled(consumer, 2)
    assert (one.topic, one.partition, one.offset) == (topic, 0, 0)
    assert (one.key, one.value, one.headers) == (b"k", b"v", [("a", b"1")])
    assert (one.timestamp, one.timestamp_type, one.checksum) == (stamp, 0, None)
    sizes = one.serialized_key_size, one.serialized_value_size, one.serialized_header_size
    assert sizes == (1, 1, 2)
    assert (two.key, two.value, two.headers) == (b"tombstone", None, [])
    assert (two.serialized_value_size, two.serialized_header_size) == (-1, -1)
    consumer.close()


def test_serializers_are_functions_or_objects(python: Library, topic: str) -> None:
    serializer = python.module.JsonSerializer()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # kafka-python: for functions
        with producer_of(python, value_serializer=serializer, key_serializer=str.encode) as client:
            client.send(topic, {"n": 1}, key="k", partition=0)
        functions = {"value_deserializer": json.loads, "key_deserializer": bytes.decode}
        consumer = consumer_of(python, **functions)
        consumer.assign([python.module.TopicPartition(topic, 0)])
    (record,) = polled(consumer, 1)
    assert (record.key, record.value, record.serialized_value_size) == ("k", {"n": 1}, 8)
    consumer.close()


def test_iteration_ends_after_the_timeout_and_goes_on_later(python: Library, topic: str) -> None:
    sent(python, topic, b"a", b"b")
    consumer = consumer_of(python, consumer_timeout_ms=idle_ms(python))
    consumer.assign([python.module.TopicPartition(topic, 0)])
    assert [record.value for record in consumer] == [b"a", b"b"]
    sent(python, topic, b"c")
    assert [record.value for record in consumer] == [b"c"]
    consumer.close()
    with pytest.raises(StopIteration):
        next(consumer)


def test_seek_replays_and_positions_are_behind_what_was_returned(
    python: Library, topic: str
) -> None:
    sent(python, topic, b"a", b"b", b"c")
    place = python.module.TopicPartition(topic, 0)
    consumer = consumer_of(python, consumer_timeout_ms=idle_ms(python))
    consumer.assign([place])
    assert consumer.position(place) == 0
    assert next(consumer).value == b"a"
    assert consumer.position(place) == 1
    consumer.seek(place, 2)
    assert next(consumer).value == b"c"
    consumer.seek_to_beginning()
    assert [record.value for record in polled(consumer, 3)] == [b"a", b"b", b"c"]
    consumer.seek_to_end(place)
    assert consumer.position(place) == 3
    assert consumer.beginning_offsets([place]) == {place: 0}
    assert consumer.end_offsets([place]) == {place: 3}
    consumer.seek(place, 1)
    consumer.pause(place)
    assert consumer.paused() == {place}
    assert consumer.poll(100) == {}
    consumer.resume(place)
    assert [record.value for record in polled(consumer, 2)] == [b"b", b"c"]
    consumer.close()


def test_max_records_limits_a_poll(python: Library, topic: str) -> None:
    sent(python, topic, b"a", b"b", b"c")
    consumer = consumer_of(python, max_poll_records=2)
    consumer.assign([python.module.TopicPartition(topic, 0)])
    sizes = []
    while sum(sizes) < 3:
        sizes += [len(records) for records in consumer.poll(500, max_records=1).values()]
    assert sizes == [1, 1, 1]
    consumer.close()


def test_committed_offsets_are_where_the_next_consumer_begins(python: Library, topic: str) -> None:
    sent(python, topic, b"a", b"b", b"c")
    place = python.module.TopicPartition(topic, 0)
    consumer = consumer_of(python, group_id=topic, enable_auto_commit=False)
    consumer.assign([place])
    assert consumer.committed(place) is None
    assert len(polled(consumer, 3)) == 3
    consumer.commit({place: python.module.OffsetAndMetadata(1, "", -1)})
    assert consumer.committed(place) == 1
    assert consumer.committed(place, metadata=True).offset == 1
    consumer.commit()
    assert consumer.committed(place) == 3
    heard: list[Any] = []
    future = consumer.commit_async(
        {place: python.module.OffsetAndMetadata(2, "", -1)},
        callback=lambda offsets, outcome: heard.append(offsets[place].offset),
    )
    deadline = time.monotonic() + SECONDS
    while not heard:
        consumer.poll(50)
        assert time.monotonic() < deadline
    assert (heard, future.succeeded()) == ([2], True)
    consumer.close()
    again = consumer_of(python, group_id=topic)
    again.assign([place])
    assert polled(again, 1)[0].value == b"c"
    again.close()


def test_mistakes_are_the_same_exceptions(python: Library, topic: str) -> None:
    kafka = python.module
    errors = __import__(f"{kafka.__name__}.errors", fromlist=["errors"])
    with pytest.raises(ValueError, match="Unrecognized configs"):
        producer_of(python, foo=1)
    with pytest.raises(errors.KafkaConfigurationError, match="Unrecognized configs"):
        consumer_of(python, foo=1)
    if python.is_ours:  # the library leaves a connection behind by each of these
        with pytest.raises(errors.KafkaConfigurationError, match="requires group_id"):
            consumer_of(python, group_instance_id="me")
        with pytest.raises(ValueError, match="Not supported codec"):
            producer_of(python, compression_type="best")
        with pytest.raises(errors.KafkaConfigurationError, match="incompatible"):
            producer_of(python, enable_idempotence=True)
    producer = producer_of(python)
    producer.send(topic, b"a", partition=0).get(timeout=SECONDS)
    for value in ("text", 5):
        with pytest.raises(TypeError, match="serialized value"):
            producer.send(topic, value)
    with pytest.raises(TypeError, match="serialized key"):
        producer.send(topic, b"v", key="text")
    with pytest.raises(TypeError, match="headers"):
        producer.send(topic, b"v", headers={"a": b"1"})
    with pytest.raises(TypeError, match="headers"):
        producer.send(topic, b"v", headers=[("a", None)])
    with pytest.raises(ValueError, match="key or value"):
        producer.send(topic)
    with pytest.raises(ValueError, match="partition"):
        producer.send(topic, b"v", partition=77)
    with pytest.raises(ValueError, match="bad topic!"):
        producer.send("bad topic!", b"v")
    with pytest.raises(errors.MessageSizeTooLargeError):
        producer.send(topic, b"x" * 2_000_000)
    with pytest.raises(errors.IllegalStateError):
        producer.begin_transaction()
    producer.close()
    producer.close()
    with pytest.raises(errors.IllegalStateError, match="closed"):
        producer.send(topic, b"v")
    place = kafka.TopicPartition(topic, 0)
    consumer = consumer_of(python)
    with pytest.raises(errors.IllegalStateError, match="group_id"):
        consumer.commit()
    with pytest.raises(ValueError, match="topics or pattern"):
        consumer.subscribe([])
    with pytest.raises(TypeError, match="must be a list"):
        consumer.subscribe(topic)
    with pytest.raises(errors.IllegalStateError):
        consumer.position(place)
    with pytest.raises(TypeError):
        consumer.position((topic, 0))
    consumer.assign([place])
    with pytest.raises(errors.IllegalStateError, match="only one way"):
        consumer.subscribe([topic])
    with pytest.raises(ValueError, match="Offset"):
        consumer.seek(place, -1)
    with pytest.raises(ValueError, match="Unassigned"):
        consumer.seek(kafka.TopicPartition(topic, 3), 0)
    with pytest.raises(ValueError, match="negative"):
        consumer.poll(-1)
    with pytest.raises(ValueError, match="positive"):
        consumer.poll(0, max_records=0)
    consumer.close()
    with pytest.raises(errors.IllegalStateError, match="closed"):
        consumer.poll()
    nowhere = consumer_of(python, group_id=topic, auto_offset_reset="none")
    nowhere.assign([place])
    with pytest.raises(errors.NoOffsetForPartitionError):
        polled(nowhere, 1)
    nowhere.seek(place, 0)
    assert polled(nowhere, 1)[0].value == b"a"
    nowhere.close()


def test_error_classes_have_their_numbers_and_flags(python: Library) -> None:
    errors = __import__(f"{python.module.__name__}.errors", fromlist=["errors"])
    assert errors.for_code(3) is errors.UnknownTopicOrPartitionError
    assert errors.UnknownTopicOrPartitionError.errno == 3
    assert issubclass(errors.KafkaTimeoutError, errors.RetriableError)
    assert errors.KafkaTimeoutError.retriable
    assert not errors.TopicAlreadyExistsError.retriable
    assert str(errors.KafkaTimeoutError("late")) == "KafkaTimeoutError: late"
    assert errors.KafkaTimeoutError("late") == errors.KafkaTimeoutError("late")
