"""Windows over results of windows, one record at a time: the specification of the native engine.

Written from Flink's ``StatusWatermarkValve`` and ``WindowOperator``: when a record has moved the
watermark, what that fires goes to the operator below, which takes it in while the watermark before
is still in force there; then the watermark follows. So the input of an operator below is a sequence
of rows and watermarks in one order, and the models of a single operator can be run on it: a
watermark is a record that a filter drops, and that carries a mark.

>>> from tests.oracle.windows import run
>>> first = [Record(0), Record(10), Record(100)]
>>> for item in below(run(first, size=10), totals=[1, 1, 1]):
...     print("watermark" if item.is_filtered else "row", item.mark, item.timestamp)
watermark -1 -1
row None 9
watermark 9 9
row None 19
watermark 99 99
row None 109
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.oracle.watermarks import SourceWatermark
from tests.oracle.windows import Record, Result, Scalar


def below(result: Result, totals: Sequence[Scalar]) -> list[Record]:
    """Return what comes to the operators below: rows, and watermarks as marked filtered records.

    The event time of a row is the last instant of its window; it has one value, its total.
    """
    fired: dict[int | None, list[Record]] = {}
    for pane, total in zip(result.panes, totals, strict=True):
        fired.setdefault(pane.fired_after, []).append(Record(pane.end - 1, pane.key, (total,)))
    items = []
    for index, watermark in enumerate(result.watermarks):
        items += fired.get(index, [])
        items.append(Record(watermark, is_filtered=True, mark=watermark))
    return items + fired.get(None, [])


def watermark_below() -> SourceWatermark:
    """Return the watermark of what :func:`below` gives."""
    return SourceWatermark([0], is_punctuated=True)
