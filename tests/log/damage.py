"""Damage to the files of a log, for tests."""

from __future__ import annotations

from pathlib import Path

import pystream as ps
from tests.log.reading import batches_of


def topic_directory(log: ps.Log, topic: str) -> Path:
    return Path(log.directory, "topics", log.topic(topic).description.id.hex())


def segment_files(log: ps.Log, topic: str, partition: int = 0) -> list[Path]:
    return sorted((topic_directory(log, topic) / str(partition)).glob("*.seg"))


def flip(path: Path | str, position: int) -> None:
    """Flip one bit of a byte."""
    with open(path, "r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 8]))


def damage_header(log: ps.Log, topic: str, batch: int, partition: int = 0) -> None:
    """Damage the header of a stored batch, by its number in the partition."""
    stored = batches_of(log, topic, partition)[batch]._stored
    assert stored is not None
    flip(stored.path, stored.file_position + 40)


def damage_body(log: ps.Log, topic: str, batch: int, partition: int = 0) -> None:
    """Damage the first byte of a batch's first buffer."""
    stored = batches_of(log, topic, partition)[batch]._stored
    assert stored is not None
    flip(stored.path, stored.file_position + stored.buffer_entries[0].offset)
