"""Streams: the chain that a user writes. Each method returns a new object over a longer plan.

Every column and type is checked when the chain is built, never at run time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from pystream.errors import ConfigError, PipelineError, SchemaError
from pystream.pipeline.event_time import EventTime, ProcessingTime, Time
from pystream.pipeline.expressions import Expression, col
from pystream.pipeline.stream_ends import StreamEnds
from pystream.pipeline.udf_stages import StagedColumns, has_udf
from pystream.pipeline.unfinished import Unfinished
from pystream.plan import nodes

if TYPE_CHECKING:
    from pystream.pipeline.environment import Environment
    from pystream.pipeline.windowed import KeyedStream, WindowedStream
    from pystream.pipeline.windows import Window
    from pystream.plan.expressions import ExpressionNode

__all__ = ["OutputTag", "Stream"]


@dataclass(frozen=True)
class OutputTag:
    """Names a side output, for example the late records of a window.

    Attributes
    ----------
    name : str
        Shown by ``explain()`` and in errors.
    """

    name: str


class Stream(StreamEnds):
    """Rows of one schema that flow; made by ``Environment.from_topic`` and its like.

    Attributes
    ----------
    schema : Schema
        Names and types of the columns.
    """

    def __init__(
        self,
        env: Environment,
        node: nodes.Node,
        schema: Any,
        event_time: Time | None,
        late_source: Stream | None = None,
    ) -> None:
        self._env = env
        self._node = node
        self.schema = schema
        self._event_time = event_time
        self._late_source = late_source  # the input of the window that made this stream

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.schema}>"

    # -- stateless operators ---------------------------------------------------------------

    def filter(self, condition: Expression) -> Stream:
        """Keep the rows for which `condition` is true.

        Parameters
        ----------
        condition : Expression
            Of type bool, for example ``col("amount") > 0``. Rows where it is null are dropped,
            as in SQL. They still advance the watermark.

        Returns
        -------
        Stream

        Raises
        ------
        SchemaError
            If a column is unknown or the types do not fit.
        """
        condition = _expression(condition, "filter")
        if has_udf(condition.node):
            staged, (node,) = self._staged([condition.node])
            return staged.filter(Expression(node)).select(*self.schema.names)
        kind = self._env._engine.infer(condition.node, self.schema)
        if str(kind) != "bool":
            raise SchemaError(
                f"filter({condition!r}) is of type {kind}, but a condition must be bool. "
                f"Compare it with something, for example {condition!r} != 0."
            )
        return self._next(nodes.Filter(self._node, condition.node), self.schema)

    def select(self, *columns: str | Expression, **named: Expression) -> Stream:
        """Keep, compute and order columns; all others are dropped.

        Parameters
        ----------
        *columns : str or Expression
            A column name, or an expression, which is named by ``.alias(name)``.
        **named : Expression
            New columns by name.

        Returns
        -------
        Stream

        Raises
        ------
        SchemaError
            If a column is unknown, a type does not fit, or two results have one name.

        Notes
        -----
        A window that follows needs the event-time column: keep it.
        """
        pairs = [_named(column) for column in columns]
        pairs += [(name, _expression(value, "select")) for name, value in named.items()]
        if not pairs:
            raise ConfigError("select() got no column. Name at least one.")
        return self._project(pairs, "select")

    def with_columns(self, **named: Expression) -> Stream:
        """Add columns, or replace those of the same name; the others stay.

        Parameters
        ----------
        **named : Expression
            Columns by name.

        Returns
        -------
        Stream

        Raises
        ------
        SchemaError
            If a column is unknown, a type does not fit, or the event-time column would be
            replaced.
        """
        event_time = self._event_time
        if isinstance(event_time, EventTime) and event_time.column in named:
            raise SchemaError(
                f"with_columns would replace {event_time.column!r}, which is the event time of "
                "this stream. Give the new column another name."
            )
        values = {name: _expression(value, "with_columns") for name, value in named.items()}
        pairs = [(name, values.pop(name, col(name))) for name in self.schema.names]
        return self._project([*pairs, *values.items()], "with_columns")

    def map_batches(self, function: Callable[[Any], Any], *, schema: Any = None) -> Stream:
        """Run a Python function over whole batches.

        Parameters
        ----------
        function : callable
            Gets a :class:`pystream.RecordBatch`; returns anything tabular (a pyarrow, pandas or
            polars table, a dict of numpy arrays, a RecordBatch) with any number of rows. All
            but a RecordBatch is copied, unless nobody can write to it: a function may use its
            arrays again.
        schema : dict, Arrow schema or Schema, optional
            Of the result. Default: that of the input.

        Returns
        -------
        Stream

        Notes
        -----
        This stage holds the interpreter lock; ``explain()`` marks it ``[python]``. Rows that come
        out keep the watermark from before their batch. How the input is cut into batches is not
        defined, so a function should treat each row on its own.
        """
        if not callable(function):
            raise ConfigError(
                f"map_batches got {function!r}, which cannot be called. Pass a function that "
                "takes a RecordBatch and returns a table."
            )
        result = self.schema if schema is None else self._env._engine.schema(schema)
        name = getattr(function, "__name__", type(function).__name__)
        return self._next(nodes.MapBatches(self._node, function, result, name), result)

    def union(self, *others: Stream) -> Stream:
        """Put the rows of several streams into one.

        Parameters
        ----------
        *others : Stream
            Of the same environment, with the same columns: names and types, in one order. A stream
            may be among them more than once; then its rows are, too.

        Returns
        -------
        Stream
            It has an event time where all have the same one: windows need that.

        Raises
        ------
        SchemaError
            If the columns differ.
        ConfigError
            If there is no other stream, or one is of another environment.

        Notes
        -----
        The watermark is the minimum over the sources of all streams; it leaves out those that are
        idle (:meth:`WatermarkStrategy.with_idleness`) and those that have ended. A source without a
        watermark holds it back until it ends.

        Topics are read in the order of appends. Tables, files and the history of a
        :class:`HybridSource` come before all topics, in turns of 65,536 rows, each of the source
        with the lowest watermark. A result of a window stands right behind the record that caused
        it. So the order depends neither on batches nor on threads, and a replay repeats it.

        Where results of windows or Python functions, or rows of one source by several ways, come
        together, what follows is computed by one thread.

        References
        ----------
        Apache Flink, ``DataStream.union``.

        Examples
        --------
        >>> env = ps.Environment()
        >>> web = env.from_arrow({"n": np.array([1, 2])})
        >>> shop = env.from_arrow({"n": np.array([10])})
        >>> web.union(shop).to_arrow()["n"].to_pylist()
        [1, 2, 10]
        """
        if not others:
            raise ConfigError("union() got no stream. Pass at least one other.")
        for other in others:
            if not isinstance(other, Stream):
                raise ConfigError(f"union got {other!r}, which is not a stream.")
            if other._env is not self._env:
                raise ConfigError(
                    "union got a stream of another environment. Make both with the same one."
                )
            self._check_columns(other)
        streams: list[nodes.Node] = []
        for stream in (self, *others):
            node = stream._node
            streams += node.streams if isinstance(node, nodes.Union) else (node,)
        event_time = self._common_time(others)
        return Stream(self._env, nodes.Union(tuple(streams)), self.schema, event_time)

    def _common_time(self, others: tuple[Stream, ...]) -> Time | None:
        times = [self._event_time, *(other._event_time for other in others)]
        if all(time == times[0] for time in times):
            return times[0]
        is_clock = all(isinstance(time, ProcessingTime) for time in times)
        return ProcessingTime() if is_clock else None

    def _check_columns(self, other: Stream) -> None:
        own = [(name, str(dtype)) for name, dtype, _ in self.schema.fields]
        others = [(name, str(dtype)) for name, dtype, _ in other.schema.fields]
        if own == others:
            return
        differences = [
            f"{_column_text(left)} here, {_column_text(right)} there"
            for left, right in zip_longest(own, others)
            if left != right
        ]
        raise SchemaError(
            f"union of streams with different columns: {differences[0]}. "
            "select() and cast() them to the same names and types, in one order."
        )

    # -- windows ---------------------------------------------------------------------------

    def key_by(self, *keys: str) -> KeyedStream:
        """Group by one or several columns of any type but lists; nulls form one group.

        Parameters
        ----------
        *keys : str
            Column names.

        Returns
        -------
        KeyedStream

        Raises
        ------
        SchemaError
            If a column is unknown, named twice, or a list.
        ConfigError
            If there is no key, or it is no name: compute it before, by :meth:`with_columns`.
        """
        if not keys:
            raise ConfigError("key_by() got no column. Name at least one, or use window_all().")
        for key in keys:
            self._require(key, "key_by")
            kind = self.schema.fields[self.schema.index_of(key)][1]
            if kind.element is not None:
                raise SchemaError(
                    f"key_by names column {key!r}, which is {kind}: lists are no keys. Name "
                    "another column.",
                    column=key,
                    got=str(kind),
                )
        if len(set(keys)) != len(keys):
            raise SchemaError(f"key_by{keys!r} names a column twice. Name each once.")
        from pystream.pipeline.windowed import KeyedStream  # noqa: PLC0415  a cycle of classes

        return KeyedStream(self, keys)

    def window_all(self, window: Window) -> WindowedStream:
        """Cut the whole stream, without keys, into event-time windows.

        Parameters
        ----------
        window : Window
            As for :meth:`KeyedStream.window`.

        Returns
        -------
        WindowedStream
        """
        from pystream.pipeline.windowed import WindowedStream  # noqa: PLC0415

        return WindowedStream(self, (), window)

    def side_output(self, tag: OutputTag) -> Stream:
        """Return the side output that an operator of this stream feeds.

        Parameters
        ----------
        tag : OutputTag
            The tag given to ``side_output_late_data``.

        Returns
        -------
        Stream
            Rows with the schema of the window's input.

        Raises
        ------
        PipelineError
            If the stream has no such side output.
        """
        window, source = self._node, self._late_source
        if (
            source is None
            or not isinstance(window, nodes.WindowAggregation)
            or window.late_tag != tag.name
        ):
            raise PipelineError(
                f"stream has no side output {tag.name!r}. Call side_output() on the result of "
                ".side_output_late_data(tag).aggregate(...), with the same tag."
            )
        late: nodes.Node = nodes.LateRows(window)
        if window.input is not source._node:  # without the columns of Python functions
            late = nodes.Project(late, tuple((n, col(n).node) for n in source.schema.names))
        return Stream(self._env, late, source.schema, source._event_time)

    # -- helpers ---------------------------------------------------------------------------

    def _next(self, node: nodes.Node, schema: Any) -> Stream:
        event_time = self._event_time
        if isinstance(event_time, ProcessingTime):
            results = event_time.results
            if results is not None and results.column not in schema.names:
                event_time = ProcessingTime()
        elif event_time is not None and event_time.column not in schema.names:
            event_time = None
        return Stream(self._env, node, schema, event_time)

    def _project(self, pairs: list[tuple[str, Expression]], method: str) -> Stream:
        names = [name for name, _ in pairs]
        for name in names:
            if names.count(name) > 1:
                raise SchemaError(
                    f"{method} gives the name {name!r} to two columns. Rename one with .alias()."
                )
        if any(has_udf(value.node) for _, value in pairs):
            staged, values = self._staged([value.node for _, value in pairs])
            pairs = [(name, Expression(node)) for name, node in zip(names, values, strict=True)]
            return staged._project(pairs, method)
        columns = tuple((name, value.node) for name, value in pairs)
        schema = self._env._engine.project(columns, self.schema)
        return self._next(nodes.Project(self._node, columns), schema)

    def _staged(self, values: list[ExpressionNode]) -> tuple[Stream, list[ExpressionNode]]:
        """Return this stream with a column per Python function, and what reads these."""
        stages = StagedColumns(self._env._engine, self._node, self.schema)
        without = [stages.without_udfs(value) for value in values]
        return self._next(stages.node, stages.schema), without


def _column_text(column: tuple[str, str] | None) -> str:
    return "nothing" if column is None else f"{column[0]!r} {column[1]}"


def _expression(value: object, method: str) -> Expression:
    if isinstance(value, Unfinished):
        raise ConfigError(value.complaint(method))
    if not isinstance(value, Expression):
        hint = " Python functions go into map_batches()." if callable(value) else ""
        raise ConfigError(
            f'{method} got {value!r}, which is not an expression. Write it with col("name").{hint}'
        )
    return value


def _named(column: str | Expression) -> tuple[str, Expression]:
    if isinstance(column, str):
        return column, col(column)
    expression = _expression(column, "select")
    name = expression.name
    if name is None:
        raise ConfigError(
            f"select got {expression!r} without a name. Add .alias(name), or pass it as "
            "a named argument."
        )
    return name, expression
