"""What `pystream.compat.kafka` promises beyond what its stories show."""

from __future__ import annotations

import asyncio
import errno
import pickle
from collections.abc import Awaitable, Iterable
from pathlib import Path
from typing import Any

import pytest

import pystream as ps
from pystream.compat import kafka
from pystream.compat.kafka import errors
from pystream.compat.kafka.admin import AlterConfigOp, ConfigResource, NewTopic, OffsetTimestamp
from pystream.compat.kafka.partitioner import Partitioner, murmur2

SECONDS = 20.0


@pytest.fixture
def place(tmp_path: Path) -> dict[str, Any]:
    return {"log_directory": str(tmp_path / "data")}


def sent(place: dict[str, Any], topic: str, *values: bytes, **more: Any) -> None:
    with kafka.KafkaProducer(**place, **more) as producer:
        for value in values:
            producer.send(topic, value)


def reader(place: dict[str, Any], *topics: str, **more: Any) -> kafka.KafkaConsumer:
    settings = {"auto_offset_reset": "earliest", "consumer_timeout_ms": 50, **more}
    return kafka.KafkaConsumer(*topics, **place, **settings)


class Listener(kafka.ConsumerRebalanceListener):
    def __init__(self) -> None:
        self.told: list[Any] = []

    def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        self.told.append(("assigned", len(set(assigned))))

    def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        self.told.append(("revoked", len(set(revoked))))


class AsyncListener(kafka.AsyncConsumerRebalanceListener):
    def __init__(self) -> None:
        self.told: list[Any] = []

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        await asyncio.sleep(0)
        self.told.append(len(set(assigned)))

    async def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        await asyncio.sleep(0)
        self.told.append(-len(set(revoked)))


@pytest.mark.parametrize("servers", ["localhost:9092", ["a:1", "b:2"], "data"])
def test_address_of_a_broker_is_refused_by_name(servers: object) -> None:
    with pytest.raises(errors.UnsupportedVersionError, match="log_directory") as caught:
        kafka.KafkaProducer(bootstrap_servers=servers)
    assert isinstance(caught.value, ps.errors.NotSupportedError)
    with pytest.raises(errors.KafkaConfigurationError, match="Pass the directory"):
        kafka.KafkaConsumer("t")


def test_errors_are_pystreams_as_well_and_survive_pickling(place: dict[str, Any]) -> None:
    with kafka.KafkaAdminClient(**place) as admin, pytest.raises(errors.KafkaError) as caught:
        admin.delete_topics(["nowhere"])
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert isinstance(error, errors.UnknownTopicOrPartitionError)
        assert isinstance(error, ps.errors.UnknownTopicError)
        assert (error.topic, error.errno, error.retriable) == ("nowhere", 3, True)
        assert str(error).startswith("UnknownTopicOrPartitionError: topic 'nowhere'")


def test_topics_are_created_unless_that_is_switched_off(place: dict[str, Any]) -> None:
    with kafka.KafkaProducer(**place, num_partitions=3) as producer:
        producer.send("made", b"v")
        assert producer.partitions_for("made") == {0, 1, 2}
    with kafka.KafkaProducer(**place, allow_auto_create_topics=False) as producer:
        future = producer.send("unmade", b"v")
        assert future.failed()
        with pytest.raises(errors.UnknownTopicOrPartitionError):
            future.get(timeout=SECONDS)
    with reader(place, "asked", auto_create_topics_enable=False) as consumer:
        assert list(consumer) == []
        assert consumer.topics() == {"made"}
        sent(place, "asked", b"v")
        assert [record.value for record in consumer] == [b"v"]
    with reader(place, "asked too") as consumer, pytest.raises(errors.KafkaConfigurationError):
        next(consumer)
    with reader(place, "wanted") as consumer:
        consumer.poll()
        assert "wanted" in consumer.topics()


