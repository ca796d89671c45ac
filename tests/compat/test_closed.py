"""Whatever is called on a client that is closed raises what its library raises, or does nothing."""

from __future__ import annotations

import concurrent.futures
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pystream.compat import confluent_kafka as ck
from pystream.compat import kafka
from pystream.compat.confluent_kafka import admin

ZERO = ck.TopicPartition("t", 0, 0)
PLACE = kafka.TopicPartition("t", 0)

CONFLUENT = {
    "topic": "t",
    "topics": ["t"],
    "new_topics": [admin.NewTopic("u")],
    "new_partitions": [admin.NewPartitions("t", 2)],
    "resources": [admin.ConfigResource("topic", "t")],
    "group_ids": ["g"],
    "list_consumer_group_offsets_request": [ck.ConsumerGroupTopicPartitions("g")],
    "alter_consumer_group_offsets_request": [ck.ConsumerGroupTopicPartitions("g", [ZERO])],
    "partition": ZERO,
    "partitions": [ZERO],
    "positions": [ZERO],
    "messages": [{"value": b"v"}],
    "group_metadata": None,
    "username": "me",
    "password": "",
}
KAFKA = {
    "topic": "t",
    "topics": ["t"],
    "new_topics": ["u"],
    "topic_partitions": {"t": 2},
    "config_resources": [kafka.admin.ConfigResource("topic", "t")],
    "group_id": "g",
    "group_ids": ["g"],
    "group_specs": ["g"],
    "offsets": {PLACE: kafka.OffsetAndMetadata(0)},
    "offset_specs": {PLACE: 0},
    "topic_partition_specs": {PLACE: 0},
    "records_to_delete": {PLACE: 0},
    "topic_names": ["t"],
    "partition": PLACE,
    "partitions": [PLACE],
    "offset": 0,
    "timestamps": {PLACE: 0},
    "value": b"v",
    "group_metadata": "g",
    "api_version": (2, 1),
}
SPECIAL = {
    "describe_topics": {"topics": ck.TopicCollection(["t"])},
    "list_offsets": {"topic_partition_offsets": {ZERO: admin.OffsetSpec.earliest()}},
    "delete_records": {"topic_partition_offsets": [ZERO]},
    "store_offsets": {"offsets": [ZERO]},
    "wait_for_topics": {"timeout_ms": 0},
}


def calls_of(client: Any, arguments: dict[str, Any]) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield the methods of a client, each with arguments that an open one would take."""
    for name, method in inspect.getmembers(client, callable):
        if name.startswith("_"):
            continue
        given = {
            each.name: arguments[each.name]
            for each in inspect.signature(method).parameters.values()
            if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD
            if each.name not in SPECIAL.get(name, {})
        }
        if arguments is CONFLUENT or name == "wait_for_topics":
            given |= SPECIAL.get(name, {})
        yield name, lambda method=method, given=given: method(**given)  # type: ignore[misc]


def outcome_of(call: Callable[[], object]) -> list[BaseException | None]:
    """Return what was raised, also by futures."""
    try:
        found = call()
    except Exception as error:
        return [error]
    futures = found.values() if isinstance(found, dict) else [found]
    return [each.exception() for each in futures if isinstance(each, concurrent.futures.Future)]


@pytest.mark.parametrize("kind", ["Producer", "Consumer", "AdminClient"])
def test_closed_client_of_confluent_raises_its_exceptions(kind: str, tmp_path: Path) -> None:
    settings = {"log.directory": str(tmp_path), "enable.auto.offset.store": False}
    with ck.Producer(settings) as producer:
        producer.produce("t", b"v")
    open_one = {
        "Producer": lambda: ck.Producer({**settings, "transactional.id": "x"}),
        "Consumer": lambda: ck.Consumer({**settings, "group.id": "g"}),
        "AdminClient": lambda: admin.AdminClient(settings),
    }[kind]
    client: Any = open_one()
    client.close()
    raised = 0
    for name, call in calls_of(client, CONFLUENT):
        for error in outcome_of(call):
            raised += error is not None
            assert isinstance(error, None | RuntimeError | ck.KafkaException), (name, error)
    assert raised > 5


@pytest.mark.parametrize("kind", ["KafkaProducer", "KafkaConsumer", "KafkaAdminClient"])
def test_closed_client_of_kafka_python_raises_its_exceptions(kind: str, tmp_path: Path) -> None:
    settings = {"log_directory": str(tmp_path)}
    with kafka.KafkaProducer(**settings) as producer:
        producer.send("t", b"v")
    more = {
        "KafkaProducer": {"transactional_id": "x"},
        "KafkaConsumer": {"group_id": "g"},
        "KafkaAdminClient": {},
    }
    client = getattr(kafka, kind)(**settings, **more[kind])
    client.close()
    raised = 0
    for name, call in calls_of(client, KAFKA):
        for error in outcome_of(call):
            raised += 1
            theirs = kafka.errors.KafkaError | ValueError | StopIteration
            assert isinstance(error, theirs), (name, error)
    assert raised > 5
