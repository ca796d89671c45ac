"""A topic of numbers, for tests of producers: the table that is sent, and what is there then."""

from __future__ import annotations

from typing import Any

import numpy as np

import pystream as ps
from tests.log.reading import rows_of

NUMBERS = {"n": "int64"}


def numbers_of(log: ps.Log, topic: str = "numbers", partition: int | None = None) -> list[int]:
    return [row["n"] for row in rows_of(log, topic, partition)]


def numbers(first: int, last: int) -> dict[str, Any]:
    return {"n": np.arange(first, last + 1)}
