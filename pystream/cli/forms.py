"""The formats of records on the command line."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Format"]


class Format(StrEnum):
    """A format of records."""

    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"
    RAW = "raw"
    TABLE = "table"
