"""Reading a catalog that may not be written, without leaving a trace in its directory."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from pystream.errors import LogError
from pystream.log.catalog.rows import tolerant

__all__ = ["Signature", "connect_read_only", "signature_of", "stat_of"]

_WAL_HEADER_BYTES = 32


class Signature(NamedTuple):
    """Differs after the files of a database have changed."""

    database: tuple[int, ...]
    log: tuple[int, ...]


def signature_of(path: str) -> Signature:
    """Return the signature of a database and its write-ahead log."""
    return Signature(stat_of(path), stat_of(path + "-wal"))


def connect_read_only(path: str) -> tuple[sqlite3.Connection, Signature | None]:
    """Open a database that others may be writing; nothing is written beside it.

    Returns
    -------
    connection : sqlite3.Connection
    signature : Signature or None
        Of the state that the connection shows for ever; None when it follows the writers.

    Raises
    ------
    LogError
        If there is none.
    sqlite3.Error
        If it cannot be read.
    """
    signature = signature_of(path)
    if not signature.database:
        raise LogError(
            f"{path} does not exist, and a read-only open does not create it. Open the log for "
            'writing, or run "pystream verify --repair" if the file was lost.',
            path=path,
        )
    if not signature.log or signature.log[0] <= _WAL_HEADER_BYTES:
        # Nothing in it: the file is all there is, and SQLite need not make a file to say so. It
        # would also wait ten seconds for someone to write on, behind a header that nobody uses.
        return _connect(path, "immutable=1"), signature
    connection = _connect(path, "mode=ro&readonly_shm=1")
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        # The index of the write-ahead log is missing, and may not be made here.
        connection.close()
        return _copy(path), signature
    return connection, None


def _connect(path: str, options: str) -> sqlite3.Connection:
    return tolerant(
        sqlite3.connect(
            f"file:{quote(path)}?{options}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=10.0,
        )
    )


def _copy(path: str) -> sqlite3.Connection:
    """Return a copy in memory, made by way of a temporary directory."""
    copy = tolerant(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False))
    with tempfile.TemporaryDirectory(prefix="pystream-") as directory:
        target = os.path.join(directory, Path(path).name)
        for suffix in ("", "-wal"):
            shutil.copyfile(path + suffix, target + suffix)
        with contextlib.closing(sqlite3.connect(target)) as source:
            source.backup(copy)
    return copy


def stat_of(path: str | int) -> tuple[int, ...]:
    """Return what differs after a file has changed; nothing when there is no file."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return ()
    return found.st_size, found.st_mtime_ns, found.st_ino
