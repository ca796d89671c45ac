"""Takes the Python functions out of expressions: each becomes a stage that adds a column.

The expressions around them read that column, and stay native.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from types import MethodType
from typing import TYPE_CHECKING, Any

from pystream.plan import nodes
from pystream.plan.expressions import CallNode, CastNode, ColumnNode, ExpressionNode, UdfNode

if TYPE_CHECKING:
    from pystream.engines.local.engine import LocalEngine

__all__ = ["StagedColumns", "has_udf"]


def has_udf(node: ExpressionNode | None) -> bool:
    """Return whether a Python function is called anywhere in an expression."""
    stack = [] if node is None else [node]
    while stack:  # not a recursion: the engine has words for what is nested too deeply
        part = stack.pop()
        if isinstance(part, UdfNode):
            return True
        stack.extend(_parts(part))
    return False


class StagedColumns:
    """A plan that grows by a stage for each Python function in the expressions it is given.

    Attributes
    ----------
    node : Node
        The plan so far.
    schema : Schema
        Of its rows: those of the input, with the added columns behind.
    """

    def __init__(self, engine: LocalEngine, node: nodes.Node, schema: Any) -> None:
        self._engine = engine
        # What is called twice runs once.
        self._added: dict[tuple[object, ...], ColumnNode] = {}
        self.node = node
        self.schema = schema

    def without_udfs(self, node: ExpressionNode) -> ExpressionNode:
        """Return the expression over the columns that the stages add."""
        match node:
            case UdfNode(arguments=arguments):
                operands = tuple(self.without_udfs(argument) for argument in arguments)
                return self._stage(replace(node, arguments=operands))
            case CallNode(function, arguments):
                return CallNode(function, tuple(self.without_udfs(part) for part in arguments))
            case CastNode(operand, type, or_null):
                return CastNode(self.without_udfs(operand), type, or_null)
        return node

    def aggregate_without_udfs(self, aggregate: nodes.Aggregate) -> nodes.Aggregate:
        """Return the aggregate over the columns that the stages add."""
        operand, by = aggregate.operand, aggregate.by
        if operand is not None and has_udf(operand):
            aggregate = replace(aggregate, operand=self.without_udfs(operand))
        if by is not None and has_udf(by):
            aggregate = replace(aggregate, by=self.without_udfs(by))
        return aggregate

    def _stage(self, udf: UdfNode) -> ColumnNode:
        # Arguments by repr(), because 1 and True are equal, and not the same.
        key = (*_identity(udf.function), udf.returns, udf.kind, repr(udf.arguments))
        if key not in self._added:
            operands = self._columns(udf.arguments)
            result = self._unused(str(udf))
            function, schema = self._engine.udf_stage(udf, operands, result, self.schema)
            name = f"udf {udf.name}"
            self.node = nodes.MapBatches(self.node, function, schema, name, keeps_rows=True)
            self.schema = schema
            self._added[key] = ColumnNode(result)
        return self._added[key]

    def _columns(self, operands: Iterable[ExpressionNode]) -> tuple[str, ...]:
        """Return the names of columns that hold the operands, which are computed if need be."""
        outputs = [(name, ColumnNode(name)) for name in self.schema.names]
        names, computed = [], list[tuple[str, ExpressionNode]]()
        for operand in operands:
            if isinstance(operand, ColumnNode):
                names.append(operand.name)
            else:
                names.append(self._unused(str(operand), taken=(name for name, _ in computed)))
                computed.append((names[-1], operand))
        for name in names:  # one that does not exist is found here, and named
            if name not in self.schema.names and name not in dict(computed):
                self._engine.infer(ColumnNode(name), self.schema)
        if computed:
            columns = (*outputs, *computed)
            self.schema = self._engine.project(columns, self.schema)
            self.node = nodes.Project(self.node, columns)
        return tuple(names)

    def _unused(self, name: str, taken: Iterable[str] = ()) -> str:
        used = {*self.schema.names, *taken}
        while name in used:
            name = f"_{name}"
        return name


def _identity(function: Callable[..., Any]) -> tuple[int, ...]:
    """Return what only the same function has; a bound method is a new object each time."""
    if isinstance(function, MethodType):
        return (id(function.__self__), id(function.__func__))
    return (id(function),)


def _parts(node: ExpressionNode) -> tuple[ExpressionNode, ...]:
    match node:
        case CallNode(_, arguments):
            return arguments
        case CastNode(operand, _, _):
            return (operand,)
    return ()
