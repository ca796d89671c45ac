"""Clients whose methods are coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from pystream.compat import confluent_kafka as ck
from pystream.compat.confluent_kafka import aio
from tests.compat.confluent_clients import SECONDS


def ran(story: Coroutine[Any, Any, Any]) -> Any:
    """Return what a story returns; one that waits for itself fails."""
    return asyncio.run(asyncio.wait_for(story, SECONDS))


def test_clients_of_an_event_loop(place: dict[str, Any]) -> None:
    async def story() -> list[Any]:
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

    assert ran(story()) == [[0, 1, 2], [b"0", b"1", b"2"]]


def test_closing_delivers_what_nobody_waited_for(place: dict[str, Any]) -> None:
    async def story() -> list[int | None]:
        async with aio.AIOProducer(place) as producer:
            futures = [await producer.produce("t", str(number)) for number in range(3)]
        await asyncio.gather(producer.close(), producer.close())
        return [(await future).offset() for future in futures]

    assert ran(story()) == [0, 1, 2]


def test_client_is_closed_twice_at_the_same_time(place: dict[str, Any]) -> None:
    async def story() -> None:
        producer = aio.AIOProducer(place)
        await producer.produce("t", b"v")
        await asyncio.gather(producer.close(), producer.close())

    ran(story())


def test_callbacks_of_a_rebalance_call_their_consumer(place: dict[str, Any]) -> None:
    with ck.Producer(place) as producer:
        for number in range(3):
            producer.produce("t", str(number))
    told: list[Any] = []

    async def assigned(consumer: aio.AIOConsumer, partitions: list[ck.TopicPartition]) -> None:
        told.append(await consumer.assignment() == partitions)
        partitions[0].offset = 2
        await consumer.assign(partitions)

    async def revoked(consumer: aio.AIOConsumer, partitions: list[ck.TopicPartition]) -> None:
        await consumer.commit(asynchronous=False)
        told.append((await consumer.committed(partitions))[0].offset)

    def plain(consumer: aio.AIOConsumer, partitions: list[ck.TopicPartition]) -> None:
        told.append(len(partitions))

    async def story() -> None:
        settings = {**place, "group.id": "g", "auto.offset.reset": "earliest"}
        async with aio.AIOConsumer({**settings, "enable.auto.commit": False}) as consumer:
            await consumer.subscribe(["t"], on_assign=assigned, on_revoke=revoked)
            message = await consumer.poll(SECONDS)
            told.append(message.value())
        async with aio.AIOConsumer(settings) as consumer:
            await consumer.subscribe(["t"], on_assign=plain)
            assert await consumer.poll(0) is None

    ran(story())
    assert told == [True, b"2", 3, 1]


def test_coroutine_hears_of_commits(place: dict[str, Any]) -> None:
    told: list[Any] = []

    async def story() -> None:
        async def committed(error: Any, partitions: list[ck.TopicPartition]) -> None:
            stored = await consumer.committed(partitions)
            told.append((error, [each.offset for each in stored]))

        async with aio.AIOProducer(place) as producer:
            await producer.produce("t", b"v")
        settings = {**place, "group.id": "g", "auto.offset.reset": "earliest"}
        consumer = aio.AIOConsumer({**settings, "on_commit": committed})
        await consumer.subscribe(["t"])
        await consumer.commit(message=await consumer.poll(SECONDS))
        assert told == []
        await consumer.poll(0.2)
        assert told == [(None, [1])]
        await consumer.close()

    ran(story())


def test_error_of_a_callback_is_raised_by_poll(place: dict[str, Any]) -> None:
    with ck.Producer(place) as producer:
        producer.produce("t", b"v")

    async def assigned(consumer: aio.AIOConsumer, partitions: list[ck.TopicPartition]) -> None:
        await consumer.seek(ck.TopicPartition("elsewhere", 7, 0))

    async def story() -> None:
        async with aio.AIOConsumer({**place, "group.id": "g"}) as consumer:
            await consumer.subscribe(["t"], on_assign=assigned)
            with pytest.raises(ck.KafkaException, match="elsewhere"):
                await consumer.poll(SECONDS)

    ran(story())
