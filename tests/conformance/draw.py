"""Draws the rows of a case until they show what the case is there for."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TypeVar

from pystream.testing import Case, InputRow, Spec
from tests.conformance.cells import ERAS, NULLS, Cell
from tests.conformance.claims import ends, shows_all
from tests.conformance.expect import expect

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
        if shows_all(cell, rows):
            return expect(cell.name, cell.spec, rows)
    raise AssertionError(f"no rows were found for {cell.name}")


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
    return ends(spec, ts_ms)[0] + spec.allowed_lateness_ms + spec.watermark_delay_ms
