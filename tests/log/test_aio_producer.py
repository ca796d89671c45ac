"""The producer whose methods are coroutines."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import pystream as ps
from pystream import errors
from pystream.log.aio.producer import ProducerSettings
from pystream.log.producer_topics import ProducerTopics
from pystream.types import BatchMetadata

LONG = 60.0  # seconds that bound what ends much sooner


@pytest.fixture
def topic(log: ps.Log) -> ps.Topic:
    return log.create_topic("t", {"n": "int64", "text": "string"})


@pytest.fixture
def may_append(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Let producers append nothing before it is set."""
    event, check = threading.Event(), ProducerTopics.check

    def wait_and_check(topics: ProducerTopics, *what: Any) -> None:
        assert event.wait(LONG)
        check(topics, *what)

    monkeypatch.setattr(ProducerTopics, "check", wait_and_check)
    return event


def stored(log: ps.Log) -> list[int]:
    with log.consumer("t", auto_offset_reset="earliest", timeout="0s") as consumer:
        return [record["n"] for record in consumer]


# A child process has no event loop of its parent's, and only what is made in a thread is started.
NOT_ASYNC, NOT_BLOCKING = {"forget_in_child"}, {"start"}


def test_it_has_the_methods_and_settings_of_the_producer() -> None:
    def public(kind: type) -> dict[str, inspect.Signature]:
        return {
            name: inspect.signature(member)
            for base in kind.__mro__
            for name, member in vars(base).items()
            if not name.startswith("_") and inspect.isfunction(member)
        }

    ours, theirs = public(ps.AsyncProducer), public(ps.Producer)
    assert set(theirs) - NOT_ASYNC == set(ours) - NOT_BLOCKING

    def properties(kind: type) -> set[str]:
        return {name for name, _ in inspect.getmembers(kind, lambda its: isinstance(its, property))}

    assert properties(ps.AsyncProducer) == properties(ps.Producer)
    for name in set(ours) & set(theirs):
        assert ours[name].parameters == theirs[name].parameters, name
    settings = inspect.signature(ps.Producer).parameters.keys() - {"log"}
    assert ProducerSettings.__annotations__.keys() == settings


def test_it_is_full_when_the_buffer_is_in_use(log: ps.Log, topic: ps.Topic) -> None:
    async def main() -> list[bool]:
        async with log.async_producer(linger="1h", buffer_memory=1) as producer:
            seen = [producer.is_full]
            await producer.send("t", {"n": 1})
            seen.append(producer.is_full)
            await producer.flush()
            return [*seen, producer.is_full]

    assert asyncio.run(main()) == [False, True, False]


def test_sent_records_are_in_the_log_when_their_delivery_is_awaited(
    log: ps.Log, topic: ps.Topic
) -> None:
    async def main() -> list[int]:
        async with log.async_producer() as producer:
            deliveries = [await producer.send("t", {"n": n}) for n in range(5)]
            return [(await delivery).offset for delivery in deliveries]

    assert asyncio.run(main()) == list(range(5))
    assert stored(log) == list(range(5))


def test_tasks_that_send_at_once_keep_the_order_of_their_calls(
    log: ps.Log, topic: ps.Topic
) -> None:
    async def main() -> None:
        async with log.async_producer() as producer:
            await asyncio.gather(*(producer.send("t", {"n": n}) for n in range(50)))
            await producer.flush()
            assert stored(log) == list(range(50))
            (batch,) = await producer.send_batch("t", {"n": [50, 51]})
            assert (batch.base_offset, batch.record_count) == (50, 2)

    asyncio.run(main())


def test_no_call_overtakes_one_that_waits_for_its_turn(log: ps.Log, topic: ps.Topic) -> None:
    log.create_topic("other")

    async def main() -> None:
        async with log.async_producer() as producer:
            await producer.send("t", {"n": 0})

            async def one_after_another() -> None:
                await producer.send("other", b"x")  # looks the topic up, in the thread
                await producer.send("t", {"n": 2})

            await asyncio.gather(one_after_another(), producer.send("t", {"n": 1}))

    asyncio.run(main())
    assert stored(log) == [0, 1, 2]


