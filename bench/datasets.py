"""Deterministic inputs of the window jobs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Columns = dict[str, NDArray[np.generic]]

EVENTS = 20_000_000
EVENTS_PER_MS = 200  # so that 20 M events span ten windows of ten seconds
BATCH_ROWS = 65_536


def events(keys: int, *, rows: int = EVENTS) -> Columns:
    """Return in-order events with uniform keys.

    Parameters
    ----------
    keys : int
        Number of distinct keys.
    rows : int

    Returns
    -------
    dict of str to ndarray
        ``ts`` datetime64[ms], ``key`` int64 (or the index of a text, see `key_text`), ``value``
        float64 in [0, 1).
    """
    random = np.random.default_rng(20_130_101)
    stamp = np.arange(rows, dtype="int64") // EVENTS_PER_MS + 1_357_000_000_000
    return {
        "ts": stamp.astype("datetime64[ms]"),
        "key": random.integers(0, keys, rows, dtype="int64"),
        "value": random.random(rows),
    }


def key_text(keys: int) -> NDArray[np.object_]:
    """Return the texts of string keys, 24 characters each."""
    return np.array([f"customer-{i:015d}" for i in range(keys)], dtype=object)
