"""Calls a user's trigger for the core: one call of the core per batch, many of the trigger."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from pystream.engines.local.user_calls import UserCalls
from pystream.errors import CheckpointError, NotSupportedError, OperatorError
from pystream.log.record_batch import RecordBatch
from pystream.plan.triggers import Trigger, TriggerContext, TriggerResult, TriggerWindow

if TYPE_CHECKING:
    from pystream._native import RecordBatch as NativeBatch
    from pystream._native import TriggerPanes
    from pystream.log.array import Array

__all__ = ["TriggerStage"]


class TriggerStage(UserCalls):
    """A trigger in a running job, with what it knows of each pane.

    Parameters
    ----------
    trigger : Trigger
    operator : str
        Name of the operator, for messages.
    columns : tuple of str
        What rows show.
    has_time : bool
        Whether the stream has event time, or the clock takes its place.
    is_processing_time : bool, default False
        Whether it does.
    """

    def __init__(
        self,
        trigger: Trigger,
        operator: str,
        columns: tuple[str, ...],
        *,
        has_time: bool,
        is_processing_time: bool = False,
    ) -> None:
        super().__init__()
        self._trigger = trigger
        self._operator = operator
        self._columns = columns
        self._has_time = has_time
        self._is_processing_time = is_processing_time
        self._panes: TriggerPanes | None = None
        self._rows = _Rows({})
        self._known: dict[int, _Known] = {}  # by pane
        # What is in the contexts' states, by pane; and the panes that may have another size since.
        self._bytes_of: dict[int, int] = {}
        self._state_bytes = 0
        self._unmeasured: set[int] = set()

    @property
    def name(self) -> str:
        """That of the trigger's class."""
        return type(self._trigger).__name__

    @property
    def qualified_name(self) -> str:
        """That by which a snapshot knows the trigger."""
        kind = type(self._trigger)
        return f"{kind.__module__}.{kind.__qualname__}"

    # -- called by the core --------------------------------------------------------------------

    def begin(self, panes: TriggerPanes) -> None:
        """Take what the core does for contexts, until the next call of this."""
        self._panes = panes

    def next_batch(self, batch: NativeBatch) -> None:
        """Take the rows that on_element speaks of."""
        rows = RecordBatch.from_native(batch)
        self._rows = _Rows({name: rows[name] for name in self._columns})

    def on_element(self, pane: int, row: int, time: int) -> int:
        """Call the trigger for a row that is in the pane now."""
        window, ctx, _ = self._of(pane)
        stamp = time if self._has_time else None
        call = self._trigger.on_element
        return self._result(
            pane, "on_element", lambda: call(_Row(self._rows, row), stamp, window, ctx)
        )

    def on_event_time(self, pane: int, time: int) -> int:
        """Call the trigger for a timer."""
        window, ctx, _ = self._of(pane)
        method, call = "on_event_time", self._trigger.on_event_time
        if self._is_processing_time:
            method, call = "on_processing_time", self._trigger.on_processing_time
        return self._result(pane, method, lambda: call(time, window, ctx))

    def on_merge(self, target: int, merged: list[int]) -> None:
        """Call the trigger for a pane that has taken in others, or has grown."""
        parts = [self._forget(pane) for pane in merged]
        window, ctx, _ = self._of(target)
        ctx.merged = tuple(part.ctx.state for part in parts)
        self._call(target, "on_merge", lambda: self._trigger.on_merge(window, ctx))
        ctx.merged = ()
        for part in parts:
            self._clear(target, part)

    def clear(self, pane: int) -> None:
        """Call the trigger for a pane that is forgotten."""
        self._clear(pane, self._forget(pane))

    def state_bytes(self) -> int:
        """Return the bytes of what triggers keep in ``ctx.state``, as far as Python tells."""
        for pane in self._unmeasured:
            size = _size_of(self._known[pane].ctx.state)
            self._state_bytes += size - self._bytes_of.get(pane, 0)
            self._bytes_of[pane] = size
        self._unmeasured.clear()
        return self._state_bytes

    def dump(self, panes: list[int]) -> list[bytes | None]:
        """Return the contexts' states as they stand in a snapshot; None of empty ones."""
        states = [known.ctx.state if (known := self._known.get(pane)) else {} for pane in panes]
        try:
            return [None if _is_untouched(state) else pickle.dumps(state) for state in states]
        except BaseException as error:
            self.error = error
            raise NotSupportedError(
                f"operator {self._operator!r}: what trigger {self.name} keeps in ctx.state cannot "
                f"be pickled, as state in a snapshot must be: {type(error).__name__}: {error}. "
                "Keep in it what pickle takes.",
                operator=self._operator,
            ) from error

    def load(self, panes: list[int], dumped: list[bytes | None]) -> None:
        """Give panes the states that :meth:`dump` returned."""
        for pane, data in zip(panes, dumped, strict=True):
            if data is None:
                continue
            try:
                self._of(pane)[1].state = pickle.loads(data)
            except BaseException as error:
                self.error = error
                raise CheckpointError(
                    f"operator {self._operator!r}: what trigger {self.name} kept in ctx.state for "
                    f"{self.native.describe(pane)} cannot be unpickled: {type(error).__name__}: "
                    f"{error}. Restore it where the classes in it can be imported.",
                    operator=self._operator,
                ) from error

    def forget_all(self) -> None:
        """Forget all panes; no trigger is called."""
        for pane in list(self._known):
            self._forget(pane)

    # -- helpers -------------------------------------------------------------------------------

    def _of(self, pane: int) -> _Known:
        known = self._known.get(pane)
        if known is None:
            timers = _Timers(self, pane)
            window = TriggerWindow(*self.native.bounds(pane))
            ctx = TriggerContext(timers, {}, is_processing_time=self._is_processing_time)
            known = self._known[pane] = _Known(window, ctx, timers)
        self._unmeasured.add(pane)
        return known

    def _forget(self, pane: int) -> _Known:
        """Return what is known of a pane; its number may be that of another window from here on."""
        known = self._of(pane)
        known.timers.end()
        del self._known[pane]
        self._unmeasured.discard(pane)
        self._state_bytes -= self._bytes_of.pop(pane, 0)
        return known

    @property
    def native(self) -> TriggerPanes:
        """What the core does for contexts."""
        assert self._panes is not None
        return self._panes

    def _clear(self, pane: int, known: _Known) -> None:
        self._call(pane, "clear", lambda: self._trigger.clear(known.window, known.ctx))

    def _result(self, pane: int, method: str, call: Callable[[], object]) -> int:
        result = self._call(pane, method, call)
        if isinstance(result, TriggerResult):
            return int(result)
        raise OperatorError(
            f"{self._place(pane, method)} returned {result!r}. Return a TriggerResult, such as "
            "TriggerResult.CONTINUE.",
            operator=self._operator,
        )

    def _call(self, pane: int, method: str, call: Callable[[], object]) -> object:
        try:
            return call()
        except Exception as error:
            raise OperatorError(
                f"{self._place(pane, method)} failed: {type(error).__name__}: {error}. Mend the "
                "trigger; its exception is the cause.",
                operator=self._operator,
            ) from error

    def _place(self, pane: int, method: str) -> str:
        place = self.native.describe(pane)
        return f"operator {self._operator!r}: trigger {self.name}.{method} for {place}"


