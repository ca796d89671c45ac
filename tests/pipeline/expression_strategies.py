"""Random well-typed expressions, and random batches of the columns that they read."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, get_args

import numpy as np
from hypothesis import strategies as st

from pystream._native import DataType, RecordBatch, Schema
from pystream.pipeline.case import coalesce, greatest, least, when
from pystream.pipeline.expressions import Expression, col, lit
from pystream.pipeline.time_functions import TimePart
from pystream.plan.expressions import CallNode, CastNode, ColumnNode, ExpressionNode
from tests.pipeline.expression_columns import (
    ARITHMETIC,
    BITS,
    COMPARISONS,
    DECIMALS,
    DURATIONS,
    FLOATS,
    INSTANTS,
    NUMBERS,
    SHORT,
    STRINGS,
    TYPES,
    WORDS,
    floats,
    integers,
    native_column,
    values,
)


@dataclass
class Case:
    """An expression, a native batch, and its rows as plain values (times as ticks)."""

    expression: Expression
    batch: RecordBatch
    rows: list[dict[str, Any]]


def columns_of(node: ExpressionNode) -> set[str]:
    match node:
        case ColumnNode(name):
            return {name}
        case CastNode(operand, _, _):
            return columns_of(operand)
        case CallNode(_, arguments):
            return set().union(*(columns_of(argument) for argument in arguments))
    return set()


@st.composite
def cases(draw: st.DrawFn, max_rows: int = 140) -> Case:
    """Draw a slice of a batch; below its nulls lie arbitrary values."""
    expression = draw(expressions())
    names = sorted(columns_of(expression.node)) or ["a"]
    total = draw(st.one_of(st.integers(0, 5), st.integers(0, max_rows)))
    begin = draw(st.integers(0, min(total, 9)))
    length = draw(st.integers(0, total - begin))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    columns, cells = [], {}
    for name in names:
        pool = draw(st.lists(values(TYPES[name]), min_size=1, max_size=6))
        data = [pool[i] for i in random.integers(0, len(pool), total)]
        nulls = random.random(total) < draw(st.sampled_from([0.0, 0.3, 1.0]))
        if TYPES[name].startswith(("timestamp", "duration")):
            # numpy's NaT; no number of ticks can be told from it.
            nulls = nulls | (np.array(data, object) == -(2**63)).astype(bool)
        columns.append(native_column(name, TYPES[name], data, nulls))
        cells[name] = [None if null else v for v, null in zip(data, nulls, strict=True)]
    rows = [{name: cells[name][i] for name in names} for i in range(begin, begin + length)]
    schema = Schema([(name, DataType(TYPES[name]), True) for name in names])
    return Case(expression, RecordBatch(schema, columns).slice(begin, length), rows)


@cache
def literals() -> st.SearchStrategy[Expression]:
    return st.one_of(
        integers(64, signed=True), integers(64, signed=False), floats(64), st.integers(-9, 9)
    ).map(lit)


def columns(names: Any) -> st.SearchStrategy[Expression]:
    return st.sampled_from(list(names)).map(col)


def infix(
    operators: list[str], left: st.SearchStrategy[Any], right: st.SearchStrategy[Any]
) -> st.SearchStrategy[Expression]:
    return st.builds(
        lambda operator, a, b: getattr(a, operator)(b), st.sampled_from(operators), left, right
    )


ISO = ["1970-01-01", "1969-12-31T23:59:59", "2013-01-01 05:00:00.25", "1970-01-01T02:00:00+02:00"]
SPANS = ["1h", "-90m", "250ms", "3d", "1us"]


@cache
def numbers() -> st.SearchStrategy[Expression]:
    def deeper(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
        return st.one_of(
            infix(ARITHMETIC, inner, inner),
            inner.map(lambda e: -e),
            inner.map(abs),
            of_numbers(inner),
            infix(["__pow__", "__rpow__"], inner, inner),
            st.builds(
                lambda e, t: e.cast(t), inner, st.sampled_from(["int8", "uint64", "float32"])
            ),
            st.builds(
                lambda e, n: e.truncate(n),
                columns(n for n, kind in NUMBERS.items() if "int" in kind),
                st.integers(1, 2**63 - 1) | st.integers(1, 9),
            ),
        )

    parsed = st.builds(
        lambda e, kind: e.cast("string").cast(kind),
        columns(["i8", "i64", "f64", "g64"]),
        st.sampled_from(["float64", "float32"]),
    )
    lengths = texts().map(lambda e: e.length())
    return st.recursive(columns(NUMBERS) | literals() | parsed | lengths, deeper, max_leaves=4)


def of_numbers(numbers: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    names = ["floor", "ceil", "sqrt", "ln", "log10", "exp", "sign", "hash"]
    return st.one_of(
        st.builds(lambda e, name: getattr(e, name)(), numbers, st.sampled_from(names)),
        st.builds(lambda e, digits: e.round(digits), numbers, st.integers(0, 15)),
    )


@cache
def decimals() -> st.SearchStrategy[Expression]:
    some = columns(DECIMALS)
    amounts = [Decimal("1.50"), Decimal("-0.0001"), Decimal(3), Decimal("9" * 38)]
    beside = some | columns(["i8", "i32", "u64"]) | st.sampled_from([*amounts, 0, 7, -(2**63)])
    kinds = st.sampled_from(["decimal128(5, 2)", "decimal128(38, 6)", "decimal128(20, 0)"])
    sums = infix(["__add__", "__sub__", "__radd__", "__rsub__"], some, beside)
    products = infix(["__mul__", "__rmul__"], some, columns(["p", "w", "i32"]) | st.just(2))
    quotients = infix(["__truediv__", "__rtruediv__"], some, beside)
    sources = columns([*DECIMALS, "i64", "u64", "f32", "f64", *STRINGS])
    words = st.sampled_from(["1.005", "-2.5", "1e3", "2.5E-3", ".5", "5.", "1e9999", "0x1", "-"])
    return st.one_of(
        sums,
        products,
        quotients,
        some.map(lambda e: -e),
        some.map(abs),
        some.map(lambda e: e.hash()),
        infix(COMPARISONS, sums, beside),
        st.builds(lambda e, kind: e.cast(kind), sources | sums, kinds),
        st.builds(lambda e, kind: e.try_cast(kind), sources | quotients | words.map(lit), kinds),
        st.builds(lambda e, kind: e.try_cast(kind), some, st.sampled_from(["int8", "float64"])),
    )


@cache
def hashes_and_extremes() -> st.SearchStrategy[Expression]:
    several = st.sampled_from([greatest, least])
    kinds = st.sampled_from(
        [["i64", "j64"], ["f64", "g64"], ["f32", "g32"], [*STRINGS], ["a", "b"]]
    )
    alike = kinds.flatmap(lambda names: st.lists(columns(names), min_size=1, max_size=4))
    return st.one_of(
        columns(TYPES).map(lambda e: e.hash()),
        texts().map(lambda e: e.hash()),
        st.builds(lambda f, values: f(*values), several, alike),
        st.builds(lambda f, v: f(col("f64"), v, 0), several, floats(64)),
        st.builds(lambda f: f(col("t_ms"), col("t_ms") - "5ms"), several),
        st.builds(lambda f: f(col("q"), col("q")), several),
    )


@cache
def times() -> st.SearchStrategy[Expression]:
    instants, durations = columns(INSTANTS), columns(DURATIONS)
    spans = st.sampled_from(SPANS)
    counts = columns(["i8", "i32", "i64"]) | st.integers(-3, 3).map(lit)
    return st.one_of(
        infix(["__sub__"], instants, instants),
        infix(["__add__", "__sub__"], instants, durations | spans),
        infix(["__add__"], durations, instants),
        infix(
            ["__add__", "__sub__", "__truediv__", "__floordiv__", "__mod__"], durations, durations
        ),
        infix(["__mul__", "__floordiv__"], durations, counts),
        infix(["__mul__"], counts, durations),
        st.builds(
            lambda e, span: e.truncate(span),
            instants,
            st.sampled_from(["1d", "5d", "2d", "week", "month", "quarter", "year"]),
        ),
        st.builds(
            lambda e, span: e.truncate(span),
            columns(["t_ms", "t_us", "t_ns"]),
            st.sampled_from(["1h", "7ms", "90s"]),
        ),
        st.builds(
            lambda e, kind: e.cast(kind), instants, st.sampled_from([*INSTANTS.values(), "int64"])
        ),
        zoned(columns(["t_s", "t_ms", "t_us", "t_ns"])),
        st.builds(lambda e, part: e.extract(part), instants, st.sampled_from(get_args(TimePart))),
        st.builds(lambda e, kind: e.cast(kind), durations, st.sampled_from([*DURATIONS.values()])),
    )


ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Monrovia"]
ZONES += ["America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia", "Europe/Dublin", "Asia/Manila"]
FORMATS = [
    "%Y-%m-%dT%H:%M:%S.%f",
    "%d.%m.%y",
    "%j %I%p %%",
    "%a %A %b %B",
    "%G-%V-%u %w",
    "%U %W é",
]


def zoned(times: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    zones = st.sampled_from(ZONES)
    local = st.builds(lambda e, zone: e.at_zone(zone), times, zones)
    return st.one_of(
        local,
        st.builds(
            lambda e, zone, a, n: e.from_zone(zone, ambiguous=a, nonexistent=n),
            times | local,
            zones,
            st.sampled_from(["earliest", "latest", "null", "error"]),
            st.sampled_from(["shift", "null", "error"]),
        ),
        st.builds(
            lambda e, every, zone: e.truncate(every, zone=zone),
            times,
            st.sampled_from(["1d", "1h", "week", "month", "year", "30s"]),
            zones,
        ),
    )


@cache
def parsed() -> st.SearchStrategy[Expression]:
    times, formats = columns(["t_s", "t_ms", "t_us", "day"]), st.sampled_from(FORMATS[:2])
    kinds = st.sampled_from(["timestamp[s]", "timestamp[us]", "timestamp[ns]", "date32"])
    return st.builds(
        lambda e, word, format, kind: e.format(format).fill_null(word).try_parse(format, kind),
        times,
        st.sampled_from([*WORDS, "01.02.03", "1.2.03", "29.02.13", "2013-02-28T23:59:59.5"]),
        formats,
        kinds,
    )


@cache
def texts() -> st.SearchStrategy[Expression]:
    return st.one_of(
        columns(STRINGS),
        st.builds(lambda e, word: e.fill_null(word), columns(STRINGS), st.sampled_from(WORDS)),
        st.builds(lambda e, other: e.fill_null(other), columns(STRINGS), columns(STRINGS)),
        columns(["i8", "u64", "a", "day", "f64"]).map(lambda e: e.cast("string")),
        st.builds(lambda e, f: e.format(f), columns(INSTANTS), st.sampled_from(FORMATS)),
        parts_of_texts(columns(STRINGS)),
        searched(columns(STRINGS)),
        infix(["__add__", "__radd__"], columns(STRINGS), st.sampled_from(SHORT) | columns(STRINGS)),
        parts_of_texts(infix(["__add__"], columns(STRINGS), columns(STRINGS) | st.just(lit(None)))),
        st.builds(lambda a, b: lit(a) + lit(b), st.sampled_from(SHORT), st.sampled_from(SHORT)),
    )


@cache
def patterns() -> st.SearchStrategy[str]:
    """Draw patterns with two groups that RE2 and Python's re understand alike."""
    atoms = st.sampled_from(["a", "b", "é", ".", "[ab]", "[^a]", r"\w", r"\s", "(?:ab|b)", "x"])
    pieces = st.builds(lambda a, n: a + n, atoms, st.sampled_from(["", "", "+", "?", "*", "{2}"]))
    edges = st.sampled_from(["", "", "^", r"\b"]), st.sampled_from(["", "", "$", r"\b"])
    return st.builds(
        lambda flag, begin, a, b, c, end: f"{flag}{begin}{a}({b})(?P<last>{c})?{end}",
        st.sampled_from(["", "(?i)"]),
        edges[0],
        pieces,
        pieces,
        atoms,
        edges[1],
    )


