"""Which members of consumer groups live: each holds a lock that the kernel drops when it dies.

Transactional producers have places of the same kind.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Set

from pystream._native import Descriptor
from pystream.log.groups.state import AWAY, Member
from pystream.log.kernel_lock import KernelLock, is_locked

__all__ = ["Liveness", "is_member_alive"]

_POLL = struct.Struct("<q")


class Liveness:
    """The place of one member among those that live, and a look at the others.

    Parameters
    ----------
    directory : str
        Of the log.
    kind : {"members", "transactions"}
        Of whom.

    Notes
    -----
    The lock is that of an open file: it works between containers, is not lost while the process is
    stopped, and is free at once when it dies or drops this object.
    """

    def __init__(self, directory: str, kind: str = "members") -> None:
        self._path = os.path.join(directory, f"{kind}.lock")
        self._polls = os.path.join(directory, f"{kind}.poll")
        self._what = "the place of a group's member"
        if kind == "transactions":
            self._what = "the place of a transactional producer"
        self._polls_file: Descriptor | None = None
        self._lock: KernelLock | None = None
        self.slot = AWAY

    def take_slot(self, used: Set[int]) -> None:
        """Take the first place that no member has, in the catalog or in fact.

        Raises
        ------
        StorageError
            If the lock's file cannot be opened.
        """
        slot = 0
        while True:
            if slot not in used:
                lock = KernelLock(self._path, slot=slot, what=self._what)
                if lock.try_acquire():
                    self.slot, self._lock = slot, lock
                    return
                lock.forget()
            slot += 1

    def is_held(self, slot: int) -> bool:
        """Return whether the member at a slot lives; about a microsecond."""
        if slot == self.slot:
            return True
        if self._lock is None:
            return is_locked(self._path, slot)
        return self._lock.is_held_by_other(slot)

    def note_poll(self, now_us: int) -> None:
        """Tell the others that this member asks for records now."""
        with contextlib.suppress(OSError):  # then it looks as if it had not asked
            os.pwrite(self._open_polls(), _POLL.pack(now_us), self.slot * _POLL.size)

    def is_stuck(self, member: Member, now_us: int) -> bool:
        """Return whether a member has not asked for records for longer than it may."""
        if member.max_poll_us is None or member.slot == self.slot:
            return False
        limit_us = member.max_poll_us
        if member.instance_id is not None:
            limit_us += member.session_timeout_us
        try:
            data = os.pread(self._open_polls(), _POLL.size, member.slot * _POLL.size)
        except OSError:
            return False
        return len(data) == _POLL.size and now_us - _POLL.unpack(data)[0] > limit_us

    def close(self) -> None:
        """Give the place up."""
        if self._lock is not None:
            self._lock.close()
        self.forget()

    def forget(self) -> None:
        """In a forked child, drop the copies: the parent stays the member.

        Elsewhere the place is free then, as if the process had died.
        """
        if self._lock is not None:
            self._lock.forget()
            self._lock = None
        if self._polls_file is not None:
            self._polls_file.close()
            self._polls_file = None
        self.slot = AWAY

    def _open_polls(self) -> int:
        if self._polls_file is None:
            self._polls_file = Descriptor(self._polls, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        return self._polls_file.number


def is_member_alive(directory: str, member: Member) -> bool:
    """Return whether a member's process lives; writes nothing."""
    return member.slot != AWAY and is_locked(os.path.join(directory, "members.lock"), member.slot)
