"""What a partition does with the records of producers, one record at a time.

A record of a producer with a name has a sequence. One whose sequence is not above all that the
partition holds of that producer is there already, or too late: it is not stored. A producer of an
older epoch than one that has stored something is fenced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["FencedByNewerError", "Partition", "Stored"]


class FencedByNewerError(Exception):
    """A newer epoch has written here."""


@dataclass(frozen=True)
class Stored:
    """A record as it lies in the partition; a producer without a name has no sequence."""

    producer: str | None
    sequence: int
    value: int


@dataclass
class Partition:
    """The records in order of their offsets."""

    records: list[Stored] = field(default_factory=list)
    epochs: dict[str, int] = field(default_factory=dict)
    """Of the newest producer of each name that has stored something."""

    def last_sequence(self, producer: str) -> int:
        """Return the largest sequence of a producer, or -1."""
        return max((r.sequence for r in self.records if r.producer == producer), default=-1)

    def offset_of(self, producer: str, sequence: int) -> int:
        """Return where a record is, or -1."""
        for offset, record in enumerate(self.records):
            if (record.producer, record.sequence) == (producer, sequence):
                return offset
        return -1

    def append(
        self, producer: str, epoch: int, rows: Sequence[tuple[int, int]]
    ) -> list[tuple[int, bool]]:
        """Store (sequence, value) rows that are new; return offset and "was there" of each.

        >>> partition = Partition()
        >>> partition.append("a", 0, [(1, 10), (2, 20)])
        [(0, False), (1, False)]
        >>> partition.append("a", 0, [(0, 0), (2, 20), (3, 30)])
        [(-1, True), (1, True), (2, False)]
        """
        if epoch < self.epochs.get(producer, 0):
            raise FencedByNewerError(producer)
        answers = []
        last = self.last_sequence(producer)
        for sequence, value in rows:
            if sequence <= last:
                answers.append((self.offset_of(producer, sequence), True))
                continue
            answers.append((len(self.records), False))
            self.records.append(Stored(producer, sequence, value))
            self.epochs[producer] = epoch
        return answers

    def append_nameless(self, values: Sequence[int]) -> None:
        """Store records of a producer without a name."""
        self.records += [Stored(None, -1, value) for value in values]
