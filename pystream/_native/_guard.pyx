"""What is given back whatever Ctrl-C does: a lock behind a block, a file that is dropped.

Python runs signal handlers when a function of Python begins, so one of those can be left before its
first line, and in `__del__` the interrupt itself is lost. What is held is therefore given back here.
"""

import os

cimport cython
from cpython.exc cimport PyErr_SetFromErrnoWithFilenameObject
from posix.fcntl cimport open as posix_open
from posix.unistd cimport close as posix_close

__all__ = ["Descriptor", "Guard"]


@cython.final
cdef class Descriptor:
    """A file that is open until it is closed or this is dropped.

    Parameters
    ----------
    path : str
    flags : int
        As for ``os.open``.
    mode : int
        Of a file that is made.

    Attributes
    ----------
    number : int
        -1 when it is closed.
    """

    cdef readonly int number

    def __cinit__(self):
        self.number = -1

    def __init__(self, path, int flags, int mode=0o666):
        self._close()
        encoded = os.fsencode(path)
        self.number = posix_open(encoded, flags, mode)
        if self.number < 0:
            PyErr_SetFromErrnoWithFilenameObject(OSError, path)

    def __dealloc__(self):
        self._close()

    def close(self):
        """Close the file; nothing happens when it is closed."""
        self._close()

    cdef void _close(self) noexcept:
        number, self.number = self.number, -1
        if number >= 0:
            posix_close(number)


@cython.final
cdef class Guard:
    """Holds a lock for a block, and begins and ends something under it.

    Parameters
    ----------
    lock : threading.RLock
        Free again behind the block, in any case.
    begin : callable
        Returns what ``with`` gives.
    end : callable
        Called with what was raised, or None; also after a `begin` that raised. If Ctrl-C cuts it
        short it is called again, with that, and puts right what is left.
    """

    cdef object _lock
    cdef object _begin
    cdef object _end

    def __init__(self, lock, begin, end):
        self._lock = lock
        self._begin = begin
        self._end = end

    def __enter__(self):
        self._lock.acquire()
        try:
            return self._begin()
        except BaseException as error:
            self._finish(error)
            raise

    def __exit__(self, kind, error, trace):
        self._finish(error)
        return False

    cdef object _finish(self, error):
        try:
            try:
                self._end(error)
            except Exception:
                raise
            except BaseException as interrupt:
                self._end(interrupt)
                raise
        finally:
            self._lock.release()
