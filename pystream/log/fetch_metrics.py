"""What a consumer counts: records handed out, and those that damage made it step over."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from pystream import config
from pystream.types import SkippedRecords

if TYPE_CHECKING:
    from pystream._native import BatchQueue

__all__ = ["FetchMetrics"]


class FetchMetrics:
    """Counters of one consumer. One thread at a time.

    Parameters
    ----------
    queue : BatchQueue
        Which counts what is handed out.

    Attributes
    ----------
    records_skipped : int
        Because they cannot be read.
    skipped : deque of SkippedRecords
        Where; the newest ``config.SKIPPED_RANGES_KEPT``.
    """

    def __init__(self, queue: BatchQueue[Any, Any]) -> None:
        self._queue = queue
        self.records_skipped = 0
        self.ranges_skipped = 0
        self.skipped: deque[SkippedRecords] = deque(maxlen=config.SKIPPED_RANGES_KEPT)

    def skip(self, records: SkippedRecords) -> None:
        """Count records that cannot be read."""
        self.records_skipped += records.next_offset - records.offset
        self.ranges_skipped += 1
        self.skipped.append(records)

    def by_group(self) -> dict[str, dict[str, int]]:
        """Return the counters as Kafka's clients name them."""
        return {
            "consumer-fetch-manager-metrics": {
                "records-consumed-total": self._queue.records_taken,
                "corrupt-records-skipped-total": self.records_skipped,
                "corrupt-ranges-skipped-total": self.ranges_skipped,
            }
        }
