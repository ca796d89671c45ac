"""KafkaConsumer, on a log."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from pystream import errors
from pystream._native import Record
from pystream.compat.group_identity import GroupIdentity
from pystream.compat.kafka.consumer_offsets import ConsumerOffsets, checked
from pystream.compat.kafka.errors import (
    IllegalStateError,
    KafkaConfigurationError,
    KafkaError,
    NoOffsetForPartitionError,
    raised,
)
from pystream.compat.kafka.listeners import (
    AsyncConsumerRebalanceListener,
    ConsumerRebalanceListener,
)
from pystream.compat.kafka.serializer import deserializing
from pystream.compat.kafka.settings import CONSUMER, Settings
from pystream.compat.kafka.structs import (
    ConsumerGroupMetadata,
    ConsumerRecord,
    MemberState,
)
from pystream.compat.kafka.translated import translated
from pystream.compat.reader import Reader
from pystream.compat.wanted_topics import WantedTopics, prefix_pattern
from pystream.types import TopicPartition

__all__ = ["KafkaConsumer"]

_ONE_WAY = (
    "You must choose only one way to configure your consumer: (1) subscribe to specific topics by "
    "name, (2) subscribe to topics matching a regex pattern, (3) assign itself specific "
    "topic-partitions."
)


class KafkaConsumer(ConsumerOffsets):
    """Reads topics record by record or in polls, alone or as a member of a group.

    Parameters
    ----------
    *topics : str
        Subscribed to; none: call :meth:`subscribe` or :meth:`assign`.
    **configs
        kafka-python's settings. ``log_directory``, or ``bootstrap_servers`` with a slash in it, is
        the directory of the log.

    Notes
    -----
    One thread at a time.

    Examples
    --------
    >>> import tempfile
    >>> from pystream.compat.kafka import KafkaProducer
    >>> with tempfile.TemporaryDirectory() as place:
    ...     with KafkaProducer(log_directory=place) as producer:
    ...         _ = producer.send("lines", b"first")
    ...     with KafkaConsumer(
    ...         "lines", log_directory=place, auto_offset_reset="earliest", consumer_timeout_ms=10
    ...     ) as consumer:
    ...         [record.value for record in consumer]
    [b'first']
    """

    def __init__(self, *topics: str, **configs: Any) -> None:
        settings = Settings(configs, CONSUMER, KafkaConfigurationError)
        self._key_deserializer = deserializing(settings.get("key_deserializer"))
        self._value_deserializer = deserializing(settings.get("value_deserializer"))
        self._deserializers = (settings.get("key_deserializer"), settings.get("value_deserializer"))
        self._group_id: str | None = settings.get("group_id")
        self._instance_id: str | None = settings.get("group_instance_id")
        if self._instance_id is not None and self._group_id is None:
            raise KafkaConfigurationError("group_instance_id requires group_id")
        self._on_commit = settings.get("default_offset_commit_callback")
        self._max_poll_records = int(settings.get("max_poll_records", 500))
        wait_ms = settings.get("consumer_timeout_ms", float("inf"))
        self._wait = None if wait_ms == float("inf") or wait_ms < 0 else wait_ms / 1000
        reset = settings.get("auto_offset_reset", "latest")
        isolation_level = settings.get("isolation_level", "read_uncommitted")
        if isolation_level not in ("read_committed", "read_uncommitted"):
            raise KafkaConfigurationError("Unrecognized isolation_level")
        options: dict[str, Any] = {
            "max_poll_records": self._max_poll_records,
            "isolation_level": isolation_level,
        }
        if self._group_id is not None:
            options |= {
                "group_id": self._group_id,
                "group_instance_id": self._instance_id,
                "partition_assignment_strategy": settings.assignor(),
                "enable_auto_commit": bool(settings.get("enable_auto_commit", True)),
                "auto_commit_interval": timedelta(
                    milliseconds=settings.get("auto_commit_interval_ms", 5000)
                ),
                "session_timeout": timedelta(
                    milliseconds=settings.get("session_timeout_ms", 45_000)
                ),
            }
            if settings.has("max_poll_interval_ms"):
                options["max_poll_interval"] = timedelta(
                    milliseconds=settings.get("max_poll_interval_ms")
                )
        self._log = settings.open_log()
        try:
            self._reader = Reader(
                self._log,
                reset=reset if reset in ("earliest", "latest") else "none",
                partitions=settings.created_partitions(),
                on_assign=self._assigned,
                on_revoke=self._revoked,
                on_lost=self._lost,
                on_nowhere=self._nowhere,
                settings=options,
            )
        except errors.StreamError as error:
            self._log.close()
            raise raised(error) from error
        self._stamp_types: dict[str, int] = {}
        self._listener: ConsumerRebalanceListener | AsyncConsumerRebalanceListener | None = None
        self._way: str | None = None
        if topics:
            self.subscribe(topics)

    # -- records ---------------------------------------------------------------------------------

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ConsumerRecord:
        reader = self._reader
        try:
            if reader.nowhere:
                raise NoOffsetForPartitionError(set(reader.nowhere))
            if reader.plain is not None and reader.wait == self._wait:
                record = next(reader.plain, None)
            elif reader.is_closed:
                raise StopIteration
            else:
                record = reader.next(self._wait)
            if record is not None:
                return self._record(record)
        except errors.StreamError as error:
            raise self._behind(error) from error
        raise StopIteration

    @translated
    def poll(
        self, timeout_ms: float = 0, max_records: int | None = None, update_offsets: bool = True
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Return the records that are there, waiting for the first.

        Parameters
        ----------
        timeout_ms : int, default 0
            How many milliseconds to wait.
        max_records : int, optional
            Default: ``max_poll_records``.
        update_offsets : bool, default True
            Without a meaning, as in the library for its users.
        """
        if timeout_ms < 0:
            raise ValueError("Timeout must not be negative")
        most = self._max_poll_records if max_records is None else max_records
        if not isinstance(most, int):
            raise TypeError("max_records must be an integer")
        if most <= 0:
            raise ValueError("max_records must be positive")
        reader = self._reader
        self._check_open()
        reader.settle()
        wait = None if timeout_ms == float("inf") else timeout_ms / 1000
        for step in reader.steps(wait):
            polled = self._polled(step, most)
            if polled:
                return polled
        return {}

    def _polled(self, wait: float | None, most: int) -> dict[TopicPartition, list[ConsumerRecord]]:
        reader = self._reader
        reader.forget_iteration()
        if reader.nowhere:
            raise NoOffsetForPartitionError(set(reader.nowhere))
        limit = timedelta(days=36_500) if wait is None else timedelta(seconds=wait)
        try:
            found = reader.consumer.poll(limit, max_records=most)
        except errors.StreamError as error:
            raise self._behind(error) from error
        polled: dict[TopicPartition, list[ConsumerRecord]] = {}
        try:
            for name, records in found.items():
                made = polled[name] = []
                for record in records:
                    made.append(self._record(record))
        except Exception as error:
            # Nothing else is lost by it: what was not made into records yet is read again.
            for name, records in found.items():
                made = polled.get(name, [])
                if len(made) < len(records):
                    reader.seek(name, records[len(made)].offset)
            polled = {name: made for name, made in polled.items() if made}
            if not polled:
                if isinstance(error, errors.CorruptRecordError):
                    raise self._behind(error) from error
                raise
        return polled

    # -- what is read ----------------------------------------------------------------------------

    @translated
    def subscribe(
        self,
        topics: Sequence[str] = (),
        pattern: str | None = None,
        listener: ConsumerRebalanceListener | AsyncConsumerRebalanceListener | None = None,
    ) -> None:
        """Read these topics, and no others; the group is joined by the next :meth:`poll`.

        Parameters
        ----------
        topics : list of str
        pattern : str, optional
            Instead: topics whose name it matches from the beginning, now and later.
        listener : ConsumerRebalanceListener, optional
        """
        self._check_open()
        if not topics and not pattern:
            raise ValueError("Must provide topics or pattern")
        if topics and pattern:
            raise IllegalStateError(_ONE_WAY)
        if isinstance(topics, str) or not isinstance(topics, Sequence):
            raise TypeError("Topics must be a list (or non-str sequence)")
        if listener is not None and not isinstance(
            listener, ConsumerRebalanceListener | AsyncConsumerRebalanceListener
        ):
            raise TypeError("listener must be a ConsumerRebalanceListener")
        self._choose_way("pattern" if pattern else "topics")
        for topic in topics:
            if not isinstance(topic, str):
                raise TypeError("topic must be string")
        self._listener = listener
        self._reader.subscribe(WantedTopics(topics, [prefix_pattern(pattern)] if pattern else []))

    @translated
    def unsubscribe(self) -> None:
        """Read nothing any more, and leave the group."""
        self._check_open()
        self._reader.unsubscribe()
        self._way = None

    @translated
    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """Read exactly these partitions, without the group's sharing."""
        self._check_open()
        names = [checked(partition) for partition in partitions]
        if not names:
            self.unsubscribe()
            return
        self._choose_way("assign")
        self._reader.assign(dict.fromkeys(names))

    @translated
    def subscription(self) -> set[str] | None:
        """Return the topics subscribed to, or None."""
        wanted = self._reader.wanted
        if wanted is None:
            return None
        return {*wanted.names, *wanted.matching(self._log.topics())}

    @translated
    def pause(self, *partitions: TopicPartition) -> None:
        """Read nothing from these."""
        self._reader.pause(self._assigned_names(partitions))

    @translated
    def resume(self, *partitions: TopicPartition) -> None:
        """Go on with these."""
        self._reader.resume(self._assigned_names(partitions))

    def paused(self) -> set[TopicPartition]:
        """Return the partitions that are paused."""
        return self._reader.consumer.paused()

    # -- the group -------------------------------------------------------------------------------

    @translated
    def group_metadata(self) -> ConsumerGroupMetadata:
        """Return what ``KafkaProducer.send_offsets_to_transaction`` needs to know."""
        member_id = self._reader.member_id()
        if self._group_id is None or member_id is None:
            return ConsumerGroupMetadata(self._group_id, group_instance_id=self._instance_id)
        group = self._log.describe_group(self._group_id)
        mine = next((m for m in group.members if m.member_id == member_id), None)
        is_stable = mine is not None and mine.assignment == mine.target_assignment
        return ConsumerGroupMetadata(
            self._group_id,
            -1 if mine is None else mine.member_epoch,
            member_id,
            self._instance_id,
            MemberState.STABLE if is_stable else MemberState.REBALANCING,
            GroupIdentity(self._reader.consumer.consumer_group_metadata()),
        )

    # -- the log ---------------------------------------------------------------------------------

    @translated
    def topics(self) -> set[str]:
        """Return the names of all topics."""
        return set(self._log.topics())

    @translated
    def partitions_for_topic(self, topic: str) -> set[int]:
        """Return the partitions of a topic; empty when it does not exist."""
        try:
            return set(range(self._log.topic(topic).partitions))
        except errors.UnknownTopicError:
            return set()

    def bootstrap_connected(self) -> bool:
        """Return whether the consumer can be used."""
        return not self._reader.is_closed

    def bootstrap(self, timeout_ms: float | None = None, refresh: bool = False) -> None:
        """Do nothing: there is nobody to connect to."""

    def metrics(self, raw: bool = False) -> dict[str, dict[str, int]]:
        """Return counters by group and name; fewer than the library has."""
        return self._reader.consumer.metrics()

    # -- life ------------------------------------------------------------------------------------

    @translated
    def close(self, autocommit: bool = True, timeout_ms: float | None = None) -> None:
        """Leave the group, with the positions committed if that is asked for."""
        if self._reader.is_closed:
            return
        try:
            self._reader.close(is_processed=autocommit)
        finally:
            self._log.close()
            for deserializer in self._deserializers:
                if hasattr(deserializer, "close"):
                    deserializer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(autocommit=error is None)

    # -- called by the reader --------------------------------------------------------------------

    def _assigned(self, partitions: list[TopicPartition]) -> None:
        if self._listener is not None:
            _run(self._listener.on_partitions_assigned(set(partitions)))

    def _revoked(self, partitions: list[TopicPartition]) -> None:
        if self._listener is not None:
            _run(self._listener.on_partitions_revoked(set(partitions)))

    def _lost(self, partitions: list[TopicPartition]) -> None:
        if self._listener is not None:
            _run(self._listener.on_partitions_lost(set(partitions)))

    def _nowhere(self, partitions: list[TopicPartition]) -> None:
        """Leave it to whoever asks for records: then the error is raised."""

    # -- helpers ---------------------------------------------------------------------------------

    def _record(self, record: Record) -> ConsumerRecord:
        topic = record.topic
        stamp_type = self._stamp_types.get(topic)
        if stamp_type is None:
            is_append = self._log.topic(topic).timestamp_type == "append_time"
            stamp_type = self._stamp_types[topic] = int(is_append)
        key, value, headers = record.key, record.value, record.headers
        key_size = len(key) if isinstance(key, bytes) else -1
        value_size = len(value) if isinstance(value, bytes) else -1
        header_size = -1
        if headers:
            header_size = sum(len(name.encode()) + len(held or b"") for name, held in headers)
        try:
            if self._key_deserializer is not None:
                key = self._key_deserializer(topic, headers, key)
            if self._value_deserializer is not None:
                value = self._value_deserializer(topic, headers, value)
        except BaseException:  # the program may know better, and read it again
            self._reader.seek(TopicPartition(topic, record.partition), record.offset)
            raise
        return ConsumerRecord(
            topic,
            record.partition,
            -1,
            record.offset,
            record.timestamp // 1000,
            stamp_type,
            key,
            value,
            headers,
            None,
            key_size,
            value_size,
            header_size,
        )

    def _behind(self, error: errors.StreamError) -> KafkaError:
        """Return what is raised; the consumer goes on behind records that are damaged."""
        if (
            isinstance(error, errors.CorruptRecordError)
            and not isinstance(error, KafkaError)
            and error.topic is not None
            and error.partition is not None
            and error.next_offset is not None
        ):
            self._reader.seek(TopicPartition(error.topic, error.partition), error.next_offset)
        return raised(error)

    def _choose_way(self, way: str) -> None:
        if self._way not in (None, way):
            raise IllegalStateError(_ONE_WAY)
        self._way = way

    def _assigned_names(self, partitions: Iterable[TopicPartition]) -> list[TopicPartition]:
        names = [checked(partition) for partition in partitions]
        for name in names:
            self._check_assigned(name)
        return names


def _run(outcome: object) -> None:
    """Run what an asynchronous listener returned to its end."""
    if inspect.iscoroutine(outcome):
        asyncio.run(outcome)