def test_two_members_share_the_partitions(place: dict[str, Any]) -> None:
    sent(place, "t", *[b"v"] * 4, num_partitions=4)
    first = reader(place, group_id="g")
    listener = Listener()
    first.subscribe(["t"], listener=listener)
    assert listener.told == []
    first.poll(100)
    assert listener.told == [("assigned", 4)]
    second = reader(place, "t", group_id="g")
    for _ in range(200):
        first.poll(10)
        second.poll(10)
        if len(second.assignment()) == 2:
            break
    assert listener.told == [("assigned", 4), ("revoked", 2)]
    me, other = first.group_metadata(), second.group_metadata()
    assert (me.group_id, me.state) == ("g", "<stable>")
    assert me.member_id != other.member_id
    with pytest.raises(errors.CommitFailedError):
        first.commit({name: kafka.OffsetAndMetadata(0) for name in second.assignment()})
    first.close()
    second.close()
    assert listener.told[-1] == ("revoked", 2)


def test_asynchronous_listener_is_run_within_poll(place: dict[str, Any]) -> None:
    sent(place, "t", b"v")
    listener = AsyncListener()
    with reader(place, group_id="g") as consumer:
        consumer.subscribe(pattern="t", listener=listener)
        assert consumer.poll(1000)
        assert listener.told == [1]
        assert consumer.subscription() == {"t"}
    assert listener.told == [1, -1]


def test_positions_are_committed_by_close_but_not_by_an_exception(place: dict[str, Any]) -> None:
    sent(place, "t", b"a", b"b")
    zero = kafka.TopicPartition("t", 0)
    with pytest.raises(ZeroDivisionError), reader(place, "t", group_id="g") as consumer:
        next(consumer)
        raise ZeroDivisionError
    with reader(place, group_id="g") as consumer:
        assert consumer.committed(zero) is None
    with reader(place, "t", group_id="g") as consumer:
        assert next(consumer).value == b"a"
    with reader(place, group_id="g") as consumer:
        assert consumer.committed(zero) == 1


def test_own_partitioner_is_asked(place: dict[str, Any]) -> None:
    asked: list[Any] = []

    class Last(Partitioner):
        def partition(self, topic, key, key_bytes, value, value_bytes, cluster):
            asked.append((topic, key, key_bytes, value, value_bytes))
            return max(cluster.partitions_for_topic(topic))

    settings = {"partitioner": Last(), "value_serializer": str.encode, "num_partitions": 3}
    with kafka.KafkaProducer(**place, **settings) as producer:
        assert producer.send("t", "v", key=b"k").get(SECONDS).partition == 2
    assert asked == [("t", b"k", b"k", "v", b"v")]


def test_keys_are_placed_as_the_library_does(place: dict[str, Any]) -> None:
    with kafka.KafkaProducer(**place, num_partitions=7) as producer:
        for number in range(30):
            key = f"key-{number}".encode()
            placed = producer.send("t", b"v", key=key).get(SECONDS).partition
            assert placed == (murmur2(key) & 0x7FFFFFFF) % 7


def test_future_of_a_record_that_fails_has_the_error(place: dict[str, Any]) -> None:
    heard: list[Any] = []
    settings = {"linger_ms": 3_600_000}
    with kafka.KafkaProducer(**place, **settings) as producer:
        future = producer.send("t", b"v").add_errback(lambda w, e: heard.append((w, e)), "why")
        with pytest.raises(errors.KafkaTimeoutError):
            future.get(timeout=0.01)
        assert not future.is_done
        with ps.open(place["log_directory"]) as log:
            log.delete_topic("t")
        producer.flush()
        assert future.failed()
        with pytest.raises(errors.UnknownTopicOrPartitionError):
            future.get()
        with pytest.raises(errors.UnknownTopicOrPartitionError):
            asyncio.run(_done(future))
        assert heard == [("why", future.exception)]
        assert asyncio.run(_awaited(producer)) == 0


async def _awaited(producer: kafka.KafkaProducer) -> int:
    future = producer.send("other", b"v")
    producer.flush()
    metadata = await future
    offset: int = metadata.offset
    return offset


