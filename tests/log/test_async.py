"""`async for` over records and batches, and deliveries that are awaited."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import pystream as ps
from pystream import TopicPartition, errors

FIRST = TopicPartition("t", 0)
SECOND = TopicPartition("t", 1)
LONG = 60.0  # seconds that bound what ends much sooner


@pytest.fixture
def topic(log: ps.Log) -> ps.Topic:
    return log.create_topic("t", {"n": "int64"}, partitions=2)


def send(log: ps.Log, *numbers: int, partition: int = 0) -> None:
    with log.producer() as producer:
        producer.send_batch("t", {"n": list(numbers)}, partition=partition)


async def numbers(consumer: ps.Consumer, count: int) -> list[int]:
    """Return the next records' numbers."""
    found: list[int] = []
    async for record in consumer:
        found.append(record["n"])
        if len(found) == count:
            break
    return found


async def wait_until_it_waits(task: asyncio.Task[object]) -> None:
    """Give the loop turns until nothing is ready but the wait itself."""
    for _ in range(10):
        await asyncio.sleep(0)
    assert not task.done()


def test_records_and_batches_come_as_they_are_appended(log: ps.Log, topic: ps.Topic) -> None:
    async def main() -> None:
        with log.consumer("t", auto_offset_reset="earliest") as consumer:
            send(log, 1, 2)
            assert await numbers(consumer, 2) == [1, 2]
            task = asyncio.create_task(numbers(consumer, 3))
            await wait_until_it_waits(task)
            send(log, 3)
            send(log, 4, 5, partition=1)
            assert await asyncio.wait_for(task, LONG) == [3, 4, 5]
            send(log, 6, 7)
            batch = await anext(consumer.batches())
            assert (batch.partition, batch.base_offset, batch["n"].to_pylist()) == (0, 3, [6, 7])

    asyncio.run(main())


def test_same_iterator_serves_both_protocols(log: ps.Log, topic: ps.Topic) -> None:
    send(log, 1, 2)
    send(log, 3)
    send(log, 4)
    with log.consumer("t", auto_offset_reset="earliest", timeout="0s") as consumer:
        batches = consumer.batches()
        assert next(batches)["n"].to_pylist() == [1, 2]

        async def rest() -> list[list[int]]:
            return [batch["n"].to_pylist() async for batch in batches]

        assert asyncio.run(rest()) == [[3], [4]]
        assert list(batches) == []
        consumer.seek_to_beginning()
        assert [record["n"] for record in consumer] == [1, 2, 3, 4]


def test_timeout_ends_the_iteration(log: ps.Log, topic: ps.Topic) -> None:
    async def main() -> None:
        with log.consumer("t", auto_offset_reset="earliest", timeout="20ms") as consumer:
            send(log, 1)
            assert [record["n"] async for record in consumer] == [1]
            assert [batch async for batch in consumer.batches()] == []
            assert [batch async for batch in consumer.batches(timeout="0s")] == []

    asyncio.run(main())


def test_position_is_behind_what_was_handed_out(log: ps.Log, topic: ps.Topic) -> None:
    async def main() -> None:
        send(log, 1, 2, 3)
        with log.consumer("t", auto_offset_reset="earliest") as consumer:
            assert await numbers(consumer, 2) == [1, 2]
            assert consumer.position(FIRST) == 2
            assert await numbers(consumer, 1) == [3]
            consumer.seek(FIRST, 0)
            async for batch in consumer.batches(max_records=2):
                assert batch["n"].to_pylist() == [1, 2]
                assert consumer.position(FIRST) == 2
                break

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["records", "batches"])
def test_cancelling_a_wait_moves_nothing_and_the_iterator_goes_on(
    log: ps.Log, topic: ps.Topic, kind: str
) -> None:
    async def main() -> None:
        with log.consumer("t") as consumer:
            iterator = aiter(consumer) if kind == "records" else consumer.batches()
            for n in range(3):
                task = asyncio.ensure_future(anext(iterator))
                await wait_until_it_waits(task)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert consumer.position(FIRST) == n
                send(log, n)
                await asyncio.wait_for(anext(iterator), LONG)
                assert consumer.position(FIRST) == n + 1
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(iterator), 0.01)
            send(log, 3)
            await asyncio.wait_for(anext(iterator), LONG)
            assert consumer.position(FIRST) == 4

    asyncio.run(main())


def test_cancelling_between_two_batches_loses_none(log: ps.Log, topic: ps.Topic) -> None:
    """The loop has a turn before a batch is taken, so a task can be cancelled there."""
    for n in range(50):
        send(log, n)

    async def main() -> None:
        found: list[int] = []

        async def consume() -> None:
            async for record in consumer:
                found.append(record["n"])

        with log.consumer("t", auto_offset_reset="earliest") as consumer:
            while len(found) < 50:
                task = asyncio.create_task(consume())
                for _ in range(3):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                assert consumer.position(FIRST) == len(found)
        assert found == list(range(50))

    asyncio.run(main())


