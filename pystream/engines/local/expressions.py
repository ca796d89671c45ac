"""Plan expressions as handles of the core."""

from __future__ import annotations

from pystream._native import DataType, Schema
from pystream._native import Expression as NativeExpression
from pystream.engines.local.zones import zone_table
from pystream.errors import NotSupportedError, SchemaError
from pystream.plan.expressions import (
    CallNode,
    CastNode,
    ColumnNode,
    ExpressionNode,
    LiteralNode,
    UdfNode,
)

__all__ = ["infer", "lower"]


def lower(node: ExpressionNode) -> NativeExpression:
    """Return the native, still untyped expression.

    Raises
    ------
    ConfigError
        If a cast names a type that does not exist.
    SchemaError
        If the expression is nested too deeply.
    """
    try:
        return _lower(node, {})
    except RecursionError:
        raise SchemaError(
            "an expression is nested too deeply. Use isin for many comparisons, or split it over "
            "several with_columns."
        ) from None


def infer(node: ExpressionNode, schema: Schema) -> DataType:
    """Return the type of an expression over rows of `schema`.

    Raises
    ------
    SchemaError
        If a column does not exist, or a function does not take the types of its operands; the
        message names them.
    NotSupportedError
        If the function is not built for these types.

    Examples
    --------
    >>> schema = Schema([("delay", DataType("int32"), True)])
    >>> str(infer(CallNode("divide", (ColumnNode("delay"), LiteralNode(2))), schema))
    'float64'
    """
    return lower(node).bind(schema).type


def _lower(node: ExpressionNode, known: dict[int, NativeExpression]) -> NativeExpression:
    """Return the handle of a node; `known` has those of its parts, which may be in many places."""
    lowered = known.get(id(node))
    if lowered is None:
        lowered = known[id(node)] = _made(node, known)
    return lowered


def _made(node: ExpressionNode, known: dict[int, NativeExpression]) -> NativeExpression:
    match node:
        case ColumnNode(name, label):
            return NativeExpression.column(name, label)
        case LiteralNode(value, declared):
            if declared is None:
                return NativeExpression.literal(value)
            if declared == "zone":
                return NativeExpression.zone(str(value), zone_table(str(value)))
            if declared == "uint64" and isinstance(value, int) and value >= 2**63:
                value -= 2**64  # the core takes its bits
            return NativeExpression.literal(value, DataType(declared))
        case CallNode(function, arguments):
            return NativeExpression.call(function, [_lower(part, known) for part in arguments])
        case CastNode(operand, target, or_null):
            return NativeExpression.cast(_lower(operand, known), DataType(target), or_null=or_null)
        case UdfNode(name):
            raise NotSupportedError(
                f"the Python function {name} cannot be called here. Add it as a column with "
                "with_columns() first."
            )
    raise AssertionError(f"unknown expression {node!r}")
