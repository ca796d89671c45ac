"""What `pystream.compat.confluent_kafka` promises beyond what its stories show."""

from __future__ import annotations

import asyncio
import gc
import pickle
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import pystream as ps
from pystream.compat import confluent_kafka as ck
from pystream.compat.confluent_kafka import aio, serialization
from pystream.compat.confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
)
from pystream.compat.confluent_kafka.error import ConsumeError, ValueDeserializationError

SECONDS = 20.0


@pytest.fixture
def place(tmp_path: Path) -> dict[str, Any]:
    return {"log.directory": str(tmp_path / "data")}


def reader(place: dict[str, Any], *topics: str, **more: Any) -> ck.Consumer:
    consumer = ck.Consumer({**place, "group.id": "g", "auto.offset.reset": "earliest", **more})
    if topics:
        consumer.subscribe(list(topics))
    return consumer


def code_of(error: BaseException) -> str:
    name: str = error.args[0].name()
    return name


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
    with ck.Producer({**place, "linger.ms": 3_600_000}) as producer, ps.open(**_log(place)) as log:
        producer.produce("t", b"v", key=b"k", callback=lambda e, m: heard.append((e, m)))
        log.delete_topic("t")
        producer.flush()
    ((error, message),) = heard
    assert error == ck.KafkaError.UNKNOWN_TOPIC_OR_PART
    assert (message.topic(), message.key(), message.value()) == ("t", b"k", b"v")
    assert message.error() is error


def _log(place: dict[str, Any]) -> dict[str, Any]:
    return {"directory": place["log.directory"]}


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


def test_typed_topic_takes_and_gives_dicts(place: dict[str, Any]) -> None:
    with ps.open(**_log(place)) as log:
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


def test_clients_of_an_event_loop(place: dict[str, Any]) -> None:
    async def story() -> list[Any]:
        told: list[Any] = []

        async def assigned(consumer: aio.AIOConsumer, partitions: list[Any]) -> None:
            told.append(await consumer.assignment() == partitions)

        async with aio.AIOProducer(place) as producer:
            futures = [await producer.produce("t", str(number)) for number in range(3)]
            offsets = [(await future).offset() for future in futures]
        settings = {**place, "group.id": "g", "auto.offset.reset": "earliest"}
        async with aio.AIOConsumer(settings) as consumer:
            await consumer.subscribe(["t"])
            messages = await consumer.consume(3, SECONDS)
            await consumer.commit(asynchronous=False)
        with pytest.raises(RuntimeError, match="closed"):
            await consumer.poll(0)
        return [offsets, [message.value() for message in messages]]

    assert asyncio.run(story()) == [[0, 1, 2], [b"0", b"1", b"2"]]


def test_admin_client_creates_describes_and_deletes(place: dict[str, Any]) -> None:
    with AdminClient(place) as admin:
        config = {"message.timestamp.type": "LogAppendTime", "min.insync.replicas": "2"}
        (made,) = admin.create_topics([NewTopic("t", 2, config=config)]).values()
        assert made.result() is None
        topic = admin.describe_topics(ck.TopicCollection(["t"]))["t"].result()
        assert [partition.id for partition in topic.partitions] == [0, 1]
        entries = admin.describe_configs([ConfigResource("topic", "t")])
        (found,) = (future.result() for future in entries.values())
        assert found["message.timestamp.type"].value == "LogAppendTime"
        assert not found["message.timestamp.type"].is_default
        refused = {
            NewTopic("t"): "TOPIC_ALREADY_EXISTS",
            NewTopic("u", 0): "INVALID_PARTITIONS",
            NewTopic("u", 1, 3): "INVALID_REPLICATION_FACTOR",
            NewTopic("u", config={"no.such": "1"}): "INVALID_CONFIG",
        }
        for new, name in refused.items():
            error = admin.create_topics([new])[new.topic].exception()
            assert error is not None
            assert code_of(error) == name
        only = admin.create_topics([NewTopic("u")], validate_only=True)
        assert only["u"].result() is None
        assert set(admin.list_topics().topics) == {"t"}
        more = admin.create_partitions([NewPartitions("nowhere", 3)])["nowhere"].exception()
        assert isinstance(more, ps.errors.UnknownTopicError)
        with ck.Producer(place) as producer:
            producer.produce("t", b"a", partition=0)
        with reader(place, "t") as consumer:
            message = consumer.poll(SECONDS)
            assert message is not None
            assert message.timestamp()[0] == ck.TIMESTAMP_LOG_APPEND_TIME
        assert [listing.group_id for listing in admin.list_consumer_groups().result().valid] == [
            "g"
        ]
        asked = [ck.ConsumerGroupTopicPartitions("g")]
        stored = admin.list_consumer_group_offsets(asked)["g"].result()
        assert [(p.partition, p.offset) for p in stored.topic_partitions] == [(0, 1), (1, 0)]
        moved = ck.ConsumerGroupTopicPartitions("g", [ck.TopicPartition("t", 0, 0)])
        admin.alter_consumer_group_offsets([moved])["g"].result()
        stored = admin.list_consumer_group_offsets(asked)["g"].result()
        assert stored.topic_partitions[0].offset == 0
        zero = ck.TopicPartition("t", 0)
        ends = admin.list_offsets({zero: OffsetSpec.latest()})[zero].result()
        assert ends.offset == 1
        assert admin.delete_consumer_groups(["g"])["g"].result() is None
        assert admin.delete_topics(["t"])["t"].result() is None
        gone = admin.delete_topics(["t"])["t"].exception()
        assert isinstance(gone, ps.errors.UnknownTopicError)
        with pytest.raises(AttributeError, match="file system") as caught:
            admin.create_acls([])
        assert isinstance(caught.value, ps.errors.NotSupportedError)
        with pytest.raises(AttributeError):
            _ = admin.no_such_method


