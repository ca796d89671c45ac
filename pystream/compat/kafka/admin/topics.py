"""The part of KafkaAdminClient that is about topics and their configuration."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from pystream import errors
from pystream.compat.kafka.admin.requests import (
    AlterConfigOp,
    ConfigFilterType,
    ConfigResource,
    ConfigResourceType,
    IsolationLevel,
    NewPartitions,
    NewTopic,
    OffsetSpec,
)
from pystream.compat.kafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    class_of,
    raised,
)
from pystream.compat.kafka.structs import OffsetAndTimestamp
from pystream.compat.kafka.translated import translated
from pystream.compat.newest import newest_record
from pystream.compat.topic_configs import (
    DEFAULTS,
    IGNORED,
    NOT_BUILT,
    listed,
    settings_of,
    topic_configs,
    with_segments_that_fit,
)
from pystream.log import Log, Topic
from pystream.log.topic_description import TopicConfig, check_topic_name
from pystream.types import TopicPartition

if TYPE_CHECKING:
    from pystream.log.consumer import Consumer

__all__ = ["TopicAdmin"]

BROKER = 0  # stands for the log's directory

NewTopics: TypeAlias = Mapping[str, Mapping[str, Any]] | Sequence[str] | Sequence[NewTopic]


class TopicAdmin:
    """Creates, describes and deletes topics."""

    _log: Log

    @translated
    def list_topics(self) -> list[str]:
        """Return the names of all topics."""
        return self._log.topics()

    @translated
    def describe_topics(self, topics: Iterable[str] | None = None) -> list[dict[str, Any]]:
        """Return what each topic is; one that does not exist has an ``error_code``."""
        names = self._log.topics() if topics is None else list(topics)
        return [self._described(name) for name in names]

    def _described(self, name: str) -> dict[str, Any]:
        try:
            topic = self._log.topic(name)
        except errors.UnknownTopicError:
            return {"error_code": 3, "name": name, "is_internal": False, "partitions": []}
        partitions = [
            {
                "error_code": 0,
                "partition_index": number,
                "leader_id": BROKER,
                "leader_epoch": 0,
                "replica_nodes": [BROKER],
                "isr_nodes": [BROKER],
                "offline_replicas": [],
            }
            for number in range(topic.partitions)
        ]
        return {"error_code": 0, "name": name, "is_internal": False, "partitions": partitions}

    @translated
    def create_topics(
        self,
        new_topics: NewTopics,
        timeout_ms: float | None = None,
        validate_only: bool = False,
        raise_errors: bool = True,
        wait_for_metadata: bool = False,
    ) -> dict[str, Any]:
        """Create topics: names, NewTopic objects, or options by name."""
        wanted = list(_new_topics(new_topics))
        if not wanted:
            raise ValueError(f"No valid topics found in new_topics: {new_topics}")
        told = []
        for new in wanted:
            failed = self._created(new, validate_only=validate_only)
            if failed is not None and raise_errors:
                raise failed
            told.append(_told(new.name, failed))
        return {"topics": told}

    def _created(self, new: NewTopic, *, validate_only: bool) -> KafkaError | None:
        count = len(new.replica_assignments) or new.num_partitions
        try:
            check_topic_name(new.name)
        except errors.ConfigError as error:
            return raised(error, class_of("InvalidTopicError"))
        try:
            if new.replication_factor not in (-1, 1):
                raise raised(
                    errors.NotSupportedError(
                        f"replication_factor is {new.replication_factor}, but a log has one copy "
                        "of each partition. Pass 1."
                    ),
                    class_of("InvalidReplicationFactorError"),
                )
            if count < 1 and count != -1:
                raise raised(
                    errors.ConfigError(f"num_partitions is {count}. Pass 1 or more."),
                    class_of("InvalidPartitionsError"),
                )
            settings = with_segments_that_fit(settings_of(new.topic_configs))
            TopicConfig().altered(settings)
            if validate_only and new.name in self._log.topics():
                return class_of("TopicAlreadyExistsError")(f"Topic '{new.name}' already exists.")
            if not validate_only:
                self._log.create_topic(new.name, partitions=1 if count == -1 else count, **settings)
        except KafkaError as error:
            return error
        except errors.ConfigError as error:
            return raised(error, class_of("InvalidConfigurationError"))
        except errors.StreamError as error:
            return raised(error)
        return None

    @translated
    def wait_for_topics(self, topic_names: Iterable[str], timeout_ms: float = 10_000) -> None:
        """Wait until topics exist."""
        deadline = time.monotonic() + timeout_ms / 1000
        names = set(topic_names)
        while missing := names - set(self._log.topics()):
            if time.monotonic() >= deadline:
                raise KafkaTimeoutError(f"Topics not ready after {timeout_ms}ms: {missing}")
            time.sleep(0.01)

    @translated
    def delete_topics(
        self, topics: Iterable[str], timeout_ms: float | None = None, raise_errors: bool = True
    ) -> dict[str, Any]:
        """Delete topics."""
        told = []
        for name in topics:
            failed = None
            try:
                self._log.delete_topic(name)
            except errors.StreamError as error:
                failed = raised(error)
                if raise_errors:
                    raise failed from error
            told.append(_told(name, failed))
        return {"topics": told}

    @translated
    def create_partitions(
        self,
        topic_partitions: Mapping[str, int | Mapping[str, Any] | NewPartitions],
        timeout_ms: float | None = None,
        validate_only: bool = False,
        raise_errors: bool = True,
    ) -> dict[str, Any]:
        """Give topics more partitions."""
        told = []
        for name, asked in topic_partitions.items():
            failed = None
            try:
                self._add_partitions(name, _count(asked), only=validate_only)
            except errors.StreamError as error:
                failed = raised(error)
                if raise_errors:
                    raise failed from error
            told.append(_told(name, failed))
        return {"results": told}

    def _add_partitions(self, name: str, count: int, *, only: bool) -> None:
        present = self._log.topic(name).partitions
        if count <= present:
            raise raised(
                errors.ConfigError(
                    f"topic {name!r} has {present} partitions, which cannot become {count}. "
                    "Pass more."
                ),
                class_of("InvalidPartitionsError"),
            )
        if not only:
            self._log.alter_topic(name, partitions=count)

    # -- configurations --------------------------------------------------------------------------

    @translated
    def describe_configs(
        self,
        config_resources: Iterable[ConfigResource],
        include_synonyms: bool = False,
        config_filter: ConfigFilterType | str = "modified",
    ) -> dict[str, dict[str, dict[str, dict[str, Any]]]]:
        """Return the configurations of topics by kind, name and entry; by default what was set."""
        asked = config_filter
        if isinstance(asked, str):
            asked = ConfigFilterType[asked.upper()]
        found: dict[str, dict[str, dict[str, dict[str, Any]]]] = {}
        for resource in config_resources:
            entries: dict[str, dict[str, Any]] = {}
            if resource.resource_type is ConfigResourceType.TOPIC:
                entries = _entries(self._log.topic(resource.name), resource.configs, asked)
            found.setdefault(resource.resource_type.name.lower(), {})[resource.name] = entries
        return found

    @translated
    def list_config_resources(
        self, resource_types: Iterable[ConfigResourceType | str] | None = None
    ) -> dict[str, list[str]]:
        """Return what has a configuration: the topics."""
        kinds = [str(getattr(kind, "name", kind)).lower() for kind in resource_types or []]
        return {"topic": self._log.topics()} if not kinds or "topic" in kinds else {}

    @translated
    def alter_configs(
        self,
        config_resources: Iterable[ConfigResource],
        validate_only: bool = False,
        raise_on_unknown: bool = True,
        incremental: bool | None = None,
    ) -> dict[str, dict[str, Any]]:
        """Set entries of the configurations of topics, or those that say DELETE to defaults."""
        return self._altered(config_resources, raise_on_unknown, only=validate_only, reset=False)

    @translated
    def reset_configs(
        self,
        config_resources: Iterable[ConfigResource],
        validate_only: bool = False,
        raise_on_unknown: bool = True,
        incremental: bool | None = None,
    ) -> dict[str, dict[str, Any]]:
        """Set entries of the configurations of topics back to their defaults, or all of them."""
        return self._altered(config_resources, raise_on_unknown, only=validate_only, reset=True)

    def _altered(
        self,
        resources: Iterable[ConfigResource],
        raise_on_unknown: bool,
        *,
        only: bool,
        reset: bool,
    ) -> dict[str, dict[str, Any]]:
        outcomes: dict[str, dict[str, Any]] = {}
        for resource in resources:
            if resource.resource_type is not ConfigResourceType.TOPIC:
                raise errors.NotSupportedError(f"{resource} cannot be altered: only topics can.")
            unknown = set(resource.configs or ()) - DEFAULTS.keys() - IGNORED - NOT_BUILT.keys()
            if unknown and raise_on_unknown:
                raise ValueError(f"Unrecognized configs: {unknown}")
            outcome = "OK"
            try:
                topic = self._log.topic(resource.name)
                configs = resource.configs
                settings = _reset(configs) if reset else _changes(topic, configs)
                topic.description.config.altered(settings)
                if settings and not only:
                    self._log.alter_topic(resource.name, **settings)
            except errors.ConfigError as error:
                outcome = str(raised(error, class_of("InvalidConfigurationError")))
            except errors.StreamError as error:
                outcome = str(raised(error))
            outcomes.setdefault("topic", {})[resource.name] = outcome
        return outcomes

    # -- offsets of partitions -------------------------------------------------------------------

    @translated
    def list_partition_offsets(
        self,
        topic_partition_specs: Mapping[TopicPartition, OffsetSpec | int],
        isolation_level: IsolationLevel = IsolationLevel.READ_UNCOMMITTED,
        timeout_ms: float | None = None,
    ) -> dict[TopicPartition, OffsetAndTimestamp]:
        """Return the first or last offset of partitions, or one by time."""
        level = (
            "read_committed"
            if isolation_level == IsolationLevel.READ_COMMITTED
            else "read_uncommitted"
        )
        with self._log.consumer(isolation_level=level) as consumer:
            return {
                name: offset_of(consumer, name, int(spec))
                for name, spec in topic_partition_specs.items()
            }

    @translated
    def delete_records(
        self,
        records_to_delete: Mapping[TopicPartition, int],
        timeout_ms: float | None = None,
        partition_leader_id: int | None = None,
    ) -> dict[TopicPartition, dict[str, Any]]:
        """Delete the records before an offset of each partition."""
        kept = self._log.delete_records(dict(records_to_delete))
        return {
            name: {"partition_index": name.partition, "low_watermark": offset, "error_code": 0}
            for name, offset in kept.items()
        }

    @translated
    def describe_topic_partitions(
        self,
        topics: Iterable[str],
        response_partition_limit: int = 2000,
        cursor: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return topics and their partitions, all at once."""
        return {"topics": self.describe_topics(topics), "next_cursor": None}


