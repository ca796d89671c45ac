"""kafka-python's serializers."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

__all__ = ["DefaultSerializer", "Deserializer", "JsonSerializer", "Serializer"]

Headers = list[tuple[str, bytes]]


class Serializer(ABC):
    """Makes bytes of keys or values."""

    @abstractmethod
    def serialize(self, topic: str, headers: Headers, data: Any) -> Any:
        """Return bytes."""

    def close(self) -> None:  # noqa: B027  most have nothing to do
        """Let go of what it holds."""


class Deserializer(ABC):
    """Makes keys or values of bytes."""

    @abstractmethod
    def deserialize(self, topic: str, headers: Headers, data: bytes | None) -> Any:
        """Return what the bytes mean."""

    def close(self) -> None:  # noqa: B027  most have nothing to do
        """Let go of what it holds."""


class DefaultSerializer(Serializer, Deserializer):
    """Text in an encoding; bytes are left as they are."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self.encoding = encoding

    def serialize(self, topic: str, headers: Headers, data: Any) -> Any:
        """Return bytes."""
        if data is None or isinstance(data, bytes | bytearray | memoryview):
            return data
        return data.encode(self.encoding)

    def deserialize(self, topic: str, headers: Headers, data: bytes | None) -> Any:
        """Return text."""
        return None if data is None else data.decode(self.encoding)


class JsonSerializer(DefaultSerializer):
    """JSON."""

    def serialize(self, topic: str, headers: Headers, data: Any) -> Any:
        """Return JSON; None stays."""
        return None if data is None else super().serialize(topic, headers, json.dumps(data))

    def deserialize(self, topic: str, headers: Headers, data: bytes | None) -> Any:
        """Return what the JSON says; None stays."""
        return None if data is None else json.loads(super().deserialize(topic, headers, data))


def serializing(given: object) -> Callable[[str, Any, Any], Any] | None:
    """Return a serializer, an object or a function, as a function of topic, headers and data."""
    if given is None:
        return None
    method = getattr(given, "serialize", None)
    if method is not None:
        return method  # type: ignore[no-any-return]
    assert callable(given)
    return lambda topic, headers, data: given(data)


def deserializing(given: object) -> Callable[[str, Any, Any], Any] | None:
    """Return a deserializer, an object or a function, as a function of topic, headers, data."""
    if given is None:
        return None
    method = getattr(given, "deserialize", None)
    if method is not None:
        return method  # type: ignore[no-any-return]
    assert callable(given)
    return lambda topic, headers, data: given(data)
