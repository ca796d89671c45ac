"""Count windows, one record at a time: the specification of the native engine.

Written from Flink's ``countWindow``: a ``CountTrigger`` fires after every `slide` records of a key,
and a ``CountEvictor`` leaves the last `size` of them. Their times do not matter, none is late, and
the end of input fires nothing.

>>> stream = [Record(5), Record(3), Record(9), Record(1), Record(2)]
>>> [(pane.start, pane.end, pane.members) for pane in run_counts(stream, size=2).panes]
[(3, 6, [0, 1]), (1, 10, [2, 3])]
>>> [pane.members for pane in run_counts(stream, size=3, slide=2).panes]
[[0, 1], [1, 2, 3]]
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.oracle.watermarks import SourceWatermark
from tests.oracle.windows import Pane, Record, Result, same_key


def run_counts(
    records: Sequence[Record],
    *,
    size: int,
    slide: int | None = None,
    source_watermark: SourceWatermark | None = None,
) -> Result:
    """Window a whole stream by counting the records of each key.

    A pane starts with the least event time of its members, and ends a tick after the greatest:
    that is pystream's, for Flink's windows of this kind have no bounds. The watermark, if there is
    one, passes by.
    """
    slide = size if slide is None else slide
    if not 0 < slide <= size:
        raise ValueError(f"no such windows: size {size}, slide {slide}")
    of_keys: dict[tuple[object, ...], list[int]] = {}
    result = Result()
    for index, record in enumerate(records):
        if source_watermark is not None:
            source_watermark.observe(
                record.partition, record.timestamp, appended=record.appended, mark=record.mark
            )
            result.watermarks.append(source_watermark.current)
        if record.is_filtered:
            continue
        arrived = of_keys.setdefault(same_key(record.key), [])
        arrived.append(index)
        if len(arrived) % slide == 0:
            members = arrived[-size:]
            times = [records[member].timestamp for member in members]
            key = records[arrived[0]].key
            result.panes.append(Pane(key, min(times), max(times) + 1, members, index))
    return result
