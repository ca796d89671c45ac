"""Rows of the catalog that nobody wrote so: each is named, harms nothing else, and can be repaired.

``tests/torture/catalog_rows.py`` does the same at random.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import pystream as ps
from pystream.errors import CorruptCatalogError, LogError, StorageError, StreamError
from pystream.log.catalog.format import FORMAT_VERSION
from pystream.log.catalog.rows import TABLES
from pystream.log.catalog.topics import _TYPES
from pystream.log.repair import repair_log
from pystream.log.topic_description import TopicConfig
from pystream.log.transactions import transactions
from pystream.log.verify import verify_log

Use = Callable[[ps.Log], object]
ORDERS = ps.TopicPartition("orders", 0)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Two topics; two groups that committed 3; a named producer; a committed transaction."""
    place = tmp_path / "data"
    with ps.open(place) as log:
        log.create_topic("orders", {"user": "string", "n": "int64"}, key="user")
        log.create_topic("lines", partitions=2)
        with log.producer(producer_name="loader") as producer:
            for n in range(5):
                producer.send("orders", {"user": "ann", "n": n}, sequence_id=n)
        with log.producer() as plain:
            plain.send("lines", b"first", partition=0)
        log.delete_records({ORDERS: 1})
        for group in ("billing", "search"):
            with log.consumer(
                "orders", group_id=group, group_instance_id="one", auto_offset_reset="earliest"
            ) as consumer:
                consumer.poll(max_records=2)
                consumer.commit({ORDERS: 3})
        _leave_a_committed_transaction(log)
    return place


def _leave_a_committed_transaction(log: ps.Log) -> None:
    """As a process does that is killed before it writes the markers."""
    producer = log.producer(transactional_id="payer")
    producer.begin_transaction()
    producer.send_batch("lines", {"key": [b"k"], "value": [b"paid"]}, partition=1)
    with mock.patch.object(transactions, "write_markers", side_effect=StorageError("killed")):
        producer.commit_transaction()
    producer.close()


def damage(directory: Path, statement: str, *values: object) -> None:
    """Change rows as rotten bytes would: any cell may become NULL."""
    path = directory / "catalog.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "CREATE TEMP TABLE kept AS SELECT rowid AS number, sql FROM sqlite_master"
        )
        connection.execute("UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '')")
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            assert other.execute(statement, values).rowcount > 0, statement
        connection.execute(
            "UPDATE sqlite_master SET sql = "
            "(SELECT sql FROM kept WHERE number = sqlite_master.rowid)"
        )


def numbers(log: ps.Log) -> list[int]:
    with log.consumer("orders", auto_offset_reset="earliest", timeout="0s") as consumer:
        return [record["n"] for record in consumer]


def load(log: ps.Log) -> int:
    with log.producer(producer_name="loader") as producer:
        last = producer.last_sequence_id("orders")
        producer.send("orders", {"user": "ann", "n": last + 1}, sequence_id=last + 1)
        return last


def join(log: ps.Log, group: str = "billing", **settings: Any) -> None:
    with log.consumer(
        "orders", group_id=group, auto_offset_reset="earliest", **settings
    ) as consumer:
        consumer.poll()


def committed(log: ps.Log, group: str = "billing") -> int | None:
    with log.consumer(group_id=group) as consumer:
        return consumer.committed(ORDERS)


def paid(log: ps.Log) -> list[bytes]:
    with log.consumer(auto_offset_reset="earliest") as consumer:
        consumer.assign([ps.TopicPartition("lines", 1)])
        return [row["value"] for b in consumer.batches(timeout="0s") for row in b.to_pylist()]


def topics(set_to: str) -> str:
    return f"UPDATE topics SET {set_to} WHERE name = 'orders'"


