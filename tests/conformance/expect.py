"""What the oracle expects of a case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from pystream.testing import Case, InputRow, PaneRow, Spec
from tests.oracle.counts import run_counts
from tests.oracle.sessions import run_sessions
from tests.oracle.triggers import Assigner, Counted, Global, Sessions, Specified, run_operator
from tests.oracle.watermarks import SourceWatermark
from tests.oracle.windows import ON_CLOSE, ON_UPDATE, Record, Result, Trigger, rows, run

AGGREGATES = [("count_all", None), ("count", 0), ("sum", 0), ("min", 0), ("max", 0)]
COLUMNS = ("key", "window_start", "window_end", "count", "count_nonnull", "sum", "min", "max")


def records_of(input_rows: Iterable[InputRow]) -> list[Record]:
    return [Record(row.ts_ms, (row.key,), (row.value,), row.partition) for row in input_rows]


def run_oracle(
    spec: Spec, input_rows: tuple[InputRow, ...], *, without: int | None = None
) -> Result:
    """Run the oracle; with fewer partitions than the rows have, all are on the first.

    The row `without` moves the watermark and is not counted.
    """
    records = records_of(input_rows)
    if without is not None:
        records[without] = replace(records[without], is_filtered=True)
    if spec.partitions == 1:
        records = [replace(record, partition=0) for record in records]
    is_plain = spec.trigger.kind == "on_close" and spec.accumulation == "accumulating"
    if spec.window.kind == "global" or (spec.window.size_ms is None and not is_plain):
        return run_operator(
            records,
            assigner_of(spec),
            specified(spec),
            allowed_lateness=spec.allowed_lateness_ms,
            discarding=spec.accumulation == "discarding",
            out_of_orderness=spec.watermark_delay_ms,
            partitions=range(spec.partitions),
            end_of_input=spec.end_of_input,
        )
    if spec.window.kind == "session":
        assert spec.window.gap_ms is not None
        return run_sessions(
            records,
            gap=spec.window.gap_ms,
            allowed_lateness=spec.allowed_lateness_ms,
            out_of_orderness=spec.watermark_delay_ms,
            partitions=range(spec.partitions),
            end_of_input=spec.end_of_input,
        )
    if spec.window.kind == "count":
        assert spec.window.size is not None
        return run_counts(
            records,
            size=spec.window.size,
            slide=spec.window.slide,
            source_watermark=SourceWatermark(
                range(spec.partitions), out_of_orderness=spec.watermark_delay_ms
            ),
        )
    size = spec.window.size_ms
    assert size is not None
    return run(
        records,
        size=size,
        slide=spec.window.step_ms or spec.window.distance_ms,
        cumulate=spec.window.kind == "cumulate",
        offset=spec.window.offset_ms,
        out_of_orderness=spec.watermark_delay_ms,
        allowed_lateness=spec.allowed_lateness_ms,
        trigger=trigger_of(spec),
        discarding=spec.accumulation == "discarding",
        partitions=range(spec.partitions),
        end_of_input=spec.end_of_input,
    )


def trigger_of(spec: Spec) -> Trigger:
    match spec.trigger.kind:
        case "on_update":
            return ON_UPDATE
        case "count":
            return Trigger(every=spec.trigger.every)
        case "time":
            return Trigger(every_ticks=spec.trigger.every_ms)
    return ON_CLOSE


def assigner_of(spec: Spec) -> Assigner:
    """Return the assigner of windows that are no fixed pieces of time."""
    window = spec.window
    if window.gap_ms is not None:
        return Sessions(window.gap_ms)
    if window.size is not None:
        assert window.slide is None
        return Counted(window.size)
    return Global()


def specified(spec: Spec) -> Specified:
    """Return the trigger of such windows; the end of input completes no counted one."""
    every = 1 if spec.trigger.kind == "on_update" else spec.trigger.every
    on_close = spec.trigger.kind != "on_update" and spec.window.kind != "count"
    return Specified(every, spec.trigger.every_ms, on_close=on_close)


def expect(name: str, spec: Spec, input_rows: tuple[InputRow, ...]) -> Case:
    """Return the case that the oracle makes of a spec and its input."""
    result = run_oracle(spec, input_rows)
    panes = []
    fired: Counter[tuple[object, ...]] = Counter()
    for row in rows(result, records_of(input_rows), AGGREGATES):
        pane = PaneRow(**dict(zip(COLUMNS, row, strict=True)))  # type: ignore[arg-type]
        if not spec.window.has_time:
            pane = replace(pane, window_start=None, window_end=None)
        window = pane.key, pane.window_start, pane.window_end
        panes.append(replace(pane, pane=fired[window]))
        fired[window] += 1
    return Case(name, spec, input_rows, tuple(panes), tuple(result.late))
