"""Aggregates over a pane's values in arrival order: the specification of the native ones.

>>> aggregate("mean", [1, None, 2])
1.5
>>> pick("first", ["b", "a"], [7, 3])
'a'
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

Scalar = bool | int | float | Decimal | str | bytes | None


class Wanted(NamedTuple):
    """An aggregate of a record's values, by their positions.

    ``value`` is what is aggregated (None for ``count_all``), ``where`` the bool that must be true
    in rows that count, ``by`` what decides for ``arg_min`` and ``arg_max``, ``quantile`` which one,
    and ``k`` how many.
    """

    kind: str
    value: int | None = None
    where: int | None = None
    by: int | None = None
    quantile: float | None = None
    k: int | None = None


def aggregate(kind: str, values: Iterable[Scalar]) -> Scalar:
    """Return an aggregate of a pane's column, by the name that the pipeline gives it.

    Nulls are skipped by all but ``count_all``; of nulls alone the count is 0 and the rest is null.

    >>> aggregate("count_all", [1, None]), aggregate("count", [1, None])
    (2, 1)
    >>> aggregate("sum", [None]), aggregate("count", [None])
    (None, 0)
    >>> aggregate("mean", [1, 2])
    1.5
    """
    everything = list(values)
    if kind == "count_all":
        return len(everything)
    present = [value for value in everything if value is not None]
    if kind == "count":
        return len(present)
    if kind == "count_distinct":
        return len({_identity(value) for value in present})
    if not present:
        return None
    if kind == "sum":
        return _sum(present)
    if kind == "mean":
        return float(_sum(present)) / len(present)
    if kind == "min":
        return _extreme(present, smallest=True)
    if kind == "max":
        return _extreme(present, smallest=False)
    if kind in ("any", "all"):
        return any(present) if kind == "any" else all(present)
    if kind.startswith(("var_", "stddev_")):
        variance = _variance(present, is_sample=kind.endswith("_samp"))
        return variance if variance is None or kind.startswith("var_") else math.sqrt(variance)
    raise ValueError(f"no such aggregate: {kind}")


def _identity(value: Scalar) -> object:
    """Return what two values have in common when they count as one.

    >>> aggregate("count_distinct", [math.nan, -math.nan, 0.0, -0.0, None])
    2
    """
    return "NaN" if _is_nan(value) else value


def _sum(present: Sequence[Scalar]) -> int | float | Decimal:
    """Add from left to right; integers exactly.

    A sum of integers that the result column cannot hold is an error of the pipeline, never a
    wrapped number; here it is a large Python integer, and the caller knows the column's type.

    >>> _sum([1e16, 1.0, -1e16])
    0.0
    >>> _sum([2**63 - 1, 1])
    9223372036854775808
    """
    total = present[0] if not isinstance(present[0], float) else 0.0 + present[0]
    for value in present[1:]:
        total += value  # type: ignore[operator]
    return total  # type: ignore[return-value]


def _variance(present: Sequence[Scalar], *, is_sample: bool) -> float | None:
    """Divide the squared distances from the mean by the number of values, of a sample less one.

    Computed with fractions, so that the result is right to the last digit. What is not finite makes
    it NaN.

    >>> _variance([1, 2, 4], is_sample=True)
    2.3333333333333335
    >>> _variance([1e9, 1e9 + 1], is_sample=False), _variance([7], is_sample=False)
    (0.25, 0.0)
    >>> _variance([7], is_sample=True) is None
    True
    """
    if len(present) == 1 and is_sample:
        return None
    if not all(math.isfinite(value) for value in present):  # type: ignore[arg-type]
        return math.nan
    values = [Fraction(value) for value in present]  # type: ignore[arg-type]
    mean = sum(values) / len(values)
    squares = sum((value - mean) ** 2 for value in values)
    return float(squares / (len(values) - is_sample))


def _extreme(present: Sequence[Scalar], *, smallest: bool) -> Scalar:
    """Return the least or the greatest value.

    NaN counts only when there is nothing else, and a zero comes out as 0.0 whatever its sign, so
    that no result depends on the order of records. Text compares by its UTF-8 bytes.

    >>> _extreme([float("nan"), 5.0], smallest=False)
    5.0
    >>> _extreme([float("nan")], smallest=True)
    nan
    >>> _extreme([-0.0], smallest=True)
    0.0
    >>> _extreme(["b", "a"], smallest=True)
    'a'
    """
    numbers = [v for v in present if not (isinstance(v, float) and math.isnan(v))]
    if not numbers:
        return math.nan
    found = numbers[0]
    for value in numbers[1:]:
        less = _ordered(value) < _ordered(found)  # type: ignore[operator]
        more = _ordered(found) < _ordered(value)  # type: ignore[operator]
        if less if smallest else more:
            found = value
    return found + 0.0 if isinstance(found, float) else found


def _ordered(value: Scalar) -> Scalar:
    return value.encode() if isinstance(value, str) else value


def pick(kind: str, values: Sequence[Scalar], by: Sequence[Scalar]) -> Scalar:
    """Return the value whose `by`, which is the event time for first and last, is the extreme.

    Of rows that are equal in that, ``last`` takes the one that arrived last and the others that
    which arrived first. Where value or `by` is null a row is skipped; NaN only wins over nothing.

    >>> pick("first", "abc", [5, 5, 6]), pick("last", "abc", [5, 6, 6])
    ('a', 'c')
    >>> pick("arg_max", "abc", [5, 6, 6]), pick("arg_min", [None, 1, 2], [0, None, 3])
    ('b', 2)
    >>> pick("arg_max", "ab", [math.nan, -math.inf])
    'b'
    >>> pick("last", [None], [1]) is None
    True
    """
    rows = [
        (value, key)
        for value, key in zip(values, by, strict=True)
        if value is not None and key is not None
    ]
    rows = [row for row in rows if not _is_nan(row[1])] or rows
    if not rows:
        return None
    if all(_is_nan(key) for _, key in rows):
        return rows[0][0]
    wanted = (min if kind in ("first", "arg_min") else max)(key for _, key in rows)  # type: ignore
    found = [value for value, key in rows if key == wanted]
    return found[-1 if kind == "last" else 0]


def quantile(values: Iterable[Scalar], q: float) -> float | None:
    """Return the value that has ``floor(q * (n - 1))`` of n before it, in order.

    NaN counts only when there is nothing else.

    >>> quantile([3, 1, None, 2], 0.5), quantile([3, 1, 2, 4], 0.5), quantile([1, 2], 1)
    (2.0, 2.0, 2.0)
    >>> quantile([math.nan, 5.0], 1), quantile([math.nan], 0), quantile([None], 0)
    (5.0, nan, None)
    """
    present = [float(value) for value in values if value is not None]  # type: ignore[arg-type]
    numbers = sorted(value for value in present if not math.isnan(value))
    if not present:
        return None
    return numbers[math.floor(q * (len(numbers) - 1))] if numbers else math.nan


def collect(values: Sequence[Scalar], times: Sequence[int]) -> list[Scalar]:
    """Return all values in the order of event time, equal times in that of arrival.

    >>> collect(["c", None, "a", "b"], [5, 1, 1, 5])
    ['a', 'c', 'b']
    >>> collect([None], [1])
    []
    """
    rows = [(t, v) for v, t in zip(values, times, strict=True) if v is not None]
    return [value for _, value in sorted(rows, key=lambda row: row[0])]


def best(kind: str, values: Iterable[Scalar], k: int) -> list[Scalar]:
    """Return the k greatest (``top_k``) or least (``bottom_k``) values, the best first.

    NaN is behind all numbers, and a zero comes out as 0.0. Text compares by its UTF-8 bytes.

    >>> best("top_k", [2, None, 3, 1, 3], 3), best("bottom_k", ["b", "a"], 5)
    ([3, 3, 2], ['a', 'b'])
    >>> best("top_k", [math.nan, 1.0, -0.0], 3), best("bottom_k", [math.nan, 1.0], 1)
    ([1.0, 0.0, nan], [1.0])
    """
    present = [value for value in values if value is not None]
    numbers = [value for value in present if not _is_nan(value)]
    ordered = sorted(numbers, key=_ordered, reverse=kind == "top_k")  # type: ignore[arg-type]
    shown = [value + 0.0 if isinstance(value, float) else value for value in ordered]
    return (shown + [math.nan] * (len(present) - len(numbers)))[:k]


def _is_nan(value: Scalar) -> bool:
    return isinstance(value, float) and math.isnan(value)
