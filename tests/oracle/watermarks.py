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

    A record whose event time is more than `max_ahead` after its append time does not count.
    """

    def __init__(
        self,
        partitions: Iterable[int],
        *,
        out_of_orderness: int = 0,
        max_ahead: int | None = None,
    ) -> None:
        self._bound = out_of_orderness
        self._max_ahead = max_ahead
        self._own = dict.fromkeys(partitions, MIN_TIME)  # watermark of each partition
        self.current = MIN_TIME
        self.ahead = 0

    def observe(self, partition: int, event_time: int, *, appended: int = 0) -> None:
        """Count a record, after it was judged by the watermark before it."""
        if self._max_ahead is not None and event_time > appended + self._max_ahead:
            self.ahead += 1
            return
        mark = max(MIN_TIME, event_time - self._bound - 1)
        self._own[partition] = max(self._own[partition], mark)
        self.current = max(self.current, min(self._own.values()))
