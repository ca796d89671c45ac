"""What `pystream.compat.confluent_kafka` promises beyond what its stories show."""

from __future__ import annotations

import pickle
import queue
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import pystream as ps
from pystream.compat import confluent_kafka as ck
from pystream.compat.confluent_kafka import serialization
from pystream.compat.confluent_kafka.error import ConsumeError, ValueDeserializationError
from tests.compat.confluent_clients import SECONDS, code_of, open_log, reader


@pytest.mark.parametrize("servers", ["localhost:9092", "a:1,b:2", "kafka://a", "data", ["a", "b"]])
def test_address_of_a_broker_is_refused_by_name(servers: object) -> None:
    with pytest.raises(ck.KafkaException, match=r"log\.directory") as caught:
        ck.Producer({"bootstrap.servers": servers})
    assert isinstance(caught.value, ps.errors.NotSupportedError)
    assert code_of(caught.value) == "_UNSUPPORTED_FEATURE"


def test_place_must_be_given_once(place: dict[str, Any]) -> None:
    with pytest.raises(ck.KafkaException, match="Pass the directory"):
        ck.Producer({"acks": 1})
    with pytest.raises(ck.KafkaException, match="Pass one"):
        ck.Producer({**place, "bootstrap.servers": "./elsewhere"})
    ck.Producer({**place, "bootstrap.servers": place["log.directory"]}).close()


def test_errors_are_pystreams_as_well_and_survive_pickling(place: dict[str, Any]) -> None:
    with reader(place) as consumer, pytest.raises(ck.KafkaException) as caught:
        consumer.get_watermark_offsets(ck.TopicPartition("nowhere", 0))
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert isinstance(error, ck.KafkaException)
        assert isinstance(error, ps.errors.UnknownTopicError)
        assert isinstance(error, LookupError)
        assert error.topic == "nowhere"
        assert error.args[0] == ck.KafkaError.UNKNOWN_TOPIC_OR_PART
    assert isinstance(caught.value.__cause__, ps.errors.UnknownTopicError)


def test_compression_that_is_not_built_is_refused(place: dict[str, Any]) -> None:
    with pytest.raises(ck.KafkaException, match="gzip") as caught:
        ck.Producer({**place, "compression.type": "gzip"})
    assert isinstance(caught.value, ps.errors.NotSupportedError)


def test_topics_are_created_unless_that_is_switched_off(place: dict[str, Any]) -> None:
    with ck.Producer({**place, "num.partitions": 3}) as producer:
        producer.produce("made", b"v")
        assert len(producer.list_topics("made").topics["made"].partitions) == 3
        assert producer.list_topics("nowhere").topics["nowhere"].error is not None
    with ck.Producer({**place, "auto.create.topics.enable": False}) as producer:
        with pytest.raises(ck.KafkaException) as caught:
            producer.produce("unmade", b"v")
        assert caught.value.args[0] == ck.KafkaError.UNKNOWN_TOPIC_OR_PART
    with reader(place, "asked", **{"allow.auto.create.topics": True}) as consumer:
        assert consumer.poll(0.01) is None
        assert "asked" in consumer.list_topics().topics


def test_topic_that_comes_later_is_read_then(place: dict[str, Any]) -> None:
    with reader(place, "later", "^seen-.*") as consumer, ck.Producer(place) as producer:
        event = consumer.poll(0)
        assert event is not None
        assert event.error() == ck.KafkaError.UNKNOWN_TOPIC_OR_PART
        assert consumer.poll(0) is None  # said once
        producer.produce("later", b"1")
        producer.produce("seen-one", b"2")
        producer.flush()
        values = {message.value() for message in consumer.consume(2, SECONDS)}
        assert values == {b"1", b"2"}
        producer.produce("seen-two-and-more", b"3")
        producer.flush()
        assert [message.value() for message in consumer.consume(1, SECONDS)] == [b"3"]


@pytest.mark.parametrize(
    ("name", "choose"), [("consistent_random", ck.consistent), ("fnv1a", ck.fnv1a)]
)
def test_partitioner_of_librdkafka_can_be_chosen(
    place: dict[str, Any], name: str, choose: Any
) -> None:
    where: dict[bytes, int] = {}

    def report(_: Any, message: ck.Message) -> None:
        where[message.key()] = message.partition()

    keys = [f"key-{number}".encode() for number in range(30)]
    for partitioner, rule in ((name, choose), ("murmur2_random", ck.murmur2)):
        settings = {**place, "num.partitions": 7, "partitioner": partitioner}
        with ck.Producer(settings) as producer:
            for key in keys:
                producer.produce("t", b"v", key=key, callback=report)
            producer.produce("t", b"without a key")
        assert where == {key: rule(key, 7) for key in keys}


