"""Aggregations over the rows of a window, by key."""

from __future__ import annotations

from dataclasses import dataclass

from pystream.plan.expressions import ExpressionNode, receiver_text
from pystream.plan.nodes import AggregateFunction

__all__ = ["Aggregation", "count"]


@dataclass(frozen=True)
class Aggregation:
    """What to compute from the rows of each key and window.

    Made by :func:`count` and by methods of expressions such as ``col("amount").sum()``; given to
    ``aggregate`` by the name of the result column.

    Attributes
    ----------
    function : str
        ``count_all``, ``count``, ``sum``, ``mean``, ``min`` or ``max``.
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
