"""Clients whose methods are coroutines."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pystream.compat.confluent_kafka import aio
from tests.compat.confluent_clients import SECONDS


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
