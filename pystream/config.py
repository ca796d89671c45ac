"""Settings: how durations and sizes are written, and every default with its name and unit."""

from __future__ import annotations

import difflib
import functools
import os
import re
from collections.abc import Callable
from datetime import timedelta
from enum import Enum
from typing import Final, ParamSpec, TypeGuard, TypeVar

import numpy as np

from pystream.errors import ConfigError

__all__ = [
    "UNCHANGED",
    "Unchanged",
    "check_choice",
    "check_positive",
    "names_settings",
    "parse_duration_ns",
    "parse_duration_us",
    "parse_size",
    "parse_timeout_us",
]

# -- log ---------------------------------------------------------------------------------------

SYNC_INTERVAL: Final = "50ms"  # acks="interval": a sync starts at most this long after an append
PREWRITE_BYTES: Final = 1 << 20  # zeros ahead of durable commits, at most, in each partition
LOCK_TIMEOUT: Final = "30s"  # for a kernel lock that another process holds
SEGMENT_BYTES: Final = 256 << 20
SEGMENT_BYTES_MIN: Final = 1 << 20
SIZE_MAX: Final = 2**62 - 1
SEGMENT_BYTES_MAX: Final = 1 << 40  # as the format has it
PARTITIONS_MAX: Final = 10_000
WAL_CHECKPOINT_BYTES: Final = 4 << 20  # size of the catalog's write-ahead log that is written back
CATALOG_SETTLE_SECONDS: Final = 0.1  # between a commit's two steps; see CatalogWatch
CATALOG_ASK_SECONDS: Final = 1.0  # the catalog is asked for changes at least so often
MIN_CLEANABLE_RATIO: Final = 0.5  # of a partition's bytes; with less it is not compacted
DELETE_RETENTION: Final = "24h"  # how long tombstones are kept once they are compact
RETENTION_CHECK_INTERVAL: Final = "60s"  # between two looks of whoever looks after retention

# -- producer ----------------------------------------------------------------------------------

BATCH_SIZE: Final = 1 << 20  # bytes of one partition's open batch
LINGER: Final = "5ms"  # how long a batch waits for more records
BUFFER_MEMORY: Final = 64 << 20  # bytes not yet appended, over all partitions
MAX_BLOCK: Final = "60s"  # how long send() waits for buffer memory
MAX_RECORD_BYTES: Final = 16 << 20
PRODUCER_NAME_MAX: Final = 249  # characters
SEQUENCE_ID_MAX: Final = 2**62 - 1
POSITION_BATCHES: Final = 4096  # of a named producer, between two notes of where the next reads on

TRANSACTION_TIMEOUT: Final = "60s"  # of a transaction whose producer lives, from its begin
TRANSACTIONS_MAX: Final = 1000  # open at a time, in one log
TRANSACTION_PARTITIONS_MAX: Final = 10_000  # that one transaction may write to
TRANSACTION_LOOK_SECONDS: Final = 0.05  # between two looks at what holds a reader up
PRODUCER_EPOCH_MAX: Final = 2**31 - 16  # a name gets another producer id on the way there

# -- pipeline ----------------------------------------------------------------------------------

MAX_AHEAD: Final = "1d"  # of its append time; a record that is later does not move the watermark

# -- consumer ----------------------------------------------------------------------------------

MAX_POLL_RECORDS: Final = 500
FETCH_BATCHES: Final = 8  # read ahead at most: their headers, not their columns
ISOLATION_LEVELS: Final = ("read_committed", "read_uncommitted")
SKIPPED_RANGES_KEPT: Final = 1000  # of a consumer with on_corruption="skip": the newest
WAIT_SLICE_US: Final = 100_000  # Ctrl-C ends a wait within this time

AUTO_COMMIT_INTERVAL: Final = "5s"
SESSION_TIMEOUT: Final = "45s"  # how long a static member of a group may be away
TOPIC_LOOK_SECONDS: Final = 1.0  # between two looks of a waiting consumer for added partitions
GROUP_LOOK_SECONDS: Final = 0.05  # between two looks whether the other members of a group live
GROUP_LOOK_MEMBERS: Final = 64  # at most, at one look; the next one goes on behind them


class Unchanged(Enum):
    """Stands for a setting that is to stay as it is, where None means something."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

_NANOSECONDS: Final = {
    "ns": 1,
    "us": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3_600 * 10**9,
    "d": 86_400 * 10**9,
}
_BYTES: Final = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_DURATION: Final = re.compile(r"([+-]?)((?:\d+(?:\.\d+)?\s*(?:ns|us|ms|s|m|h|d)\s*)+)")
_DURATION_PART: Final = re.compile(r"(\d+)(?:\.(\d+))?\s*(ns|us|ms|s|m|h|d)")
_SIZE: Final = re.compile(r"(\d+)\s*(B|KiB|MiB|GiB|)")


def parse_duration_ns(
    value: str | timedelta, *, name: str = "duration", alternatives: str = ""
) -> int:
    """Return a duration in nanoseconds, exactly.

    Parameters
    ----------
    value : str or timedelta
        Such as ``"200ms"``, ``"5s"``, ``"1m"``, ``"24h"``, ``"1h30m"``, ``"-8h"``; units are
        ns, us, ms, s, m, h and d.
    name : str
        Of the setting, for the message.
    alternatives : str
        A sentence for the message: what is taken besides a duration.

    Raises
    ------
    ConfigError
        If it is neither, or is no whole number of nanoseconds.

    Examples
    --------
    >>> parse_duration_ns("1.5s"), parse_duration_ns("1h30m"), parse_duration_ns("-1ms")
    (1500000000, 5400000000000, -1000000)
    """
    if isinstance(value, timedelta):
        return (value.days * 86_400 + value.seconds) * 10**9 + value.microseconds * 10**3
    found = _written_ns(value) if isinstance(value, str) else None
    if found is None:
        raise ConfigError(
            f'{name} is {value!r}, which is not a duration. Write it as a string such as "200ms", '
            f'"5s", "1m" or "24h", or pass a timedelta.{alternatives and " " + alternatives}'
        )
    total, is_whole = found
    if not is_whole:
        raise ConfigError(
            f"{name} is {value!r}, which is not a whole number of nanoseconds. Round it."
        )
    return total


@functools.lru_cache(256)  # a program has few, and each producer and consumer reads its defaults
def _written_ns(text: str) -> tuple[int, bool] | None:
    """Return a duration in nanoseconds, cut, and whether that is all; None when it is none."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        return None
    total, is_whole = 0, True
    for whole, fraction, unit in _DURATION_PART.findall(match[2]):
        scale = _NANOSECONDS[unit]
        part, rest = divmod(int(fraction or 0) * scale, 10 ** len(fraction))
        is_whole = is_whole and not rest
        total += int(whole) * scale + part
    return (-total if match[1] == "-" else total), is_whole


