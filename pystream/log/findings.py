"""What verifying a log finds, as plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from pystream._native import Finding as NativeFinding

__all__ = ["Finding", "PartitionReport", "VerifyReport"]


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, or as a note worth knowing.

    Attributes
    ----------
    kind : str
        A stable word, such as ``"corrupt-records"``.
    what : str
        A sentence.
    advice : str
        What to do; empty for notes.
    path : str
    position : int or None
        In the file.
    offset, next_offset : int or None
        The records concerned: from `offset` up to, but not including, `next_offset`.
    topic : str or None
    partition : int or None
    is_note : bool
        Nothing is wrong.
    """

    kind: str
    what: str
    advice: str = ""
    path: str = ""
    position: int | None = None
    offset: int | None = None
    next_offset: int | None = None
    topic: str | None = None
    partition: int | None = None
    is_note: bool = False

    @classmethod
    def from_native(
        cls, found: NativeFinding, topic: str | None = None, partition: int | None = None
    ) -> Finding:
        """Return what the core found."""

        def known(number: int) -> int | None:
            return None if number < 0 else number

        return cls(
            kind=found.kind,
            what=found.what,
            advice=found.advice,
            path=found.path,
            position=known(found.position),
            offset=known(found.offset),
            next_offset=known(found.next_offset),
            topic=topic,
            partition=partition,
            is_note=found.is_note,
        )


@dataclass(frozen=True)
class PartitionReport:
    """A verified partition.

    Attributes
    ----------
    topic : str
    topic_id : str
        In hexadecimal, the name of its directory.
    partition : int
    log_start_offset, log_end_offset, durable_offset : int
    segments, batches, records, bytes : int
        That are sound.
    lost_records : int
    last_append_sequence : int
    """

    topic: str
    topic_id: str
    partition: int
    log_start_offset: int
    log_end_offset: int
    durable_offset: int
    segments: int
    batches: int
    records: int
    bytes: int
    lost_records: int
    last_append_sequence: int


@dataclass
class VerifyReport:
    """All that verifying a log found.

    Attributes
    ----------
    directory : str
    partitions : list of PartitionReport
    findings : list of Finding
    """

    directory: str
    partitions: list[PartitionReport] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def problems(self) -> list[Finding]:
        """The findings that are no notes."""
        return [finding for finding in self.findings if not finding.is_note]

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        return {"directory": self.directory, "is_clean": self.is_clean, **_without(asdict(self))}


def _without(report: dict[str, Any]) -> dict[str, Any]:
    del report["directory"]
    return report
