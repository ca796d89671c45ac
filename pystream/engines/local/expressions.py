"""Plan expressions as handles of the core."""

from __future__ import annotations

from pystream._native import DataType, Schema
from pystream._native import Expression as NativeExpression
from pystream.engines.local.udf import UdfCalls
from pystream.engines.local.user_calls import UserCalls
from pystream.engines.local.zones import zone_table
from pystream.errors import SchemaError
from pystream.plan.expressions import (
    CallNode,
    CastNode,
    ColumnNode,
    ExpressionNode,
    LiteralNode,
    LiteralValue,
    UdfNode,
)

__all__ = ["infer", "lower"]


def lower(node: ExpressionNode, calls: list[UserCalls] | None = None) -> NativeExpression:
    """Return the native, still untyped expression.

    Parameters
    ----------
    node : ExpressionNode
    calls : list of UserCalls, optional
        Gets those that the expression makes. Without it there may be none: elsewhere, a stage
        takes the place of a Python function.

    Raises
    ------
    ConfigError
        If a cast names a type that does not exist.
    SchemaError
        If the expression is nested too deeply.
    """
    try:
        return _lower(node, {}, calls)
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
    return lower(node, []).bind(schema).type


def _lower(
    node: ExpressionNode, known: dict[int, NativeExpression], calls: list[UserCalls] | None
) -> NativeExpression:
    """Return the handle of a node; `known` has those of its parts, which may be in many places."""
    lowered = known.get(id(node))
    if lowered is None:
        lowered = known[id(node)] = _made(node, known, calls)
    return lowered


def _made(
    node: ExpressionNode, known: dict[int, NativeExpression], calls: list[UserCalls] | None
) -> NativeExpression:
    match node:
        case ColumnNode(name, label):
            return NativeExpression.column(name, label)
        case LiteralNode(value, declared):
            return _literal(value, declared)
        case CallNode(function, arguments):
            parts = [_lower(part, known, calls) for part in arguments]
            return NativeExpression.call(function, parts)
        case CastNode(operand, target, or_null):
            part = _lower(operand, known, calls)
            return NativeExpression.cast(part, DataType(target), or_null=or_null)
        case UdfNode(name, arguments) if calls is not None:
            call = UdfCalls(node)
            calls.append(call)
            parts = [_lower(part, known, calls) for part in arguments]
            return NativeExpression.external(name, call, parts, call.returns)
    raise AssertionError(f"unknown expression {node!r}")


def _literal(value: LiteralValue, declared: str | None) -> NativeExpression:
    if declared is None:
        return NativeExpression.literal(value)
    if declared == "zone":
        return NativeExpression.zone(str(value), zone_table(str(value)))
    if declared == "uint64" and isinstance(value, int) and value >= 2**63:
        value -= 2**64  # the core takes its bits
    return NativeExpression.literal(value, DataType(declared))
