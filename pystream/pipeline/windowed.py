"""Keyed and windowed streams: the steps between ``key_by`` and a stream of results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pystream.errors import ConfigError, NotSupportedError, PipelineError, SchemaError
from pystream.pipeline.aggregates import Aggregation
from pystream.pipeline.event_time import EventTime, ticks
from pystream.pipeline.stream import OutputTag, Stream
from pystream.pipeline.udf_stages import StagedColumns
from pystream.pipeline.windows import Window
from pystream.plan import nodes

if TYPE_CHECKING:
    from datetime import timedelta

__all__ = ["KeyedStream", "WindowedStream"]

_GAP_KINDS = {
    "duration",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
}


class KeyedStream:
    """A stream grouped by key; made by :meth:`Stream.key_by`."""

    def __init__(self, stream: Stream, keys: tuple[str, ...]) -> None:
        self._stream = stream
        self._keys = keys

    def __repr__(self) -> str:
        return f"<KeyedStream by {', '.join(self._keys)}: {self._stream.schema}>"

    def window(self, window: Window) -> WindowedStream:
        """Cut each key's records into event-time windows.

        Parameters
        ----------
        window : Window
            From :func:`pystream.tumbling`, :func:`pystream.hopping`, :func:`pystream.cumulate`,
            :func:`pystream.session` or :func:`pystream.count_window`.

        Returns
        -------
        WindowedStream

        Raises
        ------
        PipelineError
            If the stream has no event time; windows of counted records need none.
        ConfigError
            If the window is not a whole number of ticks of the event-time column.
        SchemaError
            If the gap of sessions is an expression that is neither a duration nor an integer.
        """
        return WindowedStream(self._stream, self._keys, window)


class WindowedStream:
    """Windows that wait for their aggregates; made by :meth:`KeyedStream.window`."""

    def __init__(
        self,
        stream: Stream,
        keys: tuple[str, ...],
        window: Window,
        late_tag: OutputTag | None = None,
    ) -> None:
        if not isinstance(window, Window):
            raise ConfigError(
                f'window() got {window!r}. Pass tumbling("1m"), hopping("1h", "5m"), '
                'cumulate("1d", "1h"), session("30m") or count_window(100).'
            )
        self._stream = stream
        self._event_time = stream._event_time
        self._keys = keys
        self._window = window
        self._late_tag = late_tag
        self._assigner = _assigner(window, stream, self._event_time)

    def __repr__(self) -> str:
        return f"<WindowedStream {self._window.kind} by {', '.join(self._keys) or 'nothing'}>"

    def side_output_late_data(self, tag: OutputTag) -> WindowedStream:
        """Send rows that entered no window to a side output instead of only counting them.

        Parameters
        ----------
        tag : OutputTag
            To be given to :meth:`Stream.side_output` of the aggregated stream.

        Returns
        -------
        WindowedStream
        """
        if not isinstance(tag, OutputTag):
            raise ConfigError(f'side_output_late_data got {tag!r}. Pass OutputTag("late").')
        return WindowedStream(self._stream, self._keys, self._window, tag)

    def allowed_lateness(self, lateness: str | timedelta) -> WindowedStream:
        """Keep windows for late records after they fired.

        Raises
        ------
        NotSupportedError
            Always, until allowed lateness is built.
        """
        raise NotSupportedError(
            f"allowed_lateness({lateness!r}) is not built yet. Use a larger delay in the "
            "WatermarkStrategy, or side_output_late_data()."
        )

    def aggregate(self, **aggregations: Aggregation) -> Stream:
        """Compute aggregates per key and window.

        Parameters
        ----------
        **aggregations : Aggregation
            Result columns by name: ``n=ps.count()``, ``total=col("amount").sum()``.

        Returns
        -------
        Stream
            One row per key and window that has records: the key columns, ``window_start``,
            ``window_end`` (exclusive; both of the event-time column's type), the aggregates. Its
            event time is ``window_end`` minus one tick. Windows of counted records have no bounds
            where the stream has no event time.

        Raises
        ------
        SchemaError
            If an aggregate does not take its column's type, or two columns have one name.

        Notes
        -----
        Nulls are skipped; the mean is float64; NaN is ignored by min and max unless all are NaN;
        integer sums never wrap.
        """
        if not aggregations:
            raise ConfigError("aggregate() got nothing to compute. Pass, for example, n=count().")
        reserved = {*self._keys, "window_start", "window_end"}
        for name, aggregation in aggregations.items():
            if not isinstance(aggregation, Aggregation):
                raise ConfigError(
                    f"aggregate got {name}={aggregation!r}, which is not an aggregation. "
                    f'Write {name}=count() or {name}=col("amount").sum().'
                )
            if name in reserved:
                raise SchemaError(
                    f"aggregate gives the name {name!r} to two result columns. Choose another."
                )
        time = self._event_time
        plans = [aggregation.to_plan(name) for name, aggregation in aggregations.items()]
        stages = StagedColumns(self._stream._env._engine, self._stream._node, self._stream.schema)
        plans = [stages.aggregate_without_udfs(plan) for plan in plans]
        node = nodes.WindowAggregation(
            stages.node,
            keys=self._keys,
            event_time=None if time is None else time.column,
            event_time_shift=0 if time is None else time.shift,
            assigner=self._assigner,
            aggregates=tuple(plans),
            late_tag=None if self._late_tag is None else self._late_tag.name,
        )
        stream = self._stream
        schema = stream._env._engine.window_schema(node, stages.schema)
        event_time = None if time is None else EventTime("window_end", time.tick, shift=-1)
        return Stream(stream._env, node, schema, event_time, late_source=stream)


def _assigner(
    window: Window, stream: Stream, time: EventTime | None
) -> nodes.WindowAssigner | nodes.SessionAssigner | nodes.CountAssigner:
    """Return the window in ticks of the event time."""
    if window.kind == "count":
        return nodes.CountAssigner(window.size, window.slide)
    if time is None:
        raise PipelineError(
            "a window needs event time, which this stream does not have. Pass watermark= to the "
            "source, and keep its timestamp column in select() and map_batches()."
        )
    if window.gap is None:
        return nodes.WindowAssigner(
            window.kind,
            ticks(window.size, time, "window size"),
            ticks(window.slide, time, "window slide"),
            ticks(window.offset, time, "window offset"),
        )
    if isinstance(window.gap, int):
        return nodes.SessionAssigner(ticks(window.gap, time, "session gap"))
    dtype = stream._env._engine.infer(window.gap, stream.schema)
    if dtype.kind not in _GAP_KINDS:
        raise SchemaError(
            f"the gap of sessions is {window.gap} of type {dtype}. Pass a duration, an integer "
            f'that counts ticks of {time.column!r}, or a string such as "30m".'
        )
    return nodes.SessionAssigner(window.gap)
