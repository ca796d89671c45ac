"""Futures that are done, and what is refused before there is one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TypeVar

from pystream import errors
from pystream.compat.confluent_kafka.kafka_error import KafkaException, raised

__all__ = ["check_list", "done", "refused_as"]

_Result = TypeVar("_Result")


def done(call: Callable[[], _Result]) -> Future[_Result]:
    """Call a function; return its result or its error as a future."""
    future: Future[_Result] = Future()
    try:
        future.set_result(call())
    except KafkaException as error:
        future.set_exception(error)
    except errors.StreamError as error:
        future.set_exception(raised(error))
    return future


def check_list(items: object, kind: type) -> None:
    """Raise unless it is a list of such things, with one at least."""
    if not isinstance(items, list) or not items:
        raise ValueError(f"expected non-empty list of {kind.__name__}")
    for item in items:
        if not isinstance(item, kind):
            raise TypeError(f"expected list of {kind.__name__}")


@contextlib.contextmanager
def refused_as(code: int) -> Iterator[None]:
    """Let a wrong setting be told as a broker tells it."""
    try:
        yield
    except errors.ConfigError as error:
        raise raised(error, code) from error
