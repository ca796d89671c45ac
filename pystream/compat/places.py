"""Which log a client of Kafka means."""

from __future__ import annotations

import os

from pystream.errors import ConfigError, NotSupportedError
from pystream.log import Log, open

__all__ = ["open_place"]


def open_place(directory: object, servers: object, *, names: tuple[str, str], writes: bool) -> Log:
    """Open the log that a client's settings name.

    Parameters
    ----------
    directory : str or path, or None
        The setting that is ours: any directory.
    servers : str or list of str, or None
        The setting that is Kafka's. It may hold a directory when nobody can take it for a broker's
        address: with a slash in it.
    names : tuple of str
        What the library calls the two, for messages.
    writes : bool
        Whether the client needs the log to be writable.

    Raises
    ------
    ConfigError
        If neither names a directory, or both do and differ.
    NotSupportedError
        For brokers' addresses.
    """
    ours, theirs = names
    if servers is not None:
        place = _place(servers)
        if place is None:
            raise NotSupportedError(
                f"{theirs} is {servers!r}, the address of a broker, and here is none. Pass the "
                f"log's directory as {ours}, or write it with a slash, as in './data'."
            )
        if directory is not None and os.path.abspath(_path(directory, ours)) != place:
            raise ConfigError(f"{ours} is {directory!r}, but {theirs} is {servers!r}. Pass one.")
        return open(place, read_only=not writes)
    if directory is None:
        raise ConfigError(f"no {ours} was given. Pass the directory of the log.")
    return open(_path(directory, ours), read_only=not writes)


def _place(servers: object) -> str | None:
    """Return the directory that a list of brokers is, or None."""
    if isinstance(servers, list | tuple) and len(servers) == 1:
        servers = servers[0]
    if not isinstance(servers, str | os.PathLike):
        return None
    text = os.fspath(servers)
    if not isinstance(text, str) or "://" in text or os.sep not in text:
        return None
    return os.path.abspath(text)


def _path(directory: object, name: str) -> str:
    if isinstance(directory, str | os.PathLike):
        path = os.fspath(directory)
        if isinstance(path, str) and path:
            return path
    raise ConfigError(f"{name} is {directory!r}. Pass the directory of the log.")
