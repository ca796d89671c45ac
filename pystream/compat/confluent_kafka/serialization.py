"""confluent-kafka's serializers of plain values."""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import Enum
from typing import Any

from pystream.compat.confluent_kafka.kafka_error import KafkaException
from pystream.compat.confluent_kafka.message import Headers

__all__ = [
    "Deserializer",
    "DoubleDeserializer",
    "DoubleSerializer",
    "IntegerDeserializer",
    "IntegerSerializer",
    "MessageField",
    "SerializationContext",
    "SerializationError",
    "Serializer",
    "StringDeserializer",
    "StringSerializer",
]


class MessageField(str, Enum):
    """Which part of a message is serialized."""

    NONE = "none"
    KEY = "key"
    VALUE = "value"

    def __str__(self) -> str:
        return str(self.value)


class SerializationContext:
    """For which topic, part and headers something is serialized."""

    def __init__(self, topic: str, field: MessageField, headers: Headers | None = None) -> None:
        self.topic = topic
        self.field = field
        self.headers = headers


class SerializationError(KafkaException):
    """A value cannot be made bytes, or bytes a value."""


class _Serde:
    def set_cluster_id_resolver(self, resolver: Callable[[], Any]) -> None:
        """Do nothing: there is no cluster."""

    def close(self) -> None:
        """Let go of what it holds."""


class Serializer(_Serde):
    """Makes bytes of values."""

    def __call__(self, obj: Any, ctx: SerializationContext | None = None) -> bytes | None:
        """Return bytes; None stays."""
        raise NotImplementedError


class Deserializer(_Serde):
    """Makes values of bytes."""

    def __call__(self, value: bytes | None, ctx: SerializationContext | None = None) -> Any:
        """Return what the bytes mean; None stays."""
        raise NotImplementedError


class _Packed:
    _format = ""

    def _pack(self, obj: Any) -> bytes | None:
        if obj is None:
            return None
        try:
            return struct.pack(self._format, obj)
        except struct.error as error:
            raise SerializationError(str(error)) from error

    def _unpack(self, value: bytes | None) -> Any:
        if value is None:
            return None
        try:
            return struct.unpack(self._format, value)[0]
        except struct.error as error:
            raise SerializationError(str(error)) from error


class DoubleSerializer(_Packed, Serializer):
    """Eight bytes, big endian."""

    _format = ">d"

    def __call__(self, obj: float | None, ctx: SerializationContext | None = None) -> bytes | None:
        """Return bytes; None stays."""
        return self._pack(obj)


class DoubleDeserializer(_Packed, Deserializer):
    """Eight bytes, big endian."""

    _format = ">d"

    def __call__(self, value: bytes | None, ctx: SerializationContext | None = None) -> Any:
        """Return a float; None stays."""
        return self._unpack(value)


class IntegerSerializer(_Packed, Serializer):
    """Four bytes, big endian."""

    _format = ">i"

    def __call__(self, obj: int | None, ctx: SerializationContext | None = None) -> bytes | None:
        """Return bytes; None stays."""
        return self._pack(obj)


class IntegerDeserializer(_Packed, Deserializer):
    """Four bytes, big endian."""

    _format = ">i"

    def __call__(self, value: bytes | None, ctx: SerializationContext | None = None) -> Any:
        """Return an int; None stays."""
        return self._unpack(value)


class StringSerializer(Serializer):
    """Text in an encoding."""

    def __init__(self, codec: str = "utf_8") -> None:
        self.codec = codec

    def __call__(self, obj: str | None, ctx: SerializationContext | None = None) -> bytes | None:
        """Return bytes; None stays."""
        if obj is None:
            return None
        try:
            return obj.encode(self.codec)
        except (AttributeError, UnicodeEncodeError) as error:
            raise SerializationError(str(error)) from error


class StringDeserializer(Deserializer):
    """Text in an encoding."""

    def __init__(self, codec: str = "utf_8") -> None:
        self.codec = codec

    def __call__(self, value: bytes | None, ctx: SerializationContext | None = None) -> Any:
        """Return text; None stays."""
        if value is None:
            return None
        try:
            return value.decode(self.codec)
        except UnicodeDecodeError as error:
            raise SerializationError(str(error)) from error
