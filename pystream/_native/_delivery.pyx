"""Batches of single records on their way to the log, and what becomes of each record."""

cimport cython
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from libc.stdint cimport int32_t, int64_t

from pystream._native._open_batch cimport OpenBatch, RecordBatch, steady_clock_us

import logging
from threading import TIMEOUT_MAX, Lock, local

from pystream._native._core import RecordBatch as CoreBatch
from pystream.config import parse_duration_us
from pystream.errors import ClientError, RequestTimeoutError, StreamError
from pystream.types import RecordMetadata

__all__ = ["Delivery", "ProducerBatch", "append_records", "to_stream_error"]

_here = local()  # of which producer a thread is the background thread


cdef note_worker(object producer):
    """Say that this thread appends what a producer has been given, so that it cannot wait for it.

    `producer` is its number.
    """
    _here.producer = producer


@cython.final
cdef class ProducerBatch:
    """The records of one partition that are appended together, and what became of them."""

    def __cinit__(self, TopicEncoder encoder, int32_t partition):
        self.encoder = encoder
        self.partition = partition
        self.first_sequence = -1
        self._rows = new OpenBatch(encoder._layout[0], encoder._tracker is not NULL)
        self._opened_us = steady_clock_us()

    def __dealloc__(self):
        del self._rows

    def take(self):
        """Return the rows as two capsules: the topic's columns; timestamps, headers, sequences."""
        cdef RecordBatch* columns = new RecordBatch()
        cdef RecordBatch* builtin = new RecordBatch()
        first = PyCapsule_New(columns, "pystream.RecordBatch", &_delete_batch)
        second = PyCapsule_New(builtin, "pystream.RecordBatch", &_delete_batch)
        self._rows.take(columns, builtin)
        del self._rows
        self._rows = NULL
        return first, second

    def complete(self, int64_t base_offset, append_time_us=None, offsets=None,
                 int64_t duplicate_count=0):
        """Say that all records were appended, from `base_offset` on or at `offsets`.

        The first `duplicate_count` of them had been there before.
        """
        self._duplicate_count = duplicate_count
        self._base_offset = base_offset
        self._append_time_us = append_time_us
        self._offsets = offsets
        self._finish(PUBLISHED)

    def fail(self, error, offsets=None, int64_t duplicate_count=0):
        """Say that the records were not appended, but for those whose offset is not -1.

        The first `duplicate_count` of them had been there before.
        """
        self._duplicate_count = duplicate_count
        self._error = error
        self._offsets = offsets
        self._finish(FAILED)

    def abandon(self, error):
        """Fail without telling anyone: in a forked child, those who wait are the parent's."""
        self._error = error
        self._status = FAILED
        self._callbacks = None

    cdef _finish(self, Status status):
        self._status = status
        bells = self._bells
        self._bells = None
        if bells is not None:
            for bell in bells:
                bell.release()
        callbacks = self._callbacks
        self._callbacks = None
        if callbacks is not None:
            for callback, delivery in callbacks:
                _call_back(callback, delivery)

    cdef bint _wait(self, timeout) except -1:
        """Wait until the batch is appended or failed; return whether it is."""
        if self._status == PENDING:
            worker = getattr(_here, "producer", None)
            if worker is not None and worker == self.encoder._producer:
                raise ClientError(
                    "a delivery callback waits for a record of its own producer, which is appended "
                    "by the thread that calls it. Use add_done_callback(), or wait in another "
                    "thread."
                )
            bell = Lock()  # see pystream.log.bell
            bell.acquire()
            fresh = []  # before the look: making it may let another thread wait, too
            if self._bells is None:
                self._bells = fresh
            self._bells.append(bell)
            # Making them may have let another thread finish the batch.
            if self._status == PENDING:
                bell.acquire(timeout=-1 if timeout is None else min(timeout, TIMEOUT_MAX))
        return self._status != PENDING


cdef void _delete_batch(object capsule) noexcept:
    cdef RecordBatch* batch = <RecordBatch*>PyCapsule_GetPointer(capsule, "pystream.RecordBatch")
    del batch


cdef _call_back(callback, delivery):
    try:
        callback(delivery)
    except Exception:
        logging.getLogger("pystream").exception("a delivery callback failed: %r", callback)


