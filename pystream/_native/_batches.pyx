"""Handing out what was read ahead: batch by batch, column by column.

What stands between two batches of a loop is here and not in Python, since a pass over large batches
finds the caches full of their values: every line of code that is not run counts twice.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport int64_t

__all__ = ["ArrayHandle", "BatchIterator", "BatchQueue", "BatchRows", "PartitionPosition"]


cdef struct FetchedNumbers:  # as in bind_reader.cpp
    int64_t reader
    int64_t base_offset
    int64_t next_offset
    int64_t record_count


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
            column = self._stored.column(index, self._begin, self._num_rows)
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
    """Batches that were read ahead and not handed out yet.

    One thread takes; what others do meanwhile, they do under the interpreter lock, so that a seek
    or a pause never loses against a fetch that is going on.

    Parameters
    ----------
    batch_type : type of BatchRows
        What is handed out.

    Attributes
    ----------
    records_taken : int
        How many were handed out.
    epoch : int
        Rises when what is there, or on its way, is to be forgotten.
    is_held : bool
        `BatchIterator` calls its `wait` before it takes something: set while somebody is in the
        middle of a batch.
    """

    cdef object _batch_type
    cdef list _partitions
    cdef list _batches
    cdef list _schemas
    cdef bytes _numbers  # FetchedNumbers of each
    cdef Py_ssize_t _next  # index of the first that is not handed out
    cdef PartitionPosition _taken  # whose batch was taken last
    cdef readonly int64_t records_taken
    cdef readonly int64_t epoch
    cdef public bint is_held

    def __init__(self, batch_type):
        self._batch_type = batch_type
        self.clear()

    def clear(self):
        """Forget what is there, and what is put under an earlier epoch."""
        self.epoch += 1
        self._partitions = self._batches = self._schemas = []
        self._numbers = b""
        self._next = 0

    def move(self, PartitionPosition partition not None, int64_t position):
        """Set the position of a partition, and forget what was read before."""
        self.clear()
        partition.position = position

    def put(self, int64_t epoch, list partitions not None, tuple fetched not None):
        """Replace what is there by what ``Fetcher.fetch`` gave, unless the epoch is over.

        Parameters
        ----------
        epoch : int
            When the fetch began.
        partitions : list of PartitionPosition
            Of the fetcher's readers.
        fetched : FetchedBatches
        """
        if epoch != self.epoch:
            return
        self._partitions = partitions
        self._batches, self._schemas, self._numbers = fetched
        self._next = 0

    def step_over(self, int64_t epoch, list partitions not None, list positions not None):
        """Move partitions forward to where nothing more is, unless the epoch is over."""
        cdef PartitionPosition partition
        cdef int64_t position
        if epoch == self.epoch:
            for partition, position in zip(partitions, positions):
                partition.position = max(partition.position, position)

    def take(self, max_records):
        """Return the partition and rows of the next batch, from the partition's position on.

        At most `max_records` of them, unless that is None. The position moves past them. None when
        nothing is left.
        """
        batch = self._take(max_records)
        return None if batch is None else (self._taken, batch)

    cdef _take(self, max_records):
        if self._next == len(self._batches):
            return None
        cdef FetchedNumbers* numbers = (<FetchedNumbers*>PyBytes_AS_STRING(self._numbers)) + self._next
        stored = self._batches[self._next]
        cdef int64_t count = numbers.record_count
        cdef bint has_gaps = count != numbers.next_offset - numbers.base_offset
        cdef PartitionPosition taken = self._partitions[numbers.reader]
        cdef int64_t begin = max(taken.position - numbers.base_offset, 0)
        cdef int64_t epoch = self.epoch
        if has_gaps and begin > 0:
            begin = stored.row_from(taken.position)
        cdef int64_t end = count
        if max_records is not None and end - begin > max_records:
            end = begin + <int64_t>max_records
        cdef int64_t position = numbers.base_offset + end
        if has_gaps:
            position = numbers.next_offset if end == count else stored.offset_of(end)
        if epoch != self.epoch:
            return None  # asking let another thread move something
        batch = self._batch_type(self._schemas[self._next], end - begin, {}, stored, begin)
        if epoch != self.epoch:
            return None  # making it let another thread move something
        self._taken = taken
        taken.position = position
        self.records_taken += end - begin
        if end == count:
            self._batches[self._next] = None  # the caller alone keeps it
            self._next += 1
        return batch


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