def test_second_owner_of_a_transactional_id_fences_the_first(place: dict[str, Any]) -> None:
    settings = {**place, "transactional.id": "copier"}
    first = ck.Producer(settings)
    first.init_transactions()
    first.begin_transaction()
    first.produce("t", b"never")
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


def test_admin_client_alters_topics_and_deletes_records(place: dict[str, Any]) -> None:
    with AdminClient(place) as admin:
        config = {"retention.ms": 86_400_000, "retention.bytes": "536870912"}
        admin.create_topics([NewTopic("t", 1, config=config)])["t"].result()
        resource = ConfigResource("topic", "t")

        def described() -> dict[str, str]:
            entries = admin.describe_configs([resource])[resource].result()
            return {name: each.value or "" for name, each in entries.items() if not each.is_default}

        assert described() == {"retention.ms": "86400000", "retention.bytes": "536870912"}
        with ps.open(**_log(place)) as log:
            assert log.topic("t").retention == timedelta(days=1)

        def changed(name: str, value: str | None, operation: AlterConfigOpType) -> Any:
            change = ConfigResource("topic", "t")
            entry = ConfigEntry(name, value, incremental_operation=operation)
            change.add_incremental_config(entry)
            return admin.incremental_alter_configs([change])[change].exception()

        assert changed("compression.type", "lz4", AlterConfigOpType.SET) is None
        assert changed("retention.bytes", None, AlterConfigOpType.DELETE) is None
        assert described() == {"retention.ms": "86400000", "compression.type": "lz4"}
        appended = changed("retention.ms", "1", AlterConfigOpType.APPEND)
        assert isinstance(appended, ps.errors.NotSupportedError)
        wrong = changed("retention.ms", "soon", AlterConfigOpType.SET)
        assert code_of(wrong) == "INVALID_CONFIG"
        compacted = changed("cleanup.policy", "compact", AlterConfigOpType.SET)
        assert isinstance(compacted, ps.errors.NotSupportedError)
        whole = ConfigResource("topic", "t", set_config={"retention.ms": "1000"})
        assert admin.alter_configs([whole])[whole].result() is None
        assert described() == {"retention.ms": "1000"}

        assert admin.create_partitions([NewPartitions("t", 3)])["t"].result() is None
        assert len(admin.list_topics("t").topics["t"].partitions) == 3
        fewer = admin.create_partitions([NewPartitions("t", 3)])["t"].exception()
        assert fewer is not None
        assert code_of(fewer) == "INVALID_PARTITIONS"

        with ck.Producer(place) as producer:
            for value in (b"a", b"b", b"c"):
                producer.produce("t", value, partition=0)
        before = ck.TopicPartition("t", 0, 2)
        assert admin.delete_records([before])[before].result().low_watermark == 2
        everything = ck.TopicPartition("t", 0, ck.OFFSET_END)
        assert admin.delete_records([everything])[everything].result().low_watermark == 3
        beyond = ck.TopicPartition("t", 0, 9)
        error = admin.delete_records([beyond])[beyond].exception()
        assert error is not None
        assert code_of(error) == "OFFSET_OUT_OF_RANGE"


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
