"""Opening a log, and its topics."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pystream import _native, config
from pystream.errors import (
    ClosedError,
    LogError,
    NotSupportedError,
    StorageError,
    UnknownTopicError,
)
from pystream.log import fork
from pystream.log.catalog import Catalog
from pystream.log.directory import check_directory, make_directory, require_directory
from pystream.log.living import Living
from pystream.log.schema_evolution import evolved
from pystream.log.topic import Topic
from pystream.log.topic_description import TopicConfig, TopicDescription
from pystream.log.topic_file import ensure_topic_file, remove_topic_files
from pystream.log.topic_settings import described, some_topics

if TYPE_CHECKING:
    from pystream.log.backup import Backup
    from pystream.log.consumer import Consumer
    from pystream.log.group_admin import GroupDescription
    from pystream.log.producer import Producer
    from pystream.types import TopicPartition

__all__ = ["Log", "open"]


@config.names_settings
def open(
    directory: str | os.PathLike[str],
    *,
    read_only: bool = False,
    lock_timeout: str | timedelta = config.LOCK_TIMEOUT,
) -> Log:
    """Open the log in a directory; make both when they do not exist.

    Several processes may open the same directory at once.

    Parameters
    ----------
    directory : str or path
        On a local file system.
    read_only : bool, default False
        Write nothing at all: works without write permission. A log that must be recovered (after a
        power loss, or a copy) is recovered in memory, and then shows what it held when it was
        opened; so does a partition that did not exist yet.
    lock_timeout : str or timedelta, default "30s"
        How long to wait for a lock that another process holds.

    Returns
    -------
    Log
        Close it, or use it in a ``with`` statement.

    Raises
    ------
    LogError
        If the directory holds something else or a log of a newer format, is on a network file
        system, or its catalog was lost; with `read_only` also if there is no log.
    StorageError
        If the system refuses: no permission, full disk.
    NotSupportedError
        For ``kafka://`` addresses, for now.

    Examples
    --------
    >>> import tempfile, pystream as ps
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     with ps.open(directory) as log:
    ...         log.topics()
    []
    """
    path = check_directory(directory)
    return Log(path, read_only=read_only, lock_timeout=lock_timeout)


class Log:
    """Topics in a directory, shared by many processes; made by :func:`pystream.open`.

    Notes
    -----
    Any thread. Closing twice is fine; everything else raises ClosedError after it. Batches and
    arrays that were read stay valid. A forked child opens the directory anew on first use;
    producers and consumers made before the fork stay with the parent.
    """

    def __init__(
        self,
        directory: str,
        *,
        read_only: bool = False,
        lock_timeout: str | timedelta = config.LOCK_TIMEOUT,
    ) -> None:
        self._directory = os.path.abspath(directory)
        self._is_read_only = read_only
        self._lock_timeout_us = config.parse_duration_us(lock_timeout, name="lock_timeout")
        self._mutex = threading.RLock()
        self._partitions: dict[tuple[bytes, int], _native.Partition] = {}
        self._clients: Living[Producer | Consumer] = Living()
        self._is_closed = False
        (require_directory if read_only else make_directory)(self._directory)
        self._native: _native.Log | None = self._open_native()
        try:
            self._catalog = Catalog(self._directory, self._lock_timeout_us, read_only=read_only)
        except BaseException:
            self._native.close()
            raise
        fork.on_child(self)

    # -- topics --------------------------------------------------------------------------------

    @config.names_settings
    def create_topic(
        self,
        name: str,
        schema: object = None,
        key: str | Sequence[str] | None = None,
        *,
        partitions: int = 1,
        exist_ok: bool = False,
        compression: str = "none",
        segment_bytes: int | str = config.SEGMENT_BYTES,
        timestamp_type: str = "create_time",
        replication_factor: int = 1,
    ) -> Topic:
        """Create a topic.

        Parameters
        ----------
        name : str
            1 to 249 of the characters a-z, A-Z, 0-9, ``.``, ``_`` and ``-``.
        schema : dict, pyarrow.Schema or object with ``__arrow_c_schema__``, optional
            The columns: ``{"user": "string", "amount": "float64 not null"}``. Without one the topic
            has Kafka's shape: ``key`` and ``value`` of bytes, and headers.
        key : str or sequence of str, optional
            Columns whose values decide the partition of a record. Only with a schema.
        partitions : int, default 1
        exist_ok : bool, default False
            Return the topic when there is one of that name with the same properties.
        compression : {"none", "lz4"}, default "none"
            Compressed columns are not zero-copy when read.
        segment_bytes : int or str, default 256 MiB
            Size of a segment file, at least 1 MiB.
        timestamp_type : {"create_time", "append_time"}, default "create_time"
            Whether a record's timestamp is the producer's or that of the append.
        replication_factor : int, default 1
            More needs a Kafka cluster.

        Returns
        -------
        Topic

        Raises
        ------
        TopicExistsError
            If it exists, or exists with other properties.
        ConfigError
            If the name, the schema, the key or a setting is wrong.
        NotSupportedError
            If a column's type cannot be stored, or for more than one replica.

        Examples
        --------
        >>> import tempfile, pystream as ps
        >>> with tempfile.TemporaryDirectory() as directory, ps.open(directory) as log:
        ...     log.create_topic("clicks", {"page": "string", "at": "timestamp[ms]"}, key="page")
        <Topic 'clicks': 1 partitions, page: string, at: timestamp[ms]>
        """
        (topic,) = self.create_topics(
            [name],
            schema,
            key,
            partitions=partitions,
            exist_ok=exist_ok,
            compression=compression,
            segment_bytes=segment_bytes,
            timestamp_type=timestamp_type,
            replication_factor=replication_factor,
        )
        return topic

    @config.names_settings
    def create_topics(
        self,
        names: Iterable[str],
        schema: object = None,
        key: str | Sequence[str] | None = None,
        *,
        partitions: int = 1,
        exist_ok: bool = False,
        compression: str = "none",
        segment_bytes: int | str = config.SEGMENT_BYTES,
        timestamp_type: str = "create_time",
        replication_factor: int = 1,
    ) -> list[Topic]:
        """Create topics that differ in nothing but their names: all of them, or none.

        Parameters
        ----------
        names : iterable of str
            Each once.
        schema, key, partitions, exist_ok, compression, segment_bytes, timestamp_type, \
