"""Puts a damaged log right: sets aside what cannot be read, rebuilds the rest, deletes nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pystream import _native, config
from pystream.errors import CorruptRecordError, LogError, StorageError
from pystream.log.catalog.catalog import Catalog
from pystream.log.catalog.check import read_catalog
from pystream.log.catalog.damage import Damage
from pystream.log.catalog.repair import limit_group_offsets, mend_version, restore_topic
from pystream.log.catalog.row_repair import restore_partitions, set_aside_rest, set_aside_topics
from pystream.log.catalog.topics import topics_in
from pystream.log.directory import sync_path
from pystream.log.findings import Finding, VerifyReport
from pystream.log.schema import KAFKA_SHAPED
from pystream.log.schema_evolution import added_columns
from pystream.log.topic_description import TopicConfig, TopicDescription
from pystream.log.topic_file import (
    DELETED,
    NAME,
    partitions_in_file,
    read_topic_file,
    topic_directories,
    topics_with_records,
    write_topic_file,
)

__all__ = ["repair_log"]

# What is put right by writing a partition's files anew.
_OF_PARTITIONS = frozenset(
    {"corrupt-records", "unreadable", "control-missing", "control-damaged", "control-mismatch"}
    | {"lease", "sync-failed"}
)


def repair_log(directory: str | os.PathLike[str], report: VerifyReport) -> list[str]:
    """Put right what verifying found.

    Parameters
    ----------
    directory : str or path
    report : VerifyReport
        Of just now.

    Returns
    -------
    list of str
        What was done, a sentence each. It is also in ``NOTE.txt`` of the quarantine.

    Raises
    ------
    LogError
        If another process has the log open, or a file is of another format.
    StorageError
        If the system refuses.
    """
    return _Repair(os.path.abspath(directory), report).run()


class _Repair:
    def __init__(self, directory: str, report: VerifyReport) -> None:
        self._directory = directory
        self._report = report
        self._require_own_format()
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
        self._quarantine = Path(directory, "quarantine", moment)
        self._order = Path(directory, "order")
        # Nobody else may have the log open from here on.
        self._native = _native.LogRepair(directory, str(self._quarantine))
        self._done: list[str] = []
        self._partitions: dict[bytes, int] = {}  # of topics of which the catalog has too few

    def _require_own_format(self) -> None:
        """Refuse a log of which a part cannot be read, as what is made anew would leave it out."""
        for finding in self._report.problems:
            if finding.kind == "other-format":
                raise LogError(
                    f"nothing was repaired, because {finding.what}. {finding.advice}",
                    topic=finding.topic,
                    partition=finding.partition,
                    path=finding.path,
                )

    def run(self) -> list[str]:
        try:
            self._quarantine.mkdir(parents=True)
            self._write_note()
        except OSError as error:
            raise StorageError(
                f"cannot make the quarantine {self._quarantine}: {error.strerror}. Check the "
                "directory's permissions and free space.",
                errno=error.errno,
                path=str(self._quarantine),
            ) from error
        try:
            self._repair()
        finally:
            del self._native  # not only when this object is: others may open the log now
        if not os.path.getsize(self._order):
            _native.Log.open(self._directory).close()  # makes it from the partitions
        return self._done

    def _repair(self) -> None:
        kinds = {finding.kind for finding in self._report.problems if finding.partition is None}
        if kinds & {"order-damaged", "append-sequence"}:
            self._empty_order()
        self._repair_partitions()
        self._repair_catalog(kinds)
        self._write_note()

    def _write_note(self) -> None:
        lines = [
            f'What "pystream verify --repair" found in {self._directory}, and what it moved here.',
            "",
            *(f"found: {_line_of(finding)}" for finding in self._report.problems),
            "",
            *(f"done: {act}" for act in self._done),
        ]
        (self._quarantine / "NOTE.txt").write_text("\n".join(lines) + "\n")

    def _set_aside(self, path: Path, why: str) -> None:
        target = self._quarantine / path.relative_to(self._directory)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
        self._done.append(f"moved {path} to {target}: {why}")

    def _empty_order(self) -> None:
        """Keep a copy of the order file, and let the log's next opening make it anew.

        It is never gone: without one, a directory in which something else stands is no log.
        """
        kept = self._quarantine / "order"
        shutil.copyfile(self._order, kept)
        sync_path(str(kept))
        os.truncate(self._order, 0)
        self._done.append(f"copied {self._order} to {kept} and rebuilt it from the partitions")

    # -- partitions ----------------------------------------------------------------------------

    def _repair_partitions(self) -> None:
        ids = {(p.topic, p.partition): p.topic_id for p in self._report.partitions}
        concerned = {
            (finding.topic, finding.partition)
            for finding in self._report.problems
            if finding.kind in _OF_PARTITIONS
        }
        known = set(read_catalog(self._directory).transactions)
        for topic, partition in sorted(key for key in ids if key in concerned):
            topic_id = bytes.fromhex(ids[topic, partition])
            self._done += self._native.repair_partition(
                topic=topic, topic_id=topic_id, partition=partition, known_transactions=known
            )
        for finding in self._report.problems:
            if finding.kind != "unknown-partition":
                continue
            path = Path(finding.path)
            partitions = partitions_in_file(path.parent)
            if int(path.name) < partitions:
                # A partition comes into being behind both, so that the catalog is wrong.
                self._partitions[bytes.fromhex(path.parent.name)] = partitions
            else:
                self._set_aside(path, "the topic has no such partition")

    # -- the catalog ---------------------------------------------------------------------------

    def _repair_catalog(self, kinds: set[str]) -> None:
        is_lost = bool(kinds & {"catalog-missing", "catalog-damaged"})
        if is_lost:
            for suffix in ("", "-wal", "-shm"):
                path = Path(self._directory, "catalog.db" + suffix)
                if path.exists():
                    self._set_aside(path, "it is damaged")
        elif "catalog-row" in kinds:  # without its version it does not open
            path = Path(self._directory, "catalog.db")
            self._done += mend_version(str(path), str(self._quarantine / path.name))
        lock_timeout_us = config.parse_duration_us(config.LOCK_TIMEOUT)
        with contextlib.closing(
            Catalog(self._directory, lock_timeout_us, is_rebuilt=is_lost)
        ) as catalog:
            removed: list[Damage] = []
            if "catalog-row" in kinds:
                self._keep_catalog(catalog)
                with catalog.writing() as connection:
                    removed = set_aside_topics(connection, self._done)
            if self._partitions:
                self._keep_catalog(catalog)
                with catalog.writing() as connection:
                    self._done += restore_partitions(connection, self._partitions)
            with catalog.reading() as connection:
                known = {topic.id for topic in topics_in(connection)}
            directories = {*topics_with_records(self._directory)}
            directories |= set(_directories_of(self._directory, removed))
            for directory in sorted(directories):
                if bytes.fromhex(directory.name) not in known:
                    self._enter_topic(catalog, directory)
            if "catalog-row" in kinds:
                with catalog.writing() as connection:
                    set_aside_rest(connection, self._done)
            self._write_topic_files(catalog)
            self._limit_group_offsets(catalog)

    def _enter_topic(self, catalog: Catalog, directory: Path) -> None:
        topic, created_us = _topic_of(directory)
        if catalog.find_topic(topic.name) is not None:
            self._set_aside(directory, f"another topic has the name {topic.name!r}")
            return
        restore_topic(catalog, topic, created_us)
        self._done.append(f"entered topic {topic.name!r} in the catalog, as {directory} says")

    def _write_topic_files(self, catalog: Catalog) -> None:
        """Write the files of topics that have none, or one that says something else."""
        names = {f.topic for f in self._report.problems if f.kind == "topic-file"}
        names |= {f.topic for f in self._report.problems if f.kind == "topic-without-directory"}
        for name in catalog.topic_names():
            topic = catalog.find_topic(name)
            assert topic is not None
            path = Path(self._directory, "topics", topic.id.hex(), NAME)
            if name not in names and path.exists():
                continue
            if path.exists():
                self._set_aside(path, "it is written again from the catalog")
            write_topic_file(self._directory, topic, time.time_ns() // 1000)
            self._done.append(f"wrote {path} from the catalog")

    def _keep_catalog(self, catalog: Catalog) -> None:
        backup = self._quarantine / "catalog.db"
        if not backup.exists():
            catalog.copy_to(str(backup))
            self._done.append(f"copied the catalog, as it was, to {backup}")

    def _limit_group_offsets(self, catalog: Catalog) -> None:
        missing = [f for f in self._report.problems if f.kind == "partition-missing"]
        if not missing and not any(f.kind == "group-offset" for f in self._report.problems):
            return
        self._keep_catalog(catalog)
        ends = {
            (bytes.fromhex(p.topic_id), p.partition): p.log_end_offset
            for p in self._report.partitions
        }
        for finding in missing:
            path = Path(finding.path)
            ends[bytes.fromhex(path.parent.name), int(path.name)] = 0
        self._done += limit_group_offsets(catalog, ends)


def _directories_of(directory: str, removed: Sequence[Damage]) -> Iterator[Path]:
    """Yield the directories of topics whose rows were removed, also those without records."""
    ids = {damage.values.get("id") for damage in removed if damage.table == "topics"}
    names = {damage.values.get("name") for damage in removed if damage.table == "topics"}
    for path in topic_directories(directory):
        if (path / DELETED).exists() or not (path / NAME).exists():
            continue
        with contextlib.suppress(CorruptRecordError):
            topic, _ = read_topic_file(path / NAME)
            if topic.id in ids or topic.name in names:
                yield path


def _topic_of(directory: Path) -> tuple[TopicDescription, int]:
    """Return what a topic's directory says of it: its file, and the widest schema of a segment."""
    created_us = time.time_ns() // 1000
    topic: TopicDescription | None = None
    with contextlib.suppress(CorruptRecordError, StorageError):
        topic, created_us = read_topic_file(directory / NAME)
    widest = _widest_segment(directory)
    numbers = [int(path.name) for path in directory.iterdir() if path.name.isdecimal()]
    partitions = max(numbers, default=0) + 1
    if topic is None:
        if widest is None:
            raise LogError(
                f"neither the topic file nor any segment in {directory} can be read, so its topic "
                "cannot be entered in the catalog. Move the directory away and repair again.",
                path=str(directory),
            )
        blob = widest.schema.serialize()
        is_typed = blob != KAFKA_SHAPED.serialize()
        topic = TopicDescription(
            name=f"recovered-{directory.name[:8]}",
            partitions=partitions,
            schema_blob=blob,
            is_typed=is_typed,
            key_columns=() if is_typed else ("key",),
            config=TopicConfig(),
            id=bytes.fromhex(directory.name),
            schema_id=widest.schema_id,
        )
    elif widest is not None:
        present = _native.Schema.deserialize(topic.schema_blob)
        if added_columns(widest.schema, present):
            topic = topic.with_schema(widest.schema.serialize(), widest.schema_id)
    return topic.with_partitions(max(topic.partitions, partitions)), created_us


def _widest_segment(directory: Path) -> _native.SegmentFile | None:
    """Return a segment with the most columns: ids say nothing, as topics share schemas."""
    widest: _native.SegmentFile | None = None
    for path in directory.glob("*/*.seg"):
        with contextlib.suppress(CorruptRecordError, StorageError):
            segment = _native.SegmentFile(str(path))
            if widest is None or added_columns(segment.schema, widest.schema):
                widest = segment
    return widest


def _line_of(finding: Finding) -> str:
    return f"{finding.kind}: {finding.what} ({finding.path})"
