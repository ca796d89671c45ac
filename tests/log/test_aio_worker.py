"""A thread that makes the calls of an event loop, one after another."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from pystream.log.aio.worker import Worker

LONG = 60.0  # seconds that bound what ends much sooner


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker("test-worker")
    yield made
    made.close()


def test_calls_are_made_in_order_by_one_thread_and_not_the_loops(worker: Worker) -> None:
    made: list[tuple[int, int]] = []

    def call(number: int) -> int:
        made.append((number, threading.get_ident()))
        return number

    async def main() -> list[int]:
        return await asyncio.gather(*(worker.run(lambda n=n: call(n)) for n in range(20)))

    assert asyncio.run(main()) == list(range(20))
    assert [number for number, _ in made] == list(range(20))
    assert len({thread for _, thread in made} | {threading.get_ident()}) == 2


def test_errors_come_to_who_asked_and_the_next_call_is_made(worker: Worker) -> None:
    async def main() -> int:
        with pytest.raises(ZeroDivisionError):
            await worker.run(lambda: 1 // 0)
        return await worker.run(lambda: 1)

    assert asyncio.run(main()) == 1


def test_cancelled_task_waits_for_its_call_and_others_for_their_turn(worker: Worker) -> None:
    may_end = threading.Event()
    began = threading.Event()
    steps: list[str] = []

    def slow() -> None:
        began.set()
        assert may_end.wait(LONG)
        steps.append("slow")

    async def main() -> None:
        task = asyncio.create_task(worker.run(slow))
        await asyncio.to_thread(began.wait, LONG)
        other = asyncio.create_task(worker.run(lambda: steps.append("other")))
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        assert not task.done()
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        await other

    asyncio.run(main())
    assert steps == ["slow", "other"]


def test_what_ends_something_is_done_also_when_cancelled_before_its_turn(worker: Worker) -> None:
    may_end = threading.Event()
    steps: list[str] = []

    async def main() -> None:
        slow = asyncio.create_task(worker.run(lambda: may_end.wait(LONG)))
        await asyncio.sleep(0)
        ending = asyncio.create_task(worker.end(lambda: steps.append("ended")))
        for _ in range(3):
            await asyncio.sleep(0)
            ending.cancel()
        other = asyncio.create_task(worker.run(lambda: steps.append("other")))
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await ending
        await asyncio.gather(slow, other)
        assert not worker.is_busy

    asyncio.run(main())
    assert sorted(steps) == ["ended", "other"]


def test_callback_runs_in_the_loop_and_may_ask_for_calls(worker: Worker) -> None:
    async def callback(number: int) -> int:
        assert threading.current_thread() is threading.main_thread()
        return 10 * await worker.run(lambda: number + 1)

    async def main() -> object:
        return await worker.run(lambda: worker.call_back(callback, 1))

    assert asyncio.run(main()) == 20


def test_callback_of_a_callback_may_ask_for_calls(worker: Worker) -> None:
    async def inner() -> int:
        return await worker.run(lambda: 3)

    async def outer() -> object:
        return await worker.run(lambda: worker.call_back(inner))

    async def main() -> object:
        return await worker.run(lambda: worker.call_back(outer))

    assert asyncio.run(main()) == 3


def test_plain_function_as_callback_runs_in_the_loop(worker: Worker) -> None:
    threads: list[threading.Thread] = []

    async def main() -> None:
        await worker.run(
            lambda: worker.call_back(lambda: threads.append(threading.current_thread()))
        )

    asyncio.run(main())
    assert threads == [threading.main_thread()]


def test_what_a_callback_raises_comes_out_of_the_call(worker: Worker) -> None:
    async def callback() -> None:
        await worker.run(lambda: 1 // 0)

    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            await worker.run(lambda: worker.call_back(callback))
        assert not worker.is_busy

    asyncio.run(main())


def test_task_that_a_callback_leaves_behind_has_its_turn_later(worker: Worker) -> None:
    left: list[asyncio.Task[int]] = []

    async def later() -> int:
        await asyncio.sleep(0.01)
        return await worker.run(lambda: 7)

    async def callback() -> None:
        left.append(asyncio.create_task(later()))

    async def main() -> int:
        await worker.run(lambda: worker.call_back(callback))
        return await left[0]

    assert asyncio.run(main()) == 7


def test_cancelling_a_task_cancels_the_callback_it_waits_for(worker: Worker) -> None:
    steps: list[str] = []

    async def callback(began: asyncio.Event) -> None:
        began.set()
        try:
            await asyncio.sleep(LONG)
        finally:
            steps.append("callback ended")

    async def main() -> None:
        began = asyncio.Event()
        task = asyncio.create_task(worker.run(lambda: worker.call_back(callback, began)))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await worker.run(lambda: 1) == 1

    asyncio.run(main())
    assert steps == ["callback ended"]


def test_cancelling_a_task_cancels_the_callback_around_one_that_has_ended(worker: Worker) -> None:
    async def outer(inner_ended: asyncio.Event) -> None:
        await worker.run(lambda: worker.call_back(lambda: None))
        inner_ended.set()
        await asyncio.Event().wait()

    async def main() -> None:
        inner_ended = asyncio.Event()
        task = asyncio.create_task(worker.run(lambda: worker.call_back(outer, inner_ended)))
        await inner_ended.wait()
        callback = next(
            its for its in asyncio.all_tasks() if its not in (task, asyncio.current_task())
        )
        task.cancel()
        _, pending = await asyncio.wait([task], timeout=LONG)
        callback.cancel()  # or the test would never end
        assert not pending
        assert task.cancelled()

    asyncio.run(main())


def test_worker_serves_one_loop_after_another(worker: Worker) -> None:
    async def main() -> list[int]:
        return await asyncio.gather(*(worker.run(lambda n=n: n) for n in range(3)))

    assert asyncio.run(main()) == asyncio.run(main()) == [0, 1, 2]


def test_forked_child_makes_calls_in_a_thread_of_its_own(worker: Worker) -> None:
    asyncio.run(worker.run(threading.get_ident))
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(int(LONG))  # ends a child that hangs
        os._exit(asyncio.run(worker.run(lambda: 7)))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert asyncio.run(worker.run(lambda: 8)) == 8