OF_BILLING = "WHERE group_id = (SELECT id FROM groups WHERE name = 'billing')"
A_TOPIC = "name='orders' of table topics"
# ruff: noqa: E501
CASES: list[tuple[str, Use, str]] = [
    (topics("id = x'00'"), numbers, "row id=x'00', name='orders' of table topics: id is x'00', and "
     "must be 16 bytes"),
    (topics("id = zeroblob(16)"), numbers, "schema_id is 1, and must be one of the schemas that"),
    (topics("name = '../../etc'"), ps.Log.topics, "name is '../../etc', and must be a legal name"),
    (topics("name = CAST(x'ff' AS TEXT)"), ps.Log.topics, "name is x'ff', and must be a legal"),
    (topics("partitions = NULL"), numbers, f"{A_TOPIC}: partitions is None, and must be a whole"),
    (topics("partitions = -1"), numbers, "partitions is -1, and must be a whole number from 1 to"),
    (topics("partitions = 'two'"), numbers, "partitions is 'two', and must be"),
    (topics("schema_id = 77"), numbers, "schema_id is 77, and must be the id of a row of table"),
    (topics("schema_id = 2"), numbers, "schema_id is 2, and must be one of the schemas that table"),
    (topics("is_typed = 0"), numbers, "is_typed is 0, and must be 1 for a topic with such columns"),
    (topics("is_typed = 7"), numbers, "is_typed is 7, and must be a whole number from 0 to 1"),
    (topics("key_columns = '[\"us'"), numbers, "key_columns is '[\"us', and must be a JSON list"),
    (topics("key_columns = '{}'"), numbers, "key_columns is '{}', and must be a JSON list of names"),
    (topics("key_columns = '[\"age\"]'"), numbers, "must be a list of columns of the topic, which "
     "has user, n"),
    (topics("configs = '[]'"), numbers, "configs is '[]', and must be a JSON object of settings"),
    (topics("configs = '" + "[" * 9999 + "'"), numbers, "must be a JSON object of settings"),
    (topics("configs = '{\"segment_bytes\": \"1MiB\"}'"), numbers, "of which segment_bytes is int"),
    (topics("configs = '{\"retention_us\": 0}'"), numbers, "of which retention_us is not 0"),
    (topics("configs = '{\"compression\": \"zip\"}'"), numbers, "legal settings, but compression is"),
    (topics("configs = '{\"cleanup_policy\": \"compact\"}', key_columns = '[]'"), numbers, "and must be "
     "without compaction for a topic that has no key"),
    (topics("created_us = 'x'"), numbers, "created_us is 'x', and must be a whole number"),
    ("UPDATE schemas SET blob = substr(blob, 1, 20) WHERE id = 1", numbers, "row id=1 of table "
     "schemas: blob is x'505353.*, and must be a schema, but the schema's bytes are damaged"),
    ("UPDATE schemas SET blob = CAST(substr(blob, 1, 24) || x'ff' || substr(blob, 26) AS BLOB) WHERE "
     "id = 1", numbers, "and must be a schema, but the schema's bytes are damaged at byte 26 of 37: a "
     "name that is not UTF-8"),
    ("DELETE FROM schemas WHERE id = 1", numbers, "must be the id of a row of table schemas"),
    ("DELETE FROM topic_schemas", numbers, "must be one of the schemas that table topic_schemas"),
    ("UPDATE meta SET value = 'x' WHERE name = 'topics_version'", join, "row name='topics_version' "
     "of table meta: value is 'x'"),
    ("DELETE FROM meta WHERE name = 'topics_version'", join, "of table meta: it is missing"),
    ("UPDATE groups SET epoch = 'x' WHERE name = 'billing'", join, "table groups: epoch is 'x'"),
    ("UPDATE groups SET name = NULL WHERE name = 'billing'", ps.Log.groups, "name is None, and must "
     "be a text, not empty"),
    ("DELETE FROM groups WHERE name = 'search'", lambda log: committed(log, "new"), "table groups: "
     "it is missing, though table group_offsets names it"),
    (f"UPDATE group_members SET subscription = '[]' {OF_BILLING}", join, "table group_members: "
     r"subscription is '\[\]', and must be a JSON object of topics"),
    (f"UPDATE group_members SET subscription = '{{\"topics\": [], \"pattern\": \"(\"}}' {OF_BILLING}",
     join, "pattern, a regular expression or null"),
    (f"UPDATE group_members SET subscription = '{{\"topics\": [\"\\ud800\"], \"pattern\": null}}' "
     f"{OF_BILLING}", join, "must be a JSON object of topics, a list of names"),
    (f"UPDATE group_members SET assignor = 'mine' {OF_BILLING}", join, "assignor is 'mine', and must "
     r"be one of \['range', 'sticky', 'uniform'\]"),
    (f"UPDATE group_members SET slot = 3 {OF_BILLING}", join, "slot is 3, away_us is [0-9]+ and"),
    (f"UPDATE group_members SET slot = 3e18 {OF_BILLING}", join, "slot is 3000000000000000000, and"),
    (f"UPDATE group_partitions SET owner = 99 {OF_BILLING}", join, "table group_partitions: owner is "
     "99, and the group has no such member"),
    (f"UPDATE group_partitions SET topic_id = x'01' {OF_BILLING}", join, "topic_id is x'01'"),
    (f"UPDATE group_offsets SET next_offset = -4 {OF_BILLING}", committed, "row group_id=1, "
     "topic_id=x'[0-9a-f]{32}', partition=0 of table group_offsets: next_offset is -4, and must"),
    (f"UPDATE group_offsets SET next_offset = 'x' {OF_BILLING}",
     lambda log: log.describe_group("billing"), "table group_offsets: next_offset is 'x'"),
    ("UPDATE producers SET epoch = 'x' WHERE name = 'loader'", load, "producers: epoch is 'x'"),
    ("UPDATE producers SET epoch = NULL WHERE name = 'payer'",
     lambda log: log.producer(transactional_id="payer"), "table producers: epoch is None"),
    ("UPDATE producer_positions SET last_sequence = -9", load, "table producer_positions: "
     "last_sequence is -9"),
    ("UPDATE producer_positions SET incarnation = 5000000000", load, "incarnation is 5000000000"),
    ("UPDATE producer_floors SET next_offset = x'00'", load, "table producer_floors: next_offset is "
     "x'00'"),
    ("UPDATE producer_floors SET next_offset = 0.5",
     lambda log: log.delete_records({ORDERS: 3}), "table producer_floors: next_offset is 0.5"),
    ("UPDATE transactions SET state = 'maybe'", paid, r"table transactions: state is 'maybe', and "
     r"must be one of \['aborted', 'committed', 'open'\]"),
    ("UPDATE transactions SET producer_epoch = NULL", ps.Log.transactions, "producer_epoch is None"),
    ("UPDATE transactions SET slot = -5", paid, "table transactions: slot is -5"),
    ("DELETE FROM transactions", paid, "table transactions: it is missing, though table "
     "transaction_partitions names it"),
    ("UPDATE transaction_partitions SET topic_id = randomblob(16)", paid, "table "
     "transaction_partitions: there is no such partition"),
    ("UPDATE transaction_partitions SET partition = 2", paid, "there is no such partition"),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "use", "message"), CASES, ids=[c[0] for c in CASES])
