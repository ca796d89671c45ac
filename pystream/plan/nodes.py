"""Nodes of the logical plan: what a pipeline does, without how.

Nodes are immutable and know their inputs; a node that feeds several others is shared, so the
plan is a directed acyclic graph that hangs from its sinks. Times are in ticks of the event-time
column, already converted and checked by the pipeline layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pystream.plan.expressions import ExpressionNode
    from pystream.plan.triggers import Trigger as OwnTrigger


AggregateFunction = Literal[
    "count_all",
    "count",
    "sum",
    "mean",
    "min",
    "max",
    "var_samp",
    "var_pop",
    "stddev_samp",
    "stddev_pop",
    "any",
    "all",
    "first",
    "last",
    "arg_min",
    "arg_max",
    "count_distinct",
    "approx_count_distinct",
    "approx_quantile",
    "approx_quantiles",
    "collect_list",
    "top_k",
    "bottom_k",
]

TimeUnit = Literal["s", "ms", "us", "ns"]


@dataclass(frozen=True, eq=False)
class Node:
    """A step of the plan; `inputs` names where its rows come from."""

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The nodes whose output this node reads."""
        return ()


@dataclass(frozen=True, eq=False)
class UnaryNode(Node):
    """A step with one input."""

    input: Node

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The one input, as a tuple."""
        return (self.input,)


@dataclass(frozen=True)
class Alignment:
    """A source waits while others of the same `group` are more than `max_drift_ns` behind it."""

    group: str
    max_drift_ns: int


@dataclass(frozen=True)
class Watermark:
    """The watermark is ``max(column) - delay - 1``, in ticks, or ``max(expression)``."""

    column: str
    delay: int
    expression: ExpressionNode | None
    max_ahead: int | None  # of the append time, in ticks; what is later does not move it
    idle_timeout_us: int | None  # then a partition is idle, and does not hold it
    advances_when_idle: bool  # it follows the clock while all partitions are idle
    alignment: Alignment | None = None
    int64_unit: TimeUnit = "ms"  # what a column of int64 counts


@dataclass(frozen=True, eq=False)
class TopicSource(Node):
    """Rows of every partition of some topics of equal columns, in append order."""

    topics: tuple[str, ...]
    watermark: Watermark | None
    start: str | tuple[int, ...]  # "earliest", "latest" or an offset per partition
    bounded: bool  # stop at the ends seen when the job starts
    on_corruption: Literal["raise", "skip"] = "raise"
    timestamp_column: str | None = None  # name of an additional column: the record timestamp
    append_time_column: str | None = None  # the same: when the log took the record
    isolation_level: Literal["read_committed", "read_uncommitted"] = "read_committed"


@dataclass(frozen=True, eq=False)
class BatchSource(Node):
    """Rows that are in memory, in order; always bounded."""

    batches: tuple[Any, ...]  # native record batches of one schema
    schema: Any  # the native schema, needed when there is no batch
    watermark: Watermark | None


@dataclass(frozen=True, eq=False)
class ReaderSource(Node):
    """Rows that are read batch by batch while the job runs, in order; always bounded."""

    open: Callable[[str], Any]  # with an operator's name: an Arrow stream with an attribute `error`
    schema: Any  # native
    method: str  # that made it: "from_parquet"
    label: str
    watermark: Watermark | None


@dataclass(frozen=True, eq=False)
class HybridSource(Node):
    """The rows of a bounded source, then those of a topic, with one watermark."""

    history: BatchSource | ReaderSource
    live: TopicSource
    watermark: Watermark | None


@dataclass(frozen=True, eq=False)
class Filter(UnaryNode):
    """Rows for which `condition` is true."""

    condition: ExpressionNode


@dataclass(frozen=True, eq=False)
class Project(UnaryNode):
    """Exactly `columns`, each a name and the expression that computes it."""

    columns: tuple[tuple[str, ExpressionNode], ...]


@dataclass(frozen=True, eq=False)
class MapBatches(UnaryNode):
    """A Python function over whole record batches."""

    function: Callable[[Any], Any]
    schema: Any  # of the result
    name: str
    keeps_rows: bool = False  # it gives a row for each of the input, in order


@dataclass(frozen=True, eq=False)
class Union(Node):
    """The rows of all `streams`, which have equal columns, in the order of their sources."""

    streams: tuple[Node, ...]

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The streams; one may be there more than once."""
        return self.streams


@dataclass(frozen=True)
class WindowAssigner:
    """Windows ``[start, start + size)`` at every ``offset + k * slide``, in ticks.

    Those that cumulate start at every ``offset + k * size`` and end at every `slide` from there on.
    """

    kind: str  # "tumbling", "hopping" or "cumulate"
    size: int
    slide: int
    offset: int


