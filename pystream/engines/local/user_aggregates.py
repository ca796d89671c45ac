"""The core's calls for aggregate functions in Python: values in and out, and whose fault it was."""

from __future__ import annotations

import copy
import pickle
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from pystream._native import Array, DataType, Schema, UserAggregate
from pystream._native import RecordBatch as NativeBatch
from pystream.engines.local.user_calls import UserCalls
from pystream.errors import ConfigError, NotSupportedError, OperatorError, SchemaError, StreamError
from pystream.log.masked import separate_masks
from pystream.plan import nodes

__all__ = ["AggregateCalls", "user_aggregate"]

_KINDS = "bool, integers, floats, timestamps and durations"
_INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
_TIMES = ("timestamp", "date32", "duration")
# What get_result() may return for a type; times are converted by numpy.
_ACCEPTED: dict[str, tuple[type, ...]] = {
    "bool": (bool, np.bool_),
    "string": (str,),
    "binary": (bytes,),
    "decimal128": (Decimal,),
    **dict.fromkeys(_INTEGERS, (int, np.integer)),
    **dict.fromkeys(("float32", "float64"), (float, int, np.floating, np.integer)),
}


class _FailedError(OperatorError):
    """Ends the job; `at` is the index of the accumulator, where it is known."""

    at: int | None = None


class _WrongError(SchemaError):
    """As :class:`_FailedError`, of what a function gave back."""

    at: int | None = None


class AggregateCalls(UserCalls, ABC):
    """What the core calls for an aggregate; a base class."""

    def __init__(self, aggregate: nodes.Aggregate, user: nodes.UserAggregate) -> None:
        super().__init__()
        self._name = f"aggregate {aggregate.name!r} ({user.name})"
        self._function: Any = user.function
        self._returns = DataType(user.returns)
        self._schema = Schema([(aggregate.name, self._returns, True)])

    @abstractmethod
    def add(
        self,
        states: list[Any],
        shared: list[bool],
        groups: npt.NDArray[np.int64],
        arguments: list[Array],
    ) -> list[Any]:
        """Return the accumulators with rows added to those of `groups`."""

    @abstractmethod
    def merge(self, states: list[Any], shared: list[bool], others: list[Any]) -> list[Any]:
        """Return the accumulators, each with that of `others` merged into it."""

    @abstractmethod
    def results(self, states: list[Any], count: int) -> Array:
        """Return a column of `count` results."""

    def dump(self, states: list[Any]) -> list[bytes | None]:
        """Return accumulators that are objects as they stand in a snapshot."""
        try:
            return [None if state is None else pickle.dumps(state) for state in states]
        except Exception as error:
            self.error = error
            raise NotSupportedError(
                f"{self._name}: an accumulator cannot be pickled, as state in a snapshot must be: "
                f"{type(error).__name__}: {error}. Keep in it what pickle takes."
            ) from error

    def load(self, dumped: list[bytes | None]) -> list[Any]:
        """Return the accumulators that :meth:`dump` was given."""
        try:
            return [None if data is None else pickle.loads(data) for data in dumped]
        except Exception as error:
            raise self._failed("unpickling an accumulator", error) from error

    def _failed(self, what: str, error: BaseException, at: int | None = None) -> BaseException:
        """Keep what was raised; return what to raise instead."""
        if isinstance(error, _WrongError):
            return error
        self.error = error
        failed = _FailedError(f"{self._name}: {what} raised {type(error).__name__}: {error}")
        failed.at = at
        return failed

    def _wrong(self, what: str, at: int | None = None) -> SchemaError:
        wrong = _WrongError(f"{self._name}: {what}")
        wrong.at = at
        return wrong

    def _column(self, values: Any, nulls: npt.NDArray[np.bool_] | None = None) -> Array:
        name = self._schema.names[0]
        columns, masks = separate_masks({name: values})
        if nulls is not None:
            masks = {name: nulls}
        return NativeBatch.from_numpy(self._schema, columns, masks).column(0)