def test_full_buffer_lets_the_loop_go_on(
    log: ps.Log, topic: ps.Topic, may_append: threading.Event
) -> None:
    async def main() -> None:
        text = "x" * 1000
        async with log.async_producer(buffer_memory="8KiB", batch_size="1KiB") as producer:

            async def fill() -> None:
                for n in range(30):
                    await producer.send("t", {"n": n, "text": text})

            task = asyncio.create_task(fill())
            begin = time.monotonic()
            while not producer._worker.is_busy:
                await asyncio.sleep(0.001)
                assert time.monotonic() < begin + LONG
            assert not task.done()  # it waits, and here is the loop
            may_append.set()
            await asyncio.wait_for(task, LONG)

    asyncio.run(main())
    assert stored(log) == list(range(30))


def test_buffer_that_stays_full_is_an_error(
    log: ps.Log, topic: ps.Topic, may_append: threading.Event
) -> None:
    async def main() -> None:
        settings = {"buffer_memory": "4KiB", "batch_size": "1KiB", "max_block": "20ms"}
        async with log.async_producer(**settings) as producer:

            async def fill() -> None:
                for n in range(30):
                    await producer.send("t", {"n": n, "text": "x" * 1000})

            with pytest.raises(errors.BufferFullError, match="no space within max_block"):
                await fill()
            may_append.set()

    asyncio.run(main())


def test_errors_are_those_of_the_producer(log: ps.Log, topic: ps.Topic) -> None:
    async def main() -> None:
        async with log.async_producer() as producer:
            with pytest.raises(errors.UnknownTopicError):
                await producer.send("nothing", {"n": 1})
            with pytest.raises(errors.SchemaError):
                await producer.send("t", {"n": "text"})
            await producer.send("t", {"n": 1})
            with pytest.raises(errors.SchemaError):
                await producer.send("t", {"m": 1})
        with pytest.raises(errors.ClosedError):
            await producer.send("t", {"n": 2})
        assert producer.is_closed
        await producer.close()

    asyncio.run(main())
    assert stored(log) == [1]


def test_wrong_settings_are_named_by_start(log: ps.Log) -> None:
    async def main() -> None:
        with pytest.raises(errors.ConfigError, match="acks is 'some'"):
            await log.async_producer(acks="some").start()
        with pytest.raises(errors.ConfigError, match="Did you mean linger"):
            await log.async_producer(lingers="1s").start()  # type: ignore[call-arg]

    asyncio.run(main())


def test_producer_that_was_not_started_says_so(log: ps.Log, topic: ps.Topic) -> None:
    async def main() -> None:
        producer = log.async_producer()
        assert repr(producer) == "<AsyncProducer: not started>"
        with pytest.raises(errors.ClientError, match="was not started"):
            await producer.send("t", {"n": 1})
        await producer.close()
        assert not producer.is_closed

    asyncio.run(main())


def test_producer_with_a_name_goes_on(log: ps.Log, topic: ps.Topic) -> None:
    async def main() -> int:
        for _ in range(2):
            async with log.async_producer(producer_name="loader") as producer:
                assert producer.producer_name == "loader"
                for n in range(await producer.last_sequence_id("t") + 1, 4):
                    await producer.send("t", {"n": n}, sequence_id=n)
                await producer.flush()
        return await producer_last(log)

    async def producer_last(log: ps.Log) -> int:
        async with log.async_producer(producer_name="loader") as producer:
            return await producer.last_sequence_id("t")

    assert asyncio.run(main()) == 3
    assert stored(log) == [0, 1, 2, 3]


def test_flush_lets_others_send_meanwhile(
    log: ps.Log, topic: ps.Topic, may_append: threading.Event
) -> None:
    async def main() -> None:
        async with log.async_producer() as producer:
            await producer.send("t", {"n": 0})
            flushing = asyncio.create_task(producer.flush())
            await asyncio.sleep(0.01)
            await asyncio.wait_for(producer.send("t", {"n": 1}), LONG)
            assert not flushing.done()
            may_append.set()
            await asyncio.wait_for(flushing, LONG)

    asyncio.run(main())
    assert stored(log) == [0, 1]


