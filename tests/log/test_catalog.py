"""The catalog: topics, schemas and group offsets, shared by processes and threads."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pystream import config
from pystream.errors import (
    LogError,
    RequestTimeoutError,
    StorageError,
    TopicExistsError,
    UnknownTopicError,
)
from pystream.log.catalog.catalog import Catalog
from pystream.log.catalog.groups import load_group, topics_version, write_offsets
from pystream.log.catalog.watch import CatalogWatch
from pystream.log.groups.state import GroupState
from pystream.log.schema import to_schema
from pystream.log.topic_description import TopicConfig, TopicDescription

TIMEOUT_US = 10_000_000
GOLDEN = Path(__file__).resolve().parents[1] / "golden"


BLOB = to_schema({"user": "string", "country": "string"}).serialize()
T = b"t" * 16


def commit_offsets(catalog: Catalog, group: int, offsets: dict[tuple[bytes, int], int]) -> None:
    with catalog.writing() as connection:
        write_offsets(connection, group, offsets)


def topic(name: str = "orders", blob: bytes = BLOB) -> TopicDescription:
    return TopicDescription(
        name=name,
        partitions=3,
        schema_blob=blob,
        is_typed=True,
        key_columns=("user", "country"),
        config=TopicConfig(compression="lz4"),
    )


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog(str(tmp_path), TIMEOUT_US)
    yield opened
    opened.close()


def test_topic_comes_back_as_created(catalog: Catalog, tmp_path: Path) -> None:
    created = catalog.create_topics([topic()])[0]
    assert len(created.id) == 16
    assert created.differences(topic()) == []
    assert catalog.find_topic("orders") == created
    other = Catalog(str(tmp_path), TIMEOUT_US)
    assert other.find_topic("orders") == created
    assert other.find_topic("order") is None
    other.close()


def test_equal_schemas_share_an_id(catalog: Catalog) -> None:
    wider = to_schema({"user": "string", "country": "string", "n": "int64"}).serialize()
    ids = [
        catalog.create_topics([topic("a")])[0].schema_id,
        catalog.create_topics([topic("b", wider)])[0].schema_id,
        catalog.create_topics([topic("c")])[0].schema_id,
    ]
    assert ids[0] == ids[2] != ids[1]


def test_topic_that_exists_is_refused(catalog: Catalog) -> None:
    catalog.create_topics([topic()])[0]
    with pytest.raises(TopicExistsError, match="'orders' exists already") as caught:
        catalog.create_topics([topic()])[0]
    assert caught.value.topic == "orders"
    assert catalog.topic_names() == ["orders"]


def test_delete_takes_committed_offsets_along(catalog: Catalog) -> None:
    created = catalog.create_topics([topic()])[0]
    group = catalog.group_id("billing")
    commit_offsets(catalog, group, {(created.id, 0): 7})
    assert catalog.delete_topic("orders") == created
    assert catalog.committed_offset(group, created.id, 0) is None
    assert catalog.topic_names() == []
    again = catalog.create_topics([topic()])[0]
    assert again.id != created.id
    with pytest.raises(UnknownTopicError):
        catalog.delete_topic("payments")


def test_committed_offsets_are_per_group_and_partition(catalog: Catalog) -> None:
    first, second = catalog.group_id("first"), catalog.group_id("second")
    assert first != second
    assert catalog.group_id("first") == first
    commit_offsets(catalog, first, {(T, 0): 5, (T, 1): 6})
    commit_offsets(catalog, first, {(T, 0): 9})
    assert [catalog.committed_offset(first, T, p) for p in range(3)] == [9, 6, None]
    assert catalog.committed_offset(second, T, 0) is None


def test_offsets_of_several_topics_are_stored_as_the_whole_numbers_that_they_are(
    catalog: Catalog,
) -> None:
    group = catalog.group_id("billing")
    other = b"u" * 16
    offsets = {(T, 1): 2**63 - 1, (T, 0): 0, (other, 4095): 2**53 + 1}
    commit_offsets(catalog, group, offsets)
    for (topic_id, partition), offset in offsets.items():
        assert catalog.committed_offset(group, topic_id, partition) == offset
    with catalog.reading() as connection:
        kinds = connection.execute(
            "SELECT DISTINCT typeof(partition), typeof(next_offset) FROM group_offsets"
        )
        assert kinds.fetchall() == [("integer", "integer")]


def test_failed_write_leaves_nothing(catalog: Catalog) -> None:
    group = catalog.group_id("g")
    with pytest.raises(StorageError):
        commit_offsets(catalog, group, {(T, 0): 5, (T, 1): None})  # type: ignore[dict-item]
    assert catalog.committed_offset(group, T, 0) is None
    commit_offsets(catalog, group, {(T, 0): 5})
    assert catalog.committed_offset(group, T, 0) == 5


def test_change_mark_differs_after_another_process_wrote(catalog: Catalog, tmp_path: Path) -> None:
    before = catalog.change_mark()
    assert catalog.change_mark() == before
    other = Catalog(str(tmp_path), TIMEOUT_US)
    other.create_topics([topic()])[0]
    other.close()
    assert catalog.change_mark() != before


def test_threads_share_one_catalog(catalog: Catalog) -> None:
    group = catalog.group_id("g")

    def commit(partition: int) -> None:
        for offset in range(50):
            commit_offsets(catalog, group, {(T, partition): offset})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(commit, range(4)))
    assert [catalog.committed_offset(group, T, p) for p in range(4)] == [49] * 4


COMMITTER = """
import sys
import time
from pystream import config
from pystream.log.catalog.catalog import Catalog
from pystream.log.catalog.watch import CatalogWatch
from pystream.log.catalog.groups import write_offsets
config.WAL_CHECKPOINT_BYTES = 64 << 10
catalog = Catalog(sys.argv[1], 30_000_000)
group = catalog.group_id("g")
for offset in range(200):
    with catalog.writing() as connection:
        write_offsets(connection, group, {(b"t" * 16, int(sys.argv[2])): offset})
