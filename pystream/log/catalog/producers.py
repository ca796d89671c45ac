"""Rows of producers with a name in the catalog: who is the newest of each."""

from __future__ import annotations

import secrets
import sqlite3
import time

from pystream.log.catalog.rows import Cells

__all__ = ["ID_BITS", "epoch_of", "take_name"]

ID_BITS = 62
_PRODUCER = Cells("producers", "id", "epoch")


def take_name(connection: sqlite3.Connection, name: str, steps: int = 1) -> tuple[int, int]:
    """Return the id of a producer's name, and an epoch that fences all before, so far behind."""
    of_name = "SELECT id, epoch FROM producers WHERE name = ?"
    found = connection.execute(of_name, (name,)).fetchone()
    if found is not None:  # a damaged epoch must not count on
        _PRODUCER.checked(found, name=name)
    connection.execute(
        "INSERT INTO producers VALUES (?, ?, 0, ?) ON CONFLICT (name) "
        "DO UPDATE SET epoch = epoch + ?, opened_us = excluded.opened_us",
        (secrets.randbits(ID_BITS), name, time.time_ns() // 1000, steps),
    )
    row = connection.execute(of_name, (name,)).fetchone()
    producer_id, epoch = _PRODUCER.checked(row, name=name)
    return int(producer_id), int(epoch)


def epoch_of(connection: sqlite3.Connection, producer_id: int) -> int | None:
    """Return the epoch of a producer; None when its name has another id by now."""
    row = connection.execute(
        "SELECT id, epoch FROM producers WHERE id = ?", (producer_id,)
    ).fetchone()
    return None if row is None else int(_PRODUCER.checked(row)[1])
