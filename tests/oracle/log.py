"""What a log holds, in plain Python: topics, records at dense offsets, committed offsets.

It knows nothing of batches, segments, files or processes, so nothing of them can show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.oracle.compaction import CompactedModel, Stored

Row = dict[str, object]


@dataclass(frozen=True)
class Hidden:
    """What takes an offset and is shown to no reader: an aborted record, a marker, or a gap."""

    row: Row | None  # None: a marker, or what compaction removed

    @property
    def is_marker(self) -> bool:
        return self.row is None


class Refused(Exception):
    """The operation fails, with an error of this name, and changes nothing."""


@dataclass
class TopicModel:
    """Records by partition; the offset of a record is its place in the list.

    Those before the partition's start were deleted.
    """

    columns: list[str]
    partitions: list[list[Row | Hidden]]
    starts: list[int] = field(default_factory=list)
    # When a record was compacted first, by partition and offset.
    compacted: dict[tuple[int, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.starts += [0] * (len(self.partitions) - len(self.starts))

    def stored(self, partition: int) -> int:
        """Return how many records are there, shown or not."""
        return sum(
            not (isinstance(record, Hidden) and record.is_marker)
            for record in self.partitions[partition][self.starts[partition] :]
        )


@dataclass
class LogModel:
    """A log as its users see it.

    >>> log = LogModel()
    >>> log.create("clicks", ["page"], 1)
    >>> log.append("clicks", 0, [{"page": "/"}, {"page": "/home"}])
    0
    >>> log.read("clicks", 0, 1)
    [{'page': '/home'}]
    >>> log.add_columns("clicks", ["note"])
    >>> log.read("clicks", 0, 1)
    [{'page': '/home', 'note': None}]
    """

    topics: dict[str, TopicModel] = field(default_factory=dict)
    commits: dict[tuple[str, str, int], int] = field(default_factory=dict)

    def create(self, name: str, columns: list[str], partitions: int) -> None:
        if name in self.topics:
            raise Refused("TopicExistsError")
        self.topics[name] = TopicModel(list(columns), [[] for _ in range(partitions)])

    def delete(self, name: str) -> None:
        self._topic(name)
        del self.topics[name]
        self.commits = {key: offset for key, offset in self.commits.items() if key[1] != name}

    def add_columns(self, name: str, columns: list[str]) -> None:
        """Add columns at the end; the records that are there have null in them."""
        self._topic(name).columns += columns

    def append(self, name: str, partition: int, rows: list[Row]) -> int:
        """Append records and return the offset of the first."""
        records = self._topic(name).partitions[partition]
        records += [dict(row) for row in rows]
        return len(records) - len(rows)

    def transact(self, name: str, rows: dict[int, list[Row]], *, is_committed: bool) -> None:
        """Append records to partitions, all of which count or none; each gets a marker."""
        topic = self._topic(name)
        for partition, its in rows.items():
            copies = [dict(row) for row in its]
            topic.partitions[partition] += (
                copies if is_committed else [Hidden(row) for row in copies]
            )
            topic.partitions[partition].append(Hidden(None))

    def delete_records(self, name: str, partition: int, offset: int) -> int:
        """Delete what is before an offset; return the log start offset, which never goes back.

        >>> log = LogModel()
        >>> log.create("clicks", ["page"], 1)
        >>> log.append("clicks", 0, [{"page": "/"}, {"page": "/home"}])
        0
        >>> log.delete_records("clicks", 0, 1), log.delete_records("clicks", 0, 0)
        (1, 1)
        >>> log.read("clicks", 0, 1)
        [{'page': '/home'}]
        """
        topic = self._topic(name)
        if not 0 <= offset <= len(topic.partitions[partition]):
            raise Refused("OffsetOutOfRangeError")
        topic.starts[partition] = max(topic.starts[partition], offset)
        return topic.starts[partition]

    def compact(self, name: str, key: str, *, now: int, delete_retention: int) -> None:
        """Keep the last record of each key, but leave the last one of each partition alone.

        >>> log = LogModel()
        >>> log.create("clicks", ["page", "count"], 1)
        >>> rows = [{"page": page, "count": i} for i, page in enumerate("abaa")]
        >>> log.append("clicks", 0, rows)
        0
        >>> log.compact("clicks", "page", now=0, delete_retention=1)
        >>> [row["count"] for row in log.read("clicks", 0, 0)]
        [1, 2, 3]
        """
        topic = self._topic(name)
        aborted = 0
        for number, records in enumerate(topic.partitions):
            stored = []
            for offset in range(topic.starts[number], len(records)):
                record = records[offset]
                row = record.row if isinstance(record, Hidden) else record
                if row is None:
                    continue
                is_tombstone = all(row.get(c) is None for c in topic.columns if c != key)
                transaction = aborted if isinstance(record, Hidden) else None
                stored.append(
                    Stored(
                        offset,
                        str(row[key]),
                        None if is_tombstone else 1,
                        transaction,
                        topic.compacted.get((number, offset)),
                    )
                )
            model = CompactedModel(stored, {aborted: False})
            model.compact(len(records) - 1, now=now, delete_retention=delete_retention)
            left = {its.offset: its.first_compacted for its in model.records}
            for its in stored:
                first = left.get(its.offset)
                if its.offset not in left:
                    records[its.offset] = Hidden(None)
                elif first is not None:
                    topic.compacted[number, its.offset] = first

    def expire(self, name: str) -> None:
        """Let all records of a topic become too old."""
        topic = self._topic(name)
        topic.starts = [len(records) for records in topic.partitions]

    def add_partitions(self, name: str, partitions: int) -> None:
        topic = self._topic(name)
        if partitions < len(topic.partitions):
            raise Refused("ConfigError")
        topic.partitions += [[] for _ in range(partitions - len(topic.partitions))]
        topic.starts += [0] * (partitions - len(topic.starts))

    def start(self, name: str, partition: int) -> int:
        return self._topic(name).starts[partition]

    def end(self, name: str, partition: int) -> int:
        return len(self._topic(name).partitions[partition])

    def read(self, name: str, partition: int, offset: int, most: int | None = None) -> list[Row]:
        topic = self._topic(name)
        records = topic.partitions[partition]
        if not topic.starts[partition] <= offset <= len(records):
            raise Refused("OffsetOutOfRangeError")
        last = None if most is None else offset + most
        empty: Row = dict.fromkeys(topic.columns)
        return [empty | row for row in records[offset:last] if not isinstance(row, Hidden)]

    def offset_for_time(self, name: str, partition: int, column: str, time: int) -> int | None:
        """Return the first offset with a value of at least `time`; nulls are no time.

        As in Kafka, it may be that of an aborted record: reading goes on behind it.
        """
        topic = self._topic(name)
        for offset, record in enumerate(topic.partitions[partition]):
            row = record.row if isinstance(record, Hidden) else record
            value = None if row is None else row.get(column)
            if offset >= topic.starts[partition] and isinstance(value, int) and value >= time:
                return offset
        return None

    def commit(self, group: str, name: str, partition: int, offset: int) -> None:
        self._topic(name)
        self.commits[group, name, partition] = offset

    def committed(self, group: str, name: str, partition: int) -> int | None:
        self._topic(name)
        return self.commits.get((group, name, partition))

    def partitions_of(self, name: str) -> list[list[Row | Hidden]]:
        return self._topic(name).partitions

    def names(self) -> list[str]:
        return sorted(self.topics)

    def _topic(self, name: str) -> TopicModel:
        if name not in self.topics:
            raise Refused("UnknownTopicError")
        return self.topics[name]


def outcome_of(action: Callable[[], object]) -> object:
    """Return what an operation of the model gives: its result, or the name of its error."""
    try:
        return action()
    except Refused as refused:
        return str(refused)