class RecordCalls(AggregateCalls):
    """Calls for each record. An accumulator is in a tuple of one, which tells None from none."""

    def add(
        self,
        states: list[Any],
        shared: list[bool],
        groups: npt.NDArray[np.int64],
        arguments: list[Array],
    ) -> list[Any]:
        cells = self._opened(states, shared)
        lists = [argument.to_pylist() for argument in arguments]
        values = lists[0] if len(lists) == 1 else zip(*lists, strict=True)
        add = self._function.add
        at, value = 0, None
        try:
            for at, value in zip(groups.tolist(), values, strict=True):
                before = cells[at]
                after = add(value, before)
                if after is None and before is not None:
                    raise self._wrong("add() returned None. Return the accumulator.")
                cells[at] = after
        except BaseException as error:
            raise self._failed(f"add({_shown(value)})", error) from error
        return [(cell,) for cell in cells]

    def merge(self, states: list[Any], shared: list[bool], others: list[Any]) -> list[Any]:
        cells = self._opened(states, shared)
        # Either may be changed, and the others stay in use.
        theirs = self._opened(others, [True] * len(others))
        try:
            for at, other in enumerate(theirs):
                before = cells[at]
                cells[at] = self._function.merge(before, other)
                if cells[at] is None and before is not None:
                    raise self._wrong("merge() returned None. Return the accumulator.")
        except BaseException as error:
            raise self._failed("merge()", error) from error
        return [(cell,) for cell in cells]

    def results(self, states: list[Any], count: int) -> Array:
        cells = self._opened(states, [False] * count)
        at, values = 0, []
        try:
            for at, cell in enumerate(cells):  # noqa: B007  for the message
                values.append(self._function.get_result(cell))
        except BaseException as error:
            raise self._failed("get_result()", error, at) from error
        return self._converted(values)

    def _opened(self, states: list[Any], shared: list[bool]) -> list[Any]:
        """Return the accumulators as the user made them; copies of those that must not change."""
        what = "create_accumulator()"
        try:
            create = self._function.create_accumulator
            cells = [create() if state is None else state[0] for state in states]
            what = "copying an accumulator"
            for at, (state, is_shared) in enumerate(zip(states, shared, strict=True)):
                if is_shared and state is not None:
                    cells[at] = copy.deepcopy(cells[at])
        except BaseException as error:
            raise self._failed(what, error) from error
        return cells

    def _converted(self, values: list[Any]) -> Array:
        kind = self._returns.kind
        accepted = _ACCEPTED.get(kind)
        for at, value in enumerate(values):
            if accepted is None or value is None:
                continue
            is_number_for_bool = isinstance(value, bool) and kind != "bool"
            if is_number_for_bool or not isinstance(value, accepted):
                raise self._wrong_value(value, at)
            if kind in _INTEGERS and not -(2**63) <= int(value) < 2**64:  # type: ignore[call-overload]
                raise self._wrong_value(value, at)
        try:
            if kind in _TIMES:
                return self._column(self._as_times(values))
            nulls = np.array([value is None for value in values], bool)
            return self._column(_as_numpy(values, self._returns), nulls)
        except _WrongError:
            raise
        except (StreamError, ValueError, TypeError, ArithmeticError) as error:
            raise self._wrong(
                f"get_result() returned what is no {self._returns}: {error}"
            ) from None

    def _as_times(self, values: list[Any]) -> npt.NDArray[Any]:
        """Return times in ticks of the type, which must hold them exactly; None is NaT."""
        plain = [_without_zone(value) for value in values]
        times = np.array(plain, self._returns.numpy_dtype())
        exactly = np.timedelta64 if self._returns.kind == "duration" else np.datetime64
        for at, value in enumerate(plain):
            is_counted = value is None or isinstance(value, (int, np.integer))
            if not is_counted and exactly(value) != times[at] and not np.isnat(times[at]):
                raise self._wrong_value(values[at], at)
        return times

    def _wrong_value(self, value: object, at: int) -> SchemaError:
        return self._wrong(
            f"get_result() returned {_shown(value)} of type {type(value).__name__}, which is no "
            f"{self._returns}, as returns= says",
            at,
        )