def test_damaged_row_is_named_by_who_needs_it_found_by_verify_and_set_aside_by_repair(
    directory: Path, statement: str, use: Use, message: str
) -> None:
    damage(directory, statement)
    pattern = message if "\\" in message or "[0-9" in message or ".*" in message else None
    expected = pytest.raises(CorruptCatalogError, match=pattern or re.escape(message))
    with ps.open(directory) as log, expected as caught:
        use(log)
    error = caught.value
    assert error.path == str(directory / "catalog.db")
    assert str(error).startswith(f"the catalog {error.path} is damaged: row {error.row} of table ")
    assert f'"pystream verify --repair {directory}"' in str(error)
    found = verify_log(directory).problems
    assert any(
        finding.kind == "catalog-row" and f"table {error.table}" in finding.what
        for finding in found
    ), found
    repair_log(directory, verify_log(directory))
    assert verify_log(directory).problems == []
    assert any((directory / "quarantine").glob("*/catalog.db"))
    with ps.open(directory) as log:
        assert sorted(log.topics()) == ["lines", "orders"]
        assert numbers(log)[:4] == [1, 2, 3, 4]
        with contextlib.suppress(StreamError):  # an offset that is gone
            use(log)
        assert committed(log, "search") in (3, None)
        load(log)


@pytest.mark.parametrize("column", ["partitions", "schema_id", "key_columns", "configs"])
def test_what_other_topics_and_groups_have_is_usable(directory: Path, column: str) -> None:
    damage(directory, f"UPDATE topics SET {column} = NULL WHERE name = 'lines'")
    damage(directory, f"UPDATE group_offsets SET next_offset = NULL {OF_BILLING}")
    with ps.open(directory) as log:
        assert numbers(log) == [1, 2, 3, 4]
        assert committed(log, "search") == 3
        join(log, "search", group_instance_id="one")
        assert load(log) == 4
        assert log.topics() == ["lines", "orders"]
        with pytest.raises(CorruptCatalogError):
            log.topic("lines")
        with log.consumer(group_id="of-orders") as consumer:
            consumer.subscribe(pattern="ord.*")  # which does not match the other
            consumer.poll()


def test_a_pattern_that_matches_a_damaged_topic_says_so(directory: Path) -> None:
    damage(directory, "UPDATE topics SET partitions = 0 WHERE name = 'lines'")
    with (
        ps.open(directory) as log,
        log.consumer(group_id="of-all") as consumer,
        pytest.raises(CorruptCatalogError, match="partitions is 0"),
    ):
        consumer.subscribe(pattern=".*")


def test_a_topic_whose_id_is_empty_does_not_take_all_others_along(directory: Path) -> None:
    """Its directory would be that of all topics."""
    damage(directory, "UPDATE topics SET id = x'' WHERE name = 'lines'")
    with ps.open(directory) as log:
        with pytest.raises(CorruptCatalogError, match="id is x''"):
            log.delete_topic("lines")
        assert numbers(log) == [1, 2, 3, 4]


