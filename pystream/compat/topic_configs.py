"""Kafka's names for the configuration of a topic, and what each one is for a log."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from pystream import config
from pystream.errors import ConfigError, NotSupportedError

if TYPE_CHECKING:
    from pystream.log import Topic

__all__ = [
    "DEFAULTS",
    "IGNORED",
    "NOT_BUILT",
    "TRANSLATED",
    "TopicConfig",
    "listed",
    "settings_of",
    "topic_configs",
    "with_segments_that_fit",
]

_LOGGER = logging.getLogger("pystream.compat")

# As Kafka names them, with what a log has when nothing is said.
DEFAULTS: dict[str, dict[str, Any]] = {
    "cleanup.policy": {"cleanup_policy": "delete"},
    "compression.type": {"compression": "none"},
    "delete.retention.ms": {"delete_retention": config.DELETE_RETENTION},
    "message.timestamp.type": {"timestamp_type": "create_time"},
    "min.cleanable.dirty.ratio": {"min_cleanable_ratio": config.MIN_CLEANABLE_RATIO},
    "min.compaction.lag.ms": {"min_compaction_lag": "0s"},
    "retention.bytes": {"retention_bytes": None},
    "retention.ms": {"retention": None},
    "segment.bytes": {"segment_bytes": config.SEGMENT_BYTES},
}
TRANSLATED = frozenset(DEFAULTS)

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
    "segment.ms": "-1",
    "max.compaction.lag.ms": None,
    "remote.storage.enable": "false",
    "local.retention.ms": "-2",
    "local.retention.bytes": "-2",
}

_POLICIES = {
    "delete": "delete",
    "compact": "compact",
    "compact,delete": "compact,delete",
    "delete,compact": "compact,delete",
}
_CODECS = {"none": "none", "uncompressed": "none", "producer": "none", "lz4": "lz4"}
_STAMPS = {"CreateTime": "create_time", "LogAppendTime": "append_time"}
_CHOICES = {
    "cleanup.policy": _POLICIES,
    "compression.type": _CODECS,
    "message.timestamp.type": _STAMPS,
}


class TopicConfig(NamedTuple):
    """One entry of a topic's configuration, as it is now."""

    value: str
    is_default: bool


def settings_of(configs: Mapping[str, object]) -> dict[str, Any]:
    """Return what `Log.create_topic` and `Log.alter_topic` take for a topic's configuration.

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
        if name in DEFAULTS:
            settings |= _translated(name, value)
        elif name in IGNORED:
            _LOGGER.debug("topic configuration %s has no meaning for a log", name)
        elif name in NOT_BUILT:
            if value != NOT_BUILT[name]:
                raise NotSupportedError(f"{name} is not built. Leave it out.")
        else:
            raise ConfigError(f"Unknown topic config name: {name}")
    return settings


def with_segments_that_fit(
    settings: dict[str, Any], present: int = config.SEGMENT_BYTES
) -> dict[str, Any]:
    """Return settings with smaller segments, where less than one is to be kept and none is named.

    A broker takes ``retention.bytes`` below ``segment.bytes``, and keeps a whole segment; a log
    refuses that.

    Parameters
    ----------
    settings : dict
        Of `settings_of`.
    present : int
        The ``segment_bytes`` that the topic has, or would have.
    """
    kept = settings.get("retention_bytes")
    if kept is None or "segment_bytes" in settings:
        return settings
    if not config.SEGMENT_BYTES_MIN <= kept < present:
        return settings
    return {**settings, "segment_bytes": kept}


def listed(topic: Topic, name: str, value: str, *, is_added: bool) -> dict[str, Any]:
    """Return what `Log.alter_topic` takes to add parts to an entry that is a list, or to remove.

    Raises
    ------
    ConfigError
        If it is no list, or the list would be none that is taken.
    """
    if name in IGNORED:
        return settings_of({name: value})
    if name != "cleanup.policy":
        raise ConfigError(
            f"{name} is no list, so that nothing can be appended to it or taken from it. Set it."
        )
    given = [part.strip() for part in value.split(",")]
    kept = [part for part in topic.cleanup_policy.split(",") if part not in given]
    return settings_of({name: ",".join([*kept, *given] if is_added else kept)})


def _translated(name: str, value: str) -> dict[str, Any]:
    """Return a setting that a log has."""
    (ours,) = DEFAULTS[name]
    if name == "compression.type" and value in ("gzip", "snappy", "zstd"):
        raise NotSupportedError(f'compression.type "{value}" is not built. Use "lz4".')
    if name in _CHOICES:
        return {ours: _choice(name, value, _CHOICES[name])}
    if name == "min.cleanable.dirty.ratio":
        return {ours: _part(name, value)}
    number = _whole(name, value)
    if name in ("retention.ms", "retention.bytes") and number == -1:
        return {ours: None}
    return {ours: timedelta(milliseconds=number) if name.endswith(".ms") else number}


def topic_configs(topic: Topic) -> dict[str, TopicConfig]:
    """Return a topic's configuration under Kafka's names."""
    stamps = {ours: theirs for theirs, ours in _STAMPS.items()}
    return {
        "cleanup.policy": TopicConfig(topic.cleanup_policy, topic.cleanup_policy == "delete"),
        "compression.type": TopicConfig(topic.compression, topic.compression == "none"),
        "delete.retention.ms": _milliseconds(
            topic.delete_retention, config.parse_duration_us(config.DELETE_RETENTION)
        ),
        "min.cleanable.dirty.ratio": TopicConfig(
            str(topic.min_cleanable_ratio), topic.min_cleanable_ratio == config.MIN_CLEANABLE_RATIO
        ),
        "min.compaction.lag.ms": _milliseconds(topic.min_compaction_lag, 0),
        "message.timestamp.type": TopicConfig(
            stamps[topic.timestamp_type], topic.timestamp_type == "create_time"
        ),
        "retention.bytes": _limit(topic.retention_bytes),
        "retention.ms": _limit(
            None if topic.retention is None else topic.retention // timedelta(milliseconds=1)
        ),
        "segment.bytes": TopicConfig(
            str(topic.segment_bytes), topic.segment_bytes == config.SEGMENT_BYTES
        ),
    }


def _milliseconds(value: timedelta, default_us: int) -> TopicConfig:
    is_default = value == timedelta(microseconds=default_us)
    return TopicConfig(str(value // timedelta(milliseconds=1)), is_default)


def _part(name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ConfigError(f"{name} is {value!r}. Pass a number from 0 to 1.") from None


def _limit(value: int | None) -> TopicConfig:
    return TopicConfig("-1" if value is None else str(value), value is None)


def _choice(name: str, value: str, known: Mapping[str, str]) -> str:
    if value not in known:
        raise ConfigError(f"{name} is {value!r}. Pass one of {', '.join(known)}.")
    return known[value]


def _whole(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise ConfigError(f"{name} is {value!r}. Pass a whole number.") from None
