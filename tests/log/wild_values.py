"""Values of every kind, for parameters that want something else."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np

import pystream as ps

PLACE = ps.TopicPartition("clicks", 0)
VALUES: dict[str, Any] = {
    "None": None,
    "True": True,
    "5": 5,
    "-1": -1,
    "1.5": 1.5,
    "nan": float("nan"),
    "2**70": 2**70,
    "int64": np.int64(3),
    "no text": "",
    "text": "x",
    "duration": "5s",
    "pattern": "(",
    "NUL": "a\0b",
    "no UTF-8": "caf\udce9",
    "bytes": b"x",
    "list": [],
    "list of None": [None],
    "list of lists": [[1]],
    "list of a topic": ["clicks"],
    "dict": {},
    "dict of a text": {"a": 1},
    "dict of None": {None: None},
    "dict of a partition": {PLACE: None},
    "tuple": (1, 2, 3),
    "set": {1, 2},
    "range": range(2),
    "array": np.arange(3),
    "2-d array": np.zeros((2, 2)),
    "time": datetime.datetime(2020, 1, 1),
    "date": datetime.date(2020, 1, 1),
    "NaT": np.datetime64("NaT"),
    "function": lambda: 1,
    "type": int,
    "object": object(),
    "partition": PLACE,
}
