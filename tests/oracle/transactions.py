"""What readers of each isolation level may see, in plain Python.

A partition is a list whose places are offsets: records, each of a transaction or of none, and
markers. Nothing is known of batches, files or processes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

OPEN, COMMITTED, ABORTED = "open", "committed", "aborted"


@dataclass(frozen=True)
class Entry:
    """A record, or, without a value, the marker of a transaction."""

    value: int | None
    transaction: int | None = None


@dataclass
class TransactionsModel:
    """Partitions, transactions, and offsets of one group.

    >>> model = TransactionsModel(2)
    >>> model.append(0, [1], transaction=7)
    >>> model.append(0, [2])
    >>> model.read(0, 0), model.read(0, 0, is_committed_only=False)
    ([], [1, 2])
    >>> model.end(7, COMMITTED, offsets={0: 1})
    >>> model.read(0, 0), model.partitions[1], model.offsets
    ([1, 2], [], {0: 1})
    """

    count: int
    partitions: list[list[Entry]] = field(default_factory=list)
    states: dict[int, str] = field(default_factory=dict)
    offsets: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.partitions = [[] for _ in range(self.count)]

    def append(self, partition: int, values: Iterable[int], transaction: int | None = None) -> None:
        """Append records; a transaction that was not known begins with them."""
        if transaction is not None:
            self.states.setdefault(transaction, OPEN)
        self.partitions[partition] += [Entry(value, transaction) for value in values]

    def end(self, transaction: int, state: str, offsets: dict[int, int] | None = None) -> None:
        """Decide a transaction: each partition that has records of it gets a marker."""
        if self.states.get(transaction, OPEN) == OPEN:
            self.states[transaction] = state
            if state == COMMITTED:
                self.offsets |= offsets or {}
            for entries in self.partitions:
                if any(entry.transaction == transaction for entry in entries):
                    entries.append(Entry(None, transaction))

    def last_stable_offset(self, partition: int) -> int:
        """Return the offset of the first record that is not decided, or the log end offset."""
        for offset, entry in enumerate(self.partitions[partition]):
            if entry.transaction is not None and self.states[entry.transaction] == OPEN:
                return offset
        return len(self.partitions[partition])

    def read(self, partition: int, offset: int, *, is_committed_only: bool = True) -> list[int]:
        """Return the values from an offset on that a reader is shown."""
        entries = self.partitions[partition][offset:]
        if is_committed_only:
            entries = self.partitions[partition][offset : self.last_stable_offset(partition)]
        return [
            entry.value
            for entry in entries
            if entry.value is not None
            and (
                not is_committed_only
                or entry.transaction is None
                or self.states[entry.transaction] == COMMITTED
            )
        ]
