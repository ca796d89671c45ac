"""What a topic is, kept in its own directory: the catalog can be rebuilt from it.

::

    DIR/topics/<topic id>/topic           docs/formats/log_directory.md draws the bytes
    DIR/topics/<topic id>/topic.deleted   the same, of a topic whose deletion has begun
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from pystream._native import crc32c
from pystream.errors import CorruptRecordError, LogError, StorageError
from pystream.log import fork
from pystream.log.format_version import check_format_version
from pystream.log.os_errors import advice_on
from pystream.log.topic_description import TopicConfig, TopicDescription

__all__ = [
    "ensure_topic_file",
    "mark_deleted",
    "partitions_in_file",
    "read_topic_file",
    "remove_topic_files",
    "topic_directories",
    "topics_with_records",
    "write_topic_file",
    "write_topic_files",
]

NAME = "topic"
DELETED = "topic.deleted"
FORMAT_VERSION = 1
OLDEST_FORMAT_VERSION = 1
_MAGIC = b"PSTF"
_HEAD = struct.Struct("<4sIHHI")  # magic, crc of all behind it, version, reserved, length of JSON
_CRC_BEGIN = 8
_FEW_TOPICS = 4
_SYNCING_THREADS = 8
_TOPIC_ID = re.compile(r"[0-9a-f]{32}")


def write_topic_file(log_directory: str, topic: TopicDescription, created_us: int) -> None:
    """Write the file of a topic, whose directory is made when it is missing.

    Its bytes are on the disk when this returns; its name is once the topic's first record is
    durable.

    Raises
    ------
    StorageError
        If the system refuses.
    """
    directory = os.path.join(log_directory, "topics", topic.id.hex())
    path = os.path.join(directory, NAME)
    text = json.dumps(
        {
            "id": topic.id.hex(),
            "name": topic.name,
            "partitions": topic.partitions,
            "is_typed": topic.is_typed,
            "key_columns": topic.key_columns,
            "configs": topic.config.stored(),
            "schema_id": topic.schema_id,
            "schema": topic.schema_blob.hex(),
            "created_us": created_us,
        }
    ).encode()
    tail = struct.pack("<HHI", FORMAT_VERSION, 0, len(text)) + text
    try:
        os.makedirs(directory, exist_ok=True)
        with open(path + ".new", "wb") as file:
            file.write(_MAGIC + struct.pack("<I", crc32c(tail)) + tail)
            file.flush()
            os.fdatasync(file.fileno())
        os.rename(path + ".new", path)
        # Of a deletion that power loss or an error kept from being committed.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(directory, DELETED))
    except OSError as error:
        raise StorageError(
            f"the topic {topic.name!r} cannot be recorded: {path}: {error.strerror}. "
            f"{advice_on(error.errno)}",
            errno=error.errno,
            path=path,
            topic=topic.name,
        ) from error


def ensure_topic_file(log_directory: str, topic: TopicDescription, created_us: int) -> None:
    """Write the file of a topic that is in the catalog, if a power loss took its name.

    Raises
    ------
    StorageError
        If the system refuses.
    """
    if not os.path.exists(os.path.join(log_directory, "topics", topic.id.hex(), NAME)):
        write_topic_file(log_directory, topic, created_us)


def write_topic_files(
    log_directory: str, topics: Sequence[TopicDescription], created_us: int
) -> None:
    """Write the files of many topics, as :func:`write_topic_file` does; syncs share their cost.

    Raises
    ------
    StorageError
        If the system refuses; some files may have been written.
    """
    if len(topics) < _FEW_TOPICS:
        for topic in topics:
            write_topic_file(log_directory, topic, created_us)
        return
    with fork.importing:
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  few programs do

    # The file system commits what waits at the same time at once.
    with ThreadPoolExecutor(_SYNCING_THREADS, "pystream-topics") as threads:
        for _ in threads.map(
            lambda topic: write_topic_file(log_directory, topic, created_us), topics
        ):
            pass


def read_topic_file(path: str | os.PathLike[str]) -> tuple[TopicDescription, int]:
    """Return a topic as its file says, and when it was created (microseconds).

    Raises
    ------
    CorruptRecordError
        If the file is damaged.
    LogError
        If it has another format.
    StorageError
        If it cannot be read.
    """
    path = os.fspath(path)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise StorageError(
            f"cannot read {path}: {error.strerror}. Check its permissions.",
            errno=error.errno,
            path=path,
        ) from error
    try:
        magic, crc, version, _, length = _HEAD.unpack_from(data)
        text = data[_HEAD.size : _HEAD.size + length]
        is_sound = magic == _MAGIC and crc32c(data[_CRC_BEGIN : _HEAD.size + length]) == crc
    except struct.error:
        is_sound = False
    if not is_sound or len(text) != length:
        raise CorruptRecordError(
            f'the topic file {path} is damaged. Run "pystream verify --repair" to write it again '
            "from the catalog.",
            path=path,
        )
    check_format_version(
        os.fspath(path), version, oldest=OLDEST_FORMAT_VERSION, newest=FORMAT_VERSION
    )
    content = json.loads(text)
    topic = TopicDescription(
        name=content["name"],
        partitions=content["partitions"],
        schema_blob=bytes.fromhex(content["schema"]),
        is_typed=content["is_typed"],
        key_columns=tuple(content["key_columns"]),
        config=TopicConfig(**content["configs"]),
        id=bytes.fromhex(content["id"]),
        schema_id=content["schema_id"],
    )
    return topic, content["created_us"]


def partitions_in_file(directory: Path) -> int:
    """Return how many partitions a topic's own file says that it has; 0 when it cannot say."""
    with contextlib.suppress(LogError):
        topic, _ = read_topic_file(directory / NAME)
        if topic.id.hex() == directory.name:
            return topic.partitions
    return 0


