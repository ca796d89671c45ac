# What a producer knows of a topic.

from libc.stdint cimport int32_t, int64_t

from pystream._native._cells cimport Cell
from pystream._native._open_batch cimport RowCells, SequenceTracker, TopicLayout


cdef class TopicSequences:
    cdef SequenceTracker* _tracker
    cdef public object stopped_by


cdef class TopicEncoder:
    cdef TopicLayout* _layout
    cdef readonly str topic
    cdef readonly int32_t partitions
    cdef readonly bint is_typed
    cdef readonly bint needs_key  # its topic is compacted
    cdef tuple _names
    cdef tuple _types
    cdef list _open  # ProducerBatch or None, by partition
    cdef int32_t _sticky
    cdef readonly object target
    cdef readonly object writer
    cdef object _producer  # a number: whose it is
    cdef public bint is_gone
    cdef bint _is_retired
    cdef readonly TopicSequences sequences  # None: the producer has no name
    cdef SequenceTracker* _tracker  # of them; NULL without

    cdef int64_t _next_sequence(self, object given, int64_t rows) except -1
    cdef int32_t _choose_by_sequence(self, object partition, const Cell* cells,
                                     int64_t sequence) except -1
    cdef _refuse_columns(self, dict record)
    cdef int64_t _fill(self, object record, RowCells* row) except -1
    cdef int64_t _fill_bytes(self, object key, object value, RowCells* row) except -1
    cdef bint _has_partition(self, object partition) except -1
    cdef object _no_partition(self, object partition)
    cdef int32_t _choose(self, object partition, const Cell* cells) except -1
