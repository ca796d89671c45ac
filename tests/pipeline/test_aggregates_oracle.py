"""Aggregates with state beside the rows, native against the model, on random streams.

As test_windows_oracle, whose streams these are: cut at random, over one to three partitions, by one
and two threads, in windows that are merged from slices.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

import pystream as ps
from pystream import col
from tests.pipeline.test_windows_oracle import (
    FLAG,
    SCHEMA,
    VALUE_COLUMNS,
    Aggregates,
    Case,
    cases,
    expected,
    native,
    publish,
    watermark_of,
)

POSITIONS = {name: position for position, name in enumerate(VALUE_COLUMNS)}
PICKED: Aggregates = {
    **{
        f"{kind}_{name}": ((kind, position), getattr(col(name), kind)())
        for kind in ("first", "last")
        for name, position in POSITIONS.items()
    },
    **{
        f"{kind}_{name}_by_{by}": (
            (kind, position, None, POSITIONS[by]),
            getattr(col(name), kind)(by),
        )
        for kind in ("arg_min", "arg_max")
        for name, position in POSITIONS.items()
        for by in ("whole", "half", "flag")  # flags are equal in half of the rows
    },
    "last_where": (("last", 0, FLAG), col("whole").last(where=col("flag"))),
    "arg_max_where": (
        ("arg_max", POSITIONS["name"], FLAG, POSITIONS["half"]),
        col("name").arg_max(col("half") * 2, where=col("flag")),
    ),
}  # fmt: skip


COUNTED: Aggregates = {
    **{
        f"{kind}_{name}": (("count_distinct", position), getattr(col(name), kind)())
        for kind in ("count_distinct", "approx_count_distinct")  # which is exact for so few
        for name, position in POSITIONS.items()
    },
    "where": (("count_distinct", 0, FLAG), col("whole").count_distinct(where=col("flag"))),
}


LISTED: Aggregates = {
    **{
        f"list_{name}": (("collect_list", position), col(name).collect_list())
        for name, position in POSITIONS.items()
    },
    **{
        f"{kind}_{name}_{k}": (
            (kind, position, None, None, None, k),
            getattr(col(name), kind)(k),
        )
        for kind in ("top_k", "bottom_k")
        for name, position in POSITIONS.items()
        for k in (1, 3)
    },
    "list_where": (("collect_list", 0, FLAG), col("whole").collect_list(where=col("flag"))),
    "top_where": (
        ("top_k", 0, FLAG, None, None, 2),
        col("whole").top_k(2, where=col("flag")),
    ),
}


QUANTILES: Aggregates = {
    f"{name}_{q}_{error}": (
        ("quantile", POSITIONS[name], None, None, q),
        col(name).approx_quantile(q, error),
    )
    for name in ("whole", "half")
    for q in (0, 0.1, 0.5, 0.99, 1)
    for error in (0.01, 0.2)
}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ps.Log]:
    with ps.open(tmp_path_factory.mktemp("aggregates") / "log") as opened:
        yield opened


topics = (f"stream-{number}" for number in itertools.count())


def check(log: ps.Log, case: Case, aggregates: Aggregates) -> None:
    topic = next(topics)
    log.create_topic(topic, schema=SCHEMA, partitions=case.partitions)
    publish(log, topic, case)
    wanted, _ = expected(case, range(case.partitions), aggregates)
    for parallelism in (1, 2):
        env = ps.Environment(log, parallelism=parallelism)
        stream = env.from_topic(topic, watermark=watermark_of(case), bounded=True)
        found, _ = native(stream, case, aggregates)
        assert found == wanted


@given(cases())
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_picked_values_agree_with_the_oracle(log: ps.Log, case: Case) -> None:
    check(log, case, PICKED)


@given(cases())
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_distinct_counts_agree_with_the_oracle(log: ps.Log, case: Case) -> None:
    check(log, case, COUNTED)


@given(cases())
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_lists_agree_with_the_oracle(log: ps.Log, case: Case) -> None:
    check(log, case, LISTED)


def is_within(found: float | None, wanted: float | None, error: float) -> bool:
    if found is None or wanted is None:
        return found is wanted
    return abs(found - wanted) <= error * (1 + 1e-9) * abs(wanted)


@given(cases())
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_quantiles_are_within_their_error_of_the_oracles(log: ps.Log, case: Case) -> None:
    topic = next(topics)
    log.create_topic(topic, schema=SCHEMA, partitions=case.partitions)
    publish(log, topic, case)
    wanted, _ = expected(case, range(case.partitions), QUANTILES)
    window = len(case.keys) + 2

    def by_window(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        return sorted(rows, key=lambda row: str(row[:window]))  # panes of one window stay in order

    exact_rows = by_window(wanted)
    found_by_threads: list[Any] = []
    for parallelism in (1, 2):
        env = ps.Environment(log, parallelism=parallelism)
        stream = env.from_topic(topic, watermark=watermark_of(case), bounded=True)
        found, _ = native(stream, case, QUANTILES)
        found_by_threads.append(by_window(found))
        assert len(found) == len(exact_rows)
        for row, exact_row in zip(by_window(found), exact_rows, strict=True):
            assert row[:window] == exact_row[:window]
            pairs = zip(row[window:], exact_row[window:], QUANTILES, strict=True)
            for value, exact, name in pairs:
                assert is_within(value, exact, float(name.rsplit("_", 1)[1])), name
    assert found_by_threads[0] == found_by_threads[1]
