"""What may be opened as a log: an address, or a directory that is made when it is missing."""

from __future__ import annotations

import os
import re

from pystream.config import path_text
from pystream.errors import ConfigError, LogError, NotSupportedError, StorageError
from pystream.log.os_errors import advice_on

__all__ = [
    "check_directory",
    "is_log",
    "make_directory",
    "require_directory",
    "sync_path",
]

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://")


def check_directory(directory: str | os.PathLike[str]) -> str:
    """Return the path of a log's directory, or refuse an address of something else."""
    path = path_text(directory)
    if path is None:
        raise ConfigError(
            f"directory is {directory!r}. Pass a path as a string or Path, of Unicode, without NUL."
        )
    if scheme := _SCHEME.match(path):
        _refuse_scheme(scheme[1], path)
    return path


def is_log(directory: str | os.PathLike[str]) -> bool:
    """Return whether a log is there, or a backup of one that nobody has opened for writing yet."""

    def exists(name: str) -> bool:
        return os.path.exists(os.path.join(directory, name))

    return exists("order") or (exists("catalog.db") and exists("topics"))


def make_directory(directory: str) -> None:
    """Make a directory unless it exists, and those above it; their names are on the disk then."""
    made = []
    above = os.path.abspath(directory)
    while not os.path.exists(above):
        made.append(above)
        above = os.path.dirname(above)
    try:
        os.makedirs(directory, exist_ok=True)
        for path in made:
            sync_path(os.path.dirname(path))
    except (FileExistsError, NotADirectoryError) as error:
        raise LogError(
            f"{directory} is a file, or lies below one, so it cannot hold a log. Pass a directory.",
            path=directory,
        ) from error
    except OSError as error:
        raise StorageError(
            f"cannot make the directory {directory}: {error.strerror}. {advice_on(error.errno)}",
            errno=error.errno,
            path=directory,
        ) from error


def sync_path(path: str) -> None:
    """Let a file, or the names in a directory, reach the disk, or raise OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_directory(directory: str) -> None:
    """Raise LogError unless the directory exists."""
    if not os.path.isdir(directory):
        raise LogError(
            f"there is no directory {directory}, and a read-only open does not make one. Pass the "
            "directory of a log, or open it for writing.",
            path=directory,
        )


def _refuse_scheme(scheme: str, address: str) -> None:
    if scheme == "kafka":
        raise NotSupportedError(
            f"{address} names a Kafka cluster, which cannot be opened yet. Pass a directory."
        )
    raise ConfigError(f"{address} has the unknown scheme {scheme!r}. Pass a directory.")
