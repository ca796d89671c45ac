"""Kafka's names for the configuration of a topic, and what each one is for a log."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from pystream import config
from pystream.errors import ConfigError, NotSupportedError

if TYPE_CHECKING:
    from pystream.log import Topic

__all__ = ["IGNORED", "NOT_BUILT", "TRANSLATED", "TopicConfig", "settings_of", "topic_configs"]

_LOGGER = logging.getLogger("pystream.compat")

TRANSLATED = frozenset(
    ["compression.type", "segment.bytes", "message.timestamp.type", "cleanup.policy"]
)

# Of replicas, caches and index files: a log has none of them.
IGNORED = frozenset(
    """
    min.insync.replicas unclean.leader.election.enable flush.messages flush.ms
    index.interval.bytes segment.index.bytes segment.jitter.ms preallocate file.delete.delay.ms
    leader.replication.throttled.replicas follower.replication.throttled.replicas
    message.format.version message.downconversion.enable max.message.bytes
    message.timestamp.difference.max.ms message.timestamp.before.max.ms
    message.timestamp.after.max.ms
    """.split()
)

# A value that asks for nothing is taken.
NOT_BUILT = {
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "segment.ms": "-1",
    "delete.retention.ms": None,
    "min.compaction.lag.ms": "0",
    "max.compaction.lag.ms": None,
    "min.cleanable.dirty.ratio": None,
    "remote.storage.enable": "false",
    "local.retention.ms": "-2",
    "local.retention.bytes": "-2",
}

_CODECS = {"none": "none", "uncompressed": "none", "producer": "none", "lz4": "lz4"}
_STAMPS = {"CreateTime": "create_time", "LogAppendTime": "append_time"}


class TopicConfig(NamedTuple):
    """One entry of a topic's configuration, as it is now."""

    value: str
    is_default: bool


def settings_of(configs: Mapping[str, object]) -> dict[str, Any]:
    """Return the arguments of :meth:`Log.create_topic` that a topic's configuration means.

    Raises
    ------
    ConfigError
        For a name that Kafka does not have, or a value that it does not take.
    NotSupportedError
        For what is not built.
    """
    settings: dict[str, Any] = {}
    for name, given in configs.items():
        value = str(given)
        if name == "compression.type":
            if value in ("gzip", "snappy", "zstd"):
                raise NotSupportedError(f'compression.type "{value}" is not built. Use "lz4".')
            settings["compression"] = _choice(name, value, _CODECS)
        elif name == "message.timestamp.type":
            settings["timestamp_type"] = _choice(name, value, _STAMPS)
        elif name == "segment.bytes":
            settings["segment_bytes"] = _whole(name, value)
        elif name == "cleanup.policy":
            if value != "delete":
                raise NotSupportedError(f'cleanup.policy "{value}" is not built. Use "delete".')
        elif name in IGNORED:
            _LOGGER.debug("topic configuration %s has no meaning for a log", name)
        elif name in NOT_BUILT:
            if value != NOT_BUILT[name]:
                raise NotSupportedError(f"{name} is not built. Leave it out.")
        else:
            raise ConfigError(f"Unknown topic config name: {name}")
    return settings


def topic_configs(topic: Topic) -> dict[str, TopicConfig]:
    """Return a topic's configuration under Kafka's names."""
    stamps = {ours: theirs for theirs, ours in _STAMPS.items()}
    return {
        "cleanup.policy": TopicConfig("delete", True),
        "compression.type": TopicConfig(topic.compression, topic.compression == "none"),
        "message.timestamp.type": TopicConfig(
            stamps[topic.timestamp_type], topic.timestamp_type == "create_time"
        ),
        "retention.bytes": TopicConfig("-1", True),
        "retention.ms": TopicConfig("-1", True),
        "segment.bytes": TopicConfig(
            str(topic.segment_bytes), topic.segment_bytes == config.SEGMENT_BYTES
        ),
    }


def _choice(name: str, value: str, known: Mapping[str, str]) -> str:
    if value not in known:
        raise ConfigError(f"{name} is {value!r}. Pass one of {', '.join(known)}.")
    return known[value]


def _whole(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise ConfigError(f"{name} is {value!r}. Pass a whole number.") from None
