"""Gives rows with random cells to all that reads rows of the catalog.

Usage: python -m tests.torture.catalog_cells SEED [SECONDS]

Nothing but the errors of a damaged row, or of settings that a newer pystream wrote, may come of a
row. It is refused where ``tests/oracle/catalog_rows.py`` says that it is damaged, and only there;
what verify looks at topics with says the same; and what is read of a sound row is the same when it
was written and read again. Of a schema with other bytes nothing is said here but the first: that is
what ``native/fuzz`` is for. ``catalog_rows.py`` does less to more: to a log with such rows.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import sqlite3
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import astuple
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pystream import _native, config
from pystream.log.catalog.format import FIND_TOPICS
from pystream.log.catalog.groups import MEMBER_COLUMNS, member_of_row
from pystream.log.catalog.rows import TABLES, Cells, DamagedRow, shown, tolerant
from pystream.log.catalog.topics import UnknownSettings, topic_damages, topic_of_row
from pystream.log.schema import KAFKA_SHAPED
from tests.oracle import catalog_rows as oracle
from tests.torture import recorder
from tests.torture.catalog_log import build
from tests.torture.cell_values import another
from tests.torture.harness import Harness, Outcome, run_seeds, said_by, scratch_directory
from tests.torture.promises import allow_small_segments

SECONDS_OF_A_PROCESS = 20.0
AT_ONCE = 20_000  # rows of one seed
TOPIC = ("id", "name", "partitions", "schema_id", "is_typed", "key_columns", "configs")
OF_TOPIC = (*TOPIC, "blob", "is_own")
LONGEST = 1500  # characters of a message, whatever the cells hold

Row = tuple[Any, ...]


class Wrong(Exception):
    """A promise does not hold."""


class Kind(NamedTuple):
    """Rows of one kind, and who reads them.

    Attributes
    ----------
    name : str
    columns : sequence of str
    rows : list of tuple
        That are sound.
    read : callable
        Gets a row; returns what it says. DamagedRow or UnknownSettings if it is damaged.
    written : callable
        Gets that; returns a row again.
    is_sound : callable
        Gets a row by column; returns what the oracle says, None for what it does not know.
    weight : int
        How often it comes.
    """

    name: str
    columns: Sequence[str]
    rows: list[Row]
    read: Callable[[Row], Any]
    written: Callable[[Any], Row]
    is_sound: Callable[[dict[str, Any]], bool | None]
    weight: int

    def others(self) -> list[list[Any]]:
        """Return what each column has in all rows."""
        return [list(column) for column in zip(*self.rows, strict=True)]


def kinds_in(path: Path) -> list[Kind]:
    """Return the kinds of rows of a catalog."""
    with contextlib.closing(tolerant(sqlite3.connect(path))) as connection:
        topics = connection.execute(FIND_TOPICS).fetchall()
        found = [_topics(topics), _members(connection)]
        for table, is_sound in oracle.IS_SOUND.items():
            if table != "group_members":
                found.append(_plain(connection, table, is_sound))
    return found


def _topics(rows: list[Row]) -> Kind:
    columns = {blob: list(_native.Schema.deserialize(blob).names) for *_, blob, _ in rows}
    is_sound = partial(
        oracle.is_topic,
        columns_of=columns,
        kafka_shaped=KAFKA_SHAPED.serialize(),
        least_segment=config.SEGMENT_BYTES_MIN,
    )

    def read(row: Row) -> Any:
        # Its cache takes 1.0 for 1, as it may: no column of whole numbers keeps one.
        return topic_of_row.__wrapped__(row)

    def written(topic: Any) -> Row:
        first, keys, configs = topic.to_row()[:-3], *topic.to_row()[-2:]
        return (*first, int(topic.is_typed), keys, configs, topic.schema_blob, 1)

    return Kind("topics", OF_TOPIC, rows, read, written, is_sound, 6)


def _members(connection: sqlite3.Connection) -> Kind:
    columns = ("group_id", *MEMBER_COLUMNS)
    rows = connection.execute(f"SELECT {', '.join(columns)} FROM group_members").fetchall()
    cells = Cells("group_members", *columns)

    def read(row: Row) -> Any:
        cells.checked(row)
        return row[0], member_of_row(row[1:], row[0])

    def written(found: Any) -> Row:
        group, member = found
        *first, wanted, assignor, session, most, away, process = astuple(member)[:11]
        subscription = json.dumps({"topics": wanted[0], "pattern": wanted[1]})
        return (group, *first, subscription, assignor, session, most, away, process)

    return Kind("group_members", columns, rows, read, written, oracle.is_member, 4)


def _plain(
    connection: sqlite3.Connection, table: str, is_sound: Callable[[dict[str, Any]], bool]
) -> Kind:
    columns = list(TABLES[table].columns)
    rows = connection.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall()
    return Kind(table, columns, rows, Cells(table, *columns).checked, tuple, is_sound, 1)


def damaged(kind: Kind, others: Sequence[Sequence[Any]], choose: random.Random) -> Row:
    """Return a row of which one to three cells are others."""
    cells = list(kind.rows[int(choose.random() * len(kind.rows))])
    for _ in range((1, 1, 1, 2, 3)[int(choose.random() * 5)]):
        at = int(choose.random() * len(cells))
        # Whether a schema is the topic's own is no cell: the query says it.
        is_cell = kind.columns[at] != OF_TOPIC[-1]
        cells[at] = (
            another(cells[at], others[at], choose) if is_cell else int(choose.random() < 0.5)
        )
    return tuple(cells)


def check(kind: Kind, row: Row) -> None:
    """Raise Wrong when a promise does not hold for a row."""
    cells = dict(zip(kind.columns, row, strict=True))
    says, is_newer = kind.is_sound(cells), False
    if kind.name == "topics" and oracle.has_unknown_settings(cells["configs"]):
        says, is_newer = kind.is_sound(cells | {"configs": "{}"}), True  # but for these
    try:
        found = kind.read(row)
    except DamagedRow as error:
        if says:
            raise Wrong(f"it is refused: {error}") from None
        _check_message(error)
        is_damaged = True
    except UnknownSettings as error:
        if not is_newer or says is False:
            raise Wrong(f"it counts as a newer one's: {error}") from None
        is_damaged = False
    else:
        if says is False or is_newer:
            raise Wrong(f"it is read as {found}")
        again = kind.read(kind.written(found))
        if again != found:
            raise Wrong(f"it is read as {found}, and written and read again as {again}")
        is_damaged = False
    if kind.name == "topics":
        told = topic_damages(row)
        if bool(told) != is_damaged:
            raise Wrong(f"verify says {told}")


def _check_message(error: DamagedRow) -> None:
    text = str(error)
    text.encode()  # so that it can be printed
    if error.table not in text or len(text) > LONGEST:
        raise Wrong(f"its message is {text}")


def go_through(kinds: Sequence[Kind], seed: int, rows: int = AT_ONCE) -> None:
    """Check the rows of a seed; Wrong tells the first that does not keep a promise."""
    choose = random.Random(seed)
    chosen = [
        (kind, others)
        for kind, others in ((kind, kind.others()) for kind in kinds)
        for _ in range(kind.weight)
    ]
    for _ in range(rows):
        kind, others = chosen[int(choose.random() * len(chosen))]
        row = damaged(kind, others, choose)
        try:
            check(kind, row)
        except Exception as error:
            cells = ", ".join(f"{c}={shown(v)}" for c, v in zip(kind.columns, row, strict=True))
            what = str(error) if isinstance(error, Wrong) else traceback.format_exc(limit=-4)
            raise Wrong(f"seed {seed}, a row of {kind.name}: {cells}\n{what}") from None


def main(seed: str, seconds: str = "0") -> int:
    allow_small_segments()
    warnings.simplefilter("ignore")  # of regular expressions that mean something else one day
    number, failure = int(seed), None
    deadline = time.monotonic() + float(seconds)
    with scratch_directory() as scratch:
        kinds = kinds_in(build(Path(scratch))[0] / "catalog.db")
    while True:
        try:
            go_through(kinds, number)
        except Wrong as error:
            failure = str(error)
        number += 1
        re.purge()
        if failure or time.monotonic() >= deadline:
            break
    cases = AT_ONCE * (number - int(seed) - (failure is not None))
    print(json.dumps({"cases": cases, "next": number, "failure": failure}), flush=True)
    return 1 if failure else 0


def run_process(seed: int, seconds: float = SECONDS_OF_A_PROCESS) -> Outcome:
    """Go through seeds for about so long, in a process of its own."""
    env = recorder.environment_without()
    said = said_by(recorder.run("tests.torture.catalog_cells", [seed, seconds], env))
    following = said.get("next", seed + 1)
    repeat = f"python -m tests.torture.catalog_cells {following - 1}"
    return Outcome(said.get("cases", 0), following, said["failure"], repeat)


HARNESS = Harness(
    "fuzz, cells of the catalog", "rows", 100_000_000, partial(run_seeds, run_process)
)

if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
