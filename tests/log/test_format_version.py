"""Files of another format, older or newer: refused by name, and no repair touches them."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pystream as ps
from pystream._native import crc32c
from pystream.errors import CorruptCatalogError, CorruptRecordError, LogError
from pystream.log.repair import repair_log
from pystream.log.verify import verify_log
from tests.log.damage import segment_files, topic_directory

READABLE = "but this pystream reads version 1. Use the pystream that wrote it"
VERSIONS = pytest.mark.parametrize("version", [0, 7])


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    with ps.open(tmp_path / "data") as log:
        log.create_topic("lines")
        with log.producer() as producer:
            for n in range(10):
                producer.send("lines", f"line {n}")
    return tmp_path / "data"


def path_in(directory: Path, find: Callable[[ps.Log], Path]) -> Path:
    with ps.open(directory) as log:
        return find(log)


def set_version(path: Path, version: int, covered: int | None = None) -> None:
    """Write a version, and the checksum of bytes 8 to `covered` when that is given."""
    data = bytearray(path.read_bytes())
    data[8] = version
    if covered is not None:
        data[4:8] = crc32c(bytes(data[8:covered])).to_bytes(4, "little")
    path.write_bytes(data)


def contents(directory: Path) -> dict[Path, bytes]:
    """Return every file but SQLite's own, which verifying may open."""
    return {
        path: path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and not path.name.startswith("catalog")
    }


def assert_verify_refuses_to_repair(directory: Path, path: Path, version: int) -> None:
    before = contents(directory)
    report = verify_log(directory)
    (finding,) = report.problems
    assert finding.kind == "other-format"
    assert finding.path == str(path)
    assert f"{path}" in finding.what
    assert f"has format version {version}, but this pystream reads version 1" in finding.what
    assert finding.advice.startswith("Use the pystream that wrote it")
    with pytest.raises(LogError, match="nothing was repaired") as caught:
        repair_log(directory, report)
    assert caught.value.path == str(path)
    assert contents(directory) == before


@VERSIONS
def test_control_page_of_another_format_is_left_alone(directory: Path, version: int) -> None:
    path = path_in(directory, lambda log: topic_directory(log, "lines")) / "0" / "control"
    set_version(path, version, covered=80)
    assert_verify_refuses_to_repair(directory, path, version)
    with ps.open(directory) as log:
        with pytest.raises(LogError, match=READABLE) as caught:
            log.topic("lines").ends()
        assert (caught.value.version, caught.value.path) == (version, str(path))


@VERSIONS
def test_segment_of_another_format_is_left_alone(directory: Path, version: int) -> None:
    path = path_in(directory, lambda log: segment_files(log, "lines")[0])
    data = bytearray(path.read_bytes())
    schema_length = int.from_bytes(data[68:72], "little")
    set_version(path, version, covered=4096 + schema_length)
    assert_verify_refuses_to_repair(directory, path, version)

    def read() -> None:
        settings: Any = {"auto_offset_reset": "earliest", "on_corruption": "skip"}
        with ps.open(directory) as log:
            log.consumer("lines", **settings).poll("1s")

    with pytest.raises(LogError, match=READABLE) as caught:
        read()
    assert not isinstance(caught.value, CorruptRecordError)
    assert caught.value.version == version


@VERSIONS
def test_topic_file_of_another_format_is_left_alone(directory: Path, version: int) -> None:
    path = path_in(directory, lambda log: topic_directory(log, "lines")) / "topic"
    set_version(path, version, covered=path.stat().st_size)
    assert_verify_refuses_to_repair(directory, path, version)
    (directory / "catalog.db").unlink()
    report = verify_log(directory)
    assert {finding.kind for finding in report.problems} == {"catalog-missing", "other-format"}
    with pytest.raises(LogError, match="nothing was repaired"):
        repair_log(directory, report)


@VERSIONS
def test_log_of_another_format_is_refused(directory: Path, version: int) -> None:
    set_version(directory / "order", version, covered=72)
    for use in (ps.open, verify_log):
        with pytest.raises(LogError, match=READABLE) as caught:
            use(directory)
        assert (caught.value.version, caught.value.path) == (version, str(directory / "order"))


@VERSIONS
def test_catalog_of_another_format_is_refused(directory: Path, version: int) -> None:
    path = directory / "catalog.db"
    execute(path, f"UPDATE meta SET value = {version} WHERE name = 'format_version'")
    for use in (ps.open, verify_log):
        readable = "but this pystream reads versions 1 to 3. Use the pystream that wrote it"
        with pytest.raises(LogError, match=readable) as caught:
            use(directory)
        assert (caught.value.version, caught.value.path) == (version, str(path))


