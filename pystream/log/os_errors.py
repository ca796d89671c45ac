"""What to do about an error of the operating system, for the second sentence of a message."""

from __future__ import annotations

import errno
import os
import resource

__all__ = ["advice_on", "is_at_file_limit"]


def advice_on(number: int | None) -> str:
    """Return what to do, in one sentence; as the core says it in ``native/base/error.cpp``."""
    if number == errno.EMFILE:
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return (
            f"This process may have {limit} open files (RLIMIT_NOFILE), and each partition in use "
            'takes two: raise the limit with "ulimit -n", or use fewer partitions at a time.'
        )
    return "Check the directory's permissions and free space."


def is_at_file_limit() -> bool:
    """Return whether this process can open no more files: not every library says why it failed."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return error.errno == errno.EMFILE
    return False
