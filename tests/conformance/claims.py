"""What the rows of a case must show: each claim of its cell, looked up in what the oracle says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pystream.testing import InputRow, Spec, TriggerSpec
from tests.conformance.cells import NULLS, Cell
from tests.conformance.expect import run_oracle
from tests.oracle.windows import Result, cumulative_windows, is_closed, same_key, window_starts


def lacks(cell: Cell, rows: tuple[InputRow, ...]) -> list[str]:
    """Return what the rows do not show."""
    return [what for what, is_shown in _claims(cell, rows) if not is_shown]


def shows_all(cell: Cell, rows: tuple[InputRow, ...]) -> bool:
    """Tell whether nothing is lacking; it stops at the first thing that is."""
    return all(is_shown for _, is_shown in _claims(cell, rows))


def _claims(cell: Cell, rows: tuple[InputRow, ...]) -> Iterator[tuple[str, bool]]:
    spec = cell.spec
    result = run_oracle(spec, rows)
    entered = set(range(len(rows))) - set(result.late)
    in_force = [None, *result.watermarks[:-1]]
    behind = {n for n, w in enumerate(in_force) if w is not None and rows[n].ts_ms <= w}
    yield "a row behind the watermark that is accepted", bool(behind & entered)
    if not spec.window.has_time:
        yield from _claims_without_time(spec, rows, result)
        yield from _claims_of_all(cell, rows, entered)
        return
    yield "a late row", bool(result.late)
    yield "a window that fires before the end", any(p.fired_after is not None for p in result.panes)
    if spec.trigger.kind != "on_close":
        if spec.window.kind == "session":
            yield from _claims_of_session_triggers(spec, rows, result)
        else:
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
        fired_early, fired_late = _growth(
            run_oracle(replace(spec, accumulation="accumulating"), rows)
        )
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
        yield "rows in every partition", _partitions(rows) == set(range(spec.partitions))
        alone = run_oracle(Spec(spec.window, spec.watermark_delay_ms), rows)
        yield "a row that one partition would have made late", set(alone.late) > set(result.late)


def _claims_without_time(
    spec: Spec, rows: tuple[InputRow, ...], result: Result
) -> Iterator[tuple[str, bool]]:
    """Yield the claims of counted and global windows, for which no row is late."""
    yield "no late row", not result.late
    plain = run_oracle(replace(spec, trigger=TriggerSpec(), accumulation="accumulating"), rows)
    if spec.window.kind == "count":
        complete = {index for pane in plain.panes for index in pane.members}
        yield "a complete window", bool(complete)
        yield "rows of a window that is not complete", len(complete) < len(rows)
    elif spec.end_of_input and spec.trigger.kind != "on_update":
        last = [pane for pane in result.panes if pane.fired_after is None]
        yield "windows that the end of input fires", len(last) > 1
    if spec.trigger.kind != "on_close":
        yield "panes that the trigger alone fires", len(result.panes) > len(plain.panes)
        if spec.accumulation == "discarding":
            both = run_oracle(replace(spec, accumulation="accumulating"), rows)
            lengths = [[len(p.members) for p in each.panes] for each in (result, both)]
            yield "a pane that lacks what was shown", lengths[0] != lengths[1]
    if spec.trigger.kind == "time":
        yield "a pane that the watermark fires", _is_fired_by_watermark(spec, result)
    if spec.partitions > 1:
        yield "rows in every partition", _partitions(rows) == set(range(spec.partitions))


def _claims_of_session_triggers(
    spec: Spec, rows: tuple[InputRow, ...], result: Result
) -> Iterator[tuple[str, bool]]:
    yield "two panes of one session", _has_second_pane_of_session(result)
    if spec.trigger.kind == "time":
        yield "a pane that the watermark fires", _is_fired_by_watermark(spec, result)
    if spec.watermark_delay_ms > 0 and not spec.allowed_lateness_ms:
        plain = replace(spec, trigger=TriggerSpec(), accumulation="accumulating")
        yield "a row that bridges two sessions", _is_bridged(plain, rows, run_oracle(plain, rows))


def _is_fired_by_watermark(spec: Spec, result: Result) -> bool:
    """Tell whether the watermark fired a window that it had not passed."""
    return any(
        pane.fired_after is not None
        and not pane.is_own
        and (not spec.window.has_time or result.watermarks[pane.fired_after] < pane.end - 1)
        for pane in result.panes
    )


def _has_second_pane_of_session(result: Result) -> bool:
    """Tell whether two panes of a key overlap: they are of one session, which may have grown."""
    return any(
        same_key(pane.key) == same_key(other.key)
        and pane.start < other.end
        and other.start < pane.end
        for number, pane in enumerate(result.panes)
        for other in result.panes[:number]
    )


def _partitions(rows: tuple[InputRow, ...]) -> set[int]:
    return {row.partition for row in rows}


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
        if watermark is not None and is_closed(ends(spec, row.ts_ms)[0], watermark)
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
            own = ends(spec, row.ts_ms)
            just_closed |= watermark + 1 - lateness in own
            about_to_close |= watermark + 2 - lateness in own
    return just_closed, about_to_close


def _has_second_pane(result: Result) -> bool:
    windows = [(same_key(pane.key), pane.start, pane.end) for pane in result.panes]
    return len(set(windows)) < len(windows)


def _is_partly_late(spec: Spec, rows: tuple[InputRow, ...], result: Result) -> bool:
    in_force = result.watermarks
    return any(
        len({is_closed(end, in_force[n]) for end in ends(spec, rows[n + 1].ts_ms)}) == 2
        for n in range(len(rows) - 1)
    )


def ends(spec: Spec, ts_ms: int) -> list[int]:
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
