"""The consumer whose methods are coroutines."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import threading
import time
from datetime import timedelta

import pytest

import pystream as ps
from pystream import TopicPartition, errors
from pystream.log.aio.consumer import ConsumerSettings

FIRST = TopicPartition("t", 0)
SECOND = TopicPartition("t", 1)
LONG = 60.0  # seconds that bound what ends much sooner


@pytest.fixture
def topic(log: ps.Log) -> ps.Topic:
    return log.create_topic("t", {"n": "int64"}, partitions=2)


def send(log: ps.Log, *numbers: int, partition: int = 0) -> None:
    with log.producer() as producer:
        producer.send_batch("t", {"n": list(numbers)}, partition=partition)


async def take(consumer: ps.AsyncConsumer, count: int) -> list[int]:
    found: list[int] = []
    async for record in consumer:
        found.append(record["n"])
        if len(found) == count:
            break
    return found


# A child process has no event loop of its parent's, and only what is made in a thread is started.
NOT_ASYNC, NOT_BLOCKING = {"forget_in_child"}, {"start"}


def test_it_has_the_methods_and_settings_of_the_consumer() -> None:
    def public(kind: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(member).parameters)
            for base in reversed(kind.__mro__)
            for name, member in vars(base).items()
            if not name.startswith("_") and inspect.isfunction(member)
        }

    def properties(kind: type) -> set[str]:
        return {name for name, _ in inspect.getmembers(kind, lambda its: isinstance(its, property))}

    assert properties(ps.AsyncConsumer) == properties(ps.Consumer)
    ours, theirs = public(ps.AsyncConsumer), public(ps.Consumer)
    assert set(theirs) - NOT_ASYNC == set(ours) - NOT_BLOCKING
    for name in set(ours) & set(theirs):
        assert ours[name] == theirs[name], name
    settings = inspect.signature(ps.Consumer).parameters.keys() - {"log", "topics"}
    assert ConsumerSettings.__annotations__.keys() == settings


def test_what_can_be_set_of_the_consumer_can_be_set_of_it() -> None:
    def settable(kind: type) -> set[str]:
        members = inspect.getmembers(kind, lambda its: isinstance(its, property))
        return {name for name, its in members if its.fset is not None}

    assert settable(ps.AsyncConsumer) == settable(ps.Consumer) == {"timeout"}


def test_the_timeout_of_iteration_is_set_between_two_records(log: ps.Log, topic: ps.Topic) -> None:
    async def main() -> None:
        send(log, 1, 2)
        async with log.async_consumer("t", auto_offset_reset="earliest") as consumer:
            assert consumer.timeout is None
            found = []
            async for record in consumer:
                found.append(record["n"])
                consumer.timeout = "0s"
            assert found == [1, 2]
            assert consumer.timeout == timedelta(0)
            with pytest.raises(errors.ConfigError):
                consumer.timeout = "soon"

    asyncio.run(asyncio.wait_for(main(), LONG))


def test_it_knows_what_the_group_calls_it(log: ps.Log, topic: ps.Topic) -> None:
    async def main() -> None:
        async with log.async_consumer("t", group_id="g") as consumer, log.async_consumer() as other:
            (member,) = log.describe_group("g").members
            assert consumer.member_id == member.member_id
            assert other.member_id is None

    asyncio.run(main())


def test_records_batches_and_polls_share_one_position(log: ps.Log, topic: ps.Topic) -> None:
    async def main() -> None:
        send(log, 1, 2, 3)
        async with log.async_consumer("t", auto_offset_reset="earliest") as consumer:
            assert await take(consumer, 1) == [1]
            assert consumer.position(FIRST) == 1
            polled = await consumer.poll(max_records=1)
            assert [record["n"] for record in polled[FIRST]] == [2]
            batch = await anext(consumer.batches())
            assert batch["n"].to_pylist() == [3]
            consumer.seek(FIRST, 0)
            assert await take(consumer, 3) == [1, 2, 3]
            assert await consumer.poll("1ms") == {}
            assert [batch async for batch in consumer.batches("0s")] == []

    asyncio.run(main())


def test_poll_waits_while_the_loop_goes_on(log: ps.Log, topic: ps.Topic) -> None:
    async def main() -> None:
        async with log.async_consumer("t") as consumer:
            task = asyncio.create_task(consumer.poll("60s"))
            for _ in range(20):
                await asyncio.sleep(0)
            assert not task.done()
            await asyncio.to_thread(send, log, 7)
            polled = await asyncio.wait_for(task, LONG)
            assert [record["n"] for record in polled[FIRST]] == [7]

    asyncio.run(main())


def test_cancelled_poll_moves_no_position(log: ps.Log, topic: ps.Topic) -> None:
    async def main() -> None:
        async with log.async_consumer("t", auto_offset_reset="earliest") as consumer:
            for n in range(3):
                task = asyncio.create_task(consumer.poll("60s"))
                for _ in range(10):
                    await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                await asyncio.to_thread(send, log, n)
                assert await take(consumer, 1) == [n]

    asyncio.run(main())


def test_two_members_share_partitions_and_go_on_from_each_other(
    log: ps.Log, topic: ps.Topic
) -> None:
    async def main() -> None:
        send(log, 1, 2)
        send(log, 3, 4, partition=1)
        settings = {"group_id": "g", "auto_offset_reset": "earliest"}
        async with log.async_consumer("t", **settings) as first:
            assert first.assignment() == {FIRST, SECOND}
            second = log.async_consumer("t", **settings)
            await second.start()
            seen: list[int] = []
            deadline = time.monotonic() + LONG
            while len(seen) < 4 or len(second.assignment()) < 1:
                for member in (first, second):
                    for records in (await member.poll("10ms")).values():
                        seen += [record["n"] for record in records]
                assert time.monotonic() < deadline
            assert sorted(seen) == [1, 2, 3, 4]
            assert len(first.assignment()) == len(second.assignment()) == 1
            await first.commit()
            await second.close()
            while len(first.assignment()) < 2:
                assert await first.poll("10ms") == {}
                assert time.monotonic() < deadline
            assert await first.committed(FIRST) == await first.committed(SECOND) == 2

    asyncio.run(main())


def test_callbacks_are_called_in_the_loop_and_may_commit(log: ps.Log, topic: ps.Topic) -> None:
    told: list[tuple[str, list[TopicPartition]]] = []

    async def assigned(consumer: ps.AsyncConsumer, partitions: list[TopicPartition]) -> None:
        assert threading.current_thread() is threading.main_thread()
        assert isinstance(consumer, ps.AsyncConsumer)
        await asyncio.sleep(0)
        told.append(("assigned", partitions))

    async def revoked(consumer: ps.AsyncConsumer, partitions: list[TopicPartition]) -> None:
        await consumer.commit(dict.fromkeys(partitions, 1))
        told.append(("revoked", partitions))

    async def main() -> None:
        send(log, 1, 2)
        send(log, 3, partition=1)
        async with log.async_consumer(group_id="g", enable_auto_commit=False) as consumer:
            await consumer.subscribe("t", on_assign=assigned, on_revoke=revoked)
            assert told == [("assigned", [FIRST, SECOND])]
            assert await consumer.committed(FIRST) is None
        assert told[1:] == [("revoked", [FIRST, SECOND])]

    asyncio.run(main())
    partitions = log.describe_group("g").partitions
    assert {name: its.committed for name, its in partitions.items()} == {FIRST: 1, SECOND: 1}


def test_callback_may_poll_and_close(log: ps.Log, topic: ps.Topic) -> None:
    polled: list[int] = []

    async def assigned(consumer: ps.AsyncConsumer, _: list[TopicPartition]) -> None:
        for records in (await consumer.poll()).values():
            polled.extend(record["n"] for record in records)
        await consumer.close()

    async def main() -> None:
        send(log, 1, 2)
        consumer = log.async_consumer(group_id="g", auto_offset_reset="earliest")
        await consumer.start()
        await consumer.subscribe("t", on_assign=assigned)
        with pytest.raises(errors.ClosedError):
            await consumer.poll()

    asyncio.run(main())
    assert polled == [1, 2]
    assert log.describe_group("g").members == []


def test_what_a_callback_raises_comes_to_the_caller(log: ps.Log, topic: ps.Topic) -> None:
    def assigned(*_: object) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        async with log.async_consumer(group_id="g") as consumer:
            with pytest.raises(ZeroDivisionError):
                await consumer.subscribe("t", on_assign=assigned)
            assert consumer.assignment() == set()

    asyncio.run(main())


def test_other_tasks_commit_and_move_while_one_waits(log: ps.Log, topic: ps.Topic) -> None:
    async def main() -> None:
        send(log, 1, 2)
        settings = {"group_id": "g", "auto_offset_reset": "earliest", "enable_auto_commit": False}
        async with log.async_consumer("t", **settings) as consumer:
            assert await take(consumer, 2) == [1, 2]
            task = asyncio.create_task(consumer.poll("60s"))
            await asyncio.sleep(0)
            await consumer.commit()
            assert await consumer.committed(FIRST) == 2
            assert await consumer.end_offsets([FIRST, SECOND]) == {FIRST: 2, SECOND: 0}
            assert await consumer.beginning_offsets([FIRST]) == {FIRST: 0}
            assert not task.done()
            consumer.seek_to_beginning(FIRST)
            polled = await asyncio.wait_for(task, LONG)
            assert [record["n"] for record in polled[FIRST]] == [1, 2]

    asyncio.run(main())


def test_closing_ends_the_wait_of_another_task(log: ps.Log, topic: ps.Topic) -> None:
    async def main() -> None:
        for settings in ({}, {"group_id": "g"}):
            consumer = log.async_consumer("t", **settings)
            await consumer.start()
            task = asyncio.create_task(consumer.poll("60s"))
            await asyncio.sleep(0.01)
            await consumer.close()
            with pytest.raises(errors.ClosedError):
                await asyncio.wait_for(task, LONG)
            await consumer.close()

    asyncio.run(main())


def test_block_that_is_left_by_an_error_commits_nothing(log: ps.Log, topic: ps.Topic) -> None:
    async def main(fails: bool) -> None:
        settings = {"group_id": "g", "auto_offset_reset": "earliest"}
        async with log.async_consumer("t", **settings) as consumer:
            assert await take(consumer, 1) == [1]
            if fails:
                raise ZeroDivisionError

    send(log, 1, 2)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(main(fails=True))
    assert log.describe_group("g").partitions == {}
    asyncio.run(main(fails=False))
    assert log.describe_group("g").partitions[FIRST].committed == 1


def test_assigned_partitions_are_paused_and_resumed(log: ps.Log, topic: ps.Topic) -> None:
    async def main() -> None:
        send(log, 1)
        send(log, 2, partition=1)
        async with log.async_consumer(auto_offset_reset="earliest") as consumer:
            await consumer.assign([FIRST, SECOND])
            assert consumer.subscription() == set()
            consumer.pause(FIRST)
            assert consumer.paused() == {FIRST}
            assert list(await consumer.poll()) == [SECOND]
            consumer.resume(FIRST)
            assert list(await consumer.poll()) == [FIRST]
            consumer.seek_to_end()
            assert consumer.metrics()["consumer-fetch-manager-metrics"]
            assert consumer.skipped_records == []
            await consumer.unsubscribe()
            assert consumer.assignment() == set()

    asyncio.run(main())


def test_consumer_that_was_not_started_says_so(log: ps.Log, topic: ps.Topic) -> None:
    async def main() -> None:
        consumer = log.async_consumer("t")
        assert repr(consumer) == "<AsyncConsumer: not started>"
        with pytest.raises(errors.ClientError, match="was not started"):
            await consumer.poll()
        with pytest.raises(errors.UnknownTopicError):
            await log.async_consumer("nothing").start()
        with pytest.raises(errors.ConfigError, match="max_records is 0"):
            async with consumer:
                await consumer.poll(max_records=0)

    asyncio.run(main())


def test_consumer_that_is_dropped_leaves_its_group(log: ps.Log, topic: ps.Topic) -> None:
    async def main() -> None:
        consumer = log.async_consumer(group_id="g")
        await consumer.start()
        await consumer.subscribe("t", on_assign=lambda *_: None)
        assert len(log.describe_group("g").members) == 1
        del consumer
        async with log.async_consumer("t", group_id="g") as other:
            assert other.assignment() == {FIRST, SECOND}

    asyncio.run(main())


def test_records_are_found_by_time(log: ps.Log, topic: ps.Topic) -> None:
    async def main() -> None:
        with log.producer() as producer:
            for n in range(5):
                producer.send("t", {"n": n}, partition=0, timestamp=1000 * n)
        async with log.async_consumer("t", auto_offset_reset="earliest") as consumer:
            found = await consumer.offsets_for_times({FIRST: 2500, SECOND: 0})
            assert found == {FIRST: (3, 3000), SECOND: None}
            await consumer.seek_to_timestamp(3500, FIRST)
            assert await take(consumer, 1) == [4]

    asyncio.run(main())


def test_forked_child_is_told_that_the_consumer_is_the_parents(
    log: ps.Log, topic: ps.Topic
) -> None:
    async def begin() -> ps.AsyncConsumer:
        consumer = log.async_consumer("t", group_id="g")
        await consumer.start()
        return consumer

    async def use_and_close(consumer: ps.AsyncConsumer) -> None:
        with pytest.raises(errors.LogError, match="before a fork"):
            await consumer.commit()
        await consumer.close()

    consumer = asyncio.run(begin())
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(int(LONG))  # ends a child that hangs
        status = 1
        try:
            asyncio.run(use_and_close(consumer))
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(log.describe_group("g").members) == 1
    asyncio.run(consumer.close())
