"""Aggregates of one's own, in Python: a class with Flink's methods, called with expressions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from pystream.errors import ConfigError
from pystream.pipeline.aggregates import Aggregation, condition_node
from pystream.pipeline.expressions import operand_node
from pystream.plan.nodes import UserAggregate

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pystream.pipeline.expressions import Expression, Operand

    State = dict[str, npt.NDArray[Any]]

__all__ = ["AggregateFunction", "BatchAggregateFunction"]

Value = TypeVar("Value")
Accumulator = TypeVar("Accumulator")
Result = TypeVar("Result")


class _Callable:
    """What both forms share: an instance is called with expressions, and gives an aggregation."""

    returns: str
    _required: ClassVar[tuple[str, ...]]

    def __call__(self, *arguments: Operand, where: Expression | None = None) -> Aggregation:
        """Return the aggregation of what the arguments are in each row.

        Parameters
        ----------
        *arguments : Expression or value
            At least one; a bare string is a string, not a column. Rows in which one of them is
            null are skipped.
        where : Expression, optional
            Of type bool: only rows in which it is true count.

        Returns
        -------
        Aggregation
            Of the type `returns`.

        Raises
        ------
        ConfigError
            If a method is missing, or there is no argument or no type of the result.
        """
        name = type(self).__name__
        base = next(kind for kind in type(self).__mro__ if "_required" in vars(kind))
        missing = [m for m in self._required if getattr(type(self), m) is getattr(base, m)]
        if missing:
            raise ConfigError(
                f"aggregate {name} lacks {', '.join(f'{method}()' for method in missing)}. "
                f"A {base.__name__} needs all of {', '.join(self._required)}."
            )
        if not isinstance(getattr(self, "returns", None), str):
            raise ConfigError(
                f"aggregate {name} does not say what it returns. Set, for example, "
                f'returns = "float64" in the class.'
            )
        if not arguments:
            raise ConfigError(f"aggregate {name} got no argument. Pass at least one expression.")
        first, *others = (operand_node(argument, name) for argument in arguments)
        user = UserAggregate(name, self, self.returns, self._accumulators())
        return Aggregation("user", first, condition_node(where), arguments=tuple(others), user=user)

    def _accumulators(self) -> tuple[tuple[str, str, object], ...] | None:
        return None


class AggregateFunction(_Callable, Generic[Value, Accumulator, Result]):
    """An aggregate in Python, one record at a time; a base class (Flink's ``AggregateFunction``).

    A subclass has the four methods, and says in ``returns`` what type the results have. An
    instance is called with expressions where an aggregation fits.

    Attributes
    ----------
    returns : str
        Type of the result, as Arrow spells it.

    Notes
    -----
    An accumulator is what a window has of a key; any object that :mod:`pickle` takes. Windows are
    put together from parts, of several threads too, so :meth:`merge` is needed for all of them,
    and must give the same whatever the order and the cuts are: as a sum does. :meth:`add` sees the
    records of a part in the order of arrival.

    Methods are called with the interpreter lock, by the thread that runs the job: for all records
    of a round at once, but one call for each record. :class:`BatchAggregateFunction` is the form
    that is fast.

    Examples
    --------
    >>> class Spread(ps.AggregateFunction):
    ...     returns = "float64"
    ...
    ...     def create_accumulator(self):
    ...         return []
    ...
    ...     def add(self, value, accumulator):
    ...         return [min([value, *accumulator]), max([value, *accumulator])]
    ...
    ...     def merge(self, a, b):
    ...         return [min(a + b), max(a + b)]
    ...
    ...     def get_result(self, accumulator):
    ...         return accumulator[1] - accumulator[0] if accumulator else None
    >>> Spread()(ps.col("price"))
    Spread(col("price"))
    """

    _required = ("create_accumulator", "add", "merge", "get_result")

    def create_accumulator(self) -> Accumulator:
        """Return a new accumulator, of no record."""
        raise NotImplementedError

    def add(self, value: Value, accumulator: Accumulator) -> Accumulator:
        """Return the accumulator with a record added, which may be the same object.

        Parameters
        ----------
        value : object
            The argument, as ``Array.to_pylist`` shows it; a tuple where there are several. Never
            null.
        accumulator : object
            May be changed.
        """
        raise NotImplementedError

    def merge(self, a: Accumulator, b: Accumulator) -> Accumulator:
        """Return an accumulator of the records of both; either may be changed."""
        raise NotImplementedError

    def get_result(self, accumulator: Accumulator) -> Result:
        """Return the result, or None for null; the accumulator must stay as it is."""
        raise NotImplementedError


class BatchAggregateFunction(_Callable):
    """An aggregate in Python, many records and keys at a time; a base class.

    A subclass declares the columns of an accumulator and has the three methods, which work on all
    accumulators at hand with numpy. An instance is called with expressions where an aggregation
    fits.

    Attributes
    ----------
    returns : str
        Type of the result, as Arrow spells it.
    accumulators : dict of str to str
        Name and type of each column: bool, integers, floats, timestamps or durations.

    Notes
    -----
    ``state`` is a dict of a numpy array for each column, of the accumulators that a call is about.
    They are copies: change them in place, or put others of the same length and type into the dict.
    What is done to them after the call has no effect.

    Methods are called with the interpreter lock, by the thread that runs the job: once for the
    records that a slice of time got in a round. Merging must give the same whatever the order and
    the cuts are, as a sum does; sums of floats may differ in the last bits.

    Examples
    --------
    >>> import numpy as np
    >>> class WeightedMean(ps.BatchAggregateFunction):
    ...     returns = "float64"
    ...     accumulators = {"total": "float64", "weight": "float64"}
    ...
    ...     def add_batch(self, state, groups, value, weight):
    ...         state["total"] += np.bincount(groups, value * weight)
    ...         state["weight"] += np.bincount(groups, weight)
    ...
    ...     def merge_batch(self, state, other):
    ...         state["total"] += other["total"]
    ...         state["weight"] += other["weight"]
    ...
    ...     def get_results(self, state):
    ...         return state["total"] / state["weight"]
    >>> WeightedMean()(ps.col("price"), ps.col("amount"), where=ps.col("amount") > 0)
    WeightedMean(col("price"), col("amount"), where=col("amount") > 0)
    """

    accumulators: Mapping[str, str]
    _required = ("add_batch", "merge_batch", "get_results")

    def create_accumulator(self) -> Mapping[str, object]:
        """Return the values of an accumulator without records, by column; zero where left out.

        Called once, when the pipeline is built.
        """
        return {}

    def add_batch(
        self, state: State, groups: npt.NDArray[np.int64], *columns: npt.NDArray[Any]
    ) -> None:
        """Add records to accumulators.

        Parameters
        ----------
        state : dict of str to ndarray
            The accumulators that get a record, at least one each.
        groups : ndarray of int64
            For each record the index of its accumulator, in the order of arrival.
        *columns : ndarray
            The arguments, read-only; no value is null.
        """
        raise NotImplementedError

    def merge_batch(self, state: State, other: State) -> None:
        """Add to each accumulator the one with the same index in `other`, which is as long."""
        raise NotImplementedError

    def get_results(self, state: State) -> npt.ArrayLike:
        """Return one value per accumulator, or a masked array, whose masked values are null."""
        raise NotImplementedError

    def _accumulators(self) -> tuple[tuple[str, str, object], ...]:
        name = type(self).__name__
        declared = getattr(self, "accumulators", None)
        if not isinstance(declared, Mapping) or not declared:
            raise ConfigError(
                f"aggregate {name} declares no accumulators. Set, for example, "
                'accumulators = {"total": "float64"} in the class.'
            )
        initial = self.create_accumulator()
        if not isinstance(initial, Mapping) or not set(initial) <= set(declared):
            raise ConfigError(
                f"aggregate {name} creates the accumulator {initial!r}. Return a dict of values "
                f"for some of {', '.join(map(repr, declared))}."
            )
        return tuple((column, kind, initial.get(column)) for column, kind in declared.items())
