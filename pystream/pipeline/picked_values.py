"""Aggregations that pick values of a window: that of one row, or of several as a list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pystream.errors import ConfigError
from pystream.pipeline.aggregates import Aggregation, Aggregations, condition_node
from pystream.plan.expressions import ColumnNode, ExpressionNode

if TYPE_CHECKING:
    from pystream.pipeline.expressions import Expression

__all__ = ["PickedValues"]

_K_MAX = 65_536  # as in native/windows/window_aggregation.hpp


class PickedValues:
    """The aggregations of an expression that pick some of its values; a base class.

    Values of any type but lists: rows where the value is null are skipped. One value has the type
    of the values, and is null when nothing is there; several are a list. docs/semantics.md states
    each rule.
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
        """List the greatest values, the greatest first.

        Parameters
        ----------
        k : int
            How many at most, from 1 to 65,536.
        where : Expression, optional
            Of type bool: only rows in which it is true count.

        Returns
        -------
        Aggregation
            A list of the values' type; empty when nothing is there. Equal values are each one, NaN
            comes behind all numbers, and zeros are 0.0.

        Notes
        -----
        Holds k values per key and slice of time.

        Examples
        --------
        >>> from pystream import col
        >>> col("amount").top_k(3)
        col("amount").top_k(3)
        """
        return Aggregation("top_k", self.node, condition_node(where), parameters=(_k(k),))

    def bottom_k(self, k: int, *, where: Expression | None = None) -> Aggregation:
        """List the least values, the least first; else as :meth:`top_k`.

        Parameters
        ----------
        k : int
            How many at most, from 1 to 65,536.
        where : Expression, optional
            Of type bool: only rows in which it is true count.

        Returns
        -------
        Aggregation
            A list of the values' type; empty when nothing is there.

        Examples
        --------
        >>> from pystream import col
        >>> col("latency").bottom_k(3, where=col("status") == 200)
        col("latency").bottom_k(3, where=col("status") == 200)
        """
        return Aggregation("bottom_k", self.node, condition_node(where), parameters=(_k(k),))

    def collect_list(self, *, where: Expression | None = None) -> Aggregation:
        """List the values in the order of event time.

        Parameters
        ----------
        where : Expression, optional
            Of type bool: only rows in which it is true count.

        Returns
        -------
        Aggregation
            A list of the values' type; empty when nothing is there. Of rows with one event time,
            that which arrived first comes first.

        Notes
        -----
        Holds every value, with 16 bytes that say where it belongs.

        Examples
        --------
        >>> from pystream import col
        >>> col("url").collect_list(where=col("status") == 200)
        col("url").collect_list(where=col("status") == 200)
        """
        return Aggregation("collect_list", self.node, condition_node(where))


def _k(k: int) -> int:
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= _K_MAX:
        raise ConfigError(f"k={k!r} is not an integer from 1 to {_K_MAX:,}.")
    return k


def _by(by: Expression | str) -> ExpressionNode:
    if isinstance(by, str):
        return ColumnNode(by)
    if isinstance(by, Aggregations):
        return by.node
    raise ConfigError(
        f'by={by!r} is neither a column nor an expression. Write, for example, by="latency".'
    )
