"""Making, changing, finding and deleting the topics of a log."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from pystream import config
from pystream.errors import NotSupportedError, StorageError, UnknownTopicError
from pystream.log.open_log import OpenLog
from pystream.log.schema_evolution import evolved
from pystream.log.topic import Topic
from pystream.log.topic_description import TopicConfig
from pystream.log.topic_file import remove_topic_files
from pystream.log.topic_settings import described, some_topics

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

    def topic_of_id(self, topic_id: bytes) -> Topic | None:
        """Return the topic of an id, or None; for the layers of this package."""
        found = self._open_catalog().topic_of_id(topic_id)
        return None if found is None else Topic(self, found)
