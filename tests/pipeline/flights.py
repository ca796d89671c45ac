"""A few flights, and expressions over them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa

from pystream._native import RecordBatch
from pystream.engines.local.expressions import infer, lower
from pystream.pipeline.expressions import Expression

FLIGHTS = pa.record_batch(
    {
        "carrier": pa.array(["UA", "AA", None, "B6", "UA"]),
        "delay": pa.array([2, None, -3, 120, 2**61], pa.int64()),
        "distance": pa.array([100.0, 0.0, None, float("nan"), -0.5]),
        "cancelled": pa.array([True, False, None, False, True]),
        "scheduled": pa.array([0, 3_599_999, -1, None, 7_200_000], pa.timestamp("ms")),
        "price": pa.array([Decimal("1.50"), None, Decimal("-1.50"), Decimal(0), Decimal("9.99")]),
        "blob": pa.array([b"UA", b"\xff", None, b"", b"\x00"], pa.binary()),
    }
)
BATCH = RecordBatch.from_arrow(FLIGHTS)[0]


def run(expression: Expression, batch: RecordBatch = BATCH) -> list[Any]:
    return lower(expression.node).bind(batch.schema).evaluate(batch).to_pylist()


def type_of(expression: Expression) -> str:
    return str(infer(expression.node, BATCH.schema))
