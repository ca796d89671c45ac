"""A clock that tests set, in place of the clock of the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pystream._native import ManualClock as NativeClock
from pystream.config import parse_duration_us
from pystream.errors import ConfigError

if TYPE_CHECKING:
    from datetime import timedelta

__all__ = ["ManualClock"]


class ManualClock:
    """Processing time that stands until it is moved: for tests of jobs that go by the clock.

    Parameters
    ----------
    now_ms : int, default 0
        Milliseconds since 1970.

    Notes
    -----
    Any thread may move it while a job runs. A job for which the clock goes back takes the latest
    time that it has seen.

    References
    ----------
    Apache Flink, ``KeyedOneInputStreamOperatorTestHarness.setProcessingTime``.

    Examples
    --------
    >>> from pystream.testing import ManualClock
    >>> clock = ManualClock()
    >>> clock.advance("10s")
    >>> clock.now_ms
    10000
    """

    def __init__(self, now_ms: int = 0) -> None:
        self._native = NativeClock(_checked(now_ms) * 1000)

    def __repr__(self) -> str:
        return f"ManualClock({self.now_ms})"

    @property
    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return self._native.now_us // 1000

    @now_ms.setter
    def now_ms(self, now_ms: int) -> None:
        self._native.now_us = _checked(now_ms) * 1000

    def advance(self, duration: str | timedelta) -> None:
        """Move the clock on.

        Parameters
        ----------
        duration : str or timedelta
            Such as ``"10s"``; zero or more.

        Raises
        ------
        ConfigError
            If it is negative or cannot be read.
        """
        self._native.now_us += parse_duration_us(duration, name="duration")


def _checked(now_ms: object) -> int:
    if not isinstance(now_ms, int) or isinstance(now_ms, bool) or abs(now_ms) > 2**53:
        raise ConfigError(f"a clock got now_ms={now_ms!r}. Pass whole milliseconds since 1970.")
    return now_ms
