"""Write the committed cases anew: ``python -m tests.conformance.generate``.

What comes out is the same to the byte until the oracle, the cells or this generator change; a test
compares it with what is committed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from pystream.testing import Case, save_case
from tests.conformance.cells import cells
from tests.conformance.draw import draw_case
from tests.conformance.edges import edges

CASES = Path(__file__).parent / "cases"


def cases() -> Iterator[tuple[str, Case]]:
    """Yield all cases, each with the folder that it belongs to."""
    for cell in cells():
        yield cell.group, draw_case(cell)
    for case in edges():
        yield "edges", case


def generate(directory: Path) -> int:
    """Write all cases below a directory; return how many."""
    everything = list(cases())
    for folder, case in everything:
        (directory / folder).mkdir(parents=True, exist_ok=True)
        save_case(case, directory / folder)
    return len(everything)


if __name__ == "__main__":
    shutil.rmtree(CASES, ignore_errors=True)
    print(f"{generate(CASES)} cases are in {CASES}")
