"""Functions of lists, against the model."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pystream._native import RecordBatch
from pystream.engines.local.expressions import lower
from pystream.errors import ConfigError, SchemaError
from pystream.pipeline.expressions import Expression, col, lit
from tests.oracle.expressions import evaluate
from tests.pipeline.flights import type_of

ELEMENTS = {
    "int64": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "bool": (pa.bool_(), st.booleans()),
    "string": (pa.string(), st.text(max_size=3)),
    "dictionary<string>": (pa.dictionary(pa.int32(), pa.string()), st.sampled_from(["a", "b"])),
}


def lists(kind: str, rows: list[list[Any] | None]) -> pa.Array:
    elements = [value for row in rows for value in row or ()]
    ends = [sum(len(row or ()) for row in rows[:i]) for i in range(len(rows) + 1)]
    nulls = pa.array([row is None for row in rows], pa.bool_())
    array = pa.array(elements, ELEMENTS[kind][0])
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), array, mask=nulls)


def run(expression: Expression, array: pa.Array) -> tuple[str, list[Any]]:
    batch = RecordBatch.from_arrow(pa.record_batch({"l": array}))[0]
    found = lower(expression.node).bind(batch.schema).evaluate(batch)
    return str(found.type), found.to_pylist()


@pytest.mark.parametrize("kind", ELEMENTS)
@given(data=st.data())
@settings(max_examples=40)
def test_functions_of_lists_agree_with_the_oracle(kind: str, data: st.DataObject) -> None:
    elements = st.lists(st.none() | ELEMENTS[kind][1], max_size=4)
    rows = data.draw(st.lists(st.none() | elements, max_size=12))
    index = data.draw(st.integers(-5, 5) | st.sampled_from([2**63 - 1, -(2**63) + 1]))
    begin = data.draw(st.integers(0, len(rows)))
    types = {"l": f"list<{kind}>"}
    for expression in (
        col("l").list_length(),
        col("l").list_get(index),
        col("l").list_get(index).is_null(),
        col("l").list_length() * 2 + 1,
        col("l").is_not_null(),
    ):
        wanted = [evaluate(expression.node, types, {"l": row}) for row in rows[begin:]]
        found_type, found = run(expression, lists(kind, rows).slice(begin))
        assert found == [value.value for value in wanted]
        assert all(value.type == found_type for value in wanted)


def test_elements_go_on_into_other_functions() -> None:
    tags = lists("string", [["ab", None], [], ["c"]])
    assert run(col("l").list_get(0).upper() + "!", tags)[1] == ["AB!", None, "C!"]
    coded = lists("dictionary<string>", [["a"], ["b"], None])
    assert run(col("l").list_get(-1) == "b", coded)[1] == [False, True, None]


def test_functions_of_lists_refuse_what_is_none() -> None:
    for expression in (col("distance").list_length(), col("distance").list_get(0)):
        with pytest.raises(SchemaError, match=r"takes lists, but distance is"):
            type_of(expression)
    with pytest.raises(SchemaError, match="takes lists"):
        type_of(lit("a").list_length())
    for index in ("0", 1.0, True, None, 2**63):
        with pytest.raises(ConfigError, match="list_get got the place"):
            col("l").list_get(index)  # type: ignore[arg-type]
