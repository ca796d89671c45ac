"""An open directory: the log's catalog, its native part, and the handles of its partitions."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pystream import _native, config
from pystream.errors import ClosedError, LogError, StreamError, UnknownTopicError
from pystream.log import fork
from pystream.log.catalog.catalog import Catalog
from pystream.log.directory import make_directory, require_directory
from pystream.log.living import Living
from pystream.log.topic_description import TopicDescription
from pystream.log.topic_file import ensure_topic_file
from pystream.log.upkeep import Upkeep

if TYPE_CHECKING:
    from pystream.log.consumer import Consumer
    from pystream.log.producer import Producer

__all__ = ["OpenLog"]


class OpenLog:
    """What a log is before anything is done with it: opened once, shared, closed, forked.

    Notes
    -----
    Any thread. :class:`Log` says what users may rely on.
    """

    def __init__(
        self,
        directory: str,
        *,
        read_only: bool = False,
        lock_timeout: str | timedelta = config.LOCK_TIMEOUT,
    ) -> None:
        self._directory = os.path.abspath(directory)
        self._is_read_only = read_only
        self._lock_timeout_us = config.parse_duration_us(lock_timeout, name="lock_timeout")
        self._mutex = threading.RLock()
        self._partitions: dict[tuple[bytes, int], _native.Partition] = {}
        self._clients: Living[Producer | Consumer] = Living()
        self._upkeep = Upkeep(self)
        self._is_closed = False
        (require_directory if read_only else make_directory)(self._directory)
        self._native: _native.Log | None = self._open_native()
        try:
            self._catalog = Catalog(self._directory, self._lock_timeout_us, read_only=read_only)
        except BaseException:
            self._native.close()
            raise
        fork.on_child(self)
        if not read_only and self._catalog.has_transactions():
            self._finish_transactions()

    # -- life ----------------------------------------------------------------------------------

    @property
    def directory(self) -> str:
        """Where the log is, as an absolute path."""
        return self._directory

    @property
    def is_read_only(self) -> bool:
        """Whether the log was opened with ``read_only=True``."""
        return self._is_read_only

    @property
    def is_closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._is_closed

    def close(self) -> None:
        """Flush and close producers, close consumers, and sync what this process appended.

        Nothing happens the second time.

        Raises
        ------
        StreamError
            The first error of a producer's last records; everything is closed all the same.
        StorageError
            If a sync fails. It names every partition whose records that may cost.
        """
        if self._native is not None:
            self._native.stop_compactions()  # which may take long
        self._upkeep.stop()
        with self._mutex:
            if self._is_closed:
                return
            try:
                with contextlib.ExitStack() as stack:
                    if self._native is not None:
                        stack.callback(self._native.close)
                    stack.callback(self._catalog.close)
                    for client in self._clients.all():
                        stack.callback(client.close)
            finally:
                self._is_closed = True
                self._partitions.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Log {self._directory!r}{', closed' if self._is_closed else ''}>"

    # -- for the layers of this package --------------------------------------------------------

    @property
    def catalog(self) -> Catalog:
        """The catalog, for the layers of this package."""
        return self._open_catalog()

    @property
    def native(self) -> _native.Log:
        """The native log, for the layers of this package."""
        self._check_open()
        with self._mutex:
            if self._native is None:
                self._native = self._open_native()
            return self._native

    def native_partitions(
        self, topic: TopicDescription, schema: _native.Schema, numbers: Iterable[int]
    ) -> list[_native.Partition]:
        """Return the one handle of each of some partitions; see :meth:`Topic.native_partition`."""
        with self._mutex:
            native = self.native
            found = []
            for number in numbers:
                partition = self._partitions.get((topic.id, number))
                if partition is None:
                    partition = self._open_partition(native, topic, schema, number)
                elif partition.schema_id != topic.schema_id:
                    partition.set_schema(topic.schema_id, schema)
                found.append(partition)
            if topic.config.needs_upkeep and not self._is_read_only:
                self._upkeep.start()
            return found

    def check_writable(self, act: str) -> None:
        """Raise LogError when the log is read-only; `act` completes "cannot ...".

        For the layers of this package.
        """
        self._check_open()
        if self._is_read_only:
            raise LogError(
                f"cannot {act}: the log {self._directory} was opened read-only. Open it without "
                "read_only=True.",
                path=self._directory,
            )

    def _finish_transactions(self) -> None:
        """Complete what dead producers left; who needs it done tries again, and tells."""
        with fork.importing:
            from pystream.log.transactions.rescue import finish_orphans  # noqa: PLC0415

        with contextlib.suppress(StreamError):
            finish_orphans(self)

    def _open_partition(
        self, native: _native.Log, topic: TopicDescription, schema: _native.Schema, number: int
    ) -> _native.Partition:
        self._check_exists(topic)
        if not self._is_read_only:
            ensure_topic_file(self._directory, topic, self.catalog.created_us(topic.id))
        partition = native.open_partition(
            topic=topic.name,
            topic_id=topic.id,
            partition=number,
            schema=schema,
            schema_id=topic.schema_id,
            segment_bytes=topic.config.segment_bytes,
        )
        self._partitions[topic.id, number] = partition
        return partition

    def _check_exists(self, topic: TopicDescription) -> None:
        """Raise when a topic is gone: opening its partitions would make them again."""
        found = self.catalog.find_topic(topic.name)
        if found is None or found.id != topic.id:
            raise UnknownTopicError(
                f"topic {topic.name!r} was deleted. Look it up again with log.topic().",
                topic=topic.name,
            )

    def forget_in_child(self) -> None:
        """Abandon what belongs to the parent; the next use opens the directory again."""
        self._mutex = threading.RLock()
        self._upkeep.forget_in_child()
        fork.leak(self._native)
        for partition in self._partitions.values():
            fork.leak(partition)
        self._partitions = {}
        self._native = None

    def _open_native(self) -> _native.Log:
        return _native.Log.open(
            self._directory,
            read_only=self._is_read_only,
            sync_interval_us=config.parse_duration_us(config.SYNC_INTERVAL),
            lock_timeout_us=self._lock_timeout_us,
            prewrite_bytes=config.PREWRITE_BYTES,
        )

    def _open_catalog(self) -> Catalog:
        self._check_open()
        return self._catalog

    def _check_open(self) -> None:
        if self._is_closed:
            raise ClosedError(
                f"the log {self._directory} is closed. Open it again with pystream.open().",
                path=self._directory,
            )
