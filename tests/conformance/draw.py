"""Draws the rows of a case, and tells whether they meet what the case is there for."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TypeVar

from pystream.testing import Case, InputRow, Spec
from tests.conformance.cells import ERAS, NULLS, Cell
from tests.conformance.expect import expect, run_oracle
from tests.oracle.windows import Result, cumulative_windows, is_closed, same_key, window_starts

ROWS = 24
ROWS_WITH_LATENESS = 32  # time has to pass the end of a window by more
ROWS_OF_LONG_CELLS = 80  # several partitions have to do so
KEYS = ("a", "ä", "")  # an empty key is not a null one
BEYOND_DOUBLES = 2**53 + 1  # a sum that went through a float would lose the 1
ATTEMPTS = 20_000

Choice = TypeVar("Choice")


class Dice:
    """Random numbers that are the same on every version of Python: all come from ``random()``."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed).random

    def below(self, limit: int) -> int:
        return int(self._random() * limit)

    def one_in(self, chances: int) -> bool:
        return self.below(chances) == 0

    def one_of(self, choices: Sequence[Choice]) -> Choice:
        return choices[self.below(len(choices))]


def draw_case(cell: Cell) -> Case:
    """Return the first case that shows everything which its cell is there for."""
    for attempt in range(ATTEMPTS):
        rows = tuple(_rows(cell, Dice(f"{cell.name} {attempt}")))
        if all(is_shown for _, is_shown in _claims(cell, rows)):  # stops at the first that is not
            return expect(cell.name, cell.spec, rows)
    raise AssertionError(f"no rows were found for {cell.name}")


def lacks(cell: Cell, rows: tuple[InputRow, ...]) -> list[str]:
    """Return what the rows do not show."""
    return [what for what, is_shown in _claims(cell, rows) if not is_shown]


def _rows(cell: Cell, dice: Dice) -> Iterator[InputRow]:
    null_keys, null_values = NULLS[cell.nulls]
    clock = ERAS[cell.era]
    partition = 0
    lateness = cell.spec.allowed_lateness_ms
    back: int | None = None
    times: list[int] = []
    behind: list[int] = []  # partitions that are to catch up before a row goes back
    for _ in range(_row_count(cell)):
        clock += dice.below(6)
        lag = dice.below(30 + lateness) if dice.one_in(4) else dice.below(4)
        if behind:
            lag, partition = 0, behind.pop()
        elif back is not None:
            lag, back = clock - back, None
        elif (lateness or cell.is_long) and times and dice.one_in(4):
            back = dice.one_of(times[-20:] if cell.is_long else times)
            moment = _moment_of_forgetting(cell.spec, back) - dice.below(2)
            if cell.is_long and dice.one_in(2):
                moment -= lateness  # that of closing
            clock, lag = max(clock, moment), 0
            behind = [p for p in range(cell.spec.partitions) if p != partition]
        value = BEYOND_DOUBLES if dice.one_in(10) else dice.below(100) - 20
        if not behind and dice.one_in(3):  # so that batches of several rows lie between the changes
            partition = dice.below(cell.spec.partitions)
        times.append(clock - lag)
        yield InputRow(
            clock - lag,
            None if null_keys and dice.one_in(3) else dice.one_of(KEYS),
            None if null_values and dice.one_in(3) else value,
            partition,
        )


def _row_count(cell: Cell) -> int:
    if cell.is_long:
        return ROWS_OF_LONG_CELLS
    return ROWS_WITH_LATENESS if cell.spec.allowed_lateness_ms else ROWS


def _moment_of_forgetting(spec: Spec, ts_ms: int) -> int:
    """Return the first time at which a row's earliest window takes no more rows."""
    return _ends(spec, ts_ms)[0] + spec.allowed_lateness_ms + spec.watermark_delay_ms


def _claims(cell: Cell, rows: tuple[InputRow, ...]) -> Iterator[tuple[str, bool]]:
    spec = cell.spec
    result = run_oracle(spec, rows)
    entered = {index for pane in [*result.panes, *result.open_panes] for index in pane.members}
    in_force = [None, *result.watermarks[:-1]]
    behind = {n for n, w in enumerate(in_force) if w is not None and rows[n].ts_ms <= w}
    yield "a row behind the watermark that is accepted", bool(behind & entered)
    yield "a late row", bool(result.late)
    yield "a window that fires before the end", any(p.fired_after is not None for p in result.panes)
    if spec.trigger.kind != "on_close":
        yield "two panes of one key and window", _has_second_pane(result)
        yield from _claims_of_all(cell, rows, entered)
        return
    last = result.open_panes if not spec.end_of_input else result.panes
    yield "a window that is open at the end", any(p.fired_after is None for p in last)
    is_session = spec.window.kind == "session"
    if not is_session or (spec.partitions == 1 and not spec.allowed_lateness_ms):
        closed, open_ = _nearest_misses(spec, rows, in_force)
        yield "a row for a window that just closed", closed
        yield "a row for a window that is about to close", open_
    if spec.allowed_lateness_ms:
        yield "a row that fires its own pane", any(pane.is_own for pane in result.panes)
    if is_session and spec.allowed_lateness_ms:
        fired_early, fired_late = _growth(result)
        yield "a session that grows behind its end and fires at once", fired_early
        yield "a session that has fired, grows and fires when it ends anew", fired_late
    elif is_session and spec.partitions == 1:
        yield from _session_claims(spec, rows, result, in_force)
    elif spec.allowed_lateness_ms:
        yield "a second pane of one key and window", _has_second_pane(result)
        gone, kept = _nearest_misses(spec, rows, in_force, spec.allowed_lateness_ms)
        yield "a row for a window that was just forgotten", gone
        yield "a row for a window that is about to be forgotten", kept
    if spec.window.kind in ("hopping", "cumulate"):
        yield "a row that enters some of its windows", _is_partly_late(spec, rows, result)
    yield from _claims_of_all(cell, rows, entered)
    if spec.partitions > 1:
        yield (
            "rows in every partition",
            {row.partition for row in rows} == set(range(spec.partitions)),
        )
        alone = run_oracle(Spec(spec.window, spec.watermark_delay_ms), rows)
        yield "a row that one partition would have made late", set(alone.late) > set(result.late)