def _is_untouched(state: object) -> bool:
    return type(state) is dict and not state


def _size_of(value: object) -> int:
    """Return the bytes of a value with what is in its dicts, lists, tuples and sets."""
    seen: set[int] = set()
    stack, total = [value], 0
    while stack:
        part = stack.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        total += sys.getsizeof(part, 0)
        if isinstance(part, dict):
            stack += [*part, *part.values()]
        elif isinstance(part, list | tuple | set | frozenset):
            stack += part
    return total


class _Timers:
    """The timers of one window: of its pane, until it is forgotten, and then of none."""

    __slots__ = ("_pane", "_stage")

    def __init__(self, stage: TriggerStage, pane: int) -> None:
        self._stage = stage
        self._pane: int | None = pane

    def end(self) -> None:
        self._pane = None

    def register(self, time: int) -> None:
        if self._pane is None:
            self.watermark()  # refuses what comes behind the calls of the trigger
        else:
            self._stage.native.register_timer(self._pane, time)

    def delete(self, time: int) -> None:
        if self._pane is None:
            self.watermark()
        else:
            self._stage.native.delete_timer(self._pane, time)

    def watermark(self) -> int:
        return self._stage.native.watermark


class _Known(NamedTuple):
    """What a trigger sees of one pane."""

    window: TriggerWindow
    ctx: TriggerContext
    timers: _Timers


class _Rows:
    """The columns of a batch, each made into values when one of its is asked for."""

    __slots__ = ("_values", "columns")

    def __init__(self, columns: dict[str, Array]) -> None:
        self.columns = columns
        self._values: dict[str, list[Any]] = {}

    def value(self, column: str, row: int) -> Any:
        values = self._values.get(column)
        if values is None:
            values = self._values[column] = self.columns[column].to_pylist()
        return values[row]


class _Row(Mapping[str, Any]):
    """One row of a batch."""

    __slots__ = ("_row", "_rows")

    def __init__(self, rows: _Rows, row: int) -> None:
        self._rows = rows
        self._row = row

    def __getitem__(self, column: str) -> Any:
        return self._rows.value(column, self._row)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows.columns)

    def __len__(self) -> int:
        return len(self._rows.columns)

    def __repr__(self) -> str:
        return repr(dict(self))
