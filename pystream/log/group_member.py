"""Membership of a consumer group: one live member, proved by a kernel lock."""

from __future__ import annotations

import os

from pystream.errors import NotSupportedError
from pystream.log.catalog import Catalog
from pystream.log.kernel_lock import KernelLock

__all__ = ["GroupMember"]


class GroupMember:
    """Holds the place of a group's one live member until it is closed or its process dies.

    Parameters
    ----------
    directory : str
        Of the log.
    catalog : Catalog
        Gives the group its number, which is its slot in the lock file.
    group_id : str

    Raises
    ------
    NotSupportedError
        If the group has another live member, in this process or another.
    """

    def __init__(self, directory: str, catalog: Catalog, group_id: str) -> None:
        self.number = catalog.group_id(group_id)
        self._lock = KernelLock(
            os.path.join(directory, "groups.lock"),
            slot=self.number,
            what=f"consumer group {group_id!r}",
        )
        if not self._lock.try_acquire():
            holder = self._lock.holder()
            self._lock.forget()
            raise NotSupportedError(
                f"consumer group {group_id!r} has a live member already, in process {holder}, and "
                "sharing partitions within a group is not built yet. Close that consumer, use "
                "another group_id, or assign() partitions by hand."
            )

    def close(self) -> None:
        """Leave the group."""
        self._lock.close()

    def forget(self) -> None:
        """In a forked child: drop the copy, the parent stays the member."""
        self._lock.forget()