"""


def test_processes_that_write_and_checkpoint_lose_no_commit(
    catalog: Catalog, tmp_path: Path
) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", COMMITTER, str(tmp_path), str(number)])
        for number in range(3)
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    group = catalog.group_id("g")
    assert [catalog.committed_offset(group, T, p) for p in range(3)] == [199] * 3


def test_write_ahead_log_is_written_back_before_it_grows(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "WAL_CHECKPOINT_BYTES", 64 << 10)
    group = catalog.group_id("g")
    for offset in range(300):
        commit_offsets(catalog, group, {(T, 0): offset})
        assert (tmp_path / "catalog.db-wal").stat().st_size < (96 << 10)


def test_child_of_a_fork_opens_its_own_connection(catalog: Catalog) -> None:
    catalog.create_topics([topic()])[0]
    child = os.fork()
    if child == 0:
        ok = catalog.topic_names() == ["orders"]
        catalog.create_topics([topic("from-child")])[0]
        catalog.close()
        os._exit(0 if ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    catalog.create_topics([topic("from-parent")])[0]
    assert catalog.topic_names() == ["from-child", "from-parent", "orders"]


def test_catalog_of_a_newer_format_is_refused_and_unchanged(tmp_path: Path) -> None:
    Catalog(str(tmp_path), TIMEOUT_US).close()
    path = tmp_path / "catalog.db"
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = 4 WHERE name = 'format_version'")
    connection.close()
    with pytest.raises(LogError, match=r"has format version 4, but .* reads versions 1 to 3"):
        Catalog(str(tmp_path), TIMEOUT_US)


def test_settings_of_a_newer_pystream_are_refused_by_name(catalog: Catalog, tmp_path: Path) -> None:
    catalog.create_topics([topic()])[0]
    catalog.close()
    with sqlite3.connect(tmp_path / "catalog.db") as connection:
        connection.execute("""UPDATE topics SET configs = '{"retention": "7d"}'""")
    connection.close()
    with pytest.raises(LogError, match="topic 'orders' has the settings retention, which"):
        catalog.find_topic("orders")


def test_catalog_of_version_1_is_upgraded_with_all_that_it_holds(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "catalog.db") as connection:
        connection.executescript((GOLDEN / "catalog-1.sql").read_text())
    connection.close()
    for _ in range(2):  # the second time nothing is left to do
        catalog = Catalog(str(tmp_path), TIMEOUT_US)
        orders = catalog.find_topic("orders")
        assert orders is not None
        assert (orders.partitions, orders.key_columns) == (3, ("user",))
        assert catalog.committed_offset(catalog.group_id("billing"), orders.id, 1) == 7
        with catalog.reading() as connection:
            group = load_group(connection, catalog.group_id("billing"))
            version = topics_version(connection)
        assert group == GroupState(1, "billing")
        catalog.create_topics([topic(f"more-{version}")])
        with catalog.reading() as connection:
            assert topics_version(connection) == version + 1
        catalog.close()


def test_catalog_of_version_1_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    with sqlite3.connect(path) as connection:
        connection.executescript((GOLDEN / "catalog-1.sql").read_text())
    connection.close()
    before = path.read_bytes()
    catalog = Catalog(str(tmp_path), TIMEOUT_US, read_only=True)
    assert catalog.topic_names() == ["orders"]
    catalog.close()
    assert path.read_bytes() == before


def test_database_of_another_program_is_refused_and_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE photos (name TEXT)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(LogError, match="not the catalog of a log"):
        Catalog(str(tmp_path), TIMEOUT_US)
    assert path.read_bytes() == before


class InterruptedConnection:
    """A connection where Ctrl-C comes when the first transaction has just begun."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._is_due = True

    def execute(self, statement: str, *arguments: object) -> sqlite3.Cursor:
        done = self._connection.execute(statement, *arguments)  # type: ignore[arg-type]
        if statement.startswith("BEGIN") and self._is_due:
            self._is_due = False
            raise KeyboardInterrupt
        return done

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)


