"""What a conformance case holds, and what a run of it gives."""

from __future__ import annotations

from dataclasses import dataclass

from pystream.testing.spec import Spec

__all__ = ["Case", "InputRow", "PaneRow", "Result"]


@dataclass(frozen=True)
class InputRow:
    """One record, in order of arrival.

    Attributes
    ----------
    ts_ms : int
        Event time in milliseconds since 1970, negative before.
    key : str or None
    value : int or None
        Fits int64.
    partition : int, default 0
        Of the topic that the record is appended to.
    """

    ts_ms: int
    key: str | None
    value: int | None
    partition: int = 0


@dataclass(frozen=True)
class PaneRow:
    """One result row: a key in a window, as it fired.

    Attributes
    ----------
    key : str or None
    window_start, window_end : int or None
        In milliseconds since 1970, the end exclusive; None for windows without time.
    pane : int, default 0
        How often the window had fired for this key before.
    count, count_nonnull : int
        Rows, and rows whose value is not null.
    sum, min, max : int or None
        Of the values; None when all are null.
    """

    key: str | None
    window_start: int | None
    window_end: int | None
    pane: int = 0
    count: int = 0
    count_nonnull: int = 0
    sum: int | None = None
    min: int | None = None
    max: int | None = None


@dataclass(frozen=True)
class Case:
    """A conformance case; read one with :func:`load_case`.

    Attributes
    ----------
    name : str
        For messages.
    spec : Spec
        Window, watermark, and how the input ends.
    rows : tuple of InputRow
        In order of arrival, over all partitions.
    panes : tuple of PaneRow
        What must come out, in any order.
    late : tuple of int
        Numbers of the rows that enter no window; the first row is 0.
    """

    name: str
    spec: Spec
    rows: tuple[InputRow, ...]
    panes: tuple[PaneRow, ...]
    late: tuple[int, ...]


@dataclass(frozen=True)
class Result:
    """What a run gave.

    Attributes
    ----------
    panes : tuple of PaneRow
        In order of firing.
    late : tuple of int
        Numbers of the late rows, in the order in which they came out.
    """

    panes: tuple[PaneRow, ...]
    late: tuple[int, ...]
