"""confluent-kafka's clients for an event loop: each call runs in a thread of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import queue
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import partial
from typing import Any, Self

from pystream.compat.confluent_kafka.consumer import Consumer
from pystream.compat.confluent_kafka.kafka_error import KafkaError, KafkaException
from pystream.compat.confluent_kafka.message import Message
from pystream.compat.confluent_kafka.producer import Producer

__all__ = ["AIOConsumer", "AIOProducer"]


class _Calls:
    """Runs calls of one client one after another, so that the event loop goes on meanwhile."""

    def __init__(self, executor: concurrent.futures.Executor | None) -> None:
        self._is_mine = executor is None
        self.executor = executor or concurrent.futures.ThreadPoolExecutor(max_workers=1)
        self._lock = asyncio.Lock()

    async def run(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        loop = asyncio.get_running_loop()
        async with self._lock:
            return await loop.run_in_executor(self.executor, partial(call, *args, **kwargs))

    async def end(self) -> None:
        if self._is_mine:
            self.executor.shutdown(wait=True)


class _Aside:
    """Does what a callback asks of its client in the thread that waits for the callback.

    The client is in the middle of a call then, so that nobody else may enter; the event loop goes
    on, and runs the callback.
    """

    def __init__(self, client: _Client) -> None:
        self.client = client
        self.is_over = False
        self._asked: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()

    def wait_for(self, callback: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> None:
        """Run a callback, a function or a coroutine, in the event loop, to its end."""
        done = asyncio.run_coroutine_threadsafe(self._called(callback), loop)
        done.add_done_callback(lambda _: self._asked.put(None))
        while (asked := self._asked.get()) is not None:
            future, call = asked
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)
        done.result()

    async def _called(self, callback: Callable[[], Any]) -> None:
        _ASIDE.set(self)  # for this task, and for those that it makes
        try:
            outcome = callback()
            if asyncio.iscoroutine(outcome):
                await outcome
        finally:
            self.is_over = True

    async def run(self, call: Callable[[], Any]) -> Any:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        future.set_running_or_notify_cancel()
        self._asked.put((future, call))
        return await asyncio.wrap_future(future)


_Asked = tuple[concurrent.futures.Future[Any], Callable[[], Any]]
_ASIDE: ContextVar[_Aside | None] = ContextVar("_ASIDE", default=None)


class _Client:
    _calls: _Calls
    _client: Any
    _is_closed: bool

    async def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        call = partial(getattr(self._client, name), *args, **kwargs)
        aside = _ASIDE.get()
        if aside is not None and aside.client is self and not aside.is_over:
            return await aside.run(call)  # also while it is closed
        if self._is_closed:
            raise RuntimeError(f"{type(self._client).__name__} closed")
        return await self._calls.run(call)

    async def close(self, *args: Any, **kwargs: Any) -> Any:
        """Close the client and its thread."""
        if self._is_closed:
            return None
        self._is_closed = True  # calls that came before are done before it
        try:
            return await self._calls.run(self._client.close, *args, **kwargs)
        finally:
            await self._calls.end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _awaited(name: str) -> Callable[..., Any]:
    async def method(self: _Client, *args: Any, **kwargs: Any) -> Any:
        return await self._call(name, *args, **kwargs)

    method.__name__ = name
    method.__doc__ = f"Do what `{name}` of the client without a loop does."
    return method


class AIOConsumer(_Client):
    """A consumer whose methods are coroutines.

    Callbacks of a rebalance, and ``on_commit``, may be functions or coroutines. They run in the
    event loop, and may call the consumer.

    Examples
    --------
    >>> import asyncio, tempfile
    >>> async def read(place):
    ...     async with AIOProducer({"log.directory": place}) as producer:
    ...         await (await producer.produce("lines", "first"))
    ...     settings = {"log.directory": place, "group.id": "g", "auto.offset.reset": "earliest"}
    ...     async with AIOConsumer(settings) as consumer:
    ...         await consumer.subscribe(["lines"])
    ...         return (await consumer.poll(10)).value()
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     asyncio.run(read(directory))
    b'first'
    """

    def __init__(
        self,
        consumer_conf: Mapping[str, Any],
        max_workers: int = 100,
        executor: concurrent.futures.Executor | None = None,
    ) -> None:
        self._is_closed = False
        conf = dict(consumer_conf)
        if callable(conf.get("on_commit")):
            loop = asyncio.get_running_loop()
            conf["on_commit"] = partial(self._tell, loop, conf["on_commit"])
        self._client = Consumer(conf)
        self._calls = _Calls(executor)

    async def subscribe(self, *args: Any, **kwargs: Any) -> Any:
        """Read topics; callbacks are called with this consumer."""
        loop = asyncio.get_running_loop()
        for name in ("on_assign", "on_revoke", "on_lost"):
            if kwargs.get(name) is not None:
                kwargs[name] = partial(self._rebalanced, loop, kwargs[name])
        return await self._call("subscribe", *args, **kwargs)

    def _rebalanced(
        self, loop: asyncio.AbstractEventLoop, callback: Callable[..., Any], _: Any, places: Any
    ) -> None:
        self._tell(loop, callback, self, places)

    def _tell(
        self, loop: asyncio.AbstractEventLoop, callback: Callable[..., Any], *args: Any
    ) -> None:
        _Aside(self).wait_for(partial(callback, *args), loop)

    poll = _awaited("poll")
    consume = _awaited("consume")
    unsubscribe = _awaited("unsubscribe")
    commit = _awaited("commit")
    seek = _awaited("seek")
    pause = _awaited("pause")
    resume = _awaited("resume")
    store_offsets = _awaited("store_offsets")
    committed = _awaited("committed")
    assign = _awaited("assign")
    unassign = _awaited("unassign")
    incremental_assign = _awaited("incremental_assign")
    incremental_unassign = _awaited("incremental_unassign")
    assignment = _awaited("assignment")
    position = _awaited("position")
    consumer_group_metadata = _awaited("consumer_group_metadata")
    set_sasl_credentials = _awaited("set_sasl_credentials")
    list_topics = _awaited("list_topics")
    cluster_id = _awaited("cluster_id")
    get_watermark_offsets = _awaited("get_watermark_offsets")
    offsets_for_times = _awaited("offsets_for_times")


class AIOProducer(_Client):
    """A producer whose methods are coroutines; `produce` returns a future of the message."""

    def __init__(
        self,
        producer_conf: Mapping[str, Any],
        max_workers: int = 4,
        executor: concurrent.futures.Executor | None = None,
        batch_size: int = 1000,
        buffer_timeout: float = 1.0,
    ) -> None:
        self._is_closed = False
        self._client = Producer(producer_conf)
        self._calls = _Calls(executor)
        self._poller: asyncio.Task[None] | None = None

    async def produce(
        self, topic: str, value: Any = None, key: Any = None, *args: Any, **kwargs: Any
    ) -> asyncio.Future[Message]:
        """Send a message; the future that is returned gets it once it is appended."""
        if self._is_closed:
            raise RuntimeError("Producer closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Message] = loop.create_future()

        def report(error: KafkaError | None, message: Message) -> None:
            loop.call_soon_threadsafe(_settle, future, error, message)

        kwargs.pop("on_delivery", None)
        self._client.produce(topic, value, key, *args, on_delivery=report, **kwargs)
        if self._poller is None or self._poller.done():
            self._poller = loop.create_task(self._poll_while_needed())
        return future

    async def _poll_while_needed(self) -> None:
        while not self._is_closed and len(self._client):
            await self._calls.run(self._client.poll, 0.1)

    async def close(self, *args: Any, **kwargs: Any) -> Any:
        """Flush, and close the producer and its thread."""
        closed = await super().close(*args, **kwargs)
        if self._poller is not None:
            await self._poller
        return closed

    async def poll(self, timeout: float = 0, *args: Any, **kwargs: Any) -> Any:
        """Give reports; futures do not need it."""
        return await self._call("poll", timeout, *args, **kwargs)

    def __len__(self) -> int:
        return 0 if self._is_closed else len(self._client)

    flush = _awaited("flush")
    purge = _awaited("purge")
    list_topics = _awaited("list_topics")
    cluster_id = _awaited("cluster_id")
    init_transactions = _awaited("init_transactions")
    begin_transaction = _awaited("begin_transaction")
    send_offsets_to_transaction = _awaited("send_offsets_to_transaction")
    commit_transaction = _awaited("commit_transaction")
    abort_transaction = _awaited("abort_transaction")
    set_sasl_credentials = _awaited("set_sasl_credentials")


def _settle(future: asyncio.Future[Message], error: KafkaError | None, message: Message) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(message)
    else:
        future.set_exception(KafkaException(error))
