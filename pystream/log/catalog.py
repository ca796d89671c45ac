"""The catalog: topics, schemas, group offsets and producers' names of a log, in SQLite.

It is the control plane that ZooKeeper is for Kafka. Appending and reading need it only to find a
topic. Several processes share it: every write and every write-back of the write-ahead log happens
under one kernel lock, because SQLite before 3.51.3 can lose commits when several processes write
and checkpoint at once. Each commit is synced.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import time
import uuid
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pystream import config
from pystream.errors import LogError, TopicExistsError, UnknownTopicError
from pystream.log import fork
from pystream.log.catalog_errors import translated
from pystream.log.catalog_format import check_catalog_version, create_tables, upgrade
from pystream.log.catalog_reader import Signature, connect_read_only, signature_of
from pystream.log.catalog_topics import (
    created_us,
    enter_schema,
    find_topic,
    find_topics,
    insert_topic,
    remove_topic,
    topic_of_id,
)
from pystream.log.catalog_watch import CatalogWatch
from pystream.log.group_rows import enter_group, find_group, write_offsets
from pystream.log.kernel_lock import KernelLock
from pystream.log.topic_description import TopicDescription
from pystream.log.topic_file import (
    mark_deleted,
    topics_with_records,
    write_topic_file,
    write_topic_files,
)
from pystream.log.topic_settings import check_same

__all__ = ["Catalog", "ProducerPosition"]

ProducerPosition = tuple[int, int, int, int]
"""Next offset, incarnation of the partition, last sequence, complete sequence."""


class Catalog:
    """Reads and writes the catalog of one log directory. Any thread.

    Parameters
    ----------
    directory : str
        Of the log; ``catalog.db`` and ``catalog.lock`` are created when missing.
    lock_timeout_us : int
        How long to wait for another process's write.
    is_rebuilt : bool, default False
        The catalog was lost and its topics are about to be entered again; else an empty catalog
        over topics that have records is refused.
    read_only : bool, default False
        Write nothing, and make no file; follows what others write.

    Notes
    -----
    One connection, used by one thread at a time. A forked child never touches the parent's
    connection (SQLite forbids it): it opens its own on first use.
    """

    def __init__(
        self,
        directory: str,
        lock_timeout_us: int,
        *,
        read_only: bool = False,
        is_rebuilt: bool = False,
    ) -> None:
        self._directory = directory
        self._path = os.path.join(directory, "catalog.db")
        self._read_only = read_only
        self._is_rebuilt = is_rebuilt
        self._frozen: Signature | None = None  # the state that a read-only connection shows
        self._reopened_count = self._own_commits = 0
        self._lock_timeout_us = lock_timeout_us
        self._mutex = fork.mutex()
        self._write_lock = KernelLock(
            os.path.join(directory, "catalog.lock"), what=f"the catalog of {directory}"
        )
        self._connection: sqlite3.Connection | None = None
        self._transaction: object = None  # the last one that began
        self._own_changes = 0  # by this connection, which does not see its own changes
        self._foreign_changes = 0  # as SQLite counts them
        self._watch = CatalogWatch(self._path)
        self._closer: weakref.finalize[..., Catalog] | None = None
        with self._mutex:
            self._open()
        fork.on_child(self)

    # -- topics --------------------------------------------------------------------------------

    def create_topics(
        self, topics: Sequence[TopicDescription], *, exist_ok: bool = False
    ) -> list[TopicDescription]:
        """Add topics of different names, all or none; return them with their ids filled in.

        Raises
        ------
        TopicExistsError
            If there is one of such a name; with `exist_ok`, only if it has other properties.
        """
        if exist_ok:
            with self._read() as connection:
                found = find_topics(connection, [topic.name for topic in topics])
            check_same(topics, found)
            if len(found) == len(topics):
                return [found[topic.name] for topic in topics]
        with self._write() as connection:
            found = find_topics(connection, [topic.name for topic in topics])
            if found and not exist_ok:
                name = next(iter(found))
                raise TopicExistsError(
                    f"topic {name!r} exists already. Pass exist_ok=True to use it.", topic=name
                )
            check_same(topics, found)
            now = time.time_ns() // 1000
            made = []
            for topic in topics:
                if topic.name not in found:
                    schema_id = enter_schema(connection, topic.schema_blob)
                    made.append(topic.with_ids(uuid.uuid4().bytes, schema_id))
                    insert_topic(connection, made[-1], now)
            write_topic_files(self._directory, made, now)
        found |= {topic.name: topic for topic in made}
        return [found[topic.name] for topic in topics]

    def alter_topic(
        self, name: str, change: Callable[[TopicDescription], bytes]
    ) -> TopicDescription:
        """Give a topic another schema, the blob that `change` returns; return what it is then.

        Raises
        ------
        UnknownTopicError
            If there is none of that name.
        """
        with self._write() as connection:
            topic = find_topic(connection, name)
            if topic is None:
                raise UnknownTopicError(
                    f"topic {name!r} does not exist, so it cannot be altered.", topic=name
                )
            blob = change(topic)
            if blob == topic.schema_blob:
                return topic
            schema_id = enter_schema(connection, blob)
            connection.execute(
                "UPDATE topics SET schema_id = ? WHERE id = ?", (schema_id, topic.id)
            )
            connection.execute(
                "INSERT INTO topic_schemas SELECT topic_id, max(version) + 1, ?, ? "
                "FROM topic_schemas WHERE topic_id = ?",
                (schema_id, time.time_ns() // 1000, topic.id),
            )
            topic = replace(topic, schema_id=schema_id, schema_blob=blob)
            write_topic_file(self._directory, topic, created_us(connection, topic.id))
        self._own_changes += 1
        return topic

    def schema_history(self, topic_id: bytes) -> list[tuple[int, bytes]]:
        """Return (id, blob) of every schema that a topic has had, the present one last."""
        with self._read() as connection:
            return connection.execute(
                "SELECT s.id, s.blob FROM topic_schemas t JOIN schemas s ON s.id = t.schema_id "
                "WHERE t.topic_id = ? ORDER BY t.version",
                (topic_id,),
            ).fetchall()

    def find_topic(self, name: str) -> TopicDescription | None:
        """Return a topic, or None."""
        with self._read() as connection:
            return find_topic(connection, name)

    def topic_of_id(self, topic_id: bytes) -> TopicDescription | None:
        """Return the topic of an id, or None."""
        with self._read() as connection:
            return topic_of_id(connection, topic_id)

    def topic_names(self) -> list[str]:
        """Return the names of all topics, sorted."""
        with self._read() as connection:
            rows = connection.execute("SELECT name FROM topics ORDER BY name").fetchall()
        return [name for (name,) in rows]

    def delete_topic(self, name: str) -> TopicDescription:
        """Remove a topic and the offsets that groups committed for it; return what it was.

        Raises
        ------
        UnknownTopicError
            If there is none of that name.
        """
        with self._write() as connection:
            topic = find_topic(connection, name)
            if topic is None:
                raise UnknownTopicError(
                    f"topic {name!r} does not exist, so it cannot be deleted.", topic=name
                )
            remove_topic(connection, topic)
            # From here on its directory is no topic that lost its row.
            mark_deleted(self._directory, topic.id)
        self._own_changes += 1
        return topic

    def change_mark(self) -> tuple[int, int]:
        """Return what differs after a topic was altered or deleted or a name taken. Cheap.

        Changes of another process are noticed at once, and within a second if that process was
        stopped in the middle of its commit.
        """
        if self._watch.may_have_changed():
            with self._read() as connection:
                (self._foreign_changes,) = connection.execute("PRAGMA data_version").fetchone()
        return self._foreign_changes, self._own_changes + self._reopened_count

    def commit_mark(self) -> tuple[int, int]:
        """Return what differs after anything was committed; as cheap."""
        return self.change_mark()[0], self._own_commits + self._reopened_count

    def has_topic(self, topic_id: bytes) -> bool:
        """Return whether the topic of that id exists, whatever its name."""
        with self._read() as connection:
            row = connection.execute("SELECT 1 FROM topics WHERE id = ?", (topic_id,)).fetchone()
        return row is not None

    def created_us(self, topic_id: bytes) -> int:
        """Return when a topic was created, in microseconds; 0 when it is gone."""
        with self._read() as connection:
            return created_us(connection, topic_id)

    # -- copies --------------------------------------------------------------------------------

    def copy_to(self, path: str) -> None:
        """Write a copy of this moment's catalog to a new file, and sync it."""
        with (
            self._read() as connection,
            translated(path),
            contextlib.closing(sqlite3.connect(path, isolation_level=None)) as copy,
        ):
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file

    # -- transactions of others ----------------------------------------------------------------

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Show one state of everything for the time of the body."""
        with self._read() as connection:
            transaction = object()
            try:  # Ctrl-C may come when it has just begun
                self._begin(connection, "BEGIN", transaction)
                yield connection
            finally:
                self._roll_back(connection, transaction)

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Run a transaction; it is rolled back when the body raises."""
        with self._write() as connection:
            yield connection

    # -- groups --------------------------------------------------------------------------------

    def group_id(self, name: str) -> int:
        """Return the number of a consumer group, which it gets when it is first named."""
        with self._read() as connection:
            number = find_group(connection, name)
        if number is None:
            with self._write() as connection:
                number = enter_group(connection, name)
        return number

    def commit_offsets(self, group_id: int, offsets: Iterable[tuple[bytes, int, int]]) -> None:
        """Store (topic id, partition, next offset) of a group, all or none."""
        with self._write() as connection:
            write_offsets(connection, group_id, list(offsets))

    def committed_offset(self, group_id: int, topic_id: bytes, partition: int) -> int | None:
        """Return the next offset that a group committed, or None."""
        with self._read() as connection:
            row = connection.execute(
                "SELECT next_offset FROM group_offsets "
                "WHERE group_id = ? AND topic_id = ? AND partition = ?",
                (group_id, topic_id, partition),
            ).fetchone()
        return None if row is None else int(row[0])

    # -- producers -----------------------------------------------------------------------------

    def open_producer(self, name: str) -> tuple[int, int]:
        """Return the id of a producer's name, and its next epoch, which fences all before."""
        now = time.time_ns() // 1000
        with self._write() as connection:
            connection.execute(
                "INSERT INTO producers VALUES (?, ?, 0, ?) ON CONFLICT (name) "
                "DO UPDATE SET epoch = epoch + 1, opened_us = excluded.opened_us",
                (secrets.randbits(62), name, now),
            )
            row = connection.execute(
                "SELECT id, epoch FROM producers WHERE name = ?", (name,)
            ).fetchone()
        self._own_changes += 1
        return int(row[0]), int(row[1])

    def producer_epoch(self, producer_id: int) -> int:
        """Return the epoch of the newest producer of a name."""
        with self._read() as connection:
            row = connection.execute(
                "SELECT epoch FROM producers WHERE id = ?", (producer_id,)
            ).fetchone()
        return int(row[0])

    def producer_positions(self, producer_id: int, topic_id: bytes) -> dict[int, ProducerPosition]:
        """Return what was saved for a producer, by partition."""
        with self._read() as connection:
            rows = connection.execute(
                "SELECT partition, next_offset, incarnation, last_sequence, complete_sequence "
                "FROM producer_positions WHERE producer_id = ? AND topic_id = ?",
                (producer_id, topic_id),
            ).fetchall()
        return {partition: tuple(position) for partition, *position in rows}

    def save_producer_positions(
        self,
        producer_id: int,
        epoch: int,
        topic_id: bytes,
        positions: Iterable[ProducerPosition],
    ) -> int:
        """Store a position for each partition, and return the producer's newest epoch.

        Nothing is stored when that is another, or when the topic is gone.
        """
        with self._write() as connection:
            (newest,) = connection.execute(
                "SELECT epoch FROM producers WHERE id = ?", (producer_id,)
            ).fetchone()
            connection.executemany(
                "INSERT OR REPLACE INTO producer_positions SELECT ?, id, ?, ?, ?, ?, ? "
                "FROM topics WHERE id = ? AND ? = ?",
                [
                    (producer_id, partition, *position, topic_id, epoch, newest)
                    for partition, position in enumerate(positions)
                ],
            )
        return int(newest)

    # -- life ----------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the connection; the catalog opens again when it is used again."""
        with self._mutex:
            if self._closer is not None:
                self._closer()
            self._connection = None

    def forget_in_child(self) -> None:
        """Abandon what a forked child must not touch: the next use opens its own."""
        if self._closer is not None:
            self._closer.detach()
        fork.leak(self._connection)
        self._connection = None
        self._write_lock.forget()

    def _open(self) -> sqlite3.Connection:
        if self._read_only:
            return self._open_read_only()
        with translated(self._path), self._locked():
            self._require_not_lost()
            connection = sqlite3.connect(
                self._path, isolation_level=None, check_same_thread=False, timeout=10.0
            )
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
        self._connection = connection
        # Closing the last connection writes the log back, so it too happens under the lock: also
        # when the program ends without closing.
        self._closer = weakref.finalize(
            self, _close, connection, self._write_lock, self._lock_timeout_us
        )
        return connection

    def _open_read_only(self) -> sqlite3.Connection:
        with translated(self._path):
            connection, self._frozen = connect_read_only(self._path)
            try:
                if not self._version(connection):
                    raise LogError(f"{self._path} is empty. Open the log for writing.")
            except BaseException:
                connection.close()
                raise
        self._connection = connection
        self._closer = weakref.finalize(self, connection.close)
        return connection

    def _require_not_lost(self) -> None:
        """Refuse to begin an empty catalog over topics that have records."""
        if self._is_rebuilt or (os.path.exists(self._path) and os.path.getsize(self._path) > 0):
            return
        lost = [path.name for path in topics_with_records(self._directory)]
        if lost:
            raise LogError(
                f"{self._path} is missing, but {len(lost)} topics have records in "
                f'{self._directory}. Restore the file from a backup, or run "pystream verify '
                f"--repair {self._directory}\", which makes it again from the topics' files.",
                path=self._path,
            )

    def _version(self, connection: sqlite3.Connection) -> int:
        """Return which format the catalog has; 0 when the database is empty."""
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        is_ours = connection.execute(
            "SELECT count(*) FROM sqlite_master WHERE name IN ('meta', 'topics')"
        ).fetchone() == (2,)
        if tables and not is_ours:
            raise LogError(
                f"{self._path} is a database, but not the catalog of a log. Use another directory.",
                path=self._path,
            )
        return check_catalog_version(connection, self._path) if is_ours else 0

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # Before anything is written: what is no catalog of ours must stay as it is.
        version = self._version(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        if version == 0:
            create_tables(connection)
        else:
            upgrade(connection, version)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        # Entered first, so that Ctrl-C cannot come between taking the lock and giving it back.
        with self._write_lock:
            self._write_lock.acquire(self._lock_timeout_us)
            yield

    @contextlib.contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._mutex, translated(self._path):
            if self._frozen is not None and self._frozen != signature_of(self._path):
                self.close()
                self._reopened_count += 1
            yield self._connection or self._open()

    @contextlib.contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """Run a transaction; it is rolled back when the body raises."""
        if self._read_only:
            raise LogError(
                f"the catalog {self._path} was opened read-only, so it cannot be changed. Open "
                "the log for writing.",
                path=self._path,
            )
        with self._mutex, translated(self._path):
            connection = self._connection or self._open()
            with self._locked():
                transaction = object()
                try:
                    self._begin(connection, "BEGIN IMMEDIATE", transaction)
                    yield connection
                    connection.execute("COMMIT")
                    self._own_commits += 1
                except BaseException:
                    self._roll_back(connection, transaction)
                    raise
                self._write_back(connection)

    def _begin(self, connection: sqlite3.Connection, statement: str, transaction: object) -> None:
        # Ctrl-C may have come between the body of a transaction and the block that ends it.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        self._transaction = transaction
        connection.execute(statement)

    def _roll_back(self, connection: sqlite3.Connection, transaction: object) -> None:
        is_current = transaction is self._transaction and connection is self._connection
        if is_current and connection.in_transaction:
            connection.execute("ROLLBACK")

    def _write_back(self, connection: sqlite3.Connection) -> None:
        wal = Path(self._path + "-wal")
        with contextlib.suppress(FileNotFoundError):
            if wal.stat().st_size > config.WAL_CHECKPOINT_BYTES:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _close(connection: sqlite3.Connection, lock: KernelLock, lock_timeout_us: int) -> None:
    try:
        lock.acquire(lock_timeout_us)
        connection.close()
    finally:
        lock.close()
