"""Whatever the rows of the catalog hold, the log says so and does nothing wrong."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

import pystream as ps
from pystream.errors import CorruptCatalogError, LogError, RequestTimeoutError
from tests.torture.catalog_damages import TABLES, damage
from tests.torture.catalog_log import build, read
from tests.torture.catalog_rows import run_cases
from tests.torture.catalog_use import Attempts, Wrong

CASES = 40


def test_damaged_catalogs_are_told_and_nothing_wrong_is_read() -> None:
    outcome = run_cases(1, CASES)
    assert outcome.failure is None, f"{outcome.repeat}\n{outcome.failure}"
    assert outcome.cases == CASES


def test_the_log_has_a_row_in_every_table_and_is_read_as_it_was_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pystream.config.SEGMENT_BYTES_MIN", 4096)
    directory, content = build(tmp_path)
    connection = sqlite3.connect(directory / "catalog.db")
    for table in TABLES:
        (rows,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        assert rows > 0, table
    states = connection.execute("SELECT state FROM transactions ORDER BY state").fetchall()
    connection.close()
    assert states == [("aborted",), ("committed",), ("committed",), ("open",)]
    assert {topic for topic, _ in content.records} == {
        *("plain", "typed", "evolved", "ledger", "compacted", "empty")
    }
    ledger = [row["n"] for p in range(2) for row in content.records["ledger", p].values()]
    assert ledger == [100, 300, 101, 301]
    assert set(content.committed) == {"readers", "away", "present"}
    assert all(content.committed.values())
    with ps.open(directory) as log:
        assert read(log, "typed", 0) == content.records["typed", 0]


def test_damage_is_the_same_for_a_seed_and_of_every_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pystream.config.SEGMENT_BYTES_MIN", 4096)
    directory, _ = build(tmp_path)
    sound = {path: path.read_bytes() for path in directory.glob("catalog.db*")}
    told = []
    for seed in [*range(150), 3]:
        for path in directory.glob("catalog.db*"):
            path.unlink()
        for path, data in sound.items():
            path.write_bytes(data)
        told.append("; ".join(damage(directory, random.Random(seed)).acts))
    assert told[3] == told[-1]
    text = "\n".join(told)
    for kind in ("to None", "removed", "flip at", "cut at", "catalog.db-wal", "to b'", "to '"):
        assert kind in text, kind


def test_what_is_no_error_of_pystream_is_told() -> None:
    def fail(error: Exception) -> None:
        raise error

    attempts = Attempts()
    with pytest.raises(Wrong, match=r"(?s)open:.*KeyError"):
        attempts.attempt("open", lambda: fail(KeyError("topics")))
    with pytest.raises(Wrong, match="it waited"):
        attempts.attempt("open", lambda: fail(RequestTimeoutError("locked")))
    with pytest.raises(Wrong, match="does not name the catalog"):
        attempts.attempt("open", lambda: fail(LogError("something is damaged.")))
    with pytest.raises(Wrong, match="does not name"):
        attempts.attempt("open", lambda: fail(CorruptCatalogError("x", table="topics", row="y")))
    assert attempts.complaints == []
    good = CorruptCatalogError("p: row r of topics", path="p", table="topics", row="r")
    attempts.attempt("open", lambda: fail(good))
    assert attempts.damaged_tables() == {"topics"}
