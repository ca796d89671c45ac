"""What the cells of the catalog may hold, and how a row is read that somebody else has damaged.

SQLite has no checksums and does not insist on a column's type, so that a row is looked at before
anything is done with it. All that reads the catalog does so by these tables, and so does
``pystream verify``.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pystream import config
from pystream.log.groups.assignors import ASSIGNORS
from pystream.log.topic_description import is_topic_name

__all__ = [
    "TABLES",
    "Cells",
    "Column",
    "DamagedRow",
    "Illegal",
    "Table",
    "row_name",
    "shown",
    "tolerant",
]

_SHOWN = 60  # characters of a value in a message


class DamagedRow(sqlite3.DatabaseError):
    """A row that pystream never wrote so; where the catalog's path is known, it is told.

    Attributes
    ----------
    table, row : str
    column : str or None
        None: the row as such is wrong, or missing.
    value : object
    what : str
        A clause.
    """

    def __init__(
        self, table: str, row: str, what: str, *, column: str | None = None, value: object = None
    ) -> None:
        super().__init__(f"row {row} of table {table}: {what}")
        self.table, self.row, self.what = table, row, what
        self.column, self.value = column, value


class Illegal(Exception):
    """A cell's text is no legal one; says what it must be."""


class Column(NamedTuple):
    """A column: which values are legal, and how to say that.

    Attributes
    ----------
    name : str
    test : str
        An expression of Python, true for a legal value, which stands there as ``{0}``. Tests of a
        row are compiled to one function, as rows are looked at each time that they are read.
    expected : str
        What comes behind "must be".
    """

    name: str
    test: str
    expected: str

    def is_legal(self, value: object) -> bool:
        """Return whether a value is legal."""
        return _compiled((self.test,))(value)

    def damage(self, table: str, row: str, value: object) -> DamagedRow:
        """Return what is raised for a value."""
        what = f"{self.name} is {shown(value)}, and must be {self.expected}"
        return DamagedRow(table, row, what, column=self.name, value=value)


class Table(NamedTuple):
    """A table, and the first version of the format that has it."""

    name: str
    key: tuple[str, ...]
    columns: Mapping[str, Column]
    since: int


class Cells:
    """Some columns of a table, in the order of a query.

    Parameters
    ----------
    table : str
    *names : str
    """

    def __init__(self, table: str, *names: str) -> None:
        self.names = ", ".join(names)
        self._table = TABLES[table]
        self._columns = [self._table.columns[name] for name in names]
        self._are_legal = _compiled(tuple(column.test for column in self._columns))

    def checked(self, row: Any, **known: object) -> Any:
        """Return a row as it is.

        Parameters
        ----------
        row : sequence
        **known : object
            Parts of the row's key that are not in the query.

        Raises
        ------
        DamagedRow
            If a cell holds what pystream does not write.
        """
        if not self._are_legal(*row):
            raise next(self.damages(row, known))
        return row

    def all_checked(self, rows: Iterable[Any], **known: object) -> list[Any]:
        """Return rows as they are, or raise what the first damaged one says."""
        return [self.checked(row, **known) for row in rows]

    def damages(self, row: Sequence[Any], known: Mapping[str, object]) -> Iterator[DamagedRow]:
        """Yield what is wrong with each cell."""
        if self._are_legal(*row):
            return
        values = dict(known) | {c.name: v for c, v in zip(self._columns, row, strict=True)}
        name = row_name(values, self._table.key)
        for column, value in zip(self._columns, row, strict=True):
            if not column.is_legal(value):
                yield column.damage(self._table.name, name, value)


@functools.cache
def _compiled(tests: tuple[str, ...]) -> Callable[..., bool]:
    """Return a function of as many values as there are tests, true when all are legal."""
    names = [f"value_{number}" for number in range(len(tests))]
    whole = " and ".join(f"({test.format(name)})" for test, name in zip(tests, names, strict=True))
    made: Callable[..., bool] = eval(
        f"lambda {', '.join(names)}: {whole}", {"is_topic_name": is_topic_name}
    )
    return made


def row_name(values: Mapping[str, object], key: Iterable[str]) -> str:
    """Return how messages call a row: by its key, as far as that is known."""
    return ", ".join(f"{name}={shown(values[name])}" for name in key if name in values)


def shown(value: object) -> str:
    """Return a value as a message shows it."""
    text = f"x'{value.hex()}'" if isinstance(value, bytes) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"


