"""The producer of confluent-kafka, on a log."""

from __future__ import annotations

import contextlib
import operator
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pystream import errors
from pystream._native import Delivery
from pystream.compat.confluent_kafka.kafka_error import (
    KafkaError,
    KafkaException,
    raised,
    to_kafka_error,
)
from pystream.compat.confluent_kafka.message import (
    OFFSET_INVALID,
    Headers,
    Message,
    TimestampTypes,
    header_list,
)
from pystream.compat.confluent_kafka.metadata import ClusterMetadata, cluster_id, cluster_metadata
from pystream.compat.confluent_kafka.producer_transactions import ProducerTransactions
from pystream.compat.confluent_kafka.settings import LOGGER, Settings
from pystream.compat.confluent_kafka.translated import translated
from pystream.compat.reader import create_topic

if TYPE_CHECKING:
    from pystream.log.producer import Producer as LogProducer

__all__ = ["Producer"]

DeliveryCallback = Callable[[KafkaError | None, Message], object]

# A message that a callback wants to hear of, and when it was sent, its topic, value and key.
_Reported = tuple[Delivery, DeliveryCallback, float, str, Any, Any]


class Producer(ProducerTransactions):
    """Sends messages; reports are given in :meth:`poll` and :meth:`flush`, in the caller's thread.

    Parameters
    ----------
    config : dict
        librdkafka's properties. ``log.directory``, or ``bootstrap.servers`` with a slash in it, is
        the directory of the log.
    **more
        More of them.

    Notes
    -----
    Any thread.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     with Producer({"log.directory": directory}) as producer:
    ...         report = lambda err, msg: print(err, msg.offset())
    ...         producer.produce("lines", "first", callback=report)
    ...         producer.flush()
    None 0
    0
    """

    def __init__(self, config: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        if config is None and not more:
            raise TypeError("expected configuration dict")
        settings = Settings({} if config is None else config, more)
        self._partitions: int | None = None
        if settings.flag("auto.create.topics.enable", True):
            self._partitions = settings.whole("num.partitions", default=1, least=1)
        most = settings.whole("queue.buffering.max.messages", default=100_000)
        self._most = most or sys.maxsize  # 0: no limit
        self._only_errors = settings.flag("delivery.report.only.error", False)
        self._on_delivery = settings.callback("on_delivery")
        self._choose = settings.partitioner()
        self._transactional_id = settings.text("transactional.id")
        options: dict[str, Any] = {
            "acks": settings.acks(),
            "compression": settings.compression(),
            "linger": timedelta(
                milliseconds=settings.number("linger.ms", "queue.buffering.max.ms", default=5)
            ),
            "buffer_memory": settings.whole("queue.buffering.max.kbytes", default=1 << 20) << 10,
            "max_record_bytes": settings.whole("message.max.bytes", default=1_000_000, least=1000),
            "max_block": "0s",
        }
        if settings.has("batch.size"):
            options["batch_size"] = settings.whole("batch.size", default=0, least=1)
        if self._transactional_id is not None:
            options["transactional_id"] = self._transactional_id
            options["transaction_timeout"] = timedelta(
                milliseconds=settings.number("transaction.timeout.ms", default=60_000, least=1)
            )
        self._options_of_log = options
        self._log = settings.open_log()
        self._native: LogProducer | None = None
        self._send: Callable[..., Delivery] = _not_initialized
        self._is_in_transaction = False
        if self._transactional_id is None:
            self._start()
        self._stamps = TimestampTypes(self._log)
        self._pending: deque[Delivery | _Reported] = deque()
        self._serving = threading.Lock()
        self._waiters: set[threading.Event] = set()  # of threads that poll an empty queue
        self._is_closed = False

    def _start(self) -> None:
        """Make the log's producer; one with a transactional.id fences who had it."""
        try:
            self._native = self._log.producer(**self._options_of_log)
        except errors.StreamError as error:
            if self._transactional_id is None:
                self._log.close()
            raise raised(error) from error
        self._send = self._native.send

    # -- sending ---------------------------------------------------------------------------------

    def produce(
        self,
        topic: str,
        value: Any = None,
        key: Any = None,
        partition: int = -1,
        callback: DeliveryCallback | None = None,
        on_delivery: DeliveryCallback | None = None,
        timestamp: int = 0,
        headers: Headers | None = None,
    ) -> None:
        """Send a message; it is appended in the background.

        Parameters
        ----------
        topic : str
            Created when it does not exist, unless ``auto.create.topics.enable`` is off.
        value, key : str or bytes, optional
            Of a typed topic a dict of columns, and no key.
        partition : int, default -1
            By the key, or one after another.
        callback, on_delivery : callable, optional
            Called as ``f(error, message)`` by :meth:`poll` or :meth:`flush`.
        timestamp : int, default 0
            Milliseconds since 1970; 0: now.
        headers : dict or list of tuples, optional

        Raises
        ------
        BufferError
            If so many messages wait as the queue may hold; :meth:`poll`, and try again.
        KafkaException
            If it cannot be sent.
        """
        if self._is_closed:
            raise RuntimeError("Producer has been closed")
        if len(self._pending) >= self._most:
            self._forget_done()
            if len(self._pending) >= self._most:
                raise BufferError("Local: Queue full")
        try:
            if partition < 0 and timestamp == 0 and headers is None and self._choose is None:
                delivery = self._send(topic, value, key=key)
            else:
                options = self._options(topic, key, partition, timestamp, headers)
                delivery = self._send(topic, value, key=key, **options)
        except errors.StreamError as error:
            options = self._options(topic, key, partition, timestamp, headers)
            delivery = self._sent_otherwise(error, topic, value, key, options)
        report = on_delivery or callback or self._on_delivery
        if report is None:
            self._pending.append(delivery)
        else:
            self._pending.append((delivery, report, time.monotonic(), topic, value, key))
        if self._waiters:
            self._wake()

    def produce_batch(
        self,
        topic: str,
        messages: list[dict[str, Any]],
        partition: int = -1,
        callback: DeliveryCallback | None = None,
        on_delivery: DeliveryCallback | None = None,
    ) -> int:
        """Send messages, each a dict of ``value``, ``key``, ``partition`` and so on.

        Returns
        -------
        int
            How many were taken; each other has its error as ``_error``.
        """
        if not isinstance(messages, list):
            raise TypeError("messages must be a list")
        taken = 0
        for message in messages:
            if not isinstance(message, dict):
                raise TypeError("each message must be a dict")
            report = message.get("on_delivery") or message.get("callback")
            try:
                self.produce(
                    topic,
                    message.get("value"),
                    message.get("key"),
                    message.get("partition", partition),
                    report or on_delivery or callback,
                    timestamp=message.get("timestamp", 0),
                    headers=message.get("headers"),
                )
                taken += 1
            except BufferError:
                message["_error"] = KafkaError(KafkaError._QUEUE_FULL)
            except Exception as error:
                known = error.args and isinstance(error.args[0], KafkaError)
                message["_error"] = (
                    error.args[0] if known else KafkaError(KafkaError._INVALID_ARG, str(error))
                )
        return taken

    # -- reports ---------------------------------------------------------------------------------

    def poll(self, timeout: float | None = -1) -> int:
        """Give reports that are due, waiting for the first one so many seconds.

        Returns
        -------
        int
            How many were given.
        """
        self._check_open()
        if timeout == 0 and not self._is_report_due():
            return 0
        served = self._serve()
        if served or timeout == 0:
            return served
        deadline = None if timeout is None or timeout < 0 else time.monotonic() + timeout
        while not served:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return 0
            self._wait_for_report(left)
            served = self._serve()
            if not served:
                self._check_open()
        return served

    def flush(self, timeout: float | None = -1) -> int:
        """Wait until everything is appended, and give the reports.

        Returns
        -------
        int
            How many messages are left after so many seconds.
        """
        self._check_open()
        deadline = None if timeout is None or timeout < 0 else time.monotonic() + timeout
        while self._pending:
            left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
            if self._native is None:
                break
            try:
                self._native.flush(None if left is None else timedelta(seconds=left))
            except errors.RequestTimeoutError:
                self._serve()
                break
            except errors.StreamError as error:
                LOGGER.debug("a flush found an error, which its report tells: %s", error)
            self._serve()
        return len(self._pending)

    def purge(self, in_queue: bool = True, in_flight: bool = True, blocking: bool = True) -> None:
        """Raise: what was sent to a log is being appended already."""
        raise raised(
            errors.NotSupportedError(
                "purge() is not built: messages are on their way into the log. Use flush()."
            )
        )

    def __len__(self) -> int:
        if self._is_closed:
            return 0
        self._forget_done()
        return len(self._pending)

    def __bool__(self) -> bool:
        return True

    # -- the log ---------------------------------------------------------------------------------

    @translated
    def list_topics(self, topic: str | None = None, timeout: float = -1) -> ClusterMetadata:
        """Return the topics of the log, or one of them."""
        self._check_open()
        return cluster_metadata(self._log, topic)

    def cluster_id(self, timeout: float = -1) -> str:
        """Return what stands for the cluster: the directory."""
        return cluster_id(self._log)

    def set_sasl_credentials(self, username: str, password: str) -> None:
        """Do nothing: nobody asks for credentials."""

    def close(self) -> bool:
        """Flush, and close the producer."""
        if not self._is_closed:
            try:
                if self._is_in_transaction:
                    with contextlib.suppress(errors.FencedError):  # who fenced it has aborted it
                        self.abort_transaction()
                self.flush()
            finally:
                self._is_closed = True
                self._wake()
                try:
                    if self._native is not None:
                        self._native.close()
                except errors.StreamError as error:
                    LOGGER.debug("closing found an error, which its report told: %s", error)
                self._log.close()
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- helpers ---------------------------------------------------------------------------------

    def _options(
        self, topic: str, key: Any, partition: int, timestamp: int, headers: Headers | None
    ) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if partition >= 0:
            options["partition"] = operator.index(partition)
        elif self._choose is not None and isinstance(topic, str):
            options["partition"] = self._chosen(topic, key)
        if timestamp != 0:
            options["timestamp"] = operator.index(timestamp) * 1000
        if headers is not None:
            options["headers"] = header_list(headers)
        return options

    def _chosen(self, topic: str, key: Any) -> int | None:
        assert self._choose is not None
        try:
            count = self._log.topic(topic).partitions
        except errors.UnknownTopicError as error:
            self._create(error, topic)
            count = self._log.topic(topic).partitions
        if key is not None and not isinstance(key, bytes):
            key = key.encode() if isinstance(key, str) else bytes(key)
        return self._choose(key, count)

    def _create(self, error: errors.UnknownTopicError, topic: str) -> None:
        if self._partitions is None or error.partition is not None:
            raise error
        create_topic(self._log, topic, self._partitions)

    def _sent_otherwise(
        self, error: errors.StreamError, topic: Any, value: Any, key: Any, options: dict[str, Any]
    ) -> Delivery:
        """Create the topic and send again, or raise what the library would."""
        if isinstance(error, KafkaException):
            raise error
        if not isinstance(topic, str):
            raise TypeError(f"argument 1 must be str, not {type(topic).__name__}") from error
        try:
            if isinstance(error, errors.UnknownTopicError) and error.partition is None:
                self._create(error, topic)
                return self._send(topic, value, key=key, **options)
        except errors.StreamError as second:
            error = second
        if isinstance(error, errors.BufferFullError):
            raise BufferError("Local: Queue full") from error
        if isinstance(error, errors.SchemaError):
            is_row = isinstance(value, Mapping) and self._log.topic(topic).is_typed
            for given in (key,) if is_row else (value, key):
                if given is not None and not isinstance(given, bytes | str):
                    raise TypeError(
                        f"a bytes-like object is required, not '{type(given).__name__}'"
                    ) from error
        if isinstance(error, errors.UnknownTopicError) and error.partition is not None:
            raise raised(error, KafkaError._UNKNOWN_PARTITION) from error
        raise raised(error) from error

    def _is_report_due(self) -> bool:
        try:
            entry = self._pending[0]
        except IndexError:
            return False
        return entry[0].done() if isinstance(entry, tuple) else entry.done()

    def _serve(self) -> int:
        served = 0
        while True:
            with self._serving:
                entry = self._pop_done()
            if entry is None:
                return served
            if isinstance(entry, tuple) and self._report(entry):
                served += 1

    def _pop_done(self) -> Delivery | _Reported | None:
        pending = self._pending
        while pending:
            entry = pending[0]
            if type(entry) is tuple:
                return pending.popleft() if entry[0].done() else None
            assert isinstance(entry, Delivery)
            if not entry.done():
                return None
            pending.popleft()
            _note_silent_error(entry)
        return None

    def _forget_done(self) -> None:
        """Make room where nobody waits for a report."""
        with self._serving:
            pending = self._pending
            while pending:
                entry = pending[0]
                if type(entry) is tuple or not entry.done():  # type: ignore[union-attr]
                    return
                pending.popleft()
                assert isinstance(entry, Delivery)
                _note_silent_error(entry)

    def _report(self, entry: _Reported) -> bool:
        """Call a delivery report back; return whether there was something to tell."""
        delivery, callback, sent_at, topic, value, key = entry
        error = delivery.exception()
        if error is None and self._only_errors:
            return False
        value = value.encode() if isinstance(value, str) else value
        key = key.encode() if isinstance(key, str) else key
        if error is not None:
            failed = to_kafka_error(error)
            if isinstance(error, errors.InvalidTransactionStateError):  # its transaction is aborted
                failed = KafkaError(KafkaError._PURGE_QUEUE, str(error))
            callback(failed, Message(topic, None, OFFSET_INVALID, key, value, None, failed))
            return True
        where = delivery.result()
        stamp = (self._stamps.type_of(topic), where.timestamp // 1000)
        latency = time.monotonic() - sent_at
        message = Message(
            where.topic, where.partition, where.offset, key, value, None, None, stamp, latency
        )
        callback(None, message)
        return True

    def _wait_for_report(self, seconds: float | None) -> None:
        try:
            entry = self._pending[0]
        except IndexError:
            self._wait_for_message(seconds)
            return
        delivery = entry[0] if isinstance(entry, tuple) else entry
        try:
            delivery.exception(None if seconds is None else timedelta(seconds=seconds))
        except errors.RequestTimeoutError:
            return

    def _wait_for_message(self, seconds: float | None) -> None:
        """Wait until another thread sends something, or closes the producer."""
        waiter = threading.Event()
        self._waiters.add(waiter)
        try:
            if not (self._pending or self._is_closed):
                waiter.wait(seconds)
        finally:
            self._waiters.discard(waiter)

    def _wake(self) -> None:
        for waiter in self._waiters.copy():
            waiter.set()


def _note_silent_error(delivery: Delivery) -> None:
    error = delivery.exception()
    if error is not None and not isinstance(error, errors.InvalidTransactionStateError):
        LOGGER.error("a message without a delivery report was not appended: %s", error)


def _not_initialized(*_: object, **__: object) -> Delivery:
    raise KafkaException(KafkaError(KafkaError._STATE, "init_transactions() must be called first"))
