"""All that a program may do with a log, as attempts of which each may fail by name alone."""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pystream as ps
from pystream.errors import CorruptCatalogError, LogError, RequestTimeoutError, StreamError
from tests.torture.catalog_log import COLUMNS, GROUPS, LEDGER, Content, Partition, Rows, read

PATTERN = "typed|evolved"


class Wrong(Exception):
    """A promise does not hold."""


class Attempts:
    """Runs what may fail, and keeps what it said.

    Attributes
    ----------
    complaints : list of (str, StreamError)
        What was attempted, and how it failed.
    """

    def __init__(self) -> None:
        self.complaints: list[tuple[str, StreamError]] = []

    def attempt(self, what: str, action: Callable[[], Any]) -> Any:
        """Return what an action does, or None when it fails with an error of pystream."""
        try:
            return action()
        except RequestTimeoutError as error:
            raise Wrong(f"{what}: it waited: {error}") from error
        except StreamError as error:
            _check_message(what, error)
            self.complaints.append((what, error))
            return None
        except Wrong:
            raise
        except Exception as error:
            raise Wrong(f"{what}:\n{traceback.format_exc(limit=-8)}") from error

    def damaged_tables(self) -> set[str]:
        """Return the tables that errors called damaged."""
        found = (error for _, error in self.complaints if isinstance(error, CorruptCatalogError))
        return {str(error.table) for error in found}


def _check_message(what: str, error: StreamError) -> None:
    text = str(error)
    if isinstance(error, CorruptCatalogError):
        facts = (error.path, error.table, error.row)
        if not all(fact is not None and fact in text for fact in facts):
            raise Wrong(f"{what}: it does not name {facts}: {text}")
        if error.column is not None and error.column not in text:
            raise Wrong(f"{what}: it does not name {error.column}: {text}")
    elif type(error) is LogError and "catalog.db" not in text and "backup.unfinished" not in text:
        raise Wrong(f"{what}: it does not name the catalog: {text}")


def look(log: ps.Log, attempts: Attempts, partitions: list[Partition]) -> None:
    """Ask for everything, and change nothing."""
    attempt = attempts.attempt
    names = attempt("topics()", log.topics) or []
    for name in {*names, *(topic for topic, _ in partitions)}:
        topic = attempt(f"topic({name!r})", partial(log.topic, name))
        if topic is not None:
            attempt(f"settings of {name!r}", partial(_settings, topic))
            attempt(f"ends of {name!r}", topic.ends)
    for group in {*(attempt("groups()", log.groups) or []), *GROUPS}:
        attempt(f"describe_group({group!r})", partial(log.describe_group, group))
    for its in attempt("transactions()", log.transactions) or []:
        attempt("describe_transaction()", partial(log.describe_transaction, its.transaction_id))


def _settings(topic: ps.Topic) -> tuple[Any, ...]:
    return (
        *(topic.name, topic.schema.names, topic.key, topic.is_typed, topic.compression),
        *(topic.retention, topic.retention_bytes, topic.segment_bytes, topic.timestamp_type),
    )


def change(log: ps.Log, attempts: Attempts, choose: random.Random, place: Path) -> None:
    """Do what changes a log, in any order."""
    uses: list[tuple[str, Callable[[], Any]]] = [
        ("a group that subscribes", lambda: _consume(log, choose.choice(GROUPS), ["plain"])),
        ("a group by a pattern", lambda: _consume(log, "present", PATTERN)),
        ("a static member", lambda: _consume(log, "away", ["plain"], group_instance_id="one")),
        ("a new group", lambda: _consume(log, "new", ["typed"])),
        ("a commit from outside", lambda: _commit(log, choose.choice(GROUPS))),
        ("a producer with a name", lambda: _load(log)),
        (
            "a producer",
            lambda: _send(log, choose.choice(("plain", "typed", "evolved", "compacted", "empty"))),
        ),
        ("a transaction", lambda: _transact(log, "payer-open", choose)),
        ("another transaction", lambda: _transact(log, "payer-committed", choose)),
        ("abort_transaction()", lambda: log.abort_transaction("payer-open")),
        ("apply_retention()", log.apply_retention),
        ("delete_records()", lambda: log.delete_records({ps.TopicPartition("typed", 1): 1})),
        ("more partitions", lambda: log.alter_topic("plain", partitions=3)),
        ("more columns", lambda: log.alter_topic("typed", add_columns={"more": "string"})),
        ("other settings", lambda: log.alter_topic("evolved", retention=None)),
        ("offsets_for_times()", lambda: _find(log)),
        ("reset_offsets()", lambda: log.reset_offsets(choose.choice(GROUPS), to="earliest")),
        ("delete_group()", lambda: log.delete_group(choose.choice(GROUPS))),
        ("delete_topic()", lambda: log.delete_topic(choose.choice(("plain", "empty", LEDGER)))),
        ("create_topic()", lambda: log.create_topic("fresh", {"fresh": "int64"})),
        ("create_topic(exist_ok)", lambda: log.create_topic("typed", COLUMNS, exist_ok=True)),
        ("backup()", lambda: log.backup(place)),
    ]
    choose.shuffle(uses)
    for what, use in uses[: choose.randint(4, len(uses))]:
        attempts.attempt(what, use)


def _consume(log: ps.Log, group: str, topics: list[str] | str, **settings: Any) -> None:
    with log.consumer(group_id=group, auto_offset_reset="earliest", **settings) as consumer:
        if isinstance(topics, str):
            consumer.subscribe(pattern=topics)
        else:
            consumer.subscribe(topics)
        for _ in range(3):
            consumer.poll(timeout="0s", max_records=5)
        consumer.commit()


def _commit(log: ps.Log, group: str) -> None:
    with log.consumer(group_id=group) as consumer:
        consumer.assign([ps.TopicPartition("plain", 0)])
        consumer.commit({ps.TopicPartition("plain", 0): 1})


def _load(log: ps.Log) -> None:
    with log.producer(producer_name="loader", acks="published") as producer:
        next_id = producer.last_sequence_id("typed") + 1
        producer.send("typed", {"user": "more", "n": next_id}, sequence_id=next_id)
        producer.flush()


def _send(log: ps.Log, topic: str) -> None:
    with log.producer(acks="published") as producer:
        if topic == "plain":
            producer.send(topic, b"more").result()
        else:
            row = {"user": "more"} if topic in ("typed", "compacted") else {}
            producer.send(topic, {**row, "n": 1}).result()


def _transact(log: ps.Log, name: str, choose: random.Random) -> None:
    with log.producer(transactional_id=name, acks="published") as producer:
        producer.begin_transaction()
        producer.send_batch(LEDGER, {"n": [1000]}, partition=choose.randrange(2))
        producer.send_offsets_to_transaction({ps.TopicPartition("plain", 0): 2}, "readers")
        if choose.random() < 0.5:
            producer.commit_transaction()
        else:
            producer.abort_transaction()


def _find(log: ps.Log) -> None:
    with log.consumer() as consumer:
        consumer.offsets_for_times({ps.TopicPartition("typed", 0): 3}, column="n")


def read_all(log: ps.Log, attempts: Attempts, content: Content) -> dict[Partition, Rows]:
    """Read every partition that can be read; topics that were made anew are others."""
    found = {}
    for topic, partition in content.records:
        rows = attempts.attempt(f"read {topic}-{partition}", partial(read, log, topic, partition))
        if rows is not None and log.topic(topic).description.id == content.ids[topic]:
            found[topic, partition] = rows
    return found
