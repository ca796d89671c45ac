"""The formats of records on the command line."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

__all__ = ["Format", "format_of"]


class Format(StrEnum):
    """A format of records."""

    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"
    RAW = "raw"
    TABLE = "table"


_ENDINGS = {".csv": Format.CSV, ".parquet": Format.PARQUET}


def format_of(path: str | Path) -> Format | None:
    """Return the format that the ending of a file's name says, in any case; None for others."""
    return _ENDINGS.get(Path(path).suffix.lower())
