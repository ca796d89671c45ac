"""The database behind the catalog: one connection, its transactions, and noticing those of others.

Several processes share it: every write and every write-back of the write-ahead log happens under
one kernel lock, because SQLite before 3.51.3 can lose commits when several processes write and
checkpoint at once. Each commit is synced.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import weakref
from collections.abc import Callable

from pystream import config
from pystream._native import Guard
from pystream.errors import ClientError, LogError
from pystream.log import fork
from pystream.log.catalog.dropped import DROPPED, Connected
from pystream.log.catalog.errors import DATABASE_ERRORS, translated, translation
from pystream.log.catalog.format import check_catalog_version, create_tables, upgrade
from pystream.log.catalog.reader import Signature, connect_read_only, signature_of
from pystream.log.catalog.rows import tolerant
from pystream.log.catalog.watch import CatalogWatch
from pystream.log.kernel_lock import KernelLock
from pystream.log.topic_file import topics_with_records

__all__ = ["CatalogDatabase", "copy_database"]


class CatalogDatabase:
    """Opens ``catalog.db``, and opens it again when it must; used by one thread at a time.

    Parameters
    ----------
    directory, lock_timeout_us, read_only, is_rebuilt
        As of :class:`Catalog`.

    Attributes
    ----------
    own_commits : int
        Through this connection, which does not see them as changes.
    reopened_count : int
        How often a read-only connection was made anew, because others had written.

    Notes
    -----
    A forked child never touches the parent's connection (SQLite forbids it): it opens its own on
    first use. Ctrl-C at any moment leaves neither a lock held nor a transaction open: other threads
    may be needed before its traceback is gone, to close producers say.
    """

    def __init__(
        self, directory: str, lock_timeout_us: int, *, read_only: bool, is_rebuilt: bool
    ) -> None:
        self._directory = directory
        self._path = os.path.join(directory, "catalog.db")
        self._read_only = read_only
        self._is_rebuilt = is_rebuilt
        self._frozen: Signature | None = None  # the state that a read-only connection shows
        self.reopened_count = self.own_commits = 0
        self._lock_timeout_us = lock_timeout_us
        self._mutex = fork.mutex()
        self._busy: _Block | None = None  # what the thread that has the mutex is in the middle of
        self._write_lock = KernelLock(
            os.path.join(directory, "catalog.lock"), what=f"the catalog of {directory}"
        )
        self._connection: sqlite3.Connection | None = None
        self._foreign_changes = 0  # as SQLite counts them
        self._watch = CatalogWatch(self._path)
        self._closer: weakref.finalize[..., CatalogDatabase] | None = None  # when it is dropped
        self._close_now: Callable[[], None]
        with self._mutex:
            self._open()
        fork.on_child(self)

    def foreign_changes(self) -> int:
        """Return what differs after another connection has committed. Cheap.

        Commits of another process are noticed at once, and within a second if that process was
        stopped in the middle of its commit.
        """
        if self._watch.may_have_changed():
            with self.reading() as connection:
                (self._foreign_changes,) = connection.execute("PRAGMA data_version").fetchone()
        return self._foreign_changes

    def reading(self) -> Guard[sqlite3.Connection]:
        """Lend the connection; each statement is a transaction of its own."""
        return Guard(self._mutex, self._connected, self._end_reading)

    def snapshot(self) -> Guard[sqlite3.Connection]:
        """Show one state of everything for the time of the body."""
        return self._guard(_Block(self, "BEGIN"))

    def writing(self) -> Guard[sqlite3.Connection]:
        """Run a transaction; it is rolled back when the body raises."""
        if self._read_only:
            raise LogError(
                f"the catalog {self._path} was opened read-only, so it cannot be changed. Open "
                "the log for writing.",
                path=self._path,
            )
        return self._guard(_Block(self, "BEGIN IMMEDIATE"))

    def standing_still(self) -> Guard[sqlite3.Connection]:
        """Lend the connection while nobody writes, in any process."""
        return self._guard(_Block(self, None))

    def close(self) -> None:
        """Close the connection; the catalog opens again when it is used again."""
        with self._mutex:
            self._require_not_inside()
            self._close()

    def forget_in_child(self) -> None:
        """Abandon what a forked child must not touch: the next use opens its own."""
        if self._closer is not None:
            self._closer.detach()
        fork.leak(self._connection)
        self._connection = None
        self._write_lock.forget()

    def _close(self) -> None:
        if self._closer is not None and self._closer.detach() is not None:
            self._close_now()
        self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._read_only:
            return self._open_read_only()
        with translated(self._path), self._write_lock:
            self._write_lock.acquire(self._lock_timeout_us)
            self._require_not_lost()
            connection = tolerant(
                sqlite3.connect(
                    self._path, isolation_level=None, check_same_thread=False, timeout=10.0
                )
            )
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
        # Closing the last connection writes the log back, so it too happens under the lock: also
        # when the program ends without closing.
        connected = Connected(connection, self._write_lock, self._lock_timeout_us)
        self._connection, self._close_now = connection, connected.close
        self._closer = weakref.finalize(self, DROPPED.add, connected)
        DROPPED.try_close()
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
        self._connection, self._close_now = connection, connection.close
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

    def _connected(self) -> sqlite3.Connection:
        if self._frozen is not None and self._frozen != signature_of(self._path):
            self._close()
            self.reopened_count += 1
        return self._connection or self._open()

    def _guard(self, block: _Block) -> Guard[sqlite3.Connection]:
        return Guard(self._mutex, block.begin, block.end)

    def _require_not_inside(self) -> None:
        """Raise where this very thread is in the middle of another block, which this would end.

        So it is in a signal handler, or where the garbage collector ends a generator.
        """
        if self._busy is None:
            return
        self._mutex.release()
        is_inside = self._mutex._is_owned()  # type: ignore[attr-defined]
        self._mutex.acquire()
        if is_inside:  # else Ctrl-C has cut the end of the other one short
            raise ClientError(
                f"the catalog {self._path} was used by a signal handler, or by something that was "
                "dropped, in the middle of another use in the same thread. Let handlers set a "
                "flag, and close in the program's own course."
            )

    def _end_reading(self, error: BaseException | None) -> None:
        if isinstance(error, DATABASE_ERRORS):
            raise translation(error, self._path) from error

    def _write_back(self, connection: sqlite3.Connection) -> None:
        with contextlib.suppress(FileNotFoundError):
            if os.path.getsize(self._path + "-wal") > config.WAL_CHECKPOINT_BYTES:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


class _Block:
    """What begins and ends with a block; ending it twice is fine, if Ctrl-C cut the end short.

    Parameters
    ----------
    database : CatalogDatabase
    statement : {"BEGIN", "BEGIN IMMEDIATE"} or None
        None: nobody writes, and nothing is begun.
    """

    def __init__(self, database: CatalogDatabase, statement: str | None) -> None:
        self._database = database
        self._statement = statement
        self._is_locking = statement != "BEGIN"
        self._connection: sqlite3.Connection | None = None

    def begin(self) -> sqlite3.Connection:
        database = self._database
        database._require_not_inside()
        database._busy = self
        with translated(database._path):
            connection = self._connection = database._connected()
            if self._is_locking:
                database._write_lock.acquire(database._lock_timeout_us)
            if self._statement is not None:
                _roll_back(connection)  # what a block began that nobody left
                connection.execute(self._statement)
        return connection

    def end(self, error: BaseException | None) -> None:
        database, connection = self._database, self._connection
        if database._busy is not self:
            return  # it was not let in, or has ended
        is_good = self._statement == "BEGIN IMMEDIATE" and error is None
        try:
            with translated(database._path):
                try:
                    if connection is not None and is_good:
                        connection.execute("COMMIT")
                        database.own_commits += 1
                finally:
                    if connection is not None and connection is database._connection:
                        _roll_back(connection)
                if connection is not None and is_good:
                    database._write_back(connection)
        finally:
            if self._is_locking:
                database._write_lock.release()
            database._busy = None
        if self._is_locking:
            DROPPED.try_close()
        database._end_reading(error)


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def copy_database(connection: sqlite3.Connection, path: str) -> None:
    """Write a copy of what a connection shows to a file, and sync it."""
    with (
        translated(path),
        contextlib.closing(sqlite3.connect(path, isolation_level=None)) as copy,
    ):
        connection.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file
