"""Our errors as another library's: one object that both of their names catch."""

from __future__ import annotations

from typing import Any, TypeVar

from pystream.errors import StreamError

__all__ = ["joined"]

_Theirs = TypeVar("_Theirs", bound=Exception)


def joined(theirs: type[_Theirs], error: StreamError, *args: object) -> _Theirs:
    """Return an exception that is `theirs` and of the class of `error`, with its facts.

    Parameters
    ----------
    theirs : type
        Of the other library.
    error : StreamError
    *args : object
        Of the exception; default: the message of `error`.

    Examples
    --------
    >>> from pystream.errors import UnknownTopicError
    >>> class TheirError(Exception): ...
    >>> error = joined(TheirError, UnknownTopicError("no topic 'a'", topic="a"))
    >>> isinstance(error, TheirError), isinstance(error, LookupError), error.topic, str(error)
    (True, True, 'a', "no topic 'a'")
    """
    made = _rebuild(theirs, type(error), args or error.args, dict(error.__dict__))
    if isinstance(error, OSError) and isinstance(made, OSError):
        made.errno = error.errno
    made.__cause__ = error
    return made


def _rebuild(
    theirs: type[_Theirs], ours: type[StreamError], args: tuple[Any, ...], facts: dict[str, object]
) -> _Theirs:
    both = _BOTH.get((theirs, ours))
    if both is None:
        both = _BOTH[theirs, ours] = _both(theirs, ours)
    made: _Theirs = both.__new__(both, *args)
    made.args = args
    made.__dict__.update(facts)
    return made


_BOTH: dict[tuple[type[Exception], type[StreamError]], type[Any]] = {}


def _both(theirs: type[_Theirs], ours: type[StreamError]) -> type[_Theirs]:
    def reduce(self: Exception) -> tuple[object, ...]:
        return _rebuild, (theirs, ours, self.args, dict(self.__dict__))

    body = {"__module__": theirs.__module__, "__doc__": theirs.__doc__, "__reduce__": reduce}
    return type(theirs.__name__, (theirs, ours), body)
