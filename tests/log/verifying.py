"""Logs to verify and repair, and short ways to say what came of it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pystream as ps
from pystream.log.repair import repair_log
from pystream.log.verify import verify_log
from tests.log.damage import topic_directory

SCHEMA = {"user": "string", "n": "int64"}


def filled(directory: Path) -> Path:
    """Make two topics, one typed with a key and two partitions; 60 records; a group; closed."""
    with ps.open(directory) as log:
        log.create_topic("orders", SCHEMA, key="user", partitions=2, compression="lz4")
        log.create_topic("lines")
        with log.producer() as producer:
            for i in range(10):
                for n in range(5):
                    producer.send("orders", {"user": f"user {n}", "n": i * 5 + n})
                producer.send("lines", f"line {i}", key="k")
                producer.flush()
        with log.consumer("orders", group_id="g", auto_offset_reset="earliest") as reader:
            reader.poll()
            reader.commit()
    return directory


def kinds(directory: Path) -> list[str]:
    return sorted(finding.kind for finding in verify_log(directory).problems)


def repaired(directory: Path) -> list[str]:
    """Repair the log, which must be clean then; return what was done."""
    acts = repair_log(directory, verify_log(directory))
    report = verify_log(directory)
    assert report.problems == []
    return acts


def rows(directory: Path, topic: str = "orders") -> list[int]:
    settings: Any = {"auto_offset_reset": "earliest", "timeout": "0s"}
    with ps.open(directory) as log, log.consumer(topic, **settings) as reader:
        return sorted(record["n"] for record in reader)


def catalog_of(directory: Path, statement: str) -> None:
    with sqlite3.connect(directory / "catalog.db") as connection:
        connection.execute(statement)
    connection.close()


def path_of(directory: Path, topic: str) -> Path:
    with ps.open(directory) as log:
        return topic_directory(log, topic)
