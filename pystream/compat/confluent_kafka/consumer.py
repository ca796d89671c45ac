"""The consumer of confluent-kafka, on a log."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from types import TracebackType
from typing import Any, Self

from pystream import errors, types
from pystream.compat.confluent_kafka.consumer_offsets import ConsumerOffsets
from pystream.compat.confluent_kafka.kafka_error import (
    KafkaError,
    KafkaException,
    raised,
    to_kafka_error,
)
from pystream.compat.confluent_kafka.message import (
    OFFSET_STORED,
    ConsumedMessage,
    Message,
    TimestampTypes,
    TopicPartition,
)
from pystream.compat.confluent_kafka.metadata import ClusterMetadata, cluster_id, cluster_metadata
from pystream.compat.confluent_kafka.settings import Settings
from pystream.compat.confluent_kafka.translated import translated
from pystream.compat.group_identity import GroupIdentity
from pystream.compat.reader import Reader
from pystream.compat.wanted_topics import WantedTopics, prefix_pattern

__all__ = ["Consumer"]

RebalanceCallback = Callable[["Consumer", list[TopicPartition]], object]
_CONSUME_MOST = 1_000_000


class Consumer(ConsumerOffsets):
    """Reads topics message by message, alone or as a member of a group.

    Parameters
    ----------
    config : dict
        librdkafka's properties, ``group.id`` among them. ``log.directory``, or
        ``bootstrap.servers`` with a slash in it, is the directory of the log.
    **more
        More of them.

    Notes
    -----
    One thread at a time.

    Examples
    --------
    >>> import tempfile
    >>> from pystream.compat.confluent_kafka import Producer
    >>> with tempfile.TemporaryDirectory() as place:
    ...     with Producer({"log.directory": place}) as producer:
    ...         producer.produce("lines", "first")
    ...     settings = {"log.directory": place, "group.id": "g", "auto.offset.reset": "earliest"}
    ...     with Consumer(settings) as consumer:
    ...         consumer.subscribe(["lines"])
    ...         consumer.poll(10).value()
    b'first'
    """

    def __init__(self, config: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        if config is None and not more:
            raise TypeError("expected configuration dict")
        settings = Settings({} if config is None else config, more)
        if not settings.text("group.id"):
            raise ValueError("Failed to create consumer: group.id must be set")
        self._on_commit = settings.callback("on_commit")
        self._tells_ends = settings.flag("enable.partition.eof", False)
        self._is_auto_store = settings.flag("enable.auto.offset.store", True)
        is_auto = settings.flag("enable.auto.commit", settings.flag("auto.commit.enable", True))
        interval = settings.number("auto.commit.interval.ms", default=5000) / 1000
        # Offsets that the program stores are committed here, positions by the log's consumer.
        self._auto_seconds = interval if is_auto and not self._is_auto_store else None
        self._auto_at = time.monotonic() + interval
        self._looks_around = self._tells_ends or self._auto_seconds is not None
        creates = settings.flag("allow.auto.create.topics", False)
        self._group_id = settings.text("group.id")
        levels = {name: name for name in ("read_committed", "read_uncommitted")}
        options: dict[str, Any] = {
            "isolation_level": settings.choice(
                "isolation.level", choices=levels, default="read_committed"
            ),
            "group_id": self._group_id,
            "group_instance_id": settings.text("group.instance.id"),
            "partition_assignment_strategy": settings.assignor(),
            "enable_auto_commit": is_auto and self._is_auto_store,
            "auto_commit_interval": timedelta(seconds=interval),
            "session_timeout": timedelta(
                milliseconds=settings.number("session.timeout.ms", default=45_000, least=1)
            ),
        }
        if settings.has("max.poll.interval.ms"):
            options["max_poll_interval"] = timedelta(
                milliseconds=settings.number("max.poll.interval.ms", default=0, least=1)
            )
        reset = settings.offset_reset()
        partitions = settings.whole("num.partitions", default=1, least=1) if creates else None
        self._log = settings.open_log()
        try:
            self._reader = Reader(
                self._log,
                reset=reset,
                partitions=partitions,
                on_assign=self._assigned,
                on_revoke=self._revoked,
                on_lost=self._lost,
                on_nowhere=self._nowhere,
                settings=options,
            )
        except errors.StreamError as error:
            self._log.close()
            raise raised(error) from error
        self._stamps = TimestampTypes(self._log)
        self._stamp_type = self._stamps.type_of
        self._events: deque[Message] = deque()
        self._commits: deque[tuple[KafkaError | None, list[TopicPartition]]] = deque()
        self._callbacks: tuple[RebalanceCallback | None, ...] = (None, None, None)
        self._stored: dict[types.TopicPartition, int] = {}
        self._committed: dict[types.TopicPartition, int] = {}
        self._told_ends: dict[types.TopicPartition, int] = {}
        self._told_missing: frozenset[str] = frozenset()
        self._in_callback: str | None = None
        self._coming: set[types.TopicPartition] = set()  # in on_assign

    # -- messages --------------------------------------------------------------------------------

    def poll(self, timeout: float | None = -1) -> Message | None:
        """Return the next message or event, or None when nothing came within so many seconds."""
        wait = None if timeout is None or timeout < 0 else timeout
        if self._events or self._looks_around or self._commits:
            return self._poll_with_events(wait)
        reader = self._reader
        try:
            if reader.plain is not None and reader.wait == wait:
                record = next(reader.plain, None)
            else:
                reader.settle()
                event = self._next_event()
                if event is not None:
                    return event
                record = self._next(wait)
        except errors.StreamError as error:
            return self._event_of(error)
        if record is not None:
            return ConsumedMessage(record, self._stamp_type(record.topic))
        self._report_commits()
        return self._next_event()

    def consume(self, num_messages: int = 1, timeout: float = -1) -> list[Message]:
        """Return messages: so many, or what came within so many seconds."""
        self._check_open()
        if not 0 <= num_messages <= _CONSUME_MOST:
            raise ValueError("num_messages must be between 0 and 1000000 (1M)")
        deadline = None if timeout is None or timeout < 0 else time.monotonic() + timeout
        found: list[Message] = []
        while len(found) < num_messages:
            if not (self._events or self._looks_around or self._commits):
                self._take_ready(found, num_messages)
                if len(found) >= num_messages:
                    break
            left = -1.0 if deadline is None else max(deadline - time.monotonic(), 0.0)
            message = self.poll(left)
            if message is not None:
                found.append(message)
            elif left == 0.0:
                break
        return found

    def _take_ready(self, found: list[Message], most: int) -> None:
        """Add the messages that are there."""
        stamp_type = self._stamp_type
        try:
            for record in islice(self._reader.ready(0.0), most - len(found)):
                found.append(ConsumedMessage(record, stamp_type(record.topic)))
        except errors.StreamError as error:
            found.append(self._event_of(error))

    def _poll_with_events(self, wait: float | None) -> Message | None:
        self._check_open()
        self._report_commits()
        event = self._next_event()
        if event is not None:
            return event
        if self._auto_seconds is not None and time.monotonic() >= self._auto_at:
            self._commit_stored()
        try:
            record = self._reader.next(0.0)
            if record is None:
                event = self._next_event() or self._next_end()
                if event is not None or wait == 0.0:
                    return event
                record = self._next(wait)
        except errors.StreamError as error:
            return self._event_of(error)
        self._report_commits()
        if record is None:
            return self._next_event() or self._next_end()
        return ConsumedMessage(record, self._stamp_type(record.topic))

    def _next_event(self) -> Message | None:
        missing = self._reader.missing
        if missing != self._told_missing:
            for name in sorted(missing - self._told_missing):
                self._tell(KafkaError.UNKNOWN_TOPIC_OR_PART, name, 0)
            self._told_missing = missing
        return self._events.popleft() if self._events else None

    def _next_end(self) -> Message | None:
        """Return an event for a partition that was read to its end since it had one."""
        if not self._tells_ends:
            return None
        consumer = self._reader.consumer
        for name in sorted(consumer.assignment() - consumer.paused()):
            at = consumer.position(name)
            if self._told_ends.get(name) != at and at >= consumer.end_offsets([name])[name]:
                self._told_ends[name] = at
                reason = f"Reached end of partition at offset {at}"
                error = KafkaError(KafkaError._PARTITION_EOF, reason)
                return Message(name.topic, name.partition, at, None, reason.encode(), None, error)
        return None

    def _tell(self, code: int, topic: str, partition: int, reason: str = "") -> None:
        reason = reason or f"Subscribed topic not available: {topic}"
        error = KafkaError(code, reason)
        self._events.append(Message(topic, partition, None, None, reason.encode(), None, error))

    def _event_of(self, error: errors.StreamError) -> Message:
        """Return an error of reading as a message; one of damaged records is behind us then."""
        if isinstance(error, KafkaException):  # of a callback
            raise error
        if isinstance(error, errors.ClosedError):
            raise RuntimeError("Consumer closed") from error
        topic, partition = getattr(error, "topic", None), getattr(error, "partition", None)
        if isinstance(error, errors.CorruptRecordError) and topic is not None:
            assert partition is not None
            name = types.TopicPartition(topic, partition)
            if error.next_offset is not None:
                self._reader.seek(name, error.next_offset)
        offset = getattr(error, "offset", None)
        return Message(
            topic, partition, offset, None, str(error).encode(), None, to_kafka_error(error)
        )

    # -- what is read ----------------------------------------------------------------------------

    def subscribe(
        self,
        topics: Sequence[str],
        on_assign: RebalanceCallback | None = None,
        on_revoke: RebalanceCallback | None = None,
        on_lost: RebalanceCallback | None = None,
    ) -> None:
        """Read these topics, and no others; names that begin with ``^`` are patterns.

        The group is joined, and callbacks run, within :meth:`poll` and :meth:`consume`.
        """
        self._check_open()
        if not isinstance(topics, list | tuple) or not all(isinstance(t, str) for t in topics):
            raise TypeError("expected list of topic unicode strings")
        if not topics or not all(topics):
            raise self._invalid("Failed to set subscription: Local: Invalid argument")
        for callback in (on_assign, on_revoke, on_lost):
            if callback is not None and not callable(callback):
                raise TypeError("on_assign, on_revoke and on_lost must be callable")
        patterns = [prefix_pattern(topic) for topic in topics if topic.startswith("^")]
        names = [topic for topic in topics if not topic.startswith("^")]
        try:
            wanted = WantedTopics(names, patterns)
        except re.error as error:
            raise self._invalid(str(error)) from error
        self._callbacks = (on_assign, on_revoke, on_lost)
        self._told_missing = frozenset()
        self._reader.subscribe(wanted)

    @translated
    def unsubscribe(self) -> None:
        """Read nothing any more, and leave the group."""
        self._check_open()
        self._reader.unsubscribe()

    @translated
    def assign(self, partitions: list[TopicPartition]) -> None:
        """Read exactly these partitions, from their ``offset`` on where that is one.

        In ``on_assign`` it says where the partitions that came begin; those that are left out are
        paused.
        """
        self._check_open()
        if self._in_callback == "assign":
            self._start(partitions)
            return
        self._told_missing = frozenset()
        places: dict[types.TopicPartition, int | None] = {}
        for partition in partitions:
            try:
                places[self._known(partition)] = self._offset_of(partition)
            except errors.UnknownTopicError as error:
                self._tell(
                    KafkaError.UNKNOWN_TOPIC_OR_PART,
                    partition.topic,
                    partition.partition,
                    str(error),
                )
        # Unlike the log's own, this begins anew where a partition was read before.
        self._reader.assign({})
        self._forget(places)
        self._reader.assign(places)

    @translated
    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        """Read these partitions too."""
        self._check_open()
        if self._in_callback == "assign":
            self._start(partitions)
            return
        present = self._reader.consumer.assignment()
        fresh = {self._known(each): self._offset_of(each) for each in partitions}
        for name in fresh:
            if name in present:
                raise KafkaException(
                    KafkaError(KafkaError._CONFLICT, f"{name.topic} [{name.partition}] is assigned")
                )
        self._reader.assign(fresh, kept=present)

    @translated
    def unassign(self) -> None:
        """Read nothing; in ``on_revoke`` that is what happens anyway."""
        self._check_open()
        if self._in_callback is None:
            self._reader.assign({})

    @translated
    def incremental_unassign(self, partitions: list[TopicPartition]) -> None:
        """Read these no more; in ``on_revoke`` that is what happens anyway."""
        self._check_open()
        if self._in_callback is not None:
            return
        gone = {self._name(partition) for partition in partitions}
        self._reader.assign({}, kept=self._reader.consumer.assignment() - gone)

    @translated
    def assignment(self) -> list[TopicPartition]:
        """Return the partitions that are read."""
        self._check_open()
        names = sorted(self._reader.consumer.assignment())
        return [TopicPartition(topic, number, OFFSET_STORED) for topic, number in names]

    @translated
    def pause(self, partitions: list[TopicPartition]) -> None:
        """Read nothing from these; one that is not assigned gets its error."""
        self._check_open()
        self._reader.pause(self._assigned_of(partitions))

    @translated
    def resume(self, partitions: list[TopicPartition]) -> None:
        """Go on with these; one that is not assigned gets its error."""
        self._check_open()
        self._reader.resume(self._assigned_of(partitions))

    # -- the group and the log -------------------------------------------------------------------

    @translated
    def consumer_group_metadata(self) -> GroupIdentity:
        """Return what `Producer.send_offsets_to_transaction` needs to know of this member."""
        self._check_open()
        return GroupIdentity(self._reader.consumer.consumer_group_metadata())

    def memberid(self) -> str | None:
        """Return what the group calls this member; None before it joined."""
        self._check_open()
        return self._reader.member_id()

    @translated
    def list_topics(self, topic: str | None = None, timeout: float = -1) -> ClusterMetadata:
        """Return the topics of the log, or one of them."""
        self._check_open()
        return cluster_metadata(self._log, topic)

    def cluster_id(self, timeout: float = -1) -> str:
        """Return what stands for the cluster: the directory."""
        self._check_open()
        return cluster_id(self._log)

    def set_sasl_credentials(self, username: str, password: str) -> None:
        """Do nothing: nobody asks for credentials."""

    # -- life ------------------------------------------------------------------------------------

    @translated
    def close(self) -> None:
        """Commit what is due, and leave the group."""
        self._close(is_processed=True)

    def __enter__(self) -> Self:
        return self

    @translated
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close(is_processed=error is None)

    def _close(self, *, is_processed: bool) -> None:
        if self._reader.is_closed:
            return
        try:
            if is_processed and self._auto_seconds is not None:
                self._commit_stored()
        finally:
            try:
                self._reader.close(is_processed=is_processed)
                self._report_commits()
            finally:
                self._log.close()

    # -- called by the reader --------------------------------------------------------------------

    def _assigned(self, partitions: list[types.TopicPartition]) -> None:
        self._coming = set(partitions)
        self._call_back("assign", self._callbacks[0], partitions)

    def _revoked(self, partitions: list[types.TopicPartition]) -> None:
        try:
            self._call_back("revoke", self._callbacks[1], partitions)
            if self._auto_seconds is not None:
                self._commit_stored()
        finally:
            self._forget(partitions)

    def _lost(self, partitions: list[types.TopicPartition]) -> None:
        try:
            self._call_back("lost", self._callbacks[2] or self._callbacks[1], partitions)
        finally:
            self._forget(partitions)

    def _nowhere(self, partitions: list[types.TopicPartition]) -> None:
        for topic, number in partitions:
            self._tell(
                KafkaError._AUTO_OFFSET_RESET,
                topic,
                number,
                "no previously committed offset available: Local: No offset stored",
            )

    def _call_back(
        self,
        what: str,
        callback: RebalanceCallback | None,
        partitions: Iterable[types.TopicPartition],
    ) -> None:
        if callback is None:
            return
        before, self._in_callback = self._in_callback, what
        try:
            callback(self, [TopicPartition(*name) for name in partitions])
        finally:
            self._in_callback = before

    def _forget(self, partitions: Iterable[types.TopicPartition]) -> None:
        for name in partitions:
            for known in (self._stored, self._committed, self._told_ends):
                known.pop(name, None)

    # -- helpers ---------------------------------------------------------------------------------

    def _start(self, partitions: list[TopicPartition]) -> None:
        """In on_assign: begin where the program says, and nowhere else."""
        places = {self._name(each): self._offset_of(each) for each in partitions}
        self._reader.start(places)
        left_out = self._coming - places.keys()
        if left_out:
            self._reader.pause(left_out)

    def _assigned_of(self, partitions: list[TopicPartition]) -> list[types.TopicPartition]:
        assigned = self._reader.consumer.assignment()
        found = []
        for partition in partitions:
            if self._name(partition) in assigned:
                found.append(self._name(partition))
            else:
                partition.error = KafkaError(KafkaError._UNKNOWN_PARTITION)
        return found
