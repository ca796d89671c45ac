"""Verifying a log: the catalog against the files, the findings, and what a repair makes of them."""

from __future__ import annotations

import errno
import shutil
import sqlite3
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pystream as ps
from pystream.errors import CorruptRecordError, LogError, StorageError
from pystream.log.topic_file import mark_deleted, read_topic_file
from pystream.log.verify import verify_log
from tests.log.damage import damage_body, damage_header, flip, segment_files, topic_directory
from tests.log.verifying import SCHEMA, catalog_of, filled, kinds, path_of, repaired, rows


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return filled(tmp_path / "data")


def test_sound_log_is_clean(directory: Path) -> None:
    calls: list[tuple[int, int]] = []
    report = verify_log(directory, on_progress=lambda *call: calls.append(call))
    assert report.findings == []
    assert report.is_clean
    assert {(p.topic, p.partition) for p in report.partitions} == {
        ("lines", 0),
        ("orders", 0),
        ("orders", 1),
    }
    assert sum(p.records for p in report.partitions) == 60
    assert calls
    assert all(0 <= done <= total for done, total in calls)


def test_empty_log_is_clean(tmp_path: Path) -> None:
    ps.open(tmp_path).close()
    assert verify_log(tmp_path).findings == []


def test_log_whose_making_was_cut_short_is_clean(tmp_path: Path) -> None:
    """The catalog's file was made, and its tables were not: it is made when the log is opened."""
    ps.open(tmp_path).close()
    (tmp_path / "catalog.db").unlink()
    connection = sqlite3.connect(tmp_path / "catalog.db")
    connection.execute("PRAGMA user_version = 1")
    connection.execute("PRAGMA user_version = 0")
    connection.close()
    report = verify_log(tmp_path)
    assert report.is_clean
    assert [finding.what for finding in report.findings] == ["the catalog is empty"]
    ps.open(tmp_path).close()
    assert verify_log(tmp_path).findings == []


def test_catalog_with_a_log_of_a_header_alone_is_read_at_once(tmp_path: Path) -> None:
    """What a power loss leaves: SQLite alone would wait ten seconds, and then for ever."""
    ps.open(tmp_path).close()
    header = struct.pack(">IIIIII", 0x377F0682, 3007000, 4096, 0, 1, 2)
    (tmp_path / "catalog.db-wal").write_bytes(header + bytes(8))
    (tmp_path / "catalog.db-shm").write_bytes(b"stale".ljust(4096, b"x"))
    began = time.monotonic()
    assert verify_log(tmp_path).findings == []
    with ps.open(tmp_path, read_only=True) as log:
        assert log.topics() == []
    with ps.open(tmp_path) as log:
        log.create_topic("t")
    assert time.monotonic() - began < 5


def test_deletion_that_was_cut_short_stays_one(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever files are left, they say that the topic was deleted."""
    path = path_of(directory, "orders")
    real, calls = shutil.rmtree, []

    def dying(place: Path) -> None:
        calls.append(place)
        if len(calls) == 2:
            raise OSError(errno.EIO, "cut short")
        real(place)

    monkeypatch.setattr(shutil, "rmtree", dying)
    with ps.open(directory) as log, pytest.raises(StorageError, match="but not its files"):
        log.delete_topic("orders")
    monkeypatch.undo()
    assert len(list(path.glob("*/*.seg"))) == 1
    report = verify_log(directory)
    assert [f.kind for f in report.findings if f.topic != "lines"] == ["deleted-topic"]
    assert report.is_clean
    (directory / "catalog.db").unlink()
    repaired(directory)
    with ps.open(directory) as log:
        assert log.topics() == ["lines"]


def test_deletion_that_was_not_committed_is_none(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The topic's file is marked before the commit; the next use takes that back."""
    path = path_of(directory, "orders")
    with ps.open(directory) as log:
        mark_deleted(str(directory), log.topic("orders").description.id)
    assert kinds(directory) == ["topic-file"]
    with ps.open(directory) as log:
        log.topic("orders").ends()
    assert kinds(directory) == []
    assert not (path / "topic.deleted").exists()
    assert rows(directory) == list(range(50))


def test_topic_file_that_a_power_loss_took_is_written_at_the_next_use(directory: Path) -> None:
    with ps.open(directory) as log:
        log.create_topic("new")
        shutil.rmtree(topic_directory(log, "new"))
    assert kinds(directory) == ["topic-without-directory"]
    with ps.open(directory) as log:
        log.topic("new").ends()
        path = topic_directory(log, "new") / "topic"
    assert kinds(directory) == []
    before = read_topic_file(path)
    path.unlink()
    (note,) = verify_log(directory).findings
    assert (note.kind, note.is_note) == ("topic-file", True)
    with ps.open(directory) as log:
        log.topic("new").ends()
    assert read_topic_file(path) == before


def test_log_in_use_is_clean(directory: Path) -> None:
    with ps.open(directory) as log, log.producer() as producer:
        for _ in range(5):
            producer.send("lines", b"more").result()
            assert verify_log(directory).problems == []


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="is not a log"):
        verify_log(tmp_path)


