"""Turns what SQLite raises into the errors of pystream."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterator

from pystream.errors import (
    CorruptCatalogError,
    LogError,
    RequestTimeoutError,
    StorageError,
    StreamError,
)
from pystream.log.catalog.rows import DamagedRow
from pystream.log.catalog.topics import UnknownSettings
from pystream.log.os_errors import advice_on, is_at_file_limit

__all__ = ["DATABASE_ERRORS", "translated", "translation"]

# The second: what SQLite says of a damaged schema quotes it, and that need not be UTF-8.
DATABASE_ERRORS = (sqlite3.Error, UnicodeDecodeError)

_ERRNO = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_NOMEM: errno.ENOMEM,
}
# An error of the statement itself: a table or column is not there.
_DAMAGED = (
    *(sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR),
    *(sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_FORMAT),
)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


@contextlib.contextmanager
def translated(path: str) -> Iterator[None]:
    """Raise StorageError, LogError or RequestTimeoutError in place of a sqlite3.Error."""
    try:
        yield
    except DATABASE_ERRORS as error:
        raise translation(error, path) from error


def translation(error: sqlite3.Error | UnicodeDecodeError, path: str) -> StreamError:
    """Return what :func:`translated` raises for an error."""
    if isinstance(error, DamagedRow):
        return CorruptCatalogError(
            f"the catalog {path} is damaged: row {error.row} of table {error.table}: {error.what}. "
            f'Restore the file from a backup, or run "pystream verify --repair '
            f'{os.path.dirname(path)}", which sets the row aside.',
            path=path,
            table=error.table,
            row=error.row,
            column=error.column,
            value=error.value,
        )
    if isinstance(error, UnknownSettings):
        return LogError(f"in the catalog {path}, {error}", path=path, topic=error.topic)
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _DAMAGED or isinstance(error, UnicodeDecodeError):
        return LogError(
            f"{path} is not a catalog, or is damaged ({error}). Open another directory, or "
            "restore this file from a backup.",
            path=path,
        )
    if code in _BUSY:
        return RequestTimeoutError(
            f"{path} stayed locked by a program that is not pystream ({error}). Close it."
        )
    number = _ERRNO.get(code, errno.EIO)
    what = str(error)
    if code == sqlite3.SQLITE_CANTOPEN and is_at_file_limit():
        number = errno.EMFILE
        what = os.strerror(number)
    return StorageError(
        f"the catalog cannot be read or written: {path}: {what}. {advice_on(number)}",
        errno=number,
        path=path,
    )
