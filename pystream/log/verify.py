"""Checks a log's files against each other; opens nothing for writing."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pystream import _native
from pystream.errors import LogError, StorageError
from pystream.log.catalog.check import CatalogContent, read_catalog
from pystream.log.findings import Finding, PartitionReport, VerifyReport
from pystream.log.schema_evolution import added_columns
from pystream.log.topic_description import TopicDescription
from pystream.log.topic_file import (
    DELETED,
    NAME,
    partitions_in_file,
    read_topic_file,
    topic_directories,
)
from pystream.log.transactions.check import TransactionFindings

__all__ = ["verify_log"]

STEP_BYTES = 64 << 20
_RESTORE = "Restore the directory from a backup."

Progress = Callable[[int, int], None]


def verify_log(
    directory: str | os.PathLike[str], *, on_progress: Progress | None = None
) -> VerifyReport:
    """Check every checksum, the order of everything, and the catalog against the files.

    Works while others append: what is published later is not looked at.

    Parameters
    ----------
    directory : str or path
    on_progress : callable, optional
        Gets bytes done and bytes in all, now and then.

    Returns
    -------
    VerifyReport

    Raises
    ------
    LogError
        If the directory is not a log, or one of another format.
    StorageError
        If something cannot be read.

    Examples
    --------
    >>> import tempfile, pystream as ps
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     with ps.open(directory) as log, log.producer() as producer:
    ...         _ = log.create_topic("clicks")
    ...         _ = producer.send("clicks", b"/home")
    ...     report = verify_log(directory)
    ...     report.is_clean, report.partitions[0].records
    (True, 1)
    """
    return _Verification(os.path.abspath(directory), on_progress).run()


class _Verification:
    def __init__(self, directory: str, on_progress: Progress | None) -> None:
        self._directory = directory
        self._on_progress = on_progress
        self._report = VerifyReport(directory)
        self._done = 0
        self._total = 0
        self._transactions = TransactionFindings()

    def run(self) -> VerifyReport:
        order = _native.verify_order(self._directory)
        self._report.findings += map(self._order_finding, order.findings)
        catalog = read_catalog(self._directory)  # before the ends that offsets are compared with
        self._report.findings += catalog.findings
        directories = {path.name: path for path in topic_directories(self._directory)}
        self._total = sum(path.stat().st_size for path in _segments(directories.values()))
        for topic in catalog.topics.values():
            path = directories.pop(topic.id.hex(), None)
            if path is None:
                self._add(
                    "topic-without-directory",
                    f"topic {topic.name!r} has no directory",
                    "If it had records, restore the directory from a backup. If not, a power loss "
                    "took it, and it is made when the topic is used.",
                    Path(self._directory, "topics", topic.id.hex()),
                    topic=topic.name,
                )
            else:
                self._check_topic_file(topic, path)
                self._check_partitions(topic, path, catalog)
        for path in directories.values():
            self._check_stray(path, catalog)
        self._check_group_offsets(catalog)
        self._report.findings += self._transactions.findings(catalog)
        self._check_sequences()
        return self._report

    def _order_finding(self, found: _native.Finding) -> Finding:
        """Note a missing order file, which is a problem where opening would not make it."""
        finding = Finding.from_native(found)
        foreign = os.fsdecode(_native.foreign_name(self._directory))
        has_topics = next(topic_directories(self._directory), None) is not None
        if finding.kind != "order-missing" or not foreign or not has_topics:
            return finding
        return Finding(
            finding.kind,
            f"there is no order file, and without one a directory that holds {foreign!r} is no log",
            'Move it elsewhere, or run "pystream verify --repair", which makes the order file.',
            finding.path,
        )

    def _add(
        self,
        kind: str,
        what: str,
        advice: str,
        path: Path,
        *,
        topic: str | None = None,
        partition: int | None = None,
        is_note: bool = False,
    ) -> None:
        self._report.findings.append(
            Finding(
                kind, what, advice, str(path), topic=topic, partition=partition, is_note=is_note
            )
        )

    def _add_other_format(
        self, error: LogError, path: Path, *, topic: str | None = None, partition: int | None = None
    ) -> None:
        """Note what is not damaged, and no repair may touch."""
        what, _, advice = str(error).partition(". ")
        path = Path(error.path or path)
        self._add("other-format", what, advice, path, topic=topic, partition=partition)

    # -- topics --------------------------------------------------------------------------------

    def _check_topic_file(self, topic: TopicDescription, directory: Path) -> None:
        path = directory / NAME
        advice = 'Run "pystream verify --repair", which writes it again from the catalog.'
        what = None
        if not path.exists():
            what = f"the topic file of {topic.name!r} is missing"
            if next(_segments([directory]), None) is None:
                # Its name is sure to be on the disk once a record is.
                self._add("topic-file", what, "", path, topic=topic.name, is_note=True)
                return
        else:
            try:
                stored, _ = read_topic_file(path)
            except StorageError:
                raise
            except LogError as error:
                if error.version is not None:
                    self._add_other_format(error, path, topic=topic.name)
                    return
                what = str(error).split(". ")[0]
            else:
                if stored.name != topic.name or stored.id != topic.id or _differ(stored, topic):
                    what = f"the topic file of {topic.name!r} says something else than the catalog"
        if what is not None:
            self._add("topic-file", what, advice, path, topic=topic.name)

    def _check_stray(self, directory: Path, catalog: CatalogContent) -> None:
        """Look at a directory that no topic of the catalog has."""
        if (directory / DELETED).exists():
            what = "these are the remains of a deleted topic, which may be removed"
            self._add("deleted-topic", what, "", directory, is_note=True)
            return
        try:
            topic: TopicDescription | None = read_topic_file(directory / NAME)[0]
        except LogError as error:
            topic = None
            if error.version is not None:
                self._add_other_format(error, directory / NAME)
                return
        has_records = next(directory.glob("*/*.seg"), None) is not None
        name = directory.name if topic is None else topic.name
        if not has_records:
            what = f"topic {name!r} was begun, and never came into the catalog"
            self._add("unfinished-topic", what, "", directory, is_note=True)
            return
        if catalog.is_readable:
            self._add(
                "directory-without-topic",
                f"the records of topic {name!r} are here, but the catalog does not know it",
                'Run "pystream verify --repair", which enters it in the catalog again.',
                directory,
                topic=name,
            )
        for path in _partition_directories(directory):
            self._check_partition(name, directory, int(path.name))

    def _check_partitions(
        self, topic: TopicDescription, directory: Path, catalog: CatalogContent
    ) -> None:
        present = {int(path.name): path for path in _partition_directories(directory)}
        known = self._partitions_with_a_repair(topic, directory, present)
        for number in range(known):
            path = present.pop(number, None)
            if path is not None and number >= topic.partitions:
                advice = 'Run "pystream verify --repair", which enters it in the catalog again.'
                self._add_unknown(topic, path, advice)
            if path is not None:
                self._check_partition(topic.name, directory, number)
            elif catalog.largest_offset(topic.id, number) > 0:
                self._add(
                    "partition-missing",
                    f"partition {number} of topic {topic.name!r} is missing, although a group "
                    "has read from it",
                    _RESTORE,
                    directory / str(number),
                    topic=topic.name,
                    partition=number,
                )
        for path in present.values():
            advice = "Move the directory away, or restore the catalog from a backup."
            self._add_unknown(topic, path, advice)

    def _partitions_with_a_repair(
        self, topic: TopicDescription, directory: Path, present: Iterable[int]
    ) -> int:
        """Return how many partitions a topic has once the catalog's number of them is mended."""
        more = [number for number in present if number >= topic.partitions]
        in_file = partitions_in_file(directory) if more else 0
        return in_file if any(number < in_file for number in more) else topic.partitions

    def _add_unknown(self, topic: TopicDescription, path: Path, advice: str) -> None:
        self._add(
            "unknown-partition",
            f"topic {topic.name!r} has {topic.partitions} partitions, but here is one more",
            advice,
            path,
            topic=topic.name,
            partition=int(path.name),
        )

    def _check_partition(self, topic: str, directory: Path, number: int) -> None:
        name = directory.name
        begin = self._done
        try:
            verifier = _native.PartitionVerifier(
                self._directory, topic=topic, topic_id=bytes.fromhex(name), partition=number
            )
            is_going_on = True
            while is_going_on:
                is_going_on = verifier.step(STEP_BYTES)
                self._tell(begin + verifier.bytes_done)
        except StorageError as error:
            if error.errno == errno.ENOENT and not directory.exists():
                return  # the topic was deleted meanwhile
            raise
        except LogError as error:
            path = directory / str(number)
            if error.version is not None:
                self._add_other_format(error, path, topic=topic, partition=number)
                return
            what, _, advice = str(error).partition(". ")
            self._add("unusable", what, advice or _RESTORE, path, topic=topic, partition=number)
            return
        self._done = begin + verifier.bytes_total
        self._transactions.add(topic, number, str(directory / str(number)), verifier)
        summary = verifier.summary
        self._report.findings += [
            Finding.from_native(found, topic, number) for found in verifier.findings
        ]
        self._report.partitions.append(
            PartitionReport(
                topic=topic,
                topic_id=name,
                partition=number,
                log_start_offset=summary.log_start_offset,
                log_end_offset=summary.log_end_offset,
                durable_offset=summary.durable_offset,
                segments=summary.segments,
                batches=summary.batches,
                records=summary.records,
                bytes=summary.bytes,
                lost_records=summary.lost_records,
                last_append_sequence=summary.last_append_sequence,
            )
        )

    # -- across partitions ---------------------------------------------------------------------

    def _check_group_offsets(self, catalog: CatalogContent) -> None:
        ends = {(p.topic_id, p.partition): p.log_end_offset for p in self._report.partitions}
        names = {topic.id: topic.name for topic in catalog.topics.values()}
        for row in catalog.group_offsets:
            topic = names.get(row.topic_id)
            where = f"{row.topic_id.hex() if topic is None else topic}-{row.partition}"
            end = ends.get((row.topic_id.hex(), row.partition))
            if topic is None:
                what = f"group {row.group!r} has an offset in a topic that does not exist"
            elif end is not None and row.next_offset > end:
                what = (
                    f"group {row.group!r} has committed offset {row.next_offset} of {where}, "
                    f"whose log end offset is {end}"
                )
            else:
                continue
            self._add(
                "group-offset",
                what,
                'Commit another offset, or run "pystream verify --repair".',
                Path(catalog.path),
                topic=topic,
                partition=row.partition,
            )

    def _check_sequences(self) -> None:
        # Read again: partitions were looked at after the first time, and others append.
        order = _native.verify_order(self._directory)
        last = max((p.last_append_sequence for p in self._report.partitions), default=0)
        if order.is_current and last >= order.next_sequence:
            self._add(
                "append-sequence",
                f"the next append sequence is {order.next_sequence}, but {last} was given out",
                'Run "pystream verify --repair".',
                Path(self._directory, "order"),
            )

    def _tell(self, done: int) -> None:
        if self._on_progress is not None:
            self._on_progress(min(done, self._total), self._total)


def _differ(stored: TopicDescription, topic: TopicDescription) -> bool:
    """Return whether a topic file and a row disagree in more than what can be altered."""
    # The file is written before the row is committed, so that it may be ahead of it.
    if set(stored.differences(topic)) - {"schema_blob", "partitions", "config"}:
        return True
    schemas = [_native.Schema.deserialize(each.schema_blob) for each in (stored, topic)]
    return added_columns(*schemas) is None and added_columns(*reversed(schemas)) is None


def _partition_directories(directory: Path) -> list[Path]:
    found = [path for path in directory.iterdir() if path.name.isdecimal() and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name))


def _segments(directories: object) -> Iterator[Path]:
    for directory in directories:  # type: ignore[attr-defined]
        yield from directory.glob("*/*.seg")
