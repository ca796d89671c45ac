"""Making, changing, finding and deleting the topics of a log."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from pystream import config
from pystream.errors import NotSupportedError, StorageError, UnknownTopicError
from pystream.log import fork
from pystream.log.open_log import OpenLog
from pystream.log.schema_evolution import evolved
from pystream.log.topic import Topic
from pystream.log.topic_description import (
    TopicConfig,
    TopicDescription,
    check_key_of_compacted,
)
from pystream.log.topic_file import remove_topic_files
from pystream.log.topic_settings import described, more_partitions, some_topics

if TYPE_CHECKING:
    from pystream.log.retention import RemovedRecords
    from pystream.types import TopicPartition

__all__ = ["LogTopics"]


class LogTopics(OpenLog):
    """The part of :class:`Log` that is about its topics."""

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
        retention: str | timedelta | None = None,
        retention_bytes: int | str | None = None,
        cleanup_policy: str = "delete",
        delete_retention: str | timedelta = config.DELETE_RETENTION,
        min_compaction_lag: str | timedelta = "0s",
        min_cleanable_ratio: float = config.MIN_CLEANABLE_RATIO,
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
            Size of a segment file, from 1 MiB to 1 TiB.
        timestamp_type : {"create_time", "append_time"}, default "create_time"
            Whether a record's timestamp is the producer's or that of the append.
        retention : str or timedelta, optional
            How long after its append a record is kept. Default: for ever.
        retention_bytes : int or str, optional
            How much each partition keeps; at least `segment_bytes`. Default: everything. Segments
            are removed as a whole, so that a little more is there.
        cleanup_policy : {"delete", "compact", "compact,delete"}, default "delete"
            ``"compact"`` keeps the last record of each key, and a record whose other columns are
            all null (without a schema: whose value is None) deletes its key. ``"compact,delete"``
            applies `retention` and `retention_bytes` besides.
        delete_retention : str or timedelta, default "24h"
            How long a record that deletes its key is kept itself, once it is compacted: so that
            whoever reads on from then sees it.
        min_compaction_lag : str or timedelta, default "0s"
            How long after its append a record is surely kept.
        min_cleanable_ratio : float, default 0.5
            A partition is compacted when so much of its bytes was not before.
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
            retention=retention,
            retention_bytes=retention_bytes,
            cleanup_policy=cleanup_policy,
            delete_retention=delete_retention,
            min_compaction_lag=min_compaction_lag,
            min_cleanable_ratio=min_cleanable_ratio,
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
        retention: str | timedelta | None = None,
        retention_bytes: int | str | None = None,
        cleanup_policy: str = "delete",
        delete_retention: str | timedelta = config.DELETE_RETENTION,
        min_compaction_lag: str | timedelta = "0s",
        min_cleanable_ratio: float = config.MIN_CLEANABLE_RATIO,
        replication_factor: int = 1,
    ) -> list[Topic]:
        """Create topics that differ in nothing but their names: all of them, or none.

        Parameters
        ----------
        names : iterable of str
            Each once.
        schema, key, partitions, exist_ok, compression, segment_bytes, timestamp_type, retention, \
