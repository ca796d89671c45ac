"""Expressions over columns: ``col("amount") * 2 > 100``.

They describe; nothing is computed before a pipeline runs. What each function does with nulls, NaN,
overflow and times is written in docs/expressions.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from pystream.config import is_name
from pystream.errors import ConfigError
from pystream.pipeline.aggregates import Aggregation, Aggregations
from pystream.pipeline.distributions import Distributions
from pystream.pipeline.list_functions import ListFunctions
from pystream.pipeline.literals import literal_node
from pystream.pipeline.number_functions import NumberFunctions
from pystream.pipeline.pattern_functions import PatternFunctions
from pystream.pipeline.picked_values import PickedValues
from pystream.pipeline.text_functions import TextFunctions
from pystream.pipeline.time_functions import TimeFunctions
from pystream.pipeline.unfinished import Unfinished
from pystream.plan.expressions import (
    CallNode,
    CastNode,
    ColumnNode,
    ExpressionNode,
    LiteralNode,
    receiver_text,
)

if TYPE_CHECKING:
    import numpy as np

    # What may stand beside an expression; a datetime is a date.
    Operand: TypeAlias = (
        "Expression | bool | int | float | str | bytes | Decimal | date | timedelta | np.generic"
    )

__all__ = ["Expression", "col", "lit"]


class Expression(
    Aggregations,
    PickedValues,
    Distributions,
    ListFunctions,
    NumberFunctions,
    TextFunctions,
    PatternFunctions,
    TimeFunctions,
):
    """A value per row, computed from columns; made by :func:`col` and :func:`lit`.

    Operators and methods make new expressions: ``+ - * / // % **``, unary ``-``, ``abs()``,
    comparisons, ``& | ~``; ``+`` also joins strings. An expression is neither true nor
    false, so ``and``, ``or``, ``not`` and chained comparisons raise TypeError: write
    ``(a > 1) & (b < 2)``.

    Attributes
    ----------
    node : ExpressionNode
        The same as data, for the plan.
    name : str or None
        Of the result column: given by :meth:`alias`, else that of a plain column.

    Examples
    --------
    >>> col("amount") * 2 > 100
    (col("amount") * 2) > 100
    >>> ~col("user").isin(["ann", "bob"]) & col("amount").is_not_null()
    (~col("user").isin(["ann", "bob"])) & col("amount").is_not_null()
    """

    __slots__ = ("name", "node")
    __hash__ = None  # type: ignore[assignment]
    # numpy must leave `np.float64(2) * col("x")` to __rmul__ instead of looping over it.
    __array_ufunc__ = None

    def __init__(self, node: ExpressionNode, name: str | None = None) -> None:
        self.node = node
        self.name = node.name if name is None and isinstance(node, ColumnNode) else name

    def __repr__(self) -> str:
        plain = isinstance(self.node, ColumnNode) and self.node.name == self.name
        if self.name is None or plain:
            return str(self.node) if not isinstance(self.node, LiteralNode) else f"lit({self.node})"
        return f"{receiver_text(self.node)}.alias({LiteralNode(self.name)})"

    # -- arithmetic ----------------------------------------------------------------------------

    def __add__(self, other: Operand) -> Expression:
        return self._infix("add", other)

    def __radd__(self, other: Operand) -> Expression:
        return self._infix("add", other, reflected=True)

    def __sub__(self, other: Operand) -> Expression:
        return self._infix("subtract", other)

    def __rsub__(self, other: Operand) -> Expression:
        return self._infix("subtract", other, reflected=True)

    def __mul__(self, other: Operand) -> Expression:
        return self._infix("multiply", other)

    def __rmul__(self, other: Operand) -> Expression:
        return self._infix("multiply", other, reflected=True)

    def __truediv__(self, other: Operand) -> Expression:
        return self._infix("divide", other)

    def __rtruediv__(self, other: Operand) -> Expression:
        return self._infix("divide", other, reflected=True)

    def __floordiv__(self, other: Operand) -> Expression:
        return self._infix("floor_divide", other)

    def __rfloordiv__(self, other: Operand) -> Expression:
        return self._infix("floor_divide", other, reflected=True)

    def __mod__(self, other: Operand) -> Expression:
        return self._infix("modulo", other)

    def __rmod__(self, other: Operand) -> Expression:
        return self._infix("modulo", other, reflected=True)

    def __pow__(self, other: Operand) -> Expression:
        return self._infix("power", other)

    def __rpow__(self, other: Operand) -> Expression:
        return self._infix("power", other, reflected=True)

    def __neg__(self) -> Expression:
        return self._method("negate")

    def __abs__(self) -> Expression:
        return self._method("abs")

    # -- comparison ----------------------------------------------------------------------------

    def __eq__(self, other: Operand) -> Expression:  # type: ignore[override]
        return self._infix("equal", other)

    def __ne__(self, other: Operand) -> Expression:  # type: ignore[override]
        return self._infix("not_equal", other)

    def __lt__(self, other: Operand) -> Expression:
        return self._infix("less", other)

    def __le__(self, other: Operand) -> Expression:
        return self._infix("less_equal", other)

    def __gt__(self, other: Operand) -> Expression:
        return self._infix("greater", other)

    def __ge__(self, other: Operand) -> Expression:
        return self._infix("greater_equal", other)

    # -- logic ---------------------------------------------------------------------------------

    def __and__(self, other: Operand) -> Expression:
        return self._infix("and", other)

    def __rand__(self, other: Operand) -> Expression:
        return self._infix("and", other, reflected=True)

    def __or__(self, other: Operand) -> Expression:
        return self._infix("or", other)

    def __ror__(self, other: Operand) -> Expression:
        return self._infix("or", other, reflected=True)

    def __invert__(self) -> Expression:
        return self._method("not")

    def __bool__(self) -> NoReturn:
        raise TypeError(
            f"the expression {self!r} is neither true nor false before the pipeline runs. Write "
            "& | ~ instead of and, or, not, with comparisons in parentheses: (a > 1) & (b < 2)."
        )

    # -- nulls and membership --------------------------------------------------------------------

    def is_null(self) -> Expression:
        """Test for null; never null itself.

        Returns
        -------
        Expression
            Of type bool. NaN is a value, not a null.

        Examples
        --------
        >>> col("amount").is_null()
        col("amount").is_null()
        """
        return self._method("is_null")

    def is_not_null(self) -> Expression:
        """Test for a value; never null itself.

        Returns
        -------
        Expression
            Of type bool.

        Examples
        --------
        >>> col("amount").is_not_null()
        col("amount").is_not_null()
        """
        return self._method("is_not_null")

    def fill_null(self, value: Operand) -> Expression:
        """Replace nulls.

        Parameters
        ----------
        value : value or Expression
            Of the same type; a Python number must fit it exactly (floats are rounded).

        Returns
        -------
        Expression
            Of the same type; null only where `value` is null too.

        Examples
        --------
        >>> col("amount").fill_null(0)
        col("amount").fill_null(0)
        """
        return self._method("fill_null", value)

    def null_if(self, value: Operand) -> Expression:
        """Make a null of one value, such as -1 for unknown; as SQL's NULLIF.

        Parameters
        ----------
        value : value or Expression
            Whatever the value may be compared with.

        Returns
        -------
        Expression
            Of the same type; null where ``==`` is true.

        Examples
        --------
        >>> col("delay").null_if(-1)
        col("delay").null_if(-1)
        """
        return self._method("null_if", value)

    def is_nan(self) -> Expression:
        """Test floats for NaN; null where the value is null.

        Returns
        -------
        Expression
            Of type bool.

        Examples
        --------
        >>> col("score").is_nan()
        col("score").is_nan()
        """
        return self._method("is_nan")

    def isin(self, values: Iterable[object]) -> Expression:
        """Test whether the value equals one of `values`.

        Parameters
        ----------
        values : iterable
            Python values; None is a null.

        Returns
        -------
        Expression
            Of type bool. As SQL's IN: null where the value is null, and where it is not found
            while `values` holds None. Nothing is in an empty list.

        Examples
        --------
        >>> col("origin").isin(["JFK", "LGA"])
        col("origin").isin(["JFK", "LGA"])
        """
        is_list = isinstance(values, Iterable) and not isinstance(values, str | bytes | Expression)
        if not is_list:
            raise TypeError(
                f"isin got {values!r}, which is not a list of values. Pass a list, for example "
                f"isin([{values!r}])."
            )
        return self._call("is_in", *(literal_node(value) for value in values))

    # -- types and names -----------------------------------------------------------------------

    def cast(self, type: str) -> Expression:
        """Convert to another type.

        Parameters
        ----------
        type : str
            As Arrow spells it: ``"float64"``, ``"timestamp[ms]"``, ``"string"``.

        Returns
        -------
        Expression
            Floats lose their fraction on the way to integers, times what is below the unit
            (floor). A value that the type cannot hold raises OperatorError when the pipeline runs.

        Examples
        --------
        >>> col("delay").cast("float64") / 60
        col("delay").cast("float64") / 60
        """
        return Expression(CastNode(self.node, _type_text(type)), self.name)

    def try_cast(self, type: str) -> Expression:
        """Convert to another type, with null where :meth:`cast` would fail.

        Parameters
        ----------
        type : str
            As in `cast`. Types between which there is no cast are a SchemaError here too.

        Returns
        -------
        Expression

        Examples
        --------
        >>> col("answer").try_cast("int64").fill_null(-1)
        col("answer").try_cast("int64").fill_null(-1)
        """
        return Expression(CastNode(self.node, _type_text(type), or_null=True), self.name)

    def alias(self, name: str) -> Expression:
        """Name the result column.

        Parameters
        ----------
        name : str

        Returns
        -------
        Expression

        Examples
        --------
        >>> (col("price") * col("quantity")).alias("turnover")
        (col("price") * col("quantity")).alias("turnover")
        """
        return Expression(self.node, name)

    # -- construction --------------------------------------------------------------------------

    def _call(self, function: str, *arguments: ExpressionNode) -> Expression:
        return Expression(CallNode(function, (self.node, *arguments)))

    def _method(self, function: str, *arguments: Operand) -> Expression:
        return self._call(function, *(operand_node(argument, function) for argument in arguments))

    def _infix(self, function: str, other: Operand, *, reflected: bool = False) -> Expression:
        node = operand_node(other, function)
        pair = (node, self.node) if reflected else (self.node, node)
        return Expression(CallNode(function, pair))


def col(name: str) -> Expression:
    """Refer to a column.

    Parameters
    ----------
    name : str

    Returns
    -------
    Expression

    Examples
    --------
    >>> col("amount") > 0
    col("amount") > 0
    """
    if not isinstance(name, str):
        raise TypeError(f"col got {name!r}, which is not a name. Pass a str.")
    return Expression(ColumnNode(name))


def lit(value: object) -> Expression:
    """Make an expression of one value, where a plain Python value would not do.

    Parameters
    ----------
    value : bool, int, float, str, bytes, Decimal, datetime, date, timedelta, numpy scalar or None
        Numbers and strings adapt to what they meet; alone they are int64, float64 and string. A
        datetime without a zone is UTC.

    Returns
    -------
    Expression

    Raises
    ------
    TypeError
        If it is of another type.
    ConfigError
        If it is too large for any column.

    Examples
    --------
    >>> lit(1) / col("n")
    1 / col("n")
    >>> lit(None).cast("int64")
    lit(None).cast("int64")
    """
    return value if isinstance(value, Expression) else Expression(literal_node(value))


def operand_node(value: object, function: str) -> ExpressionNode:
    """Return what stands beside an expression as a node; `function` asks for it."""
    if isinstance(value, Expression):
        return value.node
    if isinstance(value, Aggregation):
        raise TypeError(
            f"{function} got {value!r}, which is an aggregation. Compute with it after aggregate()."
        )
    if value is None:
        raise TypeError(
            f"{function} got None. Test for nulls with is_null() or is_not_null(); write lit(None) "
            "where a null is meant."
        )
    if isinstance(value, Unfinished):
        raise ConfigError(value.complaint(function))
    return literal_node(value)


def _type_text(type: object) -> str:
    """Return a type's name, which the core reads; ConfigError for what has no UTF-8."""
    text = str(type)
    if not is_name(text):
        raise ConfigError(f'cast got {type!r}, which is no type. Pass one such as "int64".')
    return text
