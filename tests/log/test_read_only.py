"""A log opened read-only: works without write permission, writes nothing, says why it refuses."""

from __future__ import annotations

import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import pystream as ps
from pystream.errors import LogError, UnknownTopicError
from tests.log.damage import topic_directory

NOBODY = 65534


@pytest.fixture
def directory() -> Iterator[Path]:
    """A closed log of ten records; others may look into the directory that it is in."""
    with tempfile.TemporaryDirectory() as parent:
        os.chmod(parent, 0o755)
        path = Path(parent, "data")
        with ps.open(path) as log:
            log.create_topic("t", {"n": "int64"}, partitions=2)
            with log.producer() as producer:
                for n in range(10):
                    producer.send("t", {"n": n}, partition=0)
            with log.consumer("t", group_id="g", auto_offset_reset="earliest") as reader:
                reader.poll()
                reader.commit()
        yield path
        _set_modes(path, 0o755, 0o644)


def _set_modes(root: Path, of_directories: int, of_files: int) -> None:
    for path in [*root.rglob("*"), root]:
        path.chmod(of_directories if path.is_dir() else of_files)


def contents(directory: Path) -> dict[str, tuple[int, bytes]]:
    found = {}
    for path in sorted(directory.rglob("*")):
        data = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (path.stat().st_mtime_ns, data)
    return found


def numbers(log: ps.Log) -> list[int]:
    with log.consumer("t", auto_offset_reset="earliest", timeout="0s") as reader:
        return [record["n"] for record in reader]


def without_permission(directory: Path, check: Callable[[], None]) -> None:
    """Run `check` in a process that may not write in the directory, whoever runs the tests."""
    _set_modes(directory, 0o555, 0o444)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            with pytest.raises(PermissionError):
                Path(directory, "probe").touch()
            check()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_log_is_read_without_write_permission_and_nothing_changes(directory: Path) -> None:
    before = contents(directory)

    def check() -> None:
        with ps.open(directory, read_only=True) as log:
            assert log.is_read_only
            assert log.topics() == ["t"]
            assert numbers(log) == list(range(10))
            assert log.topic("t").ends()[1] == (0, 0)

    without_permission(directory, check)
    _set_modes(directory, 0o755, 0o644)
    assert contents(directory) == before


def test_opening_for_writing_without_permission_is_refused(directory: Path) -> None:
    def check() -> None:
        with pytest.raises(LogError):
            ps.open(directory)

    without_permission(directory, check)


@pytest.mark.parametrize("is_clean", [True, False])
def test_copy_is_read_without_write_permission(directory: Path, is_clean: bool) -> None:
    """Also one that was made under a running writer, with its database's write-ahead log."""
    copy = directory.parent / "copy"
    if is_clean:
        shutil.copytree(directory, copy)
    else:
        with ps.open(directory) as log:
            log.create_topic("late")
            shutil.copytree(directory, copy)
            assert (copy / "catalog.db-wal").stat().st_size > 0
            (copy / "catalog.db-shm").unlink()

    def check() -> None:
        with ps.open(copy, read_only=True) as log:
            assert log.topics() == (["t"] if is_clean else ["late", "t"])
            assert numbers(log) == list(range(10))

    without_permission(copy, check)
    _set_modes(copy, 0o755, 0o644)
    with ps.open(copy) as log:  # it was left as it was
        assert numbers(log) == list(range(10))


def test_nothing_is_written_even_where_it_could_be(directory: Path) -> None:
    before = contents(directory)
    with ps.open(directory, read_only=True) as log:
        assert numbers(log) == list(range(10))
    assert contents(directory) == before


def test_it_follows_a_writer(directory: Path) -> None:
    with ps.open(directory, read_only=True) as view, ps.open(directory) as log:
        with view.consumer("t", auto_offset_reset="latest", timeout="5s") as reader:
            reader.position(ps.TopicPartition("t", 0))
            with log.producer() as producer:
                producer.send("t", {"n": 10}, partition=0)
            assert next(iter(reader))["n"] == 10
        assert view.topics() == ["t"]
        log.create_topic("late")
        assert view.topics() == ["late", "t"]
        log.delete_topic("late")
        assert view.topics() == ["t"]


def test_what_writes_is_refused_by_name(directory: Path) -> None:
    with ps.open(directory, read_only=True) as log:
        for act, use in {
            "create a topic": lambda: log.create_topic("u"),
            "delete a topic": lambda: log.delete_topic("t"),
            "produce": log.producer,
            "join a consumer group": lambda: log.consumer("t", group_id="g"),
        }.items():
            with pytest.raises(LogError, match=f"cannot {act}: the log .* read-only") as caught:
                use()
            assert caught.value.path == str(directory)
        refused = pytest.raises(LogError, match=r"cannot use commit\(\): .* read-only")
        with log.consumer("t") as reader, refused:
            reader.commit()
        env = ps.Environment(log, name="job")
        env.from_topic("t").sink_to_topic("u")
        with pytest.raises(LogError, match="read-only"):
            env.execute(until="latest")


def test_pipeline_reads_it(directory: Path) -> None:
    with ps.open(directory, read_only=True) as log:
        table = ps.Environment(log, name="job").from_topic("t").to_arrow()
        assert sorted(table.column("n").to_pylist()) == list(range(10))


def test_there_must_be_a_log(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"no directory .* read-only"):
        ps.open(tmp_path / "missing", read_only=True)
    with pytest.raises(LogError, match="holds no log yet"):
        ps.open(tmp_path, read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_unknown_topic_is_unknown(directory: Path) -> None:
    with ps.open(directory, read_only=True) as log, pytest.raises(UnknownTopicError):
        log.topic("u")


def test_partition_that_was_never_written_is_empty(directory: Path) -> None:
    with ps.open(directory) as log:
        shutil.rmtree(topic_directory(log, "t") / "1")
    with ps.open(directory, read_only=True) as log:
        assert log.topic("t").ends()[1] == (0, 0)
        assert numbers(log) == list(range(10))
