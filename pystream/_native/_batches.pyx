"""Handing out what was read ahead: batch by batch, column by column.

What stands between two batches of a loop is here and not in Python, since a pass over large batches
finds the caches full of their values: every line of code that is not run counts twice.
"""

cimport cython
from libc.stdint cimport int64_t

__all__ = ["ArrayHandle", "BatchIterator", "BatchQueue", "BatchRows", "PartitionPosition"]


# The schema in which a column was found last, and its columns' indexes: loops see one schema.
cdef tuple _found_last = (None, None)


cdef class ArrayHandle:
    """A column as the core has it; a base class."""

    cdef readonly object _handle

    def __init__(self, handle):
        self._handle = handle


cdef class PartitionPosition:
    """How far the records of a partition were handed out; a base class.

    Attributes
    ----------
    position : int
        Offset of the next record.
    """

    cdef public int64_t position

    def __init__(self, int64_t position):
        self.position = position


cdef class BatchRows:
    """Rows as columns, which are read from a stored batch when they are asked for; a base class.

    Parameters
    ----------
    schema : Schema
    num_rows : int
    columns : dict of int to Array
        By index in the schema; with `stored`, those that were read so far.
    stored : LogBatch, optional
    begin : int
        The first of its rows that belongs to this batch.
    """

    cdef readonly object _schema
    cdef readonly int64_t _num_rows
    cdef readonly dict _columns
    cdef readonly object _stored
    cdef readonly int64_t _begin

    def __init__(self, schema, int64_t num_rows, dict columns not None, stored=None,
                 int64_t begin=0):
        self._schema = schema
        self._num_rows = num_rows
        self._columns = columns
        self._stored = stored
        self._begin = begin

    cpdef _column(self, index):
        """Return a column as the core has it; a corrupt one raises CorruptRecordError."""
        column = self._columns.get(index)
        if column is None:
            column = self._stored.column_rows(index, self._begin, self._num_rows)
            self._columns[index] = column
        return column

    cpdef _find(self, name):
        """Return the column of a name, None when there is none."""
        global _found_last
        cdef tuple found = _found_last
        if found[0] is not self._schema:
            found = (self._schema, {name: i for i, name in enumerate(self._schema.names)})
            _found_last = found
        index = (<dict>found[1]).get(name)
        return None if index is None else self._column(index)


@cython.final
cdef class BatchQueue:
    """Batches that were read ahead and not handed out yet. One thread.

    Parameters
    ----------
    batch_type : type of BatchRows
        What is handed out.
    refuse_compacted : callable
        Called with a stored batch whose offsets have gaps; raises.

    Attributes
    ----------
    records_taken : int
        How many were handed out.
    is_held : bool
        `BatchIterator` calls its `wait` before it takes something: set while somebody is in the
        middle of a batch.
    """

    cdef object _batch_type
    cdef object _refuse_compacted
    cdef list _partitions
    cdef list _fetched
    cdef Py_ssize_t _next  # index of the first that is not handed out
    cdef PartitionPosition _taken  # whose batch was taken last
    cdef readonly int64_t records_taken
    cdef public bint is_held

    def __init__(self, batch_type, refuse_compacted):
        self._batch_type = batch_type
        self._refuse_compacted = refuse_compacted
        self._partitions = []
        self._fetched = []

    def put(self, list partitions not None, list fetched not None):
        """Replace what is there by what ``Fetcher.fetch`` gave.

        Parameters
        ----------
        partitions : list of PartitionPosition
            Of the fetcher's readers.
        fetched : list of FetchedBatch
        """
        self._partitions = partitions
        self._fetched = fetched
        self._next = 0

    def take(self, max_records):
        """Return the partition and rows of the next batch, from the partition's position on.

        At most `max_records` of them, unless that is None. The position moves past them. None when
        nothing is left.
        """
        batch = self._take(max_records)
        return None if batch is None else (self._taken, batch)

    cdef _take(self, max_records):
        cdef int64_t base_offset, next_offset, begin, end
        while self._next < len(self._fetched):
            reader, stored, schema, base_offset, next_offset, count = self._fetched[self._next]
            self._taken = self._partitions[reader]
            begin = max(self._taken.position - base_offset, 0)
            end = next_offset - base_offset
            if end != count:
                self._refuse_compacted(stored)
            if max_records is not None and end - begin > max_records:
                end = begin + <int64_t>max_records
            batch = self._batch_type(schema, end - begin, {}, stored, begin)
            if base_offset + end == next_offset:
                self._fetched[self._next] = None  # the caller alone keeps it
                self._next += 1
            self._taken.position = base_offset + end
            self.records_taken += end - begin
            return batch
        return None


@cython.final
cdef class BatchIterator:
    """Iterates over the batches of a queue.

    Parameters
    ----------
    queue : BatchQueue
    max_records : int or None
        Cut larger batches.
    wait : callable
        Called when nothing is there, or the queue is held; returns a batch, or None at the end.
    """

    cdef BatchQueue _queue
    cdef object _max_records
    cdef object _wait

    def __init__(self, BatchQueue queue not None, max_records, wait):
        self._queue = queue
        self._max_records = max_records
        self._wait = wait

    def __iter__(self):
        return self

    def __next__(self):
        batch = None if self._queue.is_held else self._queue._take(self._max_records)
        if batch is None:
            batch = self._wait()
            if batch is None:
                raise StopIteration
        return batch
