"""A signal handler, or what the garbage collector finds, in the middle of a use of the catalog."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import pystream as ps
from pystream.errors import ClientError
from pystream.log.catalog.catalog import Catalog

TIMEOUT_US = 10_000_000
BLOCKS = ["writing", "reading", "standing_still"]


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog(str(tmp_path), TIMEOUT_US)
    yield opened
    opened.close()


def block(catalog: Catalog, kind: str) -> AbstractContextManager[Any]:
    entered: AbstractContextManager[Any] = getattr(catalog, kind)()
    return entered


def versions(catalog: Catalog) -> int:
    with catalog.reading() as connection:
        (found,) = connection.execute(
            "SELECT value FROM meta WHERE name = 'topics_version'"
        ).fetchone()
    return int(found)


def raise_version(connection: Any, by: int) -> None:
    connection.execute("UPDATE meta SET value = value + ? WHERE name = 'topics_version'", (by,))


@pytest.mark.parametrize("inner", BLOCKS)
def test_what_is_being_written_is_not_ended_by_another_use(catalog: Catalog, inner: str) -> None:
    before = versions(catalog)
    with catalog.writing() as connection:
        raise_version(connection, 1)
        with (
            pytest.raises(ClientError, match=r"in the middle of another use.*set a flag"),
            block(catalog, inner),
        ):
            raise AssertionError("it was let in")
        raise_version(connection, 10)
    assert versions(catalog) == before + 11


@pytest.mark.parametrize("outer", BLOCKS)
def test_nobody_closes_it_from_within(catalog: Catalog, tmp_path: Path, outer: str) -> None:
    before = versions(catalog)
    other = Catalog(str(tmp_path), 50_000)
    with block(catalog, outer) as connection:
        if outer == "writing":
            raise_version(connection, 1)
        with pytest.raises(ClientError, match="set a flag"):
            catalog.close()
        if outer != "reading":
            with pytest.raises(ps.errors.RequestTimeoutError), other.writing():
                raise AssertionError("the lock was given back")
    assert versions(catalog) == before + (outer == "writing")
    other.close()


@pytest.mark.parametrize("outer", ["reading", "standing_still"])
def test_nor_is_what_must_stand_still(catalog: Catalog, tmp_path: Path, outer: str) -> None:
    other = Catalog(str(tmp_path), 50_000)
    with block(catalog, outer):
        with pytest.raises(ClientError), catalog.writing():
            raise AssertionError("it was let in")
        if outer == "standing_still":
            with pytest.raises(ps.errors.RequestTimeoutError), other.writing():
                raise AssertionError("it did not stand still")
    with catalog.writing() as connection:  # and all is as before
        raise_version(connection, 1)
    with other.writing() as connection:
        raise_version(connection, 1)
    other.close()


def test_a_block_that_was_cut_short_twice_is_in_nobodys_way(catalog: Catalog) -> None:
    before = versions(catalog)
    left = catalog.writing()
    raise_version(left.__enter__(), 1)
    catalog._database._mutex.release()  # as Guard does in any case
    with catalog.writing() as connection:
        raise_version(connection, 10)
    assert versions(catalog) == before + 10


def test_a_handler_that_closes_a_member_in_the_middle_of_its_commit_is_told(tmp_path: Path) -> None:
    told: list[Exception] = []
    with ps.open(tmp_path / "log") as log:
        log.create_topic("t")
        with log.producer() as producer:
            producer.send("t", b"x")
        consumer = log.consumer("t", group_id="g", auto_offset_reset="earliest")
        consumer.poll("1s")

        def close(*_: object) -> None:
            try:
                consumer.close()
            except ClientError as error:
                told.append(error)

        before = signal.signal(signal.SIGUSR1, close)
        try:
            with log.catalog.writing() as connection:
                raise_version(connection, 1)
                signal.raise_signal(signal.SIGUSR1)
                raise_version(connection, 1)
        finally:
            signal.signal(signal.SIGUSR1, before)
        assert "Let handlers set a flag" in str(told)
        assert log.describe_group("g").members == []