def test_long_history_leaves_the_loop_its_turns(log: ps.Log, topic: ps.Topic) -> None:
    for n in range(20):
        send(log, n)

    async def main() -> None:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        with log.consumer("t", auto_offset_reset="earliest", timeout="0s") as consumer:
            assert len([batch async for batch in consumer.batches()]) == 20
        counting.cancel()
        assert turns >= 19

    asyncio.run(main())


def test_many_consumers_in_one_loop_share_one_thread(log: ps.Log, topic: ps.Topic) -> None:
    async def main() -> None:
        consumers = [log.consumer("t") for _ in range(200)]
        tasks = [asyncio.create_task(numbers(consumer, 1)) for consumer in consumers]
        await wait_until_it_waits(tasks[-1])
        assert len(list(Path("/proc/self/task").iterdir())) <= before + 2
        send(log, 7, partition=1)
        assert await asyncio.wait_for(asyncio.gather(*tasks), LONG) == [[7]] * 200
        for consumer in consumers:
            consumer.close()

    before = len(list(Path("/proc/self/task").iterdir()))
    asyncio.run(main())


def test_consumer_survives_a_change_of_loops(log: ps.Log, topic: ps.Topic) -> None:
    with log.consumer("t") as consumer:

        async def wait_and_fail() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(numbers(consumer, 1), 0.01)

        async def wait_for(number: int) -> list[int]:
            task = asyncio.create_task(numbers(consumer, 1))
            await wait_until_it_waits(task)
            send(log, number)
            return await asyncio.wait_for(task, LONG)

        asyncio.run(wait_and_fail())
        assert asyncio.run(wait_for(1)) == [1]
        asyncio.run(wait_and_fail())
        send(log, 2)
        assert next(iter(consumer))["n"] == 2
        assert asyncio.run(wait_for(3)) == [3]


def test_loop_that_ends_during_a_wait_leaves_nothing(log: ps.Log, topic: ps.Topic) -> None:
    with log.consumer("t") as consumer:

        async def abandon() -> None:
            task = asyncio.create_task(numbers(consumer, 1))
            await wait_until_it_waits(task)

        asyncio.run(abandon())
        send(log, 1)
        assert next(iter(consumer))["n"] == 1


def test_closing_ends_a_wait(log: ps.Log, topic: ps.Topic) -> None:
    async def main() -> None:
        for close in ("consumer", "log"):
            consumer = log.consumer("t")
            task = asyncio.create_task(numbers(consumer, 1))
            await wait_until_it_waits(task)
            (consumer if close == "consumer" else log).close()
            with pytest.raises(errors.ClosedError):
                await asyncio.wait_for(task, LONG)

    asyncio.run(main())


def test_pause_resume_and_seek_take_effect_during_a_wait(log: ps.Log, topic: ps.Topic) -> None:
    async def main() -> None:
        send(log, 1, partition=0)
        with log.consumer("t", auto_offset_reset="earliest") as consumer:
            consumer.pause(FIRST, SECOND)
            task = asyncio.create_task(numbers(consumer, 1))
            await wait_until_it_waits(task)
            consumer.resume(FIRST)
            assert await asyncio.wait_for(task, LONG) == [1]
            task = asyncio.create_task(numbers(consumer, 1))
            await wait_until_it_waits(task)
            consumer.seek_to_beginning(FIRST)
            assert await asyncio.wait_for(task, LONG) == [1]
            task = asyncio.create_task(numbers(consumer, 1))
            await wait_until_it_waits(task)
            consumer.pause(FIRST)
            send(log, 2, partition=0)
            send(log, 3, partition=1)
            await wait_until_it_waits(task)
            consumer.resume(SECOND)
            assert await asyncio.wait_for(task, LONG) == [3]

    asyncio.run(main())


def test_second_task_on_one_consumer_is_refused(log: ps.Log, topic: ps.Topic) -> None:
    async def main() -> None:
        with log.consumer("t") as consumer:
            task = asyncio.create_task(numbers(consumer, 1))
            await wait_until_it_waits(task)
            with pytest.raises(errors.ClientError, match="another task"):
                await numbers(consumer, 1)
            send(log, 1)
            assert await asyncio.wait_for(task, LONG) == [1]

    asyncio.run(main())


def test_error_of_the_log_comes_out_of_the_iteration(log: ps.Log, topic: ps.Topic) -> None:
    async def main() -> None:
        consumer = log.consumer("t")
        consumer.close()
        with pytest.raises(errors.ClosedError):
            await numbers(consumer, 1)
        with pytest.raises(errors.ClosedError):
            await anext(consumer.batches())

    asyncio.run(main())


