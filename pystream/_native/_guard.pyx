"""A `with` block whose end runs whatever Ctrl-C does.

Python runs signal handlers when a function of Python begins, so one of those can be left before its
first line. What a block holds is therefore given back here.
"""

cimport cython

__all__ = ["Guard"]


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
