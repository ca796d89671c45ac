"""kafka-python's settings: what each one means for a log."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from pystream import errors
from pystream.compat.kafka.errors import KafkaConfigurationError, raised
from pystream.compat.places import open_place
from pystream.log import Log

__all__ = ["ADMIN", "CONSUMER", "IGNORED", "PRODUCER", "Settings"]

LOGGER = logging.getLogger("pystream.compat")

# What a log is told, by client; docs/from-kafka.md says what each one becomes.
_EVERYWHERE = frozenset({"bootstrap_servers", "log_directory", "client_id"})
_BROKERS = frozenset({"auto_create_topics_enable", "num_partitions"})
PRODUCER = (
    _EVERYWHERE
    | _BROKERS
    | frozenset(
        """
        key_serializer value_serializer acks compression_type batch_size linger_ms partitioner
        max_block_ms max_request_size allow_auto_create_topics enable_idempotence
        transactional_id transaction_timeout_ms
        """.split()
    )
)
CONSUMER = (
    _EVERYWHERE
    | _BROKERS
    | frozenset(
        """
        group_id group_instance_id key_deserializer value_deserializer auto_offset_reset
        enable_auto_commit auto_commit_interval_ms default_offset_commit_callback isolation_level
        allow_auto_create_topics partition_assignment_strategy max_poll_records
        max_poll_interval_ms session_timeout_ms consumer_timeout_ms
        """.split()
    )
)
ADMIN = _EVERYWHERE | _BROKERS

# What tunes a network client or its metrics: accepted, for a log there is nothing to do. Also
# everything that begins with one of `_IGNORED_FAMILIES`.
IGNORED = frozenset(
    """
    client_rack client_dns_lookup connections_max_idle_ms metadata_max_age_ms retries
    retry_backoff_ms request_timeout_ms delivery_timeout_ms receive_message_max_bytes
    receive_buffer_bytes send_buffer_bytes socket_options reconnect_backoff_ms
    reconnect_backoff_max_ms max_in_flight_requests_per_connection security_protocol api_version
    api_version_auto_timeout_ms bootstrap_timeout_ms metric_reporters metrics_enabled
    metrics_num_samples metrics_sample_window_ms metric_group_prefix selector proxy_url
    socks5_proxy kafka_client buffer_memory enable_incremental_fetch_sessions fetch_max_wait_ms
    fetch_min_bytes fetch_max_bytes max_partition_fetch_bytes check_crcs heartbeat_interval_ms
    exclude_internal_topics
    """.split()
)
_IGNORED_FAMILIES = ("ssl_", "sasl_")


class Settings:
    """The settings that a client was made with.

    Parameters
    ----------
    configs : mapping
        Of the constructor.
    known : frozenset of str
        Those with a meaning for this client.
    unknown : type
        What is raised for a setting that the library does not have.
    """

    def __init__(
        self, configs: Mapping[str, Any], known: frozenset[str], unknown: type[Exception]
    ) -> None:
        self._values: dict[str, Any] = {}
        strange = {}
        for name, value in configs.items():
            if name in known:
                self._values[name] = value
            elif name in IGNORED or name.startswith(_IGNORED_FAMILIES):
                LOGGER.debug("setting %s has no meaning for a log", name)
            else:
                strange[name] = value
        if strange:
            raise unknown(f"Unrecognized configs: {strange}")

    def get(self, name: str, default: Any = None) -> Any:
        """Return a setting."""
        return self._values.get(name, default)

    def has(self, name: str) -> bool:
        """Return whether it was given."""
        return name in self._values

    def open_log(self, *, writes: bool = True) -> Log:
        """Open the log that ``log_directory`` or ``bootstrap_servers`` names."""
        try:
            return open_place(
                self.get("log_directory"),
                self.get("bootstrap_servers"),
                names=("log_directory", "bootstrap_servers"),
                writes=writes,
            )
        except errors.StreamError as error:
            raise raised(error) from error

    def created_partitions(self) -> int | None:
        """Return how many partitions a topic gets that is used before it exists; None: refuse."""
        if not self.get("allow_auto_create_topics", True):
            return None
        return (
            int(self.get("num_partitions", 1))
            if self.get("auto_create_topics_enable", True)
            else None
        )

    def compression(self) -> str | None:
        """Return the codec that ``compression_type`` means; None: the topic's."""
        asked = self.get("compression_type")
        if asked in (None, "lz4"):
            return asked  # type: ignore[no-any-return]
        if asked in ("gzip", "snappy", "zstd"):
            raise raised(
                errors.NotSupportedError(f'compression_type "{asked}" is not built. Use "lz4".')
            )
        raise ValueError(f"Not supported codec: {asked}")

    def acks(self) -> int:
        """Return ``acks``; with a transaction or idempotence asked for, it is "all"."""
        acks = self.get("acks", -1)
        acks = -1 if acks == "all" else acks
        if acks not in (-1, 0, 1):
            raise raised(
                errors.ConfigError(f'acks is {acks!r}. Pass 0, 1 or "all".'),
                KafkaConfigurationError,
            )
        is_transactional = self.get("transactional_id") is not None
        if is_transactional and not self.get("enable_idempotence", True):
            raise KafkaConfigurationError("Cannot set transactional_id without enable_idempotence.")
        must_be_all = self.get("enable_idempotence", False) or is_transactional
        if must_be_all and acks != -1:
            raise KafkaConfigurationError(
                f"enable_idempotence=True is incompatible with user-provided acks={acks!r}"
            )
        return int(acks)

    def assignor(self) -> str:
        """Return the log's name for ``partition_assignment_strategy``: of its first entry."""
        asked = self.get("partition_assignment_strategy", ("range",))
        first = asked[0] if isinstance(asked, list | tuple) and asked else asked
        name = str(getattr(first, "name", first))
        known = {
            "range": "range",
            "roundrobin": "uniform",
            "sticky": "sticky",
            "cooperative-sticky": "sticky",
        }
        if name not in known:
            raise raised(
                errors.NotSupportedError(
                    f"partition_assignment_strategy {first!r} is not built. Pass one of "
                    f"{', '.join(known)}."
                )
            )
        return known[name]