def test_damaged_records_are_found_and_repaired(directory: Path) -> None:
    with ps.open(directory) as log:
        for damage in (damage_header, damage_body):
            damage(log, "orders", 3, partition=0)
        damage_header(log, "orders", 1, partition=1)
        damage_body(log, "lines", 9)
    report = verify_log(directory)
    assert {f.kind for f in report.problems} == {"corrupt-records"}
    with ps.open(directory) as log:
        expected: list[int] = []
        with log.consumer(
            "orders", auto_offset_reset="earliest", timeout="0s", on_corruption="skip"
        ) as reader:
            expected += sorted(record["n"] for record in reader)
            lost = {skipped[:4] for skipped in reader.skipped_records}
    found = {(f.topic, f.partition, f.offset, f.next_offset) for f in report.problems}
    assert lost == {place for place in found if place[0] == "orders"}
    acts = repaired(directory)
    assert any("wrote the records of orders-0" in act for act in acts)
    assert rows(directory) == expected
    note = next((directory / "quarantine").glob("*/NOTE.txt")).read_text()
    assert "corrupt-records" in note
    assert all(act in note for act in acts)
    with ps.open(directory) as log, log.producer() as producer:
        end = log.topic("lines").ends()[0].end
        assert end == 10
        assert producer.send("lines", b"next").result().offset == end


@pytest.mark.parametrize("name", ["control", "lock"])
def test_deleted_control_page_or_lock(directory: Path, name: str) -> None:
    (path_of(directory, "lines") / "0" / name).unlink()
    expected = ["control-missing"] if name == "control" else []
    assert kinds(directory) == expected
    repaired(directory)
    assert rows(directory) == list(range(50))


def test_damaged_order_file_is_rebuilt(directory: Path) -> None:
    flip(directory / "order", 20)
    assert kinds(directory) == ["order-damaged"]
    with pytest.raises(LogError, match="is damaged"):
        ps.open(directory)
    repaired(directory)
    assert rows(directory) == list(range(50))


def test_missing_order_file_is_a_note_for_it_is_made_again(directory: Path) -> None:
    (directory / "order").unlink()
    findings = verify_log(directory).findings
    assert [(f.kind, f.is_note) for f in findings] == [("order-missing", True)]
    assert rows(directory) == list(range(50))
    assert verify_log(directory).findings == []


