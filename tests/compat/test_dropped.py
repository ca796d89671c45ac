"""Clients that are dropped without being closed, as librdkafka's and kafka-python's may be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pystream.compat import confluent_kafka, kafka
from pystream.compat.confluent_kafka.admin import AdminClient
from tests.log.test_dropped import assert_is_freed

Use = Callable[[str], object]


def produce(data: str) -> None:
    producer = confluent_kafka.Producer({"log.directory": data})
    producer.produce("t", b"x", callback=lambda error, message: None)
    producer.flush()


def produce_in_transaction(data: str) -> None:
    producer = confluent_kafka.Producer({"log.directory": data, "transactional.id": "p"})
    producer.init_transactions()
    producer.begin_transaction()
    producer.produce("t", b"x")
    producer.flush()


def consume(data: str) -> None:
    settings = {"log.directory": data, "group.id": "g", "auto.offset.reset": "earliest"}
    consumer = confluent_kafka.Consumer(settings)
    consumer.subscribe(["t"])
    assert consumer.poll(10) is not None


def send(data: str) -> None:
    kafka.KafkaProducer(log_directory=data).send("t", b"x").get(timeout=10)


def read(data: str) -> None:
    consumer = kafka.KafkaConsumer(
        "t", log_directory=data, group_id="g", auto_offset_reset="earliest"
    )
    assert consumer.poll(timeout_ms=10_000)


def administer(data: str) -> None:
    AdminClient({"log.directory": data}).list_topics()
    kafka.KafkaAdminClient(log_directory=data).list_topics()


@pytest.mark.parametrize(
    "use",
    [produce, produce_in_transaction, consume, send, read, administer],
    ids=lambda f: f.__name__,
)
def test_client_that_is_dropped_is_freed(tmp_path: Path, use: Use) -> None:
    data = str(tmp_path / "data")
    send(data)
    assert_is_freed(lambda: use(data))


def test_message_of_a_producer_that_is_dropped_is_appended(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    confluent_kafka.Producer({"log.directory": data}).produce("t", b"x")
    consume(data)
