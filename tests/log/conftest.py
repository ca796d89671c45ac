"""A log in an empty directory, for tests of what users do with one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import pystream as ps


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ps.Log]:
    with ps.open(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
def payments(log: ps.Log) -> ps.Topic:
    columns = {"user": "string", "amount": "float64", "ts": "timestamp[ms]"}
    return log.create_topic("payments", columns, key="user", partitions=4)