def searched(texts: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    groups = st.sampled_from([0, 1, 2, "last"])
    replacements = st.sampled_from(["", "-", r"<\0>", r"\2\1", "\\\\"])
    delimiters = st.sampled_from(["a", "b", " ", "ab", "é", "日"])
    return st.one_of(
        st.builds(lambda e, p, g: e.regexp_extract(p, g), texts, patterns(), groups),
        st.builds(lambda e, p, r: e.regexp_replace(p, r), texts, patterns(), replacements),
        st.builds(lambda e, d, n: e.split_part(d, n), texts, delimiters, st.integers(-3, 3)),
        st.builds(lambda e, d, n: e.split(d).list_get(n), texts, delimiters, st.integers(-3, 3)),
    )


def parts_of_texts(texts: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    position = st.integers(-4, 4) | integers(64, signed=True)
    return st.one_of(
        st.builds(
            lambda e, start, length: e.substring(start, length),
            texts,
            position,
            st.none() | st.integers(0, 4) | st.just(2**63 - 1),
        ),
        st.builds(
            lambda e, name: getattr(e, name)(),
            texts,
            st.sampled_from(["strip", "lstrip", "rstrip", "lower", "upper"]),
        ),
    )


@cache
def conditions() -> st.SearchStrategy[Expression]:
    instants, durations = columns(INSTANTS), columns(DURATIONS)
    members = st.lists(
        st.none() | integers(64, signed=True) | floats(64), max_size=20, unique_by=repr
    )
    words = st.lists(st.none() | st.sampled_from(WORDS), max_size=5)
    leaves = st.one_of(
        columns(["a", "b"]),
        infix(COMPARISONS, numbers(), numbers()),
        infix(COMPARISONS, instants, instants | st.sampled_from(ISO)),
        infix(COMPARISONS, columns(["t_s", "t_ns", "day"]), integers(64, signed=True)),
        infix(COMPARISONS, durations, durations | st.sampled_from(SPANS)),
        infix(COMPARISONS, texts(), texts() | st.sampled_from(WORDS)),
        infix(COMPARISONS, columns(["blob"]), columns(["blob"]) | st.sampled_from([b"a", b"\xff"])),
        infix(COMPARISONS, columns(["a", "b"]), columns(["a", "b"]) | st.booleans()),
        columns(TYPES).map(lambda e: e.is_null()),
        columns(TYPES).map(lambda e: e.is_not_null()),
        columns(FLOATS).map(lambda e: e.is_nan()),
        st.builds(lambda e, v: e.isin(v), columns(NUMBERS), members),
        st.builds(lambda e, v: e.isin(v), texts(), words),
        st.builds(lambda e, v: e.isin(v), columns(["a"]), st.lists(st.none() | st.booleans())),
        columns(["i8", "f32", "f64", "u64"]).map(lambda e: e.cast("bool")),
        st.builds(lambda e, p: e.regexp_match(p), texts(), patterns()),
        infix(
            ["contains", "starts_with", "ends_with"],
            texts() | st.sampled_from(WORDS).map(lit),
            st.sampled_from(SHORT) | columns(STRINGS) | st.just(lit(None)),
        ),
    )

    def deeper(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
        return st.one_of(
            infix(["__and__", "__or__"], inner, inner | st.just(lit(None))),
            inner.map(lambda e: ~e),
            st.builds(lambda e, v: e.fill_null(v), inner, st.booleans()),
        )

    return st.recursive(leaves, deeper, max_leaves=4)


@cache
def fills() -> st.SearchStrategy[Expression]:
    return st.one_of(
        st.builds(lambda v: col("i64").fill_null(v), integers(64, signed=True)),
        st.builds(lambda v: col("u8").fill_null(v), st.integers(0, 255)),
        st.builds(lambda v: col("f32").fill_null(v), floats(64)),
        st.builds(lambda n: col("i64").fill_null(col("j64") // n), st.integers(0, 3)),
        st.just(col("f64").fill_null(col("g64"))),
        st.just(col("t_ms").fill_null(col("t_ms"))),
        st.just(col("a").fill_null(col("b"))),
    )


@cache
def attempts() -> st.SearchStrategy[Expression]:
    texts_of = columns(["i16", "u64", "f64", "a"]).map(lambda e: e.cast("string"))
    words = st.sampled_from(
        [*WORDS, "true", "-7", "1.5", "1970-01-02", "1970-01-02T00:00:01", "1e99"]
    )
    mixed = st.builds(lambda e, word: e.fill_null(word), columns(STRINGS) | texts_of, words)
    return st.one_of(
        st.builds(
            lambda e, kind: e.try_cast(kind),
            numbers(),
            st.sampled_from([f"{sign}int{bits}" for sign in ("", "u") for bits in BITS] + ["bool"]),
        ),
        st.builds(
            lambda e, kind: e.try_cast(kind),
            mixed | words.map(lit),
            st.sampled_from(["int8", "int64", "uint16", "float64", "bool", "date32"]),
        ),
        st.builds(
            lambda e, kind: e.try_cast(kind),
            columns(INSTANTS),
            st.sampled_from([*INSTANTS.values(), "int8"]),
        ),
        columns(["blob"]).map(lambda e: e.try_cast("string") + "!"),
        columns(["blob"]).map(lambda e: e.try_cast("string").length()),
    )


@cache
def families() -> list[tuple[st.SearchStrategy[Any], st.SearchStrategy[Any]]]:
    """Expressions of one type each, some of which fail in some rows, and literals that fit it."""
    whole, double = columns(["i8", "i32", "i64", "j64"]), columns(["f64", "g64"])
    return [
        (
            infix(["__add__", "__mul__", "__floordiv__", "__mod__"], whole, whole)
            | columns(["i64", "j64"])
            | double.map(lambda e: e.cast("int64")),
            integers(64, signed=True),
        ),
        (double | infix(["__truediv__"], whole, whole), floats(64) | st.integers(-3, 3)),
        (columns(["f32", "g32"]), floats(64)),
        (texts(), st.sampled_from(WORDS)),
        (columns(["a", "b"]), st.booleans()),
        (columns(["blob"]), st.sampled_from([b"", b"\xff"])),
        (columns(["t_ms"]), st.just(lit(None))),
        (columns(["encoded_int"]), integers(64, signed=True)),
    ]


@st.composite
def choices(draw: st.DrawFn) -> Expression:
    family, literal = draw(st.sampled_from(families()))
    value = draw(st.sampled_from([family, family | literal, literal]))
    if draw(st.booleans()):
        first = draw(family | value.map(lit).filter(lambda e: repr(e) != "lit(None)"))
        others = draw(st.lists(value | st.just(lit(None)), max_size=3))
        return first.null_if(others[0]) if len(others) == 1 else coalesce(first, *others)
    whole = columns(["i8", "i64"])
    condition = st.one_of(
        columns(["a", "b"]),
        infix(COMPARISONS, whole, whole | st.integers(-2, 2)),
        infix(COMPARISONS, infix(["__floordiv__"], whole, whole), st.integers(-2, 2)),
        columns(STRINGS).map(lambda e: e.is_null()),
        st.booleans() | st.just(lit(None)),
    )
    inner = st.builds(lambda c, v: when(c).then(v), condition, family)
    case = when(draw(condition)).then(draw(family if draw(st.booleans()) else inner))
    for _ in range(draw(st.integers(0, 2))):
        case = case.when(draw(condition)).then(draw(value | inner | st.none()))
    return case.otherwise(draw(value | inner)) if draw(st.booleans()) else case


@cache
def expressions() -> st.SearchStrategy[Expression]:
    return st.one_of(
        numbers(),
        conditions(),
        times(),
        texts(),
        fills(),
        choices(),
        attempts(),
        parsed(),
        decimals(),
        hashes_and_extremes(),
    )
