"""Letting pystream's errors out of a method as the library's."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from pystream import errors
from pystream.compat.confluent_kafka.kafka_error import KafkaException, raised

__all__ = ["translated"]

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def translated(call: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Let a method raise KafkaException, or RuntimeError once its client is closed."""

    @functools.wraps(call)
    def inner(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        try:
            return call(*args, **kwargs)
        except errors.StreamError as error:
            if isinstance(error, KafkaException):  # of a callback, say
                raise
            if isinstance(error, errors.ClosedError):
                raise RuntimeError(str(error)) from error
            raise raised(error) from error

    return inner
