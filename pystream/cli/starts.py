"""Where ``pystream consume`` begins: what ``--from`` says, for each partition."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from pystream import Topic
from pystream.config import parse_duration_us
from pystream.errors import ConfigError
from pystream.log.times import find_time

__all__ = ["Start", "parse_time"]

_DURATION = re.compile(r"-(\d[\d.a-z]*[a-z])")
_INTEGER = re.compile(r"-?\d+")
_HOW = (
    "Write earliest, latest, an offset such as 1000, -10 for the last ten, a time such as "
    "2024-01-31T12:00:00Z, or -1h for an hour ago."
)


def parse_time(text: str, *, option: str, how: str) -> int:
    """Return microseconds since 1970; a time without a zone is in UTC.

    Raises
    ------
    ConfigError
        If the text is no time, nor one such as ``-1h``; ends with `how`.
    """
    if ago := _DURATION.fullmatch(text):
        return time.time_ns() // 1000 - parse_duration_us(ago[1], name=option)
    try:
        written = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option} is {text!r}. {how}") from None
    aware = written if written.tzinfo is not None else written.replace(tzinfo=UTC)
    since = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 10**6 + since.microseconds


@dataclass(frozen=True)
class Start:
    """A place in each partition.

    Examples
    --------
    >>> Start.parse("earliest"), Start.parse("-10").value, Start.parse("1970-01-01T00:00:01").value
    (Start(kind='earliest', value=0), 10, 1000000)
    """

    kind: Literal["earliest", "latest", "offset", "last", "time"]
    value: int = 0

    @classmethod
    def parse(cls, text: str) -> Start:
        """Return what a text means, or raise ConfigError. A time without a zone is in UTC."""
        if text in ("earliest", "beginning"):
            return cls("earliest")
        if text in ("latest", "end"):
            return cls("latest")
        if _INTEGER.fullmatch(text):
            number = int(text)
            return cls("last", -number) if text.startswith("-") else cls("offset", number)
        return cls("time", parse_time(text, option="--from", how=_HOW))

    def offset_in(self, topic: Topic, partition: int) -> int:
        """Return where that is in a partition; an offset is not checked here.

        A time is the first record at or after it, or the end.
        """
        ends = topic.native_partition(partition).ends()
        begin, end = ends.log_start_offset, ends.log_end_offset
        if self.kind == "time":
            found = find_time(topic, partition, self.value)
            return end if found is None else found.offset
        if self.kind == "offset":
            return self.value
        if self.kind == "last":
            return max(begin, end - self.value)
        return begin if self.kind == "earliest" else end
