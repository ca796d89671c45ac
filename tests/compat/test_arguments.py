"""Arguments and settings of a wrong type or that contradict each other, on both libraries."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

import pystream as ps
from pystream.compat import confluent_kafka as ck
from pystream.compat import kafka
from tests.compat.conftest import Library
from tests.compat.test_confluent_stories import SECONDS, code_of, consumer_of

# kafka-python leaves sockets of its connections to the collector of garbage.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"timestamp": "17"}, "'str' object cannot be interpreted as an integer"),
        ({"timestamp": ""}, "'str' object cannot be interpreted as an integer"),
        ({"timestamp": 1.5}, "'float' object cannot be interpreted as an integer"),
        ({"timestamp": None}, "'NoneType' object cannot be interpreted as an integer"),
        ({"partition": 1.5}, "'float' object cannot be interpreted as an integer"),
        ({"value": {"a": 1}}, "a bytes-like object is required, not 'dict'"),
        ({"value": [1]}, "a bytes-like object is required, not 'list'"),
        ({"value": frozenset()}, "a bytes-like object is required, not 'frozenset'"),
        ({"key": {"a": 1}}, "a bytes-like object is required, not 'dict'"),
        ({"headers": "x"}, "expected headers to be dict or list of (key, value) tuples, not str"),
        ({"headers": ""}, "expected headers to be dict or list of (key, value) tuples, not str"),
        ({"headers": 5}, "expected headers to be dict or list of (key, value) tuples, not int"),
        ({"headers": [5]}, "Headers are expected to be a list of (key, value) tuples"),
        ({"headers": [("a",)]}, "Headers are expected to be a list of (key, value) tuples"),
        ({"headers": [["a", b"x"]]}, "Headers are expected to be a list of (key, value) tuples"),
        ({"headers": {"a": 5}}, ""),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_message_of_wrong_types_is_a_type_error(
    confluent: Library, topic: str, message: dict[str, Any], reason: str
) -> None:
    producer = confluent.module.Producer(confluent.settings)
    with pytest.raises(TypeError) as caught:
        producer.produce("arguments", **message)
    assert reason in str(caught.value)
    assert len(producer) == 0
    producer.close()


def test_what_stands_for_a_whole_number_is_one(confluent: Library, topic: str) -> None:
    producer = confluent.module.Producer(confluent.settings)
    producer.produce(topic, b"x", partition=False, timestamp=True)
    producer.flush(SECONDS)
    producer.close()
    consumer = consumer_of(confluent)
    consumer.assign([confluent.module.TopicPartition(topic, 0, 0)])
    assert consumer.poll(SECONDS).timestamp()[1] == 1
    consumer.close()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("error_cb", TypeError),
        ("stats_cb", TypeError),
        ("oauth_cb", TypeError),
        ("throttle_cb", ValueError),
    ],
)
def test_callback_that_is_no_function_is_refused(
    confluent: Library, name: str, kind: type[Exception]
) -> None:
    admin = import_module(f"{confluent.module.__name__}.admin")
    settings = {**confluent.settings, "group.id": "g"}
    for make in (confluent.module.Producer, confluent.module.Consumer, admin.AdminClient):
        for callback in (5, None):
            with pytest.raises(kind, match=f"expected {name} property as a callable function"):
                make({**settings, name: callback})


@pytest.mark.parametrize(
    "settings",
    [
        {"enable.idempotence": True, "acks": 1},
        {"enable.idempotence": "true", "request.required.acks": "0"},
        {"enable.idempotence": "perhaps"},
        {"transactional.id": "x", "acks": 1},
        {"transactional.id": "x", "enable.idempotence": False},
    ],
    ids=str,
)
def test_settings_that_contradict_idempotence_are_refused(
    confluent: Library, settings: dict[str, Any]
) -> None:
    make = confluent.module.Producer
    code = code_of(confluent, lambda: make({**confluent.settings, **settings}))
    assert code == confluent.module.KafkaError._INVALID_ARG


@pytest.mark.parametrize(
    "settings",
    [
        {"enable.idempotence": True, "acks": "all"},
        {"enable.idempotence": True},
        {"enable.idempotence": False, "acks": 1},
    ],
    ids=str,
)
def test_idempotence_goes_with_all_acks(confluent: Library, settings: dict[str, Any]) -> None:
    confluent.module.Producer({**confluent.settings, **settings}).close()


@pytest.mark.parametrize(
    "record",
    [
        {"value": {"a": 1}},
        {"value": b"", "timestamp_ms": "17"},
        {"value": b"", "timestamp_ms": 1.5},
    ],
    ids=str,
)
def test_record_of_wrong_types_is_a_type_error(python: Library, record: dict[str, Any]) -> None:
    producer = python.module.KafkaProducer(**python.settings, enable_idempotence=False)
    with pytest.raises(TypeError):
        producer.send("arguments", **record)
    producer.close()


def test_transaction_without_idempotence_is_refused(python: Library) -> None:
    errors = import_module(f"{python.module.__name__}.errors")
    with pytest.raises(errors.KafkaConfigurationError, match="transactional_id without"):
        python.module.KafkaProducer(
            **python.settings, transactional_id="x", enable_idempotence=False
        )


def test_dict_is_a_row_where_the_topic_has_columns(place: dict[str, Any]) -> None:
    with ps.open(place["log.directory"]) as log:
        log.create_topic("t", {"n": "int64"})
    with ck.Producer(place) as producer:
        producer.produce("t", {"n": 1})
        with pytest.raises(ck.KafkaException) as caught:
            producer.produce("t", {"n": "one"})
        assert caught.value.args[0] == ck.KafkaError.INVALID_RECORD
        with pytest.raises(TypeError, match="not 'int'"):
            producer.produce("t", 1)
    with kafka.KafkaProducer(log_directory=place["log.directory"]) as python:
        assert python.send("t", {"n": 2}).get(SECONDS).offset == 1
        with pytest.raises(kafka.errors.KafkaError):
            python.send("t", {"n": "two"})
