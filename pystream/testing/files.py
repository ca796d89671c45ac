"""The three files of a conformance case; see ``docs/formats/conformance.md``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from pystream.errors import ConfigError, SchemaError
from pystream.testing.case import Case, InputRow, PaneRow
from pystream.testing.csv_lines import join_line, read_table
from pystream.testing.spec import Spec

__all__ = ["expected_lines", "load_case", "save_case"]

INPUT: Final = ("ts_ms", "key", "value", "partition")
EXPECTED: Final = (
    *("kind", "key", "window_start", "window_end", "pane"),
    *("count", "count_nonnull", "sum", "min", "max", "row"),
)
_WHOLE: Final = re.compile(r"-?[0-9]{1,19}")

_Parsed = TypeVar("_Parsed")


def load_case(path: str | os.PathLike[str]) -> Case:
    r"""Read a case.

    Parameters
    ----------
    path : str or path
        Of one of the three files, or what their names have in common: ``cases/NAME`` for
        ``NAME.spec.json``, ``NAME.input.csv`` and ``NAME.expected.csv`` in ``cases``.

    Returns
    -------
    Case
        Whose name is NAME.

    Raises
    ------
    ConfigError
        If a setting of the spec is wrong.
    SchemaError
        If a line of input or expected rows is wrong. Both name the file and, where it is known,
        the line.
    FileNotFoundError
        If one of the files is missing.

    Examples
    --------
    >>> import pathlib
    >>> spec = '{"format_version": 1, "window": {"kind": "tumbling", "size_ms": 10}}'
    >>> _ = pathlib.Path("one.spec.json").write_text(spec)
    >>> _ = pathlib.Path("one.input.csv").write_text("ts_ms,key,value\n7,a,\n")
    >>> expected = "kind,key,window_start,window_end,pane,count,count_nonnull,sum,min,max,row\n"
    >>> _ = pathlib.Path("one.expected.csv").write_text(expected + "pane,a,0,10,0,1,0,,,,\n")
    >>> load_case("one").rows
    (InputRow(ts_ms=7, key='a', value=None, partition=0),)
    """
    base = _base(path)
    spec = _read(_file(base, "spec.json"), Spec.from_json)
    rows = _read(_file(base, "input.csv"), lambda text: _input_rows(text, spec))
    panes, late = _read(
        _file(base, "expected.csv"), lambda text: _expected_rows(text, spec, len(rows))
    )
    return Case(base.name, spec, rows, panes, late)


def save_case(case: Case, directory: str | os.PathLike[str]) -> None:
    """Write the three files of a case; the same case gives the same bytes.

    Parameters
    ----------
    case : Case
    directory : str or path
        Must exist; files of a case of that name are replaced.
    """
    base = Path(directory) / case.name
    columns = INPUT if case.spec.partitions > 1 else INPUT[:3]
    lines = [join_line([getattr(row, column) for column in columns]) for row in case.rows]
    _write(_file(base, "spec.json"), case.spec.to_json())
    _write(_file(base, "input.csv"), "\n".join([join_line(columns), *lines, ""]))
    _write(
        _file(base, "expected.csv"),
        "\n".join([join_line(EXPECTED), *expected_lines(case.panes, case.late), ""]),
    )


def expected_lines(panes: tuple[PaneRow, ...], late: tuple[int, ...]) -> list[str]:
    """Return the lines of ``NAME.expected.csv`` below its header, in their order."""

    def place(pane: PaneRow) -> tuple[int, int, bool, str, int]:
        start, end = pane.window_start or 0, pane.window_end or 0
        return end, start, pane.key is not None, pane.key or "", pane.pane

    lines = [
        join_line(["pane", *(getattr(pane, column) for column in EXPECTED[1:-1]), None])
        for pane in sorted(panes, key=place)
    ]
    blanks = [None] * (len(EXPECTED) - 2)
    return lines + [join_line(["late", *blanks, row]) for row in sorted(late)]


def _input_rows(text: str, spec: Spec) -> tuple[InputRow, ...]:
    headers = [INPUT] if spec.partitions > 1 else [INPUT[:3], INPUT]
    rows = []
    for line, fields in read_table(text, headers):
        cells = _Cells(line, dict(zip(INPUT, fields, strict=True)))
        partition = cells.optional("partition")
        if partition is None and spec.partitions > 1:
            raise cells.error("partition", "a number, for the spec has several partitions")
        if not 0 <= (partition or 0) < spec.partitions:
            raise cells.error("partition", f"one below {spec.partitions}, as the spec has it")
        rows.append(
            InputRow(
                cells.whole("ts_ms"),
                cells.text("key"),
                cells.optional("value"),
                partition or 0,
            )
        )
    return tuple(rows)


def _expected_rows(
    text: str, spec: Spec, num_rows: int
) -> tuple[tuple[PaneRow, ...], tuple[int, ...]]:
    panes: list[PaneRow] = []
    late: list[int] = []
    for line, fields in read_table(text, [EXPECTED]):
        cells = _Cells(line, dict(zip(EXPECTED, fields, strict=True)))
        match cells.text("kind"):
            case "pane":
                panes.append(_pane(cells, spec))
            case "late":
                cells.nothing_but("kind", "row")
                row = cells.whole("row")
                if not 0 <= row < num_rows or row in late:
                    raise cells.error("row", f"another row of the input, of 0 to {num_rows - 1}")
                late.append(row)
            case _:
                raise cells.error("kind", "pane or late")
    return tuple(panes), tuple(late)


def _pane(cells: _Cells, spec: Spec) -> PaneRow:
    cells.nothing_but(*EXPECTED[:-1])
    start, end = cells.optional("window_start"), cells.optional("window_end")
    if spec.window.has_time and (start is None or end is None or start >= end):
        raise cells.error("window_end", "a time after window_start")
    if not spec.window.has_time and (start is not None or end is not None):
        raise cells.error("window_end", f"nothing, for a {spec.window.kind} window has no time")
    count, values = cells.whole("count", minimum=1), cells.whole("count_nonnull", minimum=0)
    if values > count:
        raise cells.error("count_nonnull", f"at most the count {count}")
    results = {name: cells.optional(name) for name in ("sum", "min", "max")}
    for name, result in results.items():
        if (result is None) != (values == 0):
            raise cells.error(name, "nothing" if values == 0 else "a number")
    return PaneRow(
        cells.text("key"),
        start,
        end,
        cells.whole("pane", minimum=0),
        count=count,
        count_nonnull=values,
        **results,
    )


class _Cells:
    """The fields of one line by column, with errors that say where they stand."""

    def __init__(self, line: int, fields: dict[str, str | None]) -> None:
        self._line = line
        self._fields = fields

    def text(self, column: str) -> str | None:
        return self._fields[column]

    def optional(self, column: str) -> int | None:
        return None if self._fields[column] is None else self.whole(column)

    def whole(self, column: str, minimum: int = -(2**63)) -> int:
        field = self._fields[column]
        value = int(field) if field is not None and _WHOLE.fullmatch(field) else None
        if value is None or not minimum <= value < 2**63:
            at_least = "" if minimum < 0 else f" from {minimum}"
            raise self.error(column, f"a whole number{at_least} that fits int64")
        return value

    def nothing_but(self, *columns: str) -> None:
        for column, field in self._fields.items():
            if field is not None and column not in columns:
                raise self.error(column, f"nothing in a row of kind {self._fields['kind']}")

    def error(self, column: str, expected: str) -> SchemaError:
        got = self._fields[column]
        shown = "nothing" if got is None else repr(got)
        return SchemaError(
            f"line {self._line}: {column} is {shown}. Write {expected}.",
            column=column,
            expected=expected,
            got=shown,
        )


def _base(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    for ending in (".spec.json", ".input.csv", ".expected.csv"):
        if path.name.endswith(ending):
            return path.with_name(path.name.removesuffix(ending))
    return path


def _file(base: Path, ending: str) -> Path:
    return base.with_name(f"{base.name}.{ending}")


def _read(path: Path, parse: Callable[[str], _Parsed]) -> _Parsed:
    try:
        return parse(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise SchemaError(
            f"{path}: byte {error.start} is not UTF-8. Save the file in that encoding."
        ) from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    except SchemaError as error:
        facts = {"column": error.column, "expected": error.expected, "got": error.got}
        raise SchemaError(f"{path}: {error}", **facts) from error


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
