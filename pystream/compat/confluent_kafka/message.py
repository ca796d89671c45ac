"""Messages, and the names of partitions with an offset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pystream._native import Record
from pystream.compat.confluent_kafka.kafka_error import KafkaError, raised
from pystream.errors import CorruptRecordError, UnknownTopicError
from pystream.log import Log

__all__ = [
    "OFFSET_BEGINNING",
    "OFFSET_END",
    "OFFSET_INVALID",
    "OFFSET_STORED",
    "TIMESTAMP_CREATE_TIME",
    "TIMESTAMP_LOG_APPEND_TIME",
    "TIMESTAMP_NOT_AVAILABLE",
    "ConsumedMessage",
    "Headers",
    "Message",
    "TimestampTypes",
    "TopicPartition",
    "header_list",
]

OFFSET_BEGINNING = -2
OFFSET_END = -1
OFFSET_STORED = -1000
OFFSET_INVALID = -1001
TIMESTAMP_NOT_AVAILABLE = 0
TIMESTAMP_CREATE_TIME = 1
TIMESTAMP_LOG_APPEND_TIME = 2

Headers = Mapping[str, bytes | str | None] | Iterable[tuple[str, bytes | str | None]]


class TopicPartition:
    """Names a partition, with an offset where one is asked for or told.

    Parameters
    ----------
    topic : str
    partition : int, default -1
    offset : int, default OFFSET_INVALID
        Also one of the ``OFFSET_`` constants.
    metadata : str, optional
        Kept by this object; a log stores none.
    leader_epoch : int, optional
        Without a meaning for a log.

    Examples
    --------
    >>> TopicPartition("lines", 0) == TopicPartition("lines", 0, 5)
    True
    """

    __slots__ = ("error", "leader_epoch", "metadata", "offset", "partition", "topic")

    def __init__(
        self,
        topic: str,
        partition: int = -1,
        offset: int = OFFSET_INVALID,
        metadata: str | None = None,
        leader_epoch: int | None = None,
    ) -> None:
        if not isinstance(topic, str):
            raise TypeError(f"argument 1 must be str, not {type(topic).__name__}")
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.metadata = metadata
        self.leader_epoch = leader_epoch
        self.error: KafkaError | None = None

    def __hash__(self) -> int:
        return hash((self.topic, self.partition))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TopicPartition):
            return NotImplemented
        return (self.topic, self.partition) == (other.topic, other.partition)

    def __lt__(self, other: TopicPartition) -> bool:
        if not isinstance(other, TopicPartition):
            return NotImplemented
        return (self.topic, self.partition) < (other.topic, other.partition)

    def __le__(self, other: TopicPartition) -> bool:
        return self < other or self == other

    def __repr__(self) -> str:
        return (
            f"TopicPartition{{topic={self.topic},partition={self.partition},offset={self.offset},"
            f"leader_epoch={self.leader_epoch},error={self.error}}}"
        )


class Message:
    """A record that was consumed or sent, or an event: then :meth:`error` says what happened.

    Notes
    -----
    A message of a consumer reads its fields when they are asked for, and keeps the batch that it
    came from in memory meanwhile: keep values, not messages, for a long time.
    """

    __slots__ = (
        "_error",
        "_headers",
        "_key",
        "_latency",
        "_offset",
        "_partition",
        "_timestamp",
        "_topic",
        "_value",
    )

    def __init__(
        self,
        topic: str | None = None,
        partition: int | None = None,
        offset: int | None = None,
        key: Any = None,
        value: Any = None,
        headers: Headers | None = None,
        error: KafkaError | None = None,
        timestamp: tuple[int, int] | None = None,
        latency: float | None = None,
        leader_epoch: int | None = None,
        delivery_count: int | None = None,
    ) -> None:
        self._topic = topic
        self._partition = partition
        self._offset = offset
        self._key = key
        self._value = value
        self._headers: list[tuple[str, bytes | None]] | None = header_list(headers)
        self._error = error
        self._timestamp = (TIMESTAMP_NOT_AVAILABLE, -1) if timestamp is None else timestamp
        self._latency = latency

    def topic(self) -> str | None:
        """Return the topic."""
        return self._topic

    def partition(self) -> int | None:
        """Return the partition."""
        return self._partition

    def offset(self) -> int | None:
        """Return the offset."""
        return self._offset

    def key(self) -> Any:
        """Return the key: bytes or None; of a typed topic its key column, or a tuple of them."""
        return self._key

    def value(self) -> Any:
        """Return the value: bytes or None; of a typed topic a dict of columns."""
        return self._value

    def deserialized_key(self) -> Any:
        """Return the key, as a deserializer left it."""
        return self.key()

    def deserialized_value(self) -> Any:
        """Return the value, as a deserializer left it."""
        return self.value()

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        """Return the headers, or None without any."""
        return self._headers

    def error(self) -> KafkaError | None:
        """Return what happened instead of a record, or None."""
        return self._error

    def timestamp(self) -> tuple[int, int]:
        """Return the kind of timestamp and its milliseconds since 1970."""
        return self._timestamp

    def latency(self) -> float | None:
        """Return the seconds from :meth:`Producer.produce` to the report; None when consumed."""
        return self._latency

    def leader_epoch(self) -> int | None:
        """Return None: a partition of a log has no leader."""
        return None

    def delivery_count(self) -> int | None:
        """Return None: only share groups count."""
        return None

    def set_topic(self, topic: str | None) -> None:
        """Replace the topic of this object."""
        self._topic = topic

    def set_headers(self, headers: Headers | None) -> None:
        """Replace the headers of this object."""
        self._headers = header_list(headers)

    def set_key(self, key: Any) -> None:
        """Replace the key of this object."""
        self._key = key

    def set_value(self, value: Any) -> None:
        """Replace the value of this object."""
        self._value = value

    def set_error(self, error: KafkaError | None) -> None:
        """Replace the error of this object."""
        self._error = error

    def __len__(self) -> int:
        value = self.value()
        return 0 if value is None else len(value)

    def __repr__(self) -> str:
        error = self.error()
        what = f"{self.topic()}-{self.partition()} offset {self.offset()}"
        return f"<Message {what}>" if error is None else f"<Message {what}: {error}>"


class ConsumedMessage(Message):
    """A message that reads from the record that it is."""

    # What a program replaces is in a dict of its own: made once per record, this must be cheap.
    __slots__ = ("_record", "_replaced", "_timestamp_type")

    _replaced: dict[str, Any] | None

    def __init__(self, record: Record, timestamp_type: int) -> None:
        self._record = record
        self._timestamp_type = timestamp_type
        self._replaced = None

    def topic(self) -> str | None:  # noqa: D102  as in Message, each
        if self._replaced is not None and "topic" in self._replaced:
            return self._replaced["topic"]  # type: ignore[no-any-return]
        return self._record.topic

    def partition(self) -> int | None:  # noqa: D102
        return self._record.partition

    def offset(self) -> int | None:  # noqa: D102
        return self._record.offset

    def key(self) -> Any:  # noqa: D102
        if self._replaced is not None and "key" in self._replaced:
            return self._replaced["key"]
        try:
            return self._record.key
        except CorruptRecordError as error:  # found when the bytes are looked at first
            raise raised(error) from error

    def value(self) -> Any:  # noqa: D102
        if self._replaced is not None and "value" in self._replaced:
            return self._replaced["value"]
        try:
            return self._record.value
        except CorruptRecordError as error:
            raise raised(error) from error

    def headers(self) -> list[tuple[str, bytes | None]] | None:  # noqa: D102
        if self._replaced is not None and "headers" in self._replaced:
            return self._replaced["headers"]  # type: ignore[no-any-return]
        return self._record.headers or None

    def error(self) -> KafkaError | None:  # noqa: D102
        return None if self._replaced is None else self._replaced.get("error")

    def timestamp(self) -> tuple[int, int]:  # noqa: D102
        return self._timestamp_type, self._record.timestamp // 1000

    def latency(self) -> float | None:  # noqa: D102
        return None

    def set_topic(self, topic: str | None) -> None:  # noqa: D102
        self._replace("topic", topic)

    def set_headers(self, headers: Headers | None) -> None:  # noqa: D102
        self._replace("headers", header_list(headers))

    def set_key(self, key: Any) -> None:  # noqa: D102
        self._replace("key", key)

    def set_value(self, value: Any) -> None:  # noqa: D102
        self._replace("value", value)

    def set_error(self, error: KafkaError | None) -> None:  # noqa: D102
        self._replace("error", error)

    def _replace(self, name: str, value: Any) -> None:
        if self._replaced is None:
            self._replaced = {}
        self._replaced[name] = value


class TimestampTypes:
    """Knows of each topic whose its timestamps are."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._known: dict[str, int] = {}

    def type_of(self, topic: str) -> int:
        """Return one of the ``TIMESTAMP_`` constants; a topic is looked up once."""
        known = self._known.get(topic)
        if known is None:
            try:
                is_append = self._log.topic(topic).timestamp_type == "append_time"
            except UnknownTopicError:  # deleted meanwhile
                return TIMESTAMP_NOT_AVAILABLE
            known = TIMESTAMP_LOG_APPEND_TIME if is_append else TIMESTAMP_CREATE_TIME
            self._known[topic] = known
        return known


def header_list(headers: Headers | None) -> Any:
    """Return headers as a list of names and bytes, or None."""
    if headers is None:
        return None
    if not isinstance(headers, Mapping | list):
        raise TypeError(
            "expected headers to be dict or list of (key, value) tuples, not "
            f"{type(headers).__name__}"
        )
    found = []
    for item in headers.items() if isinstance(headers, Mapping) else headers:
        if not isinstance(item, tuple) or len(item) != 2:
            raise TypeError("Headers are expected to be a list of (key, value) tuples")
        name, value = item
        if not isinstance(name, str):
            raise TypeError(f"a header's name must be str, not {type(name).__name__}")
        if not isinstance(value, bytes | str | None):
            raise TypeError(f"a header's value must be bytes or str, not {type(value).__name__}")
        found.append((name, value.encode() if isinstance(value, str) else value))
    return found
