"""What compaction leaves of a partition, in plain Python, record by record.

It knows nothing of batches, segments, files or hashes: only up to which offset the partition is
compacted, and when each record was compacted first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

__all__ = ["CompactedModel", "Stored", "table"]


@dataclass
class Stored:
    """A record. Without a value it deletes its key; without a key it is of none."""

    offset: int
    key: str | None
    value: int | None
    transaction: int | None = None
    first_compacted: int | None = None


@dataclass
class CompactedModel:
    """A partition.

    >>> model = CompactedModel([Stored(0, "a", 1), Stored(1, "b", 2), Stored(2, "a", None)])
    >>> model.compact(3, now=0, delete_retention=10)
    >>> [record.offset for record in model.visible(3)]
    [1, 2]
    >>> model.compact(3, now=10, delete_retention=10)
    >>> [record.offset for record in model.visible(3)]
    [1]
    """

    records: list[Stored]
    is_committed: dict[int, bool] = field(default_factory=dict)

    def compact(self, horizon: int, *, now: int, delete_retention: int) -> None:
        """Compact what lies below an offset, in which all transactions are decided."""
        last = {
            record.key: record.offset for record in self.records if self._counts(record, horizon)
        }
        self.records = [
            record
            for record in self.records
            if record.offset >= horizon or self._stays(record, last, now, delete_retention)
        ]
        for record in self.records:
            if record.offset < horizon and record.first_compacted is None:
                record.first_compacted = now

    def visible(self, stable: int) -> Iterator[Stored]:
        """Yield what a reader of committed records sees below the last stable offset."""
        return (its for its in self.records if its.offset < stable and self._is_committed(its))

    def _is_committed(self, record: Stored) -> bool:
        return record.transaction is None or self.is_committed.get(record.transaction, False)

    def _counts(self, record: Stored, horizon: int) -> bool:
        return record.offset < horizon and record.key is not None and self._is_committed(record)

    def _stays(
        self, record: Stored, last: dict[str | None, int], now: int, delete_retention: int
    ) -> bool:
        if not self._is_committed(record):
            return False
        if record.key is None:
            return True
        if last[record.key] > record.offset:
            return False
        first = record.first_compacted
        return record.value is not None or first is None or now - first < delete_retention


def table(records: Iterable[tuple[str | None, int | None]]) -> dict[str, int]:
    """Return what a table that follows the records holds: by key, the last value.

    >>> table([("a", 1), ("b", 2), ("a", None)])
    {'b': 2}
    """
    found: dict[str, int] = {}
    for key, value in records:
        if key is None:
            continue
        found.pop(key, None)
        if value is not None:
            found[key] = value
    return found
