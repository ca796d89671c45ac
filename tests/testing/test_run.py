"""Running and checking cases: what the engine cannot do is said, and what differs is shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import pystream as ps
from pystream.engines.local import Progress
from pystream.errors import ConfigError, PipelineError
from pystream.testing import (
    Case,
    InputRow,
    PaneRow,
    Result,
    Spec,
    TriggerSpec,
    WindowSpec,
    check_case,
    check_result,
    run,
    run_case,
)

TEN = WindowSpec("tumbling", size_ms=10)
CASE = Case(
    "three-rows",
    Spec(TEN),
    (InputRow(1, "a", 5), InputRow(12, None, None), InputRow(3, "a", 7)),
    (
        PaneRow("a", 0, 10, count=1, count_nonnull=1, sum=5, min=5, max=5),
        PaneRow(None, 10, 20, count=1, count_nonnull=0),
    ),
    (2,),
)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ps.Log]:
    with ps.open(tmp_path / "log") as opened:
        yield opened


def test_case_holds_in_memory_and_in_a_log_which_is_left_as_it_was(log: ps.Log) -> None:
    log.create_topic("mine", schema={"n": "int64"})
    for where in (None, log):
        for cuts in (None, [], [1], [1, 2]):
            check_case(CASE, log=where, cuts=cuts)
    assert log.topics() == ["mine"]


@pytest.mark.parametrize("log_is_given", [True, False])
def test_stopped_case_leaves_the_last_window_open(log: ps.Log, log_is_given: bool) -> None:
    case = replace(CASE, spec=Spec(TEN, end_of_input=False), panes=CASE.panes[:1])
    check_case(case, log=log if log_is_given else None)
    assert log.topics() == []


def test_job_that_does_not_see_its_rows_fails_in_the_end() -> None:
    stop = run._Stop(3)
    stop(Progress(records_in=2, late_records=0, seconds=100.0))
    stop(Progress(records_in=2, late_records=0, seconds=130.0))
    with pytest.raises(PipelineError, match="read 2 of 3 rows and then none for 30 seconds"):
        stop(Progress(records_in=2, late_records=0, seconds=130.1))


def test_partitions_without_a_log_get_a_temporary_one() -> None:
    rows = (CASE.rows[0], replace(CASE.rows[1], partition=1), CASE.rows[2])
    result = run_case(replace(CASE, spec=Spec(TEN, partitions=2), rows=rows))
    assert [pane.sum for pane in result.panes] == [12, None]
    assert result.late == ()


@pytest.mark.parametrize("end_of_input", [True, False])
def test_what_the_engine_cannot_do_is_refused(end_of_input: bool) -> None:
    spec = Spec(
        WindowSpec("count", size=3, slide=2),
        trigger=TriggerSpec("on_update"),
        end_of_input=end_of_input,
    )
    with pytest.raises(ConfigError, match="overlap"):
        run_case(replace(CASE, spec=spec))


def test_window_without_end_fires_when_the_input_ends() -> None:
    spec = Spec(WindowSpec("global"))
    result = run_case(replace(CASE, spec=spec))
    assert {(pane.key, pane.window_start, pane.window_end) for pane in result.panes} == {
        (row.key, None, None) for row in CASE.rows
    }
    stopped = run_case(replace(CASE, spec=replace(spec, end_of_input=False)))
    assert (stopped.panes, stopped.late) == ((), ())


@pytest.mark.parametrize("cut", [0, 3, -1])
def test_cut_that_begins_no_batch_is_refused(cut: int) -> None:
    with pytest.raises(ConfigError, match=f"cuts has {cut}, but the case has 3 rows"):
        run_case(CASE, cuts=[cut])


def test_difference_shows_every_row_and_how_it_came_about() -> None:
    case = replace(CASE, panes=(replace(CASE.panes[0], sum=6), CASE.panes[1]), late=())
    with pytest.raises(AssertionError) as caught:
        check_case(case, cuts=[2, 1], threads=2)
    assert str(caught.value).splitlines() == [
        "case three-rows (cuts [2, 1], 2 threads): 1 row is missing (-), 2 are extra (+)",
        "- pane,a,0,10,0,1,1,6,5,5,",
        "+ pane,a,0,10,0,1,1,5,5,5,",
        "+ late,,,,,,,,,,2 = row 3,a,7",
    ]


def test_row_that_comes_twice_is_extra() -> None:
    with pytest.raises(AssertionError, match=r"0 rows are missing \(-\), 1 is extra"):
        check_result(CASE, Result((*CASE.panes, CASE.panes[0]), CASE.late))


def test_order_of_rows_does_not_count() -> None:
    check_result(CASE, Result(CASE.panes[::-1], CASE.late))
