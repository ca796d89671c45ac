"""The cells that the committed cases cover: every combination that a rule could get wrong alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pystream.testing import Spec, TriggerSpec, WindowSpec

# Sizes are a few milliseconds, so that a few rows meet every edge of a window.
WINDOWS = {
    "tumbling": WindowSpec("tumbling", size_ms=10),
    "tumbling_offset": WindowSpec("tumbling", size_ms=10, offset_ms=-3),
    "hopping": WindowSpec("hopping", size_ms=12, slide_ms=4),
    "hopping_uneven": WindowSpec("hopping", size_ms=10, slide_ms=4, offset_ms=1),
    "cumulate": WindowSpec("cumulate", size_ms=12, step_ms=4, offset_ms=3),
}
SESSIONS = {"session": WindowSpec("session", gap_ms=6)}
# No row is late for them, whatever its time.
TIMELESS = {
    "count": WindowSpec("count", size=4),
    "count_sliding": WindowSpec("count", size=4, slide=3),
    "global": WindowSpec("global"),
}
TRIGGERED = ("session", "count", "global")  # besides WINDOWS; overlapping counts have no triggers
EVERY_WINDOW = {**WINDOWS, **SESSIONS, **TIMELESS}
NULLS = {
    "no_nulls": (False, False),
    "null_keys": (True, False),
    "null_values": (False, True),
    "null_keys_and_values": (True, True),
}
# First event time. The far ones need more than 32 bits and lie on no edge of a window.
ERAS = {
    "before_1970": -1_999_999_999_993,
    "across_1970": -30,
    "after_1970": 1_700_000_000_003,
}
ENDS = {"ended": True, "stopped": False}
DELAYS_MS = (0, 7)
LATENESS_MS = (3, 15)  # shorter and longer than a window; most cells have none
TRIGGERS = {
    "on_update": TriggerSpec("on_update"),
    "count": TriggerSpec("count", every=3),
    "time": TriggerSpec("time", every_ms=3),
    "on_close": TriggerSpec(),
}
ACCUMULATIONS = ("accumulating", "discarding")


@dataclass(frozen=True)
class Cell:
    """One combination; ``nulls`` and ``era`` are names of the tables above."""

    name: str
    group: str
    spec: Spec
    nulls: str
    era: str
    is_long: bool = False  # it takes many rows to show everything


def cells() -> Iterator[Cell]:
    """Yield the cells of each family of windows, then those of lateness, triggers, partitions."""
    families = [*_family(WINDOWS), *_family(SESSIONS)]
    yield from families
    yield from _lateness()
    yield from _triggers(WINDOWS)
    yield from _partitions(families)
    yield from _timeless()
    yield from _triggers(TRIGGERED)


def _family(windows: Mapping[str, WindowSpec]) -> Iterator[Cell]:
    """Yield all cells of one partition, then those of several, through which the rest rotates."""
    for window, nulls, era, end, delay in itertools.product(windows, NULLS, ERAS, ENDS, DELAYS_MS):
        yield _cell(window, nulls, era, end, delay=delay, partitions=1)
    rest = itertools.cycle(itertools.product(ERAS, NULLS))
    for partitions, window, end, delay in itertools.product((2, 3), windows, ENDS, DELAYS_MS):
        era, nulls = next(rest)
        yield _cell(window, nulls, era, end, delay=delay, partitions=partitions)


def _lateness() -> Iterator[Cell]:
    """Yield all cells but of delays, which rotate through them, as durations do."""
    rest = itertools.cycle(itertools.product(LATENESS_MS, DELAYS_MS))
    for windows in (WINDOWS, SESSIONS):
        for nulls, era, end, window in itertools.product(NULLS, ERAS, ENDS, windows):
            lateness, delay = next(rest)
            yield _cell(window, nulls, era, end, delay=delay, lateness=lateness)


def _timeless() -> Iterator[Cell]:
    """Yield all cells but of delays, and of several partitions those of windows and ends."""
    delays = itertools.cycle(DELAYS_MS)
    for window, nulls, era, end in itertools.product(TIMELESS, NULLS, ERAS, ENDS):
        yield _cell(window, nulls, era, end, delay=next(delays))
    rest = itertools.cycle(itertools.product(ERAS, NULLS))
    for partitions, window, end in itertools.product((2, 3), TIMELESS, ENDS):
        era, nulls = next(rest)
        yield _cell(window, nulls, era, end, delay=next(delays), partitions=partitions)


def _triggers(windows: Iterable[str]) -> Iterator[Cell]:
    """Yield three cells of each trigger, accumulation and window; all else rotates through them."""
    rest = itertools.cycle(itertools.product(ERAS, NULLS))
    lateness_and_end = itertools.cycle(itertools.product((0, *LATENESS_MS), ENDS))
    delays = itertools.cycle(DELAYS_MS)
    for trigger, accumulation, window in itertools.product(TRIGGERS, ACCUMULATIONS, windows):
        for _ in range(3):
            if trigger == "on_close" and accumulation == "accumulating":
                continue  # the cells above
            era, nulls = next(rest)
            lateness, end = next(lateness_and_end)
            if window in TIMELESS:
                lateness = 0
            elif trigger == "on_close" and not lateness:
                lateness = LATENESS_MS[0]
            cell = _cell(window, nulls, era, end, delay=next(delays), lateness=lateness)
            name = f"{trigger}-{accumulation}-{cell.name}"
            spec = replace(
                cell.spec,
                trigger=TRIGGERS[trigger],
                accumulation=accumulation,
                description=f"{trigger}, {accumulation}, {cell.spec.description}".replace("_", " "),
            )
            yield replace(cell, name=name, group="triggers", spec=spec)


def _partitions(families: Sequence[Cell]) -> Iterator[Cell]:
    """Yield what the families lack of three partitions, and all cells of those with lateness."""
    delays = itertools.cycle(DELAYS_MS)
    rest = itertools.cycle(itertools.product(LATENESS_MS, DELAYS_MS))
    there = {
        (cell.spec.window, cell.nulls, cell.era, cell.spec.end_of_input)
        for cell in families
        if cell.spec.partitions == 3
    }
    for window, nulls, era, end in itertools.product({**WINDOWS, **SESSIONS}, NULLS, ERAS, ENDS):
        if ({**WINDOWS, **SESSIONS}[window], nulls, era, ENDS[end]) not in there:
            cell = _cell(window, nulls, era, end, delay=next(delays), partitions=3)
            yield replace(cell, is_long=True)
        lateness, delay = next(rest)
        cell = _cell(window, nulls, era, end, delay=delay, partitions=3, lateness=lateness)
        yield replace(cell, group="lateness_partitions", is_long=True)


def _cell(
    window: str,
    nulls: str,
    era: str,
    end: str,
    *,
    delay: int,
    partitions: int = 1,
    lateness: int = 0,
) -> Cell:
    group = "lateness" if lateness else window if partitions == 1 else "partitions"
    special = [] if partitions == 1 else [f"{partitions}_partitions"]
    special += [f"lateness_{lateness}"] if lateness else []
    parts = [window, *special, nulls, era, end, f"delay_{delay}"]
    return Cell(
        "-".join(parts),
        group,
        Spec(
            EVERY_WINDOW[window],
            watermark_delay_ms=delay,
            allowed_lateness_ms=lateness,
            partitions=partitions,
            end_of_input=ENDS[end],
            description=", ".join(part.replace("_", " ") for part in parts),
        ),
        nulls,
        era,
    )