def test_read_only_log_has_no_producer(tmp_path: Path, log: ps.Log) -> None:
    with (
        ps.open(log.directory, read_only=True) as reader,
        pytest.raises(errors.StreamError, match="read_only"),
    ):
        reader.async_producer()


def test_transactions_are_whole_or_absent(log: ps.Log, topic: ps.Topic) -> None:
    log.create_topic("out", {"n": "int64"})

    async def fail_in_the_middle(producer: ps.AsyncProducer) -> None:
        async with producer.transaction():
            await producer.send("out", {"n": -1})
            raise ZeroDivisionError

    async def main() -> None:
        with log.producer() as plain:
            plain.send_batch("t", {"n": [1, 2, 3]})
        async with (
            log.async_producer(transactional_id="copy") as producer,
            log.async_consumer(
                "t", group_id="g", auto_offset_reset="earliest", enable_auto_commit=False
            ) as consumer,
        ):
            await producer.init_transactions()
            with pytest.raises(ZeroDivisionError):
                await fail_in_the_middle(producer)
            async for record in consumer:
                async with producer.transaction():
                    await producer.send("out", {"n": 10 * record["n"]})
                    place = ps.TopicPartition("t", 0)
                    await producer.send_offsets_to_transaction(
                        {place: consumer.position(place)},
                        await consumer.consumer_group_metadata(),
                    )
                if record["n"] == 3:
                    break
            await producer.begin_transaction()
            await producer.send("out", {"n": -2})
            await producer.abort_transaction()
            await producer.begin_transaction()
            await producer.send("out", {"n": 40})
            await producer.commit_transaction()
            assert await consumer.committed(place) == 3

    asyncio.run(main())
    with log.consumer("out", auto_offset_reset="earliest", timeout="0s") as consumer:
        assert [record["n"] for record in consumer] == [10, 20, 30, 40]


def test_metadata_that_nobody_awaited_is_named(log: ps.Log, topic: ps.Topic) -> None:
    async def main() -> None:
        async with (
            log.async_producer(transactional_id="copy") as producer,
            log.async_consumer("t", group_id="g") as consumer,
            producer.transaction(),
        ):
            group = consumer.consumer_group_metadata()
            with pytest.raises(errors.ConfigError, match=r"Pass what `await consumer\.consumer_g"):
                await producer.send_offsets_to_transaction({("t", 0): 0}, group)  # type: ignore[arg-type]
            group.close()

    asyncio.run(main())


def test_block_whose_task_is_cancelled_at_its_end_leaves_no_open_transaction(
    log: ps.Log, topic: ps.Topic, may_append: threading.Event
) -> None:
    async def main() -> None:
        async with log.async_producer(transactional_id="t") as producer:
            at_the_end = asyncio.Event()

            async def send_one() -> None:
                async with producer.transaction():
                    await producer.send("t", {"n": 1})
                    tables.append(asyncio.create_task(producer.send_batch("t", {"n": [2]})))
                    await asyncio.sleep(0)  # the table has its turn
                    at_the_end.set()

            tables: list[asyncio.Task[list[BatchMetadata]]] = []
            task = asyncio.create_task(send_one())
            await at_the_end.wait()
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.sleep(0)
            may_append.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            await tables[0]
            assert stored(log) == [1, 2]
            await producer.begin_transaction()
            await producer.abort_transaction()

    asyncio.run(main())


def test_block_whose_task_is_cancelled_while_it_begins_leaves_no_open_transaction(
    log: ps.Log, topic: ps.Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_beginning, may_begin = threading.Event(), threading.Event()
    begin = ps.Producer.begin_transaction

    def wait_and_begin(producer: ps.Producer) -> None:
        is_beginning.set()
        assert may_begin.wait(LONG)
        begin(producer)

    monkeypatch.setattr(ps.Producer, "begin_transaction", wait_and_begin)

    async def main() -> None:
        async with log.async_producer(transactional_id="t") as producer:

            async def do_nothing() -> None:
                async with producer.transaction():
                    pass

            task = asyncio.create_task(do_nothing())
            await asyncio.to_thread(is_beginning.wait, LONG)
            task.cancel()
            await asyncio.sleep(0)
            may_begin.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            await producer.begin_transaction()
            await producer.abort_transaction()

    asyncio.run(main())
