"""The oracle is judged too: its examples run, and its windows match a definition by brute force."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle import aggregates, counts, sessions, windows
from tests.oracle.windows import Record, run, window_starts


def test_examples_in_the_oracle_hold():
    for module, least in ((windows, 15), (sessions, 10), (counts, 2), (aggregates, 15)):
        failed, attempted = doctest.testmod(module)
        assert attempted > least
        assert failed == 0


@given(st.integers(-50, 50), st.integers(1, 12), st.integers(1, 12), st.integers(-11, 11))
def test_window_starts_are_exactly_the_windows_that_hold_the_time(timestamp, size, slide, offset):
    expected = [
        start
        for start in range(-200, 200)
        if (start - offset) % slide == 0 and start <= timestamp < start + size
    ]
    assert window_starts(timestamp, size, slide, offset) == expected


def test_window_closes_exactly_when_the_bound_has_passed_its_end():
    for largest, fired in ((64_999, None), (65_000, 1)):
        stream = [Record(0), Record(largest)]
        result = run(stream, size=60_000, out_of_orderness=5_000)
        assert result.panes[0].fired_after == fired


def test_record_is_judged_by_the_watermark_before_it():
    # The record at 20 closes [0, 10) only after it was processed; the second record at 5 is late.
    result = run([Record(5), Record(20), Record(5)], size=10)
    assert result.late == [2]


def test_hopping_record_counts_in_the_windows_still_open():
    # Windows of 30 every 10. At watermark 34 those ending at 10, 20, 30 have fired.
    result = run([Record(0), Record(35), Record(12), Record(-1)], size=30, slide=10)
    assert [(p.start, p.members) for p in result.panes] == [
        (-20, [0]),
        (-10, [0]),
        (0, [0]),
        (10, [1, 2]),
        (20, [1]),
        (30, [1]),
    ]
    assert result.late == [3]


def test_slowest_partition_holds_the_watermark():
    stream = [Record(5, partition=0), Record(50, partition=0), Record(7, partition=1)]
    assert run(stream, size=10).panes[0].members == [0, 2]
    assert run(stream, size=10, partitions=[0, 1, 2]).panes[0].fired_after is None


def test_stopped_job_fires_nothing_that_is_open():
    result = run([Record(5)], size=10, end_of_input=False)
    assert result.panes == []
    assert [(p.start, p.members) for p in result.open_panes] == [(0, [0])]


@pytest.mark.parametrize(("size", "slide", "offset"), [(0, 1, 0), (5, 0, 0), (5, 5, 5)])
def test_windows_that_do_not_exist_are_refused(size, slide, offset):
    with pytest.raises(ValueError, match="no such windows"):
        run([], size=size, slide=slide, offset=offset)