def test_full_buffer_is_a_timeout(place: dict[str, Any]) -> None:
    with kafka.KafkaProducer(**place) as producer:
        producer.send("t", b"v").get(SECONDS)

        def full(*_: object, **__: object) -> None:
            raise ps.errors.BufferFullError("full", limit=1)

        producer._send = full  # type: ignore[assignment]
        with pytest.raises(errors.KafkaTimeoutError) as caught:
            producer.send("t", b"v")
        assert isinstance(caught.value, ps.errors.BufferFullError)


def test_damaged_records_cost_themselves_alone(place: dict[str, Any], tmp_path: Path) -> None:
    with kafka.KafkaProducer(**place) as producer:
        for value in (b"first" * 100, b"damaged" * 100, b"third" * 100):
            producer.send("t", value).get(SECONDS)
    (segment,) = (tmp_path / "data").rglob("*.seg*")
    content = bytearray(segment.read_bytes())
    content[content.index(b"damaged" * 100) + 9] ^= 0xFF
    segment.write_bytes(content)
    for is_polled in (True, False):
        with reader(place, "t") as consumer:
            found: list[Any] = []
            while len(found) < 3:
                try:
                    if is_polled:
                        for records in consumer.poll(1000).values():
                            found += [record.value for record in records]
                    else:
                        found.append(next(consumer).value)
                except errors.CorruptRecordError as error:
                    assert isinstance(error, ps.errors.CorruptRecordError)
                    found.append(error.offset)
        assert found == [b"first" * 100, 1, b"third" * 100]


