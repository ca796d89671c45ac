"""Configurations of topics through both admin clients: what is taken, what is refused how."""

from __future__ import annotations

from typing import Any

import pytest

from pystream import config as limits
from pystream.compat import confluent_kafka as ck
from pystream.compat import kafka
from pystream.compat.confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
)
from pystream.compat.kafka import admin as python_admin
from tests.compat.confluent_clients import code_of, open_log

MIB = 1 << 20


def created(admin: AdminClient, config: dict[str, Any], **how: Any) -> BaseException | None:
    return admin.create_topics([NewTopic("t", 1, config=config)], **how)["t"].exception()


def changed(
    admin: AdminClient, name: str, value: object, how: str = "SET", *, only: bool = False
) -> BaseException | None:
    resource = ConfigResource("topic", "t")
    resource.add_incremental_config(
        ConfigEntry(name, str(value), incremental_operation=AlterConfigOpType[how])
    )
    return admin.incremental_alter_configs([resource], validate_only=only)[resource].exception()


def settings_of(place: dict[str, Any], *names: str) -> list[Any]:
    with open_log(place) as log:
        return [getattr(log.topic("t"), name) for name in names]


def segment_and_retention(place: dict[str, Any]) -> list[Any]:
    return settings_of(place, "segment_bytes", "retention_bytes")


# -- retention.bytes below a segment -----------------------------------------------------------


def test_retention_below_a_segment_makes_smaller_segments(place: dict[str, Any]) -> None:
    with AdminClient(place) as admin:
        assert created(admin, {"retention.bytes": "10485760"}) is None
        assert segment_and_retention(place) == [10 * MIB, 10 * MIB]
        assert changed(admin, "retention.bytes", MIB) is None
        assert segment_and_retention(place) == [MIB, MIB]
        assert changed(admin, "retention.bytes", 10 * MIB) is None  # segments fit already
        assert segment_and_retention(place) == [MIB, 10 * MIB]
        whole = ConfigResource("topic", "t", set_config={"retention.bytes": str(2 * MIB)})
        assert admin.alter_configs([whole])[whole].result() is None
        assert segment_and_retention(place) == [2 * MIB, 2 * MIB]


def test_retention_of_a_segment_or_more_leaves_segments_as_they_are(place: dict[str, Any]) -> None:
    with AdminClient(place) as admin:
        assert created(admin, {"retention.bytes": str(limits.SEGMENT_BYTES)}) is None
        assert segment_and_retention(place) == [limits.SEGMENT_BYTES] * 2


@pytest.mark.parametrize(
    "config",
    [
        {"retention.bytes": str(MIB - 1)},
        {"retention.bytes": str(2 * MIB), "segment.bytes": str(4 * MIB)},
        {"segment.bytes": str(MIB - 1)},
        {"segment.bytes": "14"},
        {"cleanup.policy": "keep"},
        {"retention.ms": "soon"},
        {"no.such.entry": "1"},
    ],
    ids=str,
)
def test_wrong_config_is_told_as_a_broker_does(
    place: dict[str, Any], config: dict[str, str]
) -> None:
    with AdminClient(place) as admin:
        for how in ({"validate_only": True}, {}):
            error = created(admin, config, **how)
            assert error is not None
            assert code_of(error) == "INVALID_CONFIG"
        assert created(admin, {"compression.type": "lz4"}) is None
        whole = ConfigResource("topic", "t", set_config=config)
        for how in ({"validate_only": True}, {}):
            error = admin.alter_configs([whole], **how)[whole].exception()
            assert error is not None
            assert code_of(error) == "INVALID_CONFIG"
        if len(config) == 1:
            ((name, value),) = config.items()
            for only in (True, False):
                error = changed(admin, name, value, only=only)
                assert error is not None
                assert code_of(error) == "INVALID_CONFIG"
        assert settings_of(place, "compression") == ["lz4"]


