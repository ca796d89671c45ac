"""Watermarks of a source, one record and one instant at a time: what the native ones must be.

Written from ``docs/semantics.md`` and Flink's ``WatermarksWithMultipleOutputs``. An append time is
the time at which the log took a record; event times and append times count in the same ticks.

>>> mark = SourceWatermark([0], out_of_orderness=5, max_ahead=100)
>>> for event_time, appended in ((1_000, 990), (9_000, 1_000), (1_020, 1_010)):
...     mark.observe(0, event_time, appended=appended)
>>> mark.current, mark.ahead
(1014, 1)
"""

from __future__ import annotations

from collections.abc import Iterable

MIN_TIME = -(2**63)


class SourceWatermark:
    """Watermark over several partitions, whose records come in append order.

    Each record moves its partition's watermark to its event time less `out_of_orderness` and one
    tick, or, when `is_punctuated`, to the mark that it carries, unless it has none.

    A record whose event time (or mark) is more than `max_ahead` after its append time does not
    count.

    >>> mark = SourceWatermark([0], is_punctuated=True)
    >>> for event_time, given in ((5, None), (9, 3), (7, 2), (8, 8)):
    ...     mark.observe(0, event_time, mark=given)
    ...     print(mark.current if mark.current > MIN_TIME else "none")
    none
    3
    3
    8

    A partition is idle when its last record was appended more than `idle_timeout` ago, and is left
    out of the minimum then; one without a record counts from the first record of any. It takes part
    again when it has a record, before that is judged. Of those that become idle at one instant,
    those that never had a record do first. When all are idle, the watermark stays, or with
    `advances_when_idle` goes on with time. It never goes back.

    >>> mark = SourceWatermark([0, 1], idle_timeout=10)
    >>> for event_time, appended in ((50, 100), (60, 110)):
    ...     mark.arrive(0, appended)
    ...     mark.observe(0, event_time, appended=appended)
    >>> mark.current == MIN_TIME
    True
    >>> mark.pass_time(111)
    >>> mark.current
    59
    """

    def __init__(
        self,
        partitions: Iterable[int],
        *,
        out_of_orderness: int = 0,
        is_punctuated: bool = False,
        max_ahead: int | None = None,
        idle_timeout: int | None = None,
        advances_when_idle: bool = False,
    ) -> None:
        self._bound = out_of_orderness
        self._is_punctuated = is_punctuated
        self._max_ahead = max_ahead
        self._own = dict.fromkeys(partitions, MIN_TIME)  # watermark of each partition
        self._idle_timeout = idle_timeout
        self._advances_when_idle = advances_when_idle
        self._now: int | None = None
        self._last: dict[int, int] = {}  # append time of the last record of each partition
        self._had_record: set[int] = set()
        self.current = MIN_TIME
        self.ahead = 0

    def pass_time(self, now: int) -> None:
        """Let time come to `now`, instant by instant; it never goes back."""
        if self._now is None:
            self._now = now
            self._last = dict.fromkeys(self._own, now)
        while self._now < now:
            self._now += 1
            self._follow(instant_of_others=self._now - 1)
            self._follow()
            if self._advances_when_idle and not self._active() and self.current > MIN_TIME:
                self.current += 1

    def arrive(self, partition: int, appended: int) -> None:
        """Let time pass until a record is there, which is judged next."""
        self.pass_time(appended)
        assert self._now is not None
        self._last[partition] = self._now
        self._had_record.add(partition)
        self._follow()

    @property
    def is_idle(self) -> bool:
        """Whether all partitions are, and the watermark does not go on with time."""
        goes_on = self._advances_when_idle and self.current > MIN_TIME
        return not self._active() and not goes_on

    def _follow(self, instant_of_others: int | None = None) -> None:
        marks = self._active(instant_of_others)
        if marks:
            self.current = max(self.current, min(marks))

    def _active(self, instant_of_others: int | None = None) -> list[int]:
        """Return the watermarks of those not idle: now, or others than the empty ones then."""
        active = []
        for partition, mark in self._own.items():
            is_other = instant_of_others is not None and partition in self._had_record
            if not self._is_idle(partition, instant_of_others if is_other else self._now):
                active.append(mark)
        return active

    def _is_idle(self, partition: int, now: int | None) -> bool:
        if self._idle_timeout is None or now is None:
            return False
        return now - self._last[partition] > self._idle_timeout

    def observe(
        self, partition: int, event_time: int, *, appended: int = 0, mark: int | None = None
    ) -> None:
        """Count a record, after it was judged by the watermark before it."""
        given = mark if self._is_punctuated else event_time
        if given is None:
            return
        if self._max_ahead is not None and given > appended + self._max_ahead:
            self.ahead += 1
            return
        mark = given if self._is_punctuated else max(MIN_TIME, event_time - self._bound - 1)
        self._own[partition] = max(self._own[partition], mark)
        self._follow()
