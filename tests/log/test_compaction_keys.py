"""Keys of every type: the last record of each stays, by the oracle's bytes of a key."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import pystream as ps
from pystream.log.retention import apply_retention
from tests.log.reading import rows_of
from tests.log.test_values import TEXT, VALUES, model_key
from tests.oracle.compaction import CompactedModel, Stored

_numbers = itertools.count()
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ps.Log]:
    with ps.open(tmp_path_factory.mktemp("keys")) as opened:
        yield opened


def compacted(log: ps.Log, columns: dict[str, str], key: list[str], rows: Rows) -> Rows:
    """Send the rows, compact all of them, then all again when tombstones are old."""
    topic = f"t{next(_numbers)}"
    # As it was before it was compacted, so that records without a key are there.
    log.create_topic(topic, columns, key=key)
    with log.producer(acks="published") as producer:
        for row in rows[: len(rows) // 2]:
            producer.send(topic, row, partition=0)
        producer.flush()
        if rows[len(rows) // 2 :]:
            producer.send_batch(topic, rows[len(rows) // 2 :], partition=0)
        log.topic(topic).native_partition(0).end_segment()
        producer.send_batch(topic, rows[:1], partition=0)
    log.alter_topic(topic, cleanup_policy="compact", delete_retention="1h")
    now = time.time_ns() // 1000
    apply_retention(log, topic, now_us=now)
    apply_retention(log, topic, now_us=now + 3_600 * 10**6)
    return rows_of(log, topic)[:-1]


def expected(rows: Rows, key_of: Callable[[dict[str, Any]], Hashable]) -> Rows:
    """Return what the model leaves of the rows; None is no key."""
    names: dict[Hashable, str] = {}
    stored = []
    for offset, row in enumerate(rows):
        key = key_of(row)
        name = None if key is None else names.setdefault(key, str(len(names)))
        stored.append(Stored(offset, name, row["n"]))
    model = CompactedModel(stored)
    for now in (0, 1):
        model.compact(len(rows), now=now, delete_retention=1)
    return [rows[its.offset] for its in model.records]


@pytest.mark.parametrize("type_name", VALUES)
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_the_last_record_of_a_key_of_any_type_stays(
    log: ps.Log, type_name: str, data: st.DataObject
) -> None:
    some = data.draw(st.lists(VALUES[type_name], min_size=1, max_size=4))
    rows = data.draw(
        st.lists(
            st.fixed_dictionaries(
                {"k": st.none() | st.sampled_from(some), "n": st.none() | st.integers(0, 99)}
            ),
            min_size=1,
            max_size=20,
        )
    )

    def key_of(row: dict[str, Any]) -> bytes | None:
        return None if row["k"] is None else model_key(row["k"], type_name)

    found = compacted(log, {"k": type_name, "n": "int64"}, ["k"], rows)
    assert found == expected(rows, key_of)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "a": st.none() | TEXT.map(lambda text: text[:1]),
                "b": st.none() | st.integers(0, 1),
                "n": st.none() | st.integers(0, 99),
            }
        ),
        min_size=1,
        max_size=20,
    )
)
@example(rows=[{"a": None, "b": None, "n": n} for n in (1, 2, None)])
@example(rows=[{"a": "", "b": None, "n": 1}, {"a": None, "b": None, "n": 2}])
def test_in_a_key_of_several_columns_null_is_a_value(log: ps.Log, rows: Rows) -> None:
    found = compacted(log, {"a": "string", "b": "int16", "n": "int64"}, ["b", "a"], rows)
    assert found == expected(rows, lambda row: (row["a"], row["b"]))
