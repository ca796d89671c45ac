"""Expressions that choose: ``when(condition).then(value).otherwise(value)``, and ``coalesce``."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from pystream.pipeline.expressions import Expression, operand_node
from pystream.pipeline.unfinished import Unfinished
from pystream.plan.expressions import CallNode, LiteralNode

if TYPE_CHECKING:
    from pystream.pipeline.expressions import Operand
    from pystream.plan.expressions import ExpressionNode

__all__ = ["Then", "When", "coalesce", "greatest", "least", "when"]


def when(condition: Operand) -> When:
    """Begin an expression that takes one of several values, as SQL's CASE.

    Parameters
    ----------
    condition : Expression
        Of type bool. A null is not true.

    Returns
    -------
    When
        Which waits for :meth:`When.then`. The conditions are tried in their order, and a part is
        computed only in the rows that come to it, so that it cannot fail in others.

    Examples
    --------
    >>> ps.when(ps.col("delay") > 60).then("late").otherwise("on time")
    when(col("delay") > 60).then("late").otherwise("on time")
    >>> ps.when(ps.col("n") != 0).then(100 / ps.col("n"))
    when(col("n") != 0).then(100 / col("n"))
    """
    return When((), operand_node(condition, "when"))


class When(Unfinished):
    """A condition that waits for its value; made by :func:`when` and :meth:`Then.when`."""

    __slots__ = ("_arms", "_condition")

    def __init__(self, arms: tuple[ExpressionNode, ...], condition: ExpressionNode) -> None:
        self._arms = arms
        self._condition = condition

    def __repr__(self) -> str:
        arms = f"{CallNode('case', self._arms)}." if self._arms else ""
        return f"{arms}when({self._condition})"

    def __getattr__(self, name: str) -> NoReturn:
        if callable(getattr(Expression, name, None)) or name == "otherwise":
            raise AttributeError(self.complaint(f"{name}()"))
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def then(self, value: Operand | None) -> Then:
        """Give the value of the rows where the condition is true.

        Parameters
        ----------
        value : value, Expression or None
            A str is a string, not the name of a column. All values are of one type, as in
            :meth:`Expression.fill_null`; literals adapt to the first expression.

        Returns
        -------
        Then
            An expression, null in all other rows, which may go on with `when` or `otherwise`.

        Examples
        --------
        >>> ps.when(ps.col("n") > 0).then(ps.col("n")).alias("positive")
        when(col("n") > 0).then(col("n")).alias("positive")
        """
        return Then((*self._arms, self._condition, _value_node(value, "then")))


class Then(Expression):
    """Conditions with their values, and null in all other rows; made by :meth:`When.then`."""

    __slots__ = ("_arms",)

    def __init__(self, arms: tuple[ExpressionNode, ...]) -> None:
        super().__init__(CallNode("case", arms))
        self._arms = arms

    def when(self, condition: Operand) -> When:
        """Add a condition for the rows where none before it is true.

        Parameters
        ----------
        condition : Expression
            Of type bool.

        Returns
        -------
        When

        Examples
        --------
        >>> ps.when(ps.col("n") > 0).then(1).when(ps.col("n") < 0).then(-1)
        when(col("n") > 0).then(1).when(col("n") < 0).then(-1)
        """
        return When(self._arms, operand_node(condition, "when"))

    def otherwise(self, value: Operand | None) -> Expression:
        """Give the value of the rows where no condition is true.

        Parameters
        ----------
        value : value, Expression or None

        Returns
        -------
        Expression

        Examples
        --------
        >>> ps.when(ps.col("n") > 0).then(ps.col("n")).otherwise(0)
        when(col("n") > 0).then(col("n")).otherwise(0)
        """
        return Expression(CallNode("case", (*self._arms, _value_node(value, "otherwise"))))


def coalesce(first: Operand, *others: Operand) -> Expression:
    """Take the first value that is not null, as SQL's COALESCE.

    Parameters
    ----------
    first, *others : value or Expression
        All of one type, as in :meth:`Expression.fill_null`.

    Returns
    -------
    Expression
        Null where all are. A value is computed only in the rows where all before it are null.

    Examples
    --------
    >>> ps.coalesce(ps.col("departed"), ps.col("scheduled"), "1970-01-01")
    coalesce(col("departed"), col("scheduled"), "1970-01-01")
    """
    return _of_all("coalesce", first, *others)


def greatest(first: Operand, *others: Operand) -> Expression:
    """Take the greatest of several values, as SQL's GREATEST.

    Parameters
    ----------
    first, *others : value or Expression
        All of one type, as in :func:`coalesce`.

    Returns
    -------
    Expression
        By the order of comparisons; null where one is null, else NaN where one is NaN.

    Examples
    --------
    >>> ps.greatest(ps.col("departed"), ps.col("scheduled"))
    greatest(col("departed"), col("scheduled"))
    """
    return _of_all("greatest", first, *others)


def least(first: Operand, *others: Operand) -> Expression:
    """Take the least of several values, as SQL's LEAST.

    Parameters
    ----------
    first, *others : value or Expression
        All of one type, as in :func:`coalesce`.

    Returns
    -------
    Expression
        By the order of comparisons; null where one is null, else NaN where one is NaN.

    Examples
    --------
    >>> ps.least(ps.col("delay"), 60)
    least(col("delay"), 60)
    """
    return _of_all("least", first, *others)


def _of_all(function: str, *values: Operand) -> Expression:
    return Expression(CallNode(function, tuple(operand_node(v, function) for v in values)))


def _value_node(value: Operand | None, function: str) -> ExpressionNode:
    return LiteralNode(None) if value is None else operand_node(value, function)
