"""Triggers of one's own whose state cannot be written to a snapshot, or read back."""

from __future__ import annotations

import threading
from typing import Any

import pyarrow as pa
import pytest

import pystream as ps
from pystream.errors import CheckpointError, NotSupportedError
from tests.pipeline.restarts import restart_jobs
from tests.pipeline.test_own_triggers import SALES, TIMES, Each, rows_of


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    restart_jobs(monkeypatch)


class Opaque:
    """Can be pickled, and not read back."""

    def __reduce__(self) -> Any:
        return (_refuse, ())


def _refuse() -> None:
    raise ImportError("no module named 'gone'")


def one_by_one() -> list[pa.Table]:
    """Return the sales in batches of one, so that a round has one."""
    rows = (dict(zip(("user", "ts", "amount"), row, strict=True)) for row in SALES)
    return [pa.Table.from_pylist([row]) for row in rows]


def keeping(value: Any) -> ps.WindowedStream:
    """Return windows whose trigger has that in its state."""

    def look(row: Any, timestamp: Any, window: Any, ctx: Any) -> None:
        ctx.state["kept"] = value

    return (
        ps.Environment()
        .from_arrow(one_by_one(), watermark=TIMES)
        .key_by("user")
        .window(ps.tumbling("10ms"))
        .trigger(Each(look))
    )


def test_what_cannot_be_pickled_names_the_operator_and_the_trigger() -> None:
    with pytest.raises(
        NotSupportedError, match=r"trigger Each keeps in ctx\.state.*lock"
    ) as raised:
        rows_of(keeping(threading.Lock()))
    assert raised.value.operator is not None
    assert f"operator '{raised.value.operator}'" in str(raised.value)
    assert isinstance(raised.value.__cause__, TypeError)


def test_what_cannot_be_read_back_names_key_and_window() -> None:
    with pytest.raises(
        CheckpointError, match=r"Each.*user = 'ann' in window.*no module named 'gone'"
    ):
        rows_of(keeping(Opaque()))


def test_what_can_be_is_there_in_the_next_round() -> None:
    seen: list[Any] = []

    def look(row: Any, timestamp: Any, window: Any, ctx: Any) -> None:
        seen.append(ctx.state.get("amounts", ()))
        ctx.state["amounts"] = (*ctx.state.get("amounts", ()), row["amount"])

    windowed = ps.Environment().from_arrow(one_by_one(), watermark=TIMES).key_by("user")
    rows_of(windowed.window(ps.tumbling("10ms")).trigger(Each(look)))
    assert seen == [(), (), (5,), ()]
