"""What a client of Kafka subscribed to: names and patterns, of topics that may not exist yet."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["WantedTopics", "prefix_pattern"]


def prefix_pattern(pattern: str) -> str:
    """Return a pattern for whole names from one that need only match their beginning.

    Examples
    --------
    >>> prefix_pattern("^orders")
    '(?:^orders).*'
    """
    return f"(?:{pattern}).*"


class WantedTopics:
    """Topics by name, and patterns for whole names.

    Raises
    ------
    re.error
        If a pattern is no regular expression.
    """

    def __init__(self, names: Iterable[str], patterns: Sequence[str]) -> None:
        self.names = tuple(dict.fromkeys(names))
        self.pattern = "|".join(f"(?:{pattern})" for pattern in patterns) or None
        self._matches = None if self.pattern is None else re.compile(self.pattern).fullmatch

    def matching(self, known: Iterable[str]) -> list[str]:
        """Return those of the known topics that a pattern matches."""
        if self._matches is None:
            return []
        return [name for name in known if self._matches(name)]