def mark_deleted(log_directory: str, topic_id: bytes) -> None:
    """Note in a topic's directory that its deletion has begun; the note is on the disk then.

    Raises
    ------
    StorageError
        If the system refuses.
    """
    directory = os.path.join(log_directory, "topics", topic_id.hex())
    path = os.path.join(directory, NAME)
    try:
        with contextlib.ExitStack() as stack:
            descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            if os.path.exists(path):
                os.rename(path, os.path.join(directory, DELETED))
            else:
                Path(directory, DELETED).touch()
            os.fsync(descriptor)
    except FileNotFoundError:
        return  # no directory, and so no record
    except OSError as error:
        raise StorageError(
            f"the topic was not deleted: {path} cannot be renamed: {error.strerror}. "
            f"{advice_on(error.errno)} Then delete it again.",
            errno=error.errno,
            path=path,
        ) from error


def remove_topic_files(log_directory: str, topic_id: bytes) -> None:
    """Remove the directory of a topic that was deleted; what is left by a crash says that it was.

    Raises
    ------
    OSError
        If something cannot be removed.
    """
    directory = Path(log_directory, "topics", topic_id.hex())
    with contextlib.suppress(FileNotFoundError):
        for path in directory.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != DELETED:
                path.unlink()
        shutil.rmtree(directory)


def topic_directories(log_directory: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield the directories of topics, sorted; whatever else stands there is left out."""
    with contextlib.suppress(FileNotFoundError):
        for path in sorted(Path(log_directory, "topics").iterdir()):
            if _TOPIC_ID.fullmatch(path.name) and path.is_dir():
                yield path


def topics_with_records(log_directory: str) -> Iterator[Path]:
    """Yield the directories of topics that were not deleted and hold a segment."""
    for directory in topic_directories(log_directory):
        is_deleted = (directory / DELETED).exists()
        if not is_deleted and next(directory.glob("*/*.seg"), None) is not None:
            yield directory
