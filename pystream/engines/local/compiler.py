"""Compiles a logical plan into a native graph. One function per kind of node."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pystream._native import Expression, Graph, Port, RecordBatch, Schema, UserAggregate
from pystream.engines.local.expressions import lower
from pystream.engines.local.file_outputs import OpenWriter
from pystream.engines.local.topics import TopicCatalog
from pystream.engines.local.triggers import TriggerStage
from pystream.engines.local.user_aggregates import user_aggregate
from pystream.engines.local.user_calls import UserCalls
from pystream.errors import NotSupportedError
from pystream.plan import nodes
from pystream.plan.expressions import ColumnNode, ExpressionNode, Structures

__all__ = ["CompiledJob", "PythonStage", "compile_plan"]


@dataclass(frozen=True)
class PythonStage:
    """A stage that the executor hands to Python: `call` maps one batch to any number."""

    name: str
    call: Callable[[RecordBatch], list[RecordBatch]]


@dataclass
class CompiledJob:
    """A native graph with what Python must do for it."""

    graph: Graph = field(default_factory=Graph)
    stages: dict[int, PythonStage] = field(default_factory=dict)
    triggers: set[int] = field(default_factory=set)
    collect: int | None = None
    writers: dict[int, OpenWriter] = field(default_factory=dict)  # by the collect in front of it
    readers: list[Any] = field(default_factory=list)  # whose `error` says what ended them
    calls: list[UserCalls] = field(default_factory=list)  # of the core, into Python
    settlers: list[Callable[[], None]] = field(default_factory=list)  # of transactions in the way
    ports: dict[int, Port] = field(default_factory=dict)  # by id of the node that makes the rows

    def schema_of(self, node: nodes.Node) -> Schema:
        """Return the schema of the rows that `node` makes."""
        return self.graph.schema(self.ports[id(node)])


def compile_plan(
    sinks: tuple[nodes.Node, ...],
    topics: TopicCatalog | None,
    *,
    bounded: bool,
    is_perfect: bool = False,
    make_stage: Callable[[nodes.MapBatches], PythonStage],
) -> CompiledJob:
    """Compile the plan that hangs from `sinks`.

    Parameters
    ----------
    sinks : tuple of Node
    topics : TopicCatalog or None
        Where topics are; None when the plan names none.
    bounded : bool
        Stop every topic source at its present end.
    is_perfect : bool
        No watermark before the end of the input.
    make_stage : callable
        Wraps the function of a Python stage.
    """
    return _Compiler(topics, bounded, is_perfect, make_stage).compile(sinks)


# Name, function, the column that it takes, the one that decides, parameters; or, of a function in
# Python, name, columns, what the core calls.
_Aggregate = (
    tuple[str, nodes.AggregateFunction, str | None, str | None, tuple[float, ...]]
    | tuple[str, list[str], UserAggregate]
)


class _Compiler:
    def __init__(
        self,
        topics: TopicCatalog | None,
        bounded: bool,
        is_perfect: bool,
        make_stage: Callable[[nodes.MapBatches], PythonStage],
    ) -> None:
        self._topics = topics
        self._bounded = bounded
        self._is_perfect = is_perfect
        self._make_stage = make_stage
        self._job = CompiledJob()
        self._ports = self._job.ports
        # By id of the window: its late output and, where that has columns to hide, the others.
        self._late: dict[int, tuple[Port, Schema | None]] = {}

    def compile(self, sinks: tuple[nodes.Node, ...]) -> CompiledJob:
        for number, node in enumerate(nodes.walk(sinks), start=1):
            self._add(node, number)
        return self._job

    def _add(self, node: nodes.Node, number: int) -> None:  # noqa: PLR0912  one per kind
        match node:
            case nodes.TopicSource():
                self._ports[id(node)] = self._topic_source(node, f"from_topic-{number}")
            case nodes.BatchSource():
                self._ports[id(node)] = self._batch_source(node, f"from_arrow-{number}")
            case nodes.HybridSource():
                self._ports[id(node)] = self._hybrid_source(node, f"from_source-{number}")
            case nodes.ReaderSource():
                self._ports[id(node)] = self._reader_source(node, f"{node.method}-{number}")
            case nodes.Filter():
                self._ports[id(node)] = self._job.graph.add_filter(
                    f"filter-{number}", self._ports[id(node.input)], lower(node.condition)
                )
            case nodes.Project():
                outputs = [(name, lower(value)) for name, value in node.columns]
                self._ports[id(node)] = self._job.graph.add_project(
                    f"select-{number}", self._ports[id(node.input)], outputs
                )
            case nodes.MapBatches():
                self._ports[id(node)] = self._python_stage(node, f"map_batches-{number}")
            case nodes.Union():
                ports = [self._ports[id(stream)] for stream in node.streams]
                self._ports[id(node)] = self._job.graph.add_union(f"union-{number}", ports)
            case nodes.WindowAggregation():
                self._window(node, f"window-{number}")
            case nodes.LateRows():
                self._ports[id(node)] = self._late_rows(node, f"late-{number}")
            case nodes.TopicSink():
                self._topic_sink(node, f"sink_to_topic-{number}")
            case nodes.FileSink():
                name = f"{node.method}-{number}"
                collect = self._job.graph.add_collect(name, self._ports[id(node.input)])
                self._job.writers[collect] = functools.partial(node.open, name)
            case nodes.Collect():
                port = self._ports[id(node.input)]
                self._job.collect = self._job.graph.add_collect(f"collect-{number}", port)
            case _:
                raise NotSupportedError(
                    f"the local engine cannot run {type(node).__name__}. Remove that step."
                )

    def _require_topics(self, topic: str) -> TopicCatalog:
        if self._topics is None:
            raise AssertionError(f"topic {topic!r} in a plan without a log")
        return self._topics

    def _mark(self, watermark: nodes.Watermark | None) -> nodes.Watermark | None:
        return None if self._is_perfect else watermark

    def _watermark_expression(self, mark: nodes.Watermark) -> Expression | None:
        if mark.expression is None:
            return None
        return lower(mark.expression, self._job.calls)

    def _event_time(self, mark: nodes.Watermark | None) -> dict[str, Any]:
        """Return what each kind of source is told of event time."""
        if mark is None:
            return {}
        return {
            "event_time": mark.column,
            "delay": mark.delay,
            "watermark": self._watermark_expression(mark),
            "max_ahead": mark.max_ahead,
            "alignment": _alignment(mark),
            "int64_unit": mark.int64_unit,
        }

    def _hybrid_source(self, node: nodes.HybridSource, name: str) -> Port:
        past = node.history
        live = dataclasses.replace(node.live, watermark=node.watermark)
        if isinstance(past, nodes.ReaderSource):
            reader = past.open(name)
            self._job.readers.append(reader)
            return self._topic_source(live, name, history=reader)
        topic = live.topics[0]
        schema = self._require_topics(topic).schema(topic)
        batches = [batch.cast_to(schema, name) for batch in past.batches]
        return self._topic_source(live, name, history=batches)

    def _topic_source(self, node: nodes.TopicSource, name: str, history: Any = None) -> Port:
        topics = self._require_topics(node.topics[0])
        partitions = [p for topic in node.topics for p in topics.partitions(topic)]
        is_committed_only = node.isolation_level == "read_committed"
        if is_committed_only:
            topics.settle(partitions)  # what nobody will decide any more
            self._job.settlers.append(functools.partial(topics.settle, partitions))
        start = None
        if node.start == "latest":
            start = [
                p.last_stable_offset() if is_committed_only else p.ends().log_end_offset
                for p in partitions
            ]
        elif node.start != "earliest":
            start = [int(offset) for offset in node.start]
        mark = self._mark(node.watermark)
        return self._job.graph.add_topic_source(
            name,
            topics.native_log,
            partitions,
            start_offsets=start,
            **self._event_time(mark),
            idle_timeout_us=None if mark is None else mark.idle_timeout_us,
            advances_when_idle=mark is not None and mark.advances_when_idle,
            bounded=node.bounded or self._bounded,
            timestamp_column=node.timestamp_column,
            append_time_column=node.append_time_column,
            on_corruption=node.on_corruption,
            isolation_level=node.isolation_level,
            history=history,
        )

    def _batch_source(self, node: nodes.BatchSource, name: str) -> Port:
        mark = self._mark(node.watermark)
        return self._job.graph.add_batch_source(
            name,
            list(node.batches),
            node.schema,
            **self._event_time(mark),
        )

    def _reader_source(self, node: nodes.ReaderSource, name: str) -> Port:
        reader = node.open(name)
        self._job.readers.append(reader)
        mark = self._mark(node.watermark)
        return self._job.graph.add_batch_source(
            name,
            reader,
            node.schema,
            **self._event_time(mark),
        )

    def _python_stage(self, node: nodes.MapBatches, name: str) -> Port:
        port = self._job.graph.add_python_stage(
            name, self._ports[id(node.input)], node.schema, keeps_rows=node.keeps_rows
        )
        self._job.stages[port.node] = self._make_stage(node)
        return port

    def _window(self, node: nodes.WindowAggregation, name: str) -> None:
        graph, port = self._job.graph, self._ports[id(node.input)]
        input_schema = graph.schema(port)
        assigner = node.assigner
        gap = assigner.gap if isinstance(assigner, nodes.SessionAssigner) else None
        operands = _Operands(input_schema)
        gap_column = None if gap is None or isinstance(gap, int) else operands.column(gap)
        aggregates = [self._aggregate(aggregate, operands) for aggregate in node.aggregates]
        if operands.computed:
            outputs = [*_pass_through(input_schema), *operands.computed]
            port = graph.add_project(f"{name}-operands", port, outputs)
        event_time = node.event_time
        if node.is_processing_time:
            event_time = _unused("_processing_time", {*graph.schema(port).names})
            port = self._processing_time(node, name, port, event_time)
        window = dataclasses.replace(node, event_time=event_time)
        results, late = self._add_window(window, name, port, aggregates, gap_column)
        self._ports[id(node)] = results
        has_more = operands.computed or node.is_processing_time
        self._late[id(node)] = late, input_schema if has_more else None

    def _processing_time(
        self, node: nodes.WindowAggregation, name: str, port: Port, column: str
    ) -> Port:
        """Add the time of the clock as a column, the event time of the window."""
        is_global = isinstance(node.assigner, nodes.GlobalAssigner)
        return self._job.graph.add_processing_time(
            f"{name}-clock",
            port,
            column,
            waits=self._is_perfect,
            shows_last=is_global and node.trigger.own is None,
        )

    def _aggregate(self, aggregate: nodes.Aggregate, operands: _Operands) -> _Aggregate:
        first = operands.column(aggregate.operand)
        if aggregate.function != "user":
            by = operands.column(aggregate.by)
            return aggregate.name, aggregate.function, first, by, aggregate.parameters
        native, calls = user_aggregate(aggregate)
        self._job.calls.append(calls)
        columns = [first, *(operands.column(node) for node in aggregate.arguments)]
        return aggregate.name, [str(column) for column in columns], native

    def _add_window(
        self,
        node: nodes.WindowAggregation,
        name: str,
        port: Port,
        aggregates: list[_Aggregate],
        gap_column: str | None,
    ) -> tuple[Port, Port]:
        graph, assigner = self._job.graph, node.assigner
        settings: dict[str, Any] = {
            "keys": node.keys,
            "event_time": node.event_time,
            "event_time_offset": node.event_time_shift,
            "aggregates": aggregates,
        }
        if _needs_panes(node):
            return self._add_pane_window(node, name, port, gap_column, settings)
        if isinstance(assigner, nodes.CountAssigner):
            return graph.add_count_window(
                name, port, size=assigner.size, slide=assigner.slide, **settings
            )
        if node.event_time is None:
            raise AssertionError(f"{name} has no event time")
        settings["allowed_lateness"] = node.allowed_lateness
        if isinstance(assigner, nodes.SessionAssigner):
            gap = assigner.gap if isinstance(assigner.gap, int) else str(gap_column)
            unit = node.int64_unit
            return graph.add_session_window(name, port, gap=gap, int64_unit=unit, **settings)
        if not isinstance(assigner, nodes.WindowAssigner):
            raise AssertionError(f"{name} has windows that need panes")
        return graph.add_window(
            name,
            port,
            size=assigner.size,
            slide=assigner.slide,
            offset=assigner.offset,
            is_cumulative=assigner.kind == "cumulate",
            **_emission(node),
            **settings,
        )

    def _add_pane_window(
        self,
        node: nodes.WindowAggregation,
        name: str,
        port: Port,
        gap_column: str | None,
        settings: dict[str, Any],
    ) -> tuple[Port, Port]:
        windows: dict[str, Any] = {"kind": "global"}
        match node.assigner:
            case nodes.CountAssigner(size, _):
                windows = {"kind": "count", "size": size}
            case nodes.SessionAssigner(gap):
                column = gap if isinstance(gap, int) else str(gap_column)
                windows = {"kind": "session", "gap": column}
            case nodes.WindowAssigner(kind, size, slide, offset):
                kind = "cumulate" if kind == "cumulate" else "fixed"
                windows = {"kind": kind, "size": size, "slide": slide, "offset": offset}
        trigger = None
        if node.trigger.own is not None:
            trigger = TriggerStage(
                node.trigger.own,
                name,
                tuple(self._job.graph.schema(self._ports[id(node.input)]).names),
                has_time=node.event_time is not None,
                is_processing_time=node.is_processing_time,
            )
        results, late = self._job.graph.add_pane_window(
            name,
            port,
            allowed_lateness=node.allowed_lateness,
            trigger=trigger,
            int64_unit=node.int64_unit,
            **windows,
            **_emission(node),
            **settings,
        )
        if trigger is not None:
            self._job.triggers.add(results.node)
            self._job.calls.append(trigger)
        return results, late

    def _late_rows(self, node: nodes.LateRows, name: str) -> Port:
        port, schema = self._late[id(node.input)]
        if schema is None:
            return port
        return self._job.graph.add_project(name, port, _pass_through(schema))

    def _topic_sink(self, node: nodes.TopicSink, name: str) -> None:
        topics = self._require_topics(node.topic)
        port = self._ports[id(node.input)]
        partitions = topics.sink_partitions(node, self._job.graph.schema(port))
        key, codec = topics.sink_settings(node)
        self._job.graph.add_topic_sink(
            name,
            port,
            partitions,
            key=key,
            acks=topics.acks(node.acks),
            codec=codec,
            timestamp=node.timestamp,
            timestamp_offset=node.timestamp_shift,
            int64_unit=node.int64_unit,
        )


def _alignment(mark: nodes.Watermark) -> tuple[str, int] | None:
    if mark.alignment is None:
        return None
    return mark.alignment.group, mark.alignment.max_drift_ns


def _pass_through(schema: Schema) -> list[tuple[str, Any]]:
    return [(name, lower(ColumnNode(name))) for name in schema.names]


class _Operands:
    """The columns that a window takes: those of its input, and one for each other expression.

    The computed ones stand in front of the window, and late rows must not show them.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._structures = Structures()
        self._columns: dict[int, tuple[str, Any]] = {}

    @property
    def computed(self) -> list[tuple[str, Any]]:
        """The columns that must be computed, by name."""
        return list(self._columns.values())

    def column(self, operand: ExpressionNode | None) -> str | None:
        """Return the name of the column that holds an operand; None of none."""
        if operand is None:
            return None
        if isinstance(operand, ColumnNode) and not operand.label:  # messages show the name
            return operand.name
        number = self._structures.number(operand)
        if number not in self._columns:
            taken = {*self._schema.names, *(name for name, _ in self._columns.values())}
            self._columns[number] = _unused(str(operand), taken), lower(operand)
        return self._columns[number][0]


def _unused(name: str, taken: set[str]) -> str:
    while name in taken:
        name = f"_{name}"
    return name


def _needs_panes(node: nodes.WindowAggregation) -> bool:
    """Whether windows fire in ways that only the operator of panes knows."""
    if isinstance(node.assigner, nodes.WindowAssigner):
        return node.trigger.own is not None
    return isinstance(node.assigner, nodes.GlobalAssigner) or node.trigger != nodes.Trigger()


def _emission(node: nodes.WindowAggregation) -> dict[str, Any]:
    return {
        "every": node.trigger.every,
        "every_ticks": node.trigger.every_ticks,
        "fires_on_close": node.trigger.fires_on_close,
        "is_discarding": node.trigger.discarding,
    }
