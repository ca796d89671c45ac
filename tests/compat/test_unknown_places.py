"""Partitions and groups that do not exist, among those that do: answered one by one, or empty."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

import pystream.compat.confluent_kafka
from pystream.compat.confluent_kafka import KafkaError, KafkaException, TopicPartition
from pystream.compat.confluent_kafka.admin import AdminClient
from tests.compat.conftest import Library
from tests.compat.test_confluent_stories import SECONDS, code_of, consumer_of, sent

# kafka-python leaves sockets of its connections to the collector of garbage.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def places(library: Library, topic: str) -> list[Any]:
    """Return a partition, one of a topic that does not exist, and one that a topic lacks."""
    names = [(topic, 0), (f"{topic}-nowhere", 0), (topic, 99)]
    return [library.module.TopicPartition(*name, 0) for name in names]


def told(answers: list[Any]) -> list[tuple[int, int | None]]:
    return [(each.offset, each.error and each.error.code()) for each in answers]


def test_committed_says_which_partitions_are_unknown(confluent: Library, topic: str) -> None:
    sent(confluent, topic, b"x")
    consumer = consumer_of(confluent, **{"group.id": topic})
    known, *_ = asked = places(confluent, topic)
    consumer.list_topics(topic, timeout=SECONDS)
    unknown = confluent.module.KafkaError.UNKNOWN_TOPIC_OR_PART
    nothing = confluent.module.OFFSET_INVALID
    assert told(consumer.committed(asked, timeout=SECONDS)) == [
        (nothing, None),
        (nothing, unknown),
        (nothing, unknown),
    ]
    known.offset = 1
    consumer.commit(offsets=[known], asynchronous=False)
    assert told(consumer.committed(asked, timeout=SECONDS))[0] == (1, None)
    consumer.close()


def test_offsets_for_times_say_which_partitions_are_unknown(confluent: Library, topic: str) -> None:
    sent(confluent, topic, b"x")
    consumer = consumer_of(confluent)
    consumer.list_topics(topic, timeout=SECONDS)
    known, unknown, missing = places(confluent, topic)
    codes = confluent.module.KafkaError
    found = consumer.offsets_for_times([known, unknown, missing], timeout=SECONDS)
    assert [error for _, error in told(found)] == [
        None,
        codes.UNKNOWN_TOPIC_OR_PART,
        codes._UNKNOWN_PARTITION,
    ]
    assert found[1].offset == found[2].offset == 0  # as it was asked
    code = code_of(confluent, lambda: consumer.offsets_for_times([unknown], timeout=SECONDS))
    assert code == codes._UNKNOWN_PARTITION
    consumer.close()


def test_kafka_python_has_none_for_what_is_unknown(python: Library, topic: str) -> None:
    producer = python.module.KafkaProducer(**python.settings)
    producer.send(topic, b"x", partition=0).get(timeout=SECONDS)
    producer.close()
    consumer = python.module.KafkaConsumer(group_id=topic, **python.settings)
    known, unknown, missing = (
        python.module.TopicPartition(*name)
        for name in ((topic, 0), (f"{topic}-nowhere", 0), (topic, 99))
    )
    for place in (known, unknown, missing):
        assert consumer.committed(place) is None
    assert consumer.offsets_for_times({unknown: 0}, timeout_ms=5000) == {unknown: None}
    if python.is_ours:  # the simulated broker keeps no times
        found = consumer.offsets_for_times({known: 0, unknown: 0, missing: 0})
        assert found[known].offset == 0
        assert (found[unknown], found[missing]) == (None, None)
    consumer.close()


def test_group_that_does_not_exist_has_committed_nothing(confluent: Library, topic: str) -> None:
    sent(confluent, topic, b"x")
    client = import_module(f"{confluent.module.__name__}.admin").AdminClient(confluent.settings)
    request = confluent.module.ConsumerGroupTopicPartitions
    answer = client.list_consumer_group_offsets([request(topic)])[topic].result(SECONDS)
    assert (answer.group_id, answer.topic_partitions) == (topic, [])
    place = confluent.module.TopicPartition(topic, 0)
    answer = client.list_consumer_group_offsets([request(topic, [place])])[topic].result(SECONDS)
    assert told(answer.topic_partitions) == [(confluent.module.OFFSET_INVALID, None)]


def test_describing_a_group_that_does_not_exist_is_an_error(place: dict[str, Any]) -> None:
    """As brokers have it since Kafka 4.0."""
    with AdminClient(place) as admin, pytest.raises(KafkaException) as caught:
        admin.describe_consumer_groups(["nobody"])["nobody"].result()
    assert caught.value.args[0] == KafkaError.GROUP_ID_NOT_FOUND


def test_commit_beyond_the_end_is_refused(place: dict[str, Any]) -> None:
    """Where a broker stores it."""
    ours = Library(pystream.compat.confluent_kafka, place, True)
    sent(ours, "t", b"x")
    with consumer_of(ours) as consumer:
        beyond = [TopicPartition("t", 0, 10**6)]
        code = code_of(ours, lambda: consumer.commit(offsets=beyond, asynchronous=False))
    assert code == KafkaError.OFFSET_OUT_OF_RANGE