def parse_duration_us(value: str | timedelta, *, name: str = "duration") -> int:
    """Return a duration of zero or more in microseconds, rounded up.

    Raises
    ------
    ConfigError
        If it is negative, too long, or no duration.

    Examples
    --------
    >>> parse_duration_us("5ms"), parse_duration_us("1ns")
    (5000, 1)
    """
    nanoseconds = parse_duration_ns(value, name=name)
    if not 0 <= nanoseconds < 2**63:
        raise ConfigError(
            f'{name} is {value!s}, but it must be between zero and 292 years. Pass "5s", say.'
        )
    return -(-nanoseconds // 1000)


def is_name(value: object) -> TypeGuard[str]:
    r"""Return whether something is a text, not empty, that can be stored.

    One with half a surrogate pair cannot: it has no UTF-8. Such are arguments of the command line
    whose bytes are no UTF-8.

    Examples
    --------
    >>> is_name("Zoë"), is_name(""), is_name("\udcff")
    (True, False, False)
    """
    if not isinstance(value, str) or not value:
        return False
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def names_settings(call: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Let a function of keyword settings name the nearest one when it is given an unknown one.

    Raises
    ------
    ConfigError
        By the function, for a keyword that it does not have.

    Examples
    --------
    >>> @names_settings
    ... def make(*, linger: str = "5ms") -> str:
    ...     return linger
    >>> make(linger_ms=5)
    Traceback (most recent call last):
    pystream.errors.ConfigError: make() has no setting 'linger_ms'. Did you mean linger? ...
    """
    code = call.__code__
    settings = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]

    @functools.wraps(call)
    def checked(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        for name in kwargs:
            if name not in settings:
                near = difflib.get_close_matches(name, settings, n=1)
                hint = f" Did you mean {near[0]}?" if near else ""
                known = ", ".join(setting for setting in settings if setting != "self")
                raise ConfigError(
                    f"{call.__name__}() has no setting {name!r}.{hint} Its settings are {known}."
                )
        return call(*args, **kwargs)

    return checked


def path_text(value: object) -> str | None:
    """Return a path as text; None for what nothing can be called."""
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    return text if is_name(text) and "\0" not in text else None


def check_flag(value: bool, *, name: str) -> bool:
    """Return `value` when it is true or false, or raise ConfigError."""
    if not isinstance(value, int | np.bool_) or value not in (0, 1):
        raise ConfigError(f"{name} is {value!r}. Pass True or False.")
    return bool(value)


def parse_timeout_us(value: str | timedelta | None) -> int | None:
    """Return a timeout in microseconds; None waits for ever."""
    return None if value is None else parse_duration_us(value, name="timeout")


def parse_size(
    value: int | str, *, name: str = "size", minimum: int = 1, maximum: int = SIZE_MAX
) -> int:
    """Return a number of bytes.

    Parameters
    ----------
    value : int or str
        Bytes, or a string such as ``"64KiB"``, ``"16MiB"``, ``"1GiB"``.
    name : str
        Of the setting, for the message.
    minimum, maximum : int
        Least and most that is accepted.

    Raises
    ------
    ConfigError
        If it is no size, too small, or too large.

    Examples
    --------
    >>> parse_size("64KiB"), parse_size(100)
    (65536, 100)
    """
    size = None
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip())
        size = int(match[1]) * _BYTES[match[2]] if match else None
    elif isinstance(value, int) and not isinstance(value, bool):
        size = value
    if size is None:
        raise ConfigError(
            f'{name} is {value!r}, which is not a size. Pass bytes, or a string such as "16MiB".'
        )
    if size < minimum:
        raise ConfigError(f"{name} is {value!r}, but it must be at least {minimum} bytes.")
    if size > maximum:
        raise ConfigError(f"{name} is {value!r}, but it can be {maximum} bytes at most.")
    return size


def check_positive(value: int, *, name: str, maximum: int = 2**31 - 1) -> int:
    """Return a whole number from 1 to `maximum`, or raise ConfigError."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= maximum:
        raise ConfigError(f"{name} is {value!r}. Pass a whole number from 1 to {maximum}.")
    return value


def check_choice(value: str, choices: tuple[str, ...], *, name: str) -> str:
    """Return `value` when it is one of `choices`, or raise ConfigError."""
    if not isinstance(value, str) or value not in choices:
        accepted = ", ".join(f'"{choice}"' for choice in choices)
        raise ConfigError(f"{name} is {value!r}. Pass one of {accepted}.")
    return value
