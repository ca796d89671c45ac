"""The catalog: topics, schemas, group offsets and producers' names of a log, in SQLite.

It is the control plane that ZooKeeper is for Kafka. Appending and reading need it only to find a
topic.
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable, Sequence

from pystream._native import Guard
from pystream.errors import TopicExistsError, UnknownTopicError
from pystream.log.catalog.database import CatalogDatabase, copy_database
from pystream.log.catalog.groups import enter_group, find_group
from pystream.log.catalog.producers import epoch_of, take_name
from pystream.log.catalog.rows import Cells, DamagedRow
from pystream.log.catalog.topics import (
    created_us,
    enter_schema,
    find_topic,
    find_topics,
    insert_topic,
    remove_topic,
    topic_names,
    topic_of_id,
    update_topic,
)
from pystream.log.topic_description import TopicDescription
from pystream.log.topic_file import mark_deleted, write_topic_file, write_topic_files
from pystream.log.topic_settings import check_same

__all__ = ["Catalog", "ProducerPosition"]

ProducerPosition = tuple[int, int, int, int]
"""Next offset, incarnation of the partition, last sequence, complete sequence."""

_NEXT_OFFSET = Cells("group_offsets", "next_offset")
_NAMED_PRODUCER = Cells("producers", "name", "id", "epoch")
_POSITION = ("partition", "next_offset", "incarnation", "last_sequence", "complete_sequence")
_POSITIONS = Cells("producer_positions", *_POSITION)
_FLOORS = Cells("producer_floors", *_POSITION)


class Catalog:
    """Reads and writes the catalog of one log directory. Any thread.

    Parameters
    ----------
    directory : str
        Of the log; ``catalog.db`` and ``catalog.lock`` are created when missing.
    lock_timeout_us : int
        How long to wait for another process's write.
    is_rebuilt : bool, default False
        The catalog was lost and its topics are about to be entered again; else an empty catalog
        over topics that have records is refused.
    read_only : bool, default False
        Write nothing, and make no file; follows what others write.

    Notes
    -----
    One connection, used by one thread at a time. A forked child never touches the parent's
    connection (SQLite forbids it): it opens its own on first use.
    """

    def __init__(
        self,
        directory: str,
        lock_timeout_us: int,
        *,
        read_only: bool = False,
        is_rebuilt: bool = False,
    ) -> None:
        self._directory = directory
        self._own_changes = 0  # by this connection, which does not see its own changes
        self._database = CatalogDatabase(
            directory, lock_timeout_us, read_only=read_only, is_rebuilt=is_rebuilt
        )

    # -- topics --------------------------------------------------------------------------------

    def create_topics(
        self, topics: Sequence[TopicDescription], *, exist_ok: bool = False
    ) -> list[TopicDescription]:
        """Add topics of different names, all or none; return them with their ids filled in.

        Raises
        ------
        TopicExistsError
            If there is one of such a name; with `exist_ok`, only if it has other properties.
        """
        if exist_ok:
            with self._database.reading() as connection:
                found = find_topics(connection, [topic.name for topic in topics])
            check_same(topics, found)
            if len(found) == len(topics):
                return [found[topic.name] for topic in topics]
        with self._database.writing() as connection:
            found = find_topics(connection, [topic.name for topic in topics])
            if found and not exist_ok:
                name = next(iter(found))
                raise TopicExistsError(
                    f"topic {name!r} exists already. Pass exist_ok=True to use it.", topic=name
                )
            check_same(topics, found)
            now = time.time_ns() // 1000
            made = []
            for topic in topics:
                if topic.name not in found:
                    schema_id = enter_schema(connection, topic.schema_blob)
                    made.append(topic.with_ids(uuid.uuid4().bytes, schema_id))
                    insert_topic(connection, made[-1], now)
            write_topic_files(self._directory, made, now)
        found |= {topic.name: topic for topic in made}
        return [found[topic.name] for topic in topics]

    def alter_topic(
        self, name: str, change: Callable[[TopicDescription], TopicDescription]
    ) -> TopicDescription:
        """Let a topic become what `change` returns: of schema, partitions and settings; return it.

        Raises
        ------
        UnknownTopicError
            If there is none of that name.
        """
        with self._database.writing() as connection:
            topic = _require_topic(connection, name, "altered")
            wanted = change(topic)
            if wanted == topic:
                return topic
            if wanted.schema_blob != topic.schema_blob:
                schema_id = enter_schema(connection, wanted.schema_blob)
                wanted = wanted.with_ids(topic.id, schema_id)
            update_topic(connection, topic, wanted, time.time_ns() // 1000)
            # Before the commit: a file that is ahead of its row does no harm.
            write_topic_file(self._directory, wanted, created_us(connection, topic.id))
        self._own_changes += 1
        return wanted

    def schema_history(self, topic_id: bytes) -> list[tuple[int, bytes]]:
        """Return (id, blob) of every schema that a topic has had, the present one last."""
        with self._database.reading() as connection:
            return Cells("schemas", "id", "blob").all_checked(
                connection.execute(
                    "SELECT t.schema_id, s.blob FROM topic_schemas t "
                    "LEFT JOIN schemas s ON s.id = t.schema_id "
                    "WHERE t.topic_id = ? ORDER BY t.version",
                    (topic_id,),
                )
            )

    def find_topic(self, name: str) -> TopicDescription | None:
        """Return a topic, or None."""
        with self._database.reading() as connection:
            return find_topic(connection, name)

    def topic_of_id(self, topic_id: bytes) -> TopicDescription | None:
        """Return the topic of an id, or None."""
        with self._database.reading() as connection:
            return topic_of_id(connection, topic_id)

    def topic_names(self) -> list[str]:
        """Return the names of all topics, sorted."""
        with self._database.reading() as connection:
            return topic_names(connection)

    def delete_topic(self, name: str) -> TopicDescription:
        """Remove a topic and the offsets that groups committed for it; return what it was.

        Raises
        ------
        UnknownTopicError
            If there is none of that name.
        """
        with self._database.writing() as connection:
            topic = _require_topic(connection, name, "deleted")
            remove_topic(connection, topic)
            # From here on its directory is no topic that lost its row.
            mark_deleted(self._directory, topic.id)
        self._own_changes += 1
        return topic

    def change_mark(self) -> tuple[int, int]:
        """Return what differs after a topic was altered or deleted or a name taken. Cheap.

        Changes of another process are noticed at once, and within a second if that process was
        stopped in the middle of its commit.
        """
        foreign = self._database.foreign_changes()
        return foreign, self._own_changes + self._database.reopened_count

    def has_transactions(self) -> bool:
        """Return whether any transaction is open, or not cleaned up after."""
        with self._database.reading() as connection:
            return connection.execute("SELECT 1 FROM transactions LIMIT 1").fetchone() is not None

    def note_change(self) -> None:
        """Let :meth:`change_mark` differ, after a change that others of this process must see."""
        self._own_changes += 1

    def commit_mark(self) -> tuple[int, int]:
        """Return what differs after anything was committed; as cheap."""
        foreign = self._database.foreign_changes()
        return foreign, self._database.own_commits + self._database.reopened_count

    def has_topic(self, topic_id: bytes) -> bool:
        """Return whether the topic of that id exists, whatever its name."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT 1 FROM topics WHERE id = ?", (topic_id,)).fetchone()
        return row is not None

    def created_us(self, topic_id: bytes) -> int:
        """Return when a topic was created, in microseconds; 0 when it is gone."""
        with self._database.reading() as connection:
            return created_us(connection, topic_id)

    # -- copies --------------------------------------------------------------------------------

    def copy_to(self, path: str) -> None:
        """Write a copy of this moment's catalog to a file, and sync it."""
        with self._database.reading() as connection:
            copy_database(connection, path)

    # -- transactions of others ----------------------------------------------------------------

    def reading(self) -> Guard[sqlite3.Connection]:
        """Show one state of everything for the time of the body."""
        return self._database.snapshot()

    def writing(self) -> Guard[sqlite3.Connection]:
        """Run a transaction; it is rolled back when the body raises."""
        return self._database.writing()

    def standing_still(self) -> Guard[sqlite3.Connection]:
        """Lend the connection while nobody writes, in any process: for a short while."""
        return self._database.standing_still()

    # -- groups --------------------------------------------------------------------------------

    def group_id(self, name: str) -> int:
        """Return the number of a consumer group, which it gets when it is first named."""
        with self._database.reading() as connection:
            number = find_group(connection, name)
        if number is None:
            with self._database.writing() as connection:
                number = enter_group(connection, name)
        return number

    def committed_offset(self, group_id: int, topic_id: bytes, partition: int) -> int | None:
        """Return the next offset that a group committed, or None."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT next_offset FROM group_offsets "
                "WHERE group_id = ? AND topic_id = ? AND partition = ?",
                (group_id, topic_id, partition),
            ).fetchone()
            if row is None:
                return None
            known = {"group_id": group_id, "topic_id": topic_id, "partition": partition}
            return int(_NEXT_OFFSET.checked(row, **known)[0])

    # -- producers -----------------------------------------------------------------------------

    def open_producer(self, name: str) -> tuple[int, int]:
        """Return the id of a producer's name, and its next epoch, which fences all before."""
        with self._database.writing() as connection:
            taken = take_name(connection, name)
        self._own_changes += 1
        return taken

    def producer_epoch(self, producer_id: int) -> int:
        """Return the epoch of the newest producer of a name."""
        with self._database.reading() as connection:
            return _newest_epoch(connection, producer_id)

    def producer_positions(self, producer_id: int, topic_id: bytes) -> dict[int, ProducerPosition]:
        """Return what was saved for a producer, by partition; a floor where there is one.

        What was saved later may have been lost by a power loss, and then the records that tell
        what was before are gone: only the floor is sure. Behind it the batches tell all.
        """
        with self._database.reading() as connection:
            rows = []
            for table, cells in (("producer_positions", _POSITIONS), ("producer_floors", _FLOORS)):
                found = connection.execute(
                    f"SELECT {cells.names} FROM {table} WHERE producer_id = ? AND topic_id = ?",
                    (producer_id, topic_id),
                )
                rows += cells.all_checked(found, producer_id=producer_id, topic_id=topic_id)
        return {partition: tuple(position) for partition, *position in rows}

    def save_producer_positions(
        self,
        producer_id: int,
        epoch: int,
        topic_id: bytes,
        positions: Iterable[ProducerPosition],
    ) -> int:
        """Store a position for each partition, and return the producer's newest epoch.

        Nothing is stored when that is another, or when the topic is gone.
        """
        with self._database.writing() as connection:
            newest = _newest_epoch(connection, producer_id)
            connection.executemany(
                "INSERT OR REPLACE INTO producer_positions SELECT ?, id, ?, ?, ?, ?, ? "
                "FROM topics WHERE id = ? AND ? = ?",
                [
                    (producer_id, partition, *position, topic_id, epoch, newest)
                    for partition, position in enumerate(positions)
                ],
            )
        return newest

    def producers_of(
        self, topic_id: bytes, partition: int
    ) -> list[tuple[str, int, int, ProducerPosition]]:
        """Return name, id, epoch, and where to read on, of the producers of a partition."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT p.name, p.id, p.epoch, "
                "o.partition, o.next_offset, o.incarnation, o.last_sequence, o.complete_sequence, "
                "f.partition, f.next_offset, f.incarnation, f.last_sequence, f.complete_sequence "
                "FROM producer_positions o JOIN producers p ON p.id = o.producer_id "
                "LEFT JOIN producer_floors f ON f.producer_id = o.producer_id "
                "AND f.topic_id = o.topic_id AND f.partition = o.partition "
                "WHERE o.topic_id = ? AND o.partition = ?",
                (topic_id, partition),
            ).fetchall()
            found = []
            for row in rows:
                name, number, epoch = _NAMED_PRODUCER.checked(row[:3])
                known = {"producer_id": number, "topic_id": topic_id}
                _, *position = _POSITIONS.checked(row[3:8], **known)
                if position[0] < 0:
                    continue
                if row[8] is not None:
                    _, *floor = _FLOORS.checked(row[8:], **known)
                    position = [*floor[:3], max(floor[3], position[3])]
                found.append((name, number, epoch, tuple(position)))
        return found

    def save_floors(
        self, topic_id: bytes, partition: int, floors: Iterable[tuple[int, ProducerPosition]]
    ) -> None:
        """Store what is known of producers (id, position) before records are deleted."""
        rows = [(number, topic_id, partition, *position) for number, position in floors]
        if rows:
            with self._database.writing() as connection:
                connection.executemany(
                    "INSERT OR REPLACE INTO producer_floors VALUES (?, ?, ?, ?, ?, ?, ?)", rows
                )

    # -- life ----------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the connection; the catalog opens again when it is used again."""
        self._database.close()


def _newest_epoch(connection: sqlite3.Connection, producer_id: int) -> int:
    epoch = epoch_of(connection, producer_id)
    if epoch is None:
        raise DamagedRow("producers", f"id={producer_id}", "it is missing, while a producer has it")
    return epoch


def _require_topic(connection: sqlite3.Connection, name: str, act: str) -> TopicDescription:
    topic = find_topic(connection, name)
    if topic is None:
        raise UnknownTopicError(
            f"topic {name!r} does not exist, so it cannot be {act}.", topic=name
        )
    return topic
