"""What a file format is: its schema without its rows, then its rows in batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar, Protocol

from pystream.errors import SchemaError

if TYPE_CHECKING:
    import pyarrow

__all__ = [
    "BATCH_ROWS",
    "BLOCK_BYTES",
    "TEXT_WAY_OUT",
    "BadRowError",
    "FileFormat",
    "require_columns",
    "require_exact",
]

BATCH_ROWS = 65_536
BLOCK_BYTES = 1 << 20  # of CSV and JSON in memory at once
EXACT_FLOATS = 2**53  # up to which a float64 holds every integer

TEXT_WAY_OUT = (
    "Pass schema= with the columns and their types, for a column that has no values yet too."
)


class BadRowError(Exception):
    """A row that cannot be read; the message says which, counted from 1 as editors do."""


class FileFormat(Protocol):
    """A format with its options."""

    ending: ClassVar[str]  # of files in a directory
    first_row: ClassVar[int]  # its number, where the first line of a text is 1
    way_out: ClassVar[str]  # for whom a column has a type that pystream does not have

    def schema_of(self, file: str) -> pyarrow.Schema | None:
        """Return the columns of a file, or those that were asked for; None: it is empty."""

    def check(self, file: str, schema: pyarrow.Schema) -> None:
        """Raise SchemaError when the file is known not to have these columns."""

    def read(self, file: str, schema: pyarrow.Schema) -> Iterator[pyarrow.RecordBatch]:
        """Yield the rows, as batches of `schema`."""


def require_exact(name: str, integers: list[int] | list[Decimal]) -> None:
    """Raise SchemaError for integers that a float64 may not hold."""
    for value in integers:
        if not -EXACT_FLOATS <= value <= EXACT_FLOATS:
            raise SchemaError(
                f"column {name!r} has the integer {value}, but would be float64, which rounds it. "
                "Pass schema= with the type that it shall have: decimal128, string or float64.",
                column=name,
            )


def require_columns(
    found: list[str], wanted: list[str] | tuple[str, ...], *, also_exact: bool = False
) -> None:
    """Raise SchemaError unless `wanted` are there, once each, and with `also_exact` no others."""
    missing = [name for name in wanted if name not in found]
    if missing:
        raise SchemaError(
            f"there is no column {missing[0]!r}; the columns are {', '.join(found)}. Name columns "
            "that every file has.",
            column=missing[0],
        )
    counts = Counter(found)
    twice = [name for name in wanted if counts[name] > 1]
    if twice:
        raise SchemaError(
            f"there is a column {twice[0]!r} twice. Rename one of them.", column=twice[0]
        )
    more = [name for name in found if name not in wanted]
    if also_exact and more:
        raise SchemaError(
            f"there is a column {more[0]!r}, which the files before it do not have. Name the "
            "columns to be read.",
            column=more[0],
        )