@pytest.mark.parametrize("kind", ["reading", "writing"])
def test_ctrl_c_at_the_beginning_of_a_transaction_leaves_none_open(
    catalog: Catalog, kind: str
) -> None:
    database = catalog._database
    database._connection = InterruptedConnection(database._connection)  # type: ignore[assignment,arg-type]
    with pytest.raises(KeyboardInterrupt), getattr(catalog, kind)():
        pass
    catalog.create_topics([topic()])
    with catalog.reading() as connection:
        assert connection.execute("SELECT count(*) FROM topics").fetchone() == (1,)


def test_garbage_is_refused(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_bytes(b"x" * 8192)
    with pytest.raises(LogError, match="is not a catalog, or is damaged"):
        Catalog(str(tmp_path), TIMEOUT_US)


def test_full_disk_is_a_storage_error_with_errno(
    catalog: Catalog,
) -> None:
    group = catalog.group_id("g")
    with catalog._database.reading() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageError, match="full") as caught:
        commit_offsets(catalog, group, {(T, p): 1 for p in range(10_000)})
    assert caught.value.errno == 28
    assert catalog.committed_offset(group, T, 0) is None


def test_a_quiet_catalog_is_not_asked_for_changes(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "CATALOG_SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(config, "CATALOG_ASK_SECONDS", 3600.0)
    watch = CatalogWatch(str(tmp_path / "catalog.db"))
    assert watch.may_have_changed()  # nothing is known yet
    assert not watch.may_have_changed()
    other = Catalog(str(tmp_path), TIMEOUT_US)
    other.create_topics([topic()])
    assert watch.may_have_changed()
    assert not watch.may_have_changed()
    other.close()


def test_a_commit_that_becomes_visible_late_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log of the database is longer before others see what was added."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    log = tmp_path / "catalog.db-wal"
    log.write_bytes(b"x")
    watch = CatalogWatch(str(tmp_path / "catalog.db"))
    asked = []
    for _ in range(300):
        asked.append(watch.may_have_changed())
        now += 0.01
    settled = int(config.CATALOG_SETTLE_SECONDS / 0.01)
    assert all(asked[:settled])
    assert 2 <= sum(asked[settled + 1 :]) <= 4  # and then about once a second


HOLD_THE_LOCK = """
import os, sys, time
from pystream.log.kernel_lock import KernelLock

with KernelLock(os.path.join(sys.argv[1], "catalog.lock"), what="the catalog's lock") as lock:
    lock.acquire(10_000_000)
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_stopped_holder_of_the_lock_is_named_and_nothing_is_half_done(tmp_path: Path) -> None:
    catalog = Catalog(str(tmp_path), 100_000)
    catalog.create_topics([topic()])
    command = [sys.executable, "-c", HOLD_THE_LOCK, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            assert holder.stdout.readline() == "held\n"
            holder.send_signal(signal.SIGSTOP)
            with pytest.raises(
                RequestTimeoutError,
                match=rf"held by process {holder.pid} for 0.1 s. See whether that process is stop",
            ) as caught:
                catalog.create_topics([topic("late")])
            assert caught.value.pid == holder.pid
            assert catalog.topic_names() == ["orders"]  # reading needs no lock
        finally:
            holder.send_signal(signal.SIGCONT)
        holder.stdin.write("\n")
        holder.stdin.flush()
        assert holder.wait(30) == 0
    catalog.create_topics([topic("late")])
    assert catalog.topic_names() == ["late", "orders"]
    catalog.close()