@cython.final
@cython.freelist(4096)
@cython.no_gc  # its one reference that could close a cycle is dropped when the batch is done
cdef class Delivery:
    """The future of one sent record; `Producer.send` returns it.

    Notes
    -----
    Any thread. A delivery that nobody asks costs nothing more; an error also appears at
    ``flush()``. In a coroutine, ``await delivery`` gives what :meth:`result` returns or raises.
    """

    def done(self):
        """Return whether the record was appended or failed."""
        return self._batch._status != PENDING

    def result(self, timeout=None):
        """Wait for the record to be appended at the producer's ``acks``.

        Parameters
        ----------
        timeout : str or timedelta, optional
            Default: no limit.

        Returns
        -------
        RecordMetadata

        Raises
        ------
        RequestTimeoutError
            If it takes longer; the record may yet be appended.
        StreamError
            If it could not be appended.
        ClientError
            In a callback of the same producer's background thread, which would wait for itself.
        """
        cdef ProducerBatch batch = self._batch
        error = self.exception(timeout)
        if error is not None:
            raise error
        is_duplicate = self._index < batch._duplicate_count
        timestamp = self._timestamp_us
        if batch._append_time_us is not None:
            timestamp = -1 if is_duplicate else batch._append_time_us
        if batch._offsets is None:
            # Records that were there before may have an offset that is not known any more.
            offset = batch._base_offset + self._index if batch._base_offset >= 0 else -1
        else:
            offset = int(batch._offsets[self._index])
        return RecordMetadata(
            batch.encoder.topic, batch.partition, offset, timestamp, is_duplicate
        )

    def exception(self, timeout=None):
        """Wait as `result` does, and return the error, or None when the record was appended."""
        seconds = None if timeout is None else parse_duration_us(timeout, name="timeout") / 1e6
        if not self._batch._wait(seconds):
            raise RequestTimeoutError(
                f"a record of topic {self._batch.encoder.topic!r} was not appended within "
                f"{timeout!s}. Wait longer; it may yet be."
            )
        if self._batch._offsets is not None and self._batch._offsets[self._index] >= 0:
            return None
        if self._index < self._batch._duplicate_count:
            return None
        return self._batch._error

    def add_done_callback(self, callback):
        """Call ``callback(delivery)`` once the record is appended or failed.

        It runs in the producer's background thread, or at once when that has happened already.
        What it raises is logged.
        """
        if self._batch._status != PENDING:
            _call_back(callback, self)
        elif self._batch._callbacks is None:
            self._batch._callbacks = [(callback, self)]
        else:
            self._batch._callbacks.append((callback, self))

    def __await__(self):
        import asyncio

        loop = asyncio.get_running_loop()
        future = loop.create_future()

        def resolve():
            if not future.done():
                error = self.exception()
                if error is None:
                    future.set_result(self.result())
                else:
                    future.set_exception(error)

        def call(delivery):
            try:
                loop.call_soon_threadsafe(resolve)
            except RuntimeError:
                pass  # the loop was closed meanwhile, so nobody waits

        self.add_done_callback(call)
        return future.__await__()

    def __repr__(self):
        state = ("pending", "published", "failed")[<int>self._batch._status]
        return f"<Delivery to {self._batch.encoder.topic}-{self._batch.partition}: {state}>"


def append_records(ProducerBatch batch, acks, int64_t complete, result):
    """Append a batch that takes no more records; what was published is in `result`, also on error.

    `complete`: of a producer with a name, the sequence up to which all are stored then.
    """
    columns, builtin = batch.take()
    columns = CoreBatch._from_capsule(columns)
    builtin = CoreBatch._from_capsule(builtin)
    headers = builtin.column(1)
    batch.encoder.writer.append(
        columns,
        timestamps=builtin.column(0),
        headers=None if headers.null_count == len(headers) else headers,
        partition=batch.partition,
        acks=acks,
        sequences=None if batch.encoder.sequences is None else builtin.column(2),
        complete_sequence=complete,
        result=result,
    )


def to_stream_error(error):
    """Return an error of an append as one of ours."""
    if isinstance(error, StreamError):
        return error
    wrapped = StreamError(f"a batch could not be appended: {error!r}. See the cause.")
    wrapped.__cause__ = error
    return wrapped
