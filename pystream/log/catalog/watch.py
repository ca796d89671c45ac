"""Noticing that the catalog may have changed, without asking SQLite."""

from __future__ import annotations

import time

from pystream import config
from pystream.log.catalog.reader import stat_of

__all__ = ["CatalogWatch"]


class CatalogWatch:
    """Says whether there is a reason to ask the database.

    Parameters
    ----------
    path : str
        Of the database.

    Notes
    -----
    Whoever commits makes the write-ahead log longer, and then lets others see it; the log is only
    ever cut to nothing. So after the log has changed one asks for a while, and otherwise once per
    ``config.CATALOG_ASK_SECONDS``, in case somebody was stopped between the two steps. That is a
    `stat` instead of a query before each batch that is appended.
    """

    def __init__(self, path: str) -> None:
        self._log_path = path + "-wal"
        self._seen: tuple[int, ...] = ()
        self._settled_at = 0.0
        self._ask_at = 0.0

    def may_have_changed(self) -> bool:
        """Return whether a commit may be visible that was not when this was last true."""
        found = stat_of(self._log_path)
        now = time.monotonic()
        if found != self._seen:
            self._seen = found
            self._settled_at = now + config.CATALOG_SETTLE_SECONDS
        elif self._settled_at <= now < self._ask_at:
            return False
        self._ask_at = now + config.CATALOG_ASK_SECONDS
        return True