def test_kafka_python_has_smaller_segments_too(place: dict[str, Any]) -> None:
    with kafka.KafkaAdminClient(log_directory=place["log.directory"]) as admin:
        admin.create_topics({"t": {"configs": {"retention.bytes": str(10 * MIB)}}})
        assert segment_and_retention(place) == [10 * MIB, 10 * MIB]

        def altered(**configs: Any) -> str:
            entries = {name.replace("_", "."): value for name, value in configs.items()}
            resource = python_admin.ConfigResource("topic", "t", entries)
            return str(admin.alter_configs([resource])["topic"]["t"])

        assert altered(retention_bytes=MIB) == "OK"
        assert segment_and_retention(place) == [MIB, MIB]
        assert altered(retention_bytes=MIB - 1).startswith("InvalidConfigurationError")
        append, subtract = python_admin.AlterConfigOp.APPEND, python_admin.AlterConfigOp.SUBTRACT
        assert altered(cleanup_policy=(append, "compact")) == "OK"
        assert settings_of(place, "cleanup_policy") == ["compact,delete"]
        assert altered(cleanup_policy=(subtract, "delete")) == "OK"
        assert settings_of(place, "cleanup_policy") == ["compact"]


# -- lists -------------------------------------------------------------------------------------


def test_cleanup_policy_is_a_list(place: dict[str, Any]) -> None:
    with AdminClient(place) as admin:
        assert created(admin, {}) is None
        for how, value, expected in (
            ("APPEND", "compact", "compact,delete"),
            ("APPEND", "compact", "compact,delete"),
            ("SUBTRACT", "delete", "compact"),
            ("SUBTRACT", "delete", "compact"),
            ("APPEND", "delete", "compact,delete"),
        ):
            assert changed(admin, "cleanup.policy", value, how) is None
            assert settings_of(place, "cleanup_policy") == [expected]
        assert changed(admin, "follower.replication.throttled.replicas", "0:1", "APPEND") is None
        for name, value, how in (
            ("cleanup.policy", "compact,delete", "SUBTRACT"),  # nothing would be left
            ("cleanup.policy", "keep", "APPEND"),
            ("retention.ms", "1", "APPEND"),
            ("retention.ms", "1", "SUBTRACT"),
        ):
            error = changed(admin, name, value, how)
            assert error is not None
            assert code_of(error) == "INVALID_CONFIG"


# -- the rest of the admin clients ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["a b", "", "..", "x" * 250])
@pytest.mark.parametrize("only", [True, False])
def test_illegal_name_is_told_as_a_broker_does(
    place: dict[str, Any], name: str, *, only: bool
) -> None:
    with AdminClient(place) as admin:
        error = admin.create_topics([NewTopic(name, 1)], validate_only=only)[name].exception()
    assert error is not None
    assert error.args[0].code() == ck.KafkaError.TOPIC_EXCEPTION == 17
    with kafka.KafkaAdminClient(log_directory=place["log.directory"]) as python:
        answer = python.create_topics([name], validate_only=only, raise_errors=False)
    assert answer["topics"][0]["error_code"] == 17


def test_admin_client_has_no_events(place: dict[str, Any]) -> None:
    with AdminClient(place) as admin:
        assert len(admin) == 0


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        ([], (-1, -1)),
        ([5], (0, 5)),
        ([1, 9, 9, 3], (1, 9)),
        ([-7, -3, -5], (1, -3)),
        ([0], (0, 0)),
        ([1, 2, 3, 10**12, 4], (3, 10**12)),
    ],
    ids=str,
)
def test_record_with_the_greatest_timestamp_is_found(
    place: dict[str, Any], stamps: list[int], expected: tuple[int, int]
) -> None:
    with open_log(place) as log:
        log.create_topic("t")
        with log.producer() as producer:
            for stamp in stamps:
                # In microseconds, of which Kafka's milliseconds know nothing.
                producer.send("t", b"x", timestamp=stamp * 1000 + len(stamps) % 2)
    partition = ck.TopicPartition("t", 0)
    spec = OffsetSpec.max_timestamp()
    with AdminClient(place) as admin:
        found = admin.list_offsets({partition: spec})[partition].result()
        assert (found.offset, found.timestamp) == expected
    with kafka.KafkaAdminClient(log_directory=place["log.directory"]) as python:
        name = kafka.TopicPartition("t", 0)
        place_of = python.list_partition_offsets({name: python_admin.OffsetSpec.MAX_TIMESTAMP})
        assert place_of[name][:2] == expected
