"""Aggregations that say how values are distributed: how many there are, and of what size."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pystream.errors import ConfigError
from pystream.pipeline.aggregates import Aggregation, condition_node

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pystream.pipeline.expressions import Expression
    from pystream.plan.expressions import ExpressionNode

__all__ = ["Distributions"]

_QUANTILES_MAX = 1000  # as in native/windows/window_aggregation.hpp


class Distributions:
    """The aggregations of an expression that describe its values; a base class.

    Nulls are skipped. What a sketch gives depends on the values alone: not on their order, and not
    on the number of threads. docs/semantics.md states each rule.
    """

    __slots__ = ()

    node: ExpressionNode

    def count_distinct(self, *, where: Expression | None = None) -> Aggregation:
        """Count distinct values, exactly.

        Parameters
        ----------
        where : Expression, optional
            Of type bool: only rows in which it is true count.

        Returns
        -------
        Aggregation
            int64. All NaNs are one value; so are -0.0 and 0.0.

        Notes
        -----
        Holds every distinct value once per slice of time, and about 8 bytes for each key that has
        it. Where that is too much: :meth:`approx_count_distinct`.

        Examples
        --------
        >>> from pystream import col
        >>> col("user").count_distinct()
        col("user").count_distinct()
        """
        return Aggregation("count_distinct", self.node, condition_node(where))

    def approx_count_distinct(self, *, where: Expression | None = None) -> Aggregation:
        """Estimate the number of distinct values, with a standard error of 0.81 %.

        Parameters
        ----------
        where : Expression, optional
            Of type bool: only rows in which it is true count.

        Returns
        -------
        Aggregation
            int64. Two of three estimates are within the standard error, and 997 of 1000 within
            three times that; up to 2,048 values they are nearly always exact.

        Notes
        -----
        HyperLogLog: holds at most 16 KiB per key and slice of time, and less for few values.

        References
        ----------
        Heule, Nunkesser, Hall, "HyperLogLog in practice", EDBT 2013. Ertl, "New cardinality
        estimation algorithms for HyperLogLog sketches", 2017.

        Examples
        --------
        >>> from pystream import col
        >>> col("user").approx_count_distinct(where=col("paid"))
        col("user").approx_count_distinct(where=col("paid"))
        """
        return Aggregation("approx_count_distinct", self.node, condition_node(where))

    def approx_quantile(
        self,
        quantile: float,
        relative_error: float = 0.01,
        *,
        where: Expression | None = None,
    ) -> Aggregation:
        """Estimate a quantile, within a relative error.

        Parameters
        ----------
        quantile : float
            From 0, the least value, to 1, the greatest; 0.5 is the median. Of n values in order it
            means the one with ``floor(quantile * (n - 1))`` before it.
        relative_error : float, default 0.01
            From 0.0001 to 0.5: the estimate is at most so much of the value away from it.
        where : Expression, optional
            Of type bool: only rows in which it is true count.

        Returns
        -------
        Aggregation
            float64; null when nothing is there. NaN is ignored unless there is nothing else.

        Notes
        -----
        DDSketch: holds a count of 16 bytes for each bucket that is not empty, whose values are
        within the error of each other: some 600 for values from 1 to 100,000 at 1 %. Aggregates of
        one expression and error share a sketch.

        References
        ----------
        Masson, Rim, Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
        guarantees", VLDB 2019.

        Examples
        --------
        >>> from pystream import col
        >>> col("latency").approx_quantile(0.99)
        col("latency").approx_quantile(0.99, 0.01)
        """
        parameters = (
            _in_range("quantile", quantile, 0, 1),
            _in_range("relative_error", relative_error, 0.0001, 0.5),
        )
        return Aggregation(
            "approx_quantile", self.node, condition_node(where), parameters=parameters
        )

    def approx_quantiles(
        self,
        quantiles: Sequence[float],
        relative_error: float = 0.01,
        *,
        where: Expression | None = None,
    ) -> Aggregation:
        """Estimate several quantiles out of one sketch; each as :meth:`approx_quantile` does.

        Parameters
        ----------
        quantiles : sequence of float
            One to 1,000, each from 0 to 1, in any order.
        relative_error : float, default 0.01
            From 0.0001 to 0.5: each estimate is at most so much of the value away from it.
        where : Expression, optional
            Of type bool: only rows in which it is true count.

        Returns
        -------
        Aggregation
            list<float64>, in the order of `quantiles`; null when nothing is there.

        Examples
        --------
        >>> from pystream import col
        >>> col("latency").approx_quantiles([0.5, 0.99])
        col("latency").approx_quantiles([0.5, 0.99], 0.01)
        """
        given: object = quantiles
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise ConfigError(f"quantiles={given!r} is no list of numbers from 0 to 1.")
        wanted = tuple(_in_range("quantile", quantile, 0, 1) for quantile in quantiles)
        if not 1 <= len(wanted) <= _QUANTILES_MAX:
            raise ConfigError(
                f"quantiles has {len(wanted)} members. Pass one to {_QUANTILES_MAX:,}."
            )
        parameters = (*wanted, _in_range("relative_error", relative_error, 0.0001, 0.5))
        return Aggregation(
            "approx_quantiles", self.node, condition_node(where), parameters=parameters
        )


def _in_range(name: str, value: float, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise ConfigError(f"{name}={value!r} is not a number from {least} to {most}.")
    return float(value)
