"""What is committed is what the generator writes, and covers what it is there for."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from pystream.testing import TriggerSpec
from tests.conformance.cells import (
    ACCUMULATIONS,
    DELAYS_MS,
    ENDS,
    ERAS,
    EVERY_WINDOW,
    LATENESS_MS,
    NULLS,
    SESSIONS,
    TIMELESS,
    TRIGGERED,
    TRIGGERS,
    WINDOWS,
    Cell,
    cells,
)
from tests.conformance.claims import lacks
from tests.conformance.committed import COMMITTED
from tests.conformance.edges import edges
from tests.conformance.generate import CASES, generate


def contents(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def test_generating_again_gives_the_committed_bytes(tmp_path: Path) -> None:
    assert generate(tmp_path) == len(COMMITTED)
    written, committed = contents(tmp_path), contents(CASES)
    assert written.keys() == committed.keys()
    differ = [name for name, content in committed.items() if content != written[name]]
    assert differ == []


def test_cells_are_all_combinations() -> None:
    windows = [*WINDOWS, *SESSIONS]
    alone = [cell for cell in cells() if cell.group in windows]
    found = {
        (c.group, c.nulls, c.era, c.spec.end_of_input, c.spec.watermark_delay_ms) for c in alone
    }
    assert found == set(itertools.product(windows, NULLS, ERAS, ENDS.values(), DELAYS_MS))
    assert len(found) == len(alone) == 288


def test_cells_of_counted_and_global_windows_are_all_combinations() -> None:
    alone = [cell for cell in cells() if cell.group in TIMELESS]
    found = {(c.group, c.nulls, c.era, c.spec.end_of_input) for c in alone}
    assert found == set(itertools.product(TIMELESS, NULLS, ERAS, ENDS.values()))
    assert len(found) == len(alone) == 72
    rotated = {(c.group, c.spec.watermark_delay_ms) for c in alone}
    assert rotated == set(itertools.product(TIMELESS, DELAYS_MS))
    spread = [c for c in cells() if not c.spec.window.has_time and c.spec.partitions > 1]
    assert {(c.spec.window, c.spec.partitions, c.spec.end_of_input) for c in spread} == set(
        itertools.product(TIMELESS.values(), (2, 3), ENDS.values())
    )


def test_cells_of_lateness_are_all_combinations() -> None:
    late = [cell for cell in cells() if cell.group == "lateness"]
    found = {(c.spec.window, c.nulls, c.era, c.spec.end_of_input) for c in late}
    windows = [*WINDOWS.values(), *SESSIONS.values()]
    assert found == set(itertools.product(windows, NULLS, ERAS, ENDS.values()))
    rotated = {(c.spec.window, c.spec.allowed_lateness_ms, c.spec.watermark_delay_ms) for c in late}
    assert rotated == set(itertools.product(windows, LATENESS_MS, DELAYS_MS))


@pytest.mark.parametrize("partitions", [1, 3])
def test_windows_lateness_nulls_eras_and_ends_meet_in_all_combinations(partitions: int) -> None:
    plain = [
        c
        for c in cells()
        if c.group != "triggers" and c.spec.partitions == partitions and c.spec.window.has_time
    ]
    found = {
        (c.spec.window, c.spec.allowed_lateness_ms > 0, c.nulls, c.era, c.spec.end_of_input)
        for c in plain
    }
    windows = [*WINDOWS.values(), *SESSIONS.values()]
    assert found == set(itertools.product(windows, (False, True), NULLS, ERAS, ENDS.values()))


def test_cells_of_triggers_are_all_combinations() -> None:
    triggered = [cell for cell in cells() if cell.group == "triggers"]
    found = {(c.spec.trigger, c.spec.accumulation, c.spec.window) for c in triggered}
    windows = [*WINDOWS.values(), *(EVERY_WINDOW[name] for name in TRIGGERED)]
    plain = {(TriggerSpec(), "accumulating", window) for window in windows}
    wanted = set(itertools.product(TRIGGERS.values(), ACCUMULATIONS, windows))
    assert found == wanted - plain
    assert {window for name, window in EVERY_WINDOW.items() if name not in TRIGGERED} == {
        *WINDOWS.values(),
        TIMELESS["count_sliding"],  # which has no triggers
    }
    for kind in TRIGGERS:
        rotated = {c.spec.allowed_lateness_ms for c in triggered if c.spec.trigger.kind == kind}
        assert rotated >= set(LATENESS_MS)


@pytest.mark.parametrize("cell", list(cells()), ids=lambda cell: cell.name)
def test_committed_case_shows_what_its_cell_is_for(cell: Cell) -> None:
    (case,) = (case for case in COMMITTED if case.name == cell.name)
    assert case.spec == cell.spec
    assert lacks(cell, case.rows) == []


def test_names_are_unique() -> None:
    names = [case.name for case in COMMITTED]
    assert len(set(names)) == len(names) == len([*cells(), *edges()])
