"""Verifying and repairing how many partitions a topic has, in the catalog and in its directory."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import pytest

import pystream as ps
from pystream._native import crc32c
from tests.log.damage import damage_body
from tests.log.verifying import catalog_of, filled, kinds, path_of, repaired, rows


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return filled(tmp_path / "data")


def test_missing_partition_of_a_group_is_found(directory: Path) -> None:
    shutil.rmtree(path_of(directory, "orders") / "0")
    assert kinds(directory) == ["partition-missing"]
    repaired(directory)


def test_partition_that_the_topic_does_not_have_is_set_aside(directory: Path) -> None:
    path = path_of(directory, "lines")
    shutil.copytree(path / "0", path / "1")
    assert kinds(directory) == ["unknown-partition"]
    repaired(directory)
    assert not (path / "1").exists()


def test_partition_that_the_catalog_alone_does_not_know_comes_back(directory: Path) -> None:
    """A rotten number of partitions does not take their records along."""
    catalog_of(directory, "UPDATE topics SET partitions = 1 WHERE name = 'orders'")
    assert "unknown-partition" in kinds(directory)
    acts = repaired(directory)
    assert any("its 2 partitions again" in act for act in acts)
    assert rows(directory) == list(range(50))


def test_partition_that_comes_back_is_looked_at_and_put_right_at_once(directory: Path) -> None:
    """One repair is enough: for its records, and for the offsets of groups in it."""
    with ps.open(directory) as log:
        damage_body(log, "orders", batch=3, partition=1)
    catalog_of(directory, "UPDATE topics SET partitions = 1 WHERE name = 'orders'")
    catalog_of(directory, "UPDATE group_offsets SET next_offset = 1054 WHERE partition = 1")
    found = kinds(directory)
    assert {"unknown-partition", "corrupt-records", "group-offset"} <= set(found)
    acts = repaired(directory)
    assert any("its 2 partitions again" in act for act in acts)
    assert any("from 1054 to the end" in act for act in acts)


def test_partition_that_is_missing_before_one_that_comes_back_is_found(directory: Path) -> None:
    with ps.open(directory) as log:
        log.alter_topic("orders", partitions=3)
        with log.producer() as producer:
            producer.send("orders", {"user": "a", "n": 50}, partition=2).result()
    shutil.rmtree(path_of(directory, "orders") / "1")
    catalog_of(directory, "UPDATE topics SET partitions = 1 WHERE name = 'orders'")
    assert {"unknown-partition", "partition-missing"} <= set(kinds(directory))
    assert any("its 3 partitions again" in act for act in repaired(directory))


def test_unknown_partition_beside_a_topic_file_of_another_format_is_reported(
    directory: Path,
) -> None:
    path = path_of(directory, "lines")
    shutil.copytree(path / "0", path / "1")
    content = bytearray((path / "topic").read_bytes())
    content[8:10] = struct.pack("<H", 99)
    content[4:8] = struct.pack("<I", crc32c(bytes(content[8:])))
    (path / "topic").write_bytes(content)
    assert kinds(directory) == ["other-format", "unknown-partition"]


def test_partition_in_another_ones_place_is_found(directory: Path) -> None:
    path = path_of(directory, "orders")
    for before, after in (("0", "x"), ("1", "0"), ("x", "1")):
        (path / before).rename(path / after)
    assert kinds(directory) == ["unusable", "unusable"]
