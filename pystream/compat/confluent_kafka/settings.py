"""The configuration properties of librdkafka: what each one means for a log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from pystream import errors
from pystream.compat.confluent_kafka.kafka_error import KafkaException, raised
from pystream.compat.partitioners import PARTITIONERS
from pystream.compat.places import open_place
from pystream.log import Log

__all__ = ["IGNORED", "TRANSLATED", "Settings"]

LOGGER = logging.getLogger("pystream.compat")

# What a log is told; docs/from-kafka.md says what each one becomes.
TRANSLATED = frozenset(
    """
    bootstrap.servers metadata.broker.list log.directory
    auto.create.topics.enable num.partitions allow.auto.create.topics
    acks request.required.acks linger.ms queue.buffering.max.ms batch.size
    compression.type compression.codec message.max.bytes partitioner
    queue.buffering.max.messages queue.buffering.max.kbytes delivery.report.only.error
    transactional.id transaction.timeout.ms on_delivery default.topic.config
    group.id group.instance.id enable.auto.commit auto.commit.enable auto.commit.interval.ms
    enable.auto.offset.store auto.offset.reset partition.assignment.strategy
    group.remote.assignor session.timeout.ms max.poll.interval.ms isolation.level
    enable.partition.eof on_commit enable.idempotence
    """.split()
)

# What tunes a network client, says how often it tries again, or reports on either: accepted, for a
# log there is nothing to do. Also everything that begins with one of `_IGNORED_FAMILIES`.
IGNORED = frozenset(
    """
    client.id client.rack client.dns.lookup debug log_level log.queue log.thread.name
    log.connection.close logger error_cb stats_cb throttle_cb oauth_cb statistics.interval.ms
    enabled_events enable.metrics.push internal.termination.signal enable.random.seed
    plugin.library.paths message.copy.max.bytes receive.message.max.bytes
    max.in.flight.requests.per.connection max.in.flight metadata.recovery.strategy
    metadata.recovery.rebootstrap.trigger.ms topic.metadata.refresh.interval.ms metadata.max.age.ms
    topic.metadata.refresh.fast.interval.ms topic.metadata.refresh.fast.cnt
    topic.metadata.refresh.sparse topic.metadata.propagation.max.ms broker.address.ttl
    broker.address.family connections.max.idle.ms reconnect.backoff.jitter.ms reconnect.backoff.ms
    reconnect.backoff.max.ms api.version.request api.version.request.timeout.ms
    api.version.fallback.ms broker.version.fallback security.protocol
    enable.ssl.certificate.verification enable.sasl.oauthbearer.unsecure.jwt
    heartbeat.interval.ms group.protocol.type group.protocol coordinator.query.interval.ms
    queued.min.messages queued.max.messages.kbytes fetch.wait.max.ms fetch.queue.backoff.ms
    fetch.message.max.bytes max.partition.fetch.bytes fetch.max.bytes fetch.min.bytes
    fetch.error.backoff.ms check.crcs offset.store.method offset.store.path
    offset.store.sync.interval.ms consume.callback.max.messages retry.backoff.ms
    retry.backoff.max.ms enable.gapless.guarantee message.send.max.retries
    retries queue.buffering.backpressure.threshold batch.num.messages sticky.partitioning.linger.ms
    request.timeout.ms message.timeout.ms delivery.timeout.ms queuing.strategy
    produce.offset.report compression.level
    """.split()
)
_IGNORED_FAMILIES = ("ssl.", "sasl.", "https.", "socket.")
_MOST = 2_147_483_647  # of any number
# Nobody calls them, and the library looks at them all the same.
_CALLBACKS = {
    "error_cb": TypeError,
    "oauth_cb": TypeError,
    "stats_cb": TypeError,
    "throttle_cb": ValueError,
}


class Settings:
    """The properties that a client was made with, checked.

    Parameters
    ----------
    conf : dict
        Of the constructor.
    more : mapping
        Its keyword arguments, which come first.

    Raises
    ------
    KafkaException
        For a property that librdkafka does not have, or a value that it does not take.
    TypeError, ValueError
        For a callback that cannot be called.
    """

    def __init__(self, conf: object, more: Mapping[str, Any]) -> None:
        if not isinstance(conf, Mapping):
            raise TypeError("expected configuration dict")
        found: dict[str, Any] = {**conf, **more}
        found = {**found.pop("default.topic.config", {}), **found}
        self._values: dict[str, Any] = {}
        for name, value in found.items():
            if name in TRANSLATED:
                self._values[name] = value
            elif name in _CALLBACKS and not callable(value):
                raise _CALLBACKS[name](f"expected {name} property as a callable function")
            elif name in IGNORED or str(name).startswith(_IGNORED_FAMILIES):
                LOGGER.debug("configuration property %s has no meaning for a log", name)
            elif name == "topic.blacklist":
                raise raised(errors.NotSupportedError("topic.blacklist is not built. Leave it out"))
            else:
                raise _invalid(f'No such configuration property: "{name}"')

    def open_log(self, *, writes: bool = True) -> Log:
        """Open the log that ``log.directory`` or ``bootstrap.servers`` names."""
        servers = self._values.get("bootstrap.servers", self._values.get("metadata.broker.list"))
        names = "log.directory", "bootstrap.servers"
        try:
            return open_place(
                self._values.get("log.directory"), servers, names=names, writes=writes
            )
        except errors.StreamError as error:
            raise raised(error) from error

    def has(self, *names: str) -> bool:
        """Return whether one of these properties was given."""
        return any(name in self._values for name in names)

    def text(self, name: str, default: str | None = None) -> str | None:
        """Return a property that is a string."""
        value = self._values.get(name, default)
        return None if value is None else str(value)

    def flag(self, name: str, default: bool) -> bool:
        """Return a property that is on or off."""
        value = self._values.get(name, default)
        known = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}
        flag = known.get(str(value).lower())
        if flag is None:
            raise _invalid(f'Expected bool value for "{name}": true or false')
        return flag

    def number(self, *names: str, default: float, least: float = 0) -> float:
        """Return a number: of the first of its names that was given."""
        for name in names:
            if name in self._values:
                try:
                    value = float(self._values[name])
                except (TypeError, ValueError):
                    raise _invalid(f'Invalid value for configuration property "{name}"') from None
                if not least <= value <= _MOST:
                    raise _invalid(
                        f'Configuration property "{name}" value {value:g} is outside allowed range '
                        f"{least:g}..{_MOST}"
                    )
                return value
        return default

    def whole(self, *names: str, default: int, least: int = 0) -> int:
        """Return a whole number."""
        return int(self.number(*names, default=default, least=least))

    def choice(self, *names: str, choices: Mapping[str, Any], default: str) -> Any:
        """Return what a property's value stands for."""
        for name in names:
            if name in self._values:
                text = str(self._values[name]).lower()
                if text not in choices:
                    raise _invalid(
                        f'Invalid value "{self._values[name]}" for configuration property "{name}"'
                    )
                return choices[text]
        return choices[default]

    def callback(self, name: str) -> Callable[..., object] | None:
        """Return a property that is a function."""
        value = self._values.get(name)
        if value is not None and not callable(value):
            raise _invalid(f"{name} requires a callable object")
        return value

    # -- with a meaning of their own -------------------------------------------------------------

    def acks(self) -> int:
        """Return ``acks`` as a log's producer takes it."""
        names = {"all": -1, "-1": -1, "0": 0, "1": 1}
        acks = int(self.choice("acks", "request.required.acks", choices=names, default="all"))
        is_transactional = self.text("transactional.id") is not None
        is_idempotent = self.flag("enable.idempotence", is_transactional)
        if is_transactional and not is_idempotent:
            raise _invalid(
                "Failed to create producer: `transactional.id` requires `enable.idempotence=true`"
            )
        if is_idempotent and acks != -1:
            raise _invalid(
                "Failed to create producer: `acks` must be set to `all` when `enable.idempotence` "
                "is true"
            )
        return acks

    def compression(self) -> str | None:
        """Return the codec of a log that ``compression.type`` means; None: the topic's."""
        codecs = {"none": "none", "lz4": "lz4", "inherit": None, "gzip": 0, "snappy": 0, "zstd": 0}
        codec = self.choice("compression.type", "compression.codec", choices=codecs, default="none")
        if codec == 0:
            name = self.text("compression.type") or self.text("compression.codec")
            raise raised(
                errors.NotSupportedError(f'compression.type "{name}" is not built. Use "lz4".')
            )
        if not self.has("compression.type", "compression.codec"):
            return None
        assert codec is None or isinstance(codec, str)
        return codec

    def partitioner(self) -> Callable[[bytes | None, int], int | None] | None:
        """Return what chooses partitions; None: the log itself."""
        chosen: Callable[[bytes | None, int], int | None] | None
        chosen = self.choice("partitioner", choices=PARTITIONERS, default="murmur2_random")
        return chosen

    def assignor(self) -> str:
        """Return the log's name for ``partition.assignment.strategy``."""
        if self.has("group.remote.assignor"):
            remote = {"uniform": "uniform", "range": "range"}
            return str(self.choice("group.remote.assignor", choices=remote, default="uniform"))
        asked = (self.text("partition.assignment.strategy") or "range").split(",")[0].strip()
        known = {"range": "range", "roundrobin": "uniform", "cooperative-sticky": "sticky"}
        if asked not in known:
            raise _invalid(
                f"Failed to create consumer: Unsupported partition.assignment.strategy: {asked}"
            )
        return known[asked]

    def offset_reset(self) -> str:
        """Return the log's name for ``auto.offset.reset``."""
        names = {
            **dict.fromkeys(("smallest", "earliest", "beginning"), "earliest"),
            **dict.fromkeys(("largest", "latest", "end"), "latest"),
            "error": "none",
        }
        return str(self.choice("auto.offset.reset", choices=names, default="latest"))


def _invalid(reason: str) -> KafkaException:
    return raised(errors.ConfigError(reason))
