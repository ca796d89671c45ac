"""Takes the Python functions out of expressions: each becomes a stage that adds a column.

The expressions around them read that column, and stay native.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pystream.plan import nodes
from pystream.plan.expressions import (
    CallNode,
    CastNode,
    ColumnNode,
    ExpressionNode,
    Structures,
    UdfNode,
    parts_of,
)

if TYPE_CHECKING:
    from pystream.engines.local.engine import LocalEngine

__all__ = ["StagedColumns", "has_udf"]


def has_udf(node: ExpressionNode | None) -> bool:
    """Return whether a Python function is called anywhere in an expression."""
    stack = [] if node is None else [node]
    seen = set[int]()  # parts may be in several places
    while stack:  # not a recursion: the engine has words for what is nested too deeply
        part = stack.pop()
        if isinstance(part, UdfNode):
            return True
        if id(part) not in seen:
            seen.add(id(part))
            stack.extend(parts_of(part))
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
        self._input = schema
        # What is called twice runs once.
        self._added: dict[int, str] = {}
        self._structures = Structures()
        # By id, which the node keeps: parts may be in several places.
        self._replaced: dict[int, tuple[ExpressionNode, ExpressionNode]] = {}
        self.node = node
        self.schema = schema

    def without_udfs(self, node: ExpressionNode) -> ExpressionNode:
        """Return the expression over the columns that the stages add."""
        known = self._replaced.get(id(node))
        if known is None:
            known = self._replaced[id(node)] = node, self._without_udfs(node)
        return known[1]

    def _without_udfs(self, node: ExpressionNode) -> ExpressionNode:
        match node:
            case UdfNode(arguments=arguments):
                operands = tuple(self.without_udfs(argument) for argument in arguments)
                return ColumnNode(self._stage(replace(node, arguments=operands)), str(node))
            case CallNode(function, arguments):
                return CallNode(function, tuple(self.without_udfs(part) for part in arguments))
            case CastNode(operand, type, or_null):
                return CastNode(self.without_udfs(operand), type, or_null)
            case ColumnNode(name) if name not in self._input.names:
                self._engine.infer(node, self._input)  # says so: no column of a stage is meant
        return node

    def type_of(self, node: ExpressionNode) -> Any:
        """Return the type of an expression, for which stages are added if need be."""
        return self._engine.infer(self.without_udfs(node), self.schema)

    def aggregates_without_udfs(self, aggregates: list[nodes.Aggregate]) -> list[nodes.Aggregate]:
        """Return the aggregates over the columns that the stages add."""
        if not any(has_udf(part) for a in aggregates for part in (a.operand, a.by, *a.arguments)):
            return aggregates
        return [
            replace(
                aggregate,
                operand=None if aggregate.operand is None else self.without_udfs(aggregate.operand),
                by=None if aggregate.by is None else self.without_udfs(aggregate.by),
                arguments=tuple(self.without_udfs(node) for node in aggregate.arguments),
            )
            for aggregate in aggregates
        ]

    def _stage(self, udf: UdfNode) -> str:
        """Return the name of the column that holds the result of a call."""
        key = self._structures.number(udf)
        if key not in self._added:
            operands = self._columns(udf.arguments)
            result = self._unused()
            function, schema = self._engine.udf_stage(udf, operands, result, self.schema)
            name = f"udf {udf.name}"
            self.node = nodes.MapBatches(self.node, function, schema, name, keeps_rows=True)
            self.schema = schema
            self._added[key] = result
        return self._added[key]

    def _columns(self, operands: Iterable[ExpressionNode]) -> tuple[str, ...]:
        """Return the names of columns that hold the operands, which are computed if need be."""
        outputs = [(name, ColumnNode(name)) for name in self.schema.names]
        names, computed = [], list[tuple[str, ExpressionNode]]()
        for operand in operands:
            if isinstance(operand, ColumnNode):
                names.append(operand.name)
            else:
                names.append(self._unused(len(computed)))
                computed.append((names[-1], operand))
        if computed:
            columns = (*outputs, *computed)
            self.schema = self._engine.project(columns, self.schema)
            self.node = nodes.Project(self.node, columns)
        return tuple(names)

    def _unused(self, taken: int = 0) -> str:
        """Return a name that no column has; `taken` of these are spoken for."""
        used = set(self.schema.names)
        free = (name for n in itertools.count(1) if (name := f"_udf_{n}") not in used)
        return next(itertools.islice(free, taken, None))
