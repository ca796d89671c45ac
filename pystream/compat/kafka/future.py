"""What `KafkaProducer.send` returns, and futures of what is done already."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from datetime import timedelta
from functools import partial
from typing import Any, Self

from pystream import errors
from pystream._native import Delivery
from pystream.compat.kafka.errors import KafkaTimeoutError, RetriableError, raised
from pystream.compat.kafka.structs import RecordMetadata
from pystream.types import TopicPartition

__all__ = ["Future", "FutureRecordMetadata"]

Callback = Callable[..., object]
_LOGGER = logging.getLogger("pystream.compat")


class Future:
    """Something that is done, or failed, or will be.

    Parameters
    ----------
    finish : callable, optional
        Does it, for those who wait.
    """

    error_on_callbacks = False

    def __init__(self, finish: Callable[[], object] | None = None) -> None:
        self.is_done = False
        self.value: Any = None
        self.exception: BaseException | None = None
        self._finish = finish
        self._callbacks: list[tuple[bool, Callback]] = []  # and whether each is for an error

    def succeeded(self) -> bool:
        """Return whether it is done without an error."""
        return self.is_done and self.exception is None

    def failed(self) -> bool:
        """Return whether it ended with an error."""
        return self.is_done and self.exception is not None

    def retriable(self) -> bool:
        """Return whether it failed in a way that may be different the next time."""
        return self.is_done and isinstance(self.exception, RetriableError)

    def success(self, value: Any) -> Self:
        """Say that it is done."""
        self.value, self.is_done = value, True
        return self._settled()

    def failure(self, error: BaseException | type[BaseException]) -> Self:
        """Say that it failed."""
        self.exception = error() if isinstance(error, type) else error
        self.is_done = True
        return self._settled()

    def add_callback(self, f: Callback, *args: Any, **kwargs: Any) -> Self:
        """Call ``f(*args, value)`` when it is done."""
        return self._add(partial(f, *args, **kwargs), is_for_error=False)

    def add_errback(self, f: Callback, *args: Any, **kwargs: Any) -> Self:
        """Call ``f(*args, exception)`` when it failed."""
        return self._add(partial(f, *args, **kwargs), is_for_error=True)

    def add_both(self, f: Callback, *args: Any, **kwargs: Any) -> Self:
        """Call ``f`` either way."""
        return self.add_callback(f, *args, **kwargs).add_errback(f, *args, **kwargs)

    def chain(self, future: Any) -> Self:
        """Hand the outcome on to another future."""
        return self.add_callback(future.success).add_errback(future.failure)

    def get(self, timeout: float | None = None) -> Any:
        """Return the value, or raise the error."""
        if self._finish is not None:
            self._finish()
        if not self.is_done:
            raise KafkaTimeoutError("the future is not done")
        if self.exception is not None:
            raise self.exception
        return self.value

    def __await__(self) -> Generator[Any, None, Any]:
        yield from ()
        return self.get()

    def _add(self, callback: Callback, *, is_for_error: bool) -> Self:
        self._callbacks.append((is_for_error, callback))
        return self._settled() if self.is_done else self

    def _settled(self) -> Self:
        """Call who asked for it."""
        self._finish = None
        callbacks, self._callbacks = self._callbacks, []
        for is_for_error, callback in callbacks:
            if is_for_error == self.failed():
                self._call(callback, self.exception if is_for_error else self.value)
        return self

    def _call(self, callback: Callback, argument: object) -> None:
        try:
            callback(argument)
        except Exception:
            _LOGGER.exception("a callback of a future failed: %r", callback)
            if self.error_on_callbacks:
                raise


class FutureRecordMetadata(Future):
    """The future of one record; :meth:`get` waits for it.

    Callbacks run in the producer's background thread, or at once when the record is done.
    """

    __slots__ = ("_delivery", "_sizes")

    def __init__(self, delivery: Delivery, sizes: tuple[int, int, int]) -> None:
        # Everything else is worked out when it is asked for: most futures are dropped.
        self._delivery = delivery
        self._sizes = sizes

    @property
    def is_done(self) -> bool:  # type: ignore[override]
        """Whether the record was appended, or failed."""
        return self._delivery.done()

    @property
    def value(self) -> RecordMetadata | None:
        """Where the record is; None before, and when it failed."""
        return self._metadata() if self.succeeded() else None

    @property
    def exception(self) -> BaseException | None:  # type: ignore[override]
        """Why the record was not appended, or None."""
        if not self._delivery.done():
            return None
        error = self._delivery.exception()
        return None if error is None else raised(error)

    def get(self, timeout: float | None = None) -> RecordMetadata:
        """Wait so many seconds for the record; return where it is, or raise its error."""
        try:
            error = self._delivery.exception(
                None if timeout is None else timedelta(seconds=max(timeout, 0))
            )
        except errors.RequestTimeoutError as late:
            raise raised(late, KafkaTimeoutError) from late
        if error is not None:
            raise raised(error) from error
        return self._metadata()

    def add_callback(self, f: Callback, *args: Any, **kwargs: Any) -> Self:
        """Call ``f(*args, record_metadata)`` when the record is appended."""
        callback = partial(f, *args, **kwargs) if args or kwargs else f

        def done(delivery: Delivery) -> None:
            if delivery.exception() is None:
                self._call(callback, self._metadata())

        self._delivery.add_done_callback(done)
        return self

    def add_errback(self, f: Callback, *args: Any, **kwargs: Any) -> Self:
        """Call ``f(*args, exception)`` when the record failed."""
        callback = partial(f, *args, **kwargs) if args or kwargs else f

        def done(delivery: Delivery) -> None:
            error = delivery.exception()
            if error is not None:
                self._call(callback, raised(error))

        self._delivery.add_done_callback(done)
        return self

    def success(self, value: Any) -> Self:
        """Raise: only the log says so."""
        raise errors.NotSupportedError("a record's future is settled by the log alone.")

    def failure(self, error: BaseException | type[BaseException]) -> Self:
        """Raise: only the log says so."""
        raise errors.NotSupportedError("a record's future is settled by the log alone.")

    def __await__(self) -> Generator[Any, None, RecordMetadata]:
        try:
            yield from self._delivery.__await__()
        except errors.StreamError as error:
            raise raised(error) from error
        return self._metadata()

    def _metadata(self) -> RecordMetadata:
        where = self._delivery.result()
        name = TopicPartition(where.topic, where.partition)
        stamp = where.timestamp // 1000 if where.timestamp >= 0 else where.timestamp
        return RecordMetadata(*name, name, where.offset, stamp, None, *self._sizes)
