"""What do Kafka's names cost per record: `pystream.compat` beside our own interface?

Records of 100 bytes without a key, one partition, ``acks=1``, in one process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import pystream as ps
from bench.side_by_side import measure
from pystream.compat import confluent_kafka, kafka

RECORDS = 300_000
VALUE = b"x" * 100


def _sends(log: ps.Log) -> dict[str, Callable[[], None]]:
    def own() -> None:
        with log.producer() as producer:
            for _ in range(RECORDS):
                producer.send("records", VALUE)

    def confluent() -> None:
        settings = {"log.directory": log.directory, "acks": 1}
        with confluent_kafka.Producer(settings) as producer:
            for _ in range(RECORDS):
                while True:
                    try:
                        producer.produce("records", VALUE)
                        break
                    except BufferError:
                        producer.poll(0.01)

    def python() -> None:
        with kafka.KafkaProducer(log_directory=log.directory, acks=1) as producer:
            for _ in range(RECORDS):
                producer.send("records", VALUE)

    return {"own": own, "confluent_kafka": confluent, "kafka": python}


def _reads(log: ps.Log) -> dict[str, Callable[[], None]]:
    def own() -> None:
        read = 0
        with log.consumer("records", auto_offset_reset="earliest", timeout="0s") as consumer:
            for record in consumer:
                read += len(record.value)
        assert read == RECORDS * len(VALUE)

    def confluent() -> None:
        read = 0
        settings = {"log.directory": log.directory, "group.id": "bench"}
        with confluent_kafka.Consumer({**settings, "enable.auto.commit": False}) as consumer:
            consumer.assign([confluent_kafka.TopicPartition("records", 0, 0)])
            while read < RECORDS * len(VALUE):
                message = consumer.poll(1.0)
                assert message is not None
                read += len(message.value())

    def python() -> None:
        read = 0
        with kafka.KafkaConsumer(
            "records",
            log_directory=log.directory,
            auto_offset_reset="earliest",
            consumer_timeout_ms=0,
        ) as consumer:
            for record in consumer:
                read += len(record.value)
        assert read == RECORDS * len(VALUE)

    return {"own": own, "confluent_kafka": confluent, "kafka": python}


@pytest.mark.parametrize("interface", ["own", "confluent_kafka", "kafka"])
def test_send_one_by_one(benchmark: Any, log: ps.Log, interface: str) -> None:
    log.create_topic("records")
    measure(
        benchmark,
        _sends(log)[interface],
        title=f"send 100 bytes by {interface}, to the end of close()",
        amount=RECORDS / 1e6,
        unit="M records",
        aim="a third of our own",
    )


@pytest.mark.parametrize("interface", ["own", "confluent_kafka", "kafka"])
def test_read_one_by_one(benchmark: Any, log: ps.Log, interface: str) -> None:
    log.create_topic("records")
    with log.producer() as producer:
        producer.send_batch("records", [{"value": VALUE}] * RECORDS)
    measure(
        benchmark,
        _reads(log)[interface],
        title=f"read 100 bytes by {interface}",
        amount=RECORDS / 1e6,
        unit="M records",
        aim="a tenth of our own",
    )