class BatchCalls(AggregateCalls):
    """Calls for all records at once. An accumulator is a row of numpy arrays."""

    def __init__(
        self,
        aggregate: nodes.Aggregate,
        user: nodes.UserAggregate,
        dtypes: dict[str, np.dtype[Any]],
    ) -> None:
        super().__init__(aggregate, user)
        self._dtypes = dtypes

    def add(
        self,
        states: list[Any],
        shared: list[bool],
        groups: npt.NDArray[np.int64],
        arguments: list[Array],
    ) -> list[Any]:
        state = self._named(states)
        try:
            columns = [argument.to_numpy() for argument in arguments]
            returned = self._function.add_batch(state, groups, *columns)
        except BaseException as error:
            raise self._failed(f"add_batch() of {len(groups)} records", error) from error
        return self._changed("add_batch", state, returned, len(states[0]))

    def merge(self, states: list[Any], shared: list[bool], others: list[Any]) -> list[Any]:
        state = self._named(states)
        try:
            returned = self._function.merge_batch(state, self._named(others))
        except BaseException as error:
            raise self._failed("merge_batch()", error) from error
        return self._changed("merge_batch", state, returned, len(states[0]))

    def results(self, states: list[Any], count: int) -> Array:
        try:
            returned = self._function.get_results(self._named(states))
            values = np.array(returned, subok=True)  # a copy: the function may keep what it gave
        except BaseException as error:
            raise self._failed("get_results()", error) from error
        if values.shape != (count,):
            raise self._wrong(
                f"get_results() returned an array of shape {values.shape} for {count} "
                "accumulators. Return one value for each."
            )
        try:
            return self._column(values)
        except (SchemaError, NotSupportedError) as error:
            raise self._wrong(
                f"get_results() returned what is no {self._returns}: {error}"
            ) from None

    def _named(self, states: list[Any]) -> dict[str, npt.NDArray[Any]]:
        return dict(zip(self._dtypes, states, strict=True))

    def _changed(
        self, method: str, state: dict[str, Any], returned: object, count: int
    ) -> list[npt.NDArray[Any]]:
        """Return the columns as the function left them; they need not be the arrays it got."""
        if returned is not None:
            raise self._wrong(
                f"{method}() returned a {type(returned).__name__}. Change the arrays of `state` "
                "instead, and return nothing."
            )
        if set(state) != set(self._dtypes):
            raise self._wrong(
                f"{method}() left the accumulators {', '.join(map(repr, state))}. Declared are "
                f"{', '.join(map(repr, self._dtypes))}."
            )
        plain, masks = separate_masks(state)
        for name, dtype in self._dtypes.items():
            values = plain[name]
            if values.shape != (count,) or name in (masks or ()):
                raise self._wrong(
                    f"{method}() left accumulator {name!r} with shape {values.shape}"
                    f"{' and a mask' if name in (masks or ()) else ''}, not ({count},). Keep one "
                    "value for each."
                )
            if not np.can_cast(values.dtype, dtype, "safe"):
                raise self._wrong(
                    f"{method}() left accumulator {name!r} of type {values.dtype}, which does not "
                    f"fit {dtype}. Convert it, or declare that type."
                )
        return [np.ascontiguousarray(plain[name], dtype) for name, dtype in self._dtypes.items()]


def user_aggregate(aggregate: nodes.Aggregate) -> tuple[UserAggregate, AggregateCalls]:
    """Return what the core calls for an aggregate in Python, and what it calls in turn.

    Raises
    ------
    ConfigError
        If a type does not exist, or an initial value is not of its type.
    NotSupportedError
        If a column of accumulators has no fixed width, or results are lists.
    """
    user = aggregate.user
    assert user is not None
    returns = DataType(user.returns)
    if returns.kind not in (*_ACCEPTED, *_TIMES):
        raise NotSupportedError(
            f"aggregate {user.name} returns {returns}, which functions in Python cannot return "
            "yet. Return single values."
        )
    if user.accumulators is None:
        calls: AggregateCalls = RecordCalls(aggregate, user)
        return UserAggregate(calls, [], returns), calls
    columns, dtypes = list[tuple[str, DataType, bytes]](), dict[str, np.dtype[Any]]()
    for name, spelling, initial in user.accumulators:
        if not isinstance(name, str) or not isinstance(spelling, str):
            raise ConfigError(
                f"aggregate {user.name} declares the accumulator {name!r} of type {spelling!r}. "
                "Use a name and the name of a type."
            )
        kind = DataType(spelling)
        if kind.kind in ("string", "binary", "decimal128", "date32") or kind.is_dictionary:
            raise NotSupportedError(
                f"aggregate {user.name} declares the accumulator {name!r} of type {spelling}; "
                f"columns of accumulators are {_KINDS}. Use an AggregateFunction, whose "
                "accumulators are any objects."
            )
        dtypes[name] = kind.numpy_dtype()
        columns.append((name, kind, _initial(user, name, initial, dtypes[name])))
    calls = BatchCalls(aggregate, user, dtypes)
    return UserAggregate(calls, columns, returns), calls


def _initial(user: nodes.UserAggregate, name: str, value: object, dtype: np.dtype[Any]) -> bytes:
    try:
        given = np.asarray(np.zeros((), dtype) if value is None else value)
        cast = given.astype(dtype)
        is_plain = given.shape == () and given.dtype.kind not in "OUS"
        if is_plain and np.array_equal(given, cast, equal_nan=given.dtype.kind == "f"):
            return cast.tobytes()
    except (ValueError, TypeError, OverflowError):
        pass
    raise ConfigError(
        f"aggregate {user.name} begins accumulator {name!r} with {value!r}, which is no {dtype}."
    )


def _as_numpy(values: list[Any], returns: DataType) -> npt.NDArray[Any]:
    kind = returns.kind
    if kind in ("string", "binary", "decimal128"):
        objects = np.empty(len(values), object)
        objects[:] = values
        return objects
    plain = np.array([0 if value is None else value for value in values], _widest(kind))
    with np.errstate(over="raise"):
        return plain.astype("float32") if kind == "float32" else plain


def _widest(kind: str) -> str:
    if kind in ("bool", "uint64"):
        return kind
    return "int64" if kind in _INTEGERS else "float64"


def _without_zone(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