def test_a_schema_that_is_lost_leaves_its_number_to_nobody(directory: Path) -> None:
    damage(directory, "DELETE FROM schemas WHERE id = 2")
    expected = pytest.raises(CorruptCatalogError, match="row id=2 of table schemas: it is missing")
    with ps.open(directory) as log, expected:
        log.create_topic("other", {"other": "int64"})


def test_every_damaged_row_is_found(directory: Path) -> None:
    damage(directory, "UPDATE group_offsets SET next_offset = 'x'")
    damage(directory, "UPDATE producers SET name = NULL WHERE name = 'loader'")
    damage(directory, topics("partitions = 0"))
    kinds = [finding.kind for finding in verify_log(directory).problems]
    assert kinds.count("catalog-row") == 4
    assert "catalog-damaged" not in kinds


def test_repair_keeps_what_a_damaged_row_does_not_take_along(directory: Path) -> None:
    damage(directory, f"UPDATE group_members SET epoch = 'x' {OF_BILLING}")
    damage(directory, "UPDATE producer_positions SET last_sequence = 'x'")
    damage(directory, "UPDATE transactions SET slot = NULL, timeout_us = 'x', process_id = -1")
    damage(directory, "UPDATE transaction_partitions SET partition = 'x'")
    damage(directory, topics("configs = 'x', created_us = NULL"))
    repair_log(directory, verify_log(directory))
    with ps.open(directory) as log:
        assert paid(log) == [b"paid"]
        assert committed(log, "billing") == 3
        assert numbers(log) == [1, 2, 3, 4]
        assert load(log) == 4
        assert log.topic("orders").key == ("user",)


def test_a_topic_without_records_is_entered_again_from_its_file(directory: Path) -> None:
    with ps.open(directory) as log:
        log.create_topic("empty", {"n": "int64"}, partitions=3)
    damage(directory, "UPDATE topics SET key_columns = NULL WHERE name = 'empty'")
    repair_log(directory, verify_log(directory))
    with ps.open(directory) as log:
        assert log.topic("empty").partitions == 3


def test_settings_of_a_newer_pystream_are_no_damage_and_stop_the_repair(directory: Path) -> None:
    damage(directory, topics('configs = \'{"colour": "red"}\''))
    report = verify_log(directory)
    assert ("other-format", "orders") in [(f.kind, f.topic) for f in report.problems]
    with pytest.raises(LogError, match="nothing was repaired, because topic 'orders' has the sett"):
        repair_log(directory, report)
    expected = pytest.raises(LogError, match=r"catalog\.db, topic 'orders' has the settings colour")
    with ps.open(directory) as log, expected:
        log.topic("orders")


def test_a_table_that_is_not_there_is_damage_and_no_error_of_the_disk(directory: Path) -> None:
    with contextlib.closing(sqlite3.connect(directory / "catalog.db")) as connection:
        connection.execute("DROP TABLE group_offsets")
    expected = pytest.raises(LogError, match=r"or is damaged .no such table: group_offsets")
    with ps.open(directory) as log, expected as caught:
        committed(log)
    assert not isinstance(caught.value, StorageError)
    assert "catalog-damaged" in [f.kind for f in verify_log(directory).problems]


def test_a_schema_of_the_database_that_is_no_text_is_damage(directory: Path) -> None:
    path = directory / "catalog.db"
    data = path.read_bytes()
    path.write_bytes(
        data.replace(b"CREATE TABLE group_offsets (", b"CREATE TABLX \xc5roup_offsets (")
    )
    for read_only in (True, False):
        with pytest.raises(LogError, match=r"catalog\.db is not a catalog, or is damaged"):
            ps.open(directory, read_only=read_only)
    assert "catalog-damaged" in [finding.kind for finding in verify_log(directory).problems]
    repair_log(directory, verify_log(directory))
    with ps.open(directory) as log:
        assert numbers(log) == [1, 2, 3, 4]


def test_the_tables_have_the_columns_of_the_catalog(directory: Path) -> None:
    with contextlib.closing(sqlite3.connect(directory / "catalog.db")) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        tables = {name for (name,) in names if not name.startswith("sqlite_")}
        assert tables == set(TABLES)
        for table in tables:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            assert columns == list(TABLES[table].columns)
            assert set(TABLES[table].key) <= set(columns)
    assert all(1 <= table.since <= FORMAT_VERSION for table in TABLES.values())


def test_every_setting_of_a_topic_can_be_checked() -> None:
    fields = TopicConfig.__dataclass_fields__.values()
    assert {str(field.type) for field in fields} <= set(_TYPES)