def test_poll_waits_for_a_message_of_another_thread(place: dict[str, Any]) -> None:
    with ck.Producer(place) as producer:
        heard: list[Any] = []
        started = threading.Event()

        def poll() -> None:
            started.set()
            while not heard:
                producer.poll(SECONDS)

        thread = threading.Thread(target=poll)
        thread.start()
        started.wait(SECONDS)
        producer.produce("t", b"v", callback=lambda e, m: heard.append(e))
        thread.join(SECONDS)
        assert heard == [None]
        assert producer.poll(0.001) == 0


def test_every_thread_that_polls_hears_of_a_message_and_of_the_end(place: dict[str, Any]) -> None:
    producer = ck.Producer(place)
    woken: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def poll() -> None:
        try:
            woken.put(producer.poll())
        except RuntimeError as error:
            woken.put(str(error))

    threads = [threading.Thread(target=poll, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + SECONDS
    while len(producer._waiters) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    for _ in range(2):
        producer.produce("t", b"v", callback=lambda e, m: None)
        assert woken.get(timeout=SECONDS) == 1
    producer.close()
    assert woken.get(timeout=SECONDS) == "Producer has been closed"
    for thread in threads:
        thread.join(SECONDS)


def test_pattern_that_is_no_regular_expression_is_refused(place: dict[str, Any]) -> None:
    with reader(place) as consumer, pytest.raises(ck.KafkaException, match="subpattern") as caught:
        consumer.subscribe(["^a("])
    assert caught.value.args[0] == ck.KafkaError._INVALID_ARG


def test_number_without_an_end_is_refused(place: dict[str, Any]) -> None:
    for value in ("inf", "nan", "1e30"):
        with pytest.raises(ck.KafkaException, match="outside allowed range"):
            ck.Producer({**place, "linger.ms": value})
        with pytest.raises(ck.KafkaException, match="outside allowed range"):
            ck.Producer({**place, "batch.size": value})


def test_queue_without_a_limit_is_never_full(place: dict[str, Any]) -> None:
    with ck.Producer({**place, "queue.buffering.max.messages": 0}) as producer:
        producer.produce("t", b"v")
        assert producer.flush(SECONDS) == 0


def test_batch_of_messages_names_those_that_were_refused(place: dict[str, Any]) -> None:
    with ck.Producer(place) as producer:
        messages: list[dict[str, Any]] = [
            {"value": b"a", "key": b"k"},
            {"value": b"b", "partition": 9},
            {"value": 5},
            {"value": b"c"},
        ]
        assert producer.produce_batch("t", messages) == 2
        assert messages[1]["_error"] == ck.KafkaError._UNKNOWN_PARTITION
        assert "_error" in messages[2]
        assert "_error" not in messages[3]
        assert producer.flush() == 0


def test_undelivered_message_is_reported_with_its_error(place: dict[str, Any]) -> None:
    heard: list[Any] = []
    with ck.Producer({**place, "linger.ms": 3_600_000}) as producer, open_log(place) as log:
        producer.produce("t", b"v", key=b"k", callback=lambda e, m: heard.append((e, m)))
        log.delete_topic("t")
        producer.flush()
    ((error, message),) = heard
    assert error == ck.KafkaError.UNKNOWN_TOPIC_OR_PART
    assert (message.topic(), message.key(), message.value()) == ("t", b"k", b"v")
    assert message.error() is error


def test_damaged_records_are_an_event_and_reading_goes_on(
    place: dict[str, Any], tmp_path: Path
) -> None:
    with ck.Producer({**place, "linger.ms": 0}) as producer:
        for value in (b"first" * 100, b"second" * 100):
            producer.produce("t", value)
            producer.flush()
    (segment,) = (tmp_path / "data").rglob("*.seg*")
    content = bytearray(segment.read_bytes())
    at = content.index(b"first" * 100)
    content[at + 7] ^= 0xFF
    segment.write_bytes(content)
    consumer = reader(place, "t")
    found: list[Any] = []
    while len(found) < 2:
        message = consumer.poll(SECONDS)
        assert message is not None
        if message.error() is None:
            try:
                found.append(message.value())
            except ck.KafkaException as error:
                found.append(error.args[0])
        else:
            found.append(message.error())
    assert found == [ck.KafkaError._BAD_MSG, b"second" * 100]
    consumer.close()


def test_partitions_that_stay_assigned_are_committed_still(place: dict[str, Any]) -> None:
    zero, one = ck.TopicPartition("t", 0), ck.TopicPartition("t", 1)
    with ck.Producer({**place, "num.partitions": 2}) as producer:
        for number in range(3):
            producer.produce("t", str(number), partition=0)
    with reader(place, **{"enable.auto.commit": False}) as consumer:
        consumer.assign([zero, one])
        assert len(consumer.consume(2, SECONDS)) == 2
        consumer.incremental_unassign([one])
        consumer.incremental_assign([one])
        assert [each.offset for each in consumer.position([zero, one])] == [2, ck.OFFSET_INVALID]
        committed = consumer.commit(asynchronous=False)
        assert committed is not None
        assert [(each.partition, each.offset) for each in committed] == [(0, 2)]
        assert [message.value() for message in consumer.consume(1, SECONDS)] == [b"2"]


def test_typed_topic_takes_and_gives_dicts(place: dict[str, Any]) -> None:
    with open_log(place) as log:
        log.create_topic("pay", {"user": "string", "amount": "float64"}, key="user")
    with ck.Producer(place) as producer:
        producer.produce("pay", {"user": "ann", "amount": 9.5})
        with pytest.raises(ck.KafkaException) as caught:
            producer.produce("pay", b"bytes")
        assert isinstance(caught.value, ps.errors.SchemaError)
    with reader(place, "pay") as consumer:
        message = consumer.poll(SECONDS)
        assert message is not None
        assert (message.key(), message.value()) == ("ann", {"user": "ann", "amount": 9.5})


def test_serializers_stand_between(place: dict[str, Any]) -> None:
    settings = {
        **place,
        "key.serializer": serialization.StringSerializer(),
        "value.serializer": serialization.IntegerSerializer(),
    }
    with ck.SerializingProducer(settings) as producer:
        producer.produce("t", key="k", value=7)
        with pytest.raises(serialization.SerializationError):
            producer.produce("t", key="k", value="seven")
    with ck.Producer(place) as plain:
        plain.produce("t", b"no int")
    consumer = ck.DeserializingConsumer(
        {
            **place,
            "group.id": "g",
            "auto.offset.reset": "earliest",
            "value.deserializer": serialization.IntegerDeserializer(),
        }
    )
    consumer.subscribe(["t"])
    message = consumer.poll(SECONDS)
    assert message is not None
    assert (message.key(), message.value()) == (b"k", 7)
    with pytest.raises(ValueDeserializationError) as caught:
        consumer.poll(SECONDS)
    assert caught.value.kafka_message is not None
    assert caught.value.kafka_message.value() == b"no int"
    consumer.subscribe(["nowhere"])
    with pytest.raises(ConsumeError):
        consumer.poll(SECONDS)
    consumer.close()


def test_second_owner_of_a_transactional_id_fences_the_first(place: dict[str, Any]) -> None:
    settings = {**place, "transactional.id": "copier"}
    first = ck.Producer(settings)
    first.init_transactions()
    first.begin_transaction()
    first.produce("t", b"never")
    first.flush()
    second = ck.Producer(settings)
    second.init_transactions()
    with pytest.raises(ck.KafkaException) as caught:
        first.commit_transaction()
    error = caught.value.args[0]
    assert (error.code(), error.fatal(), error.txn_requires_abort()) == (
        ck.KafkaError._FENCED,
        True,
        False,
    )
    first.close()
    second.begin_transaction()
    second.produce("t", b"seen")
    second.commit_transaction()
    second.close()
    with reader(place, "t") as consumer:
        message = consumer.poll(SECONDS)
        assert message is not None
        assert message.value() == b"seen"


def test_offsets_of_a_fenced_member_require_an_abort(place: dict[str, Any]) -> None:
    offsets = [ck.TopicPartition("t", 0, 0)]
    with open_log(place) as log:
        log.create_topic("t")
    first = reader(place, "t")
    first.consume(1, 0.01)
    group = first.consumer_group_metadata()
    with ck.Producer({**place, "transactional.id": "copier"}) as producer:
        producer.init_transactions()
        producer.begin_transaction()
        producer.produce("t", b"never")
        with pytest.raises(ck.KafkaException) as wrong:
            producer.send_offsets_to_transaction([ck.TopicPartition("t", 0, 0.5)], group)
        assert not wrong.value.args[0].txn_requires_abort()
        first.close()
        for call in (
            lambda: producer.send_offsets_to_transaction(offsets, group),
            producer.commit_transaction,
        ):
            with pytest.raises(ck.KafkaException) as caught:
                call()
            error = caught.value.args[0]
            assert (error.code(), error.fatal(), error.retriable()) == (
                ck.KafkaError.ILLEGAL_GENERATION,
                False,
                False,
            )
            assert error.txn_requires_abort()
        producer.abort_transaction()
    with reader(place, "t", **{"group.id": "others"}) as other:
        assert other.consume(1, 0.2) == []


def test_message_of_an_aborted_transaction_is_reported_as_purged(
    place: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Any] = []
    with ck.Producer({**place, "transactional.id": "t", "linger.ms": 3_600_000}) as producer:
        producer.init_transactions()
        producer.begin_transaction()
        producer.produce("t", b"v", callback=lambda e, m: heard.append(e))
        producer.produce("t", b"v")
        producer.abort_transaction()
    assert heard == [ck.KafkaError._PURGE_QUEUE]
    assert caplog.records == []
