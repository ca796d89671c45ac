"""Aggregations over the rows of a window, by key."""

from __future__ import annotations

from dataclasses import dataclass

from pystream.plan.expressions import ExpressionNode, receiver_text
from pystream.plan.nodes import AggregateFunction

__all__ = ["Aggregation", "Aggregations", "count"]


@dataclass(frozen=True)
class Aggregation:
    """What to compute from the rows of each key and window.

    Made by :func:`count` and by methods of expressions such as ``col("amount").sum()``; given to
    ``aggregate`` by the name of the result column.

    Attributes
    ----------
    function : str
        The name of a method of :class:`Expression` that makes one, or ``count_all``.
    operand : ExpressionNode or None
        What is aggregated; None counts rows.

    Examples
    --------
    >>> from pystream.pipeline.expressions import col
    >>> (col("amount") * 2).sum()
    (col("amount") * 2).sum()
    """

    function: AggregateFunction
    operand: ExpressionNode | None = None

    def __repr__(self) -> str:
        if self.operand is None:
            return "count()"
        return f"{receiver_text(self.operand)}.{self.function}()"


class Aggregations:
    """The aggregations of an expression over the rows of a window; a base class.

    Nulls are skipped. docs/semantics.md states each rule.
    """

    __slots__ = ()

    node: ExpressionNode

    def sum(self) -> Aggregation:
        """Add up what is not null.

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
        return Aggregation("sum", self.node)

    def mean(self) -> Aggregation:
        """Average what is not null.

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
        return Aggregation("mean", self.node)

    def min(self) -> Aggregation:
        """Find the least value; NaN only when all are NaN.

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
        return Aggregation("min", self.node)

    def max(self) -> Aggregation:
        """Find the greatest value; NaN only when all are NaN.

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
        return Aggregation("max", self.node)

    def count(self) -> Aggregation:
        """Count the rows where the value is not null.

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
        return Aggregation("count", self.node)

    def var_samp(self) -> Aggregation:
        """Estimate the variance of what the values are a sample of: over n - 1.

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
        return Aggregation("var_samp", self.node)

    def var_pop(self) -> Aggregation:
        """Compute the variance of the values themselves: over n.

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
        return Aggregation("var_pop", self.node)

    def stddev_samp(self) -> Aggregation:
        """Take the square root of :meth:`var_samp`.

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
        return Aggregation("stddev_samp", self.node)

    def stddev_pop(self) -> Aggregation:
        """Take the square root of :meth:`var_pop`.

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
        return Aggregation("stddev_pop", self.node)

    def any(self) -> Aggregation:
        """Say whether any of the values, which are bool, is true.

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
        return Aggregation("any", self.node)

    def all(self) -> Aggregation:
        """Say whether all of the values, which are bool, are true.

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
        return Aggregation("all", self.node)


def count() -> Aggregation:
    """Count rows, whatever is in them.

    Returns
    -------
    Aggregation
        Of result type int64. ``col("x").count()`` counts rows where ``x`` is not null.

    Examples
    --------
    >>> count()
    count()
    """
    return Aggregation("count_all")
