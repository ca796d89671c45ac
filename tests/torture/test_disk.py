"""The imagined disk keeps what was synced, whole sectors, and nothing that never was."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.torture import trace
from tests.torture.disk import SECTOR, ZEROS, Disk, File, read_tree, write_tree
from tests.torture.trace import Call

ROOT = Path("/log")
ONE, TWO, THREE = (bytes([n]) * SECTOR for n in (1, 2, 3))


def call(kind: bytes, inode: int = 7, position: int = 0, path: str = "", data: bytes = b"") -> Call:
    return Call(kind, inode, position, path, data)


def states_of(disk: Disk, draws: int = 300) -> set[tuple[tuple[str, bytes | None], ...]]:
    choose = random.Random(1)
    return {tuple(sorted(disk.draw(choose).items())) for _ in range(draws)}


@pytest.fixture
def disk() -> Disk:
    disk = Disk(ROOT)
    disk.apply(call(trace.CREATE, path="/log/a"))
    disk.apply(call(trace.WRITE, data=ONE + TWO))
    return disk


def test_what_was_synced_is_there_in_every_state(disk: Disk) -> None:
    disk.apply(call(trace.SYNC))
    assert states_of(disk) == {(("a", ONE + TWO),)}


def test_what_was_not_synced_is_there_by_sectors_or_not(disk: Disk) -> None:
    contents = {dict(state).get("a") for state in states_of(disk, 3000)}
    assert {None, b"", ONE + TWO, ONE + ZEROS, ZEROS + TWO, ZEROS + ZEROS} <= contents
    assert TWO + TWO in contents, "stale data turns up where nothing was"


def test_a_synced_sector_is_old_or_new_and_nothing_else() -> None:
    file = File(ONE)
    file.write(0, TWO)
    file.write(0, THREE)
    choose = random.Random(1)
    drawn = {file.draw(choose, 0.0, [b"\xff" * SECTOR]) for _ in range(200)}
    assert drawn == {ONE, TWO, THREE}


@pytest.mark.parametrize("begin", [b"", b"\0" * 8])
def test_zeros_that_were_synced_are_not_destroyed_by_a_write_behind_them(begin: bytes) -> None:
    file = File(begin)
    if not begin:
        file.write(0, b"\0" * 8)
        file.sync()
    file.write(8, b"x" * 8)
    choose = random.Random(1)
    drawn = {file.draw(choose, 0.0, [b"\xff" * SECTOR]) for _ in range(200)}
    assert {content[:8] for content in drawn} == {b"\0" * 8}


def test_part_of_a_sector_is_written_with_the_rest_of_it() -> None:
    file = File(ONE)
    file.write(100, b"x")
    choose = random.Random(1)
    drawn = {file.draw(choose, 0.0, []) for _ in range(50)}
    assert drawn == {ONE, ONE[:100] + b"x" + ONE[101:]}


def test_a_file_has_a_size_of_its_past() -> None:
    file = File(ONE)
    file.resize(3 * SECTOR)
    file.resize(2 * SECTOR)
    choose = random.Random(1)
    assert {len(file.draw(choose, 0.0, [])) for _ in range(100)} == {512, 1024, 1536}


def test_a_rename_over_a_file_leaves_the_one_or_the_other(disk: Disk) -> None:
    disk.apply(call(trace.SYNC))
    disk.apply(call(trace.CREATE, inode=8, path="/log/b"))
    disk.apply(call(trace.WRITE, inode=8, data=THREE))
    disk.apply(call(trace.SYNC, inode=8))
    disk.apply(call(trace.RENAME, path="/log/b\0/log/a"))
    assert states_of(disk) == {(("a", ONE + TWO), ("b", THREE)), (("a", THREE),)}
    # The old one is mapped still, and may be written: by nobody's name.
    disk.apply(call(trace.STORE, data=TWO))
    disk.apply(call(trace.MAKE_DIRECTORY, inode=1, path="/log"))
    disk.apply(call(trace.SYNC, inode=1))
    assert states_of(disk) == {(("a", THREE),)}
    disk.apply(call(trace.CREATE, path="/log/c"))  # its inode is used again
    disk.apply(call(trace.SYNC))
    assert states_of(disk) == {(("a", THREE), ("c", b""))}


def test_a_rename_that_was_not_synced_may_name_what_was_never_written(disk: Disk) -> None:
    disk.apply(call(trace.SYNC))
    disk.apply(call(trace.CREATE, inode=8, path="/log/b"))
    disk.apply(call(trace.WRITE, inode=8, data=THREE))
    disk.apply(call(trace.RENAME, path="/log/b\0/log/a"))
    assert (("a", b""),) in states_of(disk)


def test_a_rename_is_atomic_and_may_be_lost(disk: Disk) -> None:
    disk.apply(call(trace.SYNC))
    disk.apply(call(trace.RENAME, path="/log/a\0/log/b"))
    assert states_of(disk) == {(("a", ONE + TWO),), (("b", ONE + TWO),)}
    disk.apply(call(trace.MAKE_DIRECTORY, inode=1, path="/log"))
    disk.apply(call(trace.SYNC, inode=1))
    assert states_of(disk) == {(("b", ONE + TWO),)}


def test_an_unlinked_file_may_come_back_until_its_directory_is_synced(disk: Disk) -> None:
    disk.apply(call(trace.SYNC))
    disk.apply(call(trace.UNLINK, path="/log/a"))
    assert states_of(disk) == {(), (("a", ONE + TWO),)}


def test_syncing_a_file_syncs_its_name_and_those_above_it_unless_strict() -> None:
    for is_strict in (False, True):
        disk = Disk(ROOT, is_strict=is_strict)
        disk.apply(call(trace.MAKE_DIRECTORY, inode=6, path="/log/d"))
        disk.apply(call(trace.CREATE, path="/log/d/a"))
        disk.apply(call(trace.SYNC))
        states = states_of(disk)
        assert (() in states) == is_strict
        assert (("d", None), ("d/a", b"")) in states


def test_an_inode_that_is_used_again_is_another_file(disk: Disk) -> None:
    disk.apply(call(trace.SYNC))
    disk.apply(call(trace.UNLINK, path="/log/a"))
    disk.apply(call(trace.CREATE, path="/log/b"))
    disk.apply(call(trace.WRITE, data=THREE))
    assert disk.now() == {"b": THREE}
    assert (("a", ONE + TWO),) in states_of(disk)


def test_a_tree_that_was_written_is_read_back(tmp_path: Path) -> None:
    tree = {"d": None, "d/a": ONE + ZEROS, "b": b"", "c": b"ab\0c"}
    write_tree(tree, tmp_path)
    assert read_tree(tmp_path) == tree
