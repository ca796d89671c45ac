"""What a column of event times counts: the tick of each type, and instants of its values.

An int64 has no unit of its own: it counts milliseconds unless the watermark strategy names another.
"""

from __future__ import annotations

from typing import NamedTuple

TICK_NS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
DAY_NS = 86_400 * 10**9
EARLIEST_US, LATEST_US = -(2**63) + 1, 2**63 - 1  # numpy's NaT is before


class TimeType(NamedTuple):
    """The type of an event-time column, as a topic declares it, and the unit that is named.

    >>> [TimeType(*it).tick_ns for it in (("int64", None), ("int64", "us"), ("timestamp[s]", None))]
    [1000000, 1000, 1000000000]
    """

    name: str
    unit: str | None = None

    @property
    def tick_ns(self) -> int:
        """Nanoseconds of a tick."""
        if self.name == "date32":
            return DAY_NS
        if self.name == "int64":
            return TICK_NS[self.unit or "ms"]
        return TICK_NS[self.name.removeprefix("timestamp[").split(",")[0].rstrip("]")]

    def record_timestamp(self, tick: int) -> int:
        """Return the record timestamp of an event time: microseconds, rounded down.

        >>> TimeType("int64", "ns").record_timestamp(-1), TimeType("int64", "s").record_timestamp(2)
        (-1, 2000000)
        """
        return min(max(tick * self.tick_ns // 1000, EARLIEST_US), LATEST_US)


TIME_TYPES = (
    TimeType("int64"),
    *(TimeType("int64", unit) for unit in TICK_NS),
    *(TimeType(f"timestamp[{unit}]") for unit in TICK_NS),
    TimeType("timestamp[us, UTC]"),
    TimeType("date32"),
)