def _count(asked: int | Mapping[str, Any] | NewPartitions) -> int:
    if isinstance(asked, NewPartitions):
        return asked.total_count
    return asked if isinstance(asked, int) else int(asked["count"])


def _changes(topic: Topic, configs: Mapping[str, object] | Sequence[str] | None) -> dict[str, Any]:
    """Return what a topic is to have, of values or of operations with values."""
    settings: dict[str, Any] = {}
    if not isinstance(configs, Mapping):
        return settings
    for name, given in configs.items():
        op, value = given if isinstance(given, tuple) else (AlterConfigOp.SET, given)
        name_of_op = (op if isinstance(op, str) else AlterConfigOp(op).name).upper()
        if name_of_op == "SET":
            settings |= settings_of({name: value})
        elif name_of_op == "DELETE":
            settings |= DEFAULTS.get(name, {})
        else:
            settings |= listed(topic, name, str(value), is_added=name_of_op == "APPEND")
    return with_segments_that_fit(settings, topic.segment_bytes)


def _reset(configs: Mapping[str, object] | Sequence[str] | None) -> dict[str, Any]:
    names = configs or DEFAULTS
    return {key: value for name in names for key, value in DEFAULTS.get(name, {}).items()}


def _new_topics(given: NewTopics) -> Iterator[NewTopic]:
    if isinstance(given, Mapping):
        for name, options in given.items():
            yield NewTopic(
                name,
                options.get("num_partitions", -1),
                options.get("replication_factor", -1),
                options.get("assignments"),
                options.get("configs"),
            )
        return
    for each in given:
        yield NewTopic(each) if isinstance(each, str) else each


