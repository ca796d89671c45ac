"""Opening a log, and what reads and writes it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Unpack

from pystream import config
from pystream.log import fork
from pystream.log.directory import check_directory
from pystream.log.log_topics import LogTopics

if TYPE_CHECKING:
    from pystream.log.aio.consumer import AsyncConsumer, ConsumerSettings
    from pystream.log.aio.producer import AsyncProducer, ProducerSettings
    from pystream.log.backup import Backup
    from pystream.log.consumer import Consumer
    from pystream.log.groups.admin import GroupDescription
    from pystream.log.producer import Producer
    from pystream.log.times import Time
    from pystream.log.transactions.admin import TransactionDescription, TransactionListing
    from pystream.types import TopicPartition

__all__ = ["Log", "open"]


@config.names_settings
def open(
    directory: str | os.PathLike[str],
    *,
    read_only: bool = False,
    lock_timeout: str | timedelta = config.LOCK_TIMEOUT,
) -> Log:
    """Open the log in a directory; make both when they do not exist.

    Several processes may open the same directory at once.

    Parameters
    ----------
    directory : str or path
        On a local file system.
    read_only : bool, default False
        Write nothing at all: works without write permission. A log that must be recovered (after a
        power loss, or a copy) is recovered in memory, and then shows what it held when it was
        opened; so does a partition that did not exist yet.
    lock_timeout : str or timedelta, default "30s"
        How long to wait for a lock that another process holds.

    Returns
    -------
    Log
        Close it, or use it in a ``with`` statement.

    Raises
    ------
    LogError
        If the directory holds something else or a log of a newer format, is on a network file
        system, or its catalog was lost; with `read_only` also if there is no log.
    StorageError
        If the system refuses: no permission, full disk.
    NotSupportedError
        For ``kafka://`` addresses, for now.

    Examples
    --------
    >>> import tempfile, pystream as ps
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     with ps.open(directory) as log:
    ...         log.topics()
    []
    """
    path = check_directory(directory)
    config.check_flag(read_only, name="read_only")
    return Log(path, read_only=read_only, lock_timeout=lock_timeout)


class Log(LogTopics):
    """Topics in a directory, shared by many processes; made by :func:`pystream.open`.

    Notes
    -----
    Any thread. Closing twice is fine; everything else raises ClosedError after it. Batches and
    arrays that were read stay valid. A forked child opens the directory anew on first use;
    producers and consumers made before the fork stay with the parent.
    """

    # -- clients -------------------------------------------------------------------------------

    @config.names_settings
    def producer(
        self,
        *,
        producer_name: str | None = None,
        transactional_id: str | None = None,
        transaction_timeout: str | timedelta = config.TRANSACTION_TIMEOUT,
        acks: str | int = "interval",
        batch_size: int | str = config.BATCH_SIZE,
        linger: str | timedelta = config.LINGER,
        compression: str | None = None,
        buffer_memory: int | str = config.BUFFER_MEMORY,
        max_block: str | timedelta = config.MAX_BLOCK,
        max_record_bytes: int | str = config.MAX_RECORD_BYTES,
    ) -> Producer:
        """Return a producer; :class:`Producer` explains the settings.

        Raises
        ------
        ConfigError
            If a setting is wrong.

        Notes
        -----
        Taking a ``producer_name`` fences the producer that had it before, in whichever process: its
        next append raises FencedError.
        """
        with fork.importing:
            from pystream.log.producer import Producer  # noqa: PLC0415  many programs only read

        self.check_writable("produce")
        producer = Producer(
            self,
            producer_name=producer_name,
            transactional_id=transactional_id,
            transaction_timeout=transaction_timeout,
            acks=acks,
            batch_size=batch_size,
            linger=linger,
            compression=compression,
            buffer_memory=buffer_memory,
            max_block=max_block,
            max_record_bytes=max_record_bytes,
        )
        self._clients.add(producer)
        return producer

    @config.names_settings
    def consumer(
        self,
        *topics: str,
        group_id: str | None = None,
        group_instance_id: str | None = None,
        partition_assignment_strategy: str = "sticky",
        enable_auto_commit: bool = True,
        auto_commit_interval: str | timedelta = config.AUTO_COMMIT_INTERVAL,
        session_timeout: str | timedelta = config.SESSION_TIMEOUT,
        max_poll_interval: str | timedelta | None = None,
        auto_offset_reset: str = "latest",
        isolation_level: str = "read_committed",
        timeout: str | timedelta | None = None,
        max_poll_records: int = config.MAX_POLL_RECORDS,
        on_corruption: str = "raise",
    ) -> Consumer:
        """Return a consumer of topics; :class:`Consumer` explains the settings.

        Raises
        ------
        UnknownTopicError
            If a topic does not exist.
        ConfigError
            If a setting is wrong.
        UnreleasedInstanceIdError
            If a live member of the group has the `group_instance_id`.

        Examples
        --------
        >>> import tempfile, pystream as ps
        >>> with tempfile.TemporaryDirectory() as directory, ps.open(directory) as log:
        ...     _ = log.create_topic("clicks", {"page": "string"})
        ...     with log.producer() as producer:
        ...         _ = producer.send("clicks", {"page": "/home"})
        ...     with log.consumer("clicks", auto_offset_reset="earliest") as consumer:
        ...         [record["page"] for record in consumer.poll()["clicks", 0]]
        ['/home']
        """
        with fork.importing:
            from pystream.log.consumer import Consumer  # noqa: PLC0415  many programs only write

        self._check_open()
        consumer = Consumer(
            self,
            *topics,
            group_id=group_id,
            group_instance_id=group_instance_id,
            partition_assignment_strategy=partition_assignment_strategy,
            enable_auto_commit=enable_auto_commit,
            auto_commit_interval=auto_commit_interval,
            session_timeout=session_timeout,
            max_poll_interval=max_poll_interval,
            auto_offset_reset=auto_offset_reset,
            isolation_level=isolation_level,
            timeout=timeout,
            max_poll_records=max_poll_records,
            on_corruption=on_corruption,
        )
        self._clients.add(consumer)
        return consumer

    def async_producer(self, **settings: Unpack[ProducerSettings]) -> AsyncProducer:
        """Return a producer for an event loop: :class:`AsyncProducer`, and Producer's settings."""
        with fork.importing:
            from pystream.log.aio.producer import AsyncProducer  # noqa: PLC0415  few programs do

        self.check_writable("produce")
        return AsyncProducer(self, **settings)

    def async_consumer(self, *topics: str, **settings: Unpack[ConsumerSettings]) -> AsyncConsumer:
        """Return a consumer for an event loop: :class:`AsyncConsumer`, and Consumer's settings."""
        with fork.importing:
            from pystream.log.aio.consumer import AsyncConsumer  # noqa: PLC0415  few programs do

        self._check_open()
        return AsyncConsumer(self, *topics, **settings)

    # -- consumer groups -----------------------------------------------------------------------

    def groups(self) -> list[str]:
        """Return the names of all consumer groups, sorted."""
        with fork.importing:
            from pystream.log.groups.admin import list_groups  # noqa: PLC0415  few programs do

        self._check_open()
        return list_groups(self)

    def describe_group(self, group_id: str) -> GroupDescription:
        """Return members, assignments and lag of a consumer group.

        Raises
        ------
        UnknownGroupError
            If there is none of that name.

        Examples
        --------
        >>> import tempfile, pystream as ps
        >>> with tempfile.TemporaryDirectory() as directory, ps.open(directory) as log:
        ...     _ = log.create_topic("clicks", {"page": "string"})
        ...     with log.producer() as producer:
        ...         _ = producer.send("clicks", {"page": "/home"})
        ...     with log.consumer("clicks", group_id="g", auto_offset_reset="earliest"):
        ...         group = log.describe_group("g")
        >>> group.state, len(group.members), group.partitions["clicks", 0].lag
        ('stable', 1, 1)
        """
        with fork.importing:
            from pystream.log.groups.admin import describe_group  # noqa: PLC0415  few programs do

        self._check_open()
        return describe_group(self, group_id)

    def delete_group(self, group_id: str) -> None:
        """Delete a consumer group and what it committed.

        Raises
        ------
        UnknownGroupError
            If there is none of that name.
        GroupNotEmptyError
            If it has members.

        Notes
        -----
        A transaction that is open with offsets of the group can only be aborted then.
        """
        with fork.importing:
            from pystream.log.groups.admin import delete_group  # noqa: PLC0415  few programs do

        self._check_open()
        delete_group(self, group_id)

    def reset_offsets(
        self,
        group_id: str,
        *,
        to: str | Time | None = None,
        shift_by: int | None = None,
        offsets: Mapping[tuple[str, int], int] | str | os.PathLike[str] | None = None,
        topics: str | Iterable[str] | None = None,
    ) -> dict[TopicPartition, int]:
        """Let a consumer group without members go on elsewhere: all is stored, or nothing.

        Parameters
        ----------
        group_id : str
            A group that does not exist is made when `offsets` or `topics` say of what.
        to : {"earliest", "latest"}, datetime, numpy.datetime64 or int, optional
            The log start or end offset, or the first record at or after a time, else the end; int:
            microseconds since 1970. The end is that of the log, also behind transactions that are
            open: of what is appended so far the group reads nothing.
        shift_by : int, optional
            So many records on, or back if negative, from the committed offset, else from the log
            start offset; not beyond what the partition holds.
        offsets : mapping of TopicPartition to int, or path, optional
            Offsets, or a file with lines of ``topic,partition,offset``, each partition once; they
            may have these words as a heading.
        topics : str or iterable of str, optional
            All partitions of these. Default: what the group has committed offsets for.

        Returns
        -------
        dict of TopicPartition to int
            The offsets that are committed now.

        Raises
        ------
        UnknownTopicError
            If there is none of that name.
        UnknownGroupError
            If there is none of that name, and neither `offsets` nor `topics`.
        GroupNotEmptyError
            If the group has members.
        OffsetOutOfRangeError
            If one of `offsets` is not in its partition.
        ConfigError
            Unless exactly one of `to`, `shift_by` and `offsets` is given, and is one.

        Examples
        --------
        >>> import tempfile, pystream as ps
        >>> with tempfile.TemporaryDirectory() as directory, ps.open(directory) as log:
        ...     _ = log.create_topic("clicks", {"page": "string"})
        ...     with log.producer() as producer:
        ...         _ = producer.send("clicks", {"page": "/home"})
        ...     with log.consumer("clicks", group_id="g", auto_offset_reset="earliest") as consumer:
        ...         _ = consumer.poll()
        ...     log.reset_offsets("g", shift_by=-1)
        {TopicPartition(topic='clicks', partition=0): 0}
        """
        with fork.importing:
            from pystream.log.groups.admin import reset_offsets  # noqa: PLC0415  few programs do

        self._check_open()
        return reset_offsets(
            self, group_id, to=to, shift_by=shift_by, offsets=offsets, topics=topics
        )

    # -- transactions --------------------------------------------------------------------------

    def transactions(self) -> list[TransactionListing]:
        """Return the transactions that are open, or of which something is left to be cleaned up.

        Examples
        --------
        >>> import tempfile, pystream as ps
        >>> with tempfile.TemporaryDirectory() as directory, ps.open(directory) as log:
        ...     _ = log.create_topic("lines")
        ...     with log.producer(transactional_id="loader") as producer, producer.transaction():
        ...         _ = producer.send("lines", "first").result()
        ...         [(found.transactional_id, found.state) for found in log.transactions()]
        [('loader', 'open')]
        """
        with fork.importing:
            from pystream.log.transactions.admin import (  # noqa: PLC0415  few programs do
                list_transactions,
            )

        self._check_open()
        return list_transactions(self)

    def describe_transaction(self, transaction: int | str) -> TransactionDescription:
        """Return what a transaction has in each partition.

        Parameters
        ----------
        transaction : int or str
            Its id, or the ``transactional_id`` of its producer.

        Raises
        ------
        UnknownTransactionError
            If there is none, or it is over.
        """
        with fork.importing:
            from pystream.log.transactions.admin import (  # noqa: PLC0415  few programs do
                describe_transaction,
            )

        self._check_open()
        return describe_transaction(self, transaction)

    def abort_transaction(self, transaction: int | str) -> None:
        """Abort an open transaction, whoever's it is; its producer learns of it with its next call.

        Parameters
        ----------
        transaction : int or str
            Its id, or the ``transactional_id`` of its producer.

        Raises
        ------
        UnknownTransactionError
            If there is none, or it is over.
        InvalidTransactionStateError
            If it was committed.
        """
        with fork.importing:
            from pystream.log.transactions.admin import (  # noqa: PLC0415  few programs do
                abort_transaction,
            )

        self._check_open()
        abort_transaction(self, transaction)

    # -- copies --------------------------------------------------------------------------------

    def backup(self, directory: str | os.PathLike[str]) -> Backup:
        """Copy the log as it is at this moment, while it is written and read.

        Parameters
        ----------
        directory : str or path
            New or empty. Segments that are complete are hard links in it where the file system
            allows, and copies elsewhere.

        Returns
        -------
        Backup
            What it holds. ``pystream.open`` opens it, as a log of its own.

        Raises
        ------
        ConfigError
            If the directory is not empty, or lies in the log.
        StorageError
            If the system refuses; nothing of the backup is left.
        RequestTimeoutError
            If an append is in flight for longer than the log's `lock_timeout`.

        Notes
        -----
        It holds everything that was appended before some moment during the call, over all topics,
        and nothing else. A group's committed offsets are never beyond it. When the call returns,
        all is on disk.

        Examples
        --------
        >>> import os, tempfile, pystream as ps
        >>> with tempfile.TemporaryDirectory() as place:
        ...     with ps.open(os.path.join(place, "data")) as log:
        ...         _ = log.create_topic("lines")
        ...         with log.producer() as producer:
        ...             _ = producer.send("lines", "first")
        ...         backup = log.backup(os.path.join(place, "monday"))
        ...     with ps.open(backup.directory) as restored:
        ...         restored.topic("lines").ends()
        [PartitionEnds(start=0, end=1)]
        """
        with fork.importing:
            from pystream.log.backup import back_up  # noqa: PLC0415  few programs do

        self._check_open()
        return back_up(self, directory)