WRITER = """
import sys, time, pystream as ps
with ps.open(sys.argv[1]) as log, log.producer(linger="0s") as producer:
    for line in sys.stdin:
        producer.send("t", {"n": time.monotonic_ns()}, partition=1)
"""


def test_append_of_another_process_wakes_within_milliseconds(log: ps.Log, topic: ps.Topic) -> None:
    """The median, because other work on this machine delays single wakes."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, log.directory], stdin=subprocess.PIPE, text=True
    )
    assert writer.stdin is not None

    async def main() -> list[float]:
        delays = []
        with log.consumer("t") as consumer:
            for _ in range(40):
                task = asyncio.create_task(numbers(consumer, 1))
                await wait_until_it_waits(task)
                assert writer.stdin is not None
                writer.stdin.write("go\n")
                writer.stdin.flush()
                (sent_ns,) = await asyncio.wait_for(task, LONG)
                delays.append((time.monotonic_ns() - sent_ns) / 1e6)
        return delays

    try:
        delays = asyncio.run(main())
    finally:
        writer.stdin.close()
        assert writer.wait(LONG) == 0
    assert statistics.median(delays) < 20


def test_waiting_costs_no_processor_time(log: ps.Log, topic: ps.Topic) -> None:
    async def main() -> float:
        with log.consumer("t", timeout="500ms") as consumer:
            began = time.process_time()
            assert [record async for record in consumer] == []
            return time.process_time() - began

    assert asyncio.run(main()) < 0.05


# -- deliveries ------------------------------------------------------------------------------------


def test_delivery_can_be_awaited(log: ps.Log, topic: ps.Topic) -> None:
    async def main() -> None:
        with log.producer() as producer:
            sent = [producer.send("t", {"n": n}, partition=0) for n in range(3)]
            assert [(await delivery).offset for delivery in sent] == [0, 1, 2]
            assert (await sent[0]).offset == 0
            metadata = await producer.send("t", {"n": 3}, partition=1)
            assert (metadata.partition, metadata.offset) == (1, 0)

    asyncio.run(main())


def test_awaited_delivery_raises_what_failed(log: ps.Log, topic: ps.Topic) -> None:
    async def main() -> None:
        producer = log.producer(linger="1h")
        delivery = producer.send("t", {"n": 1})
        log.delete_topic("t")
        task = asyncio.ensure_future(delivery)
        with pytest.raises(errors.UnknownTopicError):
            await asyncio.to_thread(producer.flush)
        with pytest.raises(errors.UnknownTopicError):
            await task
        producer.close()

    asyncio.run(main())


def test_awaiting_a_delivery_may_be_cancelled_and_its_loop_may_end(
    log: ps.Log, topic: ps.Topic, caplog: pytest.LogCaptureFixture
) -> None:
    with log.producer(linger="1h") as producer:
        delivery = producer.send("t", {"n": 1})

        async def give_up() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.ensure_future(delivery), 0.01)

        asyncio.run(give_up())
        producer.flush()
        assert delivery.result().offset == 0
    assert caplog.records == []


def test_many_tasks_await_deliveries_while_the_loop_runs(log: ps.Log, topic: ps.Topic) -> None:
    async def one(producer: ps.Producer, n: int) -> tuple[int, int]:
        metadata = await producer.send("t", {"n": n})
        return metadata.partition, metadata.offset

    async def main() -> None:
        with log.producer(linger="1ms") as producer:
            places = await asyncio.gather(*(one(producer, n) for n in range(500)))
        assert len(set(places)) == 500

    asyncio.run(main())


def test_wait_in_a_thread_ends_when_another_resumes(log: ps.Log, topic: ps.Topic) -> None:
    """Without an event loop: `pause` and `resume` are seen at once by a thread that waits."""
    send(log, 1)
    with log.consumer("t", auto_offset_reset="earliest", timeout="60s") as consumer:
        consumer.pause(FIRST, SECOND)
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(next(iter(consumer))["n"]))
        thread.start()
        consumer.resume(FIRST)
        thread.join(LONG)
        assert found == [1]


@pytest.mark.parametrize("attempt", range(20))
def test_wait_in_a_thread_ends_when_another_closes(
    log: ps.Log, topic: ps.Topic, attempt: int
) -> None:
    """Wherever the thread is when it happens, also right before it waits."""
    consumer = log.consumer("t")
    raised: list[type[BaseException]] = []

    def wait() -> None:
        try:
            next(iter(consumer))
        except errors.ClosedError as error:
            raised.append(type(error))

    thread = threading.Thread(target=wait)
    thread.start()
    consumer.close()
    thread.join(LONG)
    assert raised == [errors.ClosedError]
