"""Finding records by time: what a time is in a column's unit, and where it is in a partition."""

from __future__ import annotations

import operator
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from pystream.errors import ConfigError
from pystream.types import OffsetAndTimestamp

if TYPE_CHECKING:
    from pystream._native import DataType
    from pystream.log.topic import Topic

__all__ = ["Time", "find_time", "ticks_of", "time_column"]

Time = datetime | date | np.datetime64 | int
_NANOSECONDS = {"D": 86_400 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_FINER = {"as": 10**9, "fs": 10**6, "ps": 10**3}  # of a nanosecond
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INT64_MAX = 2**63 - 1
_HOW = "Pass a datetime with a time zone, a numpy.datetime64, or an integer"


def time_column(topic: Topic, column: str | None) -> tuple[int, DataType | None]:
    """Return the index and type of an event-time column; -1 and None for record timestamps.

    Raises
    ------
    ConfigError
        If the topic has no such column, or it holds no times.
    """
    if column is None:
        return -1, None
    names = topic.schema.names
    if not isinstance(column, str) or column not in names:
        raise ConfigError(
            f"column is {column!r}, which topic {topic.name!r} does not have. Its columns are "
            f"{', '.join(names)}."
        )
    index = names.index(column)
    kind = topic.schema.fields[index][1]
    if kind.kind not in ("timestamp", "date32", "int64"):
        raise ConfigError(
            f"column {column!r} of topic {topic.name!r} is {kind}, which is no event time. Name a "
            "column of timestamps, dates, or int64, or none for the record timestamps."
        )
    return index, kind


def ticks_of(time: object, kind: DataType | None = None) -> int:
    """Return a time in the unit of a column, rounded up; of record timestamps: microseconds.

    Parameters
    ----------
    time : datetime, date, numpy.datetime64 or int
        A datetime without a zone only for a column without; an int is in the unit already.
    kind : DataType, optional

    Raises
    ------
    ConfigError
        If it is something else.

    Examples
    --------
    >>> ticks_of(np.datetime64("1970-01-01T00:00:01"))
    1000000
    >>> from pystream._native import DataType
    >>> ticks_of(np.datetime64("1970-01-01T00:00:00.0001"), DataType("timestamp[ms]"))
    1
    """
    unit, is_zoned = "us", True
    if kind is not None:
        unit = "D" if kind.kind == "date32" else kind.unit or ""
        is_zoned = kind.timezone is not None
    if isinstance(time, int | np.integer) and not isinstance(time, bool | np.timedelta64):
        ticks = operator.index(time)
    elif not unit:
        raise ConfigError(f"the time is {time!r}, but the column is {kind}. Pass an integer.")
    else:
        ticks = -(-_nanoseconds(time, unit, is_zoned=is_zoned) // _NANOSECONDS[unit])
    if not -_INT64_MAX <= ticks <= _INT64_MAX:
        raise _too_far(time)
    return ticks


def _too_far(time: object) -> ConfigError:
    return ConfigError(f"the time {time!r} is beyond what 64 bits hold. Pass one nearer to now.")


def _nanoseconds(time: object, unit: str, *, is_zoned: bool) -> int:
    """Return nanoseconds since 1970, rounded up."""
    if isinstance(time, np.datetime64) and not np.isnat(time):
        return _numpy_nanoseconds(time)
    if isinstance(time, datetime):
        if is_zoned and time.tzinfo is None and unit != "D":
            raise ConfigError(
                f"the time is {time!r}, which has no time zone. Add one, such as "
                "datetime.timezone.utc."
            )
        if not is_zoned and time.tzinfo is not None and unit != "D":
            raise ConfigError(
                f"the time is {time!r}, but the column has no time zone. Pass one without."
            )
        since = (time if time.tzinfo is not None else time.replace(tzinfo=UTC)) - _EPOCH
        return (since // timedelta(microseconds=1)) * 1000
    if isinstance(time, date) and unit == "D":
        return (time.toordinal() - _EPOCH.date().toordinal()) * _NANOSECONDS["D"]
    raise ConfigError(f"the time is {time!r}, of type {type(time).__name__}. {_HOW}.")


def _numpy_nanoseconds(time: np.datetime64) -> int:
    unit, count = np.datetime_data(time.dtype)
    ticks = int(time.astype(np.int64)) * count
    if unit in _FINER:
        return -(-ticks // _FINER[unit])
    if unit not in _NANOSECONDS:  # years to minutes
        coarse = "D" if unit in ("Y", "M", "W") else "s"
        converted = time.astype(f"datetime64[{coarse}]")
        if converted.astype(time.dtype) != time:  # numpy goes round in silence
            raise _too_far(time)
        return int(converted.astype(np.int64)) * _NANOSECONDS[coarse]
    return ticks * _NANOSECONDS[unit]


def find_time(
    topic: Topic, partition: int, time: object, column: str | None = None
) -> OffsetAndTimestamp | None:
    """Return the first record of a partition at or after a time; None when there is none.

    Raises
    ------
    ConfigError
        If the time is none, or the column holds no times.
    UnknownTopicError
        If there is no such partition.
    """
    index, kind = time_column(topic, column)
    found = topic.native_partition(partition).find_time(ticks_of(time, kind), column=index)
    return None if found is None else OffsetAndTimestamp(*found)
