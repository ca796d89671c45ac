"""Windows of processing time, one record at a time: the specification of the native engine.

Written from Flink's ``ProcessingTimeTrigger``, ``ContinuousProcessingTimeTrigger``,
``InternalTimerServiceImpl`` and ``ProcessingTimeServiceUtil``. A record's time is what the clock
shows when the window takes it, whatever it says itself: also of a result of a window above. A
timer fires when its millisecond is over, before anything that is taken then. No record is late.
When the input ends, timers that have not fired are dropped, but a window without end is shown
(``EndOfStreamTrigger``, which is one of event time).

>>> from tests.oracle.triggers import Fixed
>>> clicks = [Moment(0, [Arrival()]), Moment(9, [Arrival()]), Moment(10, [Arrival()]), Moment(25)]
>>> for rows in run_clock(clicks, [Stage(Fixed(10, 10), Specified())]):
...     print([(row.start, row.end, row.total) for row in rows])
[]
[]
[(0, 10, 2)]
[(10, 20, 1)]
[]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.oracle.triggers import Assigner, Global, Operator, Specified
from tests.oracle.windows import MAX_TIME, Record, Scalar

__all__ = ["Arrival", "Moment", "Row", "Stage", "run_clock"]


@dataclass(frozen=True)
class Arrival:
    """A record: its key, and a number."""

    key: tuple[Scalar, ...] = ()
    value: int = 1


@dataclass(frozen=True)
class Moment:
    """What the clock shows, and what is there to be taken then, in order."""

    time: int
    arrivals: Sequence[Arrival] = ()


@dataclass(frozen=True)
class Row:
    """A result: the bounds of its window, how many records it has, and their numbers' sum."""

    key: tuple[Scalar, ...]
    start: int
    end: int
    count: int
    total: int


@dataclass
class Stage:
    """A window, and what it has taken so far."""

    assigner: Assigner
    trigger: Any = field(default_factory=Specified)
    discarding: bool = False
    keyed: bool = True

    def __post_init__(self) -> None:
        self.operator = Operator(
            self.assigner, self.trigger, allowed_lateness=0, discarding=self.discarding
        )
        self.records: list[Record] = []
        self._shown = 0

    def fire(self, time: int) -> list[Row]:
        """Fire the timers whose millisecond is over."""
        self.operator.advance(time - 1, None)
        return self._new()

    def take(self, time: int, arrival: Arrival) -> list[Row]:
        key = arrival.key if self.keyed else ()
        self.records.append(Record(time, key, (arrival.value,)))
        self.operator.process(len(self.records) - 1, self.records)
        assert not self.operator.result.late
        return self._new()

    def end(self) -> list[Row]:
        """Show what the end of the input shows."""
        if isinstance(self.assigner, Global) and isinstance(self.trigger, Specified):
            self.operator.advance(MAX_TIME, None)
        return self._new()

    def _new(self) -> list[Row]:
        panes = self.operator.result.panes[self._shown :]
        self._shown += len(panes)
        return [
            Row(
                pane.key,
                pane.start,
                pane.end,
                len(pane.members),
                sum(int(self.records[i].values[0]) for i in pane.members),  # type: ignore[arg-type]
            )
            for pane in panes
        ]


def run_clock(moments: Sequence[Moment], stages: Sequence[Stage]) -> list[list[Row]]:
    """Return the rows that each moment shows below the last stage, and those of the end."""
    shown = [_at(moment, stages) for moment in moments]
    latest = moments[-1].time
    rows: list[Row] = []
    for stage in stages:
        below = [row for above in rows for row in stage.take(latest, _arrival(above))]
        rows = below + stage.end()
    return [*shown, rows]


def _at(moment: Moment, stages: Sequence[Stage]) -> list[Row]:
    """Let each stage fire what is due, and take what came from above; first what was due there."""
    due: list[Row] = []
    own: list[Row] = []
    for number, stage in enumerate(stages):
        fired = stage.fire(moment.time)
        arrivals = moment.arrivals if number == 0 else [_arrival(row) for row in own]
        fired += [row for above in due for row in stage.take(moment.time, _arrival(above))]
        own = [row for arrival in arrivals for row in stage.take(moment.time, arrival)]
        due = fired
    return due + own


def _arrival(row: Row) -> Arrival:
    return Arrival(row.key, row.count)
