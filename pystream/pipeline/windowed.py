"""Keyed and windowed streams: the steps between ``key_by`` and a stream of results."""

from __future__ import annotations

import copy
import dataclasses
from typing import TYPE_CHECKING, Any, Literal

from pystream.config import parse_duration_ns
from pystream.errors import ConfigError, PipelineError, SchemaError
from pystream.pipeline.aggregates import Aggregation
from pystream.pipeline.event_time import EventTime, ProcessingTime, Time, ticks
from pystream.pipeline.stream import OutputTag, Stream
from pystream.pipeline.udf_stages import StagedColumns
from pystream.pipeline.windows import Window
from pystream.plan import nodes
from pystream.plan.triggers import Trigger

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
            :func:`pystream.session`, :func:`pystream.count_window` or
            :func:`pystream.global_window`.

        Returns
        -------
        WindowedStream

        Raises
        ------
        PipelineError
            If the stream has no event time; windows of counted records, and global ones, need
            none.
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
    ) -> None:
        if not isinstance(window, Window):
            raise ConfigError(
                f'window() got {window!r}. Pass tumbling("1m"), hopping("1h", "5m"), '
                'cumulate("1d", "1h"), session("30m"), count_window(100) or global_window().'
            )
        self._stream = stream
        self._event_time = stream._event_time
        self._keys = keys
        self._window = window
        self._late_tag: OutputTag | None = None
        self._allowed_lateness = 0
        self._trigger = nodes.Trigger()
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
        return self._with(_late_tag=tag)

    def allowed_lateness(self, lateness: str | timedelta) -> WindowedStream:
        """Keep windows for late records after they fired.

        A window takes records until the watermark is `lateness` past its last tick. One that comes
        after the window has fired fires it again at once, for its key: a row with all that the key
        has in the window. What comes later still is late.

        Parameters
        ----------
        lateness : str or timedelta
            Such as ``"10s"``; zero, the default of a window, takes nothing after it fired.

        Returns
        -------
        WindowedStream

        Raises
        ------
        ConfigError
            If it is negative, or no whole number of ticks of the event-time column.

        Notes
        -----
        A key and window may then have several rows, the last of which is right. Windows that have
        fired stay in memory for as long: see ``state_bytes``.
        """
        is_clock = isinstance(self._event_time, ProcessingTime)
        if self._window.kind in ("count", "global") or self._event_time is None or is_clock:
            what = "all records" if self._window.kind == "global" else "counted records"
            what = "windows of processing time" if is_clock else what
            raise ConfigError(
                f"allowed_lateness() on {what}, for which no record is late. Leave it out."
            )
        nanoseconds = parse_duration_ns(lateness, name="allowed_lateness")
        if nanoseconds < 0:
            raise ConfigError(
                f'allowed_lateness is {lateness!s}. Pass zero or more, such as "10s".'
            )
        return self._with(
            _allowed_lateness=ticks(nanoseconds, self._event_time, "allowed lateness")
        )

    def emit(self, when: Literal["on_close", "on_update"]) -> WindowedStream:
        """Choose when windows fire.

        Parameters
        ----------
        when : {"on_close", "on_update"}
            When the watermark passes their end; or after each record, for its key, and then not
            once more when they close (Flink's ``CountTrigger`` of 1).

        Returns
        -------
        WindowedStream

        Raises
        ------
        ConfigError
            If it is neither, ``early()`` was called before ``emit("on_update")``, or they are
            windows of counted records that overlap.

        Notes
        -----
        Windows that fire more often than on close are computed record by record, by one thread.
        """
        if when not in ("on_close", "on_update"):
            raise ConfigError(f'emit got {when!r}. Pass "on_close" or "on_update".')
        if when == "on_close":
            if self._trigger.fires_on_close:
                return self
            return self._with_trigger(every=0, fires_on_close=True)
        if self._trigger.fires_on_close and (self._trigger.every_ticks or self._trigger.every):
            raise ConfigError(
                'emit("on_update") after early(): windows then fire after each record anyway. '
                "Leave one of them out."
            )
        return self._with_trigger(every=1, fires_on_close=False)

    def early(
        self, every: str | timedelta | None = None, *, count: int | None = None
    ) -> WindowedStream:
        """Fire windows before they close as well: what they hold so far.

        Parameters
        ----------
        every : str or timedelta, optional
            Of event time: a key's window fires whenever the watermark passes a multiple of it,
            from the first multiple after the key's first record in the window on, whether or not
            anything came since (Flink's ``ContinuousEventTimeTrigger``).
        count : int, optional
            Records of a key in a window after which it fires (Flink's ``CountTrigger``).

        Returns
        -------
        WindowedStream

        Raises
        ------
        ConfigError
            If neither is given, one is not positive, either was given before, windows fire on
            update, or they are windows of counted records that overlap.
        PipelineError
            If the stream has no event time, and a time is given.

        Notes
        -----
        When they close, windows fire once more, as ever. A time and a count may be given together
        or one after the other; both then fire. Keys are computed record by record, by one thread.
        """
        if every is None and count is None:
            raise ConfigError('early() got no time and no count. Pass "10s" or count=1000.')
        if not self._trigger.fires_on_close:
            raise ConfigError(
                'early() after emit("on_update"): windows then fire after each record anyway. '
                "Leave one of them out."
            )
        if count is not None and (
            not isinstance(count, int) or isinstance(count, bool) or not 0 < count < 2**62
        ):
            raise ConfigError(f"early got count={count!r}. Pass a positive number of records.")
        interval = 0 if every is None else parse_duration_ns(every, name="early")
        if every is not None and interval <= 0:
            raise ConfigError(f'early got {every!s}. Pass a positive duration such as "10s".')
        interval_ticks = 0
        if every is not None:
            if self._event_time is None:
                raise PipelineError(
                    f'early("{every!s}") needs event time, which this stream does not have. Pass '
                    "watermark= to the source, or fire after a count of records."
                )
            interval_ticks = ticks(interval, self._event_time, "early")
        if count is not None and self._trigger.every:
            raise ConfigError(
                f"early() got count={count} after count={self._trigger.every}. Leave one out."
            )
        if interval_ticks and self._trigger.every_ticks:
            raise ConfigError(
                f"early() got {every!s} after a time that it had already. Leave one out."
            )
        return self._with_trigger(
            every=count or self._trigger.every,
            every_ticks=interval_ticks or self._trigger.every_ticks,
        )

    def discarding(self) -> WindowedStream:
        """Show in each pane what came since the one before, instead of all (Beam's word).

        A window that has nothing new does not fire then. By default panes accumulate, and the last
        one of a key and window holds everything.

        Returns
        -------
        WindowedStream

        Raises
        ------
        ConfigError
            If they are windows of counted records that overlap.
        """
        return self._with_trigger(discarding=True)

    def trigger(self, trigger: Trigger) -> WindowedStream:
        """Fire windows by a trigger of one's own, in Python, and by nothing else.

        Parameters
        ----------
        trigger : Trigger
            An instance of a subclass. It takes the place of the windows' own: they fire when it
            says so, and not when they close, or the input ends. ``discarding()`` makes each firing
            a purge.

        Returns
        -------
        WindowedStream

        Raises
        ------
        ConfigError
            If it is no trigger, there is one already, windows fire by ``emit()`` or ``early()``,
            they count records, or they are sessions and the trigger cannot merge.

        Notes
        -----
        The trigger is called for each record with the interpreter lock, which is taken once per
        batch; what it fires is computed natively.
        """
        if not isinstance(trigger, Trigger):
            raise ConfigError(
                f"trigger got {trigger!r}. Pass an instance of a subclass of pystream.Trigger."
            )
        if self._window.kind == "count":
            raise ConfigError(
                "trigger() on windows of counted records, which are global windows with a trigger "
                "that counts. Use global_window()."
            )
        if self._window.kind == "session" and not trigger.can_merge():
            raise ConfigError(
                f"sessions merge, and {type(trigger).__name__} cannot. Override can_merge() and "
                "on_merge() in it."
            )
        if self._trigger.own is not None or not self._trigger.is_on_close:
            raise ConfigError(
                "trigger() takes the place of what emit(), early() or another trigger() say. Leave "
                "one of them out."
            )
        return self._with_trigger(own=trigger)

    def _with_trigger(self, **settings: Any) -> WindowedStream:
        if self._trigger.own is not None and "discarding" not in settings:
            raise ConfigError(
                "emit() or early() after trigger(), which takes their place. Leave one of them out."
            )
        if self._window.kind == "count" and self._window.slide != self._window.size:
            raise ConfigError(
                f"windows of the last {self._window.size} records after every {self._window.slide} "
                "overlap: at any time several are unfinished. Use a smaller slide to see results "
                "earlier, or leave out emit(), early() and discarding()."
            )
        return self._with(_trigger=dataclasses.replace(self._trigger, **settings))

    def _with(self, **settings: object) -> WindowedStream:
        changed = copy.copy(self)
        vars(changed).update(settings)
        return changed

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
            event time is ``window_end`` minus one tick. Windows of counted records, and global
            ones, have no bounds where the stream has no event time.

        Raises
        ------
        SchemaError
            If an aggregate does not take its column's type, a `where` is not bool, or two columns
            have one name.

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
        for name, aggregation in aggregations.items():
            _check_where(name, aggregation, stages)
        plans = stages.aggregates_without_udfs(plans)
        assigner = self._assigner
        if isinstance(assigner, nodes.SessionAssigner) and not isinstance(assigner.gap, int):
            assigner = nodes.SessionAssigner(stages.without_udfs(assigner.gap))
        node = nodes.WindowAggregation(
            stages.node,
            keys=self._keys,
            event_time=time.column if isinstance(time, EventTime) else None,
            event_time_shift=time.shift if isinstance(time, EventTime) else 0,
            assigner=assigner,
            aggregates=tuple(plans),
            late_tag=None if self._late_tag is None else self._late_tag.name,
            allowed_lateness=self._allowed_lateness,
            trigger=self._trigger,
            is_processing_time=isinstance(time, ProcessingTime),
            int64_unit=time.int64_unit if isinstance(time, EventTime) else "ms",
        )
        stream = self._stream
        schema = stream._env._engine.window_schema(node, stages.schema)
        result_time: Time | None = None
        if time is not None:
            result_time = EventTime("window_end", time.tick, -1, time.int64_unit)
            if isinstance(time, ProcessingTime):
                result_time = ProcessingTime(result_time)
        return Stream(stream._env, node, schema, result_time, late_source=stream)


def _check_where(name: str, aggregation: Aggregation, stages: StagedColumns) -> None:
    if aggregation.where is None:
        return
    kind = stages.type_of(aggregation.where)
    if str(kind) != "bool":
        raise SchemaError(
            f"{name}={aggregation!r}: where must be bool, but {aggregation.where} is of type "
            f"{kind}. Compare it with something, for example where={aggregation.where} != 0."
        )


def _assigner(window: Window, stream: Stream, time: Time | None) -> nodes.Assigner:
    """Return the window in ticks of the event time."""
    if window.kind == "count":
        return nodes.CountAssigner(window.size, window.slide)
    if window.kind == "global":
        return nodes.GlobalAssigner()
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
            f'that counts ticks of {time.label}, or a string such as "30m".'
        )
    return nodes.SessionAssigner(window.gap)
