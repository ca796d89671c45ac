"""Aggregates in Python against the model of one record at a time, on random streams.

They do what native ones do, so that the model knows them: in all kinds of windows, cut at random,
over several partitions, by one and two threads.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

import pystream as ps
from tests.pipeline import test_counts_oracle as counts
from tests.pipeline import test_sessions_oracle as sessions
from tests.pipeline import test_windows_oracle as windows
from tests.pipeline.test_aggregates_oracle import check
from tests.pipeline.user_aggregates import AGGREGATES


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ps.Log]:
    with ps.open(tmp_path_factory.mktemp("user-aggregates") / "log") as opened:
        yield opened


topics = (f"user-{number}" for number in itertools.count())


@given(windows.cases())
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_windows_agree_with_the_oracle(log: ps.Log, case: windows.Case) -> None:
    check(log, case, AGGREGATES)


@given(sessions.cases())
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_sessions_agree_with_the_oracle(log: ps.Log, case: sessions.Case) -> None:
    topic = next(topics)
    sessions.publish(log, topic, case)
    wanted, wanted_late = sessions.expected(case, range(case.partitions), AGGREGATES)
    watermark = windows.watermark_of(case)  # type: ignore[arg-type]
    for parallelism in (1, 2):
        env = ps.Environment(log, parallelism=parallelism)
        stream = env.from_topic(topic, watermark=watermark, bounded=True)
        assert sessions.native(stream, case, AGGREGATES) == (wanted, wanted_late)


@given(sessions.cases(), counts.counts())
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_count_windows_agree_with_the_oracle(
    log: ps.Log, case: sessions.Case, size: counts.Counts
) -> None:
    topic = next(topics)
    sessions.publish(log, topic, case)
    wanted = counts.expected(case, size, AGGREGATES)
    watermark = windows.watermark_of(case)  # type: ignore[arg-type]
    for parallelism in (1, 2):
        env = ps.Environment(log, parallelism=parallelism)
        stream = env.from_topic(topic, watermark=watermark, bounded=True)
        assert counts.native(stream, case, size, AGGREGATES) == wanted
