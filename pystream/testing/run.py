"""Runs a conformance case: its rows through the windows that its spec asks for."""

from __future__ import annotations

import contextlib
import tempfile
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import pystream as ps
from pystream.errors import ConfigError, PipelineError
from pystream.log._optional import require
from pystream.testing.case import Case, InputRow, PaneRow, Result
from pystream.testing.spec import Spec

if TYPE_CHECKING:
    from pystream.engines.local import Progress

__all__ = ["run_case"]

STALLED_SECONDS: Final = 30  # without a row, after which a job that is to be stopped has failed
_SCHEMA = {"row": "int64", "ts": "timestamp[ms]", "key": "string", "value": "int64"}


def run_case(
    case: Case, *, log: ps.Log | None = None, cuts: Iterable[int] | None = None, threads: int = 1
) -> Result:
    """Run a case on the engine of this process.

    Parameters
    ----------
    case : Case
    log : Log, optional
        Where the rows are appended to a topic, which is deleted afterwards. Default: a table in
        memory; for several partitions or input that does not end, a log in a temporary directory.
    cuts : iterable of int, optional
        Numbers of rows that begin a new batch; batches also end where the partition changes.
        Default: no others.
    threads : int, default 1
        Parallelism of the environment.

    Returns
    -------
    Result

    Raises
    ------
    ConfigError
        If a cut is not the number of a row after the first, or the case has windows of counted
        records that overlap, and a trigger.

    Notes
    -----
    Needs pyarrow. Input that does not end takes a tenth of a second, for which the job waits in
    vain for more.

    Examples
    --------
    >>> from pystream.testing import InputRow, Spec, WindowSpec
    >>> rows = InputRow(1, "a", 5), InputRow(12, None, 7), InputRow(3, "a", 7)
    >>> case = Case("late", Spec(WindowSpec("tumbling", size_ms=10)), rows, panes=(), late=())
    >>> result = run_case(case, cuts=[1])
    >>> [(pane.key, pane.window_start, pane.sum) for pane in result.panes], result.late
    ([('a', 0, 5), (None, 10, 7)], (2,))
    """
    batches = _batches(case.rows, cuts)
    if log is not None:
        return _run_on_topic(case.spec, batches, log, threads)
    if case.spec.partitions == 1 and case.spec.end_of_input:
        env = ps.Environment(parallelism=threads)
        tables = [table for table, _ in batches]
        return _collect(case.spec, env.from_arrow(tables, watermark=_watermark(case.spec)))
    with tempfile.TemporaryDirectory() as directory, ps.open(directory) as temporary:
        return _run_on_topic(case.spec, batches, temporary, threads)


def _batches(rows: tuple[InputRow, ...], cuts: Iterable[int] | None) -> list[tuple[Any, int]]:
    """Return tables of rows of one partition, each with its partition; one if there are no rows."""
    edges = set(cuts or ())
    for cut in edges:
        if not 0 < cut < len(rows):
            raise ConfigError(
                f"cuts has {cut!r}, but the case has {len(rows)} rows. "
                "Pass numbers of rows after the first, which is 0."
            )
    edges |= {n for n in range(1, len(rows)) if rows[n].partition != rows[n - 1].partition}
    begins = [0, *sorted(edges)]
    ends = [*begins[1:], len(rows)]
    whole = _table(rows)
    return [
        (whole.slice(begin, end - begin), rows[begin].partition if rows else 0)
        for begin, end in zip(begins, ends, strict=True)
    ]


def _table(rows: tuple[InputRow, ...]) -> Any:
    pa = require("pyarrow", extra="arrow")
    return pa.table(
        {
            "row": pa.array(range(len(rows)), pa.int64()),
            "ts": pa.array([row.ts_ms for row in rows], pa.timestamp("ms")),
            "key": pa.array([row.key for row in rows], pa.string()),
            "value": pa.array([row.value for row in rows], pa.int64()),
        }
    )


def _watermark(spec: Spec) -> ps.WatermarkStrategy:
    strategy = ps.WatermarkStrategy.for_bounded_out_of_orderness(
        f"{spec.watermark_delay_ms}ms", timestamp="ts"
    )
    return strategy.with_max_ahead(None)  # a case has no append times