OF_VERSION = "WHERE name = 'format_version'"


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        (f"DELETE FROM meta {OF_VERSION}", "it is missing"),
        (f"UPDATE meta SET name = 'format' {OF_VERSION}", "it is missing"),
        (f"UPDATE meta SET value = 'one' {OF_VERSION}", "value is 'one', and must be 3"),
        (f"UPDATE meta SET value = NULL {OF_VERSION}", "value is None, and must be 3"),
        (f"UPDATE meta SET value = 3.0 {OF_VERSION}", "value is 3.0, and must be 3"),
        (f"UPDATE meta SET value = x'03' {OF_VERSION}", "value is x'03', and must be 3"),
        (f"UPDATE meta SET value = 1 {OF_VERSION}", "value is 1, and must be 3, of which version"),
        (f"UPDATE meta SET value = 2 {OF_VERSION}", "value is 2, and must be 3, of which version"),
    ],
)
def test_catalog_that_does_not_say_which_tables_it_has_gets_that_row_alone_again(
    directory: Path, statement: str, what: str
) -> None:
    """An older one would be upgraded once more; and offsets of groups are nowhere else."""
    with ps.open(directory) as log, log.consumer("lines", group_id="g") as consumer:
        consumer.commit({ps.TopicPartition("lines", 0): 7})
    before = rows(directory)
    execute(directory / "catalog.db", statement)
    for read_only in (True, False):
        with pytest.raises(CorruptCatalogError) as caught:
            ps.open(directory, read_only=read_only)
        assert f"row name='format_version' of table meta: {what}" in str(caught.value)
        assert (caught.value.table, caught.value.row) == ("meta", "name='format_version'")
    report = verify_log(directory)
    (finding,) = report.problems
    assert finding.kind == "catalog-row"
    assert what in finding.what
    acts = repair_log(directory, report)
    assert sum("table meta" in act for act in acts) == 1
    assert verify_log(directory).is_clean
    kept = [row for row in rows(directory) if row != "('meta', 'format', 3)"]
    assert kept == before
    (copy,) = directory.glob("quarantine/*/catalog.db")
    assert "('meta', 'format_version', 3)" not in rows(copy.parent)


def test_catalog_that_says_a_newer_format_than_it_has_is_brought_to_it(directory: Path) -> None:
    """One bit lies between 2 and 3."""
    execute(directory / "catalog.db", f"UPDATE meta SET value = 2 {OF_VERSION}")
    for table in ("transactions", "transaction_partitions", "producer_floors"):
        execute(directory / "catalog.db", f"DROP TABLE {table}")
    with ps.open(directory, read_only=True) as log:
        assert log.topics() == ["lines"]
    execute(directory / "catalog.db", f"UPDATE meta SET value = 3 {OF_VERSION}")
    with pytest.raises(CorruptCatalogError, match="value is 3, and must be 2, of which version"):
        ps.open(directory)
    repair_log(directory, verify_log(directory))
    assert verify_log(directory).is_clean
    with ps.open(directory) as log, log.consumer("lines", auto_offset_reset="earliest") as consumer:
        assert sum(len(batch) for batch in consumer.batches(timeout="0s")) == 10


def test_tables_of_no_version_are_damage_of_all(directory: Path) -> None:
    """No version that could be written says what became of the decisions."""
    execute(directory / "catalog.db", "DROP TABLE transactions")
    expected = "it says that it has version 3, and has not all its tables"
    for read_only in (True, False):
        with pytest.raises(LogError, match=f"is damaged .{expected}") as caught:
            ps.open(directory, read_only=read_only)
        assert not isinstance(caught.value, CorruptCatalogError)
    assert [finding.kind for finding in verify_log(directory).problems] == ["catalog-damaged"]


@pytest.mark.parametrize("pragma", ["user_version", "application_id"])
def test_what_the_header_of_the_database_says_of_its_user_is_nobodys(
    directory: Path, pragma: str
) -> None:
    execute(directory / "catalog.db", f"PRAGMA {pragma} = 77")
    assert verify_log(directory).is_clean
    with ps.open(directory) as log:
        assert log.topics() == ["lines"]


def rows(directory: Path) -> list[str]:
    """Return all rows of a catalog, each behind the name of its table, with the kinds of cells."""
    with contextlib.closing(sqlite3.connect(directory / "catalog.db")) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return sorted(
            repr((name, *row))
            for (name,) in tables.fetchall()
            for row in connection.execute(f"SELECT * FROM {name}")
        )


@VERSIONS
def test_version_under_a_wrong_checksum_is_damage(directory: Path, version: int) -> None:
    """A flipped bit is not taken for another format."""
    path = path_in(directory, lambda log: segment_files(log, "lines")[0])
    set_version(path, version)
    assert [finding.kind for finding in verify_log(directory).problems] == ["corrupt-records"]


def execute(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()
