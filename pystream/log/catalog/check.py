"""What the catalog says, read without trusting it."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from dataclasses import dataclass, field
from typing import NamedTuple

from pystream.log.catalog.damage import damages_of_rest, damages_of_topics, unknown_settings
from pystream.log.catalog.errors import DATABASE_ERRORS
from pystream.log.catalog.format import (
    FIND_TOPICS,
    FIRST_WITH_TRANSACTIONS,
    check_catalog_version,
    tables_version,
)
from pystream.log.catalog.reader import connect_read_only
from pystream.log.catalog.rows import Cells, DamagedRow
from pystream.log.catalog.topics import UnknownSettings, topic_of_row
from pystream.log.findings import Finding
from pystream.log.topic_description import TopicDescription
from pystream.log.topic_file import topics_with_records

__all__ = ["CatalogContent", "GroupOffset", "read_catalog"]

_REBUILD = (
    'Restore the file from a backup, or run "pystream verify --repair", which makes it again from '
    "the topics' own files; what groups have committed is lost then."
)
_SET_ASIDE = (
    'Restore the file from a backup, or run "pystream verify --repair", which sets the row aside; '
    "docs/formats/catalog.md says what is lost with it."
)
# What SQLite says of cells, which are looked at one by one.
_OF_CELLS = re.compile(r"(NULL|NUMERIC|TEXT|BLOB|non-\w+) value in ")
_OFFSET = ("topic_id", "partition", "next_offset")


class GroupOffset(NamedTuple):
    """An offset that a consumer group committed."""

    group: str
    topic_id: bytes
    partition: int
    next_offset: int


@dataclass
class CatalogContent:
    """The catalog's rows, as far as they can be read.

    Attributes
    ----------
    path : str
    is_readable : bool
        Otherwise there are no rows.
    topics : dict of str to TopicDescription
    group_offsets : list of GroupOffset
    transactions : dict of int to str
        What was decided of those that have a row.
    findings : list of Finding
    """

    path: str
    is_readable: bool = False
    topics: dict[str, TopicDescription] = field(default_factory=dict)
    group_offsets: list[GroupOffset] = field(default_factory=list)
    transactions: dict[int, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def largest_offset(self, topic_id: bytes, partition: int) -> int:
        """Return the largest offset that any group committed; 0 when there is none."""
        return max(
            (
                row.next_offset
                for row in self.group_offsets
                if (row.topic_id, row.partition) == (topic_id, partition)
            ),
            default=0,
        )

    def add(self, kind: str, what: str, *, is_note: bool = False) -> None:
        """Note something about the catalog as a whole."""
        advice = "" if is_note else _REBUILD
        self.findings.append(Finding(kind, what, advice, self.path, is_note=is_note))

    def add_row(self, error: DamagedRow) -> None:
        """Note a damaged row."""
        self.findings.append(Finding("catalog-row", str(error), _SET_ASIDE, self.path))


def read_catalog(directory: str) -> CatalogContent:
    """Read the catalog of a log and check it.

    Raises
    ------
    LogError
        If it has another format.
    """
    content = CatalogContent(os.path.join(directory, "catalog.db"))
    # A log whose making was cut short has none, or an empty one, and no records.
    is_lost = next(topics_with_records(directory), None) is not None
    if not os.path.exists(content.path) or os.path.getsize(content.path) == 0:
        content.add("catalog-missing", "the catalog is missing", is_note=not is_lost)
        return content
    try:
        connection, _ = connect_read_only(content.path)
        with contextlib.closing(connection):
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if tables == 0:
                content.add("catalog-missing", "the catalog is empty", is_note=not is_lost)
                return content
            _read(connection, content)
    except DATABASE_ERRORS as error:
        content.topics.clear()
        content.group_offsets.clear()
        content.transactions.clear()
        content.is_readable = False
        content.add("catalog-damaged", f"the catalog is damaged: {error}")
    return content


def _read(connection: sqlite3.Connection, content: CatalogContent) -> None:
    try:
        version = check_catalog_version(connection, content.path)
    except DamagedRow as error:
        content.add_row(error)
        version = tables_version(connection)
    for (message,) in connection.execute("PRAGMA integrity_check").fetchall():
        if message != "ok" and not _OF_CELLS.match(message):
            raise sqlite3.DatabaseError(message)
    connection.execute("BEGIN")  # one state of everything
    _find_damaged_rows(connection, version, content)
    for row in connection.execute(FIND_TOPICS).fetchall():
        with contextlib.suppress(DamagedRow, UnknownSettings):
            topic = topic_of_row(row)
            content.topics[topic.name] = topic
    name_of, offset_of = Cells("groups", "name"), Cells("group_offsets", *_OFFSET)
    for name, *offset in connection.execute(
        f"SELECT g.name, {', '.join(f'o.{column}' for column in _OFFSET)} "
        "FROM group_offsets o JOIN groups g ON g.id = o.group_id"
    ).fetchall():
        with contextlib.suppress(DamagedRow):
            name_of.checked([name])
            content.group_offsets.append(GroupOffset(name, *offset_of.checked(offset)))
    if version >= FIRST_WITH_TRANSACTIONS:
        state_of = Cells("transactions", "id", "state")
        for transaction in connection.execute("SELECT id, state FROM transactions").fetchall():
            with contextlib.suppress(DamagedRow):
                number, state = state_of.checked(transaction)
                content.transactions[number] = state
    content.is_readable = True


def _find_damaged_rows(
    connection: sqlite3.Connection, version: int, content: CatalogContent
) -> None:
    """Note every damaged row: what is read afterwards leaves them out."""
    for error in unknown_settings(connection):
        what, _, advice = str(error).partition(". ")
        content.findings.append(
            Finding("other-format", what, advice, content.path, topic=error.topic)
        )
    for damages in (damages_of_topics, damages_of_rest):
        for damage in damages(connection, version):
            content.add_row(damage.error)