retention_bytes, cleanup_policy, replication_factor
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
        config.check_flag(exist_ok, name="exist_ok")
        if not isinstance(replication_factor, int | np.integer) or replication_factor != 1:
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
                segment_bytes=config.parse_size(
                    segment_bytes, name="segment_bytes", maximum=config.SEGMENT_BYTES_MAX
                ),
                timestamp_type=timestamp_type,
            ).altered(
                {
                    "retention": retention,
                    "retention_bytes": retention_bytes,
                    "cleanup_policy": cleanup_policy,
                    "delete_retention": delete_retention,
                    "min_compaction_lag": min_compaction_lag,
                    "min_cleanable_ratio": min_cleanable_ratio,
                }
            ),
        )
        self.check_writable("create a topic")
        found = self._open_catalog().create_topics(wanted, exist_ok=exist_ok)
        return [Topic(self, topic) for topic in found]

    @config.names_settings
    def alter_topic(
        self,
        name: str,
        schema: object = None,
        key: str | Sequence[str] | None = None,
        *,
        add_columns: Mapping[str, object] | None = None,
        partitions: int | None = None,
        compression: str | None = None,
        segment_bytes: int | str | None = None,
        timestamp_type: str | None = None,
        retention: str | timedelta | config.Unchanged | None = config.UNCHANGED,
        retention_bytes: int | str | config.Unchanged | None = config.UNCHANGED,
        cleanup_policy: str | None = None,
        delete_retention: str | timedelta | None = None,
        min_compaction_lag: str | timedelta | None = None,
        min_cleanable_ratio: float | None = None,
    ) -> Topic:
        """Give a topic more columns or partitions, or other settings, while it is in use.

        Parameters
        ----------
        name : str
        schema : dict, pyarrow.Schema or object with ``__arrow_c_schema__``, optional
            All columns that the topic is to have: the present ones, then new ones. Nothing happens
            when it has them.
        key : str or sequence of str, optional
            The topic's key; another one is refused.
        add_columns : mapping of str to str, optional
            Instead of `schema`: the new columns, all of which can be null. Records that are stored
            have nulls there.
        partitions : int, optional
            How many the topic is to have: not fewer. From then on keys go to other partitions, as
            in Kafka; what is stored stays where it is.
        compression, segment_bytes, timestamp_type : optional
            Of what is appended from now on; as in :meth:`create_topic`.
        cleanup_policy, delete_retention, min_compaction_lag, min_cleanable_ratio : optional
            As in :meth:`create_topic`.
        retention, retention_bytes : optional
            As in :meth:`create_topic`; None keeps everything. Default: as it is.

        Returns
        -------
        Topic

        Raises
        ------
        UnknownTopicError
            If the topic does not exist.
        ConfigError
            If nothing is to be altered, a setting is wrong or unknown, or there would be fewer
            partitions.
        SchemaError
            If a column would change its type, cannot be null, or is there already.
        NotSupportedError
            If a column or the key would be dropped, renamed or moved.

        Notes
        -----
        All of it, or nothing. Producers and consumers go on, in this process and in others, and
        notice it. Records of producers that do not know of the columns are appended with nulls.
        Nothing that is stored is rewritten.

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
        settings: dict[str, object] = {
            "compression": compression,
            "segment_bytes": segment_bytes,
            "timestamp_type": timestamp_type,
            "cleanup_policy": cleanup_policy,
            "delete_retention": delete_retention,
            "min_compaction_lag": min_compaction_lag,
            "min_cleanable_ratio": min_cleanable_ratio,
        }
        settings = {name: value for name, value in settings.items() if value is not None}
        if not isinstance(retention, config.Unchanged):
            settings["retention"] = retention
        if not isinstance(retention_bytes, config.Unchanged):
            settings["retention_bytes"] = retention_bytes
        is_evolved = schema is not None or add_columns is not None or key is not None
        is_empty = not settings and partitions is None

        def change(topic: TopicDescription) -> TopicDescription:
            if is_evolved or is_empty:
                blob = evolved(topic, schema, key, add_columns).serialize()
                topic = replace(topic, schema_blob=blob)
            if partitions is not None:
                topic = topic.with_partitions(more_partitions(topic, partitions))
            topic = replace(topic, config=topic.config.altered(settings))
            check_key_of_compacted(topic)
            return topic

        altered = self._open_catalog().alter_topic(name, change)
        topic = Topic(self, altered)
        with self._mutex:
            for (topic_id, _), partition in self._partitions.items():
                if topic_id == altered.id:
                    partition.set_schema(altered.schema_id, topic.schema)
                    partition.set_segment_bytes(altered.config.segment_bytes)
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

    def delete_records(
        self, offsets: Mapping[TopicPartition, int] | Mapping[tuple[str, int], int]
    ) -> dict[TopicPartition, int]:
        """Delete the records of partitions before an offset, for ever.

        Parameters
        ----------
        offsets : mapping of TopicPartition to int
            The first offset that is kept; -1: nothing is, up to what is there now.

        Returns
        -------
        dict of TopicPartition to int
            The log start offsets, which are larger where more had been deleted before.

        Raises
        ------
        UnknownTopicError
            If a topic or partition does not exist.
        OffsetOutOfRangeError
            If an offset is beyond the log end offset; names both ends.
        ConfigError
            If an offset is no whole number.
        StorageError
            If the system refuses; partitions before the one that it names are done.

        Notes
        -----
        When it returns, no consumer gets the records any more, also after a power loss. Their disk
        space is free when their whole segment is below the offset, another one was begun behind
        it, and the last view is gone. Batches and arrays that were read stay valid.

        Examples
        --------
        >>> import tempfile, pystream as ps
        >>> with tempfile.TemporaryDirectory() as directory, ps.open(directory) as log:
        ...     _ = log.create_topic("clicks", {"page": "string"})
        ...     with log.producer() as producer:
        ...         _ = producer.send_batch("clicks", {"page": ["/a", "/b", "/c"]})
        ...     log.delete_records({ps.TopicPartition("clicks", 0): 2})
        {TopicPartition(topic='clicks', partition=0): 2}
        """
        with fork.importing:
            from pystream.log.retention import delete_records  # noqa: PLC0415  few programs do

        self._check_open()
        return delete_records(self, offsets)

    def apply_retention(self, topics: str | Iterable[str] | None = None) -> list[RemovedRecords]:
        """Remove now what topics need not keep: by age, by size, and by key.

        Parameters
        ----------
        topics : str or iterable of str, optional
            Default: all.

        Returns
        -------
        list of RemovedRecords
            One for each partition of topics that have a `retention` or `retention_bytes`, or are
            compacted.

        Raises
        ------
        UnknownTopicError
            If a topic does not exist.
        RequestTimeoutError
            If another process is at it for longer than 30 s.
        StorageError
            If the system refuses.
        CorruptRecordError
            If a partition that is to be compacted has records that cannot be read: it stays as it
            is.

        Notes
        -----
        A process that uses such a topic does the same every minute, one process at a time; then
        partitions are compacted by their `min_cleanable_ratio`, and here whenever there is
        something to remove.

        Examples
        --------
        >>> import tempfile, pystream as ps
        >>> with tempfile.TemporaryDirectory() as directory, ps.open(directory) as log:
        ...     _ = log.create_topic("clicks", {"page": "string"}, retention="7d")
        ...     [its.removed_records for its in log.apply_retention()]
        [0]
        """
        with fork.importing:
            from pystream.log.retention import apply_retention  # noqa: PLC0415  few programs do

        self._check_open()
        return apply_retention(self, topics)

    def topic_if_exists(self, name: str) -> Topic | None:
        """Return a topic, or None; for the layers of this package."""
        found = self._open_catalog().find_topic(name)
        return None if found is None else Topic(self, found)

    def topic_of_id(self, topic_id: bytes) -> Topic | None:
        """Return the topic of an id, or None; for the layers of this package."""
        found = self._open_catalog().topic_of_id(topic_id)
        return None if found is None else Topic(self, found)
