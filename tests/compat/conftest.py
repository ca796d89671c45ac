"""The two libraries themselves, on the broker that librdkafka simulates, and ours, on a log.

A story that takes `confluent` or `python` runs on both: it says what the library does, and shows
that ours does the same.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

import pystream.compat.confluent_kafka
import pystream.compat.kafka
from tests.compat.originals import confluent_kafka, kafka


class Library(NamedTuple):
    """A library, and the settings that say where it reads and writes."""

    module: ModuleType
    settings: dict[str, Any]
    is_ours: bool


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """Address of a broker in this process; topics have four partitions."""
    producer = confluent_kafka.Producer({"test.mock.num.brokers": 1, "log_level": 0})
    (simulated,) = producer.list_topics(timeout=20).brokers.values()
    yield f"{simulated.host}:{simulated.port}"
    producer.close()


@pytest.fixture(params=["librdkafka", "pystream"])
def confluent(request: pytest.FixtureRequest, tmp_path: Path) -> Library:
    if request.param == "pystream":
        # A path with a slash in it is a directory; four partitions, as the simulated broker's.
        place = {"bootstrap.servers": str(tmp_path / "data"), "num.partitions": 4}
        return Library(pystream.compat.confluent_kafka, place, True)
    address = request.getfixturevalue("broker")
    return Library(confluent_kafka, {"bootstrap.servers": address, "log_level": 0}, False)


@pytest.fixture(params=["kafka-python", "pystream"])
def python(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Library]:
    if request.param == "pystream":
        place: dict[str, Any] = {"bootstrap_servers": str(tmp_path / "data"), "num_partitions": 4}
        yield Library(pystream.compat.kafka, place, True)
        return
    address = request.getfixturevalue("broker")
    yield Library(kafka, {"bootstrap_servers": address, "api_version": (2, 1)}, False)
    gc.collect()  # what it leaves open is found here, and not in another test


@pytest.fixture
def place(tmp_path: Path) -> dict[str, Any]:
    """Settings of a client of `pystream.compat.confluent_kafka`."""
    return {"log.directory": str(tmp_path / "data")}


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    """A name that no other test uses: the simulated broker lives through all of them."""
    return "".join(c if c.isalnum() else "-" for c in request.node.name)
