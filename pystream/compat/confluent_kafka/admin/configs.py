"""The configurations of topics. Part of the admin client."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

from pystream import errors
from pystream.compat.confluent_kafka.admin.answers import check_list, done, refused_as
from pystream.compat.confluent_kafka.admin.requests import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    ResourceType,
)
from pystream.compat.confluent_kafka.kafka_error import KafkaError
from pystream.compat.topic_configs import (
    DEFAULTS,
    listed,
    settings_of,
    topic_configs,
    with_segments_that_fit,
)
from pystream.log import Log
from pystream.log.topic import Topic

__all__ = ["ConfigAdmin"]


class ConfigAdmin:
    """The part of :class:`AdminClient` that is about configurations."""

    _log: Log

    def describe_configs(
        self, resources: list[ConfigResource], **kwargs: Any
    ) -> dict[ConfigResource, Future[dict[str, ConfigEntry]]]:
        """Return the configurations of topics; those of brokers are empty."""
        check_list(resources, ConfigResource)
        return {
            each: done(lambda each=each: self._describe_config(each))  # type: ignore[misc]
            for each in resources
        }

    def _describe_config(self, resource: ConfigResource) -> dict[str, ConfigEntry]:
        if resource.restype is not ResourceType.TOPIC:
            return {}
        found = {}
        for name, entry in topic_configs(self._log.topic(resource.name)).items():
            source = ConfigSource.DYNAMIC_TOPIC_CONFIG
            if entry.is_default:
                source = ConfigSource.DEFAULT_CONFIG
            found[name] = ConfigEntry(name, entry.value, source, is_default=entry.is_default)
        return found

    def alter_configs(
        self, resources: list[ConfigResource], **kwargs: Any
    ) -> dict[ConfigResource, Future[None]]:
        """Replace the configurations of topics: what is left out gets its default."""
        check_list(resources, ConfigResource)
        only = kwargs.get("validate_only", False)

        def replaced(resource: ConfigResource) -> None:
            topic = self._topic(resource)
            settings = {key: value for each in DEFAULTS.values() for key, value in each.items()}
            with refused_as(KafkaError.INVALID_CONFIG):
                settings |= with_segments_that_fit(settings_of(resource.set_config_dict))
                self._alter(topic, settings, only=only)

        return {each: done(lambda each=each: replaced(each)) for each in resources}  # type: ignore[misc]

    def incremental_alter_configs(
        self, resources: list[ConfigResource], **kwargs: Any
    ) -> dict[ConfigResource, Future[None]]:
        """Change entries of the configurations of topics."""
        check_list(resources, ConfigResource)
        only = kwargs.get("validate_only", False)

        def changed(resource: ConfigResource) -> None:
            topic = self._topic(resource)
            settings: dict[str, Any] = {}
            with refused_as(KafkaError.INVALID_CONFIG):
                for entry in resource.incremental_configs:
                    settings |= _change(topic, entry)
                settings = with_segments_that_fit(settings, topic.segment_bytes)
                self._alter(topic, settings, only=only)

        return {each: done(lambda each=each: changed(each)) for each in resources}  # type: ignore[misc]

    def _topic(self, resource: ConfigResource) -> Topic:
        if resource.restype is not ResourceType.TOPIC:
            raise errors.NotSupportedError(f"{resource} has no configuration: only topics have.")
        return self._log.topic(resource.name)

    def _alter(self, topic: Topic, settings: dict[str, Any], *, only: bool) -> None:
        topic.description.config.altered(settings)
        if settings and not only:
            self._log.alter_topic(topic.name, **settings)


def _change(topic: Topic, entry: ConfigEntry) -> dict[str, Any]:
    """Return what `Log.alter_topic` takes for one entry."""
    operation = entry.incremental_operation
    if operation is AlterConfigOpType.SET:
        return settings_of({entry.name: entry.value})
    if operation is AlterConfigOpType.DELETE:
        return DEFAULTS.get(entry.name, {})
    is_added = operation is AlterConfigOpType.APPEND
    return listed(topic, entry.name, str(entry.value), is_added=is_added)