def tolerant(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Let a connection return text that is no UTF-8 as bytes, which no column of text may hold."""
    connection.text_factory = _text
    return connection


def _text(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


# -- kinds of columns --------------------------------------------------------------------------


def _whole(name: str, least: int, most: int) -> Column:
    test = f"type({{0}}) is int and {least} <= {{0}} <= {most}"
    return Column(name, test, f"a whole number from {least} to {most}")


def _whole_or_null(name: str, least: int, most: int) -> Column:
    return _or_null(_whole(name, least, most))


def _text_of(name: str, least: int = 0, most: int | None = None) -> Column:
    test = f"type({{0}}) is str and len({{0}}) >= {least}"
    if most is not None:
        test += f" and len({{0}}) <= {most}"
    size = "" if most is None else f" of {least} to {most} characters"
    return Column(name, test, f"a text{size}" if least == 0 or size else "a text, not empty")


def _text_or_null(name: str) -> Column:
    return _or_null(Column(name, "type({0}) is str and {0} != ''", "a text"))


def _or_null(column: Column) -> Column:
    test, expected = f"{{0}} is None or {column.test}", f"NULL or {column.expected}"
    return column._replace(test=test, expected=expected)


def _choice(name: str, choices: Iterable[str]) -> Column:
    known = sorted(choices)
    return Column(name, f"type({{0}}) is str and {{0}} in {known}", f"one of {known}")


def _topic_id(name: str) -> Column:
    return Column(name, "type({0}) is bytes and len({0}) == 16", "16 bytes")


def _bytes(name: str) -> Column:
    return Column(name, "type({0}) is bytes and len({0}) > 0", "bytes")


def _table(name: str, key: str, *columns: Column, since: int = 1) -> Table:
    return Table(name, tuple(key.split()), {column.name: column for column in columns}, since)


# Behind it counters still rise by one, and times can be added.
_COUNT = 2**62
_OFFSET = 2**63 - 1
_ID = 2**62 - 1
_SLOT = 2**31 - 1
_EPOCH = 2**31 - 1
_PROCESS = 2**31 - 1
_SCHEMA = 2**31 - 1
_PARTITION = _whole("partition", 0, config.PARTITIONS_MAX - 1)
_POSITION = (
    _whole("producer_id", 0, _ID),
    _topic_id("topic_id"),
    _PARTITION,
    _whole("next_offset", -1, _OFFSET),
    _whole("incarnation", 0, 2**32 - 1),
    _whole("last_sequence", -1, config.SEQUENCE_ID_MAX),
    _whole("complete_sequence", -1, config.SEQUENCE_ID_MAX),
)
_TIME = 2**62

TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (
        _table("schemas", "id", _whole("id", 1, _SCHEMA), _bytes("blob")),
        _table(
            "topics",
            "id name",
            _topic_id("id"),
            Column("name", "is_topic_name({0})", "a legal name of a topic"),
            _whole("partitions", 1, config.PARTITIONS_MAX),
            _whole("schema_id", 1, _SCHEMA),
            _whole("is_typed", 0, 1),
            _text_of("key_columns"),
            _text_of("configs"),
            _whole("created_us", -_TIME, _TIME),
        ),
        _table(
            "topic_schemas",
            "topic_id version",
            _topic_id("topic_id"),
            _whole("version", 1, _SCHEMA),
            _whole("schema_id", 1, _SCHEMA),
            _whole("since_us", -_TIME, _TIME),
        ),
        _table(
            "groups",
            "id name",
            _whole("id", 1, _COUNT),
            _text_of("name", 1),
            _whole("epoch", 0, _COUNT),
            _whole("version", 0, _COUNT),
            _text_of("topics_hash"),
            since=2,
        ),
        _table(
            "group_members",
            "group_id number",
            _whole("number", 1, _COUNT),
            _whole("group_id", 1, _COUNT),
            _text_of("member_id", 1),
            _text_or_null("instance_id"),
            _whole("slot", -1, _SLOT),
            _whole("epoch", 0, _COUNT),
            _text_of("subscription"),
            _choice("assignor", ASSIGNORS),
            _whole("session_timeout_us", 0, _TIME),
            _whole_or_null("max_poll_us", 0, _TIME),
            _whole_or_null("away_us", 0, _TIME),
            _whole("process_id", 0, _PROCESS),
            since=2,
        ),
        _table(
            "group_partitions",
            "group_id topic_id partition",
            _whole("group_id", 1, _COUNT),
            _topic_id("topic_id"),
            _PARTITION,
            _whole_or_null("target", 1, _COUNT),
            _whole_or_null("owner", 1, _COUNT),
            _whole("owner_epoch", 0, _COUNT),
            since=2,
        ),
        _table(
            "group_offsets",
            "group_id topic_id partition",
            _whole("group_id", 1, _COUNT),
            _topic_id("topic_id"),
            _PARTITION,
            _whole("next_offset", 0, _OFFSET),
            _whole("committed_us", -_TIME, _TIME),
        ),
        _table(
            "producers",
            "id name",
            _whole("id", 0, _ID),
            _text_of("name", 1, config.PRODUCER_NAME_MAX),
            _whole("epoch", 0, _EPOCH),
            _whole("opened_us", -_TIME, _TIME),
        ),
        _table("producer_positions", "producer_id topic_id partition", *_POSITION),
        _table("producer_floors", "producer_id topic_id partition", *_POSITION, since=3),
        _table(
            "transactions",
            "id transactional_id",
            _whole("id", 0, _ID),
            _text_of("transactional_id", 1, config.PRODUCER_NAME_MAX),
            _whole("producer_id", 0, _ID),
            _whole("producer_epoch", 0, _EPOCH - 1),
            _choice("state", ("open", "committed", "aborted")),
            _whole("slot", 0, _SLOT),
            _whole("process_id", 0, _PROCESS),
            _whole("timeout_us", 0, _TIME),
            _whole("begun_us", -_TIME, _TIME),
            _whole("begun_monotonic_us", 0, _TIME),
            _whole_or_null("decided_us", -_TIME, _TIME),
            since=3,
        ),
        _table(
            "transaction_partitions",
            "transaction_id topic_id partition",
            _whole("transaction_id", 0, _ID),
            _topic_id("topic_id"),
            _PARTITION,
            since=3,
        ),
        _table("meta", "name", _text_of("name", 1), _whole("value", 0, _COUNT)),
    )
}