def _claims_of_all(
    cell: Cell, rows: tuple[InputRow, ...], entered: set[int]
) -> Iterator[tuple[str, bool]]:
    null_keys, null_values = NULLS[cell.nulls]
    times = [row.ts_ms for row in rows]
    yield "null keys that are counted", null_keys == any(rows[n].key is None for n in entered)
    yield "null values that are counted", null_values == any(rows[n].value is None for n in entered)
    yield (
        "its era",
        (times[0] < 0, max(times) >= 0)
        == {
            "before_1970": (True, False),
            "across_1970": (True, True),
            "after_1970": (False, True),
        }[cell.era],
    )


def _session_claims(
    spec: Spec, rows: tuple[InputRow, ...], result: Result, in_force: Sequence[int | None]
) -> Iterator[tuple[str, bool]]:
    late = set(result.late)
    alone = {
        n
        for n, (row, watermark) in enumerate(zip(rows, in_force, strict=True))
        if watermark is not None and is_closed(_ends(spec, row.ts_ms)[0], watermark)
    }
    yield "a row that an open session saves", bool(alone - late)
    yield "a row next to a session that has fired", _is_next_to_a_fired_one(rows, result)
    # Without a delay no two sessions of a key are open at once.
    if spec.watermark_delay_ms > 0:
        yield "a row that bridges two sessions", _is_bridged(spec, rows, result)


def _growth(result: Result) -> tuple[bool, bool]:
    """Tell whether a fired session became longer and fired at once, and one at its new end."""
    at_once = at_its_end = False
    for number, pane in enumerate(result.panes):
        for before in result.panes[:number]:
            if set(before.members) < set(pane.members) and before.end < pane.end:
                at_once |= pane.is_own
                at_its_end |= not pane.is_own
    return at_once, at_its_end


def _is_next_to_a_fired_one(rows: tuple[InputRow, ...], result: Result) -> bool:
    """Tell whether a row would have joined a session, had that not fired."""
    return any(
        pane.fired_after is not None
        and any(
            n > pane.fired_after
            and (row.key,) == pane.key
            and pane.start <= row.ts_ms <= pane.end
            and n not in pane.members
            for n, row in enumerate(rows)
        )
        for pane in result.panes
    )


def _is_bridged(spec: Spec, rows: tuple[InputRow, ...], result: Result) -> bool:
    """Tell whether there is a row without which there would be more sessions."""
    whole = len(result.panes) + len(result.open_panes)
    for n in range(len(rows)):
        without = run_oracle(spec, rows, without=n)
        if len(without.panes) + len(without.open_panes) > whole:
            return True
    return False


def _nearest_misses(
    spec: Spec, rows: tuple[InputRow, ...], in_force: Sequence[int | None], lateness: int = 0
) -> tuple[bool, bool]:
    """Tell whether a row comes when a window of its own has just closed, or is about to.

    With lateness, whether it has just been forgotten.
    """
    just_closed = about_to_close = False
    for row, watermark in zip(rows, in_force, strict=True):
        if watermark is not None:
            ends = _ends(spec, row.ts_ms)
            just_closed |= watermark + 1 - lateness in ends
            about_to_close |= watermark + 2 - lateness in ends
    return just_closed, about_to_close


def _has_second_pane(result: Result) -> bool:
    windows = [(same_key(pane.key), pane.start, pane.end) for pane in result.panes]
    return len(set(windows)) < len(windows)


def _is_partly_late(spec: Spec, rows: tuple[InputRow, ...], result: Result) -> bool:
    in_force = result.watermarks
    return any(
        len({is_closed(end, in_force[n]) for end in _ends(spec, rows[n + 1].ts_ms)}) == 2
        for n in range(len(rows) - 1)
    )


def _ends(spec: Spec, ts_ms: int) -> list[int]:
    if spec.window.gap_ms is not None:  # of the row alone
        return [ts_ms + spec.window.gap_ms]
    size, slide = spec.window.size_ms, spec.window.distance_ms
    assert size is not None
    assert slide is not None
    if spec.window.step_ms is not None:
        windows = cumulative_windows(ts_ms, size, spec.window.step_ms, spec.window.offset_ms)
        return [end for _, end in windows]
    starts = window_starts(ts_ms, size, slide, spec.window.offset_ms)
    return [start + size for start in starts]
