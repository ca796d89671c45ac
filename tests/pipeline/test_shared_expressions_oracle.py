"""Expressions whose parts are in several places, against the same computed row by row.

A part of a choice is computed for the rows that take it alone: a division by zero in it is an error
in those, and in no other.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pystream as ps
from pystream import col, errors

# A column, or a function of other nodes: of any that were made before.
Node: TypeAlias = str | tuple[str, tuple[Any, ...]]
ARGUMENTS = {"add": 2, "divide": 2, "null_if": 2, "coalesce": 3, "case": 4, "chain": 7}
BOUND = 1000  # of sums, so that none overflows


@st.composite
def nodes(draw: st.DrawFn) -> Node:
    made: list[Node] = ["a", "b"]
    for _ in range(draw(st.integers(1, 20))):
        function = draw(st.sampled_from(sorted(ARGUMENTS)))
        near = st.sampled_from(range(max(len(made) - 6, 0), len(made)))
        made.append((function, tuple(made[draw(near)] for _ in range(ARGUMENTS[function]))))
    return made[-1]


def expression(node: Node, known: dict[int, Any]) -> Any:
    if id(node) not in known:
        known[id(node)] = made_of(node, known)
    return known[id(node)]


def made_of(node: Node, known: dict[int, Any]) -> Any:
    if isinstance(node, str):
        return col(node)
    function, (a, b, *rest) = node[0], [expression(part, known) for part in node[1]]
    match function:
        case "add":
            return (a + b) % BOUND
        case "divide":
            return a // b
        case "null_if":
            return a.null_if(b)
        case "coalesce":
            return ps.coalesce(a, b, *rest)
        case "case":
            return ps.when(a > b).then(rest[0]).otherwise(rest[1])
    c, d, e, f, g = rest
    return ps.when(a > b).then(c).when(d < e).then(f).otherwise(g)


def value_of(node: Node, row: dict[str, int | None], known: dict[int, Any]) -> int | None:
    """Return the value in one row; only what it takes is looked at."""
    if id(node) not in known:
        known[id(node)] = computed(node, row, known)
    return known[id(node)]  # type: ignore[no-any-return]


def computed(node: Node, row: dict[str, int | None], known: dict[int, Any]) -> int | None:
    if isinstance(node, str):
        return row[node]
    function, parts = node

    def part(number: int) -> int | None:
        return value_of(parts[number], row, known)

    def is_less(first: int, second: int) -> bool:
        a, b = part(first), part(second)
        return a is not None and b is not None and a < b

    if function == "coalesce":
        return next((found for i in range(3) if (found := part(i)) is not None), None)
    if function == "case":
        return part(2) if is_less(1, 0) else part(3)
    if function == "chain":
        return part(2) if is_less(1, 0) else part(5) if is_less(3, 4) else part(6)
    a, b = part(0), part(1)
    if function == "null_if":
        return None if a == b else a
    if a is None or b is None:
        return None
    return (a + b) % BOUND if function == "add" else a // b


ROWS = st.lists(
    st.fixed_dictionaries({name: st.none() | st.integers(-3, 7) for name in "ab"}),
    min_size=1,
    max_size=70,
)


@given(nodes(), ROWS)
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
def test_shared_parts_have_the_values_and_errors_of_each_row(
    node: Node, rows: list[dict[str, int | None]]
) -> None:
    expected, failing = [], set()
    for number, row in enumerate(rows):
        try:
            expected.append(value_of(node, row, {}))
        except ZeroDivisionError:
            failing.add(number)
    table = pa.table({name: pa.array([row[name] for row in rows], pa.int64()) for name in "ab"})
    result = ps.Environment().from_arrow(table).select(value=expression(node, {}))
    if failing:
        rows_of_errors = "|".join(map(str, sorted(failing)))
        with pytest.raises(errors.OperatorError, match=rf"at row ({rows_of_errors})\."):
            result.to_arrow()
    else:
        assert result.to_arrow()["value"].to_pylist() == expected