def _windowed(spec: Spec, stream: ps.Stream) -> tuple[ps.Stream, ps.Stream]:
    """Return the stream of results and that of late rows."""
    late = ps.OutputTag("late")
    windowed = stream.key_by("key").window(_window(spec)).side_output_late_data(late)
    if spec.allowed_lateness_ms:
        windowed = windowed.allowed_lateness(f"{spec.allowed_lateness_ms}ms")
    match spec.trigger.kind:
        case "on_update":
            windowed = windowed.emit("on_update")
        case "count":
            windowed = windowed.early(count=spec.trigger.every)
        case "time":
            windowed = windowed.early(f"{spec.trigger.every_ms}ms")
    if spec.accumulation == "discarding":
        windowed = windowed.discarding()
    value = ps.col("value")
    results = windowed.aggregate(
        count=ps.count(),
        count_nonnull=value.count(),
        sum=value.sum(),
        min=value.min(),
        max=value.max(),
    )
    return results, results.side_output(late)


def _window(spec: Spec) -> ps.Window:
    window = spec.window
    size, offset = f"{window.size_ms}ms", f"{window.offset_ms}ms"
    match window.kind:
        case "count":
            assert window.size is not None
            return ps.count_window(window.size, window.slide)
        case "session":
            return ps.session(f"{window.gap_ms}ms")
        case "tumbling":
            return ps.tumbling(size, offset=offset)
        case "hopping":
            return ps.hopping(size, f"{window.slide_ms}ms", offset=offset)
        case "cumulate":
            return ps.cumulate(size, f"{window.step_ms}ms", offset=offset)
    return ps.global_window()


def _collect(spec: Spec, stream: ps.Stream) -> Result:
    results, late = _windowed(spec, stream)
    return _result(spec, results.to_arrow(), late.to_arrow())


def _run_on_topic(spec: Spec, batches: list[tuple[Any, int]], log: ps.Log, threads: int) -> Result:
    with _topics(log, "input", "results", "late") as (topic, results_topic, late_topic):
        log.create_topic(topic, schema=_SCHEMA, partitions=spec.partitions)
        with log.producer(acks="published") as producer:
            for table, partition in batches:
                producer.send_batch(topic, table, partition=partition)
        env = ps.Environment(log, parallelism=threads)
        stream = env.from_topic(topic, watermark=_watermark(spec), bounded=spec.end_of_input)
        if spec.end_of_input:
            return _collect(spec, stream)
        results, late = _windowed(spec, stream)
        results.sink_to_topic(results_topic, acks="published")
        late.sink_to_topic(late_topic, acks="published")
        with contextlib.suppress(_StopJob):
            env.execute(on_progress=_Stop(sum(len(table) for table, _ in batches)))
        return _result(spec, *(_read(log, name) for name in (results_topic, late_topic)))


@contextlib.contextmanager
def _topics(log: ps.Log, *purposes: str) -> Iterator[list[str]]:
    """Offer names that are not taken, and delete the topics that were made of them."""
    run = uuid.uuid4().hex
    names = [f"conformance-{run}-{purpose}" for purpose in purposes]
    try:
        yield names
    finally:
        for name in names:
            if name in log.topics():
                log.delete_topic(name)


class _StopJob(Exception):
    """Thrown through a job that is to stop where it is."""


class _Stop:
    """Ends a job on input that does not end, when it has dealt with so many rows.

    Called between rounds of the engine: what it has read, it has passed on to the sinks.
    """

    def __init__(self, num_rows: int) -> None:
        self._num_rows = num_rows
        self._seen = 0
        self._seen_at = 0.0  # seconds since the job started

    def __call__(self, progress: Progress) -> None:
        if progress.records_in >= self._num_rows:
            raise _StopJob
        if progress.records_in > self._seen:
            self._seen, self._seen_at = progress.records_in, progress.seconds
        elif progress.seconds - self._seen_at > STALLED_SECONDS:
            raise PipelineError(
                f"the job read {self._seen} of {self._num_rows} rows and then none for "
                f"{STALLED_SECONDS} seconds. Report it: the engine does not see what was appended."
            )


def _read(log: ps.Log, topic: str) -> Any:
    return ps.Environment(log).from_topic(topic, bounded=True).to_arrow()


def _result(spec: Spec, results: Any, late: Any) -> Result:
    whole = require("pyarrow", extra="arrow").int64()
    columns = {
        name: results[name].cast(whole) if name.startswith("window_") else results[name]
        for name in results.schema.names
    }
    rows = zip(*(column.to_pylist() for column in columns.values()), strict=True)
    fired: Counter[tuple[Any, ...]] = Counter()
    panes = []
    for row in rows:
        fields = dict(zip(columns, row, strict=True))
        if not spec.window.has_time:  # the event times that results carry are pystream's own
            fields |= {"window_start": None, "window_end": None}
        pane = fields["key"], fields["window_start"], fields["window_end"]
        panes.append(PaneRow(**fields, pane=fired[pane]))
        fired[pane] += 1
    return Result(tuple(panes), tuple(late["row"].to_pylist()))
