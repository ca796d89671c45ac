"""Python functions as expressions: ``@ps.udf(returns="float64")``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from pystream.errors import ConfigError
from pystream.pipeline.expressions import Expression, operand_node
from pystream.plan.expressions import UdfNode

if TYPE_CHECKING:
    from pystream.pipeline.expressions import Operand

__all__ = ["UserFunction", "udf"]


class UserFunction:
    """A Python function that gives one value per row; made by :func:`udf`.

    Attributes
    ----------
    name : str
        Of the function, for plans and errors.
    returns : str
        The type of the results.
    kind : str
        What the function takes and returns: ``"numpy"`` or ``"arrow"``.
    """

    def __init__(self, function: Callable[..., Any], returns: str, kind: str) -> None:
        self.function = function
        self.name = getattr(function, "__name__", type(function).__name__)
        self.returns = returns
        self.kind = kind
        self.__doc__ = function.__doc__

    def __repr__(self) -> str:
        return f"<udf {self.name} returns {self.returns}>"

    def __call__(self, *arguments: Operand) -> Expression:
        """Return the expression of a call.

        Parameters
        ----------
        *arguments : Expression or value
            At least one; a bare string is a string, not a column.

        Returns
        -------
        Expression
            Of the type `returns`.
        """
        if not arguments:
            raise ConfigError(f"udf {self.name} got no argument. Pass at least one expression.")
        operands = tuple(operand_node(argument, self.name) for argument in arguments)
        return Expression(UdfNode(self.name, operands, self.function, self.returns, self.kind))


def udf(
    *, returns: str, kind: Literal["numpy", "arrow"] = "numpy"
) -> Callable[[Callable[..., Any]], UserFunction]:
    """Make a Python function usable in expressions.

    Parameters
    ----------
    returns : str
        Type of the result, as Arrow spells it.
    kind : str, default "numpy"
        ``"numpy"``: the function gets one array per argument, of the rows in which no argument is
        null, and returns one value for each; the other rows are null. ``"arrow"``: it gets and
        returns pyarrow Arrays, with the nulls.

    Returns
    -------
    callable
        A decorator; what it gives is called with expressions.

    Raises
    ------
    ConfigError
        If there is no such kind.

    Notes
    -----
    The function runs once per batch, with the interpreter lock, as a stage of its own that
    ``explain()`` marks ``[python]``; what is around it stays native. How rows are cut into batches
    is not defined, so each result must depend on its row alone. It is called for every row, also
    within ``when`` and ``coalesce``.

    What it returns is copied, unless nobody can write to it: it may keep the array and use it for
    the next batch. Arguments are lent for the call; numpy ones are read-only.

    Examples
    --------
    >>> import numpy as np
    >>> @ps.udf(returns="float64")
    ... def haversine(angle):
    ...     return np.sin(angle / 2) ** 2
    >>> haversine(ps.col("lat") * 0.01745) > 0.5
    haversine(col("lat") * 0.01745) > 0.5
    """
    if kind not in ("numpy", "arrow"):
        raise ConfigError(f'udf got kind={kind!r}. Use "numpy" or "arrow".')
    if not isinstance(returns, str):
        raise TypeError(f"udf got returns={returns!r}. Pass the name of a type.")

    def decorate(function: Callable[..., Any]) -> UserFunction:
        if not callable(function):
            raise ConfigError(f"udf got {function!r}, which cannot be called. Pass a function.")
        return UserFunction(function, returns, kind)

    return decorate
