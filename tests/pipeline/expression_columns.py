"""Columns of every kind with random values, as the core and as the oracle have them."""

from __future__ import annotations

from decimal import Context, Decimal
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from pystream._native import Array, DataType, RecordBatch, Schema
from tests.oracle.expression_numbers import parts

BITS = (8, 16, 32, 64)
NUMBERS = {f"i{b}": f"int{b}" for b in BITS} | {f"u{b}": f"uint{b}" for b in BITS}
NUMBERS |= {"j64": "int64", "v64": "uint64", "f32": "float32", "g32": "float32"}
NUMBERS |= {"f64": "float64", "g64": "float64", "encoded_int": "int64"}
FLOATS = [name for name, kind in NUMBERS.items() if kind.startswith("float")]
INSTANTS = {f"t_{u}": f"timestamp[{u}]" for u in ("s", "ms", "us", "ns")} | {"day": "date32"}
DURATIONS = {f"d_{u}": f"duration[{u}]" for u in ("s", "ms", "ns")}
STRINGS = {"s": "string", "r": "string", "encoded": "string"}
DECIMALS = {"p": "decimal128(10, 2)", "q": "decimal128(38, 20)", "w": "decimal128(38, 0)"}
TYPES = {
    **NUMBERS,
    **INSTANTS,
    **DURATIONS,
    **STRINGS,
    **DECIMALS,
    "blob": "binary",
    "a": "bool",
    "b": "bool",
}
DTYPES = {"date32": "datetime64[D]", "bool": "bool"}
WORDS = ["", "a", "ab", "b", "é", "z\x00", "longer than sixteen bytes"]
WORDS += ["ÄΣ", "ǅ ßﬃ", "Straße ΑΣ. Σ", "İIΣ\u0301a"]
WORDS += [" a\t", "\u2003é \x1f", "𝄞a日é", "bab"]
SHORT = ["", "a", "b", "é", "𝄞", "日é", "ab", " "]
COMPARISONS = ["__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"]
ARITHMETIC = ["__add__", "__sub__", "__mul__", "__truediv__", "__floordiv__", "__mod__"]


@cache  # building a strategy costs more than drawing from it
def integers(bits: int, *, signed: bool) -> st.SearchStrategy[int]:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    near = [n for n in (low, low + 1, -1, 0, 1, 2, 7, high - 1, high) if low <= n <= high]
    near += [n for n in (2**53, 2**53 + 1) if n <= high]
    small = st.integers(max(low, -100), min(high, 100))
    return st.one_of(small, st.sampled_from(near), st.integers(low, high))


@cache
def floats(width: int) -> st.SearchStrategy[float]:
    edges = [0.0, -0.0, 1.0, -1.5, 0.5, 2.0**53, 2.0**63, -(2.0**63), np.inf, -np.inf, np.nan]
    return st.one_of(
        st.sampled_from(edges),
        st.integers(-50, 50).map(lambda n: n / 4),
        st.floats(width=width),  # type: ignore[arg-type]
    )


@cache
def values(kind: str) -> st.SearchStrategy[Any]:
    if kind.startswith(("int", "uint")):
        return integers(int(kind.strip("uint")), signed=kind.startswith("i"))
    if kind.startswith("float"):
        return floats(int(kind[-2:]))
    if kind == "date32":
        return integers(32, signed=True).filter(lambda n: abs(n) < 2**24)
    if kind.startswith("decimal128"):
        precision, scale = parts(kind)
        edge = 10**precision - 1
        near = st.sampled_from([0, 1, -1, 5, 10**scale, -(10**scale), edge, -edge])
        unscaled = st.one_of(st.integers(-(10**6), 10**6), near, st.integers(-edge, edge))
        return unscaled.map(lambda n: Fraction(n, 10**scale))
    if kind == "bool":
        return st.booleans()
    if kind == "string":
        return st.sampled_from(WORDS)
    if kind == "binary":
        return st.sampled_from([word.encode() for word in WORDS] + [b"\xff"])
    return st.one_of(st.integers(-(10**5), 10**5), integers(64, signed=True))


def native_column(name: str, kind: str, data: list[Any], nulls: Any) -> Array:
    schema = Schema([(name, DataType(kind), True)])
    if kind.startswith("decimal128"):
        precision, scale = parts(kind)
        unscaled = [None if null else v * 10**scale for v, null in zip(data, nulls, strict=True)]
        exact = Context(prec=80)
        masked = [None if v is None else Decimal(int(v)).scaleb(-scale, exact) for v in unscaled]
        arrow = pa.array(masked, pa.decimal128(precision, scale))
        return RecordBatch.from_arrow(pa.record_batch([arrow], names=[name]))[0].column(0)
    if kind in ("string", "binary") or name == "encoded_int":
        masked = [None if null else value for value, null in zip(data, nulls, strict=True)]
        arrow = pa.array(masked, {"string": pa.string(), "binary": pa.binary()}.get(kind))
        if name == "encoded_int":
            arrow = pa.array(masked, pa.int64()).dictionary_encode()
        table = pa.record_batch([arrow], names=[name])
        column = RecordBatch.from_arrow(table)[0].column(0)
        return column.encode() if name == "encoded" else column
    dtype = DTYPES.get(kind, kind.replace("timestamp", "datetime64").replace("dur", "timedelta64"))
    if kind.startswith("duration"):
        dtype = f"timedelta64[{kind[9:]}"
    if dtype.startswith(("datetime64", "timedelta64")):
        values_ = np.array(data, np.int64).astype(dtype)
    else:
        values_ = np.array(data, dtype)
    return RecordBatch.from_numpy(schema, {name: values_}, {name: nulls}).column(0)