def _told(name: str, failed: KafkaError | None) -> dict[str, Any]:
    number = 0
    if failed is not None:
        # The class has Kafka's number; an error of the system has that one's in itself.
        kafkas = getattr(type(failed), "errno", None)
        number = kafkas if isinstance(kafkas, int) else -1
    return {
        "name": name,
        "error_code": number,
        "error_message": None if failed is None else str(failed),
    }


def _entries(
    topic: Topic,
    asked: Mapping[str, object] | Sequence[str] | None,
    chosen: ConfigFilterType,
) -> dict[str, dict[str, Any]]:
    found = {}
    for name, entry in topic_configs(topic).items():
        if asked is not None and name not in asked:
            continue
        if chosen is ConfigFilterType.MODIFIED and entry.is_default:
            continue
        if chosen is ConfigFilterType.DEFAULT and not entry.is_default:
            continue
        if chosen is ConfigFilterType.STATIC:
            continue
        source = "DEFAULT_CONFIG" if entry.is_default else "DYNAMIC_TOPIC_CONFIG"
        found[name] = {
            "value": entry.value,
            "read_only": False,
            "is_sensitive": False,
            "config_source": source,
        }
    return found


def offset_of(consumer: Consumer, name: TopicPartition, spec: int) -> OffsetAndTimestamp:
    """Return an end of a partition, or its first record at or after some milliseconds."""
    if spec in (OffsetSpec.EARLIEST, OffsetSpec.EARLIEST_LOCAL):
        return OffsetAndTimestamp(consumer.beginning_offsets([name])[name], -1, None)
    if spec == OffsetSpec.LATEST:
        return OffsetAndTimestamp(consumer.end_offsets([name])[name], -1, None)
    if spec == OffsetSpec.MAX_TIMESTAMP:
        found = newest_record(consumer, name)
    elif spec < 0:
        raise errors.NotSupportedError(
            f"OffsetSpec {spec} is not built. Pass EARLIEST, LATEST, MAX_TIMESTAMP or a time."
        )
    else:
        found = consumer.offsets_for_times({name: spec * 1000})[name]
    if found is None:
        return OffsetAndTimestamp(-1, -1, None)
    return OffsetAndTimestamp(found.offset, found.timestamp // 1000, None)
