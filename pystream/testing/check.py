"""Compares what a run gave with what the case expects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pystream.testing.case import Case, Result
from pystream.testing.csv_lines import join_line
from pystream.testing.files import expected_lines
from pystream.testing.run import run_case

if TYPE_CHECKING:
    from pystream.log import Log

__all__ = ["check_case", "check_result"]


def check_case(
    case: Case, *, log: Log | None = None, cuts: Iterable[int] | None = None, threads: int = 1
) -> None:
    """Run a case and compare.

    Parameters
    ----------
    case : Case
    log, cuts, threads
        As in :func:`run_case`.

    Raises
    ------
    AssertionError
        If a row is missing or too much; the message shows each.
    ConfigError
        If the case asks for what the engine does not do.

    Examples
    --------
    >>> from pystream.testing import InputRow, Spec, WindowSpec
    >>> rows = (InputRow(1, "a", 5),)
    >>> case = Case("short", Spec(WindowSpec("tumbling", size_ms=10)), rows, panes=(), late=(0,))
    >>> check_case(case)
    Traceback (most recent call last):
    AssertionError: case short: 1 row is missing (-), 1 is extra (+)
    - late,,,,,,,,,,0 = row 1,a,5
    + pane,a,0,10,0,1,1,5,5,5,
    """
    cuts = None if cuts is None else list(cuts)
    result = run_case(case, log=log, cuts=cuts, threads=threads)
    how = [f"cuts {cuts}"] if cuts else []
    how += [f"{threads} threads"] if threads != 1 else []
    check_result(case, result, how=", ".join(how))


def check_result(case: Case, result: Result, *, how: str = "") -> None:
    """Compare a result with what the case expects; the order of rows does not count.

    Parameters
    ----------
    case : Case
    result : Result
        Of any engine.
    how : str, optional
        The result came about; for the message.

    Raises
    ------
    AssertionError
        If a row is missing or too much.
    """
    expected = Counter(expected_lines(case.panes, case.late))
    found = Counter(expected_lines(result.panes, result.late))
    missing, extra = expected - found, found - expected
    if not missing and not extra:
        return
    title = f"case {case.name}{f' ({how})' if how else ''}: "
    amount = f"{missing.total()} {'row is' if missing.total() == 1 else 'rows are'} missing (-)"
    lines = [f"- {_shown(case, line)}" for line in missing.elements()]
    lines += [f"+ {_shown(case, line)}" for line in extra.elements()]
    raise AssertionError(
        "\n".join([f"{title}{amount}, {extra.total()} {_are(extra)} extra (+)", *lines])
    )


def _are(rows: Counter[str]) -> str:
    return "is" if rows.total() == 1 else "are"


def _shown(case: Case, line: str) -> str:
    """Return a line of expected rows, a late one with the input row that it names."""
    if not line.startswith("late,"):
        return line
    row = case.rows[int(line.rpartition(",")[2])]
    return f"{line} = row {join_line([row.ts_ms, row.key, row.value])}"