def test_future_of_a_commit_tells_when_it_is_stored(place: dict[str, Any]) -> None:
    sent(place, "t", b"v")
    heard: list[Any] = []
    with reader(place, "t", group_id="g", enable_auto_commit=False) as consumer:
        zero = kafka.TopicPartition("t", 0)
        assert next(consumer).value == b"v"
        stored = {zero: kafka.OffsetAndMetadata(1)}
        future = consumer.commit_async(callback=lambda *_: 1 // 0)
        later = consumer.commit_async().add_callback(heard.append)
        future.add_callback(heard.append).add_errback(heard.append)
        assert (heard, future.is_done) == ([], False)
        with pytest.raises(ZeroDivisionError):  # and nobody else misses anything
            consumer.committed(zero)
        assert heard == [stored, stored]
        assert later.get() == consumer.commit_async().get() == stored
        assert asyncio.run(_done(consumer.commit_async())) == stored
        failed = consumer.commit_async({zero: kafka.OffsetAndMetadata(9)})
        failed.add_errback(heard.append)
        with pytest.raises(errors.OffsetOutOfRangeError):
            failed.get()
        assert heard[2:] == [failed.exception]


async def _done(future: Awaitable[Any]) -> Any:
    return await future


def test_record_that_cannot_be_deserialized_is_lost_no_more_than_others(
    place: dict[str, Any],
) -> None:
    sent(place, "t", b"1", b"x", b"3")
    zero = kafka.TopicPartition("t", 0)
    with reader(place, "t", value_deserializer=int) as consumer:
        polled = consumer.poll(1000)
        assert [record.value for record in polled[zero]] == [1]
        for _ in range(2):
            with pytest.raises(ValueError, match="invalid literal"):
                consumer.poll(1000)
            with pytest.raises(ValueError, match="invalid literal"):
                next(consumer)
            assert consumer.position(zero) == 1
        consumer.seek(zero, 2)
        assert next(consumer).value == 3


def test_admin_client_creates_describes_and_deletes(place: dict[str, Any]) -> None:
    with kafka.KafkaAdminClient(**place) as admin:
        options = {"num_partitions": 2, "configs": {"compression.type": "lz4"}}
        made = admin.create_topics({"t": options})
        assert made == {"topics": [{"name": "t", "error_code": 0, "error_message": None}]}
        admin.wait_for_topics(["t"])
        with pytest.raises(errors.KafkaTimeoutError):
            admin.wait_for_topics(["u"], timeout_ms=1)
        described = admin.describe_configs([ConfigResource("topic", "t")])
        assert described["topic"]["t"]["compression.type"]["value"] == "lz4"
        assert list(described["topic"]["t"]) == ["compression.type"]
        refused = [
            (NewTopic("t", 1, 1), "TopicAlreadyExistsError"),
            (NewTopic("u", 0, 1), "InvalidPartitionsError"),
            (NewTopic("u", 1, 3), "InvalidReplicationFactorError"),
            (NewTopic("u", 1, 1, topic_configs={"no.such": 1}), "InvalidConfigurationError"),
            (NewTopic("bad name!", 1, 1), "InvalidTopicError"),
        ]
        for new, name in refused:
            with pytest.raises(errors.class_of(name)):
                admin.create_topics([new])
            (told,) = admin.create_topics([new], raise_errors=False)["topics"]
            assert told["error_code"] == errors.class_of(name).errno  # type: ignore[attr-defined]
        with kafka.KafkaProducer(**place) as producer:
            for stamp in (1000, 2000):
                producer.send("t", b"v", partition=0, timestamp_ms=stamp)
        with reader(place, "t", group_id="g") as consumer:
            assert len(list(consumer)) == 2
        zero = kafka.TopicPartition("t", 0)
        assert [group["group_id"] for group in admin.list_groups()] == ["g"]
        assert admin.list_groups(states_filter=["Stable"]) == []
        assert admin.list_group_offsets("g")["g"][zero].offset == 2
        reset = admin.reset_group_offsets("g", {zero: OffsetTimestamp(1500)})
        assert reset == {zero: {"error": errors.class_of("NoError"), "offset": 1}}
        assert admin.reset_group_offsets("g", {zero: 99})[zero]["offset"] == 2
        assert (
            admin.reset_group_offsets("g", {zero: kafka.OffsetSpec.EARLIEST})[zero]["offset"] == 0
        )
        ends = admin.list_partition_offsets({zero: kafka.OffsetSpec.LATEST})
        assert ends[zero].offset == 2
        assert admin.list_partition_offsets({zero: 1500})[zero][:2] == (1, 2000)
        with reader(place, "t", group_id="g") as consumer:
            consumer.poll(10)
            assert admin.delete_groups(["g"]) == {"g": "NonEmptyGroupError"}
        assert admin.delete_groups(["g"]) == {"g": "OK"}
        assert admin.describe_groups(["g"])["g"]["group_state"] == "Dead"
        admin.delete_topics(["t"])
        assert admin.list_topics() == []
        with pytest.raises(AttributeError, match="one copy"):
            admin.elect_leaders(0)
        assert admin.describe_cluster()["brokers"][0]["host"] == place["log_directory"]


def test_offsets_are_committed_with_a_transaction(place: dict[str, Any]) -> None:
    sent(place, "in", b"a", b"b")
    zero = kafka.TopicPartition("in", 0)
    consumer = reader(place, "in", group_id="g", enable_auto_commit=False)
    records = list(consumer)
    with kafka.KafkaProducer(**place, transactional_id="copy") as producer:
        with pytest.raises(errors.IllegalStateError, match="init_transactions"):
            producer.send("out", b"early")
        producer.init_transactions()
        with pytest.raises(errors.IllegalStateError):
            producer.commit_transaction()
        producer.begin_transaction()
        for record in records:
            producer.send("out", record.value.upper())
        offsets = {zero: kafka.OffsetAndMetadata(consumer.position(zero), "", -1)}
        producer.send_offsets_to_transaction(offsets, consumer.group_metadata())
        assert consumer.committed(zero) is None
        producer.commit_transaction()
    assert consumer.committed(zero) == 2
    consumer.close()
    with reader(place, "out", isolation_level="read_committed") as copies:
        assert [record.value for record in copies] == [b"A", b"B"]


def test_admin_client_tells_of_kafkas_numbers_and_not_of_the_systems(
    place: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: str) -> None:
        raise ps.errors.StorageError("No space left on device", errno=errno.ENOSPC)

    with kafka.KafkaAdminClient(**place) as admin:
        monkeypatch.setattr(admin._log, "delete_topic", full)
        (told,) = admin.delete_topics(["t"], raise_errors=False)["topics"]
        assert told["error_code"] == errors.class_of("KafkaStorageError").errno == 56


def test_admin_client_validates_what_it_does_not_create(place: dict[str, Any]) -> None:
    with kafka.KafkaAdminClient(**place) as admin:
        admin.create_topics(["t"], validate_only=True)
        assert admin.list_topics() == []
        admin.create_topics(["t"])
        with pytest.raises(errors.TopicAlreadyExistsError):
            admin.create_topics(["t"], validate_only=True)


def test_fenced_producer_is_closed_in_peace(place: dict[str, Any]) -> None:
    first = kafka.KafkaProducer(**place, transactional_id="copier")
    first.init_transactions()
    first.begin_transaction()
    first.send("t", b"never").get(SECONDS)
    with kafka.KafkaProducer(**place, transactional_id="copier") as second:
        second.init_transactions()
        with pytest.raises(errors.ProducerFencedError):
            first.commit_transaction()
        first.close()  # nothing is left to abort
    with pytest.raises(errors.IllegalStateError, match="closed"):
        first.begin_transaction()


def test_admin_client_alters_topics_and_deletes_records(place: dict[str, Any]) -> None:
    with kafka.KafkaAdminClient(**place) as admin:
        admin.create_topics({"t": {"configs": {"retention.ms": 86_400_000}}})

        def described() -> dict[str, str]:
            found = admin.describe_configs([ConfigResource("topic", "t")])["topic"]["t"]
            return {name: each["value"] for name, each in found.items()}

        def altered(configs: dict[str, Any]) -> str:
            outcome: str = admin.alter_configs([ConfigResource("topic", "t", configs)])["topic"][
                "t"
            ]
            return outcome

        assert described() == {"retention.ms": "86400000"}
        assert altered({"compression.type": "lz4", "retention.ms": ("DELETE", None)}) == "OK"
        assert described() == {"compression.type": "lz4"}
        assert altered({"retention.ms": "soon"}).startswith("InvalidConfigurationError")
        assert altered({"cleanup.policy": "compact", "min.cleanable.dirty.ratio": 0.1}) == "OK"
        assert described() == {
            "compression.type": "lz4",
            "cleanup.policy": "compact",
            "min.cleanable.dirty.ratio": "0.1",
        }
        assert altered({"cleanup.policy": "keep"}).startswith("InvalidConfigurationError")
        assert altered({"max.compaction.lag.ms": 1}).startswith("UnsupportedVersionError")
        appended = altered({"retention.ms": (AlterConfigOp.APPEND, 1)})
        assert appended.startswith("InvalidConfigurationError")
        with pytest.raises(ValueError, match=r"no\.such"):
            altered({"no.such": 1})
        assert admin.reset_configs([ConfigResource("topic", "t")]) == {"topic": {"t": "OK"}}
        assert described() == {}

        admin.create_partitions({"t": 2})
        assert len(admin.describe_topics(["t"])[0]["partitions"]) == 2
        with pytest.raises(errors.class_of("InvalidPartitionsError")):
            admin.create_partitions({"t": 2})
        told = admin.create_partitions({"nowhere": 2}, raise_errors=False)["results"]
        assert [each["error_code"] for each in told] == [3]

        zero = kafka.TopicPartition("t", 0)
        with kafka.KafkaProducer(**place) as producer:
            for value in (b"a", b"b"):
                producer.send("t", value, partition=0)
        kept = admin.delete_records({zero: 1})
        assert kept == {zero: {"partition_index": 0, "low_watermark": 1, "error_code": 0}}
        with pytest.raises(errors.class_of("OffsetOutOfRangeError")):
            admin.delete_records({zero: 9})
        with reader(place) as consumer:
            consumer.assign([zero])
            assert [record.value for record in consumer] == [b"b"]
            consumer.seek(zero, 0)  # nothing is there any more: the policy decides
            assert [record.offset for record in consumer] == [1]