def test_backup_is_clean_and_can_be_read_before_it_is_opened(
    directory: Path, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    with ps.open(directory) as log:
        log.backup(backup)
    assert verify_log(backup).problems == []
    settings: Any = {"auto_offset_reset": "earliest", "timeout": "0s"}
    with ps.open(backup, read_only=True) as view, view.consumer("orders", **settings) as reader:
        assert view.topics() == ["lines", "orders"]
        assert sorted(record["n"] for record in reader) == list(range(50))
    assert rows(backup) == list(range(50))
    assert verify_log(backup).problems == []


def test_topic_that_got_columns_is_clean_and_comes_back_with_them(directory: Path) -> None:
    with ps.open(directory) as log:
        log.alter_topic("orders", add_columns={"note": "string"})
        with log.producer() as producer:
            producer.send("orders", {"user": "eve", "n": 50, "note": "new"})
        log.alter_topic("orders", add_columns={"later": "int64"})
        before = log.topic("orders").description
    assert verify_log(directory).findings == []
    remove_catalog(directory)
    repaired(directory)
    with ps.open(directory) as log:
        assert log.topic("orders").description == before
    assert rows(directory) == list(range(51))


def test_counter_below_a_sequence_is_found(directory: Path) -> None:
    with open(directory / "order", "r+b") as file:
        file.seek(512)
        file.write((3).to_bytes(8, "little"))
    assert kinds(directory) == ["append-sequence"]
    repaired(directory)


def damage_catalog(directory: Path) -> None:
    (directory / "catalog.db").write_bytes(b"x" * 8192)


def empty_catalog(directory: Path) -> None:
    (directory / "catalog.db").write_bytes(b"")


def remove_catalog(directory: Path) -> None:
    (directory / "catalog.db").unlink()


@pytest.mark.parametrize("damage", [damage_catalog, empty_catalog, remove_catalog])
def test_lost_catalog_is_refused_with_the_way_out_which_works(
    directory: Path, damage: Callable[[Path], None]
) -> None:
    with ps.open(directory) as log:
        before = {name: log.topic(name).description for name in log.topics()}
    damage(directory)
    with pytest.raises(LogError) as caught:
        ps.open(directory)
    assert caught.value.path == str(directory / "catalog.db")
    if damage is not damage_catalog:
        assert "pystream verify --repair" in str(caught.value)
        assert "2 topics have records" in str(caught.value)
    assert kinds(directory) in (["catalog-missing"], ["catalog-damaged"])
    with pytest.raises(LogError):  # looking changed nothing
        ps.open(directory)
    repaired(directory)
    with ps.open(directory) as log:
        assert {name: log.topic(name).description for name in log.topics()} == before
        assert log.topic("orders").key == ("user",)
        assert log.topic("orders").compression == "lz4"
        with log.producer() as producer:
            producer.send("orders", {"user": "eve", "n": 50})
    assert rows(directory) == list(range(51))


def test_catalog_is_rebuilt_from_segments_when_topic_files_are_lost_too(directory: Path) -> None:
    for topic in ("orders", "lines"):
        (path_of(directory, topic) / "topic").unlink()
    remove_catalog(directory)
    repaired(directory)
    with ps.open(directory) as log:
        names = log.topics()
        assert len(names) == 2
        assert all(name.startswith("recovered-") for name in names)
        typed = next(name for name in names if log.topic(name).is_typed)
        assert log.topic(typed).schema.names == ["user", "n"]
        assert log.topic(typed).partitions == 2
    assert rows(directory, typed) == list(range(50))


def test_empty_topics_are_no_reason_to_refuse(tmp_path: Path) -> None:
    with ps.open(tmp_path) as log:
        log.create_topic("t")
    remove_catalog(tmp_path)
    with ps.open(tmp_path) as log:
        assert log.topics() == []
    assert [f.kind for f in verify_log(tmp_path).findings] == ["unfinished-topic"]


def test_rest_of_a_deleted_topic_does_not_come_back(directory: Path) -> None:
    """As if the process had died between deleting the topic's row and its files."""
    path = path_of(directory, "orders")
    shutil.copytree(path, directory / "kept")
    with ps.open(directory) as log:
        log.catalog.delete_topic("orders")
    assert (path / "topic.deleted").exists()
    report = verify_log(directory)
    assert [(f.kind, f.is_note) for f in report.findings] == [("deleted-topic", True)]
    shutil.rmtree(directory / "kept")
    remove_catalog(directory)
    with pytest.raises(LogError, match="1 topics have records"):
        ps.open(directory)
    repaired(directory)
    with ps.open(directory) as log:
        assert log.topics() == ["lines"]


def test_topic_without_a_row_is_entered_again(directory: Path) -> None:
    catalog_of(directory, "DELETE FROM topics WHERE name = 'orders'")
    catalog_of(directory, "DELETE FROM group_offsets")
    assert kinds(directory) == ["directory-without-topic"]
    repaired(directory)
    assert rows(directory) == list(range(50))


def test_topic_whose_name_was_taken_meanwhile_is_set_aside(directory: Path) -> None:
    path = path_of(directory, "orders")
    catalog_of(directory, "DELETE FROM topics WHERE name = 'orders'")
    catalog_of(directory, "DELETE FROM group_offsets")
    with ps.open(directory) as log:
        log.create_topic("orders", SCHEMA)
    acts = repaired(directory)
    assert any("another topic has the name 'orders'" in act for act in acts)
    assert not path.exists()
    assert next((directory / "quarantine").glob(f"*/topics/{path.name}/0/*.seg")).exists()


def test_topic_without_a_directory(directory: Path) -> None:
    shutil.rmtree(path_of(directory, "lines"))
    assert kinds(directory) == ["topic-without-directory"]
    repaired(directory)
    with ps.open(directory) as log:
        assert log.topic("lines").ends() == [(0, 0)]


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: flip(path, 30)])
def test_topic_file_is_written_again(directory: Path, damage: Callable[[Path], None]) -> None:
    path = path_of(directory, "orders") / "topic"
    damage(path)
    assert kinds(directory) == ["topic-file"]
    repaired(directory)
    topic, _ = read_topic_file(path)
    assert (topic.name, topic.key_columns) == ("orders", ("user",))


def test_every_damage_to_a_topic_file_is_noticed(directory: Path) -> None:
    path = path_of(directory, "orders") / "topic"
    sound = path.read_bytes()
    for position in range(len(sound)):
        flip(path, position)
        with pytest.raises(CorruptRecordError, match="is damaged"):
            read_topic_file(path)
        path.write_bytes(sound)
    path.write_bytes(sound[:-1])
    with pytest.raises(CorruptRecordError):
        read_topic_file(path)


def test_group_offsets_beyond_the_end_are_found_and_limited(directory: Path) -> None:
    catalog_of(directory, "UPDATE group_offsets SET next_offset = 5000 WHERE partition = 0")
    catalog_of(directory, "INSERT INTO group_offsets VALUES (1, zeroblob(16), 0, 1, 1)")
    assert kinds(directory) == ["group-offset", "group-offset"]
    acts = repaired(directory)
    assert any("from 5000" in act for act in acts)
    assert any((directory / "quarantine").glob("*/catalog.db"))


def test_log_that_is_open_elsewhere_is_not_repaired(directory: Path) -> None:
    with ps.open(directory) as log:
        segment_files(log, "lines")[0].with_name("control").unlink()
        program = (
            "import sys\n"
            "from pystream.log.repair import repair_log\n"
            "from pystream.log.verify import verify_log\n"
            "repair_log(sys.argv[1], verify_log(sys.argv[1]))\n"
        )
        ran = subprocess.run(
            [sys.executable, "-c", program, directory],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert "is open in another process" in ran.stderr
    assert not (directory / "quarantine").exists()
