"""AdminClient of `pystream.compat.confluent_kafka`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

import pystream as ps
from pystream.compat import confluent_kafka as ck
from pystream.compat.confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
)
from tests.compat.confluent_clients import SECONDS, code_of, open_log, reader


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
        fresh = ck.ConsumerGroupTopicPartitions("fresh", [ck.TopicPartition("t", 0, 1)])
        admin.alter_consumer_group_offsets([fresh])["fresh"].result()
        asked = [ck.ConsumerGroupTopicPartitions("fresh")]
        stored = admin.list_consumer_group_offsets(asked)["fresh"].result()
        assert [(p.partition, p.offset) for p in stored.topic_partitions] == [(0, 1)]
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


def test_admin_client_alters_topics_and_deletes_records(place: dict[str, Any]) -> None:
    with AdminClient(place) as admin:
        config = {"retention.ms": 86_400_000, "retention.bytes": "536870912"}
        admin.create_topics([NewTopic("t", 1, config=config)])["t"].result()
        resource = ConfigResource("topic", "t")

        def described() -> dict[str, str]:
            entries = admin.describe_configs([resource])[resource].result()
            return {name: each.value or "" for name, each in entries.items() if not each.is_default}

        assert described() == {"retention.ms": "86400000", "retention.bytes": "536870912"}
        with open_log(place) as log:
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
        assert code_of(appended) == "INVALID_CONFIG"
        wrong = changed("retention.ms", "soon", AlterConfigOpType.SET)
        assert code_of(wrong) == "INVALID_CONFIG"
        assert changed("cleanup.policy", "compact,delete", AlterConfigOpType.SET) is None
        assert changed("delete.retention.ms", "1000", AlterConfigOpType.SET) is None
        assert described()["cleanup.policy"] == "compact,delete"
        assert described()["delete.retention.ms"] == "1000"
        tiered = changed("max.compaction.lag.ms", "1", AlterConfigOpType.SET)
        assert isinstance(tiered, ps.errors.NotSupportedError)
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
