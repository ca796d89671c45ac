"""What the core calls in Python in the middle of its work, and what becomes of its errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pystream.errors import StreamError

__all__ = ["UserCalls"]


class UserCalls:
    """A function of the user's that the core calls, by whatever thread runs the job.

    Attributes
    ----------
    error : BaseException or None
        What the user's function raised. The core cannot carry it.
    """

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def end(self, failure: StreamError) -> None:
        """Raise what ends the job after `failure` of the core, if it was the function's fault."""
        if self.error is None:
            return
        if not isinstance(self.error, Exception):  # Ctrl-C and the like
            raise self.error from None
        raise failure from self.error
