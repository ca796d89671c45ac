"""Backing a log up while it is in use. Restoring is opening the copy."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pystream import config
from pystream._native import Schema
from pystream.errors import (
    ConfigError,
    LogError,
    RequestTimeoutError,
    StorageError,
    StreamError,
)
from pystream.log.catalog.database import copy_database
from pystream.log.catalog.errors import translated
from pystream.log.catalog.format import check_catalog_version, upgrade
from pystream.log.catalog.rows import tolerant
from pystream.log.catalog.topics import remove_topic, topics_in
from pystream.log.catalog.transactions import OPEN, all_transactions
from pystream.log.directory import check_directory, sync_path
from pystream.log.retention import retention_lock
from pystream.log.topic_file import write_topic_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pystream._native import Partition
    from pystream.log.log import Log
    from pystream.log.topic_description import TopicDescription

__all__ = ["Backup", "back_up"]

# The catalog's copy until all else is there: a log with this file in it is refused.
_UNFINISHED = "backup.unfinished"
_CUTS_MAX = 1000
_ATTEMPTS = 10  # each ends because a compaction began behind the cut


class Backup(NamedTuple):
    """What a backup holds.

    Attributes
    ----------
    directory : str
        Where it is; ``pystream.open`` opens it.
    topics : int
    partitions : int
    linked_bytes : int
        Of segments that take no space of their own, because both logs share them.
    copied_bytes : int
    """

    directory: str
    topics: int
    partitions: int
    linked_bytes: int
    copied_bytes: int


def back_up(log: Log, directory: str | os.PathLike[str]) -> Backup:
    """Do what :meth:`Log.backup` says.

    The order is what makes it whole. The catalog comes first, so that every topic and committed
    offset in it is older than the cut; then the cut; then the partitions up to it. No transaction
    is decided between the first two. The catalog's copy gets its name last, when everything is on
    disk.
    """
    target = os.path.abspath(check_directory(directory))
    is_made = _prepare(log.directory, target)
    unfinished = os.path.join(target, _UNFINISHED)
    try:
        with _without_compaction(log):
            result = _copy(log, target, unfinished)
        with _storage_errors(target):
            sync_path(os.path.join(target, "topics"))
            sync_path(unfinished)
            os.rename(unfinished, os.path.join(target, "catalog.db"))
            sync_path(target)
            sync_path(os.path.dirname(target))
    except BaseException:
        _remove(target, is_made=is_made)
        raise
    return result


@contextlib.contextmanager
def _without_compaction(log: Log) -> Iterator[None]:
    """Hold up whoever would compact, if that is possible: else the copy may be made in vain."""
    if log.is_read_only:
        yield
        return
    lock = retention_lock(log.directory)
    try:
        with contextlib.suppress(RequestTimeoutError):  # one that takes long began before the cut
            lock.acquire(config.parse_duration_us(config.LOCK_TIMEOUT))
        yield
    finally:
        lock.close()


def _copy(log: Log, target: str, catalog: str) -> Backup:
    """Copy all but the names that make it a log; again, when a compaction began in between."""
    for _ in range(_ATTEMPTS):
        cut, found = _take_cut(log, catalog)
        result = _copy_topics(log, target, catalog, cut, found)
        if result is not None:
            return result
        _remove(target, is_made=False)
    raise LogError(
        f"a backup of {log.directory} was overtaken by compactions, {_ATTEMPTS} times. Open the "
        "log for writing, so that it can hold them up."
    )


def _take_cut(log: Log, path: str) -> tuple[int, dict[bytes, list[Partition]]]:
    """Copy the catalog, and return the cut and the partitions of its topics.

    What was open in the copy was not decided before the cut: else the copy would abort a
    transaction that has markers in it, and lack the offsets that were committed with it.
    """
    found: dict[bytes, list[Partition]] = {}
    for _ in range(_CUTS_MAX):
        with log.catalog.reading() as connection:
            topics = topics_in(connection)
        # Opening one asks the catalog, which is not to be had under its lock.
        for topic in topics:
            if len(found.get(topic.id, ())) != topic.partitions:
                found[topic.id] = _partitions(log, topic)
        partitions = [partition for group in found.values() for partition in group]
        if log.is_read_only:
            log.catalog.copy_to(path)
            cut = log.native.cut(partitions)
        else:
            with log.catalog.standing_still() as connection:  # nobody decides meanwhile
                copy_database(connection, path)
                cut = log.native.cut(partitions)
        if _is_whole(log, path, found):
            return cut, found
    raise LogError(
        f"a backup of {log.directory} finds no moment between two transactions, in {_CUTS_MAX} "
        "attempts. Open the log for writing, so that it can hold them up."
    )


def _is_whole(log: Log, path: str, found: Mapping[bytes, list[Partition]]) -> bool:
    """Return whether the copy has no partition more, and nothing in it was decided since."""
    with translated(path), contextlib.closing(tolerant(sqlite3.connect(path))) as copy:
        upgrade(copy, check_catalog_version(copy, path))  # of a read-only log
        if any(len(found.get(topic.id, ())) != topic.partitions for topic in topics_in(copy)):
            return False
        open_in_copy = [row.id for row in all_transactions(copy) if row.state == OPEN]
    if not log.is_read_only or not open_in_copy:
        return True
    with log.catalog.reading() as connection:
        still = {row.id for row in all_transactions(connection) if row.state == OPEN}
    return still.issuperset(open_in_copy)


def _copy_topics(
    log: Log, target: str, catalog: str, cut: int, found: Mapping[bytes, list[Partition]]
) -> Backup | None:
    """Copy the topics; None when a compaction came in between."""
    with (
        translated(catalog),
        contextlib.closing(tolerant(sqlite3.connect(catalog))) as connection,
    ):
        topics = topics_in(connection)
        linked = copied = count = kept = 0
        os.makedirs(os.path.join(target, "topics"), exist_ok=True)
        for topic in topics:
            place = os.path.join(target, "topics", topic.id.hex())
            try:
                for number, partition in enumerate(found[topic.id]):
                    with _storage_errors(place):
                        os.makedirs(os.path.join(place, str(number)))
                    part = partition.backup(os.path.join(place, str(number)), cut)
                    if part.is_outdated:
                        return None
                    linked += part.linked_bytes
                    copied += part.copied_bytes
                    count += 1
                with _storage_errors(place):
                    sync_path(place)
            except StreamError:
                if log.catalog.has_topic(topic.id):
                    raise
            if log.catalog.has_topic(topic.id):
                write_topic_file(target, topic, log.catalog.created_us(topic.id))
                kept += 1
            else:
                # Deleted meanwhile: its files may have gone while they were copied.
                with connection:
                    remove_topic(connection, topic)
                shutil.rmtree(place, ignore_errors=True)
    return Backup(target, kept, count, linked, copied)


def _partitions(log: Log, topic: TopicDescription) -> list[Partition]:
    schema = Schema.deserialize(topic.schema_blob)
    try:
        return log.native_partitions(topic, schema, range(topic.partitions))
    except StreamError:
        if log.catalog.has_topic(topic.id):
            raise
        return []


def _prepare(source: str, target: str) -> bool:
    """Make the directory, or see that it is empty; return whether it was made."""
    real_source, real_target = os.path.realpath(source), os.path.realpath(target)
    if os.path.commonpath([real_source, real_target]) == real_source:
        raise ConfigError(
            f"the backup {target} would lie in the log {source} itself. Pass another directory."
        )
    try:
        os.makedirs(target)
        return True
    except FileExistsError:
        pass
    except OSError as error:
        raise _storage_error(error, target) from error
    try:
        is_empty = not os.listdir(target)
    except OSError as error:
        raise _storage_error(error, target) from error
    if not is_empty:
        raise ConfigError(
            f"{target} is not empty, so a backup there could mix with what it holds. Pass an "
            "empty or new directory."
        )
    return False


def _remove(target: str, *, is_made: bool) -> None:
    if is_made:
        shutil.rmtree(target, ignore_errors=True)
        return
    for entry in Path(target).iterdir():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


@contextlib.contextmanager
def _storage_errors(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise _storage_error(error, path) from error


def _storage_error(error: OSError, path: str) -> StorageError:
    return StorageError(
        f"the backup cannot be written: {error.filename or path}: {error.strerror}. Check free "
        "space and permissions.",
        errno=error.errno,
        path=str(error.filename or path),
    )
