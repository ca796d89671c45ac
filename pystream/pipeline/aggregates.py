"""Aggregations over the rows of a window, by key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pystream.errors import ConfigError
from pystream.pipeline.unfinished import Unfinished
from pystream.plan.expressions import (
    CallNode,
    ColumnNode,
    ExpressionNode,
    LiteralNode,
    receiver_text,
)
from pystream.plan.nodes import Aggregate, AggregateFunction, UserAggregate

if TYPE_CHECKING:
    from pystream.pipeline.expressions import Expression

__all__ = ["Aggregation", "Aggregations", "count"]


@dataclass(frozen=True)
class Aggregation:
    """What to compute from the rows of each key and window.

    Made by :func:`count` and by methods of expressions such as ``col("amount").sum()``; given to
    ``aggregate`` by the name of the result column.

    Attributes
    ----------
    function : str
        The name of a method of :class:`Expression` that makes one, ``count_all``, or ``user``.
    operand : ExpressionNode or None
        What is aggregated; None counts rows.
    where : ExpressionNode or None
        The rows that count; None: all.
    by : ExpressionNode or None
        What decides which value is taken; ``arg_min`` and ``arg_max`` only.
    parameters : tuple of float
        Quantiles and their relative error, or how many values; where the function has them.
    arguments : tuple of ExpressionNode
        Behind the operand; of a function in Python.
    user : UserAggregate or None
        A function in Python.

    Examples
    --------
    >>> from pystream.pipeline.expressions import col
    >>> (col("amount") * 2).sum()
    (col("amount") * 2).sum()
    """

    function: AggregateFunction | Literal["user"]
    operand: ExpressionNode | None = None
    where: ExpressionNode | None = None
    by: ExpressionNode | None = None
    parameters: tuple[float, ...] = ()
    arguments: tuple[ExpressionNode, ...] = ()
    user: UserAggregate | None = None

    def __repr__(self) -> str:
        arguments = [] if self.by is None else [str(self.by)]
        if self.function == "approx_quantiles":
            arguments.append(f"{list(self.parameters[:-1])}, {self.parameters[-1]}")
        else:
            arguments += [str(parameter) for parameter in self.parameters]
        arguments += [str(argument) for argument in self.arguments]
        arguments += [] if self.where is None else [f"where={self.where}"]
        listed = ", ".join(arguments)
        if self.user is not None:
            return f"{self.user.name}({', '.join([str(self.operand), *arguments])})"
        if self.operand is None:
            return f"count({listed})"
        return f"{receiver_text(self.operand)}.{self.function}({listed})"

    def to_plan(self, name: str) -> Aggregate:
        """Return the result column of that name. Rows that do not count are null in its operand."""
        function, operand, by, arguments = self.function, self.operand, self.by, self.arguments
        if self.where is not None and operand is None:
            function, operand = "count", CallNode("case", (self.where, LiteralNode(True)))
        elif self.where is not None and operand is not None:
            if by is not None and not isinstance(by, ColumnNode):
                by = CallNode("case", (self.where, by))
            operand = CallNode("case", (self.where, operand))
            arguments = tuple(CallNode("case", (self.where, node)) for node in arguments)
        return Aggregate(
            name, function, operand, by, self.parameters, arguments, self.user, repr(self)
        )


class Aggregations:
    """The aggregations of an expression over the rows of a window; a base class.

    Nulls are skipped. docs/semantics.md states each rule.
    """

    __slots__ = ()

    node: ExpressionNode

    def sum(self, *, where: Expression | None = None) -> Aggregation:
        """Add up what is not null.

        Parameters
        ----------
        where : Expression, optional
            Of type bool: only rows in which it is true count.

        Returns
        -------
        Aggregation
            int64, uint64 or float64; null when nothing is there. Integer sums never wrap.

        Examples
        --------
        >>> from pystream import col
        >>> col("amount").sum()
        col("amount").sum()
        """
        return Aggregation("sum", self.node, condition_node(where))

    def mean(self, *, where: Expression | None = None) -> Aggregation:
        """Average what is not null.

        Parameters
        ----------
        where : Expression, optional
            Of type bool: only rows in which it is true count.

        Returns
        -------
        Aggregation
            float64, also of integers; null when nothing is there.

        Examples
        --------
        >>> from pystream import col
        >>> col("amount").mean()
        col("amount").mean()
        """
        return Aggregation("mean", self.node, condition_node(where))

    def min(self, *, where: Expression | None = None) -> Aggregation:
        """Find the least value; NaN only when all are NaN.

        Parameters
        ----------
        where : Expression, optional
            Of type bool: only rows in which it is true count.

        Returns
        -------
        Aggregation
            Of the type of the values; null when nothing is there.

        Examples
        --------
        >>> from pystream import col
        >>> col("amount").min()
        col("amount").min()
        """
        return Aggregation("min", self.node, condition_node(where))

    def max(self, *, where: Expression | None = None) -> Aggregation:
        """Find the greatest value; NaN only when all are NaN.

        Parameters
        ----------
        where : Expression, optional
            Of type bool: only rows in which it is true count.

        Returns
        -------
        Aggregation
            Of the type of the values; null when nothing is there.

        Examples
        --------
        >>> from pystream import col
        >>> col("amount").max()
        col("amount").max()
        """
        return Aggregation("max", self.node, condition_node(where))

    def count(self, *, where: Expression | None = None) -> Aggregation:
        """Count the rows where the value is not null.

        Parameters
        ----------
        where : Expression, optional
            Of type bool: only rows in which it is true count.

        Returns
        -------
        Aggregation
            int64.

        Examples
        --------
        >>> from pystream import col
        >>> col("amount").count()
        col("amount").count()
        """
        return Aggregation("count", self.node, condition_node(where))

    def var_samp(self, *, where: Expression | None = None) -> Aggregation:
        """Estimate the variance of what the values are a sample of: over n - 1.

        Parameters
        ----------
        where : Expression, optional
            Of type bool: only rows in which it is true count.

        Returns
        -------
        Aggregation
            float64; null below two values; NaN when a value is NaN or infinite.

        Examples
        --------
        >>> from pystream import col
        >>> col("amount").var_samp()
        col("amount").var_samp()
        """
        return Aggregation("var_samp", self.node, condition_node(where))

    def var_pop(self, *, where: Expression | None = None) -> Aggregation:
        """Compute the variance of the values themselves: over n.

        Parameters
        ----------
        where : Expression, optional
            Of type bool: only rows in which it is true count.

        Returns
        -------
        Aggregation
            float64; null when nothing is there; NaN when a value is NaN or infinite.

        Examples
        --------
        >>> from pystream import col
        >>> col("amount").var_pop()
        col("amount").var_pop()
        """
        return Aggregation("var_pop", self.node, condition_node(where))

    def stddev_samp(self, *, where: Expression | None = None) -> Aggregation:
        """Take the square root of :meth:`var_samp`.

        Parameters
        ----------
        where : Expression, optional
            Of type bool: only rows in which it is true count.

        Returns
        -------
        Aggregation
            float64; null below two values; NaN when a value is NaN or infinite.

        Examples
        --------
        >>> from pystream import col
        >>> col("amount").stddev_samp()
        col("amount").stddev_samp()
        """
        return Aggregation("stddev_samp", self.node, condition_node(where))

    def stddev_pop(self, *, where: Expression | None = None) -> Aggregation:
        """Take the square root of :meth:`var_pop`.

        Parameters
        ----------
        where : Expression, optional
            Of type bool: only rows in which it is true count.

        Returns
        -------
        Aggregation
            float64; null when nothing is there; NaN when a value is NaN or infinite.

        Examples
        --------
        >>> from pystream import col
        >>> col("amount").stddev_pop()
        col("amount").stddev_pop()
        """
        return Aggregation("stddev_pop", self.node, condition_node(where))

    def any(self, *, where: Expression | None = None) -> Aggregation:
        """Say whether any of the values, which are bool, is true.

        Parameters
        ----------
        where : Expression, optional
            Of type bool: only rows in which it is true count.

        Returns
        -------
        Aggregation
            bool; null when nothing is there.

        Examples
        --------
        >>> from pystream import col
        >>> col("failed").any()
        col("failed").any()
        """
        return Aggregation("any", self.node, condition_node(where))

    def all(self, *, where: Expression | None = None) -> Aggregation:
        """Say whether all of the values, which are bool, are true.

        Parameters
        ----------
        where : Expression, optional
            Of type bool: only rows in which it is true count.

        Returns
        -------
        Aggregation
            bool; null when nothing is there.

        Examples
        --------
        >>> from pystream import col
        >>> col("paid").all()
        col("paid").all()
        """
        return Aggregation("all", self.node, condition_node(where))


def count(*, where: Expression | None = None) -> Aggregation:
    """Count rows, whatever is in them.

    Parameters
    ----------
    where : Expression, optional
        Of type bool: only rows in which it is true count.

    Returns
    -------
    Aggregation
        Of result type int64. ``col("x").count()`` counts rows where ``x`` is not null.

    Examples
    --------
    >>> from pystream import col
    >>> count(where=col("amount") > 100)
    count(where=col("amount") > 100)
    """
    return Aggregation("count_all", None, condition_node(where))


def condition_node(where: Expression | None) -> ExpressionNode | None:
    """Return the expression that ``where=`` got; raise ConfigError when it is none."""
    if where is None:
        return None
    if isinstance(where, Unfinished):
        raise ConfigError(where.complaint("where="))
    if not isinstance(where, Aggregations):
        raise ConfigError(
            f'where={where!r} is not an expression. Write, for example, where=col("amount") > 100.'
        )
    return where.node