replication_factor
            As in :meth:`create_topic`, for each topic.

        Returns
        -------
        list of Topic
            In the order of their names.

        Raises
        ------
        TopicExistsError, ConfigError, NotSupportedError
            As :meth:`create_topic`; then no topic was created.

        Notes
        -----
        One transaction: thousands of topics cost a fraction of what one call for each does.

        Examples
        --------
        >>> import tempfile, pystream as ps
        >>> with tempfile.TemporaryDirectory() as directory, ps.open(directory) as log:
        ...     _ = log.create_topics((f"sensor-{n}" for n in range(100)), {"celsius": "float64"})
        ...     len(log.topics())
        100
        """
        if replication_factor != 1:
            raise NotSupportedError(
                f"replication_factor is {replication_factor!r}, but a log in a directory has one "
                'copy. Replication is Kafka\'s: open "kafka://host:9092" for it.'
            )
        wanted = described(
            names,
            schema,
            key,
            partitions=partitions,
            config=TopicConfig(
                compression=compression,
                segment_bytes=config.parse_size(segment_bytes, name="segment_bytes"),
                timestamp_type=timestamp_type,
            ),
        )
        self.check_writable("create a topic")
        found = self._open_catalog().create_topics(wanted, exist_ok=exist_ok)
        return [Topic(self, topic) for topic in found]

    def alter_topic(
        self,
        name: str,
        schema: object = None,
        key: str | Sequence[str] | None = None,
        *,
        add_columns: Mapping[str, object] | None = None,
    ) -> Topic:
        """Give a topic more columns; the records that are stored have nulls there.

        Parameters
        ----------
        name : str
        schema : dict, pyarrow.Schema or object with ``__arrow_c_schema__``, optional
            All columns that the topic is to have: the present ones, then new ones. Nothing happens
            when it has them.
        key : str or sequence of str, optional
            The topic's key; another one is refused.
        add_columns : mapping of str to str, optional
            Instead of `schema`: the new columns, all of which can be null.

        Returns
        -------
        Topic

        Raises
        ------
        UnknownTopicError
            If the topic does not exist.
        SchemaError
            If a column would change its type, cannot be null, or is there already.
        NotSupportedError
            If a column or the key would be dropped, renamed or moved.

        Notes
        -----
        Producers and consumers go on, in this process and in others. Records of producers that do
        not know of the columns are appended with nulls. Nothing that is stored is rewritten.

        Examples
        --------
        >>> import tempfile, pystream as ps
        >>> with tempfile.TemporaryDirectory() as directory, ps.open(directory) as log:
        ...     _ = log.create_topic("clicks", {"page": "string"})
        ...     with log.producer() as producer:
        ...         _ = producer.send("clicks", {"page": "/old"})
        ...         producer.flush()
        ...         _ = log.alter_topic("clicks", add_columns={"country": "string"})
        ...         _ = producer.send("clicks", {"page": "/new", "country": "SE"})
        ...     with log.consumer("clicks", auto_offset_reset="earliest") as consumer:
        ...         [record.value for record in consumer.poll()["clicks", 0]]
        [{'page': '/old', 'country': None}, {'page': '/new', 'country': 'SE'}]
        """
        self.check_writable("alter a topic")
        altered = self._open_catalog().alter_topic(
            name, lambda topic: evolved(topic, schema, key, add_columns).serialize()
        )
        topic = Topic(self, altered)
        with self._mutex:
            for (topic_id, _), partition in self._partitions.items():
                if topic_id == altered.id:
                    partition.set_schema(altered.schema_id, topic.schema)
        return topic

    def topics(self) -> list[str]:
        """Return the names of all topics, sorted."""
        return self._open_catalog().topic_names()

    def topic(self, name: str) -> Topic:
        """Return a topic.

        Raises
        ------
        UnknownTopicError
            If there is none of that name.
        """
        found = self._open_catalog().find_topic(name) if isinstance(name, str) else None
        if found is None:
            raise UnknownTopicError(
                f"topic {name!r} does not exist in {self._directory}. "
                f"{some_topics(self.topics(), str(name))}. Create it with create_topic().",
                topic=str(name),
            )
        return Topic(self, found)

    def delete_topic(self, name: str) -> None:
        """Delete a topic, its records, and what groups committed for it.

        Batches that were read before stay valid; their disk space is free when the last is gone.

        Raises
        ------
        UnknownTopicError
            If there is none of that name.
        StorageError
            If files cannot be deleted; the topic is gone all the same.
        """
        self.check_writable("delete a topic")
        gone = self._open_catalog().delete_topic(name)
        with self._mutex:
            for key in [key for key in self._partitions if key[0] == gone.id]:
                del self._partitions[key]
        # The name of the directory is the topic's id in hexadecimal.
        path = os.path.join(self._directory, "topics", gone.id.hex())
        try:
            remove_topic_files(self._directory, gone.id)
        except OSError as error:
            raise StorageError(
                f"topic {name!r} was deleted, but not its files: {path}: {error.strerror}. "
                "Delete that directory.",
                errno=error.errno,
                path=path,
                topic=name,
            ) from error

    # -- clients -------------------------------------------------------------------------------

    @config.names_settings
    def producer(
        self,
        *,
        producer_name: str | None = None,
        acks: str | int = "interval",
        batch_size: int | str = config.BATCH_SIZE,
        linger: str | timedelta = config.LINGER,
        compression: str | None = None,
        buffer_memory: int | str = config.BUFFER_MEMORY,
        max_block: str | timedelta = config.MAX_BLOCK,
        max_record_bytes: int | str = config.MAX_RECORD_BYTES,
    ) -> Producer:
        """Return a producer; :class:`Producer` explains the settings.

        Raises
        ------
        ConfigError
            If a setting is wrong.

        Notes
        -----
        Taking a ``producer_name`` fences the producer that had it before, in whichever process: its
        next append raises FencedError.
        """
        with fork.importing:
            from pystream.log.producer import Producer  # noqa: PLC0415  many programs only read

        self.check_writable("produce")
        producer = Producer(
            self,
            producer_name=producer_name,
            acks=acks,
            batch_size=batch_size,
            linger=linger,
            compression=compression,
            buffer_memory=buffer_memory,
            max_block=max_block,
            max_record_bytes=max_record_bytes,
        )
        self._clients.add(producer)
        return producer

    @config.names_settings
    def consumer(
        self,
        *topics: str,
        group_id: str | None = None,
        group_instance_id: str | None = None,
        partition_assignment_strategy: str = "sticky",
        enable_auto_commit: bool = True,
        auto_commit_interval: str | timedelta = config.AUTO_COMMIT_INTERVAL,
        session_timeout: str | timedelta = config.SESSION_TIMEOUT,
        max_poll_interval: str | timedelta | None = None,
        auto_offset_reset: str = "latest",
        timeout: str | timedelta | None = None,
        max_poll_records: int = config.MAX_POLL_RECORDS,
        on_corruption: str = "raise",
    ) -> Consumer:
        """Return a consumer of topics; :class:`Consumer` explains the settings.

        Raises
        ------
        UnknownTopicError
            If a topic does not exist.
        ConfigError
            If a setting is wrong.
        UnreleasedInstanceIdError
            If a live member of the group has the `group_instance_id`.

        Examples
        --------
        >>> import tempfile, pystream as ps
        >>> with tempfile.TemporaryDirectory() as directory, ps.open(directory) as log:
        ...     _ = log.create_topic("clicks", {"page": "string"})
        ...     with log.producer() as producer:
        ...         _ = producer.send("clicks", {"page": "/home"})
        ...     with log.consumer("clicks", auto_offset_reset="earliest") as consumer:
        ...         [record["page"] for record in consumer.poll()["clicks", 0]]
        ['/home']
        """
        with fork.importing:
            from pystream.log.consumer import Consumer  # noqa: PLC0415  many programs only write

        self._check_open()
        consumer = Consumer(
            self,
            *topics,
            group_id=group_id,
            group_instance_id=group_instance_id,
            partition_assignment_strategy=partition_assignment_strategy,
            enable_auto_commit=enable_auto_commit,
            auto_commit_interval=auto_commit_interval,
            session_timeout=session_timeout,
            max_poll_interval=max_poll_interval,
            auto_offset_reset=auto_offset_reset,
            timeout=timeout,
            max_poll_records=max_poll_records,
            on_corruption=on_corruption,
        )
        self._clients.add(consumer)
        return consumer

    # -- consumer groups -----------------------------------------------------------------------

    def groups(self) -> list[str]:
        """Return the names of all consumer groups, sorted."""
        with fork.importing:
            from pystream.log.group_admin import list_groups  # noqa: PLC0415  few programs do

        self._check_open()
        return list_groups(self)

    def describe_group(self, group_id: str) -> GroupDescription:
        """Return members, assignments and lag of a consumer group.

        Raises
        ------
        UnknownGroupError
            If there is none of that name.

        Examples
        --------
        >>> import tempfile, pystream as ps
        >>> with tempfile.TemporaryDirectory() as directory, ps.open(directory) as log:
        ...     _ = log.create_topic("clicks", {"page": "string"})
        ...     with log.producer() as producer:
        ...         _ = producer.send("clicks", {"page": "/home"})
        ...     with log.consumer("clicks", group_id="g", auto_offset_reset="earliest"):
        ...         group = log.describe_group("g")
        >>> group.state, len(group.members), group.partitions["clicks", 0].lag
        ('stable', 1, 1)
        """
        with fork.importing:
            from pystream.log.group_admin import describe_group  # noqa: PLC0415  few programs do

        self._check_open()
        return describe_group(self, group_id)

    def delete_group(self, group_id: str) -> None:
        """Delete a consumer group and what it committed.

        Raises
        ------
        UnknownGroupError
            If there is none of that name.
        GroupNotEmptyError
            If it has members.
        """
        with fork.importing:
            from pystream.log.group_admin import delete_group  # noqa: PLC0415  few programs do

        self._check_open()
        delete_group(self, group_id)

    def reset_offsets(
        self,
        group_id: str,
        *,
        to: str | None = None,
        shift_by: int | None = None,
        offsets: Mapping[tuple[str, int], int] | str | os.PathLike[str] | None = None,
        topics: str | Iterable[str] | None = None,
    ) -> dict[TopicPartition, int]:
        """Let a consumer group without members go on elsewhere: all is stored, or nothing.

        Parameters
        ----------
        group_id : str
        to : {"earliest", "latest"}, optional
            The log start or end offset.
        shift_by : int, optional
            So many records on, or back if negative, from the committed offset, else from the log
            start offset; not beyond what the partition holds.
        offsets : mapping of TopicPartition to int, or path, optional
            Offsets, or a file with lines of ``topic,partition,offset``.
        topics : str or iterable of str, optional
            All partitions of these. Default: what the group has committed offsets for.

        Returns
        -------
        dict of TopicPartition to int
            The offsets that are committed now.

        Raises
        ------
        UnknownGroupError, UnknownTopicError
            If there is none of that name.
        GroupNotEmptyError
            If the group has members.
        OffsetOutOfRangeError
            If one of `offsets` is not in its partition.
        ConfigError
            Unless exactly one of `to`, `shift_by` and `offsets` is given.
        NotSupportedError
            For a time.

        Examples
        --------
        >>> import tempfile, pystream as ps
        >>> with tempfile.TemporaryDirectory() as directory, ps.open(directory) as log:
        ...     _ = log.create_topic("clicks", {"page": "string"})
        ...     with log.producer() as producer:
        ...         _ = producer.send("clicks", {"page": "/home"})
        ...     with log.consumer("clicks", group_id="g", auto_offset_reset="earliest") as consumer:
        ...         _ = consumer.poll()
        ...     log.reset_offsets("g", shift_by=-1)
        {TopicPartition(topic='clicks', partition=0): 0}
        """
        with fork.importing:
            from pystream.log.group_admin import reset_offsets  # noqa: PLC0415  few programs do

        self._check_open()
        return reset_offsets(
            self, group_id, to=to, shift_by=shift_by, offsets=offsets, topics=topics
        )

    # -- life ----------------------------------------------------------------------------------

    def backup(self, directory: str | os.PathLike[str]) -> Backup:
        """Copy the log as it is at this moment, while it is written and read.

        Parameters
        ----------
        directory : str or path
            New or empty. Segments that are complete are hard links in it where the file system
            allows, and copies elsewhere.

        Returns
        -------
        Backup
            What it holds. ``pystream.open`` opens it, as a log of its own.

        Raises
        ------
        ConfigError
            If the directory is not empty, or lies in the log.
        StorageError
            If the system refuses; nothing of the backup is left.
        RequestTimeoutError
            If an append is in flight for longer than the log's `lock_timeout`.

        Notes
        -----
        It holds everything that was appended before some moment during the call, over all topics,
        and nothing else. A group's committed offsets are never beyond it. When the call returns,
        all is on disk.

        Examples
        --------
        >>> import os, tempfile, pystream as ps
        >>> with tempfile.TemporaryDirectory() as place:
        ...     with ps.open(os.path.join(place, "data")) as log:
        ...         _ = log.create_topic("lines")
        ...         with log.producer() as producer:
        ...             _ = producer.send("lines", "first")
        ...         backup = log.backup(os.path.join(place, "monday"))
        ...     with ps.open(backup.directory) as restored:
        ...         restored.topic("lines").ends()
        [PartitionEnds(start=0, end=1)]
        """
        with fork.importing:
            from pystream.log.backup import back_up  # noqa: PLC0415  few programs do

        self._check_open()
        return back_up(self, directory)

    @property
    def directory(self) -> str:
        """Where the log is, as an absolute path."""
        return self._directory

    @property
    def is_read_only(self) -> bool:
        """Whether the log was opened with ``read_only=True``."""
        return self._is_read_only

    @property
    def is_closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._is_closed

    def close(self) -> None:
        """Flush and close producers, close consumers, and sync what this process appended.

        Nothing happens the second time.

        Raises
        ------
        StreamError
            The first error of a producer's last records; everything is closed all the same.
        StorageError
            If a sync fails. It names every partition whose records that may cost.
        """
        with self._mutex:
            if self._is_closed:
                return
            try:
                with contextlib.ExitStack() as stack:
                    if self._native is not None:
                        stack.callback(self._native.close)
                    stack.callback(self._catalog.close)
                    for client in self._clients.all():
                        stack.callback(client.close)
            finally:
                self._is_closed = True
                self._partitions.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Log {self._directory!r}{', closed' if self._is_closed else ''}>"

    # -- for the layers of this package --------------------------------------------------------

    @property
    def catalog(self) -> Catalog:
        """The catalog, for the layers of this package."""
        return self._open_catalog()

    @property
    def native(self) -> _native.Log:
        """The native log, for the layers of this package."""
        self._check_open()
        with self._mutex:
            if self._native is None:
                self._native = self._open_native()
            return self._native

    def topic_of_id(self, topic_id: bytes) -> Topic | None:
        """Return the topic of an id, or None; for the layers of this package."""
        found = self._open_catalog().topic_of_id(topic_id)
        return None if found is None else Topic(self, found)

    def native_partition(
        self, topic: TopicDescription, schema: _native.Schema, number: int
    ) -> _native.Partition:
        """Return the one handle of a partition; see :meth:`Topic.native_partition`."""
        with self._mutex:
            native = self.native
            partition = self._partitions.get((topic.id, number))
            if partition is None:
                self._check_exists(topic)
                if not self._is_read_only:
                    ensure_topic_file(self._directory, topic, self.catalog.created_us(topic.id))
                partition = native.open_partition(
                    topic=topic.name,
                    topic_id=topic.id,
                    partition=number,
                    schema=schema,
                    schema_id=topic.schema_id,
                    segment_bytes=topic.config.segment_bytes,
                )
                self._partitions[topic.id, number] = partition
            elif partition.schema_id != topic.schema_id:
                partition.set_schema(topic.schema_id, schema)
            return partition

    def check_writable(self, act: str) -> None:
        """Raise LogError when the log is read-only; `act` completes "cannot ...".

        For the layers of this package.
        """
        self._check_open()
        if self._is_read_only:
            raise LogError(
                f"cannot {act}: the log {self._directory} was opened read-only. Open it without "
                "read_only=True.",
                path=self._directory,
            )

    def _check_exists(self, topic: TopicDescription) -> None:
        """Raise when a topic is gone: opening its partitions would make them again."""
        found = self.catalog.find_topic(topic.name)
        if found is None or found.id != topic.id:
            raise UnknownTopicError(
                f"topic {topic.name!r} was deleted. Look it up again with log.topic().",
                topic=topic.name,
            )

    def forget_in_child(self) -> None:
        """Abandon what belongs to the parent; the next use opens the directory again."""
        self._mutex = threading.RLock()
        fork.leak(self._native)
        for partition in self._partitions.values():
            fork.leak(partition)
        self._partitions = {}
        self._native = None

    def _open_native(self) -> _native.Log:
        return _native.Log.open(
            self._directory,
            read_only=self._is_read_only,
            sync_interval_us=config.parse_duration_us(config.SYNC_INTERVAL),
            lock_timeout_us=self._lock_timeout_us,
            prewrite_bytes=config.PREWRITE_BYTES,
        )

    def _open_catalog(self) -> Catalog:
        self._check_open()
        return self._catalog

    def _check_open(self) -> None:
        if self._is_closed:
            raise ClosedError(
                f"the log {self._directory} is closed. Open it again with pystream.open().",
                path=self._directory,
            )
