"""Topics as the local engine needs them: schemas, native partitions, sinks that create topics."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Literal, cast

from pystream import config
from pystream.errors import RequestTimeoutError, SchemaError, StorageError
from pystream.log.schema_evolution import added_columns

if TYPE_CHECKING:
    from pystream._native import Acks, Partition, Schema
    from pystream._native import Log as NativeLog
    from pystream.log import Log, Topic
    from pystream.plan import nodes

__all__ = ["TopicCatalog"]


class TopicCatalog:
    """The topics of one log."""

    def __init__(self, log: Log) -> None:
        self._log = log

    @property
    def native_log(self) -> NativeLog:
        """The core's handle of the log."""
        return self._log.native

    def schema(self, topic: str) -> Schema:
        """Return the columns of a topic; UnknownTopicError if there is none."""
        return self._log.topic(topic).schema

    def partitions(self, topic: str) -> list[Partition]:
        """Return the core's handles of all partitions of a topic."""
        return _partitions(self._log.topic(topic))

    def settle(self, partitions: list[Partition]) -> None:
        """Do what can be done about transactions that are open in partitions."""
        if self._log.is_read_only or not any(p.open_transactions() for p in partitions):
            return
        from pystream.log.transactions.rescue import settle  # noqa: PLC0415  few logs need it

        with contextlib.suppress(StorageError, RequestTimeoutError):
            # Who reads need not be able to write: it waits, and tries again.
            settle(self._log, partitions)

    def check_sink(self, node: nodes.TopicSink, schema: Schema) -> None:
        """Refuse what cannot work before anything runs.

        Raises
        ------
        SchemaError
            If the topic exists with other columns.
        ConfigError
            If the name, the number of partitions or `acks` is wrong.
        NotSupportedError
            If a column is a list.
        """
        self.acks(node.acks)
        schema.serialize()  # refuses what no topic holds
        if node.topic in self._log.topics():
            self._check_schema(self._log.topic(node.topic), schema)
            return
        from pystream.log.topic_description import check_topic_name  # noqa: PLC0415

        check_topic_name(node.topic)
        config.check_positive(node.partitions, name="partitions", maximum=config.PARTITIONS_MAX)

    def sink_partitions(self, node: nodes.TopicSink, schema: Schema) -> list[Partition]:
        """Return the partitions of a sink's topic, which is created when it is missing."""
        if node.topic in self._log.topics():
            topic = self._log.topic(node.topic)
            self._check_schema(topic, schema)
        else:
            topic = self._log.create_topic(
                node.topic, schema, node.key, partitions=node.partitions, exist_ok=True
            )
        return _partitions(topic)

    def sink_settings(
        self, node: nodes.TopicSink
    ) -> tuple[tuple[str, ...], Literal["none", "lz4"]]:
        """Return key columns and codec of an existing sink topic."""
        topic = self._log.topic(node.topic)
        key = topic.key if node.key is None else (node.key,)
        return key, "lz4" if topic.compression == "lz4" else "none"

    def acks(self, level: str) -> Acks:
        """Return the core's name of a durability level."""
        config.check_choice(level, ("published", "interval", "durable"), name="acks")
        return cast("Acks", level)

    def _check_schema(self, topic: Topic, schema: Schema) -> None:
        if added_columns(topic.schema, schema) is None:
            raise SchemaError(
                f"topic {topic.name!r} has the columns [{topic.schema}], but the stream that ends "
                f"in it has [{schema}]. Select and cast the stream's columns to fit (nullable ones "
                "at the end may be left out), or use another topic.",
                topic=topic.name,
            )


def _partitions(topic: Topic) -> list[Partition]:
    return topic.native_partitions(range(topic.partitions))
