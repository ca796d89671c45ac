"""``when(condition)`` without ``then``: it is no expression yet, and says so wherever it comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pystream as ps
from pystream import col, errors

STARTED: Any = ps.when(col("v") > 1)
STREAM = ps.Environment().from_arrow({"v": np.array([1.0, 2.0])})
REST = r' got when\(col\("v"\) > 1\), which waits for its value\. Add \.then\(value\)\.$'


@pytest.mark.parametrize(
    ("function", "call"),
    [
        (r"\+", lambda: STARTED + 1),
        (r"\+", lambda: 1 + STARTED),
        ("add", lambda: col("v") + STARTED),
        ("-", lambda: STARTED - col("v")),
        ("-", lambda: -STARTED),
        (r"\*", lambda: 2 * STARTED),
        ("/", lambda: STARTED / 2),
        ("//", lambda: 2 // STARTED),
        ("%", lambda: STARTED % 2),
        (r"\*\*", lambda: 2**STARTED),
        (r"abs\(\)", lambda: abs(STARTED)),
        ("==", lambda: STARTED == 1),
        ("equal", lambda: col("v") == STARTED),
        ("!=", lambda: STARTED != 1),
        ("<", lambda: STARTED < 1),
        ("<=", lambda: STARTED <= 1),
        (">", lambda: STARTED > 1),
        (">=", lambda: STARTED >= 1),
        ("&", lambda: STARTED & (col("v") > 2)),
        ("or", lambda: (col("v") > 2) | STARTED),
        ("~", lambda: ~STARTED),
        ("a condition of Python", lambda: STARTED and col("v")),
        ("coalesce", lambda: ps.coalesce(STARTED, 1)),
        ("fill_null", lambda: col("v").fill_null(STARTED)),
        ("when", lambda: ps.when(STARTED)),
        ("then", lambda: ps.when(col("v") > 2).then(STARTED)),
        ("otherwise", lambda: ps.when(col("v") > 2).then(1).otherwise(STARTED)),
        ("where=", lambda: col("v").sum(where=STARTED)),
        ("where=", lambda: ps.count(where=STARTED)),
        ("filter", lambda: STREAM.filter(STARTED)),
        ("select", lambda: STREAM.select(STARTED)),
        ("with_columns", lambda: STREAM.with_columns(x=STARTED)),
    ],
)
def test_it_is_refused_as_what_waits_for_its_value(
    function: str, call: Callable[[], object]
) -> None:
    with pytest.raises(errors.ConfigError, match=f"^{function}{REST}"):
        call()


@pytest.mark.parametrize("method", ["otherwise", "alias", "sum", "is_null", "cast"])
def test_a_method_of_expressions_says_what_is_missing(method: str) -> None:
    with pytest.raises(AttributeError, match=rf"^{method}\(\){REST}"):
        getattr(STARTED, method)


def test_it_is_otherwise_like_any_object() -> None:
    with pytest.raises(AttributeError, match="'When' object has no attribute 'than'"):
        _ = STARTED.than
    assert not hasattr(STARTED, "node")
    assert {STARTED: 1}[STARTED] == 1
    assert STARTED.then(1).name is None
