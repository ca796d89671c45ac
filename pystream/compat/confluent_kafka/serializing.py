"""A producer and a consumer with serializers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pystream.compat.confluent_kafka.consumer import Consumer
from pystream.compat.confluent_kafka.error import (
    ConsumeError,
    KeyDeserializationError,
    KeySerializationError,
    ValueDeserializationError,
    ValueSerializationError,
)
from pystream.compat.confluent_kafka.message import Headers, Message
from pystream.compat.confluent_kafka.producer import DeliveryCallback, Producer
from pystream.compat.confluent_kafka.serialization import MessageField, SerializationContext

__all__ = ["DeserializingConsumer", "SerializingProducer"]

_Serde = Callable[[Any, SerializationContext], Any]


def _taken(
    conf: Mapping[str, Any], kind: str
) -> tuple[_Serde | None, _Serde | None, dict[str, Any]]:
    rest = dict(conf)
    return rest.pop(f"key.{kind}", None), rest.pop(f"value.{kind}", None), rest


class SerializingProducer(Producer):
    """Sends what ``key.serializer`` and ``value.serializer`` make of keys and values."""

    def __init__(self, conf: Mapping[str, Any]) -> None:
        self._key_serializer, self._value_serializer, rest = _taken(conf, "serializer")
        super().__init__(rest)

    def produce(  # type: ignore[override]
        self,
        topic: str,
        key: Any = None,
        value: Any = None,
        partition: int = -1,
        on_delivery: DeliveryCallback | None = None,
        timestamp: int = 0,
        headers: Headers | None = None,
    ) -> None:
        """Send a message; note that the key comes before the value."""
        if self._is_closed:
            raise RuntimeError("Producer has been closed")
        if not isinstance(topic, str):
            raise TypeError(f"topic must be a str, not {type(topic).__name__}")
        context = SerializationContext(topic, MessageField.KEY, headers)
        if self._key_serializer is not None:
            try:
                key = self._key_serializer(key, context)
            except Exception as error:
                raise KeySerializationError(error) from error
        context.field = MessageField.VALUE
        if self._value_serializer is not None:
            try:
                value = self._value_serializer(value, context)
            except Exception as error:
                raise ValueSerializationError(error) from error
        super().produce(
            topic,
            value,
            key,
            partition,
            on_delivery=on_delivery,
            timestamp=timestamp,
            headers=headers,
        )


class DeserializingConsumer(Consumer):
    """Returns what ``key.deserializer`` and ``value.deserializer`` make of keys and values."""

    def __init__(self, conf: Mapping[str, Any]) -> None:
        self._key_deserializer, self._value_deserializer, rest = _taken(conf, "deserializer")
        super().__init__(rest)

    def poll(self, timeout: float | None = -1) -> Message | None:
        """Return the next message, or None when none came within so many seconds.

        Raises
        ------
        ConsumeError
            For an event, or a message that cannot be deserialized.
        """
        message = super().poll(timeout)
        if message is None:
            return None
        failed = message.error()
        if failed is not None:
            raise ConsumeError(failed, kafka_message=message)
        context = SerializationContext(message.topic() or "", MessageField.KEY, message.headers())
        key, value = message.key(), message.value()
        if self._key_deserializer is not None:
            try:
                key = self._key_deserializer(key, context)
            except Exception as error:
                raise KeyDeserializationError(error, message) from error
        context.field = MessageField.VALUE
        if self._value_deserializer is not None:
            try:
                value = self._value_deserializer(value, context)
            except Exception as error:
                raise ValueDeserializationError(error, message) from error
        message.set_key(key)
        message.set_value(value)
        return message

    def consume(self, num_messages: int = 1, timeout: float = -1) -> list[Message]:
        """Raise, as the library does: use :meth:`poll`."""
        raise NotImplementedError
