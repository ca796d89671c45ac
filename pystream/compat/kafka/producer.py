"""KafkaProducer, on a log."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pystream import errors
from pystream._native import Delivery
from pystream.compat.kafka.errors import (
    IllegalStateError,
    KafkaTimeoutError,
    class_of,
    raised,
)
from pystream.compat.kafka.future import Future, FutureRecordMetadata
from pystream.compat.kafka.partitioner import ClusterView, DefaultPartitioner
from pystream.compat.kafka.serializer import serializing
from pystream.compat.kafka.settings import LOGGER, PRODUCER, Settings
from pystream.compat.kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata
from pystream.compat.kafka.translated import translated
from pystream.compat.reader import create_topic
from pystream.types import TopicPartition

if TYPE_CHECKING:
    from pystream.log.producer import Producer as LogProducer

__all__ = ["KafkaProducer"]

_BYTES = (bytes, bytearray, memoryview)


class KafkaProducer:
    """Sends records; made with kafka-python's settings as keyword arguments.

    Parameters
    ----------
    **configs
        ``log_directory``, or ``bootstrap_servers`` with a slash in it, is the directory of the
        log.

    Notes
    -----
    Any thread.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     with KafkaProducer(log_directory=directory) as producer:
    ...         producer.send("lines", b"first").get(timeout=10).offset
    0
    """

    def __init__(self, **configs: Any) -> None:
        settings = Settings(configs, PRODUCER, ValueError)
        self._key_serializer = serializing(settings.get("key_serializer"))
        self._value_serializer = serializing(settings.get("value_serializer"))
        self._serializers = (settings.get("key_serializer"), settings.get("value_serializer"))
        self._partitions = settings.created_partitions()
        self._transactional_id = settings.get("transactional_id")
        partitioner = settings.get("partitioner")
        is_default = isinstance(partitioner, DefaultPartitioner)
        self._partitioner: Any = None if is_default else partitioner
        options: dict[str, Any] = {
            "acks": settings.acks(),
            "compression": settings.compression(),
            "linger": timedelta(milliseconds=settings.get("linger_ms", 0)),
            "max_block": timedelta(milliseconds=settings.get("max_block_ms", 60_000)),
            "max_record_bytes": settings.get("max_request_size", 1_048_576),
        }
        if settings.has("batch_size"):
            options["batch_size"] = max(int(settings.get("batch_size")), 1)
        if self._transactional_id is not None:
            options["transactional_id"] = self._transactional_id
            options["transaction_timeout"] = timedelta(
                milliseconds=settings.get("transaction_timeout_ms", 60_000)
            )
        self._options = options
        self._log = settings.open_log()
        self._native: LogProducer | None = None
        self._send: Callable[..., Delivery] = _not_initialized
        self._is_in_transaction = False
        if self._transactional_id is None:
            self._start()
        self._cluster = ClusterView(self._log)
        self._is_closed = False

    def _start(self) -> None:
        """Make the log's producer; one with a transactional_id fences who had it."""
        try:
            self._native = self._log.producer(**self._options)
        except errors.StreamError as error:
            if self._transactional_id is None:
                self._log.close()
            raise raised(error) from error
        self._send = self._native.send

    def send(
        self,
        topic: str,
        value: Any = None,
        key: Any = None,
        headers: list[tuple[str, bytes]] | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> Any:
        """Send a record; it is appended in the background.

        Parameters
        ----------
        topic : str
            Created when it does not exist, unless ``allow_auto_create_topics`` is off.
        value, key : bytes, optional
            Or what the serializers take; one of them is needed. Of a typed topic a dict of
            columns, and no key.
        headers : list of (str, bytes) tuples, optional
        partition : int, optional
            By the key, or one after another.
        timestamp_ms : int, optional
            Milliseconds since 1970. Default: now.

        Returns
        -------
        FutureRecordMetadata

        Raises
        ------
        KafkaTimeoutError
            If the buffer stayed full for ``max_block_ms``.
        KafkaError
            If the record cannot be sent.
        """
        if self._is_closed:
            raise IllegalStateError("KafkaProducer already closed!")
        if value is None and key is None:
            raise ValueError("Need at least one: key or value")
        given = key, value
        if self._key_serializer is not None:
            key = self._key_serializer(topic, headers or [], key)
        if self._value_serializer is not None:
            value = self._value_serializer(topic, headers or [], value)
        if key is not None and not isinstance(key, bytes):
            if not isinstance(key, _BYTES):
                raise TypeError(f"Unsupported type for serialized key: {type(key)}")
            key = bytes(key)
        if value is not None and not isinstance(value, (*_BYTES, dict)):
            raise TypeError(f"Unsupported type for serialized value: {type(value)}")
        header_size = -1
        if headers is not None:
            header_size = _header_size(headers)
        try:
            if self._partitioner is not None and partition is None:
                partition = self._chosen(topic, *given, key, value)
            delivery = self._send(
                topic,
                value,
                key=key,
                partition=partition,
                timestamp=None if timestamp_ms is None else operator.index(timestamp_ms) * 1000,
                headers=headers,
            )
        except errors.StreamError as error:
            sent = self._sent_otherwise(error, topic, value, key, headers, partition, timestamp_ms)
            if isinstance(sent, Future):
                return sent
            delivery = sent
        value_size = -1 if value is None or isinstance(value, dict) else len(value)
        return FutureRecordMetadata(
            delivery, (-1 if key is None else len(key), value_size, header_size)
        )

    def flush(self, timeout: float | None = None) -> None:
        """Wait so many seconds until everything sent before is appended, or failed.

        Raises
        ------
        KafkaTimeoutError
            If it takes longer.
        """
        if not self._is_closed:
            self._flush(timeout)

    def _flush(self, timeout: float | None) -> None:
        limit = None if timeout is None else timedelta(seconds=timeout)
        if self._native is None:
            return
        try:
            self._native.flush(limit)
        except errors.RequestTimeoutError as error:
            raise raised(error, KafkaTimeoutError) from error
        except errors.StreamError as error:
            # In the future of each record concerned, as the library has it; nobody may look.
            if not isinstance(error, errors.InvalidTransactionStateError):  # aborted, on purpose
                LOGGER.error("a record was not appended: %s", error)

    @translated
    def partitions_for(self, topic: str) -> set[int]:
        """Return the partitions of a topic, which is created if need be."""
        try:
            return set(range(self._log.topic(topic).partitions))
        except errors.UnknownTopicError as error:
            if self._partitions is None:
                raise raised(error) from error
            create_topic(self._log, topic, self._partitions)
            return set(range(self._partitions))

    def bootstrap_connected(self) -> bool:
        """Return whether the producer can be used."""
        return not self._is_closed

    def metrics(self, raw: bool = False) -> dict[str, dict[str, float]]:
        """Return no metrics: a producer of a log counts none."""
        return {}

    @staticmethod
    def max_usable_produce_magic(api_version: tuple[int, ...]) -> int:
        """Return 2, the version of Kafka's record batches that has headers."""
        return 2

    # -- transactions ----------------------------------------------------------------------------

    def init_transactions(self) -> None:
        """Take the ``transactional_id``, abort what its last owner left, and fence it."""
        self._require_id()
        if self._native is None:
            self._start()

    def begin_transaction(self) -> None:
        """Begin a transaction: what is sent from now on counts with it."""
        with self._transacting() as native:
            native.begin_transaction()
            self._is_in_transaction = True

    def send_offsets_to_transaction(
        self,
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
        group_metadata: ConsumerGroupMetadata | str,
    ) -> None:
        """Commit a group's offsets with the transaction."""
        rows = {}
        for name, place in offsets.items():
            assert place.offset is not None
            rows[name] = place.offset
        group = group_metadata
        if isinstance(group, ConsumerGroupMetadata) and group.identity is None:
            group = group.group_id or ""
        who = group if isinstance(group, str) else group.identity
        with self._transacting() as native:
            assert who is not None
            native.send_offsets_to_transaction(rows, who if isinstance(who, str) else who.metadata)

    def commit_transaction(self) -> None:
        """Commit the transaction, once all of its records are appended."""
        with self._transacting() as native:
            native.commit_transaction()
            self._is_in_transaction = False

    def abort_transaction(self) -> None:
        """Abort the transaction: nobody who reads committed records sees any of it."""
        with self._transacting() as native:
            native.abort_transaction()
            self._is_in_transaction = False

    def _require_id(self) -> None:
        if self._is_closed:
            raise IllegalStateError("KafkaProducer already closed!")
        if self._transactional_id is None:
            raise IllegalStateError(
                "Cannot use transactional methods without enabling transactions"
            )

    @contextmanager
    def _transacting(self) -> Iterator[LogProducer]:
        self._require_id()
        if self._native is None:
            raise IllegalStateError("init_transactions() must be called first")
        try:
            yield self._native
        except errors.InvalidTransactionStateError as error:
            name = "TransactionAbortableError" if self._is_in_transaction else "IllegalStateError"
            raise raised(error, class_of(name)) from error
        except errors.StreamError as error:
            raise raised(error) from error

    # -- life ------------------------------------------------------------------------------------

    def close(self, timeout: float | None = None, null_logger: bool = False) -> None:
        """Flush, for so many seconds at most, and close the producer."""
        if self._is_closed:
            return
        if timeout is not None and timeout < 0:
            raise ValueError(f"Invalid timeout: {timeout}")
        try:
            if self._is_in_transaction:
                with suppress(errors.FencedError):  # who fenced it has aborted it
                    self.abort_transaction()
            self._flush(timeout)
        finally:
            self._is_closed = True
            try:
                if self._native is not None:
                    self._native.close()
            except errors.StreamError as error:
                LOGGER.error("a record was not appended: %s", error)
            self._log.close()
            for serializer in self._serializers:
                if hasattr(serializer, "close"):
                    serializer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __str__(self) -> str:
        return f"<KafkaProducer of {self._log.directory}>"

    # -- helpers ---------------------------------------------------------------------------------

    def _chosen(self, topic: str, key: Any, value: Any, key_bytes: Any, value_bytes: Any) -> int:
        self.partitions_for(topic)  # made, if it can be
        chosen = self._partitioner.partition(
            topic, key, key_bytes, value, value_bytes, self._cluster
        )
        if chosen is None:
            raise ValueError(f"Partitioner did not assign a partition for topic {topic}!")
        return int(chosen)

    def _sent_otherwise(
        self,
        error: errors.StreamError,
        topic: str,
        value: Any,
        key: Any,
        headers: list[tuple[str, bytes]] | None,
        partition: int | None,
        timestamp_ms: int | None,
    ) -> Delivery | Future:
        """Create the topic and send again, or do with the error what the library does."""
        if not isinstance(topic, str):
            raise TypeError("topic must be string") from error
        if isinstance(error, errors.UnknownTopicError):
            if error.partition is not None:
                raise ValueError(f"Unrecognized partition {partition} for topic {topic}") from error
            if self._partitions is None:
                return Future().failure(raised(error))
            try:
                create_topic(self._log, topic, self._partitions)
                stamp = None if timestamp_ms is None else operator.index(timestamp_ms) * 1000
                return self._send(
                    topic, value, key=key, partition=partition, timestamp=stamp, headers=headers
                )
            except errors.ConfigError as second:
                raise ValueError(str(second)) from second
            except errors.StreamError as second:
                error = second
        is_row = isinstance(error, errors.SchemaError) and isinstance(value, dict)
        if is_row and not self._log.topic(topic).is_typed:
            raise TypeError(f"Unsupported type for serialized value: {dict}") from error
        raise raised(error) from error


def _header_size(headers: object) -> int:
    if not isinstance(headers, list):
        raise TypeError("headers must be list-type")
    for item in headers:
        if not (
            isinstance(item, tuple)
            and len(item) == 2
            and isinstance(item[0], str)
            and isinstance(item[1], bytes)
        ):
            raise TypeError("All headers items must be (str, bytes) tuples")
    if not headers:
        return -1
    return sum(len(name.encode()) + len(value) for name, value in headers)


def _not_initialized(*_: object, **__: object) -> Delivery:
    raise IllegalStateError("init_transactions() must be called first")