@dataclass(frozen=True)
class SessionAssigner:
    """Sessions: ``[t, t + gap)`` of each record, merged where they touch.

    The gap is in ticks; that of an expression, of type duration or integer, is each record's own.
    """

    gap: int | ExpressionNode


@dataclass(frozen=True)
class CountAssigner:
    """The last `size` records of a key, each time that `slide` more have come."""

    size: int
    slide: int


@dataclass(frozen=True)
class UserAggregate:
    """An aggregate function in Python; engines call its methods by name."""

    name: str  # of its class
    function: Any
    returns: str  # type of the results
    # Name, type and initial value (None: zero) of each column of an accumulator; None: any object.
    accumulators: tuple[tuple[str, str, object], ...] | None


@dataclass(frozen=True)
class GlobalAssigner:
    """One window per key, without an end."""


Assigner = WindowAssigner | SessionAssigner | CountAssigner | GlobalAssigner


@dataclass(frozen=True)
class Aggregate:
    """One result column: a function over an expression (None: over rows)."""

    name: str
    function: AggregateFunction | Literal["user"]
    operand: ExpressionNode | None
    by: ExpressionNode | None = None  # arg_min and arg_max: what decides
    parameters: tuple[float, ...] = ()  # quantiles and their relative error, or k
    arguments: tuple[ExpressionNode, ...] = ()  # user: those behind the operand
    user: UserAggregate | None = None
    written: str = field(default="", compare=False)  # as the program has it, for explain()


@dataclass(frozen=True)
class Trigger:
    """When a window fires besides its close, and what it shows then."""

    every: int = 0  # after so many records of a key in a window; 0: not
    every_ticks: int = 0  # when the watermark passes a multiple of it; 0: not
    fires_on_close: bool = True
    discarding: bool = False  # what came since it fired, instead of all
    own: OwnTrigger | None = None  # in Python; of the above, only `discarding` holds beside it

    @property
    def is_on_close(self) -> bool:
        """Whether it fires on close, and at no other time."""
        return self.fires_on_close and not self.every and not self.every_ticks


@dataclass(frozen=True, eq=False)
class WindowAggregation(UnaryNode):
    """Aggregates per key and window; rows that enter no window leave by the late output."""

    keys: tuple[str, ...]
    event_time: str | None  # None: counted records, or all, of a stream without
    event_time_shift: int  # ticks to add to the column; -1 when the input is a window's result
    assigner: Assigner
    aggregates: tuple[Aggregate, ...]
    late_tag: str | None
    allowed_lateness: int = 0  # ticks for which a window that has fired takes records
    trigger: Trigger = Trigger()
    is_processing_time: bool = False  # the clock gives the time, and there is no column of it
    int64_unit: TimeUnit = "ms"  # what an event time of int64 counts


@dataclass(frozen=True, eq=False)
class LateRows(UnaryNode):
    """The rows that entered no window of `input`, which is a WindowAggregation."""


@dataclass(frozen=True, eq=False)
class TopicSink(UnaryNode):
    """Appends rows to a topic, which is created when it does not exist."""

    topic: str
    key: str | None
    partitions: int
    acks: str
    timestamp: str | None  # column of the record timestamp; None: time of the append
    timestamp_shift: int  # ticks added to it: -1 after a window, whose rows carry window_end
    int64_unit: TimeUnit = "ms"  # what it counts where it is int64


@dataclass(frozen=True, eq=False)
class FileSink(UnaryNode):
    """Writes rows to a file, which appears when the job has finished."""

    open: Callable[[str], Any]  # with an operator's name: has write, commit and abort
    method: str  # that made it: "sink_to_parquet"
    path: str  # absolute


@dataclass(frozen=True, eq=False)
class Collect(UnaryNode):
    """Keeps all rows in memory for the caller."""


def unbounded_sources(sinks: tuple[Node, ...]) -> list[str]:
    """Return the topics that a plan follows without end."""
    sources = [n.live if isinstance(n, HybridSource) else n for n in walk(sinks)]
    followed = [n for n in sources if isinstance(n, TopicSource) and not n.bounded]
    return [topic for source in followed for topic in source.topics]


def walk(sinks: tuple[Node, ...]) -> Iterator[Node]:
    """Yield every node once, inputs before the nodes that read them."""
    seen: set[int] = set()
    stack: list[tuple[Node, bool]] = [(sink, False) for sink in reversed(sinks)]
    while stack:
        node, expanded = stack.pop()
        if expanded:
            yield node
            continue
        if id(node) in seen:
            continue
        seen.add(id(node))
        stack.append((node, True))
        stack.extend((parent, False) for parent in reversed(node.inputs))
