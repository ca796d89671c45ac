"""The environment: where pipelines begin, and what executes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pystream import config
from pystream.engines.local import LocalEngine
from pystream.errors import ConfigError, PipelineError
from pystream.log._optional import require
from pystream.pipeline.checks import check_end, check_options, check_start, check_topics
from pystream.pipeline.event_time import plan_watermark
from pystream.pipeline.explain import check_format, explain
from pystream.pipeline.explain_graph import explain_graph
from pystream.pipeline.file_sources import FileSources
from pystream.pipeline.hybrid import HybridSource
from pystream.pipeline.run_context import current_run_context, run_job, start_job
from pystream.pipeline.stream import Stream
from pystream.plan import nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pystream.connectors.file_formats import FileFormat
    from pystream.connectors.file_names import FilePaths
    from pystream.engines.local import Job, JobResult, Progress
    from pystream.engines.local.clock import ManualClock
    from pystream.log import Log
    from pystream.pipeline.watermarks import WatermarkStrategy

__all__ = ["Environment"]


class Environment(FileSources):
    """Collects the streams of one job and executes them.

    Parameters
    ----------
    log : Log, optional
        Where topics are read and written. Not needed for pipelines over in-memory tables.
    name : str, default "pipeline"
        Of the job, for messages.
    parallelism : int, default 1
        Threads, each of which works on a group of partitions. Results do not depend on it, up
        to the last bits of float sums and the order of keys within a window.
    clock : ManualClock, optional
        Of processing time (:meth:`WatermarkStrategy.for_processing_time`), in tests: a
        ``pystream.testing.ManualClock``. Default: the clock of the machine.

    Notes
    -----
    Nothing runs before :meth:`execute` or a ``to_...`` method of a stream is called. A running
    environment belongs to one thread.

    Examples
    --------
    >>> import numpy as np
    >>> import pystream as ps
    >>> env = ps.Environment()
    >>> stream = env.from_arrow({"amount": np.array([1.0, 2.0, 3.0])})
    >>> stream.filter(ps.col("amount") > 1).to_pandas()["amount"].tolist()
    [2.0, 3.0]
    """

    def __init__(
        self,
        log: Log | None = None,
        *,
        name: str = "pipeline",
        parallelism: int = 1,
        clock: ManualClock | None = None,
    ) -> None:
        if not isinstance(parallelism, int) or parallelism < 1:
            raise ConfigError(f"parallelism is {parallelism!r}. Pass a whole number from 1.")
        self.name = name
        self._engine = LocalEngine(log, name, parallelism, clock)
        self._sinks: list[nodes.Node] = []

    def __repr__(self) -> str:
        return f"<Environment {self.name!r} with {len(self._sinks)} sinks>"

    @property
    def _has_sink(self) -> bool:  # that execute() runs
        return bool(self._sinks)

    # -- sources ---------------------------------------------------------------------------

    def from_topic(
        self,
        topic: str | Sequence[str],
        *,
        watermark: WatermarkStrategy | None = None,
        start: str | Sequence[int] = "earliest",
        bounded: bool = False,
        on_corruption: Literal["raise", "skip"] = "raise",
        timestamp_column: str | None = None,
        append_time_column: str | None = None,
        isolation_level: Literal["read_committed", "read_uncommitted"] = "read_committed",
    ) -> Stream:
        """Read all partitions of a topic, in the order in which batches were appended.

        Parameters
        ----------
        topic : str or sequence of str
            Must exist. Several topics of equal columns are read as one with the partitions of all:
            in the order of appends, which is one for the whole log.
        watermark : WatermarkStrategy, optional
            Needed by windows.
        start : {"earliest", "latest"} or sequence of int, default "earliest"
            Where reading begins; numbers are offsets, one per partition.
        bounded : bool, default False
            Stop at the end that each partition has when the job starts. Otherwise the job
            follows the topic until it is stopped.
        on_corruption : {"raise", "skip"}, default "raise"
            Whether damaged records stop the job, or are stepped over and counted in the source's
            ``skipped_records``; then every batch is verified in full before it is used.

        timestamp_column : str, optional
            Adds the record timestamp as a column of this name, timestamp[us] (Kafka's
            ``timestamp``).
        append_time_column : str, optional
            Adds the time at which the log took the record as a column of this name,
            timestamp[us]. It is the same in every replay: as the event time it makes windows of
            arrival that are, unlike those of processing time, reproducible.
        isolation_level : {"read_committed", "read_uncommitted"}, default "read_committed"
            Whether records of a transaction are read only once it was committed. They have their
            place in the order where they were appended, and what comes behind them waits until
            it is decided.

        Returns
        -------
        Stream
            With the topic's columns, then those that were asked for.

        Raises
        ------
        UnknownTopicError
            If there is no such topic.
        SchemaError
            If the topics have different columns, the watermark's column does not exist or is not
            a time, or a column would get the name of another.
        """
        topics = check_topics(topic)
        schema = self._engine.topic_schema(topics, timestamp_column, append_time_column)
        begin = check_start(start, topics, self._engine.partition_count(topics))
        event_time, mark = plan_watermark(
            watermark, schema, self._engine.infer, has_append_times=True
        )
        config.check_choice(on_corruption, ("raise", "skip"), name="on_corruption")
        config.check_choice(isolation_level, config.ISOLATION_LEVELS, name="isolation_level")
        node = nodes.TopicSource(
            topics,
            mark,
            begin,
            bounded,
            on_corruption,
            timestamp_column,
            append_time_column,
            isolation_level,
        )
        return Stream(self, node, schema, event_time)

    def from_arrow(self, table: Any, *, watermark: WatermarkStrategy | None = None) -> Stream:
        """Read a table that is in memory, in its order; a bounded source.

        Parameters
        ----------
        table : object
            Anything with ``__arrow_c_stream__`` or ``__arrow_c_array__`` (pyarrow, pandas,
            polars, duckdb relations), a dict of numpy arrays, or a list of these with one schema.
            Buffers are shared where the layouts agree.
        watermark : WatermarkStrategy, optional
            Needed by windows.

        Returns
        -------
        Stream

        Raises
        ------
        SchemaError
            If the watermark's column does not exist or is not a time.
        NotSupportedError
            If the watermark counts from append times, which a table does not have.
        """
        schema, batches = self._engine.import_table(table)
        event_time, mark = plan_watermark(
            watermark, schema, self._engine.infer, has_append_times=False
        )
        return Stream(self, nodes.BatchSource(tuple(batches), schema, mark), schema, event_time)

    def from_source(
        self, source: HybridSource, *, watermark: WatermarkStrategy | None = None
    ) -> Stream:
        """Read history, then a topic, as one source.

        Parameters
        ----------
        source : HybridSource
        watermark : WatermarkStrategy, optional
            Of both parts. Needed by windows.

        Returns
        -------
        Stream
            With the topic's columns.
        """
        if not isinstance(source, HybridSource):
            raise ConfigError(
                f"from_source got {source!r}. Pass HybridSource(env.from_parquet(...), "
                "env.from_topic(...))."
            )
        event_time, mark = plan_watermark(
            watermark, source.schema, self._engine.infer, has_append_times=True
        )
        node = nodes.HybridSource(source.history, source.live, mark)
        return Stream(self, node, source.schema, event_time)

    # -- execution -------------------------------------------------------------------------

    def execute(
        self,
        *,
        until: str | None = None,
        mode: Literal["replay", "perfect"] = "replay",
        runner: str = "local",
        on_progress: Callable[[Progress], None] | None = None,
    ) -> JobResult:
        """Run all streams that end in a sink.

        Parameters
        ----------
        until : {"latest"}, optional
            Treat every topic as bounded: stop at the ends that they have now and fire the
            windows that are still open. Default: follow the topics until interrupted; open
            windows then stay unfired.
        mode : {"replay", "perfect"}, default "replay"
            What is late. ``"replay"``: what was late for a job that followed the topic live; the
            watermark moves with every record. ``"perfect"``: nothing; the watermark stays at its
            minimum to the end of the input, as in Flink's BATCH mode, and every window fires then,
            once. All windows are held in memory until then. Windows of processing time go by the
            clock of this run; with ``"replay"`` those that are open when the input ends are not
            shown, with ``"perfect"`` all fire then.
        runner : str, default "local"
            Only ``"local"`` exists.
        on_progress : callable, optional
            Called about ten times a second with a :class:`Progress`.

        Returns
        -------
        JobResult
            Counters per operator, among them late records.

        Raises
        ------
        OperatorError
            If a step fails; names the operator and the batch. A user function's exception is
            its ``__cause__``.
        ConfigError
            If the mode is ``"perfect"`` and the input has no end.
        """
        return run_job(self._prepare(until, mode, runner), on_progress)[0]

    def execute_async(
        self,
        *,
        until: str | None = None,
        mode: Literal["replay", "perfect"] = "replay",
        runner: str = "local",
    ) -> Job:
        """Start all streams that end in a sink, and return at once.

        Parameters
        ----------
        until, mode, runner : str, optional
            As of :meth:`execute`.

        Returns
        -------
        Job
            To watch (:meth:`Job.metrics`), cancel and wait for. It runs in a thread of its own,
            at the latest until the program ends; errors are raised by :meth:`Job.result`, and
            logged if that is never called.
        """
        job = self._prepare(until, mode, runner)
        start_job(job)
        return job

    def explain(self, format: str = "text") -> str:
        """Describe the plan of the whole job, that is, of all streams that end in a sink.

        Parameters
        ----------
        format : {"text", "mermaid", "dot"}, default "text"
            A tree with one line per operator, sources last; or a graph that GitHub, GitLab and
            notebooks draw (Mermaid), or that Graphviz does (DOT).

        Returns
        -------
        str
            Says of each operator whether it is ``[native]`` or ``[python]``, of sources their
            watermark, of windows where late rows go.

        Examples
        --------
        >>> env = ps.Environment(ps.open("explained"))
        >>> stream = env.from_arrow({"n": np.array([1, 2, 3])}).filter(ps.col("n") > 1)
        >>> stream.sink_to_topic("large")
        >>> print(env.explain())
        3: sink_to_topic('large', key=None, acks='interval')  [native]
          2: filter(col("n") > 1)  [native]
            1: from_arrow(3 rows)  [native]
        >>> env.explain("mermaid").splitlines()[0]
        'flowchart LR'
        """
        return self._explain(tuple(self._sinks), format)

    def _prepare(self, until: str | None, mode: str, runner: str) -> Job:
        check_options(until, mode, runner)
        if not self._sinks:
            raise PipelineError(
                "the environment has no sink, so there is nothing to execute. End a stream with "
                "sink_to_topic(), or call to_arrow() on it."
            )
        context = current_run_context()
        if context is not None:
            context.has_executed = True
            until = until or context.until
        sinks = tuple(self._sinks)
        if until is None:
            check_end(mode, sinks)
        return self._engine.prepare(sinks, bounded=until == "latest", is_perfect=mode == "perfect")

    def _files(
        self,
        method: str,
        path: FilePaths,
        form: FileFormat,
        watermark: WatermarkStrategy | None,
    ) -> Stream:
        from pystream.connectors.file_source import FileSource  # noqa: PLC0415  seldom needed

        source = FileSource.of(method, path, form)
        event_time, mark = plan_watermark(
            watermark, source.schema, self._engine.infer, has_append_times=False
        )
        node = nodes.ReaderSource(source.open, source.schema, method, source.label, mark)
        return Stream(self, node, source.schema, event_time)

    def _arrow_schema(self, schema: Any) -> Any:
        if schema is None:
            return None
        return require("pyarrow", extra="arrow").schema(self._engine.schema(schema))

    # -- for streams -----------------------------------------------------------------------

    def _add_sink(self, node: nodes.TopicSink, schema: Any) -> None:
        self._engine.check_sink(node, schema)
        self._sinks.append(node)

    def _add_file_sink(self, node: nodes.FileSink) -> None:
        for other in self._sinks:
            if isinstance(other, nodes.FileSink) and other.path == node.path:
                raise ConfigError(f"two sinks write {node.path}. Give each its own file.")
        self._sinks.append(node)

    def _write_file(self, node: nodes.FileSink) -> None:
        run_job(self._engine.prepare((node,), bounded=True))

    def _explain(self, sinks: tuple[nodes.Node, ...], form: str) -> str:
        check_format(form)
        return explain(sinks) if form == "text" else explain_graph(sinks, form)

    def _collect(self, node: nodes.Node, schema: Any) -> Any:
        job = self._engine.prepare((nodes.Collect(node),), bounded=True)
        return self._engine.table(schema, run_job(job)[1])
