"""One thread that makes the calls of one client which may wait for a disk or another process."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext, suppress
from contextvars import ContextVar
from queue import SimpleQueue
from typing import TypeVar

from pystream.log import fork

__all__ = ["Worker"]

_Result = TypeVar("_Result")


class Worker:
    """Makes calls one after another, in the order in which they were asked for.

    Parameters
    ----------
    name : str
        Of the thread, which starts with the first call and ends with :meth:`close`.

    Notes
    -----
    A call that has begun is always made to its end: a task that is cancelled meanwhile waits for
    it, so that nothing else is done with the client before. What a call calls back (see
    :meth:`call_back`) may ask for calls itself: the thread makes them while it waits. A forked
    child has no thread; it starts its own, in which the parent's client says whose it is.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._begin()
        fork.on_child(self)

    def _begin(self) -> None:
        self._executor: ThreadPoolExecutor | None = None
        self._lock = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._callback: asyncio.Task[object] | None = None  # that the thread waits for
        self._asked = 0  # calls that are being made, or wait for their turn

    @property
    def is_busy(self) -> bool:
        """Whether a call is being made, or waits for its turn."""
        return self._asked > 0

    def turn(self) -> AbstractAsyncContextManager[object]:
        """Return what to hold (``async with``) while the client is used, here or by `make`."""
        if self._calls_of_callback() is not None:
            return nullcontext()  # that of whoever waits for the callback
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            # A lock is of the loop in which somebody first waited for it.
            self._loop, self._lock = loop, asyncio.Lock()
        return self._lock

    async def run(self, function: Callable[[], _Result]) -> _Result:
        """Make a call when it is its turn, and return what it returns or raise what it raises."""
        self._asked += 1
        try:
            async with self.turn():
                return await self.make(function)
        finally:
            self._asked -= 1

    async def end(self, function: Callable[[], object]) -> None:
        """Make a call that ends something, also when the task is cancelled before its turn."""
        cancelled: asyncio.CancelledError | None = None
        self._asked += 1
        try:
            async with AsyncExitStack() as turn:
                while True:
                    try:
                        await turn.enter_async_context(self.turn())
                        break
                    except asyncio.CancelledError as error:
                        cancelled = error
                await self.make(function)
        finally:
            self._asked -= 1
        if cancelled is not None:
            raise cancelled

    async def make(self, function: Callable[[], _Result]) -> _Result:
        """Make a call; whoever asks has its turn."""
        calls = self._calls_of_callback()
        if calls is not None:
            return await self._to_its_end(calls.ask(function))
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix=self._name)
        loop = asyncio.get_running_loop()
        return await self._to_its_end(loop.run_in_executor(self._executor, function))

    def call_back(self, callback: Callable[..., object], *arguments: object) -> object:
        """In the thread: call a function or coroutine function in the loop, and wait for it."""
        loop = self._loop
        assert loop is not None  # a call is being made
        calls, outer = _Calls(self), self._callback

        async def run() -> object:
            _calls_of_callback.set(calls)
            result = callback(*arguments)
            return await result if inspect.isawaitable(result) else result

        def begin() -> None:
            self._callback = loop.create_task(run())
            self._callback.add_done_callback(calls.end)

        loop.call_soon_threadsafe(begin)
        task = calls.make_all()
        self._callback = outer  # in which the call was asked for that called this back
        return task.result()

    def close(self) -> None:
        """End the thread behind the calls that were asked for."""
        if self._executor is not None:
            self._executor.shutdown(wait=False)
            self._executor = None

    def forget_in_child(self) -> None:
        """Abandon the parent's thread."""
        self._begin()

    def _calls_of_callback(self) -> _Calls | None:
        calls = _calls_of_callback.get()
        return calls if calls is not None and calls.worker is self and calls.is_open else None

    async def _to_its_end(self, call: asyncio.Future[_Result]) -> _Result:
        """Await a call; cancelled meanwhile, wait for its end all the same."""
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            while not call.done():
                if self._callback is not None:
                    self._callback.cancel()  # what the call waits for
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([call])
            if not call.cancelled():
                call.exception()  # nobody else will ask for it
            raise


class _Calls:
    """Calls that a callback asks for while the worker's thread waits for it."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.is_open = True
        self._queue: SimpleQueue[Callable[[], None] | asyncio.Task[object]] = SimpleQueue()

    def ask(self, function: Callable[[], _Result]) -> asyncio.Future[_Result]:
        """In the loop: let the thread make a call."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Result] = loop.create_future()

        def make() -> None:
            try:
                result = function()
            except BaseException as error:  # to whoever awaits it
                loop.call_soon_threadsafe(future.set_exception, error)
            else:
                loop.call_soon_threadsafe(future.set_result, result)

        self._queue.put(make)
        return future

    def end(self, task: asyncio.Task[object]) -> None:
        """In the loop: the callback is done."""
        self.is_open = False  # a task that it started and left has its turn like any other
        self._queue.put(task)

    def make_all(self) -> asyncio.Task[object]:
        """In the thread: make calls until the callback is done, and return its task."""
        while not isinstance(asked := self._queue.get(), asyncio.Task):
            asked()
        return asked


_calls_of_callback: ContextVar[_Calls | None] = ContextVar("calls_of_callback", default=None)
