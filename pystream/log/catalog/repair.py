"""What a repair writes into the catalog."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping

from pystream.log.catalog.catalog import Catalog
from pystream.log.catalog.database import copy_database
from pystream.log.catalog.errors import translated
from pystream.log.catalog.format import check_catalog_version, restore_version
from pystream.log.catalog.rows import DamagedRow, tolerant
from pystream.log.catalog.topics import insert_topic
from pystream.log.topic_description import TopicDescription

__all__ = ["limit_group_offsets", "mend_version", "restore_topic"]


def mend_version(path: str, copy: str) -> list[str]:
    """Let a catalog that nobody has open say its version; return what was done.

    Parameters
    ----------
    path : str
        Of the database.
    copy : str
        Where it is kept as it was, if anything is changed.
    """
    with (
        translated(path),
        contextlib.closing(tolerant(sqlite3.connect(path, isolation_level=None))) as connection,
    ):
        try:
            check_catalog_version(connection, path)
        except DamagedRow as error:
            copy_database(connection, copy)
            version = restore_version(connection)
            return [
                f"copied the catalog, as it was, to {copy}",
                f"let the catalog have version {version}, because of {error}",
            ]
    return []


def restore_topic(catalog: Catalog, topic: TopicDescription, created_us: int) -> None:
    """Enter a topic that was lost, under its own ids as far as they are free."""
    with catalog.writing() as connection:
        same = "SELECT id FROM schemas WHERE blob = ?"
        found = connection.execute(same, (topic.schema_blob,)).fetchone()
        taken = "SELECT 1 FROM schemas WHERE id = ?"
        if found is not None:
            topic = topic.with_ids(topic.id, found[0])
        else:
            if connection.execute(taken, (topic.schema_id,)).fetchone() is not None:
                # Segments may bear the id that it had, with either schema: a new one is safe.
                (largest,) = connection.execute("SELECT max(id) FROM schemas").fetchone()
                topic = topic.with_ids(topic.id, largest + 1)
            connection.execute(
                "INSERT INTO schemas VALUES (?, ?)", (topic.schema_id, topic.schema_blob)
            )
        insert_topic(connection, topic, created_us)


def limit_group_offsets(catalog: Catalog, ends: Mapping[tuple[bytes, int], int]) -> list[str]:
    """Let no committed offset pass the end of its partition; return what was done.

    Parameters
    ----------
    catalog : Catalog
    ends : mapping of (topic id, partition) to int
        Log end offsets; offsets of other partitions stay.
    """
    done = []
    with catalog.writing() as connection:
        gone = connection.execute(
            "DELETE FROM group_offsets WHERE topic_id NOT IN (SELECT id FROM topics)"
        ).rowcount
        if gone:
            done.append(f"removed {gone} offsets of groups in topics that do not exist")
        rows = connection.execute(
            "SELECT group_id, topic_id, partition, next_offset FROM group_offsets"
        ).fetchall()
        for group, topic_id, partition, offset in rows:
            end = ends.get((topic_id, partition))
            if end is not None and offset > end:
                connection.execute(
                    "UPDATE group_offsets SET next_offset = ? "
                    "WHERE group_id = ? AND topic_id = ? AND partition = ?",
                    (end, group, topic_id, partition),
                )
                done.append(
                    f"set the offset of a group in {topic_id.hex()}-{partition} from {offset} "
                    f"to the end, {end}"
                )
    return done
