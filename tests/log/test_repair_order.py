"""The log's own file, repaired while something else lies in the log's directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import pystream as ps
from pystream.errors import LogError
from pystream.log.repair import repair_log
from pystream.log.verify import verify_log
from tests.log.damage import flip
from tests.log.reading import rows_of


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    with ps.open(tmp_path / "data") as log:
        log.create_topic("t", {"n": "int64"})
        with log.producer() as producer:
            producer.send_batch("t", {"n": [1, 2]})
    return tmp_path / "data"


def damage(directory: Path) -> None:
    flip(directory / "order", 20)


def remove(directory: Path) -> None:
    (directory / "order").unlink()


@pytest.mark.parametrize("name", ["notes.txt", "copy.lock"])
@pytest.mark.parametrize("harm", [damage, remove])
def test_whatever_lies_beside_it_the_order_file_is_made_again(
    directory: Path, harm: Callable[[Path], None], name: str
) -> None:
    (directory / name).write_text("mine")
    harm(directory)
    with pytest.raises(LogError):
        ps.open(directory)
    report = verify_log(directory)
    (problem,) = report.problems
    assert problem.kind in {"order-damaged", "order-missing"}
    repair_log(directory, report)
    assert verify_log(directory).problems == []
    assert (directory / name).read_text() == "mine"
    with ps.open(directory) as log:
        assert rows_of(log, "t") == [{"n": 1}, {"n": 2}]


def test_nothing_of_its_own_keeps_a_log_from_opening_without_it(directory: Path) -> None:
    with ps.open(directory) as log, log.producer(transactional_id="t") as producer:
        with producer.transaction():
            producer.send("t", {"n": 3})
        with log.consumer("t", group_id="g", max_poll_interval="1m") as consumer:
            consumer.poll()
        log.apply_retention()
    remove(directory)
    with (
        ps.open(directory) as log,
        log.consumer("t", auto_offset_reset="earliest", timeout="0s") as reader,
    ):
        assert [record["n"] for record in reader] == [1, 2, 3]


def test_what_was_damaged_is_kept(directory: Path) -> None:
    damage(directory)
    before = (directory / "order").read_bytes()
    (act,) = repair_log(directory, verify_log(directory))
    (kept,) = directory.glob("quarantine/*/order")
    assert kept.read_bytes() == before
    assert str(kept) in act
    assert act in (kept.parent / "NOTE.txt").read_text()


def test_a_repair_of_something_else_makes_a_missing_order_file_too(directory: Path) -> None:
    remove(directory)
    (topic_file,) = directory.glob("topics/*/topic")
    topic_file.write_bytes(b"x")
    repair_log(directory, verify_log(directory))
    assert verify_log(directory).findings == []


def test_a_directory_that_was_never_a_log_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "topics").mkdir()
    (tmp_path / "topics" / "essay.txt").write_text("mine")
    (tmp_path / "notes.txt").write_text("mine")
    assert verify_log(tmp_path).problems == []
