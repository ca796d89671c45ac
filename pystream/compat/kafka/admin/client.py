"""KafkaAdminClient, on a log."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from pystream.compat.absent import KAFKA, NotHere
from pystream.compat.kafka.admin.groups import GroupAdmin
from pystream.compat.kafka.admin.topics import BROKER, TopicAdmin
from pystream.compat.kafka.errors import KafkaConfigurationError
from pystream.compat.kafka.settings import ADMIN, Settings

__all__ = ["KafkaAdminClient"]


class KafkaAdminClient(TopicAdmin, GroupAdmin, NotHere):
    """Creates, describes and deletes topics and groups.

    Parameters
    ----------
    **configs
        kafka-python's settings. ``log_directory``, or ``bootstrap_servers`` with a slash in it, is
        the directory of the log.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     with KafkaAdminClient(log_directory=directory) as admin:
    ...         _ = admin.create_topics({"lines": {"num_partitions": 3}})
    ...         admin.list_topics()
    ['lines']
    """

    _absent = KAFKA

    def __init__(self, **configs: Any) -> None:
        self._log = Settings(configs, ADMIN, KafkaConfigurationError).open_log()

    def describe_cluster(self) -> dict[str, Any]:
        """Return what stands for a cluster: one broker, whose host is the directory."""
        broker = {"broker_id": BROKER, "host": self._log.directory, "port": 0, "rack": None}
        return {
            "brokers": [broker],
            "cluster_id": self._log.directory,
            "controller_id": BROKER,
        }

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
