"""Session windows, one record at a time: the specification of the native engine.

Written from Flink's ``EventTimeSessionWindows``, ``MergingWindowSet``, ``WindowOperator`` and
``EventTimeTrigger``; nothing is merged that a record does not touch, and nothing is known of
batches. Where Flink leaves the order open, sessions fire by their end, then by their first record.

>>> stream = [Record(0), Record(20), Record(10)]
>>> result = run_sessions(stream, gap=10, out_of_orderness=20)
>>> [(pane.start, pane.end, pane.members) for pane in result.panes]
[(0, 30, [0, 1, 2])]
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tests.oracle.watermarks import SourceWatermark
from tests.oracle.windows import MAX_TIME, Pane, Record, Result, Scalar, Watermark, same_key


@dataclass
class Session:
    """The merged windows of records of one key; ``members`` are in the order of arrival."""

    key: tuple[Scalar, ...]
    start: int
    end: int
    members: list[int]
    is_fired: bool = False

    def touches(self, other: Session) -> bool:
        """Tell whether two windows overlap, or one ends where the other starts.

        >>> Session((), 0, 10, []).touches(Session((), 10, 20, []))
        True
        >>> Session((), 0, 10, []).touches(Session((), 11, 21, []))
        False
        """
        return self.start <= other.end and other.start <= self.end

    def has_ended(self, watermark: int) -> bool:
        return self.end - 1 <= watermark

    def is_forgotten(self, watermark: int, allowed_lateness: int) -> bool:
        """Tell whether the watermark has passed the end and the allowed lateness."""
        return min(self.end - 1 + allowed_lateness, MAX_TIME) <= watermark


def merge(parts: Sequence[Session]) -> Session:
    """Return the window that covers all, which has not fired.

    >>> both = merge([Session((), 5, 15, [0]), Session((), 0, 7, [1])])
    >>> both.start, both.end, both.members
    (0, 15, [0, 1])
    """
    return Session(
        parts[0].key,
        min(part.start for part in parts),
        max(part.end for part in parts),
        sorted(member for part in parts for member in part.members),
    )


def run_sessions(
    records: Sequence[Record],
    *,
    gap: int | Sequence[int],
    allowed_lateness: int = 0,
    out_of_orderness: int = 0,
    partitions: Collection[int] | None = None,
    end_of_input: bool = True,
    source_watermark: SourceWatermark | None = None,
) -> Result:
    """Window a whole stream into sessions; the gap is one, or one of each record.

    The watermark, partitions and the end of input are those of :func:`tests.oracle.windows.run`;
    of a ``source_watermark``, time does not pass here.

    A late record is saved by an open session; alone it is dropped:

    >>> stream = [Record(20), Record(11), Record(0)]
    >>> result = run_sessions(stream, gap=10)
    >>> [(pane.start, pane.end, pane.members) for pane in result.panes], result.late
    ([(11, 30, [0, 1])], [2])

    Within the allowed lateness it fires the whole session again, at once:

    >>> stream = [Record(0), Record(12), Record(1)]
    >>> result = run_sessions(stream, gap=10, allowed_lateness=5)
    >>> [(pane.start, pane.end, pane.members, pane.fired_after) for pane in result.panes]
    [(0, 10, [0], 1), (0, 11, [0, 2], 2), (12, 22, [1], None)]
    """
    gaps = [gap] * len(records) if isinstance(gap, int) else gap
    if partitions is None:
        partitions = {record.partition for record in records}
    watermark = source_watermark or Watermark(out_of_orderness, partitions)
    sessions: dict[tuple[object, ...], list[Session]] = {}
    result = Result()

    def fire(session: Session, cause: int | None, *, is_own: bool = False) -> None:
        session.is_fired = True
        members = list(session.members)
        result.panes.append(Pane(session.key, session.start, session.end, members, cause, is_own))

    def advance(to: int, cause: int | None) -> None:
        everything = [session for of_key in sessions.values() for session in of_key]
        due = [session for session in everything if session.has_ended(to) and not session.is_fired]
        for session in sorted(due, key=lambda each: (each.end, min(each.members))):
            fire(session, cause)
        for of_key in sessions.values():
            of_key[:] = [each for each in of_key if not each.is_forgotten(to, allowed_lateness)]

    for index, record in enumerate(records):
        # The record is judged by the watermark before it, and moves the watermark afterwards.
        in_force = watermark.current
        if not record.is_filtered:
            of_key = sessions.setdefault(same_key(record.key), [])
            end = record.timestamp + gaps[index]
            alone = Session(record.key, record.timestamp, end, [])
            touched = [session for session in of_key if session.touches(alone)]
            whole = merge([*touched, alone])
            whole.members.append(index)
            if whole.is_forgotten(in_force, allowed_lateness):
                result.late.append(index)
            else:
                of_key[:] = [*(s for s in of_key if s not in touched), whole]
                if whole.has_ended(in_force):
                    fire(whole, index, is_own=True)
        if isinstance(watermark, SourceWatermark):
            watermark.observe(
                record.partition, record.timestamp, appended=record.appended, mark=record.mark
            )
        else:
            watermark.observe(record.partition, record.timestamp)
        result.watermarks.append(watermark.current)
        if watermark.current > in_force:
            advance(watermark.current, index)
    if end_of_input:
        advance(MAX_TIME, None)
    result.open_panes = [
        Pane(session.key, session.start, session.end, list(session.members))
        for of_key in sessions.values()
        for session in of_key
        if not session.is_fired
    ]
    return result
