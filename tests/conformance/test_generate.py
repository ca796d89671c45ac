"""What is committed is what the generator writes, and covers what it is there for."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.conformance.cells import DELAYS_MS, ENDS, ERAS, NULLS, SESSIONS, WINDOWS, Cell, cells
from tests.conformance.committed import COMMITTED
from tests.conformance.draw import lacks
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
    alone = [cell for cell in cells() if cell.spec.partitions == 1]
    found = {
        (c.group, c.nulls, c.era, c.spec.end_of_input, c.spec.watermark_delay_ms) for c in alone
    }
    assert found == set(
        itertools.product([*WINDOWS, *SESSIONS], NULLS, ERAS, ENDS.values(), DELAYS_MS)
    )
    assert len(found) == len(alone) == 288


@pytest.mark.parametrize("cell", list(cells()), ids=lambda cell: cell.name)
def test_committed_case_shows_what_its_cell_is_for(cell: Cell) -> None:
    (case,) = (case for case in COMMITTED if case.name == cell.name)
    assert case.spec == cell.spec
    assert lacks(cell, case.rows) == []


def test_names_are_unique() -> None:
    names = [case.name for case in COMMITTED]
    assert len(set(names)) == len(names) == len([*cells(), *edges()])
