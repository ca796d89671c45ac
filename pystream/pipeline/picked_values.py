"""Aggregations that pick the value of one row of a window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pystream.errors import ConfigError, NotSupportedError
from pystream.pipeline.aggregates import Aggregation, Aggregations, condition_node
from pystream.plan.expressions import ColumnNode, ExpressionNode

if TYPE_CHECKING:
    from pystream.pipeline.expressions import Expression

__all__ = ["PickedValues"]


class PickedValues:
    """The aggregations of an expression that pick one of its values; a base class.

    Values of any type, but null: rows where the value is null are skipped. The result has the type
    of the values, and is null when nothing is there. docs/semantics.md states each rule.
    """

    __slots__ = ()

    node: ExpressionNode

    def first(self, *, where: Expression | None = None) -> Aggregation:
        """Take the value with the least event time.

        Parameters
        ----------
        where : Expression, optional
            Of type bool: only rows in which it is true count.

        Returns
        -------
        Aggregation
            Of rows with one event time, that which arrived first.

        Examples
        --------
        >>> from pystream import col
        >>> col("url").first()
        col("url").first()
        """
        return Aggregation("first", self.node, condition_node(where))

    def last(self, *, where: Expression | None = None) -> Aggregation:
        """Take the value with the greatest event time.

        Parameters
        ----------
        where : Expression, optional
            Of type bool: only rows in which it is true count.

        Returns
        -------
        Aggregation
            Of rows with one event time, that which arrived last.

        Examples
        --------
        >>> from pystream import col
        >>> col("url").last(where=col("status") == 200)
        col("url").last(where=col("status") == 200)
        """
        return Aggregation("last", self.node, condition_node(where))

    def arg_min(self, by: Expression | str, *, where: Expression | None = None) -> Aggregation:
        """Take the value of the row where something else is least.

        Parameters
        ----------
        by : Expression or str
            What decides, or the name of its column: numbers, times or bool. Rows where it is null
            are skipped; NaN only wins when all are NaN.
        where : Expression, optional
            Of type bool: only rows in which it is true count.

        Returns
        -------
        Aggregation
            Of rows where `by` is equal, that which arrived first.

        Examples
        --------
        >>> from pystream import col
        >>> col("server").arg_min(by="latency")
        col("server").arg_min(col("latency"))
        """
        return Aggregation("arg_min", self.node, condition_node(where), _by(by))

    def arg_max(self, by: Expression | str, *, where: Expression | None = None) -> Aggregation:
        """Take the value of the row where something else is greatest.

        Parameters
        ----------
        by : Expression or str
            What decides, or the name of its column: numbers, times or bool. Rows where it is null
            are skipped; NaN only wins when all are NaN.
        where : Expression, optional
            Of type bool: only rows in which it is true count.

        Returns
        -------
        Aggregation
            Of rows where `by` is equal, that which arrived first.

        Examples
        --------
        >>> from pystream import col
        >>> col("user").arg_max(by=col("price") * col("amount"))
        col("user").arg_max(col("price") * col("amount"))
        """
        return Aggregation("arg_max", self.node, condition_node(where), _by(by))

    def top_k(self, k: int, *, where: Expression | None = None) -> Aggregation:
        """List the greatest values.

        Raises
        ------
        NotSupportedError
            Always, until columns can hold lists.
        """
        raise NotSupportedError(
            f"top_k({k!r}) is not built yet: a result column cannot hold lists. Take the greatest "
            "with max(), or a quantile with approx_quantile()."
        )

    def collect_list(self, *, where: Expression | None = None) -> Aggregation:
        """List the values in the order of arrival.

        Raises
        ------
        NotSupportedError
            Always, until columns can hold lists.
        """
        raise NotSupportedError(
            "collect_list() is not built yet: a result column cannot hold lists. Take single "
            "values with first(), last(), arg_min() and arg_max()."
        )


def _by(by: Expression | str) -> ExpressionNode:
    if isinstance(by, str):
        return ColumnNode(by)
    if isinstance(by, Aggregations):
        return by.node
    raise ConfigError(
        f'by={by!r} is neither a column nor an expression. Write, for example, by="latency".'
    )
